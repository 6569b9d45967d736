package tsfeed

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"brume/buffer"
	"brume/media"

	"github.com/stretchr/testify/require"
)

var clip []byte

const (
	clipFrames = 50
	clipTime   = clipFrames * time.Second / 25
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "inputs-tsfeed")
	if err != nil {
		panic(err)
	}
	file := filepath.Join(dir, "clip.ts")
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25", "-f", "lavfi", "-i", "sine",
		"-frames:v", fmt.Sprint(clipFrames), "-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-bf", "2",
		"-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "mpegts", file).CombinedOutput()
	if err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	if clip, err = os.ReadFile(file); err != nil {
		panic(err)
	}
	_ = os.RemoveAll(dir)
	os.Exit(m.Run())
}

// batches is a source that cuts its bytes anywhere and then ends.
type batches struct {
	rest []byte
	size int
	err  error
	sent time.Duration
}

func (b *batches) Next() (Batch, error) {
	if len(b.rest) == 0 {
		return Batch{}, b.err
	}
	n := min(b.size, len(b.rest))
	batch := b.rest[:n]
	b.rest = b.rest[n:]
	b.sent += time.Duration(n) * clipTime / time.Duration(len(clip))
	return message(batch, b.sent), nil
}

// message is a batch of one.
func message(b []byte, at time.Duration) Batch {
	return Batch{Bytes: b, Messages: []Message{{len(b), at}}}
}

// fakeBuffer writes down what it is told.
type fakeBuffer struct {
	calls  []string // kinds of calls, but for packets
	units  map[int]int
	begin  error
	refuse func(n int, p *media.Packet) error
	end    error
	now    time.Time
	n      int
}

func (f *fakeBuffer) SegmentMax() time.Duration { return 12 * time.Second }

func (f *fakeBuffer) SetTime(now time.Time) { f.now = now }
func (f *fakeBuffer) Commit()               { f.calls = append(f.calls, "commit") }

func (f *fakeBuffer) EndEpoch() error {
	f.calls = append(f.calls, "end")
	return f.end
}

func (f *fakeBuffer) BeginEpoch([]media.Track) error {
	f.calls = append(f.calls, "begin")
	return f.begin
}

func (f *fakeBuffer) WritePacket(p *media.Packet) error {
	f.n++
	if f.refuse != nil {
		if err := f.refuse(f.n, p); err != nil {
			return err
		}
	}
	if f.units == nil {
		f.units = map[int]int{}
	}
	f.units[p.Track]++
	return nil
}

func (f *fakeBuffer) count(kind string) int {
	n := 0
	for _, c := range f.calls {
		if c == kind {
			n++
		}
	}
	return n
}

// clock advances by 10 ms with each look at it.
func clock() func() time.Time {
	now := time.Unix(1_700_000_000, 0)
	return func() time.Time {
		now = now.Add(10 * time.Millisecond)
		return now
	}
}

func TestWholeClip(t *testing.T) {
	for _, size := range []int{188, 1316, 5000, len(clip)} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			f := &fakeBuffer{}
			p := NewPublisher(f, clock(), Options{})
			require.ErrorIs(t, p.Run(&batches{rest: clip, size: size, err: io.EOF}), io.EOF)
			require.Equal(t, clipFrames, f.units[0])
			require.Greater(t, f.units[1], 60)
			require.Equal(t, 1, f.count("begin"))
			require.Equal(t, 1, f.count("end"))
			require.Equal(t, "end", f.calls[len(f.calls)-1])
			require.Equal(t, (len(clip)+size-1)/size+1, f.count("commit"), "one commit a batch, and one for the rest")
			s := p.Stats()
			require.Equal(t, uint64(len(clip)), s.Bytes)
			require.Equal(t, uint64(f.units[0]+f.units[1]), s.Units)
			require.Zero(t, s.Refused)
			require.Equal(t, uint64(len(clip)), s.Demux.Bytes)
			require.Zero(t, s.Demux.ContinuityErrors)
		})
	}
}

func TestIntoARealBuffer(t *testing.T) {
	rw, ro, err := buffer.Create(buffer.Options{Stream: "live"})
	require.NoError(t, err)
	defer rw.Close()
	defer ro.Close()
	w, err := buffer.OpenWriter(rw)
	require.NoError(t, err)
	defer w.Close()
	r, err := buffer.OpenReader(ro)
	require.NoError(t, err)
	defer r.Close()

	p := NewPublisher(w, clock(), Options{})
	require.NoError(t, p.Take(message(clip[:len(clip)/2], 0)))
	_, head := r.Bounds()
	require.Positive(t, head, "a batch is visible at once")
	require.ErrorIs(t, p.Run(&batches{rest: clip[len(clip)/2:], size: 1316, err: io.EOF}), io.EOF)
	_, head = r.Bounds()
	last, err := r.Entry(head - 1)
	require.NoError(t, err)
	require.True(t, last.Has(buffer.EpochEnd))
	require.GreaterOrEqual(t, head, p.Stats().Units+1, "and silence where the clip's sound ends before its picture")
	info, err := r.Info()
	require.NoError(t, err)
	require.Equal(t, buffer.Ended, info.State)
}

