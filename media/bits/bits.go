// Package bits reads bit fields, most significant bit first.
package bits

// Reader reads bits of Data from bit Pos on. Past the end it gives zeros; see Over.
type Reader struct {
	Data []byte
	Pos  int // of the next bit
}

// Read reads n bits, 0 to 32.
func (r *Reader) Read(n int) (v uint32) {
	for range n {
		v <<= 1
		if i := r.Pos >> 3; i < len(r.Data) {
			v |= uint32(r.Data[i]>>(7-r.Pos&7)) & 1
		}
		r.Pos++
	}
	return v
}

// Flag reads one bit.
func (r *Reader) Flag() bool { return r.Read(1) == 1 }

// Over tells that more was read or skipped than there is.
func (r *Reader) Over() bool { return r.Pos > 8*len(r.Data) }

// AppendBytes appends n bytes from the current bit on to dst, and passes over them.
func (r *Reader) AppendBytes(dst []byte, n int) []byte {
	at, shift := r.Pos>>3, r.Pos&7
	r.Pos += 8 * n
	for ; n > 0 && at < len(r.Data); n-- {
		b := r.Data[at] << shift
		if at++; at < len(r.Data) {
			b |= byte(uint16(r.Data[at]) >> (8 - shift))
		}
		dst = append(dst, b)
	}
	return dst
}
