package buffer

import "brume/media"

// gops is how far apart the random access points of the lead track are. Times are in ticks.
type gops struct {
	last    place // the newest random access point
	started bool  // there was one
	lost    bool  // pictures behind it are lost, so that nothing of its GOP counts
	longest int64 // distance, in decoding time
	top     int64 // latest presentation time of the track, while started
	late    int64 // that of the random access point that was shown late last
	pieces  bool  // shorter than segments, and no segment is a whole number of them

	pictures   int64 // since the newest random access point, which counts
	previous   int64 // in the last complete GOP
	beforeThat int64 // in the one before
}

// countGOP takes the next picture.
func (c *cutter) countGOP(at place, random bool) {
	g := &c.gops
	late := c.shownLate(at) && at != c.from
	if random && late && at.dts >= g.late {
		g.late = at.pts
	}
	if at.pts < g.late {
		g.late = 0 // its time was wrong
	}
	g.top = max(g.top, at.pts)
	if !random || late {
		g.pictures++
		return
	}
	if distance := at.dts - g.last.dts; g.started && !g.lost && distance > 0 {
		g.longest = max(g.longest, min(distance, maxPace))
		g.beforeThat, g.previous = g.previous, g.pictures
		whole := (c.target + distance/2) / distance * distance
		// A tick of rounding for each GOP, or the thousandth by which NTSC's rates are slower, does not count.
		if 10*distance < 9*c.target && max(whole-c.target, c.target-whole)*200 > c.target {
			g.pieces = true
		}
		c.need(distance)
	}
	if !g.started {
		g.top = at.pts
	}
	g.last, g.started, g.lost, g.pictures = at, true, false, 1
}

// lost says that pictures of a track are lost before the random access point that comes next.
func (c *cutter) lost(track int) { c.gops.lost = c.gops.lost || track == c.lead }

// need notes a distance of random access points, in ticks, for TARGETDURATION.
func (c *cutter) need(distance int64) {
	c.needed = max(c.needed, int(ceilSeconds(min(distance, c.max))))
}

// limit is the longest that a segment may become, in ticks. EXTINF rounded to the nearest second must
// not be over TARGETDURATION (RFC 8216 4.3.3.1).
func (c *cutter) limit() int64 {
	seconds := int64(c.targetDuration)
	if seconds == 0 {
		seconds = ceilSeconds(c.max)
	}
	return seconds*media.ClockRate + media.ClockRate/2 - 1
}

func ceilSeconds(ticks int64) int64 { return (ticks + media.ClockRate - 1) / media.ClockRate }

// complete ends the running segment at a decoding time. The first one that shows how long segments are fixes
// TARGETDURATION; neither the rest of a GOP that an epoch begins with nor a piece that its end cut off does.
func (c *cutter) complete(until int64, byEpoch bool) {
	if c.targetDuration != 0 || len(c.spans) == 0 || !c.timed(c.lead) {
		return
	}
	length, expected := until-c.from.dts, c.spans[c.lead].pace.longest()
	// Nothing that was listed may round above TARGETDURATION.
	c.needed = max(c.needed, int(min((max(length, 0)+media.ClockRate/2)/media.ClockRate, ceilSeconds(c.max))))
	whole := c.whole
	if byEpoch {
		whole = length >= c.target
	}
	if whole || length+2*expected >= c.max {
		if c.kinds[c.lead] == media.Video && c.whole && !byEpoch {
			c.need(length)
		}
		c.fix()
	}
}

// finish fixes TARGETDURATION for a stream that was too short to show it.
func (c *cutter) finish() {
	if c.segments > 0 {
		c.fix()
	}
}

// fix sets TARGETDURATION: from now on for good. It is the longest of the segment target, of the distances of random access
// points that were seen, told by the encoder, or needed by the last buffer of the name, rounded up.
func (c *cutter) fix() {
	if c.targetDuration != 0 {
		return
	}
	if c.gops.pieces {
		c.need(c.target + c.gops.longest)
	}
	c.targetDuration = max(c.needed, int(ceilSeconds(c.target)))
	if c.parts == partsOpen {
		c.decideParts()
	}
}
