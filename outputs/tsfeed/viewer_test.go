package tsfeed

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"brume/buffer"
	"brume/media"

	"github.com/stretchr/testify/require"
)

var tracks = []media.Track{
	{Codec: media.H264, Config: []byte{0, 0, 0, 4, 0x67, 0x64, 0, 0x0d, 0, 0, 0, 2, 0x68, 0xee}},
	{Codec: media.AAC, Config: []byte{0x12, 0x10}},
}

// stream is a buffer and its writer.
type stream struct {
	t       *testing.T
	w       *buffer.Writer
	r       *buffer.Reader
	frame   int
	now     time.Time
	dts     int64
	filler  int // bytes added to each frame
	rawSent int // packets of the transport stream as it came
	torn    bool
}

const ticks = 3000 // 30 frames a second

func newStream(t *testing.T, size int64) *stream {
	t.Helper()
	rw, ro, err := buffer.Create(buffer.Options{Stream: "live", Size: size})
	require.NoError(t, err)
	w, err := buffer.OpenWriter(rw)
	require.NoError(t, err)
	r, err := buffer.OpenReader(ro)
	require.NoError(t, err)
	require.NoError(t, rw.Close())
	require.NoError(t, ro.Close())
	t.Cleanup(func() {
		_ = w.Close()
		_ = r.Close()
	})
	return &stream{t: t, w: w, r: r, now: time.Unix(1_700_000_000, 0)}
}

func (s *stream) begin(tracks []media.Track) { require.NoError(s.t, s.w.BeginEpoch(tracks)) }

// mark is found in the transport stream in one piece: it fits into one packet.
func mark(frame int) []byte { return fmt.Appendf(nil, "<frame %06d>", frame) }

// write adds frames, a random access point each 30th, and commits them.
func (s *stream) write(n int) {
	for range n {
		s.w.SetTime(s.now)
		random := s.frame%30 == 0
		nal := append([]byte{0x41}, mark(s.frame)...)
		if random {
			nal[0] = 0x65
		}
		nal = append(nal, bytes.Repeat([]byte{0x55}, s.filler)...)
		unit := append([]byte{byte(len(nal) >> 24), byte(len(nal) >> 16), byte(len(nal) >> 8), byte(len(nal))}, nal...)
		require.NoError(s.t, s.w.WritePacket(&media.Packet{Track: 0, DTS: s.dts, PTS: s.dts, RandomAccess: random, Torn: s.torn, Payload: unit}))
		require.NoError(s.t, s.w.WritePacket(&media.Packet{Track: 1, DTS: s.dts, PTS: s.dts, RandomAccess: true, Payload: []byte("sound")}))
		s.frame++
		s.dts += ticks
		s.now = s.now.Add(time.Second / 30)
	}
	s.w.Commit()
}

// peer is the viewer's end.
type peer struct {
	mu       sync.Mutex
	got      []byte
	messages []int // sizes
	room     int   // bytes it takes; negative for any number
	err      error
	dead     error
}

func (p *peer) Send(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return 0, p.err
	}
	sent := 0
	for len(b) > sent {
		n := min(MessageSize, len(b)-sent)
		if p.room >= 0 && n > p.room {
			break
		}
		if p.room >= 0 {
			p.room -= n
		}
		p.messages = append(p.messages, n)
		sent += n
	}
	p.got = append(p.got, b[:sent]...)
	return sent, nil
}

func (p *peer) Alive() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

func (p *peer) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *peer) has(frame int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Contains(p.got, mark(frame))
}

// frames lists the marks that came, in their order.
func (p *peer) frames(t *testing.T) []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []int
	for rest := p.got; ; {
		i := bytes.Index(rest, []byte("<frame "))
		if i < 0 {
			return all
		}
		var n int
		_, err := fmt.Sscanf(string(rest[i:i+14]), "<frame %06d>", &n)
		require.NoError(t, err)
		all = append(all, n)
		rest = rest[i+14:]
	}
}

type running struct {
	*Viewer
	*peer
	t    *testing.T
	done chan error
}

func view(s *stream, p *peer) *running {
	r := &running{NewViewer(s.r), p, s.t, make(chan error, 1)}
	go func() { r.done <- r.Run(p) }()
	s.t.Cleanup(func() {
		p.set(func() { p.err = errGone; p.dead = errGone })
		_ = s.r.Close() // wakes it
		select {
		case <-r.done:
		case <-time.After(5 * time.Second):
			s.t.Error("the viewer goes on")
		}
	})
	return r
}

