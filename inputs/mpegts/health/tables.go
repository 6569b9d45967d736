package health

import (
	"encoding/binary"
	"slices"
	"time"

	"brume/media/ts"
)

const (
	// maxPrograms bounds the programs of the PAT that are judged.
	maxPrograms = 64
	// maxStreams bounds the PIDs of one PMT that are judged.
	maxStreams = 64
	// maxCA bounds the PIDs of entitlements of one PMT and of the CAT.
	maxCA = 32
)

// PIDs with a fixed meaning (ISO/IEC 13818-1 table 2-3, ETSI EN 300 468 table 1, ATSC A/65 4.1).
const (
	pidCAT  = 0x0001
	pidNIT  = 0x0010
	pidSDT  = 0x0011
	pidEIT  = 0x0012
	pidTDT  = 0x0014
	pidPSIP = 0x1FFB
)

// The table_id of tables that are looked for, and the CA descriptor (ISO/IEC 13818-1 table 2-31, ETSI EN 300 468 table 2).
const (
	tableCAT     = 0x01
	tableNIT     = 0x40 // of this network
	tableSDT     = 0x42 // of this transport stream
	tableEIT     = 0x4E // of this transport stream, present and following
	tableTDT     = 0x70
	tableTOT     = 0x73
	descriptorCA = 0x09
)

// repetition is how often a table of DVB has to come, once it did (TR 101 290 5.2.3, 3.2).
var repetition = [...]struct {
	pid   uint16
	table uint8
	limit time.Duration
}{
	{pidNIT, tableNIT, 10 * time.Second},
	{pidSDT, tableSDT, 2 * time.Second},
	{pidEIT, tableEIT, 2 * time.Second},
	{pidTDT, tableTDT, 30 * time.Second},
}

// tables is what PAT, CAT and PMTs told.
type tables struct {
	pat         timer
	patCRC      [256]uint32 // of each section, to see a change
	cat         timer       // runs while packets are scrambled
	catCRC      uint32
	scrambledAt stamp
	si          [len(repetition)]timer
	network     uint16   // network_PID, 0: none
	emm         []uint16 // of the CAT
	programs    []program
}

// program is one of the PAT.
type program struct {
	number  uint16
	pmtPID  uint16
	section uint8 // of the PAT that names it
	pmt     timer
	crc     uint32 // of its PMT, 0: none came

	pcrPID  uint16
	streams []stream
	ca      []uint16
}

// stream is an elementary stream of a PMT.
type stream struct {
	pid  uint16
	kind ts.PIDKind
	typ  uint8
}

// carriesSections tells whether the sections of a PID are read.
func carriesSections(pid uint16, kind ts.PIDKind) bool {
	switch kind {
	case ts.KindPAT, ts.KindCAT, ts.KindPMT:
		return true
	case ts.KindSI:
		return pid == pidNIT || pid == pidSDT || pid == pidEIT || pid == pidTDT
	}
	return false
}

func (m *Monitor) assembler(pid uint16) *ts.Assembler {
	return &ts.Assembler{
		Give:   func(b []byte) error { m.take(pid, b); return nil },
		Broken: func(bool) {}, // a table that does not come any more is late
	}
}

// take takes a whole section.
func (m *Monitor) take(pid uint16, b []byte) {
	long := len(b) > 1 && b[1]&0x80 != 0 // section_syntax_indicator
	if (long || b[0] == tableTOT) && ts.CRC32(b) != 0 {
		m.fail(crc)
		return
	}
	switch pid {
	case ts.PIDPAT:
		m.takePAT(b)
		return
	case pidCAT:
		m.takeCAT(b)
		return
	}
	for i := range repetition {
		if r := &repetition[i]; r.pid == pid && r.table == b[0] {
			m.seen(&m.si[i], r.limit, siRepetition)
		}
	}
	if s, err := ts.ParseSection(b); err == nil && s.TableID == ts.TablePMT && s.Current {
		m.takePMT(pid, &s, checksum(b))
	}
}

// checksum is the CRC_32 of a section.
func checksum(b []byte) uint32 { return binary.BigEndian.Uint32(b[len(b)-4:]) }

// takePAT takes a section of PID 0 (ISO/IEC 13818-1 2.4.4.3).
func (m *Monitor) takePAT(b []byte) {
	if b[0] != ts.TablePAT {
		m.fail(pat)
		return
	}
	s, err := ts.ParseSection(b)
	if err != nil {
		return
	}
	m.seen(&m.pat, maxPAT, pat)
	if sum := checksum(b); s.Current && m.patCRC[s.Number] != sum {
		m.patCRC[s.Number] = sum
		m.applyPAT(&s)
	}
}

