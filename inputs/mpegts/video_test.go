package mpegts

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

// kinds lists the nal_unit_type of each NAL unit of an H.264 unit.
func kinds(b []byte) (list []byte) {
	for n := range media.NALUnits(b) {
		list = append(list, n[0]&0x1F)
	}
	return list
}

// packets returns all packets of a track over all epochs.
func (r *recorder) packets(track int) (list []media.Packet) {
	for i := range r.epochs {
		list = append(list, r.epochs[i].track(track)...)
	}
	return list
}

func TestH264Units(t *testing.T) {
	var (
		s, p = sps(0, 320, 192, false), pps(0, 0)
		i    = slice(0x65, 0, sliceI, 0, 300)
		b    = slice(0x41, 0, sliceP, 1, 200)
		half = slice(0x41, 100, sliceP, 1, 200)
		head = annexB(aud, s, p, i)
	)
	fs, fp := sps(0, 320, 192, true), pps(0, 0)
	top, bottom := fieldSlice(0x41, 1, false, 100), fieldSlice(0x41, 1, true, 100)
	fieldHead := annexB(aud, fs, fp, fieldSlice(0x65, 0, false, 100), aud, fieldSlice(0x41, 0, true, 100))
	for _, c := range []struct {
		name  string
		in    *crafter
		kinds [][]byte
		times []int64
	}{
		{
			"one in each PES",
			craft().video(90000, none, head).video(93600, none, annexB(aud, b)),
			[][]byte{{7, 8, 5}, {1}},
			[]int64{90000, 93600},
		},
		{
			"two in a PES",
			craft().video(90000, none, head, annexB(aud, b)).video(97200, none, annexB(aud, b)),
			[][]byte{{7, 8, 5}, {1}, {1}},
			[]int64{90000, 93600, 97200},
		},
		{
			"without delimiters",
			craft().video(90000, none, annexB(s, p, i, b, half, b)).video(100800, none, annexB(b, half)),
			[][]byte{{7, 8, 5}, {1, 1}, {1}, {1, 1}},
			[]int64{90000, 93600, 97200, 100800},
		},
		{
			"parameter sets between two in a PES",
			craft().video(90000, none, annexB(s, p, i, b, s, p, i)).video(100800, none, annexB(b)),
			[][]byte{{7, 8, 5}, {1}, {7, 8, 5}, {1}},
			[]int64{90000, 93600, 97200, 100800},
		},
		{
			"parameter sets in a PES of their own",
			craft().video(none, none, annexB(s, p)).video(90000, none, annexB(i)).video(93600, none, annexB(b)),
			[][]byte{{7, 8, 5}, {1}},
			[]int64{90000, 93600},
		},
		{
			"one over two PES, cut in a NAL unit",
			craft().video(90000, none, head[:150]).video(none, none, head[150:]).video(93600, none, annexB(aud, b)),
			[][]byte{{7, 8, 5}, {1}},
			[]int64{90000, 93600},
		},
		{
			"one over two PES, cut between slices",
			craft().video(90000, none, head).video(93600, none, annexB(aud, b)).video(none, none, annexB(half)).video(97200, none, annexB(aud, b)),
			[][]byte{{7, 8, 5}, {1, 1}, {1}},
			[]int64{90000, 93600, 97200},
		},
		{
			"one that ends in the PES of the next",
			craft().video(90000, none, head, annexB(aud, b[:50])).video(97200, none, b[50:], annexB(aud, b)),
			[][]byte{{7, 8, 5}, {1}, {1}},
			[]int64{90000, 93600, 97200},
		},
		{
			"fields in one PES",
			craft().video(90000, none, fieldHead).video(93600, none, annexB(aud, top, aud, bottom)),
			[][]byte{{7, 8, 5, 1}, {1, 1}},
			[]int64{90000, 93600},
		},
		{
			"fields in a PES each",
			craft().video(90000, none, fieldHead).video(93600, none, annexB(aud, top)).video(95400, none, annexB(aud, bottom)).
				video(97200, none, annexB(aud, top)).video(99000, none, annexB(aud, bottom)),
			[][]byte{{7, 8, 5, 1}, {1, 1}, {1, 1}},
			[]int64{90000, 93600, 97200},
		},
		{
			"a field alone",
			craft().video(90000, none, fieldHead).video(93600, none, annexB(aud, top)).video(97200, none, annexB(aud, top)),
			[][]byte{{7, 8, 5, 1}, {1}, {1}},
			[]int64{90000, 93600, 97200},
		},
		{
			"fields that do not belong together",
			craft().video(90000, none, fieldHead).video(93600, none, annexB(aud, top)).video(95400, none, annexB(aud, fieldSlice(0x41, 2, true, 100))),
			[][]byte{{7, 8, 5, 1}, {1}, {1}},
			[]int64{90000, 93600, 95400},
		},
		{
			"a field alone before one of the next frame",
			craft().video(90000, none, fieldHead).video(93600, none, annexB(aud, top)).video(97200, none, annexB(aud, bottom)).
				video(99000, none, annexB(aud, top)),
			[][]byte{{7, 8, 5, 1}, {1}, {1, 1}},
			[]int64{90000, 93600, 97200},
		},
		{
			"a field alone before one of the next frame, without delimiters",
			craft().video(90000, none, fieldHead).video(93600, none, annexB(top)).video(97200, none, annexB(bottom, top)),
			[][]byte{{7, 8, 5, 1}, {1}, {1, 1}},
			[]int64{90000, 93600, 97200},
		},
		{
			"a field for reference and one that is not",
			craft().video(90000, none, fieldHead).video(93600, none, annexB(aud, top)).
				video(95400, none, annexB(aud, fieldSlice(0x01, 1, true, 100), aud, fieldSlice(0x01, 1, false, 100))),
			[][]byte{{7, 8, 5, 1}, {1}, {1, 1}},
			[]int64{90000, 93600, 95400},
		},
		{
			"fields whose second is shown first",
			craft().video(90000, none, fieldHead).video(95400, 93600, annexB(aud, top)).video(93600, 95400, annexB(aud, bottom)),
			[][]byte{{7, 8, 5, 1}, {1, 1}},
			[]int64{90000, 93600},
		},
		{
			"filler, zeros and longer start codes",
			craft().video(90000, none, annexB(aud, s, p, append(slices.Clone(i), 0, 0, 0, 0), []byte{12, 255, 255, 128}), []byte{0, 0}).
				video(93600, none, []byte{0, 0, 0}, annexB(aud, b)),
			[][]byte{{7, 8, 5}, {1}},
			[]int64{90000, 93600},
		},
		{
			"no time on the second",
			craft().video(90000, none, head).video(none, none, annexB(aud, b)).video(97200, none, annexB(aud, b)),
			[][]byte{{7, 8, 5}, {1}, {1}},
			[]int64{90000, 93600, 97200},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := append(craft().tables(0, onlyVideo...).buf, c.in.buf...)
			r, d := demux(t, in, Options{})
			var got [][]byte
			for _, p := range r.packets(0) {
				got = append(got, kinds(p.Payload))
			}
			require.Equal(t, c.kinds, got)
			require.Equal(t, c.times, r.times(0))
			require.Zero(t, d.Stats().UnitErrors)
			require.Len(t, r.epochs, 1)
		})
	}
}

