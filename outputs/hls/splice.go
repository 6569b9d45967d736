package hls

import (
	"fmt"
	"slices"

	"brume/buffer"
	"brume/media"
	"brume/media/scte35"
	"brume/media/ts"
)

// splice is a command on its way into the date ranges.
type splice struct {
	section []byte
	now     int64 // the program time at which it came, wall clock in Unix nanoseconds
	start   int64 // when it takes effect
	told    bool  // it says when
	epoch   uint64
	ticks   int64 // start as a timestamp of 33 bits
}

// newSplice places a command; at is what scte35.Section.Time says.
func newSplice(e *buffer.Entry, section []byte, at int64) splice {
	c := splice{section: section, now: presented(e), epoch: e.Epoch}
	c.start, c.ticks = c.now, e.PTS&(ts.Wrap-1)
	if at != scte35.NoTime {
		c.start, c.ticks, c.told = c.now+int64(media.Duration(ts.Distance(at, e.PTS))), at, true
	}
	return c
}

// begin makes the range that begins with the command.
func (c *splice) begin(id string, k spliceKey, state rangeState) dateRange {
	return dateRange{id: id, key: k, state: state, epoch: c.epoch, ticks: c.ticks, start: c.start, due: never}
}

// after is the end of a range that began before the command. Within an epoch their time stamps tell how long it is: the wall
// clock has followed the server's meanwhile.
func (c *splice) after(r *dateRange) int64 {
	if r.epoch != c.epoch {
		return c.start
	}
	return r.start + max(int64(media.Duration(ts.Distance(c.ticks, r.ticks))), 0)
}

// name is the ID of a command that is told by nothing but its place in the stream.
func (c *splice) name(seq uint64) string { return fmt.Sprintf("scte35-%d-%d", c.epoch, seq) }

// eventName is the ID of an event. The time makes it unique, as sources use IDs again.
func (c *splice) eventName(k spliceKey) string {
	if k.kind == scte35.KindInsert {
		return fmt.Sprintf("scte35-%d-%d-%d", c.epoch, c.ticks, k.id)
	}
	return fmt.Sprintf("scte35-%d-%d-%d-%02x", c.epoch, c.ticks, k.id, uint16(k.kind))
}

// event takes what a command says of one event.
func (d *dateRanges) event(c *splice, v *scte35.Event) {
	k := spliceKey{v.Kind, v.ID}
	switch v.Action {
	case scte35.Cancel:
		d.cancel(c, k)
	case scte35.Out:
		d.out(c, k, v)
	case scte35.In:
		d.in(c, k)
	default:
		d.moment(c, c.eventName(k), k)
	}
}

// moment lists a command by itself, once: sources repeat their commands.
func (d *dateRanges) moment(c *splice, id string, k spliceKey) {
	for i := range d.list {
		r := &d.list[i]
		if r.id == id || c.told && r.start == c.start && slices.Equal(r.cmd, c.section) && r.key == k {
			return
		}
	}
	r := c.begin(id, k, rangeMoment)
	r.cmd = c.section
	d.push(r)
}

// out lists the beginning of a break, unless it is listed. One that was announced for another time than before moves.
func (d *dateRanges) out(c *splice, k spliceKey, v *scte35.Event) {
	due := int64(never)
	if v.AutoReturn {
		due = c.start + int64(media.Duration(v.Duration))
	}
	id := c.eventName(k)
	i := d.newest(func(r *dateRange) bool { return r.id == id || r.key == k && r.state == rangeOut })
	if i >= 0 && d.list[i].repeated(c, id) {
		r := &d.list[i]
		if r.planned == 0 && v.Duration > 0 {
			r.planned = v.Duration
			d.changed()
		}
		if r.state == rangeOut && due != never {
			r.due, d.due = r.start+int64(media.Duration(v.Duration)), 0
		}
		return
	}
	if i >= 0 && d.list[i].start > c.now {
		d.list = slices.Delete(d.list, i, i+1)
	}
	r := c.begin(id, k, rangeOut)
	r.planned, r.due, r.out = v.Duration, due, c.section
	d.push(r)
}

// repeated reports whether a way out is the one that is listed, said again: for the same time, or at once or for nearly the
// same time while the break lasts.
func (r *dateRange) repeated(c *splice, id string) bool {
	const nearly = 1e9
	switch {
	case r.id == id:
		return true
	case r.start > c.now:
		return false
	case r.planned > 0 && c.start >= r.start+int64(media.Duration(r.planned)):
		return false
	default:
		return !c.told || c.start-r.start < nearly
	}
}

// in ends the break that it belongs to. A splice_insert() ends the break that lasts, whatever its ID.
func (d *dateRanges) in(c *splice, k spliceKey) {
	lasts := func(r *dateRange) bool { return r.state == rangeOut && r.start <= c.start }
	i := d.newest(func(r *dateRange) bool { return r.key == k && lasts(r) })
	if i < 0 {
		i = d.newest(func(r *dateRange) bool { return r.key == k && r.state == rangeOver && r.start <= c.start })
	}
	if i < 0 && k.kind == scte35.KindInsert {
		i = d.newest(func(r *dateRange) bool { return r.key.kind == k.kind && lasts(r) })
	}
	switch {
	case i < 0:
		r := c.begin(c.eventName(k), k, rangeOver)
		r.end, r.in = r.start, c.section
		d.push(r)
	case d.list[i].state == rangeOut:
		r := &d.list[i]
		r.state, r.end, r.in = rangeOver, c.after(r), c.section
		d.bound()
	case len(d.list[i].in) == 0:
		d.list[i].in = c.section
		d.bound()
	}
}

// cancel takes back what was announced and has not begun.
func (d *dateRanges) cancel(c *splice, k spliceKey) {
	n := len(d.list)
	d.list = slices.DeleteFunc(d.list, func(r dateRange) bool {
		same := r.key == k || k.kind == scte35.KindAny && r.key.kind != 0 && r.key.kind != scte35.KindInsert && r.key.id == k.id
		return same && r.start > c.now
	})
	if len(d.list) != n {
		d.changed()
	}
}

// newest is the index of the range that was told last among those that fit, -1: there is none.
func (d *dateRanges) newest(fits func(*dateRange) bool) int {
	for i := len(d.list) - 1; i >= 0; i-- {
		if fits(&d.list[i]) {
			return i
		}
	}
	return -1
}
