package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// collector is a Sink that keeps all.
type collector struct {
	epochs  int
	packets []Packet
	fail    func(p *Packet) error
}

func (c *collector) BeginEpoch([]Track) error { c.epochs++; return nil }

func (c *collector) WritePacket(p *Packet) error {
	if c.fail != nil {
		if err := c.fail(p); err != nil {
			return err
		}
	}
	q := *p
	q.Payload = bytes.Clone(p.Payload)
	c.packets = append(c.packets, q)
	return nil
}

// sorted tells whether the times of the tracks that are not data go up.
func (c *collector) sorted(tracks []Track) bool {
	var times []int64
	for _, p := range c.packets {
		if tracks[p.Track].Codec.Kind() != Data {
			times = append(times, p.DTS)
		}
	}
	return slices.IsSorted(times)
}

func (c *collector) times() (t []int64) {
	for _, p := range c.packets {
		t = append(t, p.DTS)
	}
	return t
}

var (
	testVideo = Track{Codec: H264}
	testAudio = Track{Codec: AAC}
	testData  = Track{Codec: SCTE35}
)

const testLead = ClockRate / 4

func TestInterleaver(t *testing.T) {
	type packet struct {
		track int
		dts   int64
	}
	tests := []struct {
		name   string
		tracks []Track
		in     []packet
		out    []int64 // before Flush
		all    []int64
	}{
		{"one track goes on at once", []Track{testVideo}, []packet{{0, 5}, {0, 6}, {0, 7}}, []int64{5, 6, 7}, []int64{5, 6, 7}},
		{"waits for the other", []Track{testVideo, testAudio}, []packet{{0, 0}, {0, 10}, {1, 5}, {1, 15}}, []int64{0, 5, 10}, []int64{0, 5, 10, 15}},
		{"video first", []Track{testAudio, testVideo}, []packet{{0, 3}, {1, 3}, {1, 4}, {0, 5}}, []int64{3, 3, 4}, []int64{3, 3, 4, 5}},
		{"video first of those held", []Track{testAudio, testVideo, testAudio}, []packet{{0, 3}, {1, 3}, {0, 4}, {1, 4}, {2, 9}}, []int64{3, 3, 4, 4}, []int64{3, 3, 4, 4, 9}},
		{"as far is far enough", []Track{testAudio, testVideo}, []packet{{1, 3}, {0, 3}}, []int64{3, 3}, []int64{3, 3}},
		{"late ones go at once", []Track{testVideo, testAudio, testAudio}, []packet{{0, 10}, {1, 10}, {2, 10}, {1, 5}}, []int64{10, 10, 10, 5}, []int64{10, 10, 10, 5}},
		{"data holds nobody back", []Track{testVideo, testData}, []packet{{0, 0}, {0, 10}, {1, 5}, {0, 20}}, []int64{0, 10, 5, 20}, []int64{0, 10, 5, 20}},
		{"data waits for the others", []Track{testVideo, testAudio, testData}, []packet{{0, 0}, {1, 1}, {2, 9}, {0, 10}, {1, 11}}, []int64{0, 1, 9, 10}, []int64{0, 1, 9, 10, 11}},
		{"data alone", []Track{testData}, []packet{{0, 7}, {0, 8}}, []int64{7, 8}, []int64{7, 8}},
		{"data before all else", []Track{testData, testVideo, testAudio}, []packet{{0, 7}, {1, 5}}, []int64{7}, []int64{7, 5}},
		{"silent from the start", []Track{testVideo, testAudio}, []packet{{0, 0}, {0, maxPatience}, {0, maxPatience + 1}, {0, maxPatience + 2}}, []int64{0, maxPatience, maxPatience + 1, maxPatience + 2}, []int64{0, maxPatience, maxPatience + 1, maxPatience + 2}},
		{"video that is silent from the start", []Track{testVideo, testAudio}, []packet{{1, 0}, {1, testLead}, {1, testLead + 1}, {1, testLead + 2}}, []int64{0, testLead, testLead + 1, testLead + 2}, []int64{0, testLead, testLead + 1, testLead + 2}},
		{"comes back", []Track{testVideo, testAudio}, []packet{{0, 0}, {0, maxPatience + 1}, {1, maxPatience + 2}, {0, maxPatience + 5}, {0, maxPatience + 9}}, []int64{0, maxPatience + 1, maxPatience + 2}, []int64{0, maxPatience + 1, maxPatience + 2, maxPatience + 5, maxPatience + 9}},
		{"lags but sends", []Track{testVideo, testAudio}, []packet{{0, 90000}, {1, 9000}, {0, 99000}, {1, 18000}, {0, 108000}, {1, 27000}}, []int64{9000, 18000, 27000}, []int64{9000, 18000, 27000, 90000, 99000, 108000}},
		{"lags too far", []Track{testVideo, testAudio}, []packet{{0, 200000}, {1, 0}, {0, 203000}, {1, 3000}}, []int64{0, 3000}, []int64{0, 3000, 200000, 203000}},
		{"late", []Track{testVideo, testAudio}, []packet{{0, 10}, {1, 20}, {0, 30}, {1, 5}}, []int64{10, 20, 5}, []int64{10, 20, 5, 30}},
		{"backwards within a track", []Track{testVideo, testAudio}, []packet{{0, 10}, {0, 8}, {1, 9}, {0, 12}}, []int64{9}, []int64{9, 10, 8, 12}},
		{"unknown time", []Track{testVideo, testData}, []packet{{0, 10}, {1, NoPTS}, {0, 12}}, []int64{10, NoPTS, 12}, []int64{10, NoPTS, 12}},
		{"extremes", []Track{testVideo, testAudio}, []packet{{0, -1 << 62}, {1, 1 << 62}, {0, 1<<63 - 1}, {1, -1 << 62}}, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var c collector
			i := NewInterleaver(&c, testLead)
			require.NoError(t, i.BeginEpoch(test.tracks))
			for _, p := range test.in {
				require.NoError(t, i.WritePacket(&Packet{Track: p.track, DTS: p.dts, Payload: []byte{1}}))
			}
			if test.out != nil {
				require.Equal(t, test.out, c.times())
			}
			require.NoError(t, i.Flush())
			require.Len(t, c.packets, len(test.in))
			if test.name == "video first of those held" {
				require.Equal(t, []int{1, 0, 1, 0, 2}, []int{c.packets[0].Track, c.packets[1].Track, c.packets[2].Track, c.packets[3].Track, c.packets[4].Track})
			}
			if test.all != nil {
				require.Equal(t, test.all, c.times())
			}
		})
	}
}

