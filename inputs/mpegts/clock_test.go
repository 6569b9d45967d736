package mpegts

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct{ a, b, want int64 }{
		{5, 3, 2},
		{3, 5, -2},
		{3, ts.Wrap - 5, 8},
		{ts.Wrap - 5, 3, -8},
		{0, ts.Wrap / 2, -ts.Wrap / 2},
		{7 * ts.Wrap, 1, -1},
	} {
		require.Equal(t, c.want, ts.Distance(c.a, c.b))
	}
}

// TestClock feeds pictures, every 3600 ticks, with times that go wrong.
func TestClock(t *testing.T) {
	const start = 1000000
	good := steps(start, 20, 3600)
	change := func(at int, times ...int64) []int64 {
		l := slices.Clone(good)
		copy(l[at:], times)
		return l
	}
	for _, c := range []struct {
		name  string
		in    []int64
		out   []int64
		jumps uint64
		bad   uint64 // times that were not believed
	}{
		{"steady", good, good, 0, 0},
		{"one far ahead", change(5, start+50*90000), good, 0, 1},
		{"one far behind", change(5, start-50*90000), good, 0, 1},
		{"one just behind", change(5, start+4*3600-1), good, 0, 1},
		{"one twice", change(5, start+4*3600), good, 0, 1},
		{"two apart from each other", change(5, start+50*90000, start-50*90000), good, 0, 2},
		{"the last", change(19, start+50*90000), good, 0, 1},
		{"a pause of four seconds", append(slices.Clone(good), steps(start+500000, 5, 3600)...), append(slices.Clone(good), steps(start+500000, 5, 3600)...), 0, 0},
		{"a jump ahead", append(slices.Clone(good), steps(start+9000000, 5, 3600)...), append(slices.Clone(good), steps(start+9000000, 5, 3600)...), 1, 0},
		{"a jump back", append(slices.Clone(good), steps(start-900000, 5, 3600)...), append(slices.Clone(good), steps(start-900000, 5, 3600)...), 1, 0},
		{"a small jump back", append(slices.Clone(good), steps(start, 20, 3600)...), append(slices.Clone(good), steps(start, 20, 3600)...), 1, 0},
		{"a jump back below zero", append(slices.Clone(good), ts.Wrap-7200, ts.Wrap-3600, 0, 3600), append(slices.Clone(good), ts.Wrap-7200, ts.Wrap-3600, ts.Wrap, ts.Wrap+3600), 1, 0},
		{"the wrap", []int64{ts.Wrap - 7200, ts.Wrap - 3600, 0, 3600, 7200}, steps(ts.Wrap-7200, 5, 3600), 0, 0},
		{"two wraps", append([]int64{ts.Wrap - 3600, 0}, ts.Wrap/2, ts.Wrap/2+3600, ts.Wrap-7200, ts.Wrap-3600, 0), nil, 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := craft().tables(0, onlyVideo...)
			for _, at := range c.in {
				in.video(at, none, idr(20))
			}
			r, d := demux(t, in.buf, Options{})
			if c.out != nil {
				require.Equal(t, c.out, r.times(0))
			}
			require.Len(t, r.times(0), len(c.in))
			require.Equal(t, c.jumps, d.Stats().Discontinuities)
			require.Equal(t, c.bad, d.Stats().PESErrors)
			require.Len(t, r.epochs, 1+int(c.jumps))
			for _, at := range r.times(0) {
				require.GreaterOrEqual(t, at, int64(0))
			}
		})
	}
}