// TestBoundedPES: a unit is given on as soon as its PES is as long as its header says, and
// one that is longer than a PES can say is put together.
func TestBoundedPES(t *testing.T) {
	r := &recorder{}
	d := NewDemuxer(r, Options{})
	c := craft().tables(0, onlyVideo...)
	c.split(pidVideo, pesBytes(ts.StreamIDVideo, 90000, none, true, idr(500)))
	require.NoError(t, d.Write(c.buf))
	require.Len(t, r.packets(0), 1, "given on without the next PES")

	big := slice(0x41, 0, sliceP, 1, 100000)
	long := annexB(aud, big)
	c.buf = nil
	c.split(pidVideo, pesBytes(ts.StreamIDVideo, 93600, none, true, long[:65400]))
	c.split(pidVideo, pesBytes(ts.StreamIDVideo, none, none, true, long[65400:]))
	c.split(pidVideo, pesBytes(ts.StreamIDVideo, 97200, none, true, inter(100)))
	require.NoError(t, d.Write(c.buf))
	require.NoError(t, d.Flush())
	require.Equal(t, steps(90000, 3, 3600), r.times(0))
	require.Equal(t, big, r.packets(0)[1].Payload[4:])
	require.Zero(t, d.Stats().UnitErrors)
}

func TestPESBounds(t *testing.T) {
	head := func() *crafter { return craft().tables(0, onlyVideo...).gop(90000, 2) }
	for _, c := range []struct {
		name  string
		in    *crafter
		check func(s ts.Stats) uint64
		times []int64
	}{
		{
			"20 MB", head().video(97200, none, inter(20<<20)).gop(100800, 2),
			func(s ts.Stats) uint64 { return s.Oversized },
			[]int64{90000, 93600, 100800, 104400},
		},
		{
			"a picture over many PES that never ends", func() *crafter {
				c := head().video(97200, none, inter(100))
				for range 200 {
					c.video(none, none, fill(nil, 50000))
				}
				return c.gop(100800, 2)
			}(),
			func(s ts.Stats) uint64 { return s.Oversized },
			[]int64{90000, 93600, 100800, 104400},
		},
		{
			"too many NAL units", head().video(97200, none, bytes.Repeat([]byte{0, 0, 1, 0x41, 0x80}, 10000)).gop(100800, 2),
			func(s ts.Stats) uint64 { return s.Oversized },
			[]int64{90000, 93600, 100800, 104400},
		},
		{
			"no bytes", head().split(pidVideo, pesBytes(ts.StreamIDVideo, 97200, none, true)).gop(100800, 2),
			func(s ts.Stats) uint64 { return s.UnitErrors },
			[]int64{90000, 93600, 100800, 104400},
		},
		{
			"no NAL unit", head().video(97200, none, []byte{0, 0, 1}).gop(100800, 2),
			func(s ts.Stats) uint64 { return s.UnitErrors },
			[]int64{90000, 93600, 100800, 104400},
		},
		{
			"no start code", head().video(97200, none, make([]byte, 100)).gop(100800, 2),
			func(s ts.Stats) uint64 { return s.UnitErrors },
			[]int64{90000, 93600, 100800, 104400},
		},
		{
			"shorter than its length", head().split(pidVideo, append([]byte{0, 0, 1, 0xE0, 1, 0, 0x80, 0, 0}, inter(50)...)).gop(100800, 2),
			func(s ts.Stats) uint64 { return s.PESErrors },
			[]int64{90000, 93600, 97200, 100800, 104400},
		},
		{
			"a header over two packets", func() *crafter {
				c, pes := head(), pesBytes(ts.StreamIDVideo, 97200, none, false, inter(300))
				c.packet(pidVideo, true, nil, pes[:7]).packet(pidVideo, false, nil, pes[7:12])
				c.packet(pidVideo, false, nil, pes[12:196]).packet(pidVideo, false, nil, pes[196:])
				return c.gop(100800, 2)
			}(),
			func(s ts.Stats) uint64 { return 1 + s.PESErrors + s.UnitErrors }, steps(90000, 5, 3600),
		},
		{
			"nothing but a header", head().packet(pidVideo, true, nil, []byte{0, 0, 1, 0xE0}).gop(97200, 3),
			func(s ts.Stats) uint64 { return s.PESErrors }, steps(90000, 5, 3600),
		},
		{
			"padding", head().split(pidVideo, []byte{0, 0, 1, 0xBE, 0, 4, 255, 255, 255, 255}).gop(97200, 3),
			func(s ts.Stats) uint64 { return 1 + s.PESErrors }, steps(90000, 5, 3600),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, d := demux(t, c.in.buf, Options{})
			require.Equal(t, c.times, r.times(0))
			require.Equal(t, uint64(1), c.check(d.Stats()))
		})
	}
}

