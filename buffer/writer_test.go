package buffer

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"brume/media"
)

// checkAll reads the whole window and checks each entry against the one before, and each payload.
func checkAll(t require.TestingT, r *Reader) (entries []Entry) {
	tail, head := r.Bounds()
	var buf []byte
	for seq := tail; seq < head; seq++ {
		e, err := r.Entry(seq)
		require.NoError(t, err)
		if n := len(entries); n > 0 {
			require.True(t, follows(&entries[n-1], &e), "entry %d\n%+v\n%+v", seq, entries[n-1], e)
		}
		buf, err = r.Payload(&e, buf[:0])
		require.NoError(t, err)
		require.True(t, filled(buf, seq), "payload of %d", seq)
		tracks, err := r.Tracks(e.Epoch)
		require.NoError(t, err)
		require.Less(t, e.Track, len(tracks))
		entries = append(entries, e)
	}
	return entries
}

func TestWindowByTime(t *testing.T) {
	w, r, _ := newBuffer(t, Options{Window: 2 * time.Second})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	for n := range int64(200) {
		write(t, w, 0, n*3000, n%30 == 0, fill(nil, uint64(n), 500))
		w.Commit()
	}
	entries := checkAll(t, r)
	require.Len(t, entries, 61)
	_, err := r.Entry(100)
	require.ErrorIs(t, err, ErrOvertaken)
	_, err = r.Payload(&Entry{Seq: 100, Length: 10}, nil)
	require.ErrorIs(t, err, ErrOvertaken)
}

func TestWindowBySize(t *testing.T) {
	w, r, _ := newBuffer(t, Options{Size: MinSize})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	for n := range int64(1000) { // 40 MB within 33 s
		write(t, w, 0, n*3000, n%30 == 0, fill(nil, uint64(n), 40_000))
		if n%7 == 0 {
			w.Commit()
		}
	}
	w.Commit()
	entries := checkAll(t, r)
	bytes := 0
	for _, e := range entries {
		bytes += e.Length
	}
	require.Greater(t, bytes, 2<<20, "most of the data area is used")
}

func TestWindowByIndex(t *testing.T) {
	w, r, _ := newBuffer(t, Options{Size: MinSize})
	require.NoError(t, w.BeginEpoch([]media.Track{audioTrack}))
	for n := range int64(10_000) {
		write(t, w, 0, n*9, true, fill(nil, uint64(n), 5))
	}
	w.Commit()
	n := uint64(len(checkAll(t, r)))
	require.LessOrEqual(t, n, w.m.entries)
	require.Greater(t, n, w.m.entries*9/10)
}

// TestLargePayloads writes what just fits, again and again, between small ones.
func TestLargePayloads(t *testing.T) {
	w, r, _ := newBuffer(t, Options{Size: MinSize})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, audioTrack}))
	most := int(w.m.maxPayload)
	err := w.WritePacket(&media.Packet{Payload: make([]byte, most+1)})
	require.ErrorIs(t, err, ErrTooLarge)
	var payload []byte
	for seq := range uint64(300) {
		length := 1000
		if seq%3 == 0 {
			length = most - int(seq%2)*5000
		}
		payload = fill(payload, seq, length)
		write(t, w, int(seq%2), int64(seq)*3000, true, payload)
		if seq%10 == 0 {
			w.Commit()
			checkAll(t, r)
		}
	}
	w.Commit()
	require.NotEmpty(t, checkAll(t, r))
}

