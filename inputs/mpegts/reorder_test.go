package mpegts

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

// withoutDTS writes pictures into a stream of their own, each with its presentation time alone. A nil list of times stands
// for those of the pictures.
func withoutDTS(kind byte, list []media.Packet, times []int64) *crafter {
	in := craft().tables(0, es{kind, pidVideo, ""})
	for i, p := range list {
		at := p.PTS
		if times != nil {
			at = times[i]
		}
		in.video(at, none, annexB(units(p.Payload)...))
	}
	return in
}

// units are the NAL units of a payload.
func units(payload []byte) (list [][]byte) {
	for n := range media.NALUnits(payload) {
		list = append(list, n)
	}
	return list
}

// presented are the presentation times of packets.
func presented(list []media.Packet) (times []int64) {
	for _, p := range list {
		times = append(times, p.PTS)
	}
	return times
}

// risesTo fails unless decoding times rise and no picture is shown before it is decoded.
func risesTo(t *testing.T, list []media.Packet) {
	t.Helper()
	for i, p := range list {
		require.LessOrEqual(t, p.DTS, p.PTS, "picture %d", i)
		require.True(t, i == 0 || p.DTS > list[i-1].DTS, "picture %d", i)
	}
}

// TestWithoutDTS: the decoding times of B-frames whose PES tell none are those that the encoder meant.
func TestWithoutDTS(t *testing.T) {
	for _, c := range []struct {
		name, encode string
		kind         byte
	}{
		{"B-frames", x264 + "-bf 2 -x264-params b-pyramid=0:b-adapt=0 -g 25", ts.StreamTypeH264},
		{"B-frames that others need", x264 + "-bf 5 -x264-params b-pyramid=normal:b-adapt=0 -g 25", ts.StreamTypeH264},
		{"open GOP", x264 + "-bf 3 -x264-params open-gop=1 -g 25", ts.StreamTypeH264},
		{"a GOP without B-frames to begin with", x264 + "-bf 2 -g 25 -force_key_frames 0.2", ts.StreamTypeH264},
		{"fields", x264 + "-bf 2 -flags +ilme+ildct -g 25", ts.StreamTypeH264},
		{"no B-frames", x264 + "-bf 0 -g 25", ts.StreamTypeH264},
		{"H.265", "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=0:keyint=25:bframes=4:b-adapt=0", ts.StreamTypeH265},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole, _ := demux(t, ffmpeg(t, strings.Fields(pictures+c.encode+" -f mpegts")...), Options{})
			want := whole.packets(0)
			require.Len(t, want, 100)
			r, d := demux(t, withoutDTS(c.kind, want, nil).buf, Options{})
			require.Len(t, r.epochs, 1)
			got := r.packets(0)
			require.Equal(t, presented(want), presented(got))
			require.Equal(t, whole.times(0), r.times(0))
			require.Zero(t, d.Stats().PESErrors)
			require.Zero(t, d.Stats().Discontinuities)
		})
	}
}

