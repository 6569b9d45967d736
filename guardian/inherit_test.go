package guardian

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/test/inspect"
)

// program starts one that ends with the test.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(name, args...)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c
}

func TestEnd(t *testing.T) {
	long := program(t, "sleep", "60")
	began := Began(long.Process.Pid)
	require.NotZero(t, began)
	require.True(t, End(long.Process.Pid, began+1, 0), "the number is another's by now")
	require.True(t, End(long.Process.Pid, 0, 0))
	require.True(t, End(0, 1, 0))
	require.False(t, inspect.Ended(t, long.Process.Pid))
	require.True(t, End(long.Process.Pid, began, 0))
	require.True(t, inspect.Ended(t, long.Process.Pid))

	short := program(t, "sh", "-c", "sleep 0.2; exit 7")
	require.True(t, End(short.Process.Pid, Began(short.Process.Pid), 20*time.Second))
	require.Error(t, short.Wait())
	require.Equal(t, 7, short.ProcessState.ExitCode(), "it had the time to end by itself")
	require.Zero(t, Began(short.Process.Pid))
	require.True(t, End(short.Process.Pid, began, 0), "it is gone")
}

// TestAHeir takes over from a guardian that has died, and does not give up what is served where no controller comes up at once.
func TestAHeir(t *testing.T) {
	l, path := notifySocket(t)
	old := program(t, "sleep", "60") // a controller that hangs
	s, c := (&cupboard{files: map[string]*os.File{}}).inherit(t)
	require.NoError(t, s.apply(message(t, MsgPut, Entry{Kind: "buffer", Key: "a", Record: []byte("1")}), []*os.File{textFile("first")}))
	s.runs(mark{old.Process.Pid, Began(old.Process.Pid), 4})
	stray := textFile("of no entry")
	names, files := []string{"zz"}, []*os.File{stray}
	for name, f := range c.files {
		names, files = append(names, name), append(files, f)
	}

	// The shell knows its own number, which stays the same.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$; export LISTEN_PID; exec /proc/`+strconv.Itoa(os.Getpid())+`/exe`)
	cmd.Env = append(os.Environ(), roleEnv+"=guardian", playEnv+"=heir", "NOTIFY_SOCKET="+path, "FDSTORE=100",
		"LISTEN_FDS="+strconv.Itoa(len(files)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	cmd.ExtraFiles, cmd.Stderr = files, os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	g := &stage{t, cmd, bufio.NewScanner(out)}
	g.expect("start 5", "behind true", "has buffer a 1 first", "start 6", "behind true", "has buffer a 1 first",
		"start 7", "behind false", "has buffer a 1 first", "ready")
	require.True(t, inspect.Ended(t, old.Process.Pid))
	g.terminate()
	g.expect("shutdown", "returned setup=false error=false conn=false children=0")
	told := map[string]bool{}
	b := make([]byte, 4096)
	for len(told) < 5 {
		require.NoError(t, l.SetReadDeadline(time.Now().Add(10*time.Second)))
		n, err := l.Read(b)
		require.NoError(t, err, told)
		told[string(b[:n])] = true
	}
	require.Equal(t, map[string]bool{
		"FDSTOREREMOVE=1\nFDNAME=zz": true, "FDSTOREREMOVE=1\nFDNAME=1": true, "FDSTOREREMOVE=1\nFDNAME=" + journalName: true,
		"READY=1": true, "STOPPING=1": true,
	}, told)
}