// applyPAT makes the programs those of the table. One that stays keeps its state.
func (m *Monitor) applyPAT(s *ts.Section) {
	old := m.programs
	m.programs = nil
	for i := range old {
		if p := &old[i]; p.section != s.Number && p.section <= s.Last {
			m.programs = append(m.programs, *p)
		}
	}
	clear(m.patCRC[int(s.Last)+1:])
	for b := s.Body; len(b) >= 4; b = b[4:] {
		number, pid := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])&0x1FFF
		if number == 0 {
			m.network = pid
			continue
		}
		if pid < ts.PIDFirstFree || pid == ts.PIDNull || len(m.programs) == maxPrograms ||
			slices.ContainsFunc(m.programs, func(p program) bool { return p.number == number }) {
			continue
		}
		p := program{number: number, pmtPID: pid, section: s.Number, pmt: timer{last: m.now, on: true}}
		if i := slices.IndexFunc(old, func(p program) bool { return p.number == number && p.pmtPID == pid }); i >= 0 {
			p = old[i]
			p.section = s.Number
		}
		m.programs = append(m.programs, p)
	}
	m.relate()
}

// takePMT takes a section of a PMT (ISO/IEC 13818-1 2.4.4.8).
func (m *Monitor) takePMT(pid uint16, s *ts.Section, sum uint32) {
	for i := range m.programs {
		p := &m.programs[i]
		if p.number != s.Extension || p.pmtPID != pid {
			continue
		}
		m.seen(&p.pmt, maxPMT, pmt)
		if t, err := ts.ParsePMT(s); err == nil && p.crc != sum {
			p.crc = sum
			p.apply(&t)
			m.relate()
		}
		return
	}
}

// apply makes the streams of a program those of its PMT.
func (p *program) apply(t *ts.PMT) {
	p.pcrPID, p.streams = t.PCRPID, nil
	p.ca = appendCA(nil, t.Descriptors)
	for e := range t.Elements() {
		p.ca = appendCA(p.ca, e.Descriptors)
		if len(p.streams) < maxStreams {
			p.streams = append(p.streams, stream{e.PID, kindOf(&e), e.Type})
		}
	}
}

// appendCA adds the PIDs of CA descriptors (ISO/IEC 13818-1 2.6.16).
func appendCA(pids []uint16, d ts.Descriptors) []uint16 {
	for tag, b := range d.All() {
		if tag == descriptorCA && len(b) >= 4 && len(pids) < maxCA {
			pids = append(pids, binary.BigEndian.Uint16(b[2:])&0x1FFF)
		}
	}
	return pids
}

// takeCAT takes a section of PID 1 (ISO/IEC 13818-1 2.4.4.6).
func (m *Monitor) takeCAT(b []byte) {
	if b[0] != tableCAT {
		m.fail(cat)
		return
	}
	s, err := ts.ParseSection(b)
	if err != nil {
		return
	}
	if m.cat.on {
		m.seen(&m.cat, maxCAT, cat)
	}
	if sum := checksum(b); s.Current && m.catCRC != sum {
		m.catCRC = sum
		m.emm = appendCA(nil, ts.Descriptors(s.Body))
		m.relate()
	}
}

// relate finds out anew what each PID is for.
func (m *Monitor) relate() {
	for i := range m.records {
		m.records[i].named, m.records[i].clock = false, false
	}
	m.assign(ts.PIDPAT, ts.KindPAT, nil)
	for i := range m.programs {
		m.name(m.programs[i].pmtPID, ts.KindPMT, &m.programs[i])
	}
	for i := range m.programs {
		p := &m.programs[i]
		for _, s := range p.streams {
			if r := m.name(s.pid, s.kind, p); r != nil {
				r.streamType = s.typ
			}
		}
	}
	for i := range m.programs {
		m.nameClock(&m.programs[i])
		for _, pid := range m.programs[i].ca {
			m.name(pid, ts.KindCA, &m.programs[i])
		}
	}
	for _, pid := range m.emm {
		m.name(pid, ts.KindCA, nil)
	}
	if m.network != 0 {
		m.name(m.network, ts.KindSI, nil)
	}
	for i := firstRecord; i < len(m.records); i++ {
		r := &m.records[i]
		if !r.clock {
			r.pcr = nil
		}
		switch {
		case r.pid == ts.PIDs, r.named, r.pid < ts.PIDFirstFree, r.kind == ts.KindUnreferenced, r.kind == ts.KindSI && r.pid == pidPSIP:
		default:
			m.release(r)
		}
	}
}

