package mpegts

import (
	"encoding/binary"
	"slices"

	"brume/media"
	"brume/media/ts"
)

// maxPrograms bounds the programs of a PAT that are looked at.
const maxPrograms = 64

// tables is what the PAT and the PMTs told.
type tables struct {
	patCRC  [256]uint32 // of each section of the PAT, to see a change
	current uint16      // program_number that is taken, 0: none yet
	pmtPID  uint16
	pmtCRC  uint32
	pcrPID  uint16
	others  map[uint16]uint32 // checksum of the PMT of each other program
}

// addTable makes a PID one that carries sections.
func (d *Demuxer) addTable(pid uint16, give func([]byte) error) {
	if s := d.addSlot(pid); s != nil {
		s.section = d.assembler(give)
	}
}

// assembler makes one whose damaged sections are counted.
func (d *Demuxer) assembler(give func([]byte) error) *ts.Assembler {
	return &ts.Assembler{Give: give, Broken: func(oversized bool) {
		if oversized {
			d.stats.Oversized++
		} else {
			d.stats.TableErrors++
		}
	}}
}

// addSlot returns the slot of a PID, a new one if it has none. It returns nil if there are too many.
func (d *Demuxer) addSlot(pid uint16) *slot {
	if n := d.index[pid]; n >= slotFirst {
		return d.slots[n]
	}
	for n := slotFirst; n < len(d.slots); n++ {
		if d.slots[n] == nil {
			d.slots[n] = &slot{}
			d.index[pid] = uint8(n)
			return d.slots[n]
		}
	}
	if len(d.slots) >= slotMax {
		return nil
	}
	d.slots = append(d.slots, &slot{})
	d.index[pid] = uint8(len(d.slots) - 1)
	return d.slots[len(d.slots)-1]
}

// forget gives a slot back; known tells what its PID is from now on.
func (d *Demuxer) forget(pid uint16, known uint8) {
	if n := d.index[pid]; n >= slotFirst {
		d.slots[n] = nil
	}
	d.index[pid] = known
}

// section checks a section of the long form and its checksum.
func (d *Demuxer) section(b []byte, table uint8) (s ts.Section, crc uint32, ok bool) {
	s, err := ts.ParseSection(b)
	if err != nil {
		d.stats.TableErrors++
		return s, 0, false
	}
	if ts.CRC32(b) != 0 {
		d.stats.CRCErrors++
		return s, 0, false
	}
	return s, binary.BigEndian.Uint32(b[len(b)-4:]), s.TableID == table && s.Current
}

// patSection takes a section of the PAT (ISO/IEC 13818-1 2.4.4.3).
func (d *Demuxer) patSection(b []byte) error {
	s, crc, ok := d.section(b, ts.TablePAT)
	if !ok || d.patCRC[s.Number] == crc {
		return nil
	}
	d.patCRC[s.Number] = crc
	var program, pid uint16
	for p, at := range s.Programs() {
		switch {
		case at < ts.PIDFirstFree || at == ts.PIDNull:
			d.stats.TableErrors++
		case p == d.program, d.program == 0 && p == d.current:
			program, pid = p, at
		case d.program == 0 && program == 0:
			program, pid = p, at
		}
	}
	d.setProgram(&s, program, pid)
	for p, at := range s.Programs() {
		if p != d.current && at >= ts.PIDFirstFree && at != ts.PIDNull {
			d.addOther(at)
		}
	}
	return nil
}

// setProgram follows the PAT to another program or another PMT.
func (d *Demuxer) setProgram(s *ts.Section, program, pid uint16) {
	if program == 0 || d.program == 0 && s.Number != 0 && d.current != 0 {
		return
	}
	if program == d.current && pid == d.pmtPID {
		return
	}
	if d.current != 0 {
		d.forget(d.pmtPID, slotUnknown)
	}
	d.current, d.pmtPID, d.pmtCRC = program, pid, 0
	d.forget(pid, slotUnknown)
	d.addTable(pid, d.pmtSection)
}

// addOther listens to the PMT of a program that is not taken, so that its PIDs are known.
func (d *Demuxer) addOther(pid uint16) {
	if d.index[pid] >= slotFirst {
		return
	}
	if d.others == nil {
		d.others = make(map[uint16]uint32)
	}
	if len(d.others) >= maxPrograms {
		d.index[pid] = slotIgnored
		return
	}
	d.others[pid] = 0
	d.addTable(pid, func(b []byte) error { return d.otherSection(pid, b) })
}

