package guardian

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"brume/test/logged"
)

// notifySocket stands for systemd's.
func notifySocket(t *testing.T) (l *net.UnixConn, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, path
}

// TestTheNamesOfAFullStore are handed over in one variable, which Linux bounds: as many as the unit has room for must fit,
// after ten million of them.
func TestTheNamesOfAFullStore(t *testing.T) {
	unit, err := os.ReadFile("../deploy/brume.service")
	require.NoError(t, err)
	_, size, _ := strings.Cut(string(unit), "FDSTORE=")
	size, _, _ = strings.Cut(size, "\n")
	room, err := strconv.Atoi(size)
	require.NoError(t, err)
	require.Contains(t, string(unit), "FileDescriptorStoreMax="+size)
	var names []string
	for n := range room {
		names = append(names, strconv.FormatInt(int64(10_000_000+n), nameBase))
	}
	list := strings.Join(names, ":") + ":"
	require.Less(t, len(list), maxNames)
	more := strings.Repeat("x", maxNames)
	require.NoError(t, (&exec.Cmd{Path: "/bin/true", Env: []string{"LISTEN_FDNAMES=" + more}}).Run(), "the bound is not too high")
}

// TestARoomThatIsUsedUp: systemd is not asked for more than it has room for.
func TestARoomThatIsUsedUp(t *testing.T) {
	defer goleak.VerifyNone(t)
	l, path := notifySocket(t)
	f := textFile("kept")
	defer f.Close()
	notices := func() (got []string) {
		b := make([]byte, 4096)
		for {
			require.NoError(t, l.SetReadDeadline(time.Now().Add(10*time.Second)))
			n, err := l.Read(b)
			require.NoError(t, err)
			_, name, _ := strings.Cut(string(b[:n]), "FDNAME=")
			if name == "" {
				return got
			}
			got = append(got, name)
		}
	}
	log := &bytes.Buffer{}
	open := func(room string) *supervisor {
		s, err := underSystemd([]string{"NOTIFY_SOCKET=" + path, "FDSTORE=" + room}, slog.New(slog.NewTextHandler(log, nil)))
		require.NoError(t, err)
		return s
	}
	s := open("3")
	s.inherit(map[string]*os.File{"old": nil})
	require.True(t, s.keep("a", f))
	require.True(t, s.keep("b", f))
	require.False(t, s.keep("c", f))
	require.False(t, s.keep("d", f))
	s.forget("old")
	require.True(t, s.keep("e", f))
	s.tell("READY=1")
	require.Equal(t, []string{"a", "b", "old", "e"}, notices())
	s.close()
	require.Equal(t, 1, strings.Count(log.String(), "keeps no more"), log.String())

	s = open("1000")
	long := strings.Repeat("n", 2000)
	kept := 0
	for ; kept < 100 && s.keep(strconv.Itoa(kept)+long, f); kept++ {
	}
	require.Equal(t, maxNames/2003, kept)
	s.tell("READY=1")
	require.Len(t, notices(), kept)
	s.close()
}

// TestSystemdThatDoesNotRead loses nothing of what it is told, and is not waited for at the end.
func TestSystemdThatDoesNotRead(t *testing.T) {
	defer goleak.VerifyNone(t)
	l, path := notifySocket(t)
	f := textFile("kept")
	defer f.Close()
	log := &logged.Buffer{}
	s, err := underSystemd([]string{"NOTIFY_SOCKET=" + path, "FDSTORE=100000"}, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	wait := unix.NsecToTimeval((20 * time.Millisecond).Nanoseconds())
	require.NoError(t, unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait))
	const all = 2000 // more than a socket holds (net.unix.max_dgram_qlen)
	for i := range all {
		require.True(t, s.keep("a"+strconv.Itoa(i), f))
	}
	for i := all - 100; i < all; i++ {
		s.forget("a" + strconv.Itoa(i)) // they need not be told at all
	}
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "does not read") }, 10*time.Second, time.Millisecond)
	s.forget("a0")
	s.tell("READY=1")
	b := make([]byte, 4096)
	read := func() string {
		require.NoError(t, l.SetReadDeadline(time.Now().Add(10*time.Second)))
		n, err := l.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}
	for i := range all - 100 {
		require.Equal(t, "FDSTORE=1\nFDPOLL=0\nFDNAME=a"+strconv.Itoa(i), read())
	}
	require.Equal(t, "FDSTOREREMOVE=1\nFDNAME=a0", read())
	require.Equal(t, "READY=1", read())
	for range all {
		s.tell("READY=1")
	}
	s.close()
	require.Equal(t, 1, strings.Count(log.String(), "does not read"), "not at each try")
}

