package h26x

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// The values of nal_unit_type (ITU-T H.265 table 7-1).
const (
	H265BLAFirst  = 16 // 16 to 23 are intra random access pictures
	H265BLAAlone  = 18 // BLA_N_LP: no picture behind it is shown before it
	H265IDR       = 19 // IDR_W_RADL: such pictures do not need what was before
	H265IDRAlone  = 20 // IDR_N_LP
	H265CRA       = 21
	H265IRAPLast  = 23
	H265VCLLast   = 31
	H265VPS       = 32
	H265SPS       = 33
	H265PPS       = 34
	H265AUD       = 35
	H265EndOfSeq  = 36
	H265EndOfFile = 37
	H265Filler    = 38
	H265SEI       = 39
	H265SuffixSEI = 40
)

// H265SPSInfo is what is used of a sequence parameter set (ITU-T H.265 7.3.2.2.1).
type H265SPSInfo struct {
	ID            int // 0 to 15
	Space         uint8
	HighTier      bool
	Profile       uint8
	Compatibility uint32  // general_profile_compatibility_flag[0] in the highest bit
	Constraints   [6]byte // from general_progressive_source_flag on
	Level         uint8
	Width, Height int     // of the cropped picture, pixels
	FrameRate     float64 // pictures per second, 0 where it is not told
	Interlaced    bool    // pictures are fields, or the source is said to be interlaced
	Reorder       Reorder // how output order may differ from decoding order
	Transfer      uint8   // transfer_characteristics (ITU-T H.273 table 3), 0 where it is not told
}

// ParseH265SPS reads a sequence parameter set, NAL unit header included. It allocates.
func ParseH265SPS(nal []byte) (H265SPSInfo, error) {
	if len(nal) < 16 || len(nal) > 4096 || nal[0]>>1&0x3F != H265SPS {
		return H265SPSInfo{}, ErrParameterSet
	}
	i, err := h265Head(nal)
	if err != nil {
		return H265SPSInfo{}, err
	}
	// The head is enough to pass the stream on; the rest, where it can be read, adds what the VUI tells.
	var s h265.SPS
	if s.Unmarshal(nal) == nil && s.VUI != nil {
		i.FrameRate = frameRate(s.FPS())
		i.Interlaced = i.Interlaced || s.VUI.FieldSeqFlag
		if s.VUI.ColourDescriptionPresentFlag {
			i.Transfer = s.VUI.TransferCharacteristics
		}
	}
	return i, nil
}

func h265Head(nal []byte) (i H265SPSInfo, err error) {
	r := NewReader(nal[2:])
	r.Skip(4) // sps_video_parameter_set_id
	layers := int(r.Bits(3))
	r.Skip(1)
	i.Space = uint8(r.Bits(2))
	i.HighTier = r.Bit() == 1
	i.Profile = uint8(r.Bits(5))
	i.Compatibility = r.Bits(32)
	for n := range i.Constraints {
		i.Constraints[n] = byte(r.Bits(8))
	}
	i.Interlaced = i.Constraints[0]&0xC0 == 0x40 // general_interlaced_source_flag alone
	i.Level = uint8(r.Bits(8))
	skipSubLayers(&r, layers)
	id, chroma := r.UE(), r.UE()
	planes := chroma == 3 && r.Bit() == 1
	width, height := int64(r.UE()), int64(r.UE())
	if r.Bit() == 1 { // conformance_window_flag
		unitX, unitY := int64(1), int64(1) // table 6-1
		if !planes && (chroma == 1 || chroma == 2) {
			unitX = 2
		}
		if chroma == 1 {
			unitY = 2
		}
		width -= unitX * (int64(r.UE()) + int64(r.UE()))
		height -= unitY * (int64(r.UE()) + int64(r.UE()))
	}
	if r.Err() || id > 15 || chroma > 3 || width < 1 || height < 1 || width > MaxSize || height > MaxSize {
		return i, ErrParameterSet
	}
	i.ID, i.Width, i.Height = int(id), int(width), int(height)
	i.Reorder = h265Reorder(&r, layers)
	return i, nil
}

// h265Reorder reads on to sps_max_num_reorder_pics of the highest sub-layer.
func h265Reorder(r *Reader, layers int) Reorder {
	r.UE()            // bit_depth_luma_minus8
	r.UE()            // bit_depth_chroma_minus8
	r.UE()            // log2_max_pic_order_cnt_lsb_minus4
	n := 1            // how many sub-layers are told
	if r.Bit() == 1 { // sps_sub_layer_ordering_info_present_flag
		n += layers
	}
	depth := uint32(0)
	for range n {
		r.UE() // sps_max_dec_pic_buffering_minus1
		depth = r.UE()
		r.UE() // sps_max_latency_increase_plus1
	}
	if r.Err() || depth > MaxReorder {
		return Reorder{Depth: MaxReorder} // no decoded picture buffer has room for more
	}
	return Reorder{Depth: int(depth), Told: true}
}

// skipSubLayers passes over the sub-layers of profile_tier_level (ITU-T H.265 7.3.3).
func skipSubLayers(r *Reader, layers int) {
	if layers == 0 {
		return
	}
	var profile, level [8]bool
	for n := range 8 {
		profile[n] = r.Bit() == 1 && n < layers
		level[n] = r.Bit() == 1 && n < layers
	}
	for n := range layers {
		if profile[n] {
			r.Skip(88)
		}
		if level[n] {
			r.Skip(8)
		}
	}
}

// ParseH265VPS reads the identifier of a video parameter set, NAL unit header included.
func ParseH265VPS(nal []byte) (vps int, err error) {
	if len(nal) < 4 {
		return 0, ErrParameterSet
	}
	return int(nal[2] >> 4), nil
}

// ParseH265PPS reads the identifiers of a picture parameter set and of the sequence
// parameter set that it refers to, NAL unit header included.
func ParseH265PPS(nal []byte) (pps, sps int, err error) {
	if len(nal) < 3 {
		return 0, 0, ErrParameterSet
	}
	r := NewReader(nal[2:])
	p, s := r.UE(), r.UE()
	if r.Err() || p > 63 || s > 15 {
		return 0, 0, ErrParameterSet
	}
	return int(p), int(s), nil
}
