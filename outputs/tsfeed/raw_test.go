package tsfeed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

// rawTracks are those of an epoch with the transport stream as it came.
var rawTracks = []media.Track{tracks[0], tracks[1], {Codec: media.MPEGTS}}

// rawPackets makes numbered packets.
func (s *stream) rawPackets(n int) (b []byte) {
	for range n {
		p := bytes.Repeat([]byte{0xAA}, ts.PacketSize)
		p[0] = ts.SyncByte
		binary.BigEndian.PutUint64(p[8:], uint64(s.rawSent))
		s.rawSent++
		b = append(b, p...)
	}
	return b
}

// raw writes a unit of n packets.
func (s *stream) raw(track, n int) {
	s.t.Helper()
	s.w.SetTime(s.now)
	require.NoError(s.t, s.w.WritePacket(&media.Packet{Track: track, DTS: s.dts, PTS: s.dts, Payload: s.rawPackets(n)}))
}

// join writes a join so many packets back.
func (s *stream) join(track int, back uint64) {
	s.t.Helper()
	require.NoError(s.t, s.w.WritePacket(&media.Packet{Track: track, DTS: s.dts, PTS: s.dts, Payload: ts.AppendJoin(nil, back)}))
}

// numbers are those of the packets that came.
func (p *peer) numbers(t *testing.T) (all []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Zero(t, len(p.got)%ts.PacketSize)
	for b := p.got; len(b) > 0; b = b[ts.PacketSize:] {
		require.Equal(t, byte(ts.SyncByte), b[0])
		all = append(all, int(binary.BigEndian.Uint64(b[8:])))
	}
	return all
}

func (r *running) waitForPacket(n int) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		r.peer.mu.Lock()
		defer r.peer.mu.Unlock()
		return len(r.got) > 0 && int(binary.BigEndian.Uint64(r.got[len(r.got)-ts.PacketSize+8:])) >= n
	}, 10*time.Second, time.Millisecond, "packet %d", n)
}

// waitForStats waits for what is counted after it was sent.
func (r *running) waitForStats(ok func(Stats) bool) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return ok(r.Stats()) }, 10*time.Second, time.Millisecond)
}

func TestRawFromTheJoin(t *testing.T) {
	for _, c := range []struct {
		name        string
		write       func(s *stream)
		first, last int
	}{
		{"the latest", func(s *stream) {
			s.raw(2, 10)
			s.join(2, 5)
			s.write(1)
			s.raw(2, 10)
			s.raw(2, 10)
			s.join(2, 13) // 3 packets before the last unit
			s.write(1)
			s.raw(2, 4)
		}, 17, 33},
		{"at the beginning of a unit", func(s *stream) { s.raw(2, 10); s.raw(2, 10); s.join(2, 10); s.write(1) }, 10, 19},
		{"with what comes next", func(s *stream) { s.raw(2, 10); s.join(2, 0); s.write(1); s.raw(2, 3) }, 10, 12},
		{"in an epoch before", func(s *stream) {
			s.raw(2, 10)
			s.write(1)
			s.begin([]media.Track{{Codec: media.MPEGTS}, tracks[1]})
			s.raw(0, 10)
			s.join(0, 15)
		}, 5, 19},
		{"but not of a publisher before", func(s *stream) {
			s.raw(2, 10)
			require.NoError(s.t, s.w.EndEpoch())
			s.begin(rawTracks)
			s.raw(2, 10)
			s.join(2, 15)
		}, 10, 19},
		{"farther back than there is anything", func(s *stream) { s.raw(2, 10); s.join(2, 1<<31) }, 0, 9},
		{"none", func(s *stream) { s.raw(2, 10); s.write(1); s.raw(2, 10); s.write(1) }, 10, 19},
		{"after the end of an epoch", func(s *stream) {
			s.raw(2, 10)
			s.join(2, 4)
			s.write(1)
			require.NoError(s.t, s.w.EndEpoch())
		}, 6, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStream(t, 0)
			s.begin(rawTracks)
			c.write(s)
			s.w.Commit()
			r := view(s, &peer{room: -1})
			r.waitForPacket(c.last)
			requireRun(t, r.numbers(t), c.first, c.last)
			s.begin(rawTracks)
			s.raw(2, 100)
			s.w.Commit()
			r.waitForPacket(c.last + 100)
			requireRun(t, r.numbers(t), c.first, c.last+100)
			r.waitForStats(func(s Stats) bool { return s.Bytes == uint64((c.last-c.first+101)*ts.PacketSize) })
			require.Zero(t, r.Stats().Errors)
			require.Zero(t, r.Stats().Skipped)
		})
	}
}

