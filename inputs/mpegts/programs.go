package mpegts

import (
	"slices"
	"time"

	"brume/media"
	"brume/media/ts"
)

const (
	// maxPrograms bounds the programs of a PAT that are looked at, and maxServices what is kept of an SDT.
	maxPrograms = 64
	maxServices = 256
	// maxMissing is after which time a program counts as missing that no table has named. An SDT comes every 2 s
	// (ETSI TR 101 211 4.4.1).
	maxMissing = 3 * time.Second
)

// Program is a program of the transport stream.
type Program struct {
	Number   uint16 // program_number
	PMT      uint16 // PID of its PMT
	Name     string // of the service, as the SDT tells it, at most ts.MaxServiceText bytes
	Provider string // the same
}

// worth is what the PMT of a program promises.
type worth uint8

const (
	worthUnknown worth = iota // it has not come yet
	worthLittle               // no audio or video that can be taken
	worthTaking
)

// program is what is known of a program of the PAT.
type program struct {
	number, pid uint16
	section     uint8 // of the PAT
	worth       worth
	crc         uint32 // of its PMT, 0: it has not come yet
}

// service is what the SDT says of one.
type service struct {
	name, provider string
	section        uint8 // of the SDT
}

// programs is what the PAT, the SDT and the PMTs told.
type programs struct {
	patCRC   [256]uint32 // of each section, to see a change
	sdtCRC   [256]uint32
	list     []program // of the PAT, in its order
	services map[uint16]service
	changes  uint64        // of what Programs returns
	patSince time.Duration // when the first PAT came, by arrival

	current  uint16 // program_number that is taken, 0: none yet
	pmtPID   uint16
	pmtCRC   uint32
	pcrPID   uint16
	chosenAt time.Duration // when it was taken, by arrival
	settled  bool          // it is not left for another of the PAT
}

// Programs returns the programs of the transport stream, at most 64, in the order of the PAT.
func (d *Demuxer) Programs() []Program {
	all := make([]Program, 0, len(d.list))
	for i := range d.list {
		p := &d.list[i]
		s := d.services[p.number]
		all = append(all, Program{Number: p.number, PMT: p.pid, Name: s.name, Provider: s.provider})
	}
	return all
}

// Program is the program_number of the program that is taken, 0 before there is one.
func (d *Demuxer) Program() uint16 { return d.current }

// Changes counts the changes of what Programs returns.
func (d *Demuxer) Changes() uint64 { return d.changes }

// Missing reports whether the program that was asked for is not in the transport stream.
func (d *Demuxer) Missing() bool {
	if d.program == 0 && d.service == "" || len(d.list) == 0 || d.now-d.patSince < maxMissing {
		return false
	}
	return d.find(d.wanted()) == nil
}

// find returns a program of the PAT, nil if there is none.
func (d *Demuxer) find(number uint16) *program {
	i := slices.IndexFunc(d.list, func(p program) bool { return p.number == number })
	if i < 0 {
		return nil
	}
	return &d.list[i]
}

// patSection takes a section of the PAT (ISO/IEC 13818-1 2.4.4.3).
func (d *Demuxer) patSection(b []byte) error {
	s, crc, ok := d.section(b, ts.TablePAT)
	if !ok || d.patCRC[s.Number] == crc {
		return nil
	}
	d.patCRC[s.Number] = crc
	if d.patSince == 0 {
		d.patSince = max(d.now, 1)
	}
	old := slices.Clone(d.list)
	d.list = slices.DeleteFunc(d.list, func(p program) bool { return p.section == s.Number || p.section > s.Last })
	for number, pid := range s.Programs() {
		if pid < ts.PIDFirstFree || pid == ts.PIDNull {
			d.stats.TableErrors++
			continue
		}
		if len(d.list) == maxPrograms && number == d.program {
			d.list = d.list[:maxPrograms-1]
		}
		if len(d.list) == maxPrograms || d.find(number) != nil {
			continue
		}
		p := program{number: number, pid: pid, section: s.Number}
		if i := slices.IndexFunc(old, func(o program) bool { return o.number == number && o.pid == pid }); i >= 0 {
			p.worth, p.crc = old[i].worth, old[i].crc
		}
		d.list = append(d.list, p)
	}
	slices.SortStableFunc(d.list, func(a, b program) int { return int(a.section) - int(b.section) })
	d.changes++
	for i := range old {
		d.stopListening(old[i].pid)
	}
	d.choose()
	for i := range d.list {
		d.listen(d.list[i].pid)
	}
	return nil
}

// sdtSection takes a section of the SDT (ETSI EN 300 468 5.2.3). Its PID carries other tables, too.
func (d *Demuxer) sdtSection(b []byte) error {
	if b[0] != ts.TableSDT {
		return nil
	}
	s, crc, ok := d.section(b, ts.TableSDT)
	if !ok || d.sdtCRC[s.Number] == crc {
		return nil
	}
	d.sdtCRC[s.Number] = crc
	if d.services == nil {
		d.services = make(map[uint16]service)
	}
	for number, v := range d.services {
		if v.section == s.Number || v.section > s.Last {
			delete(d.services, number)
		}
	}
	for v := range s.Services() {
		if _, known := d.services[v.Number]; known || len(d.services) < maxServices {
			d.services[v.Number] = service{v.Name, v.Provider, s.Number}
		}
	}
	d.changes++
	d.choose()
	return nil
}

