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

// annexB copies a unit behind its delimiter, and behind the parameter sets where a random access point has none, with
// start codes in place of the lengths (Rec. ITU-T H.264 annex B).
func (m *Muxer) annexB(e *elementary, p *media.Packet) (pieces, error) {
	head := e.header // delimiter
	b := p.Payload
	missing := p.RandomAccess
	at := 0
	for at < len(b) {
		if len(b)-at < 5 {
			return pieces{}, ErrMalformed
		}
		n := int64(binary.BigEndian.Uint32(b[at:]))
		if n == 0 || n > int64(len(b)-at-4) {
			return pieces{}, ErrMalformed
		}
		if isSequenceSet(e.track.Codec, b[at+4]) {
			missing = false
		}
		at += 4 + int(n)
	}
	if at == 0 {
		return pieces{}, ErrMalformed
	}
	m.scratch = append(append(m.scratch[:0], head...), e.setsFor(missing)...)
	start := len(m.scratch)
	m.scratch = append(m.scratch, b...)
	out := m.scratch[start:]
	for at = 0; at < len(out); {
		n := int(binary.BigEndian.Uint32(b[at:]))
		out[at], out[at+1], out[at+2], out[at+3] = 0, 0, 0, 1
		at += 4 + n
	}
	return pieces{m.scratch, nil}, nil
}

func (e *elementary) setsFor(missing bool) []byte {
	if missing {
		return e.sets
	}
	return nil
}

// isSequenceSet tells a sequence parameter set by its header.
func isSequenceSet(c media.Codec, header byte) bool {
	if c == media.H264 {
		return header&0x1f == 7
	}
	return header>>1&0x3f == 33
}

// startCodes puts start codes in place of the lengths of parameter sets.
func startCodes(config []byte) ([]byte, error) {
	out := append([]byte{}, config...)
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
	return out, nil
}
