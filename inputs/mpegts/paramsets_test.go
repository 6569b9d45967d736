package mpegts

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/h26x"
	"brume/media/ts"
)

// TestParameterSets: an epoch begins with a picture that a decoder can begin at, and only where the decoder has to be
// configured in another way.
func TestParameterSets(t *testing.T) {
	other := annexB(aud, sps(0, 640, 352, false), pps(0, 0), slice(0x65, 0, sliceI, 0, 100))
	first, later := slice(0x65, 0, sliceI, 0, 20), slice(0x41, 0, sliceP, 1, 20)
	changed := (&bitWriter{b: []byte{0x68}, n: 8}).ue(0, 0).bits(0b10, 2).ue(0, 0, 0).bits(0, 3).ue(0, 0, 0).bits(0b001, 3).bits(1, 1).b // CABAC
	lying := [][]byte{
		{0x67},
		{0x67, 77, 0x40, 30},
		append([]byte{0x67, 77, 0x40, 30}, make([]byte, 20)...),
		sps(0, 1<<20, 192, false), bytes.Repeat([]byte{0x67}, 6000),
		{0x68},
		{0x68, 0, 0, 0},
	}
	for _, c := range []struct {
		name   string
		in     *crafter
		epochs int
		errors uint64
	}{
		{"the same again", craft().gop(90000, 3).gop(100800, 3), 1, 0},
		{"other content", craft().gop(90000, 3).video(100800, none, other), 2, 0},
		{"there and back", craft().gop(90000, 3).video(100800, none, other).gop(104400, 2), 3, 0},
		{"another set in mid-GOP", craft().gop(90000, 3).video(100800, none, annexB(aud, pps(1, 0), later)).gop(104400, 2), 1, 0},
		{"another set, and pictures with it", craft().gop(90000, 3).video(100800, none, annexB(aud, pps(1, 0), sliceOf(0x41, sliceP, 1))).
			video(104400, none, annexB(aud, sliceOf(0x41, sliceP, 1))).gop(108000, 2), 1, 0},
		{"another set to begin with", craft().gop(90000, 3).video(100800, none, annexB(aud, sps(0, 320, 192, false), pps(0, 0), pps(1, 0), first)), 2, 0},
		{"fewer sets to begin with", craft().video(90000, none, annexB(aud, sps(0, 320, 192, false), pps(0, 0), pps(1, 0), first)).gop(93600, 3), 1, 0},
		{"to begin with another that came before", craft().gop(90000, 3).video(100800, none, annexB(aud, pps(1, 0), later)).
			video(104400, none, annexB(aud, sliceOf(0x65, sliceI, 1))), 2, 0},
		{"a set of another sequence", craft().gop(90000, 3).video(100800, none, annexB(aud, sps(0, 320, 192, false), sps(3, 640, 352, false), pps(0, 0), pps(3, 3), first)), 1, 0},
		{"other content in mid-GOP", craft().gop(90000, 3).video(100800, none, annexB(aud, changed, later)).video(104400, none, inter(20)), 1, 0},
		{"other content in mid-GOP, and back", craft().gop(90000, 3).video(100800, none, annexB(aud, changed, later)).gop(104400, 2), 1, 0},
		{"other content to begin with", craft().gop(90000, 3).video(100800, none, annexB(aud, sps(0, 320, 192, false), changed, first)), 2, 0},
		{"other content in mid-GOP, then to begin with", craft().gop(90000, 3).video(100800, none, annexB(aud, changed, later)).
			video(104400, none, annexB(aud, sps(0, 320, 192, false), changed, first)), 2, 0},
		{"another set beside a picture that is intra only in part", craft().gop(90000, 3).video(100800, none,
			annexB(aud, sps(0, 320, 192, false), pps(0, 0), pps(1, 0), slice(0x41, 0, sliceI, 1, 20), slice(0x41, 100, sliceP, 1, 20))), 1, 0},
		{"nothing but a picture to begin with", craft().gop(90000, 3).video(100800, none, annexB(aud, first)), 1, 0},
		{"sets that lie", func() *crafter {
			c := craft().gop(90000, 2)
			for i, b := range lying {
				c.video(97200+3600*int64(i), none, annexB(aud, b, slice(0x41, 0, sliceP, 1, 20)))
			}
			return c
		}(), 1, uint64(len(lying))},
		{"a picture without its sets", craft().gop(90000, 2).video(97200, none, annexB(aud, sliceOf(0x41, sliceP, 9))), 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, d := demux(t, append(craft().tables(0, onlyVideo...).buf, c.in.buf...), Options{})
			require.Len(t, r.epochs, c.epochs)
			require.Equal(t, c.errors, d.Stats().UnitErrors)
			pes := bytes.Count(c.in.buf, []byte{0, 0, 1, ts.StreamIDVideo})
			if c.name == "a picture without its sets" {
				pes--
			}
			require.Len(t, r.packets(0), pes, "each picture that can be read")
			require.Zero(t, d.Stats().Discontinuities)
			for i := range r.epochs {
				p, err := r.epochs[i].Tracks[0].Params()
				require.NoError(t, err)
				require.Contains(t, []int{320, 640}, p.Width)
			}
		})
	}
}