// TestWithoutDTSAstray: what goes wrong with the times of such a stream.
func TestWithoutDTSAstray(t *testing.T) {
	whole, _ := demux(t, ffmpeg(t, strings.Fields(pictures+x264+"-bf 2 -x264-params b-pyramid=0:b-adapt=0 -g 25 -f mpegts")...), Options{})
	list := whole.packets(0)
	times := presented(list)
	t.Run("the wrap", func(t *testing.T) {
		shifted := slices.Clone(times)
		for i := range shifted {
			shifted[i] = (shifted[i] - times[50]) & (ts.Wrap - 1)
		}
		r, _ := demux(t, withoutDTS(ts.StreamTypeH264, list, shifted).buf, Options{})
		require.Len(t, r.epochs, 1)
		risesTo(t, r.packets(0))
		for i, p := range r.packets(0) {
			require.Equal(t, times[i]-times[50]+ts.Wrap, p.PTS)
		}
	})
	t.Run("from 0 on", func(t *testing.T) {
		shifted := slices.Clone(times)
		for i := range shifted {
			shifted[i] -= times[0]
		}
		r, _ := demux(t, withoutDTS(ts.StreamTypeH264, list, shifted).buf, Options{})
		got := r.packets(0)
		require.Len(t, got, 100)
		risesTo(t, got)
		require.GreaterOrEqual(t, got[0].DTS, int64(0))
	})
	t.Run("pictures are lost", func(t *testing.T) {
		cut := slices.Delete(slices.Clone(list), 30, 47)
		r, _ := demux(t, withoutDTS(ts.StreamTypeH264, cut, nil).buf, Options{})
		require.Len(t, r.epochs, 1)
		require.Equal(t, presented(cut), presented(r.packets(0)))
		risesTo(t, r.packets(0))
	})
	t.Run("a wrong time", func(t *testing.T) {
		wrong := change(slices.Clone(times), 40, times[40]+50*90000)
		r, d := demux(t, withoutDTS(ts.StreamTypeH264, list, wrong).buf, Options{})
		require.Len(t, r.epochs, 1)
		require.Equal(t, uint64(1), d.Stats().PESErrors)
		got := presented(r.packets(0))
		require.Len(t, got, 100)
		require.InDelta(t, times[40], got[40], 3*3600)
		require.Equal(t, slices.Delete(slices.Clone(times), 40, 41), slices.Delete(got, 40, 41))
	})
	t.Run("a picture without a time", func(t *testing.T) {
		less := change(slices.Clone(times), 40, none)
		r, _ := demux(t, withoutDTS(ts.StreamTypeH264, list, less).buf, Options{})
		require.Len(t, r.packets(0), 100)
		require.Equal(t, times[41:], presented(r.packets(0))[41:])
		require.Equal(t, slices.Concat(times[:40], times[41:]), slices.Delete(presented(r.packets(0)), 40, 41))
	})
	for _, by := range []int64{-50 * media.ClockRate, 50 * media.ClockRate, 0} {
		in := craft().tables(0, onlyVideo...)
		for _, base := range []int64{60 * media.ClockRate, 60*media.ClockRate + by} {
			in.buf = append(in.buf, withoutDTSFrom(in, list, base)...)
		}
		r, d := demux(t, in.buf, Options{})
		require.Equal(t, uint64(1), d.Stats().Discontinuities, "a jump by %d", by)
		require.Len(t, r.epochs, 2)
		for i := range r.epochs {
			require.Len(t, r.epochs[i].track(0), 100)
			risesTo(t, r.epochs[i].track(0))
		}
	}
}

// withoutDTSFrom are the packets of pictures from a time on.
func withoutDTSFrom(c *crafter, list []media.Packet, base int64) []byte {
	more := &crafter{cc: c.cc}
	for _, p := range list {
		more.video(base+p.PTS, none, annexB(units(p.Payload)...))
	}
	return more.buf
}

// TestReorderUntold: B slices show that pictures are reordered where the sequence does not tell. From then on all that the
// decoded picture buffer allows is reckoned with, and the pictures are shown in order from the first one on.
func TestReorderUntold(t *testing.T) {
	set := untold()
	in := craft().tables(0, onlyVideo...)
	var want []int64
	write := func(at int64, nals ...[]byte) {
		in.video(at, none, annexB(append([][]byte{aud}, nals...)...))
		want = append(want, at)
	}
	for gop := range int64(4) {
		at := 90000 + gop*7*3600
		write(at, set, pps(0, 0), slice(0x65, 0, sliceI, 0, 100))
		for i := range int64(2) {
			write(at+(3*i+3)*3600, slice(0x41, 0, sliceP, 1, 100))
			write(at+(3*i+1)*3600, slice(0x01, 0, sliceB, 2, 100))
			write(at+(3*i+2)*3600, slice(0x01, 0, sliceB, 2, 100))
		}
	}
	r, d := demux(t, in.buf, Options{})
	require.Len(t, r.epochs, 1)
	got := r.packets(0)
	require.Equal(t, want, presented(got))
	require.Zero(t, d.Stats().PESErrors)
	risesTo(t, got[10:])
	for i := 1; i < len(got); i++ {
		require.Greater(t, got[i].DTS, got[i-1].DTS)
	}
}

// TestNoReorderUntold: nothing is added to the times of a stream that has no B slices.
func TestNoReorderUntold(t *testing.T) {
	in := craft().tables(0, onlyVideo...)
	for i := range int64(10) {
		if i%5 == 0 {
			in.video(90000+3600*i, none, annexB(aud, untold(), pps(0, 0), slice(0x65, 0, sliceI, 0, 100)))
		} else {
			in.video(90000+3600*i, none, inter(100))
		}
	}
	r, _ := demux(t, in.buf, Options{})
	require.Equal(t, steps(90000, 10, 3600), r.times(0))
	require.Equal(t, steps(90000, 10, 3600), presented(r.packets(0)))
}

// untold is a sequence parameter set of the main profile, for 320x192, that says nothing of the order of pictures.
func untold() []byte {
	w := &bitWriter{b: []byte{0x67, 77, 0x40, 30}, n: 32}
	w.ue(0, 0, 0, 0, 4).bits(0, 1) // log2_max_frame_num 4, POC type 0 of 4 bits, four references
	w.ue(320/16-1, 192/16-1).bits(1, 1)
	return w.bits(0b100, 3).bits(1, 1).b
}
