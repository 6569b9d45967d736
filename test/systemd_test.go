package test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"brume/test/inspect"
)

// fakeSystemd does for one service what systemd does: it keeps descriptors by name, each open file once, and starts the
// service again with them.
type fakeSystemd struct {
	t    *testing.T
	conn *net.UnixConn
	path string

	mu     sync.Mutex
	names  []string
	kept   map[string]*os.File
	states []string
}

func newSystemd(t *testing.T) *fakeSystemd {
	t.Helper()
	f := &fakeSystemd{t: t, path: filepath.Join(t.TempDir(), "notify"), kept: map[string]*os.File{}}
	var err error
	f.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: f.path})
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.listen()
	}()
	t.Cleanup(func() {
		_ = f.conn.Close()
		<-done
		for _, file := range f.kept {
			_ = file.Close()
		}
	})
	return f
}

func (f *fakeSystemd) listen() {
	b, oob := make([]byte, 4096), make([]byte, 4096)
	for {
		n, oobn, _, _, err := f.conn.ReadMsgUnix(b, oob)
		if err != nil {
			return
		}
		var files []*os.File
		if messages, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(messages) > 0 {
			fds, _ := unix.ParseUnixRights(&messages[0])
			for _, fd := range fds {
				unix.CloseOnExec(fd)
				files = append(files, os.NewFile(uintptr(fd), "kept"))
			}
		}
		f.mu.Lock()
		f.hear(string(b[:n]), files)
		f.mu.Unlock()
	}
}

func (f *fakeSystemd) hear(text string, files []*os.File) {
	name := ""
	for line := range strings.Lines(text) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "FDNAME="); ok {
			name = n
		}
	}
	switch {
	case strings.HasPrefix(text, "FDSTORE=1") && len(files) == 1 && f.has(files[0]):
		_ = files[0].Close()
	case strings.HasPrefix(text, "FDSTORE=1") && len(files) == 1 && f.kept[name] == nil:
		f.kept[name] = files[0]
		f.names = append(f.names, name)
	case strings.HasPrefix(text, "FDSTOREREMOVE=1"):
		if f.kept[name] != nil {
			_ = f.kept[name].Close()
			delete(f.kept, name)
		}
	default:
		f.states = append(f.states, text)
		for _, file := range files {
			_ = file.Close()
		}
	}
}

// has reports whether an open file is kept already.
func (f *fakeSystemd) has(file *os.File) bool {
	for _, kept := range f.kept {
		if inspect.SameFile(kept, file) {
			return true
		}
	}
	return false
}

// environment is what a service's next process is started with, except LISTEN_PID. The files are the caller's to close.
func (f *fakeSystemd) environment() (env []string, files []*os.File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, n := range f.names {
		if f.kept[n] != nil {
			fd, err := unix.FcntlInt(f.kept[n].Fd(), unix.F_DUPFD_CLOEXEC, 0)
			require.NoError(f.t, err)
			names = append(names, n)
			files = append(files, os.NewFile(uintptr(fd), n))
		}
	}
	f.names = names
	env = []string{"NOTIFY_SOCKET=" + f.path, "FDSTORE=16384"}
	if len(files) > 0 {
		env = append(env, fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	return env, files
}

// startAgain is what systemd does after the guardian's death. The shell knows its own pid, which stays the same.
func (s *server) startAgain(f *fakeSystemd) {
	s.t.Helper()
	env, files := f.environment()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$; export LISTEN_PID; exec "$0" serve`, filepath.Join(s.dir, "brume"))
	cmd.Dir = s.dir
	cmd.Env = append(append([]string{}, s.cmd.Env...), env...)
	cmd.ExtraFiles = files
	stderr, err := cmd.StderrPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, cmd.Start())
	for _, file := range files {
		_ = file.Close()
	}
	s.cmd, s.exit = cmd, make(chan error, 1)
	go s.read(cmd, s.exit, stderr, make(chan map[string]any, 1))
}

// TestGuardianIsReplacedUnderSystemd kills it: nobody loses a frame, and the next one has everything.
func TestGuardianIsReplacedUnderSystemd(t *testing.T) {
	t.Parallel()
	systemd := newSystemd(t)
	s := start(t, "NOTIFY_SOCKET="+systemd.path, "FDSTORE=16384", "WATCHDOG_USEC=120000000")
	file := plainClip(t)
	dir := t.TempDir()
	publisher := s.publish(file, "publish:live")
	s.waitPlayable("live")
	viewers := map[string]*program{
		"srt.ts": record(t, s.outputs("live")["srt"], filepath.Join(dir, "srt.ts"), 14),
		"hls.ts": record(t, s.outputs("live")["hls"], filepath.Join(dir, "hls.ts"), 14),
	}
	s.eventually(20*time.Second, "the viewer is in", func() bool { return len(s.connections("role=play")) == 1 })
	before := s.connections("")
	orphans := s.processes("brume-srt")
	for range 2 {
		require.NoError(t, s.cmd.Process.Kill())
		_, _ = s.cmd.Process.Wait() // its output goes on, from those that it leaves
		s.startAgain(systemd)
		s.eventually(20*time.Second, "the next controller knows all", func() bool {
			r, err := http.Get("http://" + s.api + "/readyz")
			if err != nil {
				return false
			}
			_ = r.Body.Close()
			return r.StatusCode == http.StatusOK && len(s.connections("")) == len(before) && s.stream("live").State == "live"
		})
		s.eventually(20*time.Second, "there is one controller", func() bool { return len(s.processes(" controller")) == 1 })
	}
	ids := map[string]int{}
	for _, c := range before {
		ids[c.ID] = c.PID
		require.Contains(t, orphans, c.PID)
	}
	for _, c := range s.connections("") {
		require.Equal(t, ids[c.ID], c.PID)
	}
	r := record(t, s.outputs("live")["srt"], filepath.Join(dir, "late.ts"), 3)
	r.wait(t, 30*time.Second)
	require.NoError(t, r.err)
	for name, v := range viewers {
		v.wait(t, 60*time.Second)
		requireContiguous(t, frames(t, file), frames(t, filepath.Join(dir, name)), 350)
	}
	require.True(t, publisher.running())
	require.EqualValues(t, 2, s.metric("brume_process_restarts_total", `role="controller"`))

	// An orderly end leaves nothing in the store.
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	err := <-s.exit
	s.exit <- err
	s.eventually(10*time.Second, "the store is empty", func() bool {
		systemd.mu.Lock()
		defer systemd.mu.Unlock()
		return len(systemd.kept) == 0
	})
	s.eventually(15*time.Second, "no process is left", func() bool { return len(s.processes("")) == 0 })
	systemd.mu.Lock()
	defer systemd.mu.Unlock()
	require.Contains(t, systemd.states, "READY=1")
	require.Contains(t, systemd.states, "WATCHDOG=1")
	require.Contains(t, systemd.states, "STOPPING=1")
}