// TestRawMessages: seven packets each.
func TestRawMessages(t *testing.T) {
	s := newStream(t, 0)
	s.begin(rawTracks)
	s.raw(2, 20)
	s.join(2, 20)
	s.w.Commit()
	r := view(s, &peer{room: -1})
	r.waitForPacket(19)
	for range 30 {
		s.raw(2, 5)
	}
	s.w.Commit()
	require.NoError(t, s.w.Finish())
	require.ErrorIs(t, r.wait(), ErrEnd)
	requireRun(t, r.numbers(t), 0, 169)
	odd := 0
	for _, n := range r.messages {
		require.Zero(t, n%ts.PacketSize)
		if n != MessageSize {
			odd++
		}
	}
	require.LessOrEqual(t, odd, 2, "%v", r.messages)
}

// TestRawComesAndGoes: epochs with the transport stream and without follow each other.
func TestRawComesAndGoes(t *testing.T) {
	s := newStream(t, 0)
	s.begin(tracks)
	s.write(10)
	p := &peer{room: -1}
	r := view(s, p)
	r.waitFor(9)
	s.begin(rawTracks)
	s.raw(2, 7)
	s.write(1)
	s.raw(2, 7)
	s.w.Commit()
	r.waitForPacket(13)
	require.NotContains(t, string(p.got), string(mark(10)), "the units are in the transport stream already")
	s.begin(tracks)
	s.frame = 30
	s.write(1)
	r.waitFor(30)
}

func TestRawOvertaken(t *testing.T) {
	s := newStream(t, 1<<20)
	s.begin(rawTracks)
	s.raw(2, 100)
	s.join(2, 100)
	s.w.Commit()
	p := &peer{room: 14 * MessageSize}
	r := view(s, p)
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.room < MessageSize
	}, 10*time.Second, time.Millisecond)
	for range 400 {
		s.raw(2, 100)
		s.join(2, 30)
		s.dts += ticks
		s.now = s.now.Add(time.Second / 30)
		s.w.Commit()
	}
	p.set(func() { p.room = -1 })
	s.raw(2, 1)
	s.w.Commit()
	last := s.rawSent - 1
	r.waitForPacket(last)
	numbers := r.numbers(t)
	gaps := 0
	for i := 1; i < len(numbers); i++ {
		require.Greater(t, numbers[i], numbers[i-1], "nothing comes twice")
		if numbers[i] != numbers[i-1]+1 {
			gaps++
			require.Equal(t, 70, numbers[i]%100, "goes on where a join says")
		}
	}
	require.Equal(t, 1, gaps)
	r.waitForStats(func(s Stats) bool { return s.Skipped > 0 })
	require.Zero(t, r.Stats().Errors)
}

// TestHostileRaw: units that are no whole packets, and joins that make no sense.
func TestHostileRaw(t *testing.T) {
	s := newStream(t, 0)
	s.begin(rawTracks)
	bad := func(b []byte) {
		require.NoError(t, s.w.WritePacket(&media.Packet{Track: 2, DTS: s.dts, PTS: s.dts, Payload: b}))
	}
	s.raw(2, 10)
	bad(make([]byte, 100))
	s.join(2, 12)
	bad(nil)
	bad(make([]byte, 3))
	s.raw(2, 10)
	bad(make([]byte, ts.PacketSize+1))
	s.raw(2, 10)
	s.w.Commit()
	r := view(s, &peer{room: -1})
	r.waitForPacket(29)
	requireRun(t, r.numbers(t), 0, 29)
	r.waitForStats(func(s Stats) bool { return s.Errors == 3 && errors.Is(s.LastError, errUnit) })
}

// TestRawOfAFastWriter: a viewer that joins while the writer goes on always begins where a join says, or at a unit, and
// never gets a packet twice or out of order.
func TestRawOfAFastWriter(t *testing.T) {
	s := newStream(t, 1<<20)
	s.begin(rawTracks)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			s.raw(2, 50)
			s.join(2, 20)
			s.dts += ticks
			s.now = s.now.Add(time.Second / 30)
			s.w.Commit()
			time.Sleep(50 * time.Microsecond)
		}
	}()
	defer func() {
		close(stop)
		<-done
	}()
	for range 30 {
		v := NewViewer(s.r)
		for !v.placed {
			require.NoError(t, v.fill())
		}
		for range 20 {
			require.NoError(t, v.fill())
			v.out = append([]byte(nil), v.out...)
		}
		p := &peer{got: v.out}
		numbers := p.numbers(t)
		for i := 1; i < len(numbers); i++ {
			require.Greater(t, numbers[i], numbers[i-1])
		}
		if len(numbers) > 0 {
			require.Equal(t, 30, numbers[0]%50)
		}
		require.Zero(t, v.counted.Errors)
	}
}
