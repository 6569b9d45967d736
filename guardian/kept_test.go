package guardian

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"brume/control"
)

// cupboard is a keeper that takes no more after a number of calls, as one whose owner has died.
type cupboard struct {
	files map[string]*os.File
	calls int
	last  int // 0 for no end
}

func (c *cupboard) open() bool {
	c.calls++
	return c.last == 0 || c.calls <= c.last
}

func (c *cupboard) keep(name string, f *os.File) {
	if !c.open() {
		return
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	if c.files[name] != nil {
		panic(name + " is kept twice")
	}
	c.files[name] = os.NewFile(uintptr(fd), name)
}

func (c *cupboard) forget(name string) {
	if c.open() && c.files[name] != nil {
		_ = c.files[name].Close()
		delete(c.files, name)
	}
}

func textFile(text string) *os.File {
	fd, err := unix.MemfdCreate("text", unix.MFD_CLOEXEC)
	if err != nil {
		panic(err)
	}
	f := os.NewFile(uintptr(fd), "text")
	_, _ = f.WriteString(text)
	return f
}

// contents are the entries of a store: what each says and holds.
func contents(s *store) map[entryID]string {
	all := map[entryID]string{}
	for id, h := range s.entries {
		text := string(h.Record)
		for _, f := range h.Files {
			b, _ := io.ReadAll(io.NewSectionReader(f, 0, 100))
			text += "|" + string(b)
		}
		all[id] = text
	}
	return all
}

// TestAStoreIsRestored lets a guardian die after any call to its keeper: each entry is whole in the next one, as it was before
// or after the word that was being carried out.
func TestAStoreIsRestored(t *testing.T) {
	defer goleak.VerifyNone(t)
	rapid.Check(t, func(t *rapid.T) {
		c := &cupboard{files: map[string]*os.File{}, last: rapid.IntRange(0, 60).Draw(t, "last")}
		s := newStore()
		s.keeper = c
		before := map[entryID]string{}
		for i := range rapid.IntRange(0, 20).Draw(t, "words") {
			e := Entry{Kind: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "kind"), Key: rapid.SampledFrom([]string{"", "1"}).Draw(t, "key"), Record: []byte(strconv.Itoa(i))}
			kind := rapid.SampledFrom([]string{MsgPut, MsgUpdate, MsgRemove}).Draw(t, "word")
			var files []*os.File
			if kind == MsgPut {
				for n := range rapid.IntRange(0, 3).Draw(t, "files") {
					files = append(files, textFile(fmt.Sprint(i, n)))
				}
			}
			if c.last == 0 || c.calls <= c.last {
				before = contents(s)
			}
			body := fmt.Appendf(nil, `{"kind":%q,"key":%q,"record":%d}`, e.Kind, e.Key, i)
			_ = s.apply(control.Message{Type: kind, Body: body}, files)
			if c.last > 0 && c.calls >= c.last {
				break
			}
		}
		after := contents(s)

		next := newStore()
		heir := &cupboard{files: map[string]*os.File{}}
		for name, f := range c.files {
			heir.keep(name, f)
		}
		next.keeper = heir
		kept := c.files
		c.files = map[string]*os.File{}
		next.restore(kept)
		got := contents(next)
		for id, text := range got {
			if text != before[id] && text != after[id] {
				t.Fatalf("%v is %q; it was %q and %q", id, text, before[id], after[id])
			}
		}
		for id, text := range after {
			if before[id] == text && got[id] != text {
				t.Fatalf("%v is lost", id)
			}
		}
		want := 0
		for _, h := range next.entries {
			want += 1 + len(h.Files)
		}
		if len(heir.files) != want {
			t.Fatalf("%d files are kept for %d", len(heir.files), want)
		}
		// What comes after a restart does not meet what was there.
		_ = next.apply(control.Message{Type: MsgPut, Body: []byte(`{"kind":"new"}`)}, []*os.File{textFile("x")})
		next.close()
		if len(heir.files) != 0 {
			t.Fatalf("left: %v", heir.files)
		}
		s.keeper = nil
		s.close()
	})
}

// TestSystemdIsTold speaks the notification protocol to a socket that stands for systemd's.
func TestSystemdIsTold(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	require.NoError(t, err)
	defer l.Close()
	env := []string{"NOTIFY_SOCKET=/wrong", "NOTIFY_SOCKET=" + path, "FDSTORE=10", "LISTEN_PID=1", "KEEP=1"}
	require.Equal(t, []string{"KEEP=1"}, withoutOwn(env))
	require.True(t, keeps(env))
	require.False(t, keeps([]string{"FDSTORE=0"}) || keeps([]string{"FDSTORE=x"}) || keeps(nil))
	s, err := underSystemd(env, slog.New(slog.NewTextHandler(t.Output(), nil)))
	require.NoError(t, err)
	f := textFile("kept")
	s.keep("brume.1.0", f)
	require.NoError(t, f.Close())
	s.tell("READY=1")
	s.forget("brume.1.0")
	s.close()
	var got []string
	require.NoError(t, l.SetReadDeadline(time.Now().Add(10*time.Second)))
	for range 3 {
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
	require.Equal(t, []string{"FDSTORE=1\nFDPOLL=0\nFDNAME=brume.1.0", "READY=1", "FDSTOREREMOVE=1\nFDNAME=brume.1.0"}, got)

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
	for _, name := range []string{"", "brume.", "brume.1.record", "brume.-1.0.record", "brume.1.0", "other.1.0.record", "brume.x.y.record"} {
		_, ok := parseRecordName(name)
		require.False(t, ok, name)
	}
}
