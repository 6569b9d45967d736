package mpegts

import "encoding/binary"

// stamp is the time in a PES header, 33 bits each.
type stamp struct {
	pts, dts int64
	valid    bool
	both     bool // dts was told, and is not just that of pts
}

// pesHeader is what is used of a PES header (ISO/IEC 13818-1 2.4.3.6).
type pesHeader struct {
	id     uint8
	length int // of the payload; -1: up to the next PES
	stamp
}

// The outcomes of reading a PES header.
const (
	pesGood = iota
	pesShort
	pesBad
	pesScrambled
)

// parsePES reads a PES header and returns how long it is.
func parsePES(b []byte) (h pesHeader, n, state int) {
	if len(b) < 6 {
		return h, 0, pesShort
	}
	if b[0] != 0 || b[1] != 0 || b[2] != 1 {
		return h, 0, pesBad
	}
	h.id = b[3]
	n = 6
	size := int(binary.BigEndian.Uint16(b[4:]))
	switch h.id {
	case 0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF: // without the optional fields
	default:
		if len(b) < 9 {
			return h, 0, pesShort
		}
		n = 9 + int(b[8])
		if b[6]&0xC0 != 0x80 {
			return h, 0, pesBad
		}
		if b[6]&0x30 != 0 { // PES_scrambling_control
			return h, n, pesScrambled
		}
		if len(b) < n {
			return h, 0, pesShort
		}
		switch flags := b[7] >> 6; {
		case flags == 2 && n >= 14:
			h.pts = timestamp(b[9:])
			h.dts = h.pts
			h.valid = b[9]&b[11]&b[13]&1 == 1
		case flags == 3 && n >= 19:
			h.pts, h.dts, h.both = timestamp(b[9:]), timestamp(b[14:]), true
			h.valid = b[9]&b[11]&b[13]&b[14]&b[16]&b[18]&1 == 1
		case flags != 0:
			return h, 0, pesBad
		}
	}
	h.length = size - (n - 6)
	if size == 0 {
		h.length = -1
	} else if h.length < 0 {
		return h, 0, pesBad
	}
	return h, n, pesGood
}

// timestamp reads the 33 bits of a PTS or DTS.
func timestamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}
