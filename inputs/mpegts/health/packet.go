package health

import (
	"encoding/binary"

	"brume/media/ts"
)

// The indices that are no PID's own in Monitor.records.
const (
	unmet       = iota // the PID did not come yet
	shared             // there are too many PIDs
	firstRecord        // of the others
)

const (
	maxRecords = 256
	// maxStrays bounds the records of PIDs that no table names.
	maxStrays = 64
)

// entry is what is known of every PID.
type entry struct {
	tail   uint32 // of the last packet with payload, to know it again
	record uint8
	state  uint8 // continuity_counter and:
}

const (
	counted = 1 << 4 // state holds a continuity_counter
	doubled = 1 << 5 // the last packet was a duplicate
	jumping = 1 << 6 // discontinuity_indicator: the next continuity_counter may be any
)

// record is what is known of a PID that came or should come.
type record struct {
	pid        uint16 // ts.PIDs: free
	program    uint16
	kind       ts.PIDKind
	streamType uint8
	named      bool // by a table, as of the last look at them

	packets   uint64
	losses    uint64
	scrambled uint64

	presence timer
	stray    timer // of one that no table names
	pts      timer // of video and audio
	pcr      *pcrClock
	clock    bool // it is one, as of the last look at the tables
	section  *ts.Assembler
}

// timed tells whether the PID must come and carry times.
func (r *record) timed() bool { return r.kind == ts.KindVideo || r.kind == ts.KindAudio }

// steady tells whether the PID must come.
func (r *record) steady() bool { return r.timed() || r.pcr != nil }

// packet takes one transport stream packet (ISO/IEC 13818-1 2.4.3.2).
func (m *Monitor) packet(p *[ts.PacketSize]byte) {
	const (
		transportError = 1 << 23
		unitStart      = 1 << 22
		scrambled      = 3 << 6
		adaptation     = 1 << 5
		hasPayload     = 1 << 4
	)
	m.packets++
	head := binary.BigEndian.Uint32(p[:])
	if head&transportError != 0 {
		m.fail(transport)
		return // nothing else in it can be trusted
	}
	pid := uint16(head >> 8 & 0x1FFF)
	if pid == ts.PIDNull {
		return
	}
	e := &m.pids[pid]
	if e.record == unmet {
		m.meet(pid)
	}
	r := &m.records[e.record]
	r.packets++
	m.judge(&r.presence, maxPID, pidMissing)
	r.presence.last, r.presence.late = m.now, false
	at := 4
	if head&adaptation != 0 {
		if at += 1 + int(p[4]); at > ts.PacketSize {
			return
		}
		if p[4] > 0 {
			m.adaptation(e, r, pid, p[5:at])
		}
	}
	if head&hasPayload == 0 {
		return
	}
	again, lost := e.count(p)
	if lost {
		r.losses++
		m.fail(continuity)
	}
	if again {
		return
	}
	start := head&unitStart != 0
	switch {
	case head&scrambled != 0:
		m.scrambled(r)
	case r.section != nil:
		if lost {
			r.section.Reset()
		}
		_ = r.section.Take(p[at:], start) // what it is given to has no errors
	case start && r.timed() && hasPTS(p[at:]):
		m.seen(&r.pts, maxPTS, pts)
	}
}

// count takes a continuity_counter (ISO/IEC 13818-1 2.4.3.3). again: the packet is a duplicate, of which one is
// allowed; lost: others are missing before it.
func (e *entry) count(p *[ts.PacketSize]byte) (again, lost bool) {
	cc := p[3] & 15
	end := binary.LittleEndian.Uint64(p[ts.PacketSize-8:])
	tail := uint32(end) ^ uint32(end>>32) ^ uint32(p[1]&0x40) ^ uint32(p[3])<<8
	if e.state&counted != 0 && cc != (e.state+1)&15 {
		if cc == e.state&15 && tail == e.tail {
			if e.state&doubled == 0 {
				e.state |= doubled
				return true, false
			}
			return true, true
		}
		lost = e.state&jumping == 0
	}
	e.state, e.tail = counted|cc, tail
	return false, lost
}

