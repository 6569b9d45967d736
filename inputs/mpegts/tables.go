package mpegts

import (
	"encoding/binary"
	"slices"

	"brume/media"
	"brume/media/ts"
)

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

func (d *Demuxer) markKnown(pid uint16) {
	if d.index[pid] == slotUnknown {
		d.index[pid] = slotIgnored
	}
}

// element is an elementary stream of the PMT that is taken.
type element struct {
	pid uint16
	format
}

// applyPMT makes the streams those of the table. A stream that stays keeps its state.
func (d *Demuxer) applyPMT(m *ts.PMT) error {
	elements := d.takeElements(m)
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
	d.nameStreams()
	d.setPCR(m.PCRPID)
	if changed {
		d.expectEpoch()
	}
	return nil
}

// takeElements finds the elementary streams of a PMT that are taken, and notes why others are not.
func (d *Demuxer) takeElements(m *ts.PMT) (elements []element) {
	d.stats.IgnoredTracks = 0
	d.left = leftOut{namedAt: d.now, list: d.left.list, nothing: d.left.nothing}
	for e := range m.Elements() {
		n := named{LeftOut: ts.LeftOut{PID: e.PID, StreamType: e.Type, Type: e.Name(), Language: e.Descriptors.Language()}}
		f, ok := classify(&e, m)
		if n.Reason = d.refusal(e.PID, elements); !ok {
			n.Reason = ts.LeftOutType
		}
		d.left.named = append(d.left.named, n)
		if n.Reason != "" {
			d.stats.IgnoredTracks++
			d.markKnown(e.PID)
			continue
		}
		elements = append(elements, element{e.PID, f})
	}
	return elements
}

// nameStreams notes which streams were made of what the PMT names.
func (d *Demuxer) nameStreams() {
	for i := range d.left.named {
		n := &d.left.named[i]
		if n.Reason != "" {
			continue
		}
		if at := slices.IndexFunc(d.streams, func(s *stream) bool { return s.pid == n.PID }); at >= 0 {
			n.stream = d.streams[at]
		} else {
			n.Reason = ts.LeftOutTooMany
		}
	}
}

// refusal is why a PMT may not name this PID for a stream: it has to be free, and is named once only. It is empty for one
// that is taken.
func (d *Demuxer) refusal(pid uint16, taken []element) ts.LeftOutReason {
	n := d.index[pid]
	switch {
	case pid < 0x10 || pid == ts.PIDNull,
		slices.ContainsFunc(taken, func(e element) bool { return e.pid == pid }),
		n >= slotFirst && d.slots[n].section != nil && d.slots[n].stream == nil:
		return ts.LeftOutPID
	case len(taken) >= d.maxTracks:
		return ts.LeftOutTooMany
	}
	return ""
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