func TestRandomAccess(t *testing.T) {
	s, p := sps(0, 320, 192, false), pps(0, 0)
	i, b := slice(0x41, 0, sliceI, 2, 100), slice(0x41, 0, sliceP, 2, 100)
	lower := slice(0x41, 100, sliceI, 2, 100)
	mixed := slice(0x41, 100, sliceP, 2, 100)
	for _, c := range []struct {
		name string
		unit []byte
		want bool
		grad bool
	}{
		{"IDR", idr(100), true, false},
		{"IDR without headers", annexB(slice(0x65, 0, sliceI, 0, 100)), true, false},
		{"recovery point", annexB(aud, recoveryPoint(0), i), true, false},
		{"recovery point behind other messages", annexB(aud, []byte{6, 5, 2, 1, 2, 1, 1, 7, 6, 1, 0xC4, 0x80}, i), true, false},
		{"recovery point soon", annexB(aud, recoveryPoint(1), b), true, true},
		{"recovery point soon, of intra slices", annexB(aud, recoveryPoint(1), i), true, false},
		{"recovery point late", annexB(aud, recoveryPoint(40), b), false, false},
		{"recovery point late, with headers", annexB(aud, s, p, recoveryPoint(40), b), true, true},
		{"intra slices with headers", annexB(aud, s, p, i, lower), true, false},
		{"intra slices without headers", annexB(aud, i), false, false},
		{"not all slices intra", annexB(aud, s, p, i, mixed), false, false},
		{"headers alone", annexB(aud, s, p, b), false, false},
		{"damaged message", annexB(aud, []byte{6, 255, 255}, b), false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := craft().tables(0, onlyVideo...).video(90000, none, idr(100)).video(93600, none, c.unit)
			r, _ := demux(t, in.buf, Options{})
			require.Equal(t, c.want, r.packets(0)[1].RandomAccess)
			require.Equal(t, c.grad, r.packets(0)[1].Gradual)
		})
	}
}