// adaptation reads an adaptation field behind its length (ISO/IEC 13818-1 2.4.3.4).
func (m *Monitor) adaptation(e *entry, r *record, pid uint16, f []byte) {
	if f[0]&0x80 != 0 {
		e.state |= jumping
		if r.pcr != nil {
			r.pcr.jump = true
		}
	}
	if f[0]&0x10 != 0 && len(f) >= 7 {
		base := int64(binary.BigEndian.Uint32(f[1:]))<<1 | int64(f[5]>>7)
		m.tick(r, pid, base*300+int64(f[5]&1)<<8+int64(f[6]))
	}
}

// scrambled takes a packet whose payload can't be read.
func (m *Monitor) scrambled(r *record) {
	r.scrambled++
	m.scrambledAt = m.now
	m.expect(&m.cat)
	switch r.kind {
	case ts.KindPAT:
		m.fail(pat)
	case ts.KindPMT:
		m.fail(pmt)
	}
	if r.section != nil {
		r.section.Reset()
	}
	if r.timed() { // its times can't be seen
		r.pts = timer{}
	}
}

// hasPTS tells whether a PES begins with a PTS (ISO/IEC 13818-1 2.4.3.6). One whose header goes on in the next packet is
// taken to have one.
func hasPTS(b []byte) bool {
	if len(b) < 8 {
		return true
	}
	return b[0] == 0 && b[1] == 0 && b[2] == 1 && b[7]&0x80 != 0
}

// meet gives a PID that comes for the first time a record.
func (m *Monitor) meet(pid uint16) {
	switch {
	case pid == pidCAT:
		m.assign(pid, ts.KindCAT, nil)
	case pid < ts.PIDFirstFree || pid == pidPSIP:
		m.assign(pid, ts.KindSI, nil)
	case m.strays < maxStrays:
		if m.assign(pid, ts.KindUnreferenced, nil) != nil {
			m.strays++
			return
		}
		m.fail(unreferenced)
	default:
		// Judged at once: who sends that many is past help.
		m.pids[pid].record = shared
		m.beyond++
		m.fail(unreferenced)
	}
}

// assign makes a PID one of a kind. It returns nil when there are too many.
func (m *Monitor) assign(pid uint16, kind ts.PIDKind, p *program) *record {
	e := &m.pids[pid]
	if e.record < firstRecord {
		n := m.free()
		if n == 0 {
			if e.record == unmet {
				m.beyond++
			}
			e.record = shared
			return nil
		}
		if e.record == shared {
			m.beyond--
		}
		e.record = uint8(n)
		m.records[n] = record{pid: pid, kind: kind, presence: timer{last: m.now}}
	}
	r := &m.records[e.record]
	if r.kind == ts.KindUnreferenced && kind != ts.KindUnreferenced {
		m.strays--
	}
	if r.kind != kind {
		r.kind, r.section = kind, nil
		r.presence, r.stray, r.pts = timer{last: m.now}, timer{}, timer{}
	}
	if r.section == nil && carriesSections(pid, kind) {
		r.section = m.assembler(pid)
	}
	r.program = 0
	if p != nil {
		r.program = p.number
	}
	r.named = true
	return r
}

// free finds a record that is not in use, 0: there is none.
func (m *Monitor) free() int {
	for i := firstRecord; i < len(m.records); i++ {
		if m.records[i].pid == ts.PIDs {
			return i
		}
	}
	if len(m.records) == maxRecords {
		return 0
	}
	m.records = append(m.records, record{pid: ts.PIDs})
	return len(m.records) - 1
}

// release forgets a PID that no table names any more.
func (m *Monitor) release(r *record) {
	if r.kind == ts.KindUnreferenced {
		m.strays--
	}
	m.pids[r.pid].record = unmet
	*r = record{pid: ts.PIDs}
}
