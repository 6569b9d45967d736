package ts

import (
	"encoding/binary"
	"errors"
	"iter"

	"brume/media"
)

// ErrTable is returned for a section that does not hold what its lengths promise.
var ErrTable = errors.New("section is damaged")

// Section is a section in the long form (ISO/IEC 13818-1 2.4.4.11), with its lengths checked.
type Section struct {
	TableID   uint8
	Extension uint16 // table_id_extension: transport_stream_id, program_number, ...
	Version   uint8  // 0 to 31
	Current   bool   // current_next_indicator: applies now
	Number    uint8  // section_number
	Last      uint8  // last_section_number
	Body      []byte // between header and CRC_32; shares memory with what was parsed
}

// ParseSection reads a whole section, from table_id to CRC_32. The checksum is not looked at.
func ParseSection(b []byte) (Section, error) {
	if len(b) < 12 || b[1]&0x80 == 0 || len(b) != 3+int(binary.BigEndian.Uint16(b[1:])&0xFFF) {
		return Section{}, ErrTable
	}
	return Section{
		TableID:   b[0],
		Extension: binary.BigEndian.Uint16(b[3:]),
		Version:   b[5] >> 1 & 0x1F,
		Current:   b[5]&1 != 0,
		Number:    b[6],
		Last:      b[7],
		Body:      b[8 : len(b)-4],
	}, nil
}

// Programs yields the programs of a PAT section with the PID of their PMT (ISO/IEC 13818-1
// 2.4.4.3). The network PID (program number 0) is left out.
func (s *Section) Programs() iter.Seq2[uint16, uint16] {
	return func(yield func(program, pid uint16) bool) {
		for b := s.Body; len(b) >= 4; b = b[4:] {
			program := binary.BigEndian.Uint16(b)
			if program != 0 && !yield(program, binary.BigEndian.Uint16(b[2:])&0x1FFF) {
				return
			}
		}
	}
}

// PMT is a program map (ISO/IEC 13818-1 2.4.4.8).
type PMT struct {
	PCRPID      uint16
	Descriptors Descriptors // of the program
	elements    []byte
}

// Element is an elementary stream of a PMT.
type Element struct {
	Type        uint8 // stream_type
	PID         uint16
	Descriptors Descriptors
}

// ParsePMT reads the body of a PMT section. The result shares the section's memory.
func ParsePMT(s *Section) (PMT, error) {
	b := s.Body
	if s.TableID != TablePMT || len(b) < 4 {
		return PMT{}, ErrTable
	}
	n := int(binary.BigEndian.Uint16(b[2:]) & 0xFFF)
	if len(b)-4 < n {
		return PMT{}, ErrTable
	}
	p := PMT{PCRPID: binary.BigEndian.Uint16(b) & 0x1FFF, Descriptors: b[4 : 4+n], elements: b[4+n:]}
	for e := p.elements; len(e) > 0; {
		if len(e) < 5 {
			return PMT{}, ErrTable
		}
		n := int(binary.BigEndian.Uint16(e[3:]) & 0xFFF)
		if len(e)-5 < n {
			return PMT{}, ErrTable
		}
		e = e[5+n:]
	}
	return p, nil
}

// Elements yields the elementary streams in the order of the table.
func (p *PMT) Elements() iter.Seq[Element] {
	return func(yield func(Element) bool) {
		for e := p.elements; len(e) >= 5; {
			n := min(int(binary.BigEndian.Uint16(e[3:])&0xFFF), len(e)-5)
			if !yield(Element{Type: e[0], PID: binary.BigEndian.Uint16(e[1:]) & 0x1FFF, Descriptors: e[5 : 5+n]}) {
				return
			}
			e = e[5+n:]
		}
	}
}

// Descriptors is a descriptor loop (ISO/IEC 13818-1 2.6).
type Descriptors []byte

// All yields tag and content of each. One that runs over the end of the loop ends it.
func (d Descriptors) All() iter.Seq2[uint8, []byte] {
	return func(yield func(uint8, []byte) bool) {
		for b := d; len(b) >= 2; {
			n := int(b[1])
			if len(b)-2 < n || !yield(b[0], b[2:2+n]) {
				return
			}
			b = b[2+n:]
		}
	}
}

// Find returns the content of the first descriptor with this tag.
func (d Descriptors) Find(tag uint8) ([]byte, bool) {
	for t, b := range d.All() {
		if t == tag {
			return b, true
		}
	}
	return nil, false
}

// Format returns the format_identifier of the first registration descriptor
// (ISO/IEC 13818-1 2.6.8), 0 if there is none.
func (d Descriptors) Format() uint32 {
	if b, ok := d.Find(DescriptorRegistration); ok && len(b) >= 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// MetadataFormat returns the metadata_format_identifier of the metadata descriptor
// (ISO/IEC 13818-1 2.6.60), 0 if there is none.
func (d Descriptors) MetadataFormat() uint32 {
	b, ok := d.Find(DescriptorMetadata)
	if !ok || len(b) < 2 {
		return 0
	}
	if binary.BigEndian.Uint16(b) == 0xFFFF { // metadata_application_format_identifier follows
		b = b[min(4, len(b)-2):]
	}
	if len(b) < 7 || b[2] != 0xFF {
		return 0
	}
	return binary.BigEndian.Uint32(b[3:])
}

// Language returns the first ISO 639-2 code of the language descriptor (ISO/IEC 13818-1
// 2.6.18) in lower case, empty if there is none or it is undetermined.
func (d Descriptors) Language() string {
	b, _ := d.Find(DescriptorISO639)
	return media.LanguageCode(b)
}
