package guardian

import (
	"encoding/json"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"brume/control"
)

// message is a word of a controller.
func message(t *testing.T, kind string, e Entry) control.Message {
	t.Helper()
	b, err := json.Marshal(e)
	require.NoError(t, err)
	return control.Message{Type: kind, Body: b}
}

// pipe is a descriptor for the store, and the end that shows whether it is still open.
func pipe(t *testing.T) (kept, watch *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	return w, r
}

// closed tells whether all writers of a pipe are gone. poll(2) looks at the pipe before it looks at the time.
func closed(t *testing.T, r *os.File) bool {
	t.Helper()
	fd, err := control.Descriptor(r)
	require.NoError(t, err)
	poll := []unix.PollFd{{Fd: int32(fd)}}
	_, err = unix.Poll(poll, 20)
	for err == unix.EINTR {
		_, err = unix.Poll(poll, 20)
	}
	require.NoError(t, err)
	return poll[0].Revents&unix.POLLHUP != 0
}

func told(t *testing.T, s *store) []Handed {
	t.Helper()
	a, file, err := control.Pair()
	require.NoError(t, err)
	defer a.Close()
	b, err := control.New(file)
	require.NoError(t, err)
	defer b.Close()
	b.AcceptFiles()
	require.NoError(t, b.SetReadDeadline(time.Now().Add(5*time.Second)))
	require.NoError(t, s.tell(a, 3, false))
	all, stored, err := NewClient(b).Load()
	require.NoError(t, err)
	require.Equal(t, 3, stored.Starts)
	for _, h := range all {
		closeAll(h.Files)
	}
	return all
}

func TestStore(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := newStore()
	one, oneOpen := pipe(t)
	two, twoOpen := pipe(t)
	require.NoError(t, s.apply(message(t, MsgPut, Entry{Kind: "buffer", Key: "a", Record: json.RawMessage(`1`)}), []*os.File{one}))
	require.NoError(t, s.apply(message(t, MsgPut, Entry{Kind: "conn", Key: "a", Record: json.RawMessage(`2`)}), []*os.File{two}))
	require.NoError(t, s.apply(message(t, MsgPut, Entry{Kind: "port", Key: "", Record: nil}), nil))
	all := told(t, s)
	require.Len(t, all, 3)
	require.Equal(t, []string{"buffer", "conn", "port"}, []string{all[0].Kind, all[1].Kind, all[2].Kind}, "in the order of arrival")
	require.Equal(t, []int{1, 1, 0}, []int{len(all[0].Files), len(all[1].Files), len(all[2].Files)})

	// Update leaves the descriptors.
	extra, extraOpen := pipe(t)
	require.NoError(t, s.apply(message(t, MsgUpdate, Entry{Kind: "buffer", Key: "a", Record: json.RawMessage(`{"n":9}`)}), []*os.File{extra}))
	require.True(t, closed(t, extraOpen), "an update's own descriptors are not kept")
	require.False(t, closed(t, oneOpen))
	all = told(t, s)
	require.JSONEq(t, `{"n":9}`, string(all[0].Record))
	require.Len(t, all[0].Files, 1)
	require.ErrorIs(t, s.apply(message(t, MsgUpdate, Entry{Kind: "buffer", Key: "b"}), nil), errUnknownEntry)

	// Put replaces: the old descriptors are closed, the place stays.
	three, threeOpen := pipe(t)
	require.NoError(t, s.apply(message(t, MsgPut, Entry{Kind: "buffer", Key: "a"}), []*os.File{three}))
	require.True(t, closed(t, oneOpen))
	require.Equal(t, "buffer", told(t, s)[0].Kind)

	// Remove closes, and a second one does nothing.
	for range 2 {
		require.NoError(t, s.apply(message(t, MsgRemove, Entry{Kind: "conn", Key: "a"}), nil))
	}
	require.True(t, closed(t, twoOpen))
	require.Len(t, told(t, s), 2)

	s.close()
	require.True(t, closed(t, threeOpen))
	require.Empty(t, told(t, s))
}

func TestKeysOfKindsDontMeet(t *testing.T) {
	s := newStore()
	require.NoError(t, s.apply(message(t, MsgPut, Entry{Kind: "a/b", Key: "c"}), nil))
	require.NoError(t, s.apply(message(t, MsgPut, Entry{Kind: "a", Key: "b/c"}), nil))
	require.Len(t, told(t, s), 2)
}

func TestWordsThatMakeNoSense(t *testing.T) {
	s := newStore()
	for _, m := range []control.Message{{Type: MsgPut, Body: []byte(`5`)}, {Type: MsgPut}, {Type: "what", Body: []byte(`{}`)}} {
		f, open := pipe(t)
		require.ErrorIs(t, s.apply(m, []*os.File{f}), control.ErrMalformed)
		require.True(t, closed(t, open), "descriptors that came along are closed")
	}
	require.Empty(t, s.entries)
}

// TestManyEntries has more than a socket holds at once.
func TestManyEntries(t *testing.T) {
	s := newStore()
	for i := range 3000 {
		require.NoError(t, s.apply(message(t, MsgPut, Entry{Kind: "k", Key: string(rune(i + 1))}), nil))
	}
	a, file, err := control.Pair()
	require.NoError(t, err)
	defer a.Close()
	b, err := control.New(file)
	require.NoError(t, err)
	defer b.Close()
	require.NoError(t, b.SetReadDeadline(time.Now().Add(10*time.Second)))
	sent := make(chan error, 1)
	go func() { sent <- s.tell(a, 1, false) }()
	all, _, err := NewClient(b).Load()
	require.NoError(t, err)
	require.NoError(t, <-sent)
	require.Len(t, all, 3000)
}

func TestClientAtItsEnd(t *testing.T) {
	a, file, err := control.Pair()
	require.NoError(t, err)
	b, err := control.New(file)
	require.NoError(t, err)
	defer b.Close()
	require.NoError(t, a.Close())
	c := NewClient(b)
	_, _, err = c.Load()
	require.ErrorIs(t, err, io.EOF)
	require.Error(t, c.Put("k", "a", nil))
	require.Error(t, c.Ready())
	require.Error(t, c.Update("k", "a", func() {}), "a record that can't be written")
}