// TestIntraRefresh: a stream that has a keyframe at most at its beginning can be begun at each of its recovery points.
func TestIntraRefresh(t *testing.T) {
	for _, c := range []struct {
		name, encode string
		kind         byte
		add          []byte // x265 does not write the message
	}{
		{"H.264", "-c:v libx264 -preset veryfast -x264-params intra-refresh=1:keyint=25:bframes=0:scenecut=0", ts.StreamTypeH264, nil},
		{
			"H.265", "-c:v libx265 -preset ultrafast -x265-params log-level=0:intra-refresh=1:keyint=25:min-keyint=25:bframes=0:scenecut=0:repeat-headers=1",
			ts.StreamTypeH265, append([]byte{0x4E, 1}, recoveryPoint(47)[1:]...), // recovery_poc_cnt is 24
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			encoded, _ := demux(t, ffmpeg(t, strings.Fields(pictures+"-pix_fmt yuv420p "+c.encode+" -f mpegts")...), Options{})
			remade := func(list []media.Packet) *crafter {
				in := craft().tables(0, es{c.kind, pidVideo, ""})
				for _, p := range list {
					nals := units(p.Payload)
					if c.add != nil && len(nals) > 1 {
						nals = slices.Insert(nals, len(nals)-1, c.add)
					}
					in.video(p.PTS, p.DTS, annexB(nals...))
				}
				return in
			}
			whole, _ := demux(t, remade(encoded.packets(0)).buf, Options{})
			list := whole.packets(0)
			require.Len(t, list, 100)
			points := 0
			for i, p := range list {
				require.Equal(t, p.RandomAccess && i > 0, p.Gradual, "picture %d", i)
				if p.Gradual {
					points++
				}
			}
			require.Equal(t, 3, points)

			r, _ := demux(t, remade(encoded.packets(0)[10:]).buf, Options{})
			require.Len(t, r.epochs, 1)
			got := r.packets(0)
			require.True(t, got[0].RandomAccess && got[0].Gradual)
			require.Equal(t, list[25].PTS, got[0].PTS, "it begins at the first one")
			require.Equal(t, list[99].PTS, got[len(got)-1].PTS)
		})
	}
}

// TestVideoContent compares each NAL unit with what ffmpeg finds.
func TestVideoContent(t *testing.T) {
	for _, c := range []struct{ name, encode, raw string }{
		{"h264", x264 + "-bf 2 -x264-params slices=3:keyint=20", "-c copy -bsf:v filter_units=remove_types=9|12 -f h264"},
		{"hevc", "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=0:keyint=20:slices=2", "-c copy -bsf:v filter_units=remove_types=35|38 -f hevc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := temp(t, "clip.ts")
			ffmpegFile(t, file, pictures+c.encode+" -f mpegts")
			clip := ffmpeg(t, strings.Fields("-i "+file+" -c copy -copyts -f mpegts")...)
			want := ffmpeg(t, strings.Fields("-i "+file+" "+c.raw)...)
			r, _ := demux(t, clip, Options{})
			var got []byte
			for _, p := range r.packets(0) {
				for n := range media.NALUnits(p.Payload) {
					got = append(append(got, 0, 0, 1), n...)
				}
			}
			// The length of start codes is free.
			want = bytes.ReplaceAll(want, []byte{0, 0, 0, 1}, []byte{0, 0, 1})
			require.True(t, bytes.Equal(want, got))
		})
	}
}

// TestKeyframeDistance: x264 and x265 tell with their first picture how far apart key frames may come.
func TestKeyframeDistance(t *testing.T) {
	x264 := "-c:v libx264 -preset veryfast -pix_fmt yuv420p " // ultrafast has no scene cuts
	for _, c := range []struct {
		name, args string
		want       int64
	}{
		{"x264's defaults", x264, 10 * media.ClockRate},
		{"x264 at 50 pictures a second", "-r 50 -g 100 " + x264, 2 * media.ClockRate},
		{"without scene cuts", x264 + "-sc_threshold 0 -g 50", 0},
		{"without end", x264 + "-x264-params keyint=infinite", 0},
		{"x265", "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=0:keyint=75:scenecut=40", 3 * media.ClockRate},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := demux(t, ffmpeg(t, strings.Fields("-f lavfi -i testsrc2=s=320x180:r=25:d=1 "+c.args+" -f mpegts")...), Options{})
			require.Len(t, r.epochs, 1)
			require.Equal(t, c.want, r.epochs[0].Tracks[0].KeyframeDistance)
		})
	}
}