// otherSection takes the PMT of a program that is not taken.
func (d *Demuxer) otherSection(pid uint16, b []byte) error {
	s, crc, ok := d.section(b, ts.TablePMT)
	if !ok || d.others[pid] == crc {
		return nil
	}
	if d.others != nil {
		d.others[pid] = crc
	}
	if m, err := ts.ParsePMT(&s); err == nil {
		d.markKnown(m.PCRPID)
		for e := range m.Elements() {
			d.markKnown(e.PID)
		}
	}
	return nil
}

func (d *Demuxer) markKnown(pid uint16) {
	if d.index[pid] == slotUnknown {
		d.index[pid] = slotIgnored
	}
}

// pmtSection takes the PMT of the program (ISO/IEC 13818-1 2.4.4.8).
func (d *Demuxer) pmtSection(b []byte) error {
	s, crc, ok := d.section(b, ts.TablePMT)
	if !ok {
		return nil
	}
	if s.Extension != d.current { // programs may share a PID
		return d.otherSection(d.pmtPID, b)
	}
	if crc == d.pmtCRC {
		return nil
	}
	m, err := ts.ParsePMT(&s)
	if err != nil {
		d.stats.TableErrors++
		return nil
	}
	d.pmtCRC = crc
	return d.applyPMT(&m)
}

// element is an elementary stream of the PMT that is taken.
type element struct {
	pid uint16
	format
}

// applyPMT makes the streams those of the table. A stream that stays keeps its state.
func (d *Demuxer) applyPMT(m *ts.PMT) error {
	var elements []element
	d.stats.IgnoredTracks = 0
	for e := range m.Elements() {
		f, ok := classify(&e, m)
		if !ok || !d.mayUse(e.PID, elements) {
			d.stats.IgnoredTracks++
			d.markKnown(e.PID)
			continue
		}
		elements = append(elements, element{e.PID, f})
	}
	changed := false
	for _, s := range d.streams {
		if !slices.ContainsFunc(elements, s.is) {
			changed = true
			if err := d.removeStream(s); err != nil {
				return err
			}
		}
	}
	old := d.streams
	d.streams = nil
	for _, e := range elements {
		i := slices.IndexFunc(old, func(s *stream) bool { return s.is(e) })
		var s *stream
		if i >= 0 {
			s = old[i]
			changed = changed || s.format != e.format
			s.format = e.format
		} else if s = d.addStream(e); s == nil {
			d.stats.IgnoredTracks++
			continue
		} else {
			changed = true
		}
		d.streams = append(d.streams, s)
	}
	d.setPCR(m.PCRPID)
	if changed {
		d.expectEpoch()
	}
	return nil
}

// mayUse tells whether a PMT may name this PID for a stream: one that is free, and once only.
func (d *Demuxer) mayUse(pid uint16, taken []element) bool {
	if pid < 0x10 || pid == ts.PIDNull || len(taken) >= media.MaxTracks {
		return false
	}
	if slices.ContainsFunc(taken, func(e element) bool { return e.pid == pid }) {
		return false
	}
	n := d.index[pid]
	return n < slotFirst || d.slots[n].section == nil || d.slots[n].stream != nil
}

// addStream makes a stream for a PID of the PMT. It returns nil if there are too many PIDs.
func (d *Demuxer) addStream(e element) *stream {
	slot := d.addSlot(e.pid)
	if slot == nil {
		return nil
	}
	s := newStream(d, e)
	slot.stream, s.slot = s, slot
	if e.codec == media.SCTE35 {
		slot.section = d.assembler(s.spliceSection)
	}
	return s
}

// removeStream ends a stream that the PMT no longer has.
func (d *Demuxer) removeStream(s *stream) error {
	err := s.finish()
	s.gone = true
	if n := d.index[s.pid]; n >= slotFirst && d.slots[n].stream == s {
		d.forget(s.pid, slotIgnored)
	}
	return err
}

// setPCR moves the clock to another PID.
func (d *Demuxer) setPCR(pid uint16) {
	if n := d.index[d.pcrPID]; d.pcrPID != 0 && n >= slotFirst {
		d.slots[n].pcr = false
		if d.slots[n].stream == nil && d.slots[n].section == nil {
			d.forget(d.pcrPID, slotIgnored)
		}
	}
	d.pcrPID = 0
	if pid < 0x10 || pid == ts.PIDNull { // 2.4.4.9: 0x1FFF is none
		return
	}
	if s := d.addSlot(pid); s != nil {
		s.pcr = true
		d.pcrPID = pid
	}
}