func TestRefusedUnitsAreCounted(t *testing.T) {
	f := &fakeBuffer{refuse: func(n int, _ *media.Packet) error {
		if n%10 == 0 {
			return buffer.ErrTooLarge
		}
		return nil
	}}
	p := NewPublisher(f, clock(), Options{})
	require.ErrorIs(t, p.Run(&batches{rest: clip, size: 1316, err: io.EOF}), io.EOF)
	s := p.Stats()
	require.Equal(t, uint64(f.n/10), s.Refused)
	require.Equal(t, uint64(f.n-f.n/10), s.Units)
	require.ErrorIs(t, s.LastError, buffer.ErrTooLarge)
}

func TestUnusableBufferEndsTheConnection(t *testing.T) {
	for _, cause := range []error{buffer.ErrFinished, buffer.ErrClosed, buffer.ErrCorrupt} {
		t.Run(cause.Error(), func(t *testing.T) {
			f := &fakeBuffer{refuse: func(n int, _ *media.Packet) error {
				if n > 5 {
					return fmt.Errorf("entry: %w", cause)
				}
				return nil
			}}
			source := &batches{rest: clip, size: 1316, err: io.EOF}
			err := NewPublisher(f, clock(), Options{}).Run(source)
			require.ErrorIs(t, err, ErrBuffer)
			require.ErrorIs(t, err, cause)
			require.NotEmpty(t, source.rest)
		})
	}
	t.Run("at the end", func(t *testing.T) {
		err := NewPublisher(&fakeBuffer{end: buffer.ErrFinished}, clock(), Options{}).Run(&batches{rest: clip, size: 1316, err: io.EOF})
		require.ErrorIs(t, err, ErrBuffer)
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestRefusedTracks(t *testing.T) {
	f := &fakeBuffer{begin: buffer.ErrTracks, refuse: func(int, *media.Packet) error { return buffer.ErrNoEpoch }}
	p := NewPublisher(f, clock(), Options{})
	require.ErrorIs(t, p.Run(&batches{rest: clip, size: 1316, err: io.EOF}), io.EOF)
	require.Zero(t, p.Stats().Units)
	require.Equal(t, uint64(f.n+1), p.Stats().Refused)
}

func TestGarbage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	garbage := make([]byte, 200_000)
	for i := range garbage {
		garbage[i] = byte(random.Uint32())
	}
	torn := append(append(append([]byte{}, clip[:len(clip)/3]...), garbage...), clip[len(clip)/3:]...)
	f := &fakeBuffer{}
	p := NewPublisher(f, clock(), Options{})
	require.ErrorIs(t, p.Run(&batches{rest: torn, size: 1316, err: io.EOF}), io.EOF)
	require.Greater(t, f.units[0], clipFrames/2)
	require.Positive(t, p.Stats().Demux.SyncLosses)

	p = NewPublisher(&fakeBuffer{}, clock(), Options{})
	require.ErrorIs(t, p.Run(&batches{rest: garbage, size: 1316, err: io.EOF}), io.EOF)
	require.Zero(t, p.Stats().Units)
}

func TestSilence(t *testing.T) {
	f := &fakeBuffer{}
	p := NewPublisher(f, clock(), Options{})
	require.NoError(t, p.Take(Batch{}))
	require.NoError(t, p.Take(Batch{Bytes: []byte{}}))
	require.Equal(t, 2, f.count("commit"), "the writer shows that it is alive")
	require.NoError(t, p.End())
	require.Zero(t, p.Stats().Units)
}

func TestStatsFromAnotherGoroutine(t *testing.T) {
	p := NewPublisher(&fakeBuffer{}, clock(), Options{})
	done := make(chan error)
	go func() { done <- p.Run(&batches{rest: clip, size: 188, err: io.EOF}) }()
	for last := uint64(0); ; {
		select {
		case err := <-done:
			require.True(t, errors.Is(err, io.EOF))
			return
		default:
			s := p.Stats()
			require.GreaterOrEqual(t, s.Units, last)
			last = s.Units
		}
	}
}

func BenchmarkPublisher(b *testing.B) {
	sixteen := Options{}
	for i := range MaxMapped {
		sixteen.Mapped = append(sixteen.Mapped, Mapped{Program{Number: uint16(100 + i)}, &fakeBuffer{}})
	}
	for _, c := range []struct {
		name string
		o    Options
	}{{"plain", Options{}}, {"raw", Options{Raw: true}}, {"16 further programs", sixteen}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(clip)))
			b.ReportAllocs()
			for b.Loop() {
				p := NewPublisher(&fakeBuffer{}, clock(), c.o)
				_ = p.Run(&batches{rest: clip, size: 7 * 1316, err: io.EOF})
			}
		})
	}
}
