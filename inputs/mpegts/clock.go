package mpegts

import (
	"time"

	"brume/media"
	"brume/media/ts"
)

const (
	// maxGap is how far a time may be ahead of the program before it counts as a jump, not counting the time of arrival
	// that has passed. A shorter gap is a pause of the source.
	maxGap = 5 * media.ClockRate
	// maxHeld is for how long units are held to see whether all tracks jump, in media time
	// and in time of arrival.
	maxHeld     = media.ClockRate
	maxHeldTime = time.Second
	// maxOffset bounds the distance of PTS from DTS, and so does maxReorder in units.
	maxOffset  = 10 * media.ClockRate
	maxReorder = 16
	// maxStrays bounds the units of a track that are dropped because it did not follow a jump.
	maxStrays = 250
)

// clock is the one clock of the program (ISO/IEC 13818-1 2.4.2.1). Timestamps of all
// PIDs are unwrapped to what is nearest to its last reference.
type clock struct {
	ref     int64         // DTS accepted last, unwrapped
	refAt   time.Duration // when that was, by arrival
	haveRef bool
	gen     uint32 // how often the clock jumped

	pcr      int64         // last program_clock_reference_base, 33 bits
	pcrAt    time.Duration // when it came, by arrival
	havePCR  bool
	pcrMoved bool  // it jumped lately
	movedTo  int64 // where

	early queue // data that came before the first time, in the order of arrival

	// ahead are units of one stream whose times lie ahead of where the program is, or of what is shown, though not so far that the clock would have
	// jumped: a pause of the stream that comes before its time, or one wrong time stamp. It is one or the other when the stream goes on, or when
	// the other tracks or the time of arrival have come as far. A source that sends in real time is silent for as long as its times say, so nothing
	// of it is held.
	ahead queue

	held      queue // units behind a jump that is not sure yet, or that not all tracks made
	heldSince time.Duration
}

// timing is what the clock knows of one stream.
type timing struct {
	known   bool // lastDTS is one
	lastDTS int64
	told    int64         // DTS of the last unit whose time was told, not counted on
	toldAt  time.Duration // when that came, by arrival
	offset  int64         // PTS - DTS of the last unit
	top     int64         // latest PTS since the last random access point
	dur     int64         // between units, estimated
	step    int64         // between the last two
	steady  bool          // dur was seen, not only told
	gen     uint32
	strays  int

	heldUnits int
	heldFirst int64
	heldLast  int64
	jumped    int64 // by how much heldFirst is off
	sure      bool  // a second time agrees
	off       int64 // by how much the last time told was wrong
}

// unwrap turns a timestamp of 33 bits into a time of the program.
func (c *clock) unwrap(t int64) int64 {
	if !c.haveRef {
		c.ref, c.haveRef = t&(ts.Wrap-1), true
	}
	return c.ref + ts.Distance(t, c.ref)
}

// reached is ref, NoPTS before the first time.
func (c *clock) reached() int64 {
	if !c.haveRef {
		return media.NoPTS
	}
	return c.ref
}

// tickPCR takes a program_clock_reference_base (ISO/IEC 13818-1 2.4.3.5). It does not
// decide on a jump, but vouches for one that timestamps make.
func (c *clock) tickPCR(pcr int64, now time.Duration) {
	if c.havePCR {
		if d := ts.Distance(pcr, c.pcr); d < 0 || d > pause(c.pcrAt, now) {
			c.pcrMoved, c.movedTo = true, pcr
		} else if c.pcrMoved && ts.Distance(pcr, c.movedTo) > 2*media.ClockRate {
			c.pcrMoved = false
		}
	}
	c.pcr, c.pcrAt, c.havePCR = pcr, now, true
}

// pause is how far a clock may go ahead that was read last at one time of arrival and is read again at another. A source
// that sends a picture each 8 s, or that was cut off for half a minute, has not jumped.
func pause(last, now time.Duration) int64 { return maxGap + max(0, media.Ticks(now-last)) }

// pcrVouches tells that the PCR jumped lately to where t is.
func (c *clock) pcrVouches(t int64) bool {
	d := ts.Distance(t, c.pcr)
	return c.pcrMoved && d > -2*media.ClockRate && d < 2*maxGap
}