// bursts writes video every 40 ms, and audio frames of 1920 ticks that come together, so many at a time, once the video has come
// as far as the last of them. hold is the most ticks of video that were held back at a time.
func bursts(t *testing.T, i *Interleaver, c *collector, from, to int64, frames int64) (hold int64) {
	t.Helper()
	next := from
	for at := from; at < to; at += 3600 {
		require.NoError(t, i.WritePacket(&Packet{DTS: at, Payload: []byte{1}}))
		for frames > 0 && at >= next+frames*1920 {
			for range frames {
				require.NoError(t, i.WritePacket(&Packet{Track: 1, DTS: next, Payload: []byte{2}}))
				next += 1920
			}
		}
		if n := len(c.packets); n > 0 {
			hold = max(hold, at-c.packets[n-1].DTS)
		}
	}
	return hold
}

func TestInterleaverOfBursts(t *testing.T) {
	for _, frames := range []int64{1, 8, 17, 30, 46} { // 21 ms to 1 s
		var c collector
		i := NewInterleaver(&c, testLead)
		require.NoError(t, i.BeginEpoch([]Track{testVideo, testAudio}))
		bursts(t, i, &c, 0, 20*ClockRate, frames)
		require.NoError(t, i.Flush())
		require.True(t, c.sorted([]Track{testVideo, testAudio}), "%d frames a burst", frames)
	}
}

// TestInterleaverPatience is what a track that disappears costs, once, and what is forgotten after a while.
func TestInterleaverPatience(t *testing.T) {
	for _, c := range []struct {
		name   string
		frames int64
		most   int64
	}{
		{"even audio", 1, testLead + 3600},
		{"bursts of 363 ms", 17, 17*1920*5/4 + 3*3600},
		{"bursts of 1 s", 46, maxPatience + 3600},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out collector
			i := NewInterleaver(&out, testLead)
			require.NoError(t, i.BeginEpoch([]Track{testVideo, testAudio}))
			bursts(t, i, &out, 0, 10*ClockRate, c.frames)
			hold := bursts(t, i, &out, 10*ClockRate, 15*ClockRate, 0)
			require.LessOrEqual(t, hold, c.most+c.frames*1920)
			hold = bursts(t, i, &out, 15*ClockRate, 20*ClockRate, 0)
			require.Zero(t, hold, "it costs nothing further")
			// It comes back and sends evenly.
			bursts(t, i, &out, 20*ClockRate, 35*ClockRate, 1)
			hold = bursts(t, i, &out, 35*ClockRate, 40*ClockRate, 0)
			require.LessOrEqual(t, hold, int64(testLead+2*3600))
		})
	}
}

