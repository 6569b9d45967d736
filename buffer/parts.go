package buffer

import "brume/media"

// A source whose times differ by more than exactTicks from an even pace counts as rounded, to milliseconds at worst.
const (
	exactTicks   = 10
	roundedTicks = 180
	// Shorter packets than 1 ms are no media.
	leastFrame = 90
)

// PartTargetOf is PART-TARGET for a part target, in any unit: a tenth more, so that parts of a whole number of frames fit.
func PartTargetOf[T ~int64](partTarget T) T { return partTarget + partTarget/10 }

// LeastPart is the shortest that a part may be, except for the last one of a segment: 85 % of PART-TARGET, rounded up, in any unit
// (draft-pantos-hls-rfc8216bis 4.4.4.9).
func LeastPart[T ~int64](target T) T { return (target*85 + 99) / 100 }

// partMost is PART-TARGET in ticks: no part of any rendition is longer.
func (c *cutter) partMost() int64 { return PartTargetOf(c.partTarget) }

// partLeast is LeastPart in ticks.
func (c *cutter) partLeast() int64 { return LeastPart(c.partMost()) }

// partPlan is how long the parts of the lead track are to be. It is made anew when some track's packets last longer or shorter.
type partPlan struct {
	durations []int64 // of each track's packets, for which the plan was made; 0 where not known
	slack     int64   // how far times may be off, ticks
	limit     int64   // a part of the lead track is no longer, ticks; 0: not possible
}

func (p *partPlan) reset() { *p = partPlan{durations: p.durations[:0]} }

// partEnds reports whether a part begins with this packet.
func (c *cutter) partEnds(track int, at place) bool {
	if c.parts == partsOff || c.epochParts == partsOff || !c.timed(track) {
		return false
	}
	length := at.dts - c.partFrom
	if length <= 0 || c.leadIn {
		return false
	}
	if track != c.lead {
		return c.partEndsWithout(track, at.dts)
	}
	if s := &c.spans[track]; s.inPart {
		length = at.dts - max(c.partFrom, s.part) // another track may have begun the part
	}
	expected := c.spans[track].pace.longest()
	if c.epochParts == partsOpen {
		if length+expected <= c.partTarget/2 {
			return false
		}
		c.decideParts()
		if c.epochParts == partsOff {
			return false
		}
	}
	if length < c.partLeast() {
		expected = c.spans[track].pace.mean() // a part that is too short is no better than one that may become too long
	}
	if length+expected > c.partMost() {
		return true
	}
	limit := c.planned()
	if limit == 0 {
		c.epochParts = partsOff // until the next segment, at least
		return false
	}
	if length < c.partLeast() {
		return false
	}
	if boundary, ok := c.gopBoundary(); ok {
		return boundary
	}
	if c.kinds[track] != media.Video && c.bucketEnd()-(at.pts-length) <= c.partMost()-expected {
		return false // what is left of the segment still fits
	}
	return length+expected > limit
}

// partEndsWithout reports whether a packet of another track than the lead track begins a part. As planned, the lead track ends it in
// time, unless it is silent or times are not quite even.
func (c *cutter) partEndsWithout(track int, dts int64) bool {
	s, lead := &c.spans[track], &c.spans[c.lead].pace
	frame := s.pace.mean()
	if lead.started && dts > lead.last+lead.longest()+exactTicks && dts+frame-c.partFrom > c.partMost() {
		return true // the last picture of the part lasts until here, and no part may be longer
	}
	if !s.inPart {
		return false
	}
	// What the first part of an epoch has of this track from before the lead track counts where the lead track has enough for a part.
	from := s.part
	if lead.last+lead.longest()-c.partFrom < c.partLeast() {
		from = max(from, c.from.dts)
	}
	return dts+frame-from > c.partMost()
}

// bucketEnd is the presentation time at which the running segment ends where every packet is a random access point.
func (c *cutter) bucketEnd() int64 {
	return c.from.pts - c.phase(c.from.pts)%c.target + c.target
}

// gopBoundary reports whether a part begins with the next picture, so that a GOP as long as the last two is divided into parts of
// equal length. ok is false where such parts are not possible.
func (c *cutter) gopBoundary() (boundary, ok bool) {
	g := &c.gops
	n, frame := g.previous, c.plan.durations[c.lead]
	if n == 0 || n != g.beforeThat || frame < leastFrame || g.pictures > n {
		return false, false
	}
	k := (n*frame + c.partTarget/2) / c.partTarget
	if k == 0 || n > maxPace/frame || !c.fits(n/k*frame) || !c.fits((n+k-1)/k*frame) {
		return false, false
	}
	// round(i n / k) for some i.
	i := (g.pictures*k + n/2) / n
	return g.pictures == (i*n+k/2)/k, true
}

// decideParts decides whether the epoch has parts, and with the first epoch the stream. In a stream that
// has parts, an epoch has segments only for as long as it can't have any.
func (c *cutter) decideParts() {
	if c.planned() > 0 {
		c.epochParts = partsOn
	} else {
		c.epochParts = partsOff
	}
	if c.parts == partsOpen {
		c.parts = c.epochParts
	}
}

// planned returns how long a part may become in the lead track, in ticks; 0 when parts are not possible.
func (c *cutter) planned() int64 {
	if !c.paceChanged() {
		return c.plan.limit
	}
	jitter := int64(0)
	c.plan.reset()
	for i := range c.spans {
		s := &c.spans[i]
		d := int64(0)
		if c.timed(i) {
			d = s.pace.mean()
			jitter = max(jitter, s.pace.jitter())
		}
		c.plan.durations = append(c.plan.durations, d)
	}
	if jitter > exactTicks {
		c.plan.slack = roundedTicks
	}
	c.plan.limit = c.nearestFit()
	return c.plan.limit
}

// paceChanged reports whether some track's packets last longer or shorter than when parts were planned.
func (c *cutter) paceChanged() bool {
	if len(c.plan.durations) != len(c.spans) {
		return true
	}
	for i := range c.spans {
		if was, is := c.plan.durations[i], c.spans[i].pace.mean(); c.timed(i) && max(was-is, is-was)*64 > was {
			return true
		}
	}
	return false
}

// nearestFit finds the number of lead packets for a part that is nearest to the part target and that fits. The result is a
// length of the lead track: that of the packets, and a bit for times that are not quite even.
func (c *cutter) nearestFit() int64 {
	frame := c.plan.durations[c.lead]
	if c.partTarget <= 0 || frame < leastFrame {
		return 0
	}
	near := (c.partTarget + frame/2) / frame
	for away := int64(0); away*frame <= c.partMost(); away++ {
		for _, n := range []int64{near + away, near - away} {
			if length := n * frame; n > 0 && c.fits(length) {
				return min(length+frame/4, c.partMost())
			}
		}
	}
	return 0
}

// fits reports whether parts of this length of the lead track are neither too long nor too short in any rendition.
func (c *cutter) fits(length int64) bool {
	most, least := c.partMost(), c.partLeast()
	if length+c.plan.slack > most || length-c.plan.slack < least {
		return false
	}
	for i, d := range c.plan.durations {
		if i == c.lead || d == 0 {
			continue
		}
		// A part of this track holds the packets that begin within one of the lead track.
		longest := (length + c.plan.slack + d - 1) / d * d
		shortest := (length - c.plan.slack) / d * d
		if longest > most || shortest < least {
			return false
		}
	}
	return true
}
