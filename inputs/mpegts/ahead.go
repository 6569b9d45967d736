package mpegts

import (
	"time"

	"brume/media"
)

// place lets a unit pass to the judge whose time is about where the program is. timed: its time was told by a PES, not counted on.
func (d *Demuxer) place(u *unit, timed bool) error {
	u.timed = timed
	q := &d.ahead
	if len(q.units) == 0 {
		if d.leads(u) || d.shownLate(u) {
			q.push(u)
			return nil
		}
		return d.judge(u, timed)
	}
	s, last := q.units[0].s, q.units[len(q.units)-1].dts
	switch {
	case u.s != s && !d.leads(u):
		if err := d.judge(u, timed); err != nil {
			return err
		}
		return d.catchUp()
	case u.s != s: // this one leaps as well
	case u.dts <= last:
		if err := d.smooth(u.dts); err != nil {
			return err
		}
		return d.judge(u, timed)
	case !timed && !q.full():
		q.push(u)
		return nil
	}
	if first := &q.units[0]; u.s == s && d.shownLate(first) && u.pts < first.pts {
		d.stats.PESErrors++
		first.pts = s.top + max(s.usual(), first.dts-s.lastDTS)
	}
	if err := d.release(); err != nil {
		return err
	}
	return d.place(u, timed)
}

// shownLate reports whether a picture that none before it in output order follows is shown much later after the one before it than it is decoded:
// behind a pause, or because its PTS is wrong. The next picture tells.
func (d *Demuxer) shownLate(u *unit) bool {
	s := u.s
	return u.closed && s.known && s.gen == d.gen && s.heldUnits == 0 && d.fits(u) && u.pts-s.top-(u.dts-s.lastDTS) > media.ClockRate/2
}

// leads reports whether a unit is ahead of the program by more than a unit of its stream. What the judge would hold is for the judge.
func (d *Demuxer) leads(u *unit) bool {
	s := u.s
	return s.known && s.gen == d.gen && s.heldUnits == 0 && d.fits(u) && u.dts > d.limit(s, u.came)
}

// limit is up to where a unit of a stream may lie that comes at a time of arrival. Pictures may be anywhere in the time for which there is sound.
func (d *Demuxer) limit(s *stream, now time.Duration) int64 {
	passed := func(since time.Duration) int64 { return max(0, media.Ticks(now-since)) }
	at := max(s.expect(), s.told+passed(s.toldAt))
	if s.kind() == media.Video {
		at = max(at, d.ref+passed(d.refAt))
	}
	return at + s.usual()
}

// fits reports whether a unit's time goes on from those before, pauses included.
func (d *Demuxer) fits(u *unit) bool {
	return u.dts > u.s.lastDTS && u.dts <= max(u.s.lastDTS, d.ref)+pause(d.refAt, u.came)
}

// next is when the next unit of a stream is due, behind those that are held.
func (d *Demuxer) next(s *stream) int64 {
	if n := len(d.ahead.units); n > 0 && d.ahead.units[0].s == s {
		return d.ahead.units[n-1].dts + s.usual()
	}
	return s.expect()
}

// catchUp lets pass what is held when the program has come as far.
func (d *Demuxer) catchUp() error {
	if len(d.ahead.units) == 0 {
		return nil
	}
	if u := &d.ahead.units[0]; u.dts > d.limit(u.s, d.now) || d.shownLate(u) && d.now-u.came < time.Second {
		return nil
	}
	return d.release()
}

// release lets pass what is held, at its own times.
func (d *Demuxer) release() error { return d.empty(func(int, *unit) {}) }

// smooth lets pass what is held, at times between those of the units before it and behind it, as its own were wrong. next is the time of the
// unit behind it.
func (d *Demuxer) smooth(next int64) error {
	d.stats.PESErrors++
	n := int64(len(d.ahead.units))
	s := d.ahead.units[0].s
	last, step := s.lastDTS, s.usual()
	if next > last+n {
		step = (next - last) / (n + 1)
	}
	return d.empty(func(i int, u *unit) {
		at := last + max(step, 1)*int64(i+1)
		u.pts += at - u.dts
		u.dts = at
	})
}

// empty accepts what is held, with the times that retime gives.
func (d *Demuxer) empty(retime func(i int, u *unit)) error {
	q := d.ahead
	d.ahead = queue{}
	for i := range q.units {
		u := &q.units[i]
		u.payload = q.payload(u)
		retime(i, u)
		if err := d.accept(u); err != nil {
			return err
		}
	}
	q.reset()
	d.ahead = q
	return nil
}

// expect is when the next unit is due.
func (t *timing) expect() int64 {
	last := t.lastDTS
	if t.heldUnits > 0 {
		last = t.heldLast
	}
	return last + t.usual()
}

// usual is how long a unit lasts, about.
func (t *timing) usual() int64 {
	if t.dur <= 0 {
		return media.ClockRate / 25
	}
	return t.dur
}
