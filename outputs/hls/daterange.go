package hls

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"brume/buffer"
	"brume/media"
	"brume/media/scte35"
)

// Bounds of the date ranges, whatever a buffer says.
const (
	maxDateRanges = 32
	minSplice     = 15   // bytes of a splice_info_section
	maxSplice     = 4096 // the same (ANSI/SCTE 35 9.6: 12 bits of length)
	maxSplices    = 16 << 10
)

const never = math.MaxInt64

// rangeState says how much of a date range is known.
type rangeState uint8

// The states and what ends them:
//
//	rangeMoment  a command that leads neither out nor in; or that can't be understood
//	rangeOut     out, and no end: rangeOver with the way in, or when a break that returns by itself is over
//	rangeOver    out and its end, or a way in alone. A way in that comes after the end of its break is added
const (
	rangeMoment rangeState = iota
	rangeOut
	rangeOver
)

// spliceKey tells the events of a stream apart. They are used again, but not while one lasts.
type spliceKey struct {
	kind scte35.Kind
	id   uint32
}

// dateRange is what EXT-X-DATERANGE says of a splice command, or of two that belong together (RFC 8216 4.3.2.7.1). What is
// known once stays as it is, as players may have read it.
type dateRange struct {
	id           string
	key          spliceKey
	state        rangeState
	epoch        uint64
	ticks        int64 // start as a timestamp of 33 bits
	start        int64 // wall clock, Unix nanoseconds
	end          int64 // the same, once it is over
	planned      int64 // ticks, 0: not told
	due          int64 // when a break returns by itself, wall clock; never: it does not
	cmd, out, in []byte
}

// dateRanges are those that playlists list, in the order in which they were told.
type dateRanges struct {
	list    []dateRange
	changes uint64 // counts what shows
	due     int64  // the earliest of the list; 0: to be found out
}

// add takes a command. A splice_null and a bandwidth_reservation say nothing (ANSI/SCTE 35 9.7.1, 9.7.5).
func (d *dateRanges) add(e *buffer.Entry, payload func() ([]byte, error)) {
	if e.Length < minSplice || e.Length > maxSplice {
		return
	}
	b, err := payload()
	if err != nil || len(b) < minSplice {
		return
	}
	s, err := scte35.Parse(b)
	if err == nil && !s.Encrypted && (s.Command == scte35.Null || s.Command == scte35.BandwidthReservation) {
		return
	}
	c := newSplice(e, b, s.Time)
	if err != nil || len(s.Events) == 0 {
		d.moment(&c, c.name(e.Seq), spliceKey{})
		return
	}
	for i := range s.Events {
		d.event(&c, &s.Events[i])
	}
}

// push lists a range.
func (d *dateRanges) push(r dateRange) {
	d.list = append(d.list, r)
	d.bound()
}

// bound drops the oldest ranges as long as there are too many, or too large ones.
func (d *dateRanges) bound() {
	size := 0
	for i := range d.list {
		size += d.list[i].size()
	}
	for len(d.list) > maxDateRanges || size > maxSplices {
		size -= d.list[0].size()
		d.list = d.list[1:]
	}
	d.changed()
}

// size is how many bytes of sections a range holds.
func (r *dateRange) size() int { return len(r.cmd) + len(r.out) + len(r.in) }

func (d *dateRanges) changed() {
	d.changes++
	d.due = 0
}

// pass says how far the program has come: breaks that return by themselves are over.
func (d *dateRanges) pass(wall int64) {
	if wall < d.due || len(d.list) == 0 {
		return
	}
	next, over := int64(never), false
	for i := range d.list {
		r := &d.list[i]
		if r.state == rangeOut && r.due <= wall {
			r.state, r.end, over = rangeOver, r.due, true
		}
		if r.state == rangeOut {
			next = min(next, r.due)
		}
	}
	if over {
		d.changed()
	}
	d.due = next
}

// until is how long a range is of interest, wall clock. A break whose end nobody tells is over when it was planned to be,
// or else when a later one of its kind begins.
func (d *dateRanges) until(i int) int64 {
	r := &d.list[i]
	switch {
	case r.state == rangeMoment:
		return r.start
	case r.state == rangeOver:
		return r.end
	case r.due != never:
		return r.due
	case r.planned > 0:
		return r.start + int64(media.Duration(r.planned))
	}
	for _, o := range d.list[i+1:] {
		if o.key.kind == r.key.kind && o.start > r.start {
			return o.start
		}
	}
	return never
}

// prune forgets the ranges that are over before a time.
func (d *dateRanges) prune(since int64) {
	var kept []dateRange
	for i := range d.list {
		if d.until(i) >= since {
			kept = append(kept, d.list[i])
		}
	}
	d.list = kept
}

// lost forgets all: commands may be among the entries that could not be read.
func (d *dateRanges) lost() { *d = dateRanges{changes: d.changes + 1} }

// clone returns a copy that stays as it is.
func (d *dateRanges) clone() dateRanges {
	return dateRanges{list: slices.Clone(d.list), changes: d.changes}
}

// write lists the ranges that are not over before a time. They stand before all segments, where a delta update has them too.
func (d *dateRanges) write(t *text, since int64) {
	for i := range d.list {
		if d.until(i) >= since {
			d.list[i].write(t)
		}
	}
}

func (r *dateRange) write(t *text) {
	t.add(`#EXT-X-DATERANGE:ID="`, r.id, `",START-DATE="`)
	t.time(r.start)
	t.add(`"`)
	if r.state == rangeOver {
		t.add(`,END-DATE="`)
		t.time(r.end)
		t.add(`",DURATION=`)
		t.milliseconds(r.end/int64(time.Millisecond) - r.start/int64(time.Millisecond)) // as the dates are rounded
	}
	if r.planned > 0 {
		t.add(",PLANNED-DURATION=")
		t.seconds(r.planned)
	}
	t.section("SCTE35-CMD", r.cmd)
	t.section("SCTE35-OUT", r.out)
	t.section("SCTE35-IN", r.in)
	t.line()
}

// milliseconds writes a duration in seconds.
func (t *text) milliseconds(ms int64) {
	t.number(uint64(max(ms, 0) / 1000))
	t.add(".", strconv.FormatInt(1000+max(ms, 0)%1000, 10)[1:])
}

// section writes an attribute with a splice_info_section as a hexadecimal-sequence (RFC 8216 4.2), if there is one.
func (t *text) section(name string, b []byte) {
	if len(b) > 0 {
		t.add(",", name, "=0x", strings.ToUpper(hex.EncodeToString(b)))
	}
}