func TestWriterRefuses(t *testing.T) {
	w, r, _ := newBuffer(t, Options{})
	long := make([]media.Track, 5)
	for i := range long {
		long[i] = media.Track{Codec: media.H265, Config: make([]byte, media.MaxConfigSize)}
	}
	require.ErrorIs(t, w.BeginEpoch(nil), ErrTracks)
	require.ErrorIs(t, w.BeginEpoch(make([]media.Track, 33)), ErrTracks)
	require.ErrorIs(t, w.BeginEpoch([]media.Track{{Codec: "no such codec"}}), ErrTracks)
	require.ErrorIs(t, w.BeginEpoch([]media.Track{{Codec: media.AAC, Config: make([]byte, 4097)}}), ErrTracks)
	require.ErrorIs(t, w.BeginEpoch(long), ErrTooLarge)
	require.NoError(t, w.EndEpoch(), "there is none")
	odd := audioTrack
	odd.Language, odd.Role = `x",`+"\n", `x"`
	require.NoError(t, w.BeginEpoch([]media.Track{odd}))
	require.ErrorIs(t, w.WritePacket(&media.Packet{Track: 1}), ErrTracks)
	require.ErrorIs(t, w.WritePacket(&media.Packet{Track: -1}), ErrTracks)
	require.ErrorIs(t, w.WritePacket(&media.Packet{DTS: maxTicks + 1}), ErrTime)
	require.ErrorIs(t, w.WritePacket(&media.Packet{PTS: -maxTicks - 1}), ErrTime)
	w.Commit()
	_, head := r.Bounds()
	require.Zero(t, head)
	write(t, w, 0, 5, true, nil)
	require.NoError(t, w.WritePacket(&media.Packet{DTS: media.NoPTS, PTS: media.NoPTS}))
	require.NoError(t, w.EndEpoch())
	e, err := r.Entry(1)
	require.NoError(t, err)
	require.Equal(t, []int64{5, 5}, []int64{e.DTS, e.PTS})
	tracks, err := r.Tracks(e.Epoch)
	require.NoError(t, err)
	require.Empty(t, tracks[0].Language, "it would end up in a playlist")
	require.Empty(t, tracks[0].Role)
	require.NoError(t, w.Close())
	require.ErrorIs(t, w.Close(), ErrClosed)
	require.ErrorIs(t, w.WritePacket(&media.Packet{}), ErrClosed)
	require.ErrorIs(t, w.BeginEpoch(nil), ErrClosed)
	require.ErrorIs(t, w.EndEpoch(), ErrClosed)
	w.Commit()
}

// TestEpochs begins more epochs than there are tables.
func TestEpochs(t *testing.T) {
	w, r, _ := newBuffer(t, Options{})
	seq := uint64(0)
	for n := range 200 {
		track := videoTrack
		track.PID = uint16(n)
		require.NoError(t, w.BeginEpoch([]media.Track{{Codec: media.AC3}}), "an epoch without packets never was")
		require.NoError(t, w.BeginEpoch([]media.Track{track, audioTrack}))
		for range 10 {
			write(t, w, 0, int64(seq)*3000, true, fill(nil, seq, 100))
			seq++
		}
		if n%5 == 0 {
			// The closing mark has no content.
			require.NoError(t, w.EndEpoch())
			seq++
		}
		w.Commit()
		i, err := r.Info()
		require.NoError(t, err)
		require.Equal(t, uint32(n), i.Discontinuity)
		tracks, err := r.Tracks(i.Epoch)
		require.NoError(t, err)
		require.Equal(t, uint16(n), tracks[0].PID)
	}
	entries := checkAll(t, r)
	require.Equal(t, uint32(199), entries[len(entries)-1].Discontinuity)
	require.Equal(t, uint32(199-tableSlots+1), entries[0].Discontinuity)
	_, err := r.Tracks(1)
	require.ErrorIs(t, err, ErrOvertaken)
}

// TestEpochIDs checks that ids rise although the clock does not.
func TestEpochIDs(t *testing.T) {
	w, r, _ := newBuffer(t, Options{})
	ids := []uint64{0}
	for _, now := range []time.Time{epochTime, epochTime, epochTime.Add(-time.Hour), epochTime.Add(time.Second)} {
		w.SetTime(now)
		require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
		write(t, w, 0, 0, true, nil)
		w.Commit()
		i, err := r.Info()
		require.NoError(t, err)
		require.Greater(t, i.Epoch, ids[len(ids)-1])
		ids = append(ids, i.Epoch)
	}
	require.Len(t, checkAll(t, r), 4)
}

