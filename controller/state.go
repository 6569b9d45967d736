package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// errForeign means that others may write into the runtime directory. The text says what to do.
var errForeign = errors.New("the runtime directory is not safe")

// openRuntime makes the runtime directory where it is missing, and opens it. It has to be the server's own: in one that
// others may write into, they could plant links in the places of the server's files. The error is errForeign for such a
// directory, and another one where there can be no directory.
func openRuntime(path string) (*os.Root, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	if err := ours(root, path); err != nil {
		_ = root.Close()
		return nil, err
	}
	return root, nil
}

// ours looks at the directory that is open, not at what the path leads to by now.
func ours(root *os.Root, path string) error {
	opened, err := root.Stat(".")
	if err != nil {
		return err
	}
	named, err := os.Lstat(path)
	if err != nil {
		return err
	}
	const instead = "set runtime_dir in the configuration or BRUME_RUNTIME_DIR to another directory"
	owner := opened.Sys().(*syscall.Stat_t).Uid
	switch {
	case !os.SameFile(opened, named):
		return fmt.Errorf("%w: %s is a link; remove it, or %s", errForeign, path, instead)
	case owner != uint32(os.Geteuid()):
		return fmt.Errorf("%w: %s belongs to the user with the id %d; %s", errForeign, path, owner, instead)
	case opened.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%w: others may write into %s; run chmod go-w %s, or %s", errForeign, path, path, instead)
	}
	return nil
}

// openRuntime gives the controller its runtime directory. A server that starts refuses a directory which is not its own. A
// server that runs already goes on without its file, and so does one whose directory can't be made.
func (c *Controller) openRuntime(first bool) error {
	root, err := openRuntime(string(c.Config.RuntimeDir))
	if first && errors.Is(err, errForeign) {
		return err
	}
	if err != nil {
		c.log.Warn("can't use the directory for the file that says where the server listens", "error", err)
	}
	c.runtime = root
	return nil
}

// stateFile is the name of the file that says where the server listens: it has the guardian's pid.
func stateFile() string { return "brume-" + strconv.Itoa(os.Getppid()) + ".json" }

// writeStateFile tells scripts where this server listens.
func (c *Controller) writeStateFile() {
	if c.runtime == nil {
		return
	}
	at := c.addresses()
	state := map[string]any{"pid": os.Getppid(), "version": c.Version, "ports": at.Strings(), "http": at.HTTP, "api": at.API}
	if len(at.SRT) > 0 {
		state["srt"] = at.SRT[0].Address
	}
	b, err := json.Marshal(state)
	if err == nil {
		err = writeNew(c.runtime, stateFile(), append(b, '\n'))
	}
	if err != nil {
		c.log.Warn("can't write the file that says where the server listens", "error", err)
	}
}

// writeNew puts a file into a directory in one step: readers see the old file or all of the new one. Nothing that is there
// is written to, and links are not followed. Where there is no room, what was there stays.
func writeNew(dir *os.Root, name string, b []byte) error {
	fresh := "." + name + ".new"
	if err := dir.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // what an earlier controller left could not be removed
	}
	f, err := dir.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = dir.Rename(fresh, name)
	}
	if err != nil {
		_ = dir.Remove(fresh)
	}
	return err
}

func (c *Controller) removeStateFile() {
	if c.runtime != nil {
		_ = c.runtime.Remove(stateFile())
	}
}