// TestSlowPictures: pictures that are seconds apart are no jumps where they come as slowly, and each lasts until the next.
func TestSlowPictures(t *testing.T) {
	const start = 1000000
	slow := func(second int64) []int64 { return steps(start, 8, second*media.ClockRate) }
	for _, c := range []struct {
		name string
		in   []int64 // none: the picture has no time
		out  []int64
	}{
		{"one in 2 s", slow(2), slow(2)},
		{"one in 8 s", slow(8), slow(8)},
		{"one in 8 s, one of them without a time", change(slow(8), 5, none), slow(8)},
		{"one in 8 s, one of them with a wrong time", change(slow(8), 5, start+1000*media.ClockRate), slow(8)},
		{
			"nothing for half a minute", append(steps(start, 5, 3600), steps(start+30*media.ClockRate, 5, 3600)...),
			append(steps(start, 5, 3600), steps(start+30*media.ClockRate, 5, 3600)...),
		},
		{
			"a time that comes twice, behind a pause", append(steps(start, 5, 3600), change(steps(start+8*media.ClockRate, 5, 3600), 2, start+8*media.ClockRate+3600)...),
			append(steps(start, 5, 3600), steps(start+8*media.ClockRate, 5, 3600)...),
		},
		{
			"no time behind a pause", append(steps(start, 5, 3600), start+4*media.ClockRate, none, none),
			append(steps(start, 5, 3600), steps(start+4*media.ClockRate, 3, 3600)...),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{}
			d := NewDemuxer(r, Options{})
			in := craft().tables(0, onlyVideo...)
			now := int64(start)
			for _, at := range c.in {
				if at != none && at < now+100*media.ClockRate {
					now = at
				}
				d.SetTime(media.Duration(now))
				if at != none {
					in.pcr(pidVideo, now, false)
				}
				in.video(at, none, idr(20))
				require.NoError(t, d.Write(in.buf))
				in.buf = nil
			}
			require.NoError(t, d.Flush())
			require.Equal(t, c.out, r.times(0))
			require.Zero(t, d.Stats().Discontinuities)
			require.Len(t, r.epochs, 1)
		})
	}
}

// TestSlowPictureComesAtOnce has a picture in 5 s among sound: each comes when nothing has come of it for a while, not only when the next does.
// Where a packet within a picture is stuffed, one picture is cut off there, and those behind it are whole, and come later.
func TestSlowPictureComesAtOnce(t *testing.T) {
	const start, step, tick = 1000000, 5 * media.ClockRate, media.ClockRate / 10
	for _, filled := range []bool{false, true} {
		r := &recorder{}
		d := NewDemuxer(r, Options{})
		in := craft().tables(0, withAudio...)
		var late []int64
		for at := int64(start); at < start+6*step; at += tick {
			pes := pesBytes(ts.StreamIDVideo, at, none, false, idr(400))
			switch since := (at - start) % step; {
			case since == 0 && filled:
				in.packet(pidVideo, true, nil, pes[:100])
			case since == 0:
				in.split(pidVideo, pes)
			case since == 5*tick && filled:
				in.packet(pidVideo, false, nil, pes[100:200])
			}
			in.audio(pidAudio, at, aac(1))
			d.SetTime(media.Duration(at))
			require.NoError(t, d.Write(in.buf))
			in.buf = nil
			for len(r.epochs) > 0 && len(late) < len(r.times(0)) {
				late = append(late, at-r.times(0)[len(late)])
			}
		}
		require.NoError(t, d.Flush())
		require.Equal(t, steps(start, 6, step), r.times(0))
		require.Zero(t, d.Stats().UnitErrors)
		pictures := r.epochs[0].track(0)
		if !filled {
			require.LessOrEqual(t, slices.Max(late), int64(3*tick), "%v", late)
			continue
		}
		require.Less(t, len(pictures[0].Payload), len(pictures[1].Payload))
		for _, p := range pictures[1:] {
			require.Len(t, p.Payload, len(pictures[1].Payload))
		}
		require.Equal(t, []int64{2 * tick, step, step, step, step}, late)
	}
}

