package h26x

// maxMarks bounds the operations of H264Marking: a picture can't remove more than there are, as fields.
const maxMarks = 34

// H264Marking is what a picture does to the pictures that later ones may be predicted from (ITU-T H.264 7.4.3.3).
type H264Marking struct {
	FrameNum  uint32
	Bits      int  // length of frame_num
	Most      int  // max_num_ref_frames, 0 to 16
	Reference bool // it becomes one of them
	Reset     bool // none is left before it
	Explicit  bool // Removed tells which go; else the oldest does where there are too many
	Known     bool // all of it could be read, and there are neither fields nor long-term pictures
	removed   [maxMarks]uint32
	count     int
}

// Removed are the pictures that go: by how much the frame_num of each is lower, at least 1.
func (m *H264Marking) Removed() []uint32 { return m.removed[:m.count] }

// H264PPSInfo is what a slice header needs to know of a picture parameter set.
type H264PPSInfo struct {
	bottomOrder   bool
	references    [2]uint32 // num_ref_idx_l0_default_active_minus1 + 1, and l1
	weightedP     bool
	weightedB     bool
	redundant     bool
	hasMoreGroups bool // slice groups, which are not read on from
}

// ParseH264PPSInfo reads a picture parameter set, NAL unit header included. What is damaged gives nonsense.
func ParseH264PPSInfo(nal []byte) (p H264PPSInfo) {
	r := NewReader(nal[min(1, len(nal)):])
	r.UE()
	r.UE()
	r.Skip(1)
	p.bottomOrder = r.Bit() == 1
	if p.hasMoreGroups = r.UE() > 0; p.hasMoreGroups {
		return p
	}
	p.references = [2]uint32{r.UE() + 1, r.UE() + 1}
	p.weightedP = r.Bit() == 1
	p.weightedB = r.Bits(2) == 1
	for range 3 {
		r.UE()
	}
	r.Skip(2)
	p.redundant = r.Bit() == 1
	return p
}

// Marking reads on to dec_ref_pic_marking (7.3.3.3). header is the first byte of the NAL unit.
func (h *H264SliceHead) Marking(header byte, s *H264SPSInfo, p *H264PPSInfo) (m H264Marking) {
	r := h.rest
	idr := header&0x1F == H264IDR
	m.Reference, m.Reset, m.Bits, m.Most = header&0x60 != 0, idr, s.FrameNumBits, s.References
	if s.ColourPlanes {
		r.Skip(2)
	}
	m.FrameNum = r.Bits(s.FrameNumBits)
	if s.Interlaced && r.Bit() == 1 || p.hasMoreGroups {
		return m
	}
	if idr {
		r.UE()
	}
	h.skipOrder(&r, s, p)
	if p.redundant {
		r.UE()
	}
	if !h.skipLists(&r, s, p) {
		return m
	}
	m.Known = true
	if m.Reference && idr {
		r.Skip(1)
		m.Known = r.Bit() == 0 // a long-term picture
	} else if m.Reference {
		m.operations(&r)
	}
	m.Known = m.Known && !r.Err()
	return m
}

// skipOrder passes over the picture order count.
func (h *H264SliceHead) skipOrder(r *Reader, s *H264SPSInfo, p *H264PPSInfo) {
	switch {
	case s.orderType == 0:
		r.Skip(s.orderBits)
		if p.bottomOrder {
			r.UE()
		}
	case s.orderType == 1 && !s.orderFixed:
		r.UE()
		if p.bottomOrder {
			r.UE()
		}
	}
}

// skipLists passes over the reference lists and their weights, and reports whether that was possible.
func (h *H264SliceHead) skipLists(r *Reader, s *H264SPSInfo, p *H264PPSInfo) bool {
	if h.Intra {
		return true
	}
	lists := 1
	if h.B {
		lists = 2
		r.Skip(1)
	}
	references := p.references
	if r.Bit() == 1 {
		for i := range lists {
			references[i] = r.UE() + 1
		}
	}
	if max(references[0], references[1]) > 32 {
		return false
	}
	for range lists {
		if r.Bit() == 0 {
			continue
		}
		for n := 0; r.UE() != 3; n++ {
			if n > 66 || r.Err() {
				return false
			}
			r.UE()
		}
	}
	if h.B && p.weightedB || !h.B && p.weightedP {
		skipWeights(r, references[:lists], s.colours)
	}
	return !r.Err()
}

// skipWeights passes over pred_weight_table (7.3.3.2).
func skipWeights(r *Reader, references []uint32, colours bool) {
	r.UE()
	if colours {
		r.UE()
	}
	for _, n := range references {
		for range n {
			if r.Bit() == 1 {
				r.UE()
				r.UE()
			}
			if colours && r.Bit() == 1 {
				for range 4 {
					r.UE()
				}
			}
		}
	}
}

// operations reads memory_management_control_operation (table 7-9).
func (m *H264Marking) operations(r *Reader) {
	m.Explicit = r.Bit() == 1
	if !m.Explicit {
		return
	}
	for range maxMarks {
		switch op := r.UE(); op {
		case 0:
			return
		case 1:
			m.removed[m.count] = r.UE() + 1
			m.count++
		case 5:
			m.Reset = true
		default: // long-term pictures
			m.Known = false
			return
		}
	}
	m.Known = false
}
