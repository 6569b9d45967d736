package controller

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"brume/control"
	"brume/guardian"
	"brume/memfile"
)

// oomScore is proc_pid_oom_score_adj(5) of a connection process: it counts as if it had half of all memory more.
const oomScore = "500"

// stderrSize bounds what is kept of a process's standard error.
const stderrSize = 16 << 10

// spawn starts a process and puts it into the store: the control socket before the start, so that no
// process is ever running that a next controller could not find.
func (c *Controller) spawn(r role) (*process, error) {
	s := roles[r]
	if r == roleConnection && c.filesLeft() < filesOfProcess {
		return nil, errFiles
	}
	c.lastID++
	p := &process{processRecord: processRecord{ID: c.lastID, Role: r, Started: time.Now()}, spec: s, own: true}
	ctl, file, err := control.Pair()
	if err != nil {
		return nil, err
	}
	p.ctl = ctl
	defer file.Close()
	fds := []*os.File{file}
	if p.stderr, err = memfile.NewSized("stderr", stderrSize); err != nil {
		p.close()
		return nil, err
	}
	if s.handover {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			p.close()
			return nil, fmt.Errorf("make hand-over socket: %w", err)
		}
		p.handover = os.NewFile(uintptr(pair[0]), "hand-over")
		theirs := os.NewFile(uintptr(pair[1]), "hand-over")
		defer theirs.Close()
		fds = append(fds, theirs)
	}
	if err := c.store.Put(kindProcess, p.key(), p.processRecord, ctl.File()); err != nil {
		p.close()
		return nil, err
	}
	if err := p.fork(c.command(r), fds); err != nil {
		_ = c.store.Remove(kindProcess, p.key())
		p.close()
		return nil, err
	}
	if r == roleConnection {
		// Where the machine runs out of memory, one connection ends before the server does.
		_ = os.WriteFile(guardian.ProcPath(p.PID, "oom_score_adj"), []byte(oomScore), 0)
	}
	c.attend(p)
	lasting, brief := p.files()
	if err := c.store.Add(kindProcess, p.key(), p.processRecord, lasting, brief); err != nil {
		p.kill() // the next controller could not find it
		return nil, err
	}
	return p, nil
}

// command is the program of a role with its arguments. Nothing secret is among them.
func (c *Controller) command(r role) []string {
	if roles[r].helper {
		return []string{c.Helper, "--memory", strconv.FormatInt(int64(c.Config.Limits.ChildMemory), 10)}
	}
	return append([]string{c.Program, string(r)}, c.LogArgs...)
}

func (p *process) fork(argv []string, files []*os.File) error {
	// Neither the operator's terminal nor what the server's output goes to: a process may be taken over, and the limit for the
	// size of the files that it writes would hold for the operator's log. What it has to say it sends, see control.Log.
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	var fds []uintptr
	for _, f := range append([]*os.File{null, null, p.stderr}, files...) {
		fd, err := control.Descriptor(f)
		if err != nil {
			return err
		}
		fds = append(fds, uintptr(fd))
	}
	pidfd := -1
	// No environment: a child gets nothing that it was not handed.
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Env: []string{}, Files: fds, Sys: &syscall.SysProcAttr{PidFD: &pidfd}})
	switch {
	case errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("start %s: %w: as many processes and threads as there may be; raise the limit of the user (ulimit -u) or of the service (TasksMax=)", argv[0], err)
	case err != nil:
		return fmt.Errorf("start %s: %w", argv[0], err)
	}
	p.PID, p.Began = pid, guardian.Began(pid)
	if pidfd >= 0 {
		// Not blocking, so that the runtime waits for it without a thread.
		err = unix.SetNonblock(pidfd, true)
		p.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	} else {
		err = errors.New("this kernel has no pidfd; Linux 5.10 or newer is needed")
	}
	if err != nil {
		_ = unix.Kill(pid, unix.SIGKILL)
		p.reap()
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	return nil
}
