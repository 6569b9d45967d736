// Package h26x reads the heads of H.264 and H.265 NAL units: what a transmuxer has to
// know of parameter sets and slices, and no more. It allocates only where it says so.
package h26x

// Reader reads bits of a NAL unit and passes over the emulation prevention bytes
// (ITU-T H.264 7.4.1, H.265 7.4.2). Reading past the end gives zeros and sets Err.
type Reader struct {
	b     []byte
	pos   int  // next byte
	zeros int  // zero bytes before it
	cur   byte // bits not yet given
	left  uint // how many of them
	over  bool
}

// NewReader reads b, which begins behind the NAL unit header.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Err tells that more bits were asked for than there are, or a code was too long.
func (r *Reader) Err() bool { return r.over }

// Bit reads one bit.
func (r *Reader) Bit() uint32 {
	if r.left == 0 && !r.fill() {
		return 0
	}
	r.left--
	return uint32(r.cur>>r.left) & 1
}

func (r *Reader) fill() bool {
	if r.zeros >= 2 && r.pos < len(r.b) && r.b[r.pos] == 3 {
		r.pos++
		r.zeros = 0
	}
	if r.pos >= len(r.b) {
		r.over = true
		return false
	}
	r.cur, r.left = r.b[r.pos], 8
	r.pos++
	if r.cur == 0 {
		r.zeros++
	} else {
		r.zeros = 0
	}
	return true
}

// Bits reads n bits, 0 to 32.
func (r *Reader) Bits(n int) (v uint32) {
	for range n {
		v = v<<1 | r.Bit()
	}
	return v
}

// Skip passes over n bits.
func (r *Reader) Skip(n int) {
	for range n {
		if r.Bit(); r.over {
			return
		}
	}
}

// UE reads an unsigned Exp-Golomb code (ITU-T H.264 9.1).
func (r *Reader) UE() uint32 {
	n := 0
	for r.Bit() == 0 {
		if n++; n > 31 || r.over {
			r.over = true
			return 0
		}
	}
	return 1<<n - 1 + r.Bits(n)
}