var errGone = errors.New("gone")

func (r *running) wait() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(5 * time.Second):
		r.t.Fatal("the viewer goes on")
		return nil
	}
}

func (r *running) waitFor(frame int) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return r.has(frame) }, 5*time.Second, time.Millisecond, "frame %d", frame)
}

// requireRun checks that frames came without a gap.
func requireRun(t *testing.T, got []int, first, last int) {
	t.Helper()
	require.NotEmpty(t, got)
	for i, n := range got {
		require.Equal(t, first+i, n)
	}
	require.Equal(t, last, got[len(got)-1])
}

func TestFromTheLatestRandomAccessPoint(t *testing.T) {
	s := newStream(t, 0)
	s.begin(tracks)
	s.write(100) // random access points at 0, 30, 60, 90
	r := view(s, &peer{room: -1})
	r.waitFor(99)
	s.write(50)
	r.waitFor(149)
	requireRun(t, r.frames(t), 90, 149)
	require.Zero(t, len(r.got)%188)
	require.Equal(t, []byte{0x47, 0x40, 0}, r.got[:3], "the tables come first")
	require.Eventually(t, func() bool { return r.Stats().Units == 2*60 }, 5*time.Second, time.Millisecond)
	stats := r.Stats()
	require.Zero(t, stats.Skipped)
	require.Zero(t, stats.Errors)
	require.Equal(t, uint64(len(r.got)), stats.Bytes)
}

// TestBytesOfASourceThatRunsTooFast plays pictures whose times are 2 s apart and that come as fast as they can: a viewer gets little
// more than the media.
func TestBytesOfASourceThatRunsTooFast(t *testing.T) {
	const pictures, perPicture = 50, 6 // packets: a picture, a sound, tables, PCR
	s := newStream(t, 0)
	s.begin(tracks)
	began, clock := time.Now(), s.now
	s.write(1)
	r := view(s, &peer{room: -1})
	for n := 1; n < pictures; n++ {
		s.dts += 2*90000 - ticks
		s.write(1)
		r.waitFor(n)
	}
	const (
		ahead  = 10 * time.Second // what may be filled beyond the time that passed
		tables = 400 * time.Millisecond
		frame  = 1024 * time.Second / 48000 // of silence
	)
	filled := time.Since(began) + ahead // by the muxer: a PCR each 90 ms, and tables
	silent := s.now.Sub(clock) + ahead  // by the writer: the muxer sends a PCR each 40 ms with it, and tables
	packets := pictures*perPicture + int(filled/(90*time.Millisecond)+2*(filled/tables)) +
		int(silent/frame+silent/(40*time.Millisecond)+2*(silent/tables))
	require.Less(t, len(r.got), packets*188)
}

func TestMessageSizes(t *testing.T) {
	s := newStream(t, 0)
	s.begin(tracks)
	s.filler = 3000
	s.write(31)
	r := view(s, &peer{room: -1})
	r.waitFor(30)
	require.NoError(t, s.w.Finish())
	require.ErrorIs(t, r.wait(), ErrEnd)
	odd := 0
	for _, n := range r.messages {
		require.Zero(t, n%188)
		if n != MessageSize {
			odd++
		}
	}
	require.LessOrEqual(t, odd, 2, "only what ends a burst is short: %v", r.messages)
}

func TestEndOfTheStream(t *testing.T) {
	s := newStream(t, 0)
	s.begin(tracks)
	s.write(10)
	r := view(s, &peer{room: -1})
	require.NoError(t, s.w.EndEpoch())
	r.waitFor(9)
	select {
	case err := <-r.done:
		t.Fatal("ended though the stream may resume: ", err)
	case <-time.After(50 * time.Millisecond):
	}
	require.NoError(t, s.w.Finish())
	require.ErrorIs(t, r.wait(), ErrEnd)
	requireRun(t, r.frames(t), 0, 9)
}

func TestStreamThatHasNotBegun(t *testing.T) {
	s := newStream(t, 0)
	r := view(s, &peer{room: -1})
	s.begin(tracks)
	s.write(5)
	r.waitFor(4)
	requireRun(t, r.frames(t), 0, 4)
}

func TestStreamThatNeverBegins(t *testing.T) {
	s := newStream(t, 0)
	r := view(s, &peer{room: -1})
	require.NoError(t, s.w.Finish())
	require.ErrorIs(t, r.wait(), ErrEnd)
	require.Empty(t, r.got)
}

