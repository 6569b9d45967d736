package buffer

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"brume/media"
	"brume/memfile"
)

// within fails the test when f takes longer.
func within(t testing.TB, d time.Duration, f func()) time.Duration {
	t.Helper()
	start := time.Now()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(d):
		require.Fail(t, "takes too long", "over %v", d)
	}
	return time.Since(start)
}

func TestWait(t *testing.T) {
	w, r, _ := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	packet := func() { write(t, w, 0, int64(w.head)*3000, true, nil) }
	require.GreaterOrEqual(t, within(t, 5*time.Second, func() { r.Wait(0, 50*time.Millisecond) }), 50*time.Millisecond, "nothing happens")
	within(t, 5*time.Second, func() { r.Wait(0, -time.Hour) })

	packet()
	w.Commit()
	within(t, 5*time.Second, func() { r.Wait(0, time.Hour) })
	_, head := r.Bounds()
	require.Equal(t, uint64(1), head)

	// While it sleeps.
	for range 20 {
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(2 * time.Millisecond)
			w.Commit() // shows nothing new
			packet()
			w.Commit()
		})
		within(t, 5*time.Second, func() { r.Wait(head, time.Hour) })
		wg.Wait()
		_, now := r.Bounds()
		require.Greater(t, now, head)
		head = now
	}

	// The state changes, with a packet and without.
	require.NoError(t, w.EndEpoch())
	within(t, 5*time.Second, func() { r.Wait(head, time.Hour) })
	_, head = r.Bounds()
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(2 * time.Millisecond)
		_ = w.Finish()
	})
	within(t, 5*time.Second, func() { r.Wait(head, time.Hour) })
	wg.Wait()
	i, err := r.Info()
	require.NoError(t, err)
	require.Equal(t, Closed, i.State)
	require.GreaterOrEqual(t, within(t, 5*time.Second, func() { r.Wait(head, 20*time.Millisecond) }), 20*time.Millisecond, "the state is known by now")
}

// TestWaitRate checks that a writer that commits without end can't keep a reader busy.
func TestWaitRate(t *testing.T) {
	w, r, _ := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = w.WritePacket(&media.Packet{})
				w.Commit()
			}
		}
	})
	n := 0
	for start := time.Now(); time.Since(start) < 100*time.Millisecond; n++ {
		_, head := r.Bounds()
		r.Wait(head, time.Second)
	}
	close(stop)
	wg.Wait()
	require.Less(t, n, 110)
}

func TestCloseWhileWaiting(t *testing.T) {
	rw, ro, err := Create(Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, rw.Close()); require.NoError(t, ro.Close()) }()
	r, err := OpenReader(ro)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { r.Wait(0, time.Minute) })
		wg.Go(func() {
			for range 10000 {
				_, _ = r.Info()
				_, _ = r.Entry(0)
				_, _ = r.Payload(&Entry{Length: 10000}, nil)
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
	within(t, 5*time.Second, func() { require.NoError(t, r.Close()) })
	within(t, 5*time.Second, wg.Wait)
	require.ErrorIs(t, r.Close(), ErrClosed)
	_, err = r.Info()
	require.ErrorIs(t, err, ErrClosed)
	_, err = r.Entry(0)
	require.ErrorIs(t, err, ErrClosed)
	_, err = r.Payload(&Entry{}, nil)
	require.ErrorIs(t, err, ErrClosed)
	_, err = r.Tracks(1)
	require.ErrorIs(t, err, ErrClosed)
	_, ok := r.LatestRandomAccess()
	require.False(t, ok)
	_, ok = r.NextRandomAccess(0)
	require.False(t, ok)
	tail, head := r.Bounds()
	require.Zero(t, tail+head)
	r.Wait(0, time.Hour)
}

func TestRandomAccess(t *testing.T) {
	w, r, _ := newBuffer(t, Options{})
	_, ok := r.LatestRandomAccess()
	require.False(t, ok)
	require.NoError(t, w.BeginEpoch([]media.Track{audioTrack, videoTrack}))
	for n := range int64(100) {
		write(t, w, int(n%2), n*3000, n%20 == 1, nil)
	}
	w.Commit()
	seq, ok := r.LatestRandomAccess()
	require.True(t, ok)
	require.Equal(t, uint64(81), seq)
	seq, ok = r.NextRandomAccess(0)
	require.True(t, ok)
	require.Equal(t, uint64(1), seq)

	// A new epoch counts from its first packet on, with a lead track of its own.
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	write(t, w, 0, 0, false, nil)
	w.Commit()
	_, ok = r.LatestRandomAccess()
	require.False(t, ok)
	_, ok = r.NextRandomAccess(82)
	require.False(t, ok)
	write(t, w, 0, 3000, true, nil)
	require.NoError(t, w.EndEpoch())
	seq, ok = r.LatestRandomAccess()
	require.True(t, ok)
	require.Equal(t, uint64(101), seq)
	seq, ok = r.NextRandomAccess(82)
	require.True(t, ok)
	require.Equal(t, uint64(101), seq)
	_, ok = r.NextRandomAccess(1 << 63)
	require.False(t, ok)
}

// TestSeals checks that nobody can make a reader fault by truncating, and that what can be truncated is refused.
func TestSeals(t *testing.T) {
	rw, ro, err := Create(Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, rw.Close()); require.NoError(t, ro.Close()) }()
	for _, size := range []int64{0, 1, DefaultSize - pageSize, DefaultSize + pageSize} {
		require.ErrorIs(t, unix.Ftruncate(int(rw.Fd()), size), unix.EPERM)
	}
	_, err = unix.FcntlInt(rw.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	require.ErrorIs(t, err, unix.EPERM, "nobody can keep the next writer out")
	_, err = unix.Mmap(int(ro.Fd()), 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.ErrorIs(t, err, unix.EACCES)
	_, err = OpenWriter(ro)
	require.ErrorIs(t, err, unix.EACCES)

	memfd := func(size int64, seals int) *os.File {
		f, err := memfile.New("test")
		require.NoError(t, err)
		require.NoError(t, f.Truncate(size))
		require.NoError(t, memfile.Seal(f, seals))
		return f
	}
	plain, err := os.Create(filepath.Join(t.TempDir(), "plain"))
	require.NoError(t, err)
	require.NoError(t, plain.Truncate(MinSize))
	tests := []struct {
		name string
		file *os.File
		err  error
	}{
		{"no memory file", plain, ErrUnsealed},
		{"no seals", memfd(MinSize, 0), ErrUnsealed},
		{"may shrink", memfd(MinSize, unix.F_SEAL_GROW|unix.F_SEAL_SEAL), ErrUnsealed},
		{"may be sealed against writing", memfd(MinSize, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK), ErrUnsealed},
		{"empty", memfd(0, memfile.FixedSize), ErrCorrupt},
		{"odd size", memfd(MinSize+1, memfile.FixedSize), ErrCorrupt},
		{"small", memfd(pageSize, memfile.FixedSize), ErrCorrupt},
		{"no buffer", memfd(MinSize, memfile.FixedSize), ErrCorrupt},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := OpenReader(test.file)
			require.ErrorIs(t, err, test.err)
			_, err = OpenWriter(test.file)
			require.ErrorIs(t, err, test.err)
			require.NoError(t, test.file.Close())
		})
	}
	_, err = OpenReader(plain)
	require.Error(t, err)
}