// TestInterleaverOfSlowVideo has a picture a second that comes on time: sound waits no longer than maxLead for it.
func TestInterleaverOfSlowVideo(t *testing.T) {
	var c collector
	i := NewInterleaver(&c, testLead)
	require.NoError(t, i.BeginEpoch([]Track{testVideo, testAudio}))
	for at := int64(0); at < 20*ClockRate; at += 1800 {
		if at%ClockRate == 0 {
			require.NoError(t, i.WritePacket(&Packet{DTS: at}))
		}
		require.NoError(t, i.WritePacket(&Packet{Track: 1, DTS: at}))
		require.LessOrEqual(t, at-c.packets[len(c.packets)-1].DTS, int64(testLead))
	}
}

func TestInterleaverErrors(t *testing.T) {
	refused := errors.New("refused")
	c := collector{fail: func(p *Packet) error {
		if p.DTS == 3 {
			return refused
		}
		return nil
	}}
	i := NewInterleaver(&c, testLead)
	require.ErrorIs(t, i.WritePacket(&Packet{}), ErrTrack)
	require.NoError(t, i.BeginEpoch([]Track{testVideo, testAudio}))
	require.ErrorIs(t, i.WritePacket(&Packet{Track: 2}), ErrTrack)
	require.ErrorIs(t, i.WritePacket(&Packet{Track: -1}), ErrTrack)
	for n := range int64(6) {
		require.NoError(t, i.WritePacket(&Packet{DTS: n}))
	}
	require.ErrorIs(t, i.WritePacket(&Packet{Track: 1, DTS: 10}), refused)
	require.Equal(t, []int64{0, 1, 2, 4, 5}, c.times(), "only the refused one is lost")
	require.NoError(t, i.BeginEpoch([]Track{testVideo}))
	require.Equal(t, 2, c.epochs)
	require.Equal(t, []int64{0, 1, 2, 4, 5, 10}, c.times(), "all of the epoch comes before the next")
}

// TestInterleaverBounds checks that a track that keeps the others waiting can't make it hold without end.
func TestInterleaverBounds(t *testing.T) {
	for _, length := range []int{10, 100_000} {
		var c collector
		i := NewInterleaver(&c, testLead)
		require.NoError(t, i.BeginEpoch([]Track{testVideo, testAudio}))
		payload := make([]byte, length)
		sent := min(maxInterleaveUnits, maxInterleaveBytes/length)
		for n := range sent + 100 {
			if n < sent {
				require.Empty(t, c.packets)
			}
			require.NoError(t, i.WritePacket(&Packet{DTS: int64(n), Payload: payload}))
		}
		require.InDelta(t, 100, len(c.packets), 2)
		require.NoError(t, i.Flush())
		require.Zero(t, i.bytes)
		require.Zero(t, i.units)
	}
}

// TestLane pushes and pops payloads that often fill the ring to the last byte.
func TestLane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l lane
		var want [][]byte
		for n := range rapid.IntRange(0, 200).Draw(t, "steps") {
			if len(want) > 0 && rapid.IntRange(0, 2).Draw(t, "step") == 0 {
				want = want[1:]
				l.pop()
			} else {
				b := bytes.Repeat([]byte{byte(n)}, 1024*rapid.IntRange(0, 3).Draw(t, "length"))
				l.push(&Packet{Payload: b}, 0)
				want = append(want, b)
			}
			require.Equal(t, len(want), l.count)
			for n, b := range want {
				u := l.held[(l.first+n)%len(l.held)]
				require.True(t, bytes.Equal(b, l.store.buf[u.off:u.off+u.length]))
			}
		}
	})
}

// TestInterleaverGivesBack checks that the memory of a burst does not stay.
func TestInterleaverGivesBack(t *testing.T) {
	var c collector
	i := NewInterleaver(&c, testLead)
	require.NoError(t, i.BeginEpoch([]Track{testVideo, testAudio}))
	for n := range int64(50) {
		require.NoError(t, i.WritePacket(&Packet{DTS: n, Payload: make([]byte, 100_000)}))
	}
	require.NoError(t, i.Flush())
	require.Greater(t, len(i.lanes[0].store.buf), 4_000_000)
	for n := range int64(3 * ringChecks) {
		require.NoError(t, i.WritePacket(&Packet{Track: 0, DTS: 100 + n, Payload: make([]byte, 1000)}))
		require.NoError(t, i.WritePacket(&Packet{Track: 1, DTS: 100 + n, Payload: make([]byte, 100)}))
	}
	require.Less(t, len(i.lanes[0].store.buf), 100_000)
}