// keyframeDistance is how far apart the encoder lets key frames be, in ticks; 0: not known.
func (s *stream) keyframeDistance() int64 { return int64(s.interval) * max(s.dur, 0) }

// stamped takes a video unit with the time of its PES, if it has one.
func (s *stream) stamped(u *unit, t stamp, ok bool, info *unitInfo) error {
	if !s.usable(u) {
		return nil
	}
	if info.rate > 0 && !s.steady {
		s.dur = int64(media.ClockRate / info.rate)
	}
	if !ok {
		if !s.known {
			s.d.stats.PESErrors++ // no time has been told
			return nil
		}
		u.dts = s.d.next(s)
		u.pts = u.dts + s.offset
		s.order.take(u, t, info.depth, s.dur)
		return s.d.place(u, false)
	}
	u.dts = s.d.unwrap(t.dts)
	offset := ts.Distance(t.pts, t.dts)
	if abs(offset) > max(maxOffset, maxReorder*s.dur) {
		s.d.stats.PESErrors++
		if pts := s.d.unwrap(t.pts); s.known && abs(pts-s.lastDTS) < abs(u.dts-s.lastDTS) {
			u.dts = pts
		}
		offset = 0
	}
	u.pts = u.dts + offset
	s.order.take(u, t, info.depth, s.dur)
	return s.d.place(u, true)
}

// stampedAudio takes an audio unit. timed: its time was told by a PES, not counted on.
func (s *stream) stampedAudio(u *unit, t int64, timed bool, dur int64) error {
	if !s.usable(u) {
		return nil
	}
	if timed {
		s.off = 0
	}
	s.dur = dur
	u.dts = s.d.unwrap(t) - s.off
	u.pts = u.dts
	return s.d.place(u, timed)
}

// usable reports whether a decoder can take the unit: it, or one before it, is one to start at. Up to the next random access point, or for
// Options.VideoWait where none comes, it marks the pictures behind a loss.
func (s *stream) usable(u *unit) bool {
	s.lastParams = u.params
	s.ready = s.ready || u.random
	u.resumes = s.torn && u.random
	s.torn = s.torn && !u.random && u.came-s.tornAt < s.d.videoWait
	u.torn = s.torn
	if s.ready {
		s.use()
	}
	return s.ready
}

// tear says that a picture, or a part of one, is lost.
func (s *stream) tear() {
	if s.kind() == media.Video {
		s.torn, s.tornAt = true, s.d.now
	}
}

// judge lets a unit pass whose time goes on from those before. A jump is held back until a
// second time agrees, so that one wrong timestamp does no harm.
func (d *Demuxer) judge(u *unit, timed bool) error {
	s := u.s
	if !s.known {
		s.known, s.gen, s.lastDTS = true, d.gen, u.dts
		return d.accept(u)
	}
	if s.gen != d.gen { // the other tracks made a jump that this one has not made yet
		if abs(u.dts-d.ref) > maxGap && s.strays < maxStrays {
			s.strays++
			d.stats.UnitErrors++
			return nil
		}
		s.gen, s.strays = d.gen, 0
		return d.accept(u)
	}
	fits := d.fits(u)
	switch {
	case s.heldUnits == 0 && (fits || !timed):
		return d.accept(u)
	case s.heldUnits == 0:
		return d.hold(u)
	case !timed:
		return d.hold(u)
	case fits:
		if err := d.refute(s, u.dts); err != nil {
			return err
		}
		return d.accept(u)
	case u.dts > s.heldLast && u.dts <= s.heldLast+maxGap:
		s.sure = true
		return d.hold(u)
	default: // neither here nor there
		if err := d.refute(s, media.NoPTS); err != nil {
			return err
		}
		return d.hold(u)
	}
}

func (d *Demuxer) accept(u *unit) error {
	s := u.s
	if s.kind() == media.Video {
		s.learn(u.dts - s.lastDTS)
	}
	if u.timed {
		s.told, s.toldAt = u.dts, u.came
	}
	s.lastDTS, s.offset = u.dts, u.pts-u.dts
	if s.top = max(s.top, u.pts); u.random {
		s.top = u.pts
	}
	d.ref, d.refAt = u.dts, u.came
	return d.pass(u)
}

// learn takes the time between two units. From a second on it may be a pause, so it counts when it comes twice.
func (t *timing) learn(step int64) {
	if step <= 0 {
		return
	}
	if step < media.ClockRate || abs(step-t.step) <= step/8 {
		t.dur, t.steady = step, true
	}
	t.step = step
}

