package mpegts

import (
	"brume/media"
	"brume/media/h26x"
)

// h265 finds the boundaries of H.265 access units (ITU-T H.265 7.4.2.4.4).
type h265 struct {
	sets paramSets
	sps  [16]h26x.H265SPSInfo

	h265Unit
}

// h265Unit is what is known of the unit at hand.
type h265Unit struct {
	picture  bool
	random   bool
	closed   bool // see unit
	recovery int  // recovery_poc_cnt + 1, 0: no recovery point
	hasSPS   bool
	hasPPS   bool
	delimit  bool
	params   *params
	rate     float64
	depth    int // see unitInfo
	interval int // the same
}

func newH265() *h265 { return &h265{sets: paramSets{sequence: h26x.H265SPS, video: h26x.H265VPS}} }

func (*h265) kind(first byte) uint8 { return first >> 1 & 0x3F }
func (h *h265) empty() bool         { return !h.picture }
func (*h265) half() bool            { return false } // a field is an access unit of its own

func (h *h265) starts(b []byte) bool {
	switch kind := h.kind(b[0]); {
	case kind <= h26x.H265VCLLast:
		return len(b) < 3 || b[2]&0x80 != 0 // first_slice_segment_in_pic_flag
	case kind == h26x.H265SuffixSEI:
		return false
	default:
		return true
	}
}

func (h *h265) look(kind uint8, b []byte) meaning {
	if len(b) < 3 {
		switch kind {
		case h26x.H265EndOfSeq, h26x.H265EndOfFile:
			return part
		case h26x.H265AUD, h26x.H265Filler:
		default:
			return bad
		}
	}
	layer := 0
	if len(b) >= 2 {
		layer = int(b[0]&1)<<5 | int(b[1]>>3)
	}
	switch {
	case kind <= h26x.H265VCLLast:
		if layer > 0 {
			return part
		}
		return h.slice(kind, b)
	case kind == h26x.H265Filler:
		return drop
	case layer > 0:
		return part
	case kind >= h26x.H265VPS && kind <= h26x.H265PPS:
		if !h.set(kind, b) {
			return bad
		}
		h.hasSPS = h.hasSPS || kind == h26x.H265SPS && !h.picture
		h.hasPPS = h.hasPPS || kind == h26x.H265PPS && !h.picture
	case kind == h26x.H265AUD:
		h.delimit = h.picture
		if h.delimit {
			return delimiter
		}
		return drop
	case kind == h26x.H265SEI:
		if !h.picture {
			s := h26x.ParseH265SEI(b)
			if s.Recovery {
				h.recovery = int(min(s.RecoveryCount, 1<<16)) + 1
			}
			h.interval = max(h.interval, s.KeyframeInterval)
		}
	case kind >= 41 && kind <= 44, kind >= 48 && kind <= 55:
	default:
		return part
	}
	if h.picture {
		return before
	}
	return part
}

// set keeps a parameter set. It returns false for one that can't be true.
func (h *h265) set(kind uint8, b []byte) bool {
	if h.sets.known(kind, b) {
		return true
	}
	switch kind {
	case h26x.H265VPS:
		id, err := h26x.ParseH265VPS(b)
		return err == nil && h.sets.store(kind, id, 0, b)
	case h26x.H265PPS:
		id, sps, err := h26x.ParseH265PPS(b)
		return err == nil && h.sets.store(kind, id, sps, b)
	}
	s, err := h26x.ParseH265SPS(b)
	if err != nil || !h.sets.store(kind, s.ID, int(b[2]>>4), b) { // sps_video_parameter_set_id
		return false
	}
	h.sps[s.ID] = s
	return true
}

func (h *h265) slice(kind uint8, b []byte) meaning {
	first := b[2]&0x80 != 0
	if h.picture {
		if first || h.delimit {
			return boundary
		}
		return part
	}
	h.picture = true
	irap := kind >= h26x.H265BLAFirst && kind <= h26x.H265IRAPLast
	h.random = irap || h.recovery > 0 && (recoversSoon(h.recovery-1) || h.hasSPS && h.hasPPS)
	h.closed = kind == h26x.H265IDR || kind == h26x.H265IDRAlone || kind == h26x.H265BLAAlone
	r := h26x.NewReader(b[2:])
	r.Skip(1)
	if irap {
		h.recovery = 0
		r.Skip(1) // no_output_of_prior_pics_flag
	}
	pps := h.sets.find(h26x.H265PPS, int(r.UE()))
	if r.Err() {
		pps = nil
	}
	h.params = h.sets.at(media.H265, pps, h.random)
	if h.params != nil {
		sps := &h.sps[pps.ref]
		h.rate, h.depth = sps.FrameRate, sps.Reorder.Depth
	}
	return picture
}

func (h *h265) close() unitInfo {
	u := unitInfo{params: h.params, rate: h.rate, depth: h.depth, interval: h.interval, random: h.picture && h.random, closed: h.closed, gradual: h.picture && h.random && h.recovery > 1}
	h.h265Unit = h265Unit{}
	return u
}