// TestEpochIDWithoutTime checks that ids differ from those of an earlier buffer of the same name.
func TestEpochIDWithoutTime(t *testing.T) {
	last := uint64(0)
	for range 3 {
		rw, ro, err := Create(Options{})
		require.NoError(t, err)
		w, err := OpenWriter(rw)
		require.NoError(t, err)
		require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
		write(t, w, 0, 0, true, nil)
		w.Commit()
		require.Greater(t, w.epoch, last)
		last = w.epoch
		require.NoError(t, w.Close())
		require.NoError(t, rw.Close())
		require.NoError(t, ro.Close())
	}
}

// TestTimesFarAway writes times near the ends of what is possible, as after 33 years of wraps.
func TestTimesFarAway(t *testing.T) {
	for _, start := range []int64{33 * 366 * 24 * 3600 * 90000, -maxTicks, maxTicks - 3_000_000, 1<<33 - 45000} {
		t.Run(fmt.Sprint(start), func(t *testing.T) {
			w, r, _ := newBuffer(t, Options{})
			require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, audioTrack}))
			for n := range int64(400) {
				write(t, w, int(n%2), start+n*3000, n%60 == 0, fill(nil, uint64(n), 10))
			}
			w.Commit()
			entries := checkAll(t, r)
			require.Len(t, entries, 400)
			require.Equal(t, uint64(7), entries[399].Segment)
			require.InDelta(t, media.Duration(399*3000), entries[399].Wall-entries[0].Wall, 1e7)
		})
	}
	// Wild jumps within an epoch cost the window, nothing else.
	w, r, _ := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	for seq, dts := range []int64{0, maxTicks - 3000, -maxTicks, 0, maxTicks - 3000, -maxTicks, 5, 4, 3} {
		write(t, w, 0, dts, true, fill(nil, uint64(seq), 10))
		w.Commit()
		checkAll(t, r)
	}
}

// TestHighNumbers goes on from sequence numbers that a stream reaches after ages.
func TestHighNumbers(t *testing.T) {
	w, r, _ := newBuffer(t, Options{Size: MinSize})
	w.tail, w.head, w.published = 1<<40-5, 1<<40-5, 1<<40-5
	w.m.h.tail, w.m.h.head = w.tail, w.head
	w.mem = newMemory(w.mem.fd, w.m, w.tail)
	w.cutter.segments = 1 << 40
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	for n := range uint64(5000) {
		write(t, w, 0, int64(n)*3000, true, fill(nil, 1<<40-5+n, 10))
	}
	w.Commit()
	require.Greater(t, len(checkAll(t, r)), 1500)
}

func TestResume(t *testing.T) {
	w, r, rw := newBuffer(t, Options{})
	seq := uint64(0)
	burst := func(w *Writer, n int, start int64) {
		require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
		for i := range n {
			write(t, w, 0, start+int64(i)*3000, i%60 == 0, fill(nil, seq, 100))
			seq++
		}
	}
	burst(w, 130, 1000)
	w.Commit()
	before := checkAll(t, r)
	// This is lost with its writer.
	require.NoError(t, w.WritePacket(&media.Packet{DTS: 1000 + 130*3000, Payload: []byte("lost")}))
	require.NoError(t, w.Close())

	// The controller closes the epoch.
	c, err := OpenWriter(rw)
	require.NoError(t, err)
	c.SetTime(epochTime.Add(10 * time.Second))
	require.ErrorIs(t, c.WritePacket(&media.Packet{}), ErrNoEpoch, "it is not this writer's epoch")
	require.NoError(t, c.EndEpoch())
	require.NoError(t, c.EndEpoch())
	require.NoError(t, c.Close())
	i, err := r.Info()
	require.NoError(t, err)
	require.Equal(t, Ended, i.State)
	require.Equal(t, uint64(131), i.Head)
	e, err := r.Entry(130)
	require.NoError(t, err)
	require.True(t, e.Has(EpochEnd))
	require.Equal(t, int64(1000+130*3000), e.DTS)
	require.Equal(t, uint64(3), e.Segment)
	require.Equal(t, before[129].Part, e.Part)
	seq++

	// The next publisher goes on.
	n, err := OpenWriter(rw)
	require.NoError(t, err)
	require.ErrorIs(t, n.WritePacket(&media.Packet{}), ErrNoEpoch)
	n.SetTime(epochTime.Add(12 * time.Second))
	burst(n, 100, 5)
	n.Commit()
	entries := checkAll(t, r)
	require.Equal(t, before, entries[:130])
	e = entries[131]
	require.Equal(t, EpochStart|SegmentStart|PartStart|RandomAccess, e.Flags)
	require.Equal(t, uint64(4), e.Segment)
	require.Equal(t, uint32(1), e.Discontinuity)
	require.Equal(t, epochTime.Add(12*time.Second).UnixNano(), e.Wall)
	require.NoError(t, n.Finish())
	require.NoError(t, n.Close())
	_, err = OpenWriter(rw)
	require.ErrorIs(t, err, ErrFinished)
}