// TestSystemdThatBeginsAnew makes its socket once more: what is told it meanwhile is told then.
func TestSystemdThatBeginsAnew(t *testing.T) {
	defer goleak.VerifyNone(t)
	l, path := notifySocket(t)
	s, err := underSystemd([]string{"NOTIFY_SOCKET=" + path, "FDSTORE=10"}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	require.NoError(t, err)
	require.NoError(t, l.Close())
	s.tell("READY=1")
	require.NoError(t, os.RemoveAll(path))
	l, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	require.NoError(t, err)
	defer l.Close()
	b := make([]byte, 100)
	require.NoError(t, l.SetReadDeadline(time.Now().Add(10*time.Second)))
	n, err := l.Read(b)
	require.NoError(t, err)
	require.Equal(t, "READY=1", string(b[:n]))
	s.close()
}

// TestSystemdIsTold speaks the notification protocol to a socket that stands for systemd's.
func TestSystemdIsTold(t *testing.T) {
	defer goleak.VerifyNone(t)
	l, path := notifySocket(t)
	env := []string{"NOTIFY_SOCKET=/wrong", "NOTIFY_SOCKET=" + path, "FDSTORE=10", "LISTEN_PID=1", "KEEP=1"}
	require.Equal(t, []string{"KEEP=1"}, withoutOwn(env))
	require.Equal(t, 10, storeSize(env))
	require.Equal(t, []int{0, 0, 0, 0}, []int{storeSize([]string{"FDSTORE=0"}), storeSize([]string{"FDSTORE=x"}), storeSize([]string{"FDSTORE=-1"}), storeSize(nil)})
	s, err := underSystemd(env, slog.New(slog.NewTextHandler(t.Output(), nil)))
	require.NoError(t, err)
	f := textFile("kept")
	s.keep("1.0", f)
	require.NoError(t, f.Close())
	s.tell("READY=1")
	var got []string
	require.NoError(t, l.SetReadDeadline(time.Now().Add(10*time.Second)))
	for i := range 3 {
		if i == 2 {
			s.forget("1.0")
			s.close()
		}
		b, oob := make([]byte, 512), make([]byte, 512)
		n, oobn, _, _, err := l.ReadMsgUnix(b, oob)
		require.NoError(t, err)
		got = append(got, string(b[:n]))
		if oobn > 0 {
			messages, err := unix.ParseSocketControlMessage(oob[:oobn])
			require.NoError(t, err)
			fds, err := unix.ParseUnixRights(&messages[0])
			require.NoError(t, err)
			require.Len(t, fds, 1)
			kept := os.NewFile(uintptr(fds[0]), "kept")
			text, _ := io.ReadAll(io.NewSectionReader(kept, 0, 100))
			require.Equal(t, "kept", string(text))
			require.NoError(t, kept.Close())
		}
	}
	require.Equal(t, []string{"FDSTORE=1\nFDPOLL=0\nFDNAME=1.0", "READY=1", "FDSTOREREMOVE=1\nFDNAME=1.0"}, got)

	s, err = underSystemd(nil, nil)
	require.NoError(t, err)
	require.Nil(t, s)
	_, err = underSystemd([]string{"NOTIFY_SOCKET=/nowhere"}, nil)
	require.Error(t, err)
}

func TestNothingIsInherited(t *testing.T) {
	for _, env := range [][]string{nil, {"LISTEN_PID=1", "LISTEN_FDS=1"}, {"LISTEN_FDS=3"}, {"LISTEN_PID=7", "LISTEN_FDS=0"}} {
		files, err := inherited(env, 7)
		require.NoError(t, err)
		require.Empty(t, files)
	}
	for _, n := range []string{"", "x", "-1", "99999999"} {
		_, err := inherited([]string{"LISTEN_PID=7", "LISTEN_FDS=" + n}, 7)
		require.Error(t, err)
	}
}

// TestWatchdog: systemd is told that the service lives where its unit asks for that, and one notice at most waits for it.
func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		env  []string
		want bool
	}{
		{nil, false},
		{[]string{"WATCHDOG_USEC=3000000"}, true},
		{[]string{"WATCHDOG_USEC=3000000", "WATCHDOG_PID=7"}, true},
		{[]string{"WATCHDOG_USEC=3000000", "WATCHDOG_PID=8"}, false},
		{[]string{"WATCHDOG_PID=7"}, false},
	} {
		require.Equal(t, c.want, watchdog(c.env, 7), c.env)
		require.Empty(t, withoutOwn(c.env))
		s := &supervisor{dog: watchdog(c.env, 7)}
		s.more = sync.NewCond(&s.mu)
		waiting := 0
		if c.want {
			waiting = 1
		}
		for range 3 {
			s.alive()
			require.Len(t, s.queue, waiting)
		}
		for _, n := range s.queue {
			require.Equal(t, "WATCHDOG=1", n.text)
			n.sent = true
		}
		s.queue = nil
		s.alive()
		require.Len(t, s.queue, waiting)
	}
}
