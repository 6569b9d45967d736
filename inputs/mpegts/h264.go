package mpegts

import (
	"brume/media"
	"brume/media/h26x"
)

// recoversSoon reports whether a recovery point is one of random access by itself. Those whose pictures are right only
// later, as of intra refresh, count where the parameter sets are repeated. The count is in pictures.
func recoversSoon(count int) bool { return count <= 2 }

// h264 finds the boundaries of H.264 access units (ITU-T H.264 7.4.1.2).
type h264 struct {
	sets paramSets
	sps  [32]h26x.H264SPSInfo
	pps  [256]*h26x.H264PPSInfo
	b    bool // there are B slices

	h264Unit
}

// h264Unit is what is known of the unit at hand.
type h264Unit struct {
	pictures  int // 2: both fields
	params    *params
	rate      float64
	depth     int // see unitInfo
	interval  int // the same
	idr       bool
	intra     bool // all slices of the first picture are intra
	hasSPS    bool
	hasPPS    bool
	recovery  int // recovery_frame_cnt + 1, 0: no recovery point
	delimit   bool
	field     bool
	bottom    bool
	reference bool // the first picture is for reference
	frameNum  uint32
	marking   h26x.H264Marking
}

func newH264() *h264 { return &h264{sets: paramSets{sequence: h26x.H264SPS}} }

func (*h264) kind(first byte) uint8 { return first & 0x1F }
func (h *h264) empty() bool         { return h.pictures == 0 }
func (h *h264) half() bool          { return h.pictures == 1 && h.field }

func (h *h264) starts(b []byte) bool {
	switch b[0] & 0x1F {
	case h26x.H264Slice, h26x.H264PartA, h26x.H264IDR:
		return len(b) < 2 || b[1]&0x80 != 0 // first_mb_in_slice is 0
	case 3, 4: // data partitions B and C
		return false
	default:
		return true
	}
}

func (h *h264) look(kind uint8, b []byte) meaning {
	switch kind {
	case h26x.H264Slice, h26x.H264PartA, h26x.H264IDR:
		return h.slice(kind, b)
	case h26x.H264SPS, h26x.H264PPS:
		if !h.set(kind, b) {
			return bad
		}
		h.hasSPS = h.hasSPS || kind == h26x.H264SPS && h.pictures == 0
		h.hasPPS = h.hasPPS || kind == h26x.H264PPS && h.pictures == 0
	case h26x.H264SEI:
		if h.pictures == 0 {
			s := h26x.ParseH264SEI(b)
			if s.Recovery {
				h.recovery = int(s.RecoveryCount) + 1
			}
			h.interval = max(h.interval, s.KeyframeInterval)
		}
	case h26x.H264AUD:
		h.delimit = h.pictures > 0
		if h.delimit {
			return delimiter
		}
		return drop
	case h26x.H264Filler:
		return drop
	default:
		if kind < h26x.H264Prefix || kind > h26x.H264Reserved {
			return part
		}
	}
	if h.pictures > 0 {
		return before
	}
	return part
}

// set keeps a parameter set. It returns false for one that can't be true.
func (h *h264) set(kind uint8, b []byte) bool {
	if h.sets.known(kind, b) {
		return true
	}
	if kind == h26x.H264PPS {
		id, sps, err := h26x.ParseH264PPS(b)
		if err != nil || !h.sets.store(kind, id, sps, b) {
			return false
		}
		info := h26x.ParseH264PPSInfo(b)
		h.pps[id] = &info
		return true
	}
	s, err := h26x.ParseH264SPS(b)
	if err != nil || !h.sets.store(kind, s.ID, 0, b) {
		return false
	}
	h.sps[s.ID] = s
	return true
}

// refers reports whether pictures may be predicted from the one that a slice belongs to: nal_ref_idc is not 0.
func refers(b []byte) bool { return b[0]&0x60 != 0 }

// slice takes a slice. Another picture begins where a slice of macroblock 0 follows one of
// the picture at hand, or any slice follows a delimiter. A frame may be of two fields: of opposite parity, with one
// frame_num, and either both or neither are for reference (ITU-T H.264 3.30, 3.31).
func (h *h264) slice(kind uint8, b []byte) meaning {
	s, ok := h26x.ParseH264Slice(b)
	if !ok {
		return bad
	}
	h.b = h.b || s.B
	var info *h26x.H264SPSInfo
	pps := h.sets.find(h26x.H264PPS, s.PPS)
	if pps != nil && h.sets.find(h26x.H264SPS, int(pps.ref)) != nil {
		info = &h.sps[pps.ref]
	}
	if h.pictures > 0 && s.FirstMB != 0 && !h.delimit {
		h.intra = h.intra && (s.Intra || h.pictures > 1)
		return part
	}
	var num uint32
	var field, bottom bool
	if info != nil {
		num, field, bottom = s.Field(info)
	}
	if h.pictures > 0 {
		if h.half() && field && bottom != h.bottom && num == h.frameNum && refers(b) == h.reference && kind != h26x.H264IDR {
			h.pictures, h.delimit = 2, false
			return second
		}
		return boundary
	}
	h.pictures = 1
	h.idr = kind == h26x.H264IDR
	h.intra = s.Intra
	h.field, h.bottom, h.frameNum, h.reference = field, bottom, num, refers(b)
	h.params = h.sets.at(media.H264, pps, h.idr || h.recovery > 0 || h.intra && h.hasSPS && h.hasPPS)
	if info != nil {
		h.marking = s.Marking(b[0], info, h.pps[s.PPS])
		h.rate = info.FrameRate
		if info.Reorder.Told || h.b { // most streams of which it is not told have no B-frames
			h.depth = info.Reorder.Depth
		}
	}
	return picture
}

func (h *h264) close() unitInfo {
	u := unitInfo{params: h.params, rate: h.rate, depth: h.depth, interval: h.interval, marking: h.marking}
	headers := h.hasSPS && h.hasPPS
	switch {
	case h.pictures == 0:
	case h.idr:
		u.random, u.closed = true, true
	case h.recovery > 0:
		u.random = recoversSoon(h.recovery-1) || headers
		u.gradual = u.random && h.recovery > 1 && !h.intra
	default:
		u.random = h.intra && headers
	}
	h.h264Unit = h264Unit{}
	return u
}
