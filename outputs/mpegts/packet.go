package mpegts

import (
	"encoding/binary"
	"slices"

	"brume/media"
	"brume/media/ts"
)

// maxPES is the largest unit, in bytes, behind a PES header whose length is told, as only video may leave it out (2.4.3.7).
const maxPES = 0xffff - (maxPESHeader - 6)

const (
	maxPESHeader = 19 // with both times
	payloadSize  = PacketSize - 4
)

// unit is an access unit on its way into packets: what goes before it, and itself.
type unit struct {
	pes, head, body []byte // what is left of the PES header and of head; the whole body
	at              int    // what of body is written
	next            int    // where in body the next length stands that a start code replaces, past its end if there is none
}

// read fills b with the next bytes.
func (u *unit) read(b []byte) {
	if len(u.pes)+len(u.head) > 0 {
		n := copy(b, u.pes)
		u.pes, b = u.pes[n:], b[n:]
		n = copy(b, u.head)
		u.head, b = u.head[n:], b[n:]
	}
	copy(b, u.body[u.at:])
	if u.next < u.at+len(b) {
		u.startCodes(b)
	}
	u.at += len(b)
}

// startCodes puts start codes over the lengths among the bytes that were just copied to b. One that goes on in the
// next packet stays the next one.
func (u *unit) startCodes(b []byte) {
	for u.next < u.at+len(b) {
		for i, v := range [...]byte{0, 0, 0, 1} {
			if at := u.next + i - u.at; at >= 0 && at < len(b) {
				b[at] = v
			}
		}
		if u.next+4 > u.at+len(b) {
			return
		}
		u.next += 4 + int(binary.BigEndian.Uint32(u.body[u.next:]))
	}
}

// writePES appends one PES as packets. A pcr below 0 means none.
func (e *elementary) writePES(dst []byte, p *media.Packet, u *unit, pcr int64) []byte {
	u.pes = e.pes[:pesHeader(e.pes[:], e, p, len(u.head)+len(u.body))]
	left := len(u.pes) + len(u.head) + len(u.body)
	first := true
	// One packet more, since the first has room for less.
	dst = slices.Grow(dst, (left/payloadSize+2)*PacketSize)
	for left > 0 {
		at := len(dst)
		dst = dst[:at+PacketSize]
		b := dst[at:]
		n := 4
		b[0] = ts.SyncByte
		b[1] = byte(e.pid >> 8)
		b[2] = byte(e.pid)
		b[3] = 0x10 | e.cc
		e.cc = (e.cc + 1) & 15
		if first {
			b[1] |= 0x40 // payload_unit_start_indicator
			n = e.firstField(b, p, pcr)
			first = false
		}
		if room := PacketSize - n; left < room {
			n = stuff(b, n, room-left)
		}
		left -= PacketSize - n
		u.read(b[n:])
	}
	return dst
}

// extend makes room without clearing it: every byte is written after.
func extend(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst[:len(dst)+n]
	}
	return append(dst, make([]byte, n)...)
}

// firstField writes the adaptation field of a unit's first packet and returns where the payload begins.
func (e *elementary) firstField(b []byte, p *media.Packet, pcr int64) int {
	flags := byte(0)
	if e.marked {
		flags |= 0x80
		e.marked = false
	}
	if p.RandomAccess {
		flags |= 0x40
	}
	if pcr >= 0 {
		flags |= 0x10
	}
	if flags == 0 {
		return 4
	}
	b[3] |= 0x20
	b[5] = flags
	if pcr < 0 {
		b[4] = 1
		return 6
	}
	b[4] = 7
	putPCR(b[6:], pcr)
	return 12
}

// putPCR writes a program_clock_reference with extension 0 (2.4.3.5).
func putPCR(b []byte, base int64) {
	b[0], b[1], b[2], b[3] = byte(base>>25), byte(base>>17), byte(base>>9), byte(base>>1)
	b[4], b[5] = byte(base<<7)|0x7e, 0
}

// stuff widens the adaptation field by n bytes, making one if there is none, and returns where the payload begins now.
func stuff(b []byte, at, n int) int {
	if b[3]&0x20 == 0 {
		b[3] |= 0x20
		b[4] = byte(n - 1)
		if n > 1 {
			b[5] = 0
			fill(b[6 : 4+n])
		}
		return 4 + n
	}
	b[4] += byte(n)
	fill(b[at : at+n])
	return at + n
}

func fill(b []byte) {
	for i := range b {
		b[i] = 0xff
	}
}

// writePCR appends a packet that carries nothing but a PCR. Its continuity counter does not count (2.4.3.3).
func (e *elementary) writePCR(dst []byte, pcr int64) []byte {
	at := len(dst)
	dst = extend(dst, PacketSize)
	b := dst[at:]
	b[0], b[1], b[2] = ts.SyncByte, byte(e.pid>>8), byte(e.pid)
	b[3] = 0x20 | (e.cc-1)&15
	b[4], b[5] = PacketSize-5, 0x10
	if e.marked {
		b[5] |= 0x80
		e.marked = false
	}
	putPCR(b[6:], pcr)
	fill(b[12:])
	return dst
}

// writeSection appends one section, from its first byte in a packet of its own (2.4.4).
func (e *elementary) writeSection(dst, section []byte) []byte {
	for first := true; len(section) > 0; first = false {
		at := len(dst)
		dst = extend(dst, PacketSize)
		b := dst[at:]
		b[0], b[1], b[2], b[3] = ts.SyncByte, byte(e.pid>>8), byte(e.pid), 0x10|e.cc
		e.cc = (e.cc + 1) & 15
		n := 4
		if first {
			b[1] |= 0x40
			if e.marked {
				b[3] |= 0x20
				b[4], b[5] = 1, 0x80
				e.marked = false
				n = 6
			}
			b[n] = 0 // pointer_field
			n++
		}
		k := copy(b[n:], section)
		section = section[k:]
		fill(b[n+k:])
	}
	return dst
}

// pesHeader writes a PES header and returns its length (2.4.3.7).
func pesHeader(b []byte, e *elementary, p *media.Packet, size int) int {
	b[0], b[1], b[2], b[3] = 0, 0, 1, e.streamID
	b[6] = 0x84 // data_alignment_indicator
	n := 9
	b[7], b[8] = 0x80, 5
	putTime(b[9:], 2, p.PTS)
	n += 5
	if p.DTS != p.PTS {
		b[7], b[8] = 0xc0, 10
		putTime(b[9:], 3, p.PTS)
		putTime(b[14:], 1, p.DTS)
		n += 5
	}
	length := n - 6 + size
	if length > 0xffff {
		length = 0 // not told; only units of video get this large
	}
	b[4], b[5] = byte(length>>8), byte(length)
	return n
}

// putTime writes a 33-bit time behind its four-bit prefix.
func putTime(b []byte, prefix byte, t int64) {
	b[0] = prefix<<4 | byte(t>>29)&0x0e | 1
	b[1] = byte(t >> 22)
	b[2] = byte(t>>14) | 1
	b[3] = byte(t >> 7)
	b[4] = byte(t<<1) | 1
}