// name gives a PID a kind, unless a table before did. It returns nil where there is nothing to give.
func (m *Monitor) name(pid uint16, kind ts.PIDKind, p *program) *record {
	if pid < ts.PIDFirstFree || pid == ts.PIDNull {
		return nil
	}
	if n := m.pids[pid].record; n >= firstRecord && m.records[n].named {
		return nil
	}
	return m.assign(pid, kind, p)
}

// nameClock makes a PID the clock of a program; it may be its video or the clock of others too.
func (m *Monitor) nameClock(p *program) {
	if p.crc == 0 || p.pcrPID < ts.PIDFirstFree || p.pcrPID == ts.PIDNull { // 2.4.4.9: 0x1FFF is none
		return
	}
	m.name(p.pcrPID, ts.KindPCR, p)
	n := m.pids[p.pcrPID].record
	if n < firstRecord {
		return
	}
	r := &m.records[n]
	r.clock = true
	if r.pcr == nil {
		r.pcr = &pcrClock{at: m.now.source}
	}
}

// kindOf tells what an elementary stream is by its type (ISO/IEC 13818-1 table 2-34, ETSI EN 300 468 annex D, ATSC A/53 part 3).
func kindOf(e *ts.Element) ts.PIDKind {
	switch e.Type {
	case 0x01, 0x02, 0x10, ts.StreamTypeH264, 0x1E, 0x1F, 0x20, 0x21, ts.StreamTypeH265, 0x32, 0x33, 0x42, 0xD1, 0xD2, 0xEA:
		return ts.KindVideo
	case ts.StreamTypeMPEG1Audio, ts.StreamTypeMPEG2Audio, ts.StreamTypeADTS, ts.StreamTypeLATM, 0x1C, 0x2D, ts.StreamTypeAC3, ts.StreamTypeEAC3:
		return ts.KindAudio
	case ts.StreamTypePrivate:
		for tag, b := range e.Descriptors.All() {
			switch {
			case tag == ts.DescriptorAC3, tag == ts.DescriptorEAC3, tag == 0x7B, tag == 0x7C, // DTS, AAC
				tag == ts.DescriptorExtension && len(b) > 0 && b[0] == ts.ExtensionOpus:
				return ts.KindAudio
			}
		}
		switch e.Descriptors.Format() {
		case ts.FormatHEVC:
			return ts.KindVideo
		case ts.FormatAC3, ts.FormatEAC3, ts.FormatOpus:
			return ts.KindAudio
		}
	}
	return ts.KindData
}

// check looks for what did not come.
func (m *Monitor) check() {
	m.judge(&m.pat, maxPAT, pat)
	complete := m.pat.on && len(m.programs) > 0
	for i := range m.programs {
		p := &m.programs[i]
		m.judge(&p.pmt, maxPMT, pmt)
		complete = complete && p.crc != 0
	}
	for i := range repetition {
		m.judge(&m.si[i], repetition[i].limit, siRepetition)
	}
	if m.cat.on && m.elapsed(m.scrambledAt) > maxPID {
		m.cat = timer{}
	}
	m.judge(&m.cat, maxCAT, cat)
	for i := firstRecord; i < len(m.records); i++ {
		r := &m.records[i]
		switch {
		case r.pid == ts.PIDs:
		case r.kind == ts.KindUnreferenced:
			m.checkStray(r, complete)
		default:
			m.checkNamed(r)
		}
	}
}

// checkNamed looks for a PID that should come, its PTS and its PCR.
func (m *Monitor) checkNamed(r *record) {
	if r.steady() {
		r.presence.on = true
		m.judge(&r.presence, maxPID, pidMissing)
	}
	if r.timed() && r.packets > 0 {
		m.expect(&r.pts)
		m.judge(&r.pts, maxPTS, pts)
	}
	if c := r.pcr; c != nil && !c.late && m.now.source-c.at > clockDead {
		c.late = true
		m.fail(pcrRepetition)
	}
}

// checkStray judges a PID that no table names, once all tables are known, and forgets one that went.
func (m *Monitor) checkStray(r *record, complete bool) {
	switch {
	case m.elapsed(r.presence.last) > maxPID:
		m.release(r)
	case complete || r.stray.late:
		m.expect(&r.stray)
		m.judge(&r.stray, maxStray, unreferenced)
	default:
		r.stray = timer{}
	}
}
