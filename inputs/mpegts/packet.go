package mpegts

import (
	"encoding/binary"

	"brume/media/ts"
)

// The slots that are not in Demuxer.slots.
const (
	slotUnknown = iota
	slotIgnored // a table names the PID, or its meaning is fixed, but it is not of interest
	slotFirst
	slotMax = 250
)

// slot is what is known of one PID.
type slot struct {
	pcr     bool          // carries the clock of the program
	pmt     bool          // carries PMTs
	section *ts.Assembler // for a PID with sections
	stream  *stream       // for a PID with PES

	seen    bool   // a packet with payload came
	jump    bool   // discontinuity_indicator: the next continuity_counter may be any
	stuffed bool   // the last packet with payload was stuffed, as the last of a PES is
	again   bool   // the last packet was a duplicate
	head    uint32 // of the last packet with payload
	tail    uint64 // its last bytes
}

// packet takes one transport stream packet (ISO/IEC 13818-1 2.4.3.2).
func (d *Demuxer) packet(p *[ts.PacketSize]byte) error {
	const (
		transportError = 1 << 23
		unitStart      = 1 << 22
		scrambled      = 3 << 6
		adaptation     = 1 << 5
		hasPayload     = 1 << 4
	)
	d.stats.Packets++
	head := binary.BigEndian.Uint32(p[:])
	if head&transportError != 0 {
		d.stats.TransportErrors++
		return nil
	}
	n := d.index[head>>8&0x1FFF]
	if n < slotFirst {
		if n == slotUnknown {
			d.stats.UnknownPackets++
		}
		return nil
	}
	s := d.slots[n]
	at, stuffed := 4, false
	if head&adaptation != 0 {
		at += 1 + int(p[4])
		if at > ts.PacketSize {
			d.stats.TransportErrors++
			return nil
		}
		stuffed = d.adaptation(s, p[5:at])
		if len(d.early.units) > 0 && d.clockOfData() {
			if err := d.giveEarly(); err != nil {
				return err
			}
		}
	}
	if head&hasPayload == 0 {
		return nil
	}
	tail := binary.LittleEndian.Uint64(p[ts.PacketSize-8:])
	lost, missing := false, false
	if s.seen && head&15 != (s.head+1)&15 {
		if head == s.head && tail == s.tail && !s.again {
			s.again = true // 2.4.3.3: a packet may be sent twice
			return nil
		}
		lost = true
		if !s.jump {
			missing = head != s.head || tail != s.tail
			d.stats.ContinuityErrors++
		}
	}
	start := head&unitStart != 0
	complete := s.stuffed || s.jump && start
	s.seen, s.again, s.jump = true, false, false
	s.head, s.tail, s.stuffed = head, tail, stuffed
	if head&scrambled != 0 {
		if s.stream != nil {
			s.stream.hide()
		} else {
			d.stats.Scrambled++
		}
		complete = complete || start && !lost
		lost = true
	}
	if lost {
		err := s.lose(complete)
		if s.stream != nil && (missing || head&scrambled != 0) {
			s.stream.tear()
		}
		if err != nil || head&scrambled != 0 {
			return err
		}
	}
	if s.section != nil {
		if start {
			d.tableBegins(uint16(head >> 8 & 0x1FFF))
		}
		return s.section.Take(p[at:], start)
	}
	if s.stream == nil {
		return nil
	}
	ref := d.reached()
	err := s.stream.take(p[at:], start)
	s.stream.ref = d.reached()
	if err != nil || s.stream.ref == ref {
		return err
	}
	return d.rest()
}

// tableBegins notes where a receiver can begin: with a PAT that a PMT follows.
func (d *Demuxer) tableBegins(pid uint16) {
	switch {
	case d.raw == nil:
	case pid == ts.PIDPAT:
		d.patAt = d.stats.Packets - 1
	case pid == d.pmtPID:
		d.joinAt, d.joined = d.patAt, true
	}
}

// adaptation reads an adaptation field behind its length (ISO/IEC 13818-1 2.4.3.4) and tells
// whether it holds stuffing.
func (d *Demuxer) adaptation(s *slot, f []byte) (stuffed bool) {
	if len(f) == 0 {
		return true
	}
	flags, used := f[0], 1
	if flags&0x80 != 0 {
		s.jump = true
	}
	if flags&0x10 != 0 && len(f) >= 7 {
		used += 6
		if s.pcr {
			d.tickPCR(int64(binary.BigEndian.Uint32(f[1:]))<<1|int64(f[5]>>7), d.now)
		}
	}
	return flags&0x0F == 0 && len(f) > used
}

// lose says that packets are missing before the one at hand. complete: what was
// gathered before is known to be whole.
func (s *slot) lose(complete bool) error {
	switch {
	case s.section != nil:
		s.section.Reset()
	case s.stream != nil:
		return s.stream.lose(complete)
	}
	return nil
}