// wanted is the number of the program to take, 0: none of those that are known.
func (d *Demuxer) wanted() uint16 {
	switch {
	case d.program != 0:
		return d.program
	case d.service != "":
		// A name that is lost for a while does not end the program, one that changes does.
		if s, named := d.services[d.current]; d.current != 0 && (!named || s.name == d.service) && d.find(d.current) != nil {
			return d.current
		}
		for i := range d.list {
			if n := d.list[i].number; d.services[n].name == d.service {
				return n
			}
		}
		return 0
	}
	return d.first()
}

// first is the program to take where none is asked for: the first that is worth it. What is taken is left for another only
// while it has shown nothing.
func (d *Demuxer) first() uint16 {
	now := d.find(d.current)
	if now != nil && (d.settled || now.worth == worthUnknown && d.now-d.chosenAt < maxWait) {
		return now.number
	}
	for i := range d.list {
		p := &d.list[i]
		if p.worth == worthTaking || p.worth == worthUnknown && now == nil {
			return p.number
		}
	}
	if now == nil && len(d.list) > 0 {
		now = &d.list[0]
	}
	if now == nil {
		return 0
	}
	return now.number
}

// choose takes the program that is wanted by what the tables say now.
func (d *Demuxer) choose() {
	p := d.find(d.wanted())
	if p == nil || p.number == d.current && p.pid == d.pmtPID {
		return
	}
	if p.number != d.current {
		d.settled = p.worth == worthTaking
	}
	before := d.pmtPID
	d.current, d.pmtPID, d.pmtCRC, d.chosenAt = p.number, p.pid, 0, d.now
	d.stopListening(before)
	if n := d.index[p.pid]; n >= slotFirst && !d.slots[n].pmt {
		d.forget(p.pid, slotUnknown)
	}
	d.listen(p.pid)
}

// waitForPMT looks for another program when the PMT of the one that was taken does not come.
func (d *Demuxer) waitForPMT() {
	if d.current != 0 && d.pmtCRC == 0 && d.now-d.chosenAt >= maxWait {
		d.choose()
	}
}

// listen looks for PMTs on a PID, also for those of programs that are not taken, so that their PIDs are known.
func (d *Demuxer) listen(pid uint16) {
	if d.index[pid] >= slotFirst {
		return
	}
	d.addTable(pid, func(b []byte) error { return d.pmtSection(pid, b) })
	if n := d.index[pid]; n >= slotFirst {
		d.slots[n].pmt = true
	}
}

// stopListening gives up a PID on which no program of the PAT has its PMT any more.
func (d *Demuxer) stopListening(pid uint16) {
	if slices.ContainsFunc(d.list, func(p program) bool { return p.pid == pid }) {
		return
	}
	n := d.index[pid]
	if n < slotFirst || !d.slots[n].pmt || pid == d.pmtPID && d.find(d.current) == nil {
		return // what is taken stays until there is another
	}
	if s := d.slots[n]; s.pcr {
		s.section, s.pmt = nil, false
		return
	}
	d.forget(pid, slotUnknown)
}

// pmtSection takes the PMT of a program (ISO/IEC 13818-1 2.4.4.8). Programs may share a PID.
func (d *Demuxer) pmtSection(pid uint16, b []byte) error {
	s, crc, ok := d.section(b, ts.TablePMT)
	if !ok {
		return nil
	}
	taken := s.Extension == d.current && pid == d.pmtPID
	p := d.find(s.Extension)
	if p != nil && p.pid != pid {
		p = nil
	}
	if (p == nil || p.crc == crc) && (!taken || d.pmtCRC == crc) {
		return nil
	}
	m, err := ts.ParsePMT(&s)
	if err != nil {
		d.stats.TableErrors++
		return nil
	}
	if p != nil {
		p.crc, p.worth = crc, worthOf(&m)
		d.choose()
		taken = s.Extension == d.current && pid == d.pmtPID
	}
	if taken {
		d.pmtCRC = crc
		d.settled = d.settled || p != nil && p.worth == worthTaking
		return d.applyPMT(&m)
	}
	d.markKnown(m.PCRPID)
	for e := range m.Elements() {
		d.markKnown(e.PID)
	}
	return nil
}

// worthOf tells what a PMT promises. What is scrambled has a CA descriptor, for the program or for each stream
// (ISO/IEC 13818-1 2.6.16).
func worthOf(m *ts.PMT) worth {
	if _, scrambled := m.Descriptors.Find(ts.DescriptorCA); scrambled {
		return worthLittle
	}
	for e := range m.Elements() {
		if _, scrambled := e.Descriptors.Find(ts.DescriptorCA); scrambled {
			continue
		}
		if f, ok := classify(&e, m); ok && f.codec.Kind() != media.Data {
			return worthTaking
		}
	}
	return worthLittle
}
