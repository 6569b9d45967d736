package mpegts

import (
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

// splice is a splice_info_section with a splice_null of n bytes of descriptors.
func splice(n int) []byte {
	b := append([]byte{ts.TableSCTE35, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xF0, 0, 0, byte(n >> 8), byte(n)}, make([]byte, n)...)
	b[1], b[2] = 0x30|byte((len(b)+1)>>8), byte(len(b)+1)
	return ts.AppendCRC32(b)
}

func TestSCTE35(t *testing.T) {
	short, long := splice(0), splice(400)
	wrong := splice(3)
	wrong[8] ^= 1
	other := section(0x80, 1, 0, []byte{1, 2, 3})
	c := craft().tables(0, append(onlyVideo, es{ts.StreamTypeSCTE35, pidMore, ""})...)
	c.gop(90000, 3).table(pidMore, short).gop(100800, 3).table(pidMore, wrong).table(pidMore, other).table(pidMore, long).gop(111600, 2)
	r, d := demux(t, c.buf, Options{})
	require.Len(t, r.epochs, 1)
	require.Equal(t, media.SCTE35, r.epochs[0].Tracks[1].Codec)
	list := r.packets(1)
	require.Len(t, list, 2)
	require.Equal(t, short, list[0].Payload)
	require.Equal(t, long, list[1].Payload)
	// As of the last picture that was whole.
	require.Equal(t, []int64{93600, 104400}, r.times(1))
	require.True(t, list[0].RandomAccess)
	require.Equal(t, uint64(1), d.Stats().CRCErrors)
	require.Zero(t, d.Stats().UnitErrors)
}

func TestSCTE35Alone(t *testing.T) {
	c := craft().pat(0, 1, pidPMT).table(pidPMT, pmt(1, 0, pidMore, es{ts.StreamTypeSCTE35, pidMore, ""}))
	c.table(pidMore, splice(0)).pcr(pidMore, 90000, false).table(pidMore, splice(1))
	r, d := demux(t, c.buf, Options{})
	require.Equal(t, []int64{90000, 90000}, r.times(0), "the first one waited for the clock")
	require.Zero(t, d.Stats().PESErrors)
}

// TestSCTE35First has splice commands that come before any time: they wait for the clock and keep their order.
func TestSCTE35First(t *testing.T) {
	withSplices := append(onlyVideo, es{ts.StreamTypeSCTE35, pidMore, ""})
	t.Run("no PCR", func(t *testing.T) {
		r, d := demux(t, craft().tables(0, withSplices...).table(pidMore, splice(0)).table(pidMore, splice(1)).gop(90000, 3).buf, Options{})
		require.Len(t, r.epochs, 1)
		require.Equal(t, []int64{90000, 90000}, r.times(1))
		require.Equal(t, splice(0), r.packets(1)[0].Payload)
		require.Equal(t, splice(1), r.packets(1)[1].Payload)
		require.Equal(t, steps(90000, 3, 3600), r.times(0))
		require.Zero(t, d.Stats().PESErrors)
	})
	t.Run("pictures long after", func(t *testing.T) {
		in := craft().tables(0, withSplices...).pcr(pidVideo, 90000, false).table(pidMore, splice(2))
		for i := range int64(100) {
			in.video(90000+3600*i, none, inter(50))
		}
		r, _ := demux(t, in.gop(450000, 3).buf, Options{})
		require.Equal(t, []int64{450000}, r.times(1), "with the first picture, 4 s later")
		require.Equal(t, steps(450000, 3, 3600), r.times(0))
	})
	t.Run("PCR long before pictures and sound", func(t *testing.T) {
		in := craft().tables(0, append(withAudio[:2:2], withSplices[1])...).pcr(pidVideo, 27000, false).table(pidMore, splice(0)).pcr(pidVideo, 27000, false)
		in.gop(90000, 9).audio(pidAudio, 90000, aac(16)).gop(122400, 3)
		r, _ := demux(t, in.buf, Options{})
		require.Len(t, r.epochs, 1, "sound is waited for as if there were no command")
		require.Len(t, r.epochs[0].Tracks, 3)
		require.Equal(t, []int64{90000}, r.times(2))
	})
	t.Run("bound", func(t *testing.T) {
		in := craft().tables(0, withSplices...)
		for range maxEarlyUnits + 3 {
			in.table(pidMore, splice(5))
		}
		r, d := demux(t, in.gop(90000, 3).buf, Options{})
		require.Len(t, r.packets(1), maxEarlyUnits)
		require.Equal(t, uint64(3), d.Stats().Oversized)
		in = craft().tables(0, withSplices...)
		for range 5 {
			in.table(pidMore, splice(4000))
		}
		r, d = demux(t, in.gop(90000, 3).buf, Options{})
		require.Len(t, r.packets(1), 4)
		require.Equal(t, uint64(1), d.Stats().Oversized)
	})
	t.Run("gone before the clock is known", func(t *testing.T) {
		in := craft().tables(0, withSplices...).table(pidMore, splice(0)).table(pidPMT, pmt(1, 1, pidVideo, onlyVideo...)).gop(90000, 3)
		r, _ := demux(t, in.buf, Options{})
		require.Len(t, r.epochs, 1)
		require.Len(t, r.epochs[0].Tracks, 1)
		require.Equal(t, steps(90000, 3, 3600), r.times(0))
	})
}

// TestSCTE35WaitsForEpoch has a splice PID that is added, with a command 3 s before the keyframe with which its epoch begins.
func TestSCTE35WaitsForEpoch(t *testing.T) {
	in := craft().tables(0, withAudio...).audio(pidAudio, 90000, aac(3)).gop(90000, 2)
	in.table(pidPMT, pmt(1, 1, pidVideo, append(withAudio[:2:2], es{ts.StreamTypeSCTE35, pidMore, ""})...)).table(pidMore, splice(7))
	for i := range int64(80) {
		in.video(97200+3600*i, none, inter(50)).audio(pidAudio, 97200+3600*i, aac(2))
	}
	in.gop(385200, 3)
	r, _ := demux(t, in.buf, Options{})
	last := r.epochs[len(r.epochs)-1]
	require.Len(t, last.Tracks, 3)
	require.Len(t, last.track(2), 1)
	require.Equal(t, splice(7), last.track(2)[0].Payload)
}

func TestKLV(t *testing.T) {
	key := append([]byte{6, 0x0E, 0x2B, 0x34}, fill(nil, 20)...)
	cell := func(fragment byte, b []byte) []byte {
		return append([]byte{0, 1, fragment<<6 | 0x0F, byte(len(b) >> 8), byte(len(b))}, b...)
	}
	asynchronous := es{ts.StreamTypePrivate, pidMore, "\x05\x04KLVA"}
	inCells := es{ts.StreamTypeMetadata, pidMore, "\x05\x04KLVA"}
	for _, c := range []struct {
		name   string
		es     es
		in     [][]byte
		out    [][]byte
		errors uint64
	}{
		{"asynchronous", asynchronous, [][]byte{key, key}, [][]byte{key, key}, 0},
		{"a cell", inCells, [][]byte{cell(3, key)}, [][]byte{key}, 0},
		{"two cells", inCells, [][]byte{append(cell(3, key), cell(3, key[:9])...)}, [][]byte{key, key[:9]}, 0},
		{"fragments", inCells, [][]byte{append(cell(2, key[:5]), cell(0, key[5:9])...), cell(1, key[9:])}, [][]byte{key}, 0},
		{"a fragment without the first", inCells, [][]byte{cell(1, key[9:]), cell(3, key)}, [][]byte{key}, 1},
		{"a cell over the end", inCells, [][]byte{cell(3, key)[:12]}, nil, 1},
		{"an empty cell", inCells, [][]byte{cell(3, nil)}, nil, 1},
		{"without the cell", inCells, [][]byte{key}, [][]byte{key}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := craft().tables(0, onlyVideo[0], c.es).gop(90000, 2)
			for i, b := range c.in {
				in.split(pidMore, pesBytes(ts.StreamIDMetadata, 93600+3000*int64(i), none, true, b))
			}
			in.gop(97200, 2)
			r, d := demux(t, in.buf, Options{})
			var got [][]byte
			for _, p := range r.packets(1) {
				got = append(got, p.Payload)
				require.InDelta(t, 93600, p.DTS, 3000)
			}
			require.Equal(t, c.out, got)
			require.Equal(t, c.errors, d.Stats().UnitErrors)
		})
	}
	t.Run("without a time", func(t *testing.T) {
		in := craft().tables(0, onlyVideo[0], asynchronous).gop(90000, 3).split(pidMore, pesBytes(ts.StreamIDPrivate1, none, none, true, key))
		r, _ := demux(t, in.buf, Options{})
		require.Equal(t, []int64{93600}, r.times(1))
	})
	t.Run("loss", func(t *testing.T) {
		in := craft().tables(0, onlyVideo[0], asynchronous).gop(90000, 3)
		in.split(pidMore, pesBytes(ts.StreamIDPrivate1, 97200, none, true, fill(nil, 500))).cut(-2)
		in.split(pidMore, pesBytes(ts.StreamIDPrivate1, 97200, none, true, key))
		r, d := demux(t, in.buf, Options{})
		require.Len(t, r.packets(1), 1)
		require.Equal(t, uint64(1), d.Stats().UnitErrors)
	})
}

// TestDataDoesNotHoldBack: an epoch does not wait for data, and keeps what came before it.
func TestDataDoesNotHoldBack(t *testing.T) {
	in := craft().tables(0, onlyVideo[0], es{ts.StreamTypeSCTE35, pidMore, ""}).pcr(pidVideo, 90000, false)
	in.table(pidMore, splice(0)).gop(93600, 2)
	r, _ := demux(t, in.buf, Options{})
	require.Len(t, r.epochs, 1)
	require.Len(t, r.packets(1), 1)
	require.Equal(t, steps(93600, 2, 3600), r.times(0))
}