func TestNewEpoch(t *testing.T) {
	s := newStream(t, 0)
	s.begin(tracks)
	s.write(10)
	r := view(s, &peer{room: -1})
	r.waitFor(9)
	// Another publisher, whose first frames nobody can decode.
	s.dts = 1 << 40
	s.begin([]media.Track{tracks[0]})
	for range 3 {
		require.NoError(t, s.w.WritePacket(&media.Packet{DTS: s.dts, PTS: s.dts, Payload: []byte{0, 0, 0, 8, 0x41, 'b', 'r', 'o', 'k', 'e', 'n', '!'}}))
		s.dts += ticks
	}
	s.frame = 30
	nal := append([]byte{0, 0, 0, 15, 0x65}, mark(30)...)
	require.NoError(t, s.w.WritePacket(&media.Packet{DTS: s.dts, PTS: s.dts, RandomAccess: true, Payload: nal}))
	s.w.Commit()
	r.waitFor(30)
	require.NotContains(t, string(r.got), "broken!")
	tables := 0
	for at := 0; at+188 <= len(r.got); at += 188 {
		if r.got[at+1]&0x1f == 0 && r.got[at+2] == 0 {
			tables++
		}
	}
	require.GreaterOrEqual(t, tables, 2)
}

func TestOvertaken(t *testing.T) {
	s := newStream(t, 1<<20)
	s.begin(tracks)
	s.filler = 4000
	s.write(30)
	p := &peer{room: 50 * MessageSize}
	r := view(s, p)
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.room < MessageSize
	}, 5*time.Second, time.Millisecond)
	for range 40 {
		s.write(30)
	}
	p.set(func() { p.room = -1 })
	s.write(30)
	last := s.frame - 1
	r.waitFor(last)
	frames := r.frames(t)
	gaps := 0
	for i := 1; i < len(frames); i++ {
		if frames[i] != frames[i-1]+1 {
			gaps++
			require.Zero(t, frames[i]%30, "goes on at a random access point")
		}
	}
	require.Positive(t, gaps)
	require.Positive(t, r.Stats().Skipped)
	require.Zero(t, r.Stats().Errors)
}

func TestFullSendBuffer(t *testing.T) {
	s := newStream(t, 0)
	s.begin(tracks)
	s.filler = 2000
	p := &peer{room: 0}
	r := view(s, p)
	s.write(90)
	for range 50 {
		p.set(func() { p.room += 3000 })
		time.Sleep(time.Millisecond)
	}
	p.set(func() { p.room = -1 })
	r.waitFor(89)
	frames := r.frames(t)
	requireRun(t, frames, frames[0], 89)
}

func TestConnectionLost(t *testing.T) {
	t.Run("while sending", func(t *testing.T) {
		s := newStream(t, 0)
		s.begin(tracks)
		s.write(10)
		r := view(s, &peer{err: errGone})
		require.ErrorIs(t, r.wait(), errGone)
	})
	t.Run("while the stream is idle", func(t *testing.T) {
		s := newStream(t, 0)
		r := view(s, &peer{dead: errGone})
		require.ErrorIs(t, r.wait(), errGone)
	})
	t.Run("buffer closed", func(t *testing.T) {
		s := newStream(t, 0)
		s.begin(tracks)
		s.write(10)
		r := view(s, &peer{room: -1})
		r.waitFor(9)
		require.NoError(t, s.r.Close())
		require.ErrorIs(t, r.wait(), ErrBuffer)
	})
}

func TestNothingThatCanBeSent(t *testing.T) {
	s := newStream(t, 0)
	s.begin([]media.Track{{Codec: "vp9"}})
	for range 10 {
		require.NoError(t, s.w.WritePacket(&media.Packet{RandomAccess: true, Payload: []byte("x"), DTS: s.dts, PTS: s.dts}))
		s.dts += ticks
	}
	s.w.Commit()
	p := &peer{room: -1}
	r := view(s, p)
	require.Eventually(t, func() bool { return r.Stats().Errors == 1 }, 5*time.Second, time.Millisecond)
	require.NoError(t, s.w.EndEpoch())
	s.begin(tracks)
	s.write(3)
	r.waitFor(2)
}

// TestTorn: viewers get the pictures behind a loss, too.
func TestTorn(t *testing.T) {
	s := newStream(t, 0)
	s.begin(tracks)
	s.write(31)
	s.torn = true
	s.write(20)
	r := view(s, &peer{room: -1})
	r.waitFor(50)
	requireRun(t, r.frames(t), 30, 50)
}
