package mpegts

import (
	"encoding/binary"

	"brume/media"
)

// Access unit delimiters, which a transport stream needs before each unit (2.14.1).
var (
	audH264 = []byte{0, 0, 0, 1, 9, 0xf0}
	audH265 = []byte{0, 0, 0, 1, 70, 1, 0x50}
)

// annexB reads a unit's lengths and puts its delimiter before it, and the parameter sets where a random access point
// lacks some (Rec. ITU-T H.264 annex B).
func annexB(e *elementary, p *media.Packet) (unit, error) {
	b := p.Payload
	found := 0
	for at := 0; at < len(b); {
		if len(b)-at < 5 {
			return unit{}, ErrMalformed
		}
		n := int64(binary.BigEndian.Uint32(b[at:]))
		if n == 0 || n > int64(len(b)-at-4) {
			return unit{}, ErrMalformed
		}
		found |= parameterSet(e.track.Codec, b[at+4])
		at += 4 + int(n)
	}
	u := unit{head: e.header, body: b}
	if (p.RandomAccess || e.fresh) && found != allSets {
		u.head = e.headerSets
	}
	return u, nil
}

// allSets are the parameter sets that a decoder needs, as bits.
const allSets = 7

// parameterSet tells a parameter set by the header of its NAL unit: a bit for VPS, SPS or PPS. H.264 has no VPS.
func parameterSet(c media.Codec, header byte) int {
	if c == media.H264 {
		switch header & 0x1f {
		case 7:
			return 1 | 2
		case 8:
			return 4
		}
		return 0
	}
	if t := header >> 1 & 0x3f; t >= 32 && t <= 34 {
		return 1 << (t - 32)
	}
	return 0
}

// withSets appends parameter sets to a header, with start codes in place of their lengths.
func withSets(header, config []byte) ([]byte, error) {
	all := append(header[:len(header):len(header)], config...)
	out := all[len(header):]
	for at := 0; at < len(config); {
		if len(config)-at < 5 {
			return nil, ErrMalformed
		}
		n := int64(binary.BigEndian.Uint32(config[at:]))
		if n == 0 || n > int64(len(config)-at-4) {
			return nil, ErrMalformed
		}
		copy(out[at:], []byte{0, 0, 0, 1})
		at += 4 + int(n)
	}
	return all, nil
}