// TestSlowPictureInBursts has a picture a second among sound, and what belongs to a second comes at once: each picture comes before the sound
// that it belongs to is over, also where its last packet is full. One whose packets other sound comes between is not cut.
func TestSlowPictureInBursts(t *testing.T) {
	const start, step, tick = 1000000, media.ClockRate, media.ClockRate / 50
	size := len(pesBytes(ts.StreamIDVideo, start, none, false, idr(0)))
	for _, c := range []struct {
		name  string
		bytes int
		late  int64 // in ticks of media time
	}{
		{"stuffed", 4*184 - size - 50, 6 * tick},
		{"full", 4*184 - size, 16 * tick},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{}
			d := NewDemuxer(r, Options{})
			in := craft().tables(0, withAudio...).audio(pidAudio, start-3*1920, aac(3))
			for n := range int64(6) {
				pes := pesBytes(ts.StreamIDVideo, start+n*step, none, false, idr(c.bytes))
				in.packet(pidVideo, true, nil, pes[:184])
				for at := int64(0); at < 10*tick; at += tick {
					in.audio(pidAudio, start+n*step+at, aac(1))
				}
				in.packet(pidVideo, false, nil, pes[184:368]).packet(pidVideo, false, nil, pes[368:552]).packet(pidVideo, false, nil, pes[552:])
				for at := int64(10 * tick); at < step; at += tick {
					in.audio(pidAudio, start+n*step+at, aac(1))
				}
				d.SetTime(media.Duration(n * step))
				writeAll(t, d, in)
			}
			require.NoError(t, d.Flush())
			require.Equal(t, steps(start, 6, step), r.times(0))
			require.Zero(t, d.Stats().UnitErrors)
			sound := int64(0)
			for _, p := range r.epochs[0].Packets {
				if p.Track == 1 {
					sound = p.DTS
					continue
				}
				require.Len(t, p.Payload, len(r.packets(0)[0].Payload))
				require.LessOrEqual(t, sound-p.DTS, 10*tick+c.late)
			}
		})
	}
}

// TestSlowReorder: slides with B-pictures are shown many seconds after they are decoded.
func TestSlowReorder(t *testing.T) {
	const step = 8 * media.ClockRate
	r := &recorder{}
	d := NewDemuxer(r, Options{})
	in := craft().tables(0, onlyVideo...)
	for i := range int64(10) {
		at := 900000 + step*i
		d.SetTime(media.Duration(at))
		in.video(at+2*step, at, idr(20))
		writeAll(t, d, in)
	}
	require.NoError(t, d.Flush())
	list := r.packets(0)
	require.Len(t, list, 10)
	for _, p := range list[3:] { // by then it is known how slow they are
		require.Equal(t, p.DTS+2*step, p.PTS)
	}
	require.Zero(t, d.Stats().Discontinuities)
}

// change replaces one of a list.
func change(list []int64, at int, v int64) []int64 {
	list[at] = v
	return list
}

// TestJumpOfTwoTracks: audio comes later in the stream than video, and all of it ends up in
// the epoch in which its picture is.
func TestJumpOfTwoTracks(t *testing.T) {
	c := craft().tables(0, withAudio...)
	write := func(from, to int64, base int64) {
		for at := from; at < to; at += 3600 {
			c.video(base+at, none, idr(30))
			if audio := at - 18000; audio >= from { // 0.2 s behind
				c.audio(pidAudio, base+audio, adtsFrame(2, 30), adtsFrame(2, 30))
			}
		}
	}
	c.audio(pidAudio, 898080, adtsFrame(2, 30))
	write(0, 90000, 900000)
	for at := int64(72000); at < 90000; at += 3600 { // the audio of the old time after the jump
		c.video(5000000+at-72000, none, idr(30))
		c.audio(pidAudio, 900000+at, adtsFrame(2, 30), adtsFrame(2, 30))
	}
	write(18000, 90000, 5000000)
	r, d := demux(t, c.buf, Options{})
	require.Equal(t, uint64(1), d.Stats().Discontinuities)
	require.Zero(t, d.Stats().UnitErrors)
	require.Len(t, r.epochs, 2)
	for i, base := range []int64{900000, 5000000} {
		for _, p := range r.epochs[i].Packets {
			require.InDelta(t, base, p.DTS, 100000, "epoch %d, track %d", i, p.Track)
		}
	}
	require.Len(t, r.epochs[0].track(0), 25)
	require.Len(t, r.epochs[0].track(1), 1+2*25)
}

// TestTrackThatDoesNotJump is dropped until it follows.
func TestTrackThatDoesNotJump(t *testing.T) {
	c := craft().tables(0, withAudio...).audio(pidAudio, 900000, adtsFrame(2, 30))
	for i := range int64(20) {
		c.video(900000+3600*i, none, idr(30)).audio(pidAudio, 900000+3600*i+1, adtsFrame(2, 30))
	}
	for i := range int64(40) {
		c.video(5000000+3600*i, none, idr(30)).audio(pidAudio, 972000+3600*i+1, adtsFrame(2, 30))
	}
	for i := range int64(20) {
		c.video(5144000+3600*i, none, idr(30)).audio(pidAudio, 5144000+3600*i, adtsFrame(2, 30))
	}
	r, d := demux(t, c.buf, Options{})
	require.Equal(t, uint64(1), d.Stats().Discontinuities)
	require.Len(t, r.epochs, 2)
	require.Len(t, r.times(0), 80)
	require.NotZero(t, d.Stats().UnitErrors)
	for _, p := range r.epochs[1].Packets {
		require.GreaterOrEqual(t, p.DTS, int64(5000000))
	}
	require.Len(t, r.epochs[1].track(1), 20)
}

