package ts

import "encoding/binary"

// Assembler puts the sections of one PID together (ISO/IEC 13818-1 2.4.4.1).
type Assembler struct {
	// Give takes a whole section, from table_id to its last byte, valid during the call. It may call Reset.
	Give func(section []byte) error
	// Broken is told of what can't be a section; oversized: it would be longer than MaxSectionSize.
	Broken func(oversized bool)

	buf  []byte
	live bool // buf holds the beginning of a section, or one may begin
}

// Reset forgets what is not whole yet, as packets are missing.
func (a *Assembler) Reset() { a.buf, a.live = a.buf[:0], false }

// Take takes the payload of the next packet; start: payload_unit_start_indicator. Its only errors are those of Give.
func (a *Assembler) Take(p []byte, start bool) error {
	if start {
		if len(p) == 0 || int(p[0]) >= len(p) {
			a.Broken(false)
			a.Reset()
			return nil
		}
		n := 1 + int(p[0]) // pointer_field
		if a.live && len(a.buf) > 0 {
			if err := a.add(p[1:n]); err != nil {
				return err
			}
		}
		a.buf, a.live = a.buf[:0], true
		p = p[n:]
	}
	if !a.live {
		return nil
	}
	return a.add(p)
}

func (a *Assembler) add(p []byte) error {
	for len(p) > 0 {
		if len(a.buf) == 0 && p[0] == 0xFF { // stuffing up to the end of the packet
			return nil
		}
		want := 3
		if len(a.buf) >= 3 {
			want += int(binary.BigEndian.Uint16(a.buf[1:]) & 0xFFF)
			if want > MaxSectionSize {
				a.Broken(true)
				a.Reset()
				return nil
			}
		}
		n := min(want-len(a.buf), len(p))
		a.buf = append(a.buf, p[:n]...)
		p = p[n:]
		if len(a.buf) < 3 || len(a.buf) < 3+int(binary.BigEndian.Uint16(a.buf[1:])&0xFFF) {
			continue
		}
		section := a.buf
		a.buf = a.buf[:0]
		if err := a.Give(section); err != nil {
			return err
		}
		if !a.live {
			return nil
		}
	}
	return nil
}
