package buffer

// A source whose times differ by more than exactTicks from an even pace counts as rounded, to milliseconds at worst.
const (
	exactTicks   = 10
	roundedTicks = 180
	// Shorter packets than 1 ms are no media.
	leastFrame = 90
	planTries  = 64
)

// partEnds tells whether a part begins with this packet.
func (c *cutter) partEnds(track int, dts int64) bool {
	if c.parts == partsOff || c.epochParts == partsOff || !c.timed(track) {
		return false
	}
	s := &c.spans[track]
	if !s.inPart {
		return false
	}
	length, expected := dts-s.part, s.pace.longest()
	if length <= 0 {
		return false
	}
	if track != c.lead {
		// As planned, the lead track ends it in time, unless it is silent or times are not quite even.
		return length+expected > c.partTarget
	}
	if c.epochParts == partsOpen {
		if length+expected <= c.partTarget/2 {
			return false
		}
		c.decideParts()
		if c.epochParts == partsOff {
			return false
		}
	}
	return length+expected > c.plan()
}

// decideParts decides whether the epoch has parts, and with the first epoch the stream. In a stream that
// has parts, an epoch that can't have any has segments only.
func (c *cutter) decideParts() {
	if c.plan() > 0 {
		c.epochParts = partsOn
	} else {
		c.epochParts = partsOff
	}
	if c.parts == partsOpen {
		c.parts = c.epochParts
	}
}

// plan returns how long a part may become in the lead track, in ticks; 0 when parts are not possible.
func (c *cutter) plan() int64 {
	if !c.paceChanged() {
		return c.partLimit
	}
	jitter := int64(0)
	c.planned = c.planned[:0]
	for i := range c.spans {
		s := &c.spans[i]
		d := int64(0)
		if c.timed(i) {
			d = s.pace.mean()
			jitter = max(jitter, s.pace.jitter())
		}
		c.planned = append(c.planned, d)
	}
	slack := int64(roundedTicks)
	if jitter <= exactTicks {
		slack = 0
	}
	c.partLimit = planParts(c.partTarget, c.lead, c.planned, slack)
	if c.partLimit == 0 && c.epochParts == partsOn {
		// Parts can't be long enough any more. They stay short enough.
		c.partLimit = c.partTarget
	}
	return c.partLimit
}

// paceChanged tells whether some track's packets last longer or shorter than when parts were planned.
func (c *cutter) paceChanged() bool {
	if len(c.planned) != len(c.spans) {
		return true
	}
	for i := range c.spans {
		if was, is := c.planned[i], c.spans[i].pace.mean(); c.timed(i) && max(was-is, is-was)*64 > was {
			return true
		}
	}
	return false
}

// planParts finds the largest number of lead packets, such that in each track a part is no longer than
// target and no shorter than 85 % of it (draft-pantos-hls-rfc8216bis 4.4.4.9). Durations are those of
// each track's packets, 0 where not known, and slack is how far times may be off. The result is a
// length of the lead track: that of the packets, and a bit for times that are not quite even.
func planParts(target int64, lead int, durations []int64, slack int64) int64 {
	frame := durations[lead]
	if target <= 0 || frame < leastFrame {
		return 0
	}
	least := (target*85 + 99) / 100
	most := target / frame
	for n := most; n > max(most-planTries, 0) && n*frame >= least; n-- {
		length := n * frame
		fits := true
		for i, d := range durations {
			if i == lead || d == 0 {
				continue
			}
			// A part of this track holds the packets that begin within one of the lead track.
			longest := (length + slack + d - 1) / d * d
			shortest := (length - slack) / d * d
			fits = fits && longest <= target && shortest >= least
		}
		if fits {
			return min(length+frame/4, target)
		}
	}
	return 0
}