// TestWrongTimeOfAudio: the frames behind a wrong time are put where they belong.
func TestWrongTimeOfAudio(t *testing.T) {
	for _, wrong := range []int64{900000 + 30*90000, 900000 - 30*90000, 0} {
		c := craft().tables(0, withAudio...)
		for i := range int64(20) {
			at := 900000 + 5760*i
			c.video(at, none, idr(20))
			if i == 7 {
				at = wrong
			}
			c.audio(pidAudio, at, adtsFrame(2, 30), adtsFrame(2, 30), adtsFrame(2, 30))
		}
		r, d := demux(t, c.buf, Options{})
		require.Len(t, r.epochs, 1)
		require.Equal(t, steps(900000, 60, 1920), r.times(1))
		require.Equal(t, uint64(1), d.Stats().PESErrors)
		require.Zero(t, d.Stats().Discontinuities)
	}
}

// TestPCRVouches: behind a jump of the PCR one timestamp is enough, and there is still
// one epoch.
func TestPCRVouches(t *testing.T) {
	c := craft().tables(0, onlyVideo...).pcr(pidVideo, 900000, false)
	for i := range int64(10) {
		c.video(900000+3600*i, none, idr(20)).pcr(pidVideo, 900000+3600*i, false)
	}
	c.pcr(pidVideo, 5000000, true).video(5000000, none, idr(20))
	r := &recorder{}
	d := NewDemuxer(r, Options{})
	require.NoError(t, d.Write(c.buf))
	c.buf = nil
	c.video(5003600, none, idr(20))
	require.NoError(t, d.Write(c.buf))
	require.Equal(t, uint64(1), d.Stats().Discontinuities)
	require.NoError(t, d.Flush())
	require.Equal(t, append(steps(900000, 10, 3600), 5000000, 5003600), r.times(0))

	t.Run("a PCR alone begins nothing", func(t *testing.T) {
		c := craft().tables(0, onlyVideo...)
		for i := range int64(10) {
			c.video(900000+3600*i, none, idr(20)).pcr(pidVideo, 900000+i*5000000%ts.Wrap, i%2 == 0)
		}
		r, _ := demux(t, c.buf, Options{})
		require.Len(t, r.epochs, 1)
		require.Equal(t, steps(900000, 10, 3600), r.times(0))
	})
}

// TestHeldTooLong: by the time of arrival, a jump that nothing confirms is given up.
func TestHeldTooLong(t *testing.T) {
	r := &recorder{}
	d := NewDemuxer(r, Options{})
	c := craft().tables(0, withAudio...).audio(pidAudio, 900000, aac(3)).gop(900000, 10).video(9000000, none, idr(20))
	c.split(pidVideo, nil) // ends the picture
	require.NoError(t, d.Write(c.buf))
	require.Len(t, r.times(0), 10)
	d.SetTime(1500 * time.Millisecond)
	require.NoError(t, d.Write(nil))
	require.Equal(t, steps(900000, 11, 3600), r.times(0))
	require.Zero(t, d.Stats().Discontinuities)
}

// TestHeldTooLongAudio: frames that are counted on from a wrong time are put right too, up
// to the next time that is told.
func TestHeldTooLongAudio(t *testing.T) {
	frame := adtsFrame(2, 30)
	r := &recorder{}
	d := NewDemuxer(r, Options{})
	c := craft().tables(0, withAudio[1]).audio(pidAudio, 900000, frame, frame)
	c.audio(pidAudio, 9000000, frame)
	writeAll(t, d, c)
	require.Equal(t, steps(900000, 2, 1920), r.times(0))
	d.SetTime(1500 * time.Millisecond)
	c.audio(pidAudio, none, frame, frame).audio(pidAudio, 900000+5*1920, frame, frame)
	writeAll(t, d, c)
	require.NoError(t, d.Flush())
	require.Equal(t, steps(900000, 7, 1920), r.times(0))
	require.Equal(t, uint64(1), d.Stats().PESErrors)
}

