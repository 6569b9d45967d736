package h26x

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/stretchr/testify/require"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func TestReader(t *testing.T) {
	r := NewReader([]byte{0b10100110, 0b00100001, 0, 0, 3, 1, 0xFF})
	require.Equal(t, []uint32{0, 1, 2, 7}, []uint32{r.UE(), r.UE(), r.UE(), r.UE()})
	require.False(t, r.Err())
	r = NewReader([]byte{0, 0, 3, 1, 0, 0, 3})
	require.Equal(t, uint32(1), r.Bits(24), "without the emulation prevention byte")
	require.Zero(t, r.Bits(16))
	require.False(t, r.Err())
	require.Zero(t, r.Bits(1))
	require.True(t, r.Err())

	for _, b := range [][]byte{nil, {0}, bytes.Repeat([]byte{0}, 20), {0, 0, 0, 0, 0x80}} {
		r := NewReader(b)
		require.Zero(t, r.UE())
		require.True(t, r.Err())
	}
	r = NewReader([]byte{0, 0, 3, 0, 1, 0xFF, 0xFF, 0xFF, 0xFE})
	require.Equal(t, uint32(1<<32-2), r.UE(), "the longest code")
	require.False(t, r.Err())
}

func TestH264SPS(t *testing.T) {
	for _, c := range []struct {
		name, nal string
		want      H264SPSInfo
	}{
		{"high", "6764000cacd941419f9f011000000300100000030320f1429960", H264SPSInfo{Profile: 100, Level: 12, Width: 320, Height: 180, FrameRate: 25, FrameNumBits: 4, Reorder: Reorder{2, true}, References: 4, orderBits: 6, colours: true}},
		{"fields", "674d4015eca0a19f93011000000300100000030321f1429960", H264SPSInfo{Profile: 77, Constraints: 0x40, Level: 21, Width: 320, Height: 180, FrameRate: 25, FrameNumBits: 4, Interlaced: true, Reorder: Reorder{2, true}, References: 4, orderBits: 6, colours: true}},
		{"baseline", "6742c00cda05067e7c0440000003004000000c83c50aa8", H264SPSInfo{Profile: 66, Constraints: 0xC0, Level: 12, Width: 320, Height: 180, FrameRate: 25, FrameNumBits: 4, Reorder: Reorder{0, true}, References: 1, orderType: 2, orderBits: 4, colours: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseH264SPS(unhex(t, c.nal))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	for _, nal := range []string{"", "67", "6764000c", "68ce0fc8", "6764000cffffffffffffffffffff", "676400000000000000000000"} {
		_, err := ParseH264SPS(unhex(t, nal))
		require.ErrorIs(t, err, ErrParameterSet, nal)
	}
}

// TestReorder: what is told of the order of pictures, and what the level leaves room for where nothing is.
func TestReorder(t *testing.T) {
	for _, c := range []struct {
		name string
		sps  h264.SPS
		want Reorder
	}{
		{"main, not told", h264.SPS{ProfileIdc: 77, LevelIdc: 30, FrameMbsOnlyFlag: true, PicWidthInMbsMinus1: 44, PicHeightInMapUnitsMinus1: 35}, Reorder{5, false}},
		{"1080p at level 4", h264.SPS{ProfileIdc: 100, LevelIdc: 40, FrameMbsOnlyFlag: true, PicWidthInMbsMinus1: 119, PicHeightInMapUnitsMinus1: 67}, Reorder{4, false}},
		{"1080i at level 4", h264.SPS{ProfileIdc: 100, LevelIdc: 40, PicWidthInMbsMinus1: 119, PicHeightInMapUnitsMinus1: 33}, Reorder{4, false}},
		{"small", h264.SPS{ProfileIdc: 100, LevelIdc: 62, FrameMbsOnlyFlag: true}, Reorder{MaxReorder, false}},
		{"larger than its level", h264.SPS{ProfileIdc: 100, LevelIdc: 10, FrameMbsOnlyFlag: true, PicWidthInMbsMinus1: 119, PicHeightInMapUnitsMinus1: 67}, Reorder{0, false}},
		{"baseline", h264.SPS{ProfileIdc: 66, LevelIdc: 30}, Reorder{0, true}},
		{"in output order", h264.SPS{ProfileIdc: 77, LevelIdc: 30, PicOrderCntType: 2}, Reorder{0, true}},
		{"told", h264.SPS{ProfileIdc: 77, LevelIdc: 30, VUI: &h264.SPS_VUI{BitstreamRestriction: &h264.SPS_BitstreamRestriction{MaxNumReorderFrames: 3}}}, Reorder{3, true}},
		{"a lie", h264.SPS{ProfileIdc: 77, LevelIdc: 30, VUI: &h264.SPS_VUI{BitstreamRestriction: &h264.SPS_BitstreamRestriction{MaxNumReorderFrames: 1 << 31}}}, Reorder{MaxReorder, true}},
	} {
		require.Equal(t, c.want, h264Reorder(&c.sps, 0), c.name)
	}
	require.Equal(t, Reorder{0, true}, h264Reorder(&h264.SPS{ProfileIdc: 110, LevelIdc: 30}, 0x10), "nothing but intra pictures")
}

func TestH264PPS(t *testing.T) {
	for _, c := range []struct {
		nal      string
		pps, sps int
		ok       bool
	}{
		{"68ce0fc8", 0, 0, true},
		{"6828", 4, 0, false},
		{"684860", 1, 1, true},
		{"68", 0, 0, false},
		{"68000001", 0, 0, false},
	} {
		pps, sps, err := ParseH264PPS(unhex(t, c.nal))
		require.Equal(t, c.ok, err == nil, c.nal)
		if c.ok {
			require.Equal(t, []int{c.pps, c.sps}, []int{pps, sps}, c.nal)
		}
	}
}

const spsH265 = "42010101600000030090000003000003003ca00a080c1f3e595952930bc05a020000030002000003003210"

func TestH265SPS(t *testing.T) {
	got, err := ParseH265SPS(unhex(t, spsH265))
	require.NoError(t, err)
	require.Equal(t, H265SPSInfo{
		Profile: 1, Compatibility: 0x60000000, Constraints: [6]byte{0x90}, Level: 60, Width: 320, Height: 180, FrameRate: 25,
		Reorder: Reorder{2, true},
	}, got)
	for _, nal := range []string{"", "4201", "4001" + spsH265[4:], spsH265[:30], spsH265[:2] + "01ffffffffffffffffffffffffffffffffffff"} {
		_, err := ParseH265SPS(unhex(t, nal))
		require.ErrorIs(t, err, ErrParameterSet, nal)
	}
}

// FuzzParameterSets takes anything for the NAL units that are read.
func FuzzParameterSets(f *testing.F) {
	f.Add(unhex(f, "6764000cacd941419f9f011000000300100000030320f1429960"))
	f.Add(unhex(f, spsH265))
	f.Add(optionsSEI(uuidX264, "x264 - core 164 - options: cabac=1 keyint=250 scenecut=40", 6))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := ParseH264SPS(b); err == nil {
			require.Positive(t, i.Width)
			require.Positive(t, i.Height)
			require.LessOrEqual(t, max(i.Width, i.Height), MaxSize)
			require.LessOrEqual(t, i.FrameNumBits, 16)
			require.LessOrEqual(t, i.Reorder.Depth, MaxReorder)
			require.GreaterOrEqual(t, i.Reorder.Depth, 0)
			if h, ok := ParseH264Slice(b); ok {
				p := ParseH264PPSInfo(b)
				m := h.Marking(b[0], &i, &p)
				require.LessOrEqual(t, m.Most, 16)
				require.NotContains(t, m.Removed(), uint32(0))
			}
			if h, ok := ParseH264Slice(b); ok {
				h.Field(&i)
			}
		}
		if i, err := ParseH265SPS(b); err == nil {
			require.Positive(t, i.Width)
			require.Positive(t, i.Height)
			require.LessOrEqual(t, max(i.Width, i.Height), MaxSize)
			require.LessOrEqual(t, i.Reorder.Depth, MaxReorder)
			require.GreaterOrEqual(t, i.Reorder.Depth, 0)
		}
		if pps, sps, err := ParseH264PPS(b); err == nil {
			require.LessOrEqual(t, pps, 255)
			require.LessOrEqual(t, sps, 31)
		}
		if pps, sps, err := ParseH265PPS(b); err == nil {
			require.LessOrEqual(t, pps, 63)
			require.LessOrEqual(t, sps, 15)
		}
		if vps, err := ParseH265VPS(b); err == nil {
			require.LessOrEqual(t, vps, 15)
		}
		require.Less(t, ParseH264SEI(b).KeyframeInterval, 1<<20)
		require.GreaterOrEqual(t, ParseH265SEI(b).KeyframeInterval, 0)
		ParseH264Slice(b)
	})
}