// TestInterleaverProperties: nothing is lost or changed, each track keeps its order, and while no track is silent or late
// the times go up.
func TestInterleaverProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c collector
		i := NewInterleaver(&c, testLead)
		tracks := []Track{testVideo, testAudio, testAudio, testData}[:rapid.IntRange(1, 4).Draw(t, "tracks")]
		require.NoError(t, i.BeginEpoch(tracks))
		wild := rapid.Bool().Draw(t, "wild") // any times, or those of well-behaved tracks
		next := make([]int64, len(tracks))
		counts := make([]uint32, len(tracks))
		start := rapid.Int64Range(-1<<40, 1<<40).Draw(t, "start")
		for n := range next {
			next[n] = start + rapid.Int64Range(0, testLead/8).Draw(t, "offset")
		}
		total := 0
		for range rapid.IntRange(0, 400).Draw(t, "packets") {
			track := rapid.IntRange(0, len(tracks)-1).Draw(t, "track")
			if !wild {
				// The one that is furthest behind, so that none is silent for long; data may be late.
				for n := range next {
					if next[n] < next[track]-testLead/2 {
						track = n
					}
				}
				if tracks[track].Codec.Kind() == Data {
					next[track] = max(next[track], slices.Max(next))
				}
			}
			p := Packet{Track: track, DTS: next[track], PTS: next[track] + 1, RandomAccess: rapid.Bool().Draw(t, "random")}
			p.Payload = binary.LittleEndian.AppendUint32(nil, counts[track])
			p.Payload = append(p.Payload, make([]byte, rapid.IntRange(0, 3000).Draw(t, "length"))...)
			counts[track]++
			if wild {
				next[track] = rapid.OneOf(rapid.Int64Range(0, 100000), rapid.Int64()).Draw(t, "time")
			} else {
				next[track] += rapid.Int64Range(1, testLead/4).Draw(t, "duration")
			}
			require.NoError(t, i.WritePacket(&p))
			clear(p.Payload) // it was copied
			total++
		}
		require.NoError(t, i.Flush())
		require.Len(t, c.packets, total)
		require.True(t, wild || c.sorted(tracks), "%v", c.times())
		seen := make([]uint32, len(tracks))
		for _, p := range c.packets {
			require.Equal(t, seen[p.Track], binary.LittleEndian.Uint32(p.Payload))
			seen[p.Track]++
			if !wild {
				require.Equal(t, p.DTS+1, p.PTS)
			}
		}
	})
}

type discard struct{ n int }

func (d *discard) BeginEpoch([]Track) error    { return nil }
func (d *discard) WritePacket(p *Packet) error { d.n += len(p.Payload); return nil }

// interleave writes a second of video and audio, video 100 ms ahead.
func interleave(i *Interleaver, p *Packet, start int64, video, audio []byte) {
	a := int64(0)
	for n := range int64(30) {
		*p = Packet{DTS: start + n*3000 + 9000, Payload: video}
		_ = i.WritePacket(p)
		for ; a <= n*3000; a += 1920 {
			*p = Packet{Track: 1, DTS: start + a, Payload: audio}
			_ = i.WritePacket(p)
		}
	}
}

func TestInterleaverAllocations(t *testing.T) {
	i := NewInterleaver(&discard{}, testLead)
	require.NoError(t, i.BeginEpoch([]Track{testVideo, testAudio}))
	start, p := int64(0), Packet{}
	video, audio := make([]byte, 20_000), make([]byte, 300)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		interleave(i, &p, start, video, audio)
		start += ClockRate
	}))
}

// BenchmarkInterleaver interleaves a second of video and audio at 5 Mbit/s.
func BenchmarkInterleaver(b *testing.B) {
	i := NewInterleaver(&discard{}, testLead)
	_ = i.BeginEpoch([]Track{testVideo, testAudio})
	start, p := int64(0), Packet{}
	video, audio := make([]byte, 20_000), make([]byte, 300)
	b.SetBytes(30*20_000 + 46*300)
	b.ReportAllocs()
	for b.Loop() {
		interleave(i, &p, start, video, audio)
		start += ClockRate
	}
}