// TestFinishShort checks that a stream that was shorter than a segment has TARGETDURATION in the end, also
// when somebody else finishes it.
func TestFinishShort(t *testing.T) {
	w, r, rw := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, audioTrack}))
	for n := range int64(70) { // no random access point ever
		write(t, w, 0, n*3000, false, nil)
	}
	w.Commit()
	i, err := r.Info()
	require.NoError(t, err)
	require.Zero(t, i.TargetDuration)
	require.NoError(t, w.Close())
	for range 2 {
		w, err = OpenWriter(rw)
		require.NoError(t, err)
		require.NoError(t, w.EndEpoch())
		require.NoError(t, w.Close())
	}
	w, err = OpenWriter(rw)
	require.NoError(t, err)
	require.NoError(t, w.Finish())
	require.NoError(t, w.Close())
	i, err = r.Info()
	require.NoError(t, err)
	require.Equal(t, 2, i.TargetDuration, "what was listed rounds to it")
	require.Equal(t, Closed, i.State)
}

// TestResumeProperties opens the buffer anew between any two calls, and checks that nothing that was visible changes.
func TestResumeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rw, ro, err := Create(Options{Size: MinSize, Window: time.Duration(rapid.IntRange(1, 60).Draw(t, "window")) * time.Second})
		require.NoError(t, err)
		defer func() { require.NoError(t, rw.Close()); require.NoError(t, ro.Close()) }()
		r, err := OpenReader(ro)
		require.NoError(t, err)
		defer func() { require.NoError(t, r.Close()) }()
		w, err := OpenWriter(rw)
		require.NoError(t, err)
		defer func() { require.NoError(t, w.Close()) }()
		dts := int64(0)
		now := epochTime
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(50 * time.Millisecond)
			w.SetTime(now)
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				before := checkAll(t, r)
				require.NoError(t, w.Close())
				w, err = OpenWriter(rw)
				require.NoError(t, err)
				require.Equal(t, before, checkAll(t, r))
			case 1:
				require.NoError(t, w.EndEpoch())
			case 2:
				require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, audioTrack}[:rapid.IntRange(1, 2).Draw(t, "tracks")]))
			case 3:
				w.Commit()
			default:
				most := rapid.SampledFrom([]int{100, 100, 5000, 5000, 5000, int(w.m.maxPayload)}).Draw(t, "most")
				for range rapid.IntRange(1, 50).Draw(t, "packets") {
					dts += 1500
					p := media.Packet{
						Track: rapid.IntRange(0, 1).Draw(t, "track"), DTS: dts, PTS: dts, RandomAccess: dts%30000 == 0,
						Payload: fill(nil, w.head, rapid.IntRange(0, most).Draw(t, "length")),
					}
					if err := w.WritePacket(&p); err != nil {
						require.True(t, !w.pending && (!w.open || w.inherited) || p.Track >= len(w.tracks), err)
					}
				}
			}
			checkAll(t, r)
		}
	})
}

