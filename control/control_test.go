package control

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func pair(t *testing.T) (*Conn, *Conn) {
	t.Helper()
	a, file, err := Pair()
	require.NoError(t, err)
	b, err := New(file)
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	deadline := time.Now().Add(10 * time.Second)
	require.NoError(t, a.SetReadDeadline(deadline))
	require.NoError(t, b.SetReadDeadline(deadline))
	return a, b
}

func TestMessageAndFilesArrive(t *testing.T) {
	a, b := pair(t)
	b.AcceptFiles()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, a.Send("hello", map[string]int{"n": 7}, w))
	require.NoError(t, w.Close())

	m, files, err := b.Recv()
	require.NoError(t, err)
	require.Equal(t, "hello", m.Type)
	var body struct{ N int }
	require.NoError(t, m.Decode(&body))
	require.Equal(t, 7, body.N)
	require.Len(t, files, 1)
	_, err = files[0].WriteString("through")
	require.NoError(t, err)
	require.NoError(t, files[0].Close())
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "through", string(got))
}

func TestFilesAreRefusedWhereNotAsked(t *testing.T) {
	a, b := pair(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, a.Send("hello", nil, w))
	require.NoError(t, w.Close())
	_, files, err := b.Recv()
	require.NoError(t, err)
	require.Empty(t, files)
	// The kernel dropped the descriptor: the pipe has no writer left.
	require.NoError(t, r.SetReadDeadline(time.Now().Add(5*time.Second)))
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestFullSocketNeverBlocks(t *testing.T) {
	a, b := pair(t)
	body := strings.Repeat("x", 8000)
	var sent int
	for {
		err := a.Send("stats", body)
		if errors.Is(err, ErrFull) {
			break
		}
		require.NoError(t, err)
		sent++
		require.Less(t, sent, 1_000_000)
	}
	require.ErrorIs(t, a.SendWithin(time.Millisecond, "stats", body), ErrFull)
	_, _, err := b.Recv()
	require.NoError(t, err)
	require.NoError(t, a.SendWithin(5*time.Second, "stats", body))
}

func TestEndOfTheOtherSide(t *testing.T) {
	a, b := pair(t)
	require.NoError(t, a.Close())
	_, _, err := b.Recv()
	require.ErrorIs(t, err, io.EOF)
	require.Error(t, b.Send("hello", nil))
}

func TestMalformedPacketsLeaveTheSocketGood(t *testing.T) {
	a, b := pair(t)
	fd, err := Descriptor(a.File())
	require.NoError(t, err)
	for _, packet := range []string{"{", `{"type":""}`, `[1]`, `{"type":"` + strings.Repeat("t", 99) + `"}`, strings.Repeat("x", MaxSize+1)} {
		require.NoError(t, unix.Send(fd, []byte(packet), 0))
		_, _, err := b.Recv()
		require.ErrorIs(t, err, ErrMalformed)
	}
	require.NoError(t, a.Send("hello", nil))
	m, _, err := b.Recv()
	require.NoError(t, err)
	require.Equal(t, "hello", m.Type)
	require.ErrorIs(t, a.Send("big", strings.Repeat("x", MaxSize)), ErrTooLarge)
}

// A write to a socket whose other end is gone causes SIGPIPE, which must not end the process.
func TestSendToNobody(t *testing.T) {
	a, file, err := Pair()
	require.NoError(t, err)
	defer a.Close()
	require.NoError(t, file.Close())
	for range 3 {
		require.ErrorIs(t, a.Send("hello", nil), unix.EPIPE)
		require.ErrorIs(t, a.SendWithin(time.Second, "hello", nil), unix.EPIPE)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"type":"stats","body":{"bytes":1}}`))
	f.Add([]byte(`{"type":"hello"}`))
	f.Fuzz(func(t *testing.T, packet []byte) {
		m, err := Parse(packet)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		require.NotEmpty(t, m.Type)
		var body map[string]any
		_ = m.Decode(&body)
	})
}

// TestMissingDescriptors: a message is not taken for whole that came without some of its descriptors.
func TestMissingDescriptors(t *testing.T) {
	a, b := pair(t)
	b.AcceptFiles()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	all := make([]*os.File, MaxFiles+1)
	for i := range all {
		all[i] = w
	}
	require.NoError(t, a.Send("many", nil, all[:MaxFiles]...))
	_, files, err := b.Recv()
	require.NoError(t, err)
	require.Len(t, files, MaxFiles)
	closeAll(files)
	require.NoError(t, a.Send("too many", nil, all...))
	require.NoError(t, a.Send("next", nil))
	_, files, err = b.Recv()
	require.ErrorIs(t, err, ErrMalformed)
	require.Empty(t, files)
	m, _, err := b.Recv()
	require.NoError(t, err)
	require.Equal(t, "next", m.Type)
	require.NoError(t, w.Close())
	n, err := r.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "those that came are closed")
	require.Zero(t, n)
}