func TestOddTimes(t *testing.T) {
	const start = 1000000
	for _, c := range []struct {
		name     string
		pts, dts int64
		want     int64 // PTS
	}{
		{"B-frames", start + 7200, start + 3600, start + 7200},
		{"PTS alone", start + 3600, none, start + 3600},
		{"PTS far from DTS", start + 90*90000, start + 3600, start + 3600},
		{"DTS far from PTS", start + 3600, start + 90*90000, start + 3600},
		{"none", none, none, start + 3600},
		{"PTS behind the wrap of DTS", start + 3700, start + 3600, start + 3700},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := craft().tables(0, onlyVideo...).video(start-3600, none, idr(20)).video(start, none, idr(20)).
				video(c.pts, c.dts, inter(20)).video(start+7200, none, inter(20))
			r, _ := demux(t, in.buf, Options{})
			list := r.packets(0)
			require.Len(t, list, 4)
			require.Equal(t, start+int64(3600), list[2].DTS)
			require.Equal(t, c.want, list[2].PTS)
		})
	}
	t.Run("marker bits", func(t *testing.T) {
		pes := pesBytes(ts.StreamIDVideo, start, none, false, inter(20))
		pes[13] &^= 1
		in := craft().tables(0, onlyVideo...).video(start-7200, none, idr(20)).video(start-3600, none, inter(20)).split(pidVideo, pes)
		r, _ := demux(t, in.buf, Options{})
		require.Equal(t, steps(start-7200, 3, 3600), r.times(0))
	})
}

// TestBehindTheWrapAtStart: a track that is behind the wrap when another is past it.
func TestBehindTheWrapAtStart(t *testing.T) {
	c := craft().tables(0, withAudio...).audio(pidAudio, 0, aac(3)).video(0, ts.Wrap-3600, idr(20)).video(3600, 0, inter(20))
	r, _ := demux(t, c.buf, Options{})
	require.Equal(t, []int64{ts.Wrap - 3600, ts.Wrap}, r.times(0))
	require.Equal(t, steps(ts.Wrap, 3, 1920), r.times(1))
	require.Equal(t, ts.Wrap, r.packets(0)[0].PTS)
}

// TestLoop: a clip again and again, as `cat` would do it, with all its frames each time.
func TestLoop(t *testing.T) {
	clip := ffmpeg(t, strings.Fields(pictures+tone+x264+"-bf 2 -g 25 -c:a aac -f mpegts")...)
	r, d := demux(t, slices.Concat(clip, clip, clip), Options{})
	require.Equal(t, uint64(2), d.Stats().Discontinuities)
	require.Len(t, r.epochs, 3)
	one, _ := demux(t, clip, Options{})
	for i := range r.epochs {
		require.Equal(t, one.epochs[0].track(0), r.epochs[i].track(0))
		require.Len(t, r.epochs[i].track(1), len(one.epochs[0].track(1)))
	}
}

// TestResolutionChange: two clips of different size, one after the other and from the same time on.
func TestResolutionChange(t *testing.T) {
	small := ffmpeg(t, strings.Fields(pictures+tone+x264+"-bf 2 -g 25 -c:a aac -f mpegts")...)
	large := ffmpeg(t, strings.Fields("-f lavfi -i testsrc2=s=640x360:r=25:d=4 "+tone+x264+"-bf 2 -g 25 -c:a aac -output_ts_offset 4 -f mpegts")...)
	r, d := demux(t, slices.Concat(small, large), Options{})
	require.Zero(t, d.Stats().Discontinuities)
	require.Len(t, r.epochs, 2)
	for i, width := range []int{320, 640} {
		p, err := r.epochs[i].Tracks[0].Params()
		require.NoError(t, err)
		require.Equal(t, width, p.Width)
		require.Len(t, r.epochs[i].track(0), 100)
		require.True(t, r.epochs[i].track(0)[0].RandomAccess)
	}
	require.Equal(t, media.AAC, r.epochs[1].Tracks[1].Codec)

	r, _ = demux(t, slices.Concat(large, small), Options{}) // with a jump
	require.Len(t, r.epochs, 2)
	require.Len(t, r.epochs[1].track(0), 100)
}
