// Package scte35 reads splice commands (ANSI/SCTE 35). It is pure, and takes any bytes.
package scte35

import (
	"errors"

	"brume/media/bits"
)

// ErrMalformed means that the bytes are no splice_info_section, or one that ends in the middle of what it says.
var ErrMalformed = errors.New("malformed splice_info_section")

// NoTime stands for a time that is not told: what the command says holds at once.
const NoTime = int64(-1)

// MaxEvents bounds what is read of one section. A section has room for some hundred segmentation descriptors; those of
// real sources have one to three.
const MaxEvents = 16

// The values of splice_command_type (table 7).
const (
	Null                 = 0x00
	Schedule             = 0x04
	Insert               = 0x05
	TimeSignal           = 0x06
	BandwidthReservation = 0x07
	Private              = 0xFF
)

const (
	tableID                = 0xFC
	identifierCUEI         = 0x43554549
	descriptorSegmentation = 0x02
	lengthUnknown          = 0xFFF // splice_command_length of old encoders
)

// Action is what an event does to the program.
type Action uint8

// The actions.
const (
	Mark   Action = iota // something that is neither of the following
	Out                  // the program may be left
	In                   // the program comes back
	Cancel               // events of this ID that were announced do not take place; all but Kind and ID is zero
)

// Kind tells events apart that have the same ID: KindInsert, or the segmentation_type_id with which the segment begins.
type Kind uint16

// KindInsert is the kind of splice_insert().
const KindInsert Kind = 0x100

// KindAny is the kind of a segmentation event that is cancelled, of which only the ID is told.
const KindAny Kind = 0x200

// Event is a splice_insert() (9.7.3) or what a segmentation descriptor says (10.3.3).
type Event struct {
	Kind       Kind
	ID         uint32 // splice_event_id, segmentation_event_id
	Action     Action
	Duration   int64 // of the break or the segment, 90 kHz ticks; 0: not told
	AutoReturn bool  // a break ends by itself after Duration
}

// Section is what a splice_info_section (9.6) says.
type Section struct {
	Encrypted bool  // nothing else can be read
	Command   uint8 // splice_command_type
	// Time is when it takes effect: splice_time() and pts_adjustment together, 33 bits on the clock of the program's
	// timestamps, or NoTime. All events have it.
	Time   int64
	Events []Event
}

// Parse reads a section, from table_id to CRC_32, which is not checked. The error is ErrMalformed; the section has what
// could be read before.
func Parse(b []byte) (s Section, err error) {
	s.Time = NoTime
	if len(b) < 18 || b[0] != tableID || int(b[1]&15)<<8|int(b[2]) != len(b)-3 {
		return s, ErrMalformed
	}
	r := &bits.Reader{Data: b[:len(b)-4], Pos: 4 * 8} // behind protocol_version
	s.Encrypted = r.Flag()
	r.Read(6) // encryption_algorithm
	adjustment := read33(r)
	r.Read(8 + 12) // cw_index, tier
	length := int(r.Read(12))
	s.Command = uint8(r.Read(8))
	if s.Encrypted {
		s.Command = 0
		return s, nil
	}
	begin := r.Pos
	switch s.Command {
	case Insert:
		s.insert(r)
	case TimeSignal:
		s.Time = spliceTime(r)
	}
	if s.Time != NoTime {
		s.Time = (s.Time + adjustment) & (1<<33 - 1)
	}
	if length != lengthUnknown {
		end := begin + 8*length
		if r.Pos > end {
			return s, ErrMalformed
		}
		r.Pos = end
	}
	if s.Command == TimeSignal {
		s.descriptors(r)
	}
	if r.Over() {
		return s, ErrMalformed
	}
	return s, nil
}

func read33(r *bits.Reader) int64 { return int64(r.Read(1))<<32 | int64(r.Read(32)) }

// spliceTime reads a splice_time() (9.8.1).
func spliceTime(r *bits.Reader) int64 {
	if !r.Flag() {
		r.Read(7)
		return NoTime
	}
	r.Read(6)
	return read33(r)
}

// insert reads a splice_insert() (9.7.3).
func (s *Section) insert(r *bits.Reader) {
	e := Event{Kind: KindInsert, ID: r.Read(32), Action: In}
	cancel := r.Flag()
	r.Read(7)
	if cancel {
		e.Action = Cancel
		s.event(e)
		return
	}
	if r.Flag() {
		e.Action = Out
	}
	program, duration, immediate := r.Flag(), r.Flag(), r.Flag()
	r.Read(4)
	switch {
	case program && !immediate:
		s.Time = spliceTime(r)
	case !program:
		for n := r.Read(8); n > 0; n-- {
			r.Read(8) // component_tag
			if immediate {
				continue
			}
			if t := spliceTime(r); s.Time == NoTime {
				s.Time = t
			}
		}
	}
	if duration { // break_duration() (9.8.2)
		e.AutoReturn = r.Flag()
		r.Read(6)
		e.Duration = read33(r)
	}
	e.AutoReturn = e.AutoReturn && e.Duration > 0
	r.Read(32) // unique_program_id, avail_num, avails_expected
	s.event(e)
}

// descriptors reads the loop of descriptors (10.2).
func (s *Section) descriptors(r *bits.Reader) {
	end := r.Pos + 16
	end += 8 * int(r.Read(16))
	for r.Pos+16 <= end && !r.Over() {
		tag := r.Read(8)
		next := r.Pos + 8
		next += 8 * int(r.Read(8))
		if tag == descriptorSegmentation && r.Read(32) == identifierCUEI {
			s.segmentation(r)
		}
		if r.Pos > next {
			r.Pos = 8*len(r.Data) + 1 // what it says does not fit into it
			return
		}
		r.Pos = next
	}
}

// segmentation reads a segmentation_descriptor() behind its identifier (10.3.3).
func (s *Section) segmentation(r *bits.Reader) {
	e := Event{Kind: KindAny, ID: r.Read(32)}
	cancel := r.Flag()
	r.Read(7)
	if cancel {
		e.Action = Cancel
		s.event(e)
		return
	}
	program, duration := r.Flag(), r.Flag()
	r.Read(6)
	if !program {
		for n := r.Read(8); n > 0; n-- {
			r.Pos += 8 + 7 + 33 // component_tag, pts_offset
		}
	}
	if duration {
		e.Duration = int64(r.Read(8))<<32 | int64(r.Read(32))
	}
	r.Read(8) // segmentation_upid_type
	r.Pos += 8 * int(r.Read(8))
	e.Kind, e.Action = segment(uint8(r.Read(8)))
	r.Read(16) // segment_num, segments_expected
	s.event(e)
}

// segment tells what a segmentation_type_id (table 23) means: breaks, advertisements, promos, opportunities for them and
// their blocks lead out of the program and back in. An end has the kind of its beginning.
func segment(id uint8) (Kind, Action) {
	switch {
	case id == 0x22 || id == 0x23, id >= 0x30 && id <= 0x3F, id >= 0x42 && id <= 0x47:
		if id&1 == 0 {
			return Kind(id), Out
		}
		return Kind(id - 1), In
	default:
		return Kind(id), Mark
	}
}

// event keeps an event. Two descriptors that say the same make one.
func (s *Section) event(e Event) {
	if len(s.Events) == MaxEvents {
		return
	}
	for i := range s.Events {
		if o := &s.Events[i]; o.Kind == e.Kind && o.ID == e.ID && o.Action == e.Action {
			return
		}
	}
	s.Events = append(s.Events, e)
}
