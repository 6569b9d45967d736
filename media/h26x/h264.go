package h26x

import (
	"errors"
	"fmt"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// ErrParameterSet is returned for a parameter set that can't be true.
var ErrParameterSet = errors.New("parameter set is not valid")

// MaxSize bounds width and height of a picture, in pixels.
const MaxSize = 16384

// The values of nal_unit_type (ITU-T H.264 table 7-1).
const (
	H264Slice     = 1
	H264PartA     = 2
	H264IDR       = 5
	H264SEI       = 6
	H264SPS       = 7
	H264PPS       = 8
	H264AUD       = 9
	H264EndOfSeq  = 10
	H264EndOfFile = 11
	H264Filler    = 12
	H264Prefix    = 14
	H264Reserved  = 18 // 14 to 18 begin an access unit
)

// H264SPSInfo is what is used of a sequence parameter set (ITU-T H.264 7.3.2.1.1).
type H264SPSInfo struct {
	ID            int // 0 to 31
	Profile       uint8
	Constraints   uint8 // the constraint_set flags, as they stand in the byte
	Level         uint8
	Width, Height int     // of the cropped frame, pixels
	FrameRate     float64 // frames per second, 0 where it is not told
	Interlaced    bool    // frame_mbs_only_flag is 0: fields or field macroblocks may occur
	FrameNumBits  int     // length of frame_num in slice headers
	ColourPlanes  bool    // separate_colour_plane_flag: slice headers have colour_plane_id
	Reorder       Reorder // how output order may differ from decoding order
	Transfer      uint8   // transfer_characteristics (ITU-T H.273 table 3), 0 where it is not told
	References    int     // max_num_ref_frames, 0 to 16

	orderType  uint32 // pic_order_cnt_type
	orderBits  int    // length of pic_order_cnt_lsb
	orderFixed bool   // delta_pic_order_always_zero_flag
	colours    bool   // ChromaArrayType is not 0
}

// ParseH264SPS reads a sequence parameter set, NAL unit header included. It allocates.
func ParseH264SPS(nal []byte) (H264SPSInfo, error) {
	var s h264.SPS
	if len(nal) < 4 || len(nal) > 4096 {
		return H264SPSInfo{}, ErrParameterSet
	}
	if err := s.Unmarshal(nal); err != nil {
		return H264SPSInfo{}, fmt.Errorf("%w: %w", ErrParameterSet, err)
	}
	if s.ID > 31 || s.ChromaFormatIdc > 3 || s.Log2MaxFrameNumMinus4 > 12 ||
		s.PicWidthInMbsMinus1 >= MaxSize/16 || s.PicHeightInMapUnitsMinus1 >= MaxSize/16 {
		return H264SPSInfo{}, ErrParameterSet
	}
	fields := int64(2) // map units are as high as a field
	if s.FrameMbsOnlyFlag {
		fields = 1
	}
	width := 16 * (int64(s.PicWidthInMbsMinus1) + 1)
	height := 16 * fields * (int64(s.PicHeightInMapUnitsMinus1) + 1)
	if c := s.FrameCropping; c != nil {
		unitX, unitY := int64(1), fields // 7.4.2.1.1: ChromaArrayType 0 and 3
		if !s.SeparateColourPlaneFlag && (s.ChromaFormatIdc == 1 || s.ChromaFormatIdc == 2) {
			unitX = 2
		}
		if !s.SeparateColourPlaneFlag && s.ChromaFormatIdc == 1 {
			unitY *= 2
		}
		width -= unitX * (int64(c.LeftOffset) + int64(c.RightOffset))
		height -= unitY * (int64(c.TopOffset) + int64(c.BottomOffset))
	}
	if width < 1 || height < 1 || height > MaxSize {
		return H264SPSInfo{}, ErrParameterSet
	}
	transfer := uint8(0)
	if v := s.VUI; v != nil && v.ColourDescriptionPresentFlag {
		transfer = v.TransferCharacteristics
	}
	return H264SPSInfo{
		ID: int(s.ID), Profile: s.ProfileIdc, Constraints: nal[2], Level: s.LevelIdc,
		Width: int(width), Height: int(height), FrameRate: frameRate(s.FPS()),
		Interlaced: !s.FrameMbsOnlyFlag, FrameNumBits: int(s.Log2MaxFrameNumMinus4) + 4,
		ColourPlanes: s.SeparateColourPlaneFlag, Transfer: transfer, Reorder: h264Reorder(&s, nal[2]), References: int(min(s.MaxNumRefFrames, 16)),
		orderType: s.PicOrderCntType, orderBits: int(min(s.Log2MaxPicOrderCntLsbMinus4, 12)) + 4, orderFixed: s.DeltaPicOrderAlwaysZeroFlag,
		colours: s.ChromaFormatIdc != 0 && !s.SeparateColourPlaneFlag,
	}, nil
}

// Reorder says how many pictures may precede one in decoding order and follow it in output order.
type Reorder struct {
	Depth int  // at most so many, 0 to MaxReorder
	Told  bool // the sequence says so; else Depth is what the decoded picture buffer has room for
}

// MaxReorder bounds Reorder.Depth.
const MaxReorder = 16

// h264Reorder is max_num_reorder_frames (ITU-T H.264 E.2.1), or what it is inferred to be.
func h264Reorder(s *h264.SPS, constraints uint8) Reorder {
	intraOnly := constraints&0x10 != 0 && slices.Contains([]uint8{44, 86, 100, 110, 122, 244}, s.ProfileIdc)
	switch {
	case s.ProfileIdc == 66 || s.PicOrderCntType == 2 || intraOnly:
		return Reorder{Told: true}
	case s.VUI != nil && s.VUI.BitstreamRestriction != nil:
		return Reorder{Depth: int(min(s.VUI.BitstreamRestriction.MaxNumReorderFrames, MaxReorder)), Told: true}
	}
	size := (s.PicWidthInMbsMinus1 + 1) * (s.PicHeightInMapUnitsMinus1 + 1)
	if !s.FrameMbsOnlyFlag {
		size *= 2
	}
	return Reorder{Depth: int(min(maxDpbMbs(s.LevelIdc)/size, MaxReorder))}
}

// maxDpbMbs is the decoded picture buffer of a level in macroblocks (ITU-T H.264 table A-1).
func maxDpbMbs(level uint8) uint32 {
	for _, l := range []struct {
		to  uint8
		mbs uint32
	}{{10, 396}, {11, 900}, {20, 2376}, {21, 4752}, {30, 8100}, {31, 18000}, {32, 20480}, {41, 32768}, {42, 34816}, {50, 110400}, {52, 184320}} {
		if level <= l.to {
			return l.mbs
		}
	}
	return 696320
}

// frameRate turns what no display does into 0; a time scale is told freely.
func frameRate(f float64) float64 {
	if f >= 0.01 && f <= 1000 {
		return f
	}
	return 0
}

// ParseH264PPS reads the identifiers of a picture parameter set and of the sequence
// parameter set that it refers to, NAL unit header included.
func ParseH264PPS(nal []byte) (pps, sps int, err error) {
	if len(nal) < 2 {
		return 0, 0, ErrParameterSet
	}
	r := NewReader(nal[1:])
	p, s := r.UE(), r.UE()
	if r.Err() || p > 255 || s > 31 {
		return 0, 0, ErrParameterSet
	}
	return int(p), int(s), nil
}

// H264SliceHead is the beginning of a slice header (ITU-T H.264 7.3.3).
type H264SliceHead struct {
	FirstMB uint32
	Intra   bool // slice_type I or SI
	B       bool // slice_type B
	PPS     int  // 0 to 255
	rest    Reader
}

// ParseH264Slice reads the part of a slice header for which no parameter set is needed.
func ParseH264Slice(nal []byte) (h H264SliceHead, ok bool) {
	if len(nal) < 2 {
		return h, false
	}
	r := NewReader(nal[1:])
	h.FirstMB = r.UE()
	t := r.UE() % 5
	h.Intra, h.B = t == 2 || t == 4, t == 1
	pps := r.UE()
	h.PPS = int(pps)
	h.rest = r
	return h, !r.Err() && pps < 256
}

// Field reads on to field_pic_flag and bottom_field_flag.
func (h *H264SliceHead) Field(s *H264SPSInfo) (frameNum uint32, field, bottom bool) {
	r := h.rest
	if s.ColourPlanes {
		r.Skip(2)
	}
	frameNum = r.Bits(s.FrameNumBits)
	if s.Interlaced && r.Bit() == 1 {
		return frameNum, true, r.Bit() == 1
	}
	return frameNum, false, false
}