// TestAddedSet: a picture parameter set with a new id beside a picture in mid-GOP comes out in band, where it came, and
// every picture with it, in one epoch.
func TestAddedSet(t *testing.T) {
	for _, c := range []struct {
		name string
		kind byte // stream_type
		set  byte // nal_unit_type of a picture parameter set
		head int  // bytes of a NAL unit header
	}{
		{"b-frames", ts.StreamTypeH264, h26x.H264PPS, 1},
		{"hevc", ts.StreamTypeH265, h26x.H265PPS, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole, _ := demux(t, oracleClip(t, c.name), Options{})
			var added []byte
			for n := range media.NALUnits(whole.epochs[0].Tracks[0].Config) {
				if added = n; c.head == 1 && n[0]&0x1F == c.set || c.head == 2 && n[0]>>1 == c.set {
					break
				}
			}
			require.NotZero(t, added[c.head]&0x80, "its id is 0")
			w := &bitWriter{b: bytes.Clone(added[:c.head]), n: 8 * c.head}
			w.ue(1)
			for i := 8*c.head + 1; i < 8*len(added); i++ {
				w.bits(uint32(added[i/8]>>(7-i%8)&1), 1)
			}
			in := craft().tables(0, es{c.kind, pidVideo, ""})
			list := whole.packets(0)
			for i, p := range list {
				var units [][]byte
				if i == 10 {
					units = append(units, w.b)
				}
				for n := range media.NALUnits(p.Payload) {
					units = append(units, n)
				}
				in.video(p.PTS, p.DTS, annexB(units...))
			}
			r, d := demux(t, in.buf, Options{})
			require.Len(t, r.epochs, 1)
			require.Len(t, r.packets(0), len(list))
			require.Zero(t, d.Stats().UnitErrors)
			for i, p := range r.packets(0) {
				require.Equal(t, i == 10, bytes.Contains(p.Payload, w.b))
			}
			require.Equal(t, whole.epochs[0].Tracks[0].Config, r.epochs[0].Tracks[0].Config)
		})
	}
}

// TestStaleSets: a new sequence does not drag along the sets of the one before.
func TestStaleSets(t *testing.T) {
	in := craft().tables(0, onlyVideo...)
	in.video(90000, none, annexB(aud, sps(0, 320, 192, false), pps(0, 0), pps(1, 0), slice(0x65, 0, sliceI, 0, 20)))
	in.video(93600, none, annexB(aud, sps(0, 640, 352, false), pps(0, 0), slice(0x65, 0, sliceI, 0, 20)))
	r, _ := demux(t, in.buf, Options{})
	require.Len(t, r.epochs, 2)
	require.Equal(t, []byte{7, 8, 8}, kinds(r.epochs[0].Tracks[0].Config))
	require.Equal(t, []byte{7, 8}, kinds(r.epochs[1].Tracks[0].Config))
}