func TestCreate(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		ok   bool
	}{
		{"defaults", Options{}, true},
		{"small size is raised", Options{Size: 1}, true},
		{"no parts", Options{PartTarget: -1}, true},
		{"long target raises the maximum", Options{SegmentTarget: 10 * time.Second}, true},
		{"short maximum lowers the target", Options{SegmentMax: 300 * time.Millisecond}, true},
		{"huge", Options{Size: MaxSize + pageSize}, false},
		{"long name", Options{Stream: string(make([]byte, 101))}, false},
		{"window too short", Options{Window: time.Millisecond}, false},
		{"window negative", Options{Window: -1}, false},
		{"target over the maximum", Options{SegmentTarget: 7 * time.Second, SegmentMax: 6 * time.Second}, false},
		{"part too short", Options{PartTarget: time.Millisecond}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rw, ro, err := Create(test.o)
			require.Equal(t, test.ok, err == nil, "%v", err)
			if err != nil {
				require.Nil(t, rw)
				require.Nil(t, ro)
				return
			}
			r, err := OpenReader(ro)
			require.NoError(t, err)
			i, err := r.Info()
			require.NoError(t, err)
			require.LessOrEqual(t, i.SegmentTarget, i.SegmentMax)
			if test.o.PartTarget < 0 {
				require.Zero(t, i.PartTarget)
			}
			require.NoError(t, r.Close())
			require.NoError(t, rw.Close())
			require.NoError(t, ro.Close())
		})
	}
}

// blocks returns the memory that a buffer takes, in bytes.
func blocks(t testing.TB, f *os.File) int64 {
	t.Helper()
	var st unix.Stat_t
	require.NoError(t, unix.Fstat(int(f.Fd()), &st))
	return st.Blocks * 512
}

var touched byte // keeps reads from being left out

// TestMemory checks that memory follows the window: up with the rate, down with it.
func TestMemory(t *testing.T) {
	w, r, rw := newBuffer(t, Options{Window: 5 * time.Second})
	require.Less(t, blocks(t, rw), int64(64<<10), "an empty buffer takes nothing")
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	dts := int64(0)
	payload := make([]byte, 200_000)
	stream := func(seconds, length int) (most int64) {
		for n := range seconds * 30 {
			dts += 3000
			write(t, w, 0, dts, n%30 == 0, payload[:length])
			w.Commit()
			if n > 11*30 {
				most = max(most, blocks(t, rw))
			}
		}
		return most
	}
	const mb = 1 << 20
	require.Less(t, stream(60, 20_000), int64(5*mb), "3 MB of window")
	require.Less(t, stream(20, 200_000), int64(36*mb), "30 MB of window")
	stream(5, 2_000)
	require.Less(t, blocks(t, rw), int64(2*mb), "at once")
	require.Less(t, stream(60, 2_000), int64(2*mb), "0.3 MB of window")

	// A reader that comes late makes pages appear again; they go one window later.
	for i := r.m.data; i < r.m.data+r.m.dataSize; i += pageSize {
		touched += r.m.mem[i]
	}
	require.Greater(t, blocks(t, rw), int64(50*mb))
	require.Less(t, stream(60, 2_000), int64(2*mb), "given back twice")
}

// TestKeyframesOfTheLastBuffer checks that a buffer begins with the keyframe distance that one before it has seen.
func TestKeyframesOfTheLastBuffer(t *testing.T) {
	for given, want := range map[time.Duration]int{0: 1, 4500 * time.Millisecond: 5, time.Hour: 12} {
		w, r, _ := newBuffer(t, Options{Keyframes: given})
		require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
		for n := range int64(100) {
			write(t, w, 0, n*3000, n%30 == 0, nil)
		}
		w.Commit()
		i, err := r.Info()
		require.NoError(t, err)
		require.Equal(t, want, i.TargetDuration)
		require.Equal(t, want, i.Keyframes)
	}
}