// hold keeps a unit whose time has jumped.
func (d *Demuxer) hold(u *unit) error {
	s := u.s
	if s.heldUnits == 0 {
		s.heldFirst, s.jumped, s.sure = u.dts, u.dts-s.expect(), d.pcrVouches(u.dts)
		if len(d.held.units) == 0 {
			d.heldSince = d.now
		}
	}
	s.heldUnits++
	s.heldLast = u.dts
	d.held.push(u)
	return d.settle(false)
}

// settle decides on what is held: a jump begins a new epoch when it is sure and all tracks
// have made it, or have had time for it.
func (d *Demuxer) settle(force bool) error {
	sure, all := false, true
	over := force || d.held.full() || d.now-d.heldSince >= maxHeldTime
	var first *stream
	for _, s := range d.streams {
		switch {
		case s.kind() == media.Data || !s.known:
		case s.heldUnits > 0:
			sure = sure || s.sure || first != nil && abs(s.heldFirst-first.heldFirst) < maxGap
			over = over || s.heldLast-s.heldFirst >= maxHeld
			first = s
		case s.gen == d.gen && d.ref-s.lastDTS < 2*media.ClockRate:
			all = false
		}
	}
	if sure && (all || over) {
		return d.jump()
	}
	if !over {
		return nil
	}
	for _, s := range d.streams {
		if s.heldUnits > 0 {
			s.off += s.jumped // units may follow whose time is counted from the wrong one
		}
		if err := d.refute(s, media.NoPTS); err != nil {
			return err
		}
	}
	d.held.reset()
	return nil
}

// refute lets the held units of a stream pass, at the times at which they were due; next
// is the time of the unit that follows, if it is known.
func (d *Demuxer) refute(s *stream, next int64) error {
	n := s.heldUnits
	if n == 0 {
		return nil
	}
	d.stats.PESErrors++
	s.heldUnits = 0
	last := s.lastDTS
	tight := next != media.NoPTS && s.heldLast-s.jumped >= next
	units := d.held.units
	d.held.units = units[:0]
	for i, k := 0, int64(0); i < len(units); i++ {
		u := units[i]
		if u.s != s {
			d.held.units = append(d.held.units, u)
			continue
		}
		k++
		at := u.dts - s.jumped
		if tight {
			at = last + (next-last)*k/int64(n+1)
		}
		at = max(at, s.lastDTS+1)
		u.pts += at - u.dts
		u.dts = at
		u.payload = d.held.payload(&u)
		if err := d.accept(&u); err != nil {
			return err
		}
	}
	if len(d.held.units) == 0 {
		d.held.reset()
	}
	return nil
}

// jump ends the running epoch; what is held belongs to the next.
func (d *Demuxer) jump() error {
	d.stats.Discontinuities++
	if err := d.release(); err != nil {
		return err
	}
	if err := d.beginWaiting(); err != nil { // with what came before the jump
		return err
	}
	d.gen++
	d.pcrMoved = false
	for _, s := range d.streams {
		if s.heldUnits > 0 {
			s.gen, s.lastDTS, s.heldUnits, s.off = d.gen, s.heldLast, 0, 0
			d.ref = s.heldLast
		}
	}
	d.endEpoch()
	d.normalise(&d.held)
	q := d.held
	d.held = queue{}
	for i := range q.units {
		u := &q.units[i]
		u.payload = q.payload(u)
		if err := d.pass(u); err != nil {
			return err
		}
	}
	q.reset()
	d.held = q
	return nil
}

// shift moves the program by n ticks.
func (d *Demuxer) shift(n int64) {
	d.ref += n
	if d.changeRef != media.NoPTS {
		d.changeRef += n
	}
	if d.picture != media.NoPTS {
		d.picture += n
	}
	for _, q := range []*queue{&d.pending, &d.held, &d.ahead} {
		for i := range q.units {
			q.units[i].dts += n
			q.units[i].pts += n
		}
	}
	for _, s := range d.streams {
		s.lastDTS += n
		s.told += n
		s.top += n
		s.heldFirst += n
		s.heldLast += n
		s.order.shift(n)
		if s.ref != media.NoPTS {
			s.ref += n
		}
	}
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
