package buffer

import (
	"brume/media"
)

// partsMode says whether a stream has parts. Once decided it stays, for a playlist's life.
type partsMode uint64

const (
	partsOpen partsMode = iota // not decided yet
	partsOn
	partsOff
)

// cutterOptions are in ticks.
type cutterOptions struct {
	target, max, partTarget int64 // partTarget 0: no parts
}

func cutterOptionsOf(o Options) cutterOptions {
	return cutterOptions{target: media.Ticks(o.SegmentTarget), max: media.Ticks(o.SegmentMax), partTarget: media.Ticks(max(o.PartTarget, 0))}
}

// life is what outlives an epoch and a writer.
type life struct {
	segments       uint64 // begun so far, and the number of the running one
	part           uint32 // of the running segment
	targetDuration int    // seconds, 0 until it is fixed
	parts          partsMode
	needed         int // least targetDuration for the random access points so far, seconds
}

// span is how a track lies in the running segment and part.
type span struct {
	pace      pace
	part      int64 // decoding time of its first packet in the part
	inSegment bool
	inPart    bool
}

// cutter decides where segments and parts begin. It knows neither clock nor memory: the same
// packets make the same cuts.
//
// A segment lasts from mark to mark, in every rendition. The lead track sets the marks; while it is silent another one does.
type cutter struct {
	cutterOptions
	life

	kinds      []media.Kind
	spans      []span
	lead       int
	fresh      bool      // the next packet is the first of its epoch
	from       place     // where the running segment counts from: its mark, or where leadIn, the first packet of the lead track
	partFrom   int64     // the same of the running part, decoding time in ticks
	leadIn     bool      // an epoch has begun with other tracks than the lead track
	whole      bool      // the running segment begins with a random access point of the lead track
	gops       gops      // of the lead track
	told       int64     // how far apart its random access points may be, as the encoder says; ticks, 0: not known
	epochParts partsMode // parts that the epoch's frame rate allows
	plan       partPlan
}

// place is a packet's times, in ticks.
type place struct{ dts, pts int64 }

// begin prepares for an epoch, after end.
func (c *cutter) begin(tracks []media.Track) {
	c.kinds, c.spans = c.kinds[:0], c.spans[:0]
	for i := range tracks {
		c.kinds = append(c.kinds, tracks[i].Codec.Kind())
		c.spans = append(c.spans, span{})
	}
	c.lead = leadTrack(tracks)
	c.fresh = true
	c.gops = gops{}
	c.epochParts = partsOpen
	c.plan.reset()
	c.told = min(max(tracks[c.lead].KeyframeDistance, 0), maxPace)
	c.need(c.told)
	if c.parts == partsOpen && c.partTarget == 0 {
		c.parts = partsOff
	}
}

// next places the next packet and returns its flags. Its segment and part are the running ones then.
func (c *cutter) next(track int, at place, random bool) Flags {
	var f Flags
	random = random || c.kinds[track] != media.Video
	if random {
		f = RandomAccess
	}
	switch {
	case c.fresh:
		c.fresh = false
		f |= EpochStart | c.startSegment(at)
		c.leadIn = track != c.lead
	case c.segmentEnds(track, at, random):
		c.complete(at.dts, false)
		f |= c.startSegment(at)
	case c.partEnds(track, at):
		f |= c.startPart(at)
	}
	c.put(track, at, random)
	return f
}

// fill places a packet that was made up for what the source did not send. It begins nothing.
func (c *cutter) fill(track int, at place) Flags {
	c.put(track, at, true)
	return RandomAccess
}

// put adds a packet to the running segment and part.
func (c *cutter) put(track int, at place, random bool) {
	s := &c.spans[track]
	if track == c.lead {
		if c.leadIn {
			c.from, c.partFrom, c.leadIn = at, at.dts, false
		}
		if !s.inSegment {
			c.whole = random && at == c.from
		}
		if c.kinds[track] == media.Video {
			c.countGOP(at, random)
		}
	}
	s.inSegment = true
	if !s.inPart {
		s.part, s.inPart = at.dts, true
	}
	s.pace.add(at.dts)
}

// replay takes a packet that another writer has placed in the running segment; first: it is the first one that is left of the segment.
func (c *cutter) replay(track int, at place, flags Flags, first bool) {
	if first {
		c.from, c.partFrom, c.leadIn = at, at.dts, c.fresh && track != c.lead
	}
	c.fresh = false
	if flags&Torn == 0 {
		c.put(track, at, flags&RandomAccess != 0)
	}
}

// end closes the epoch and with it the last segment.
func (c *cutter) end() {
	if dts, ok := c.leadEnd(); ok && !c.fresh {
		c.complete(dts, true)
	}
	c.fresh = true
}

// leadEnd returns where the last packet of the lead track ends.
func (c *cutter) leadEnd() (dts int64, ok bool) {
	if len(c.spans) == 0 || !c.spans[c.lead].pace.started {
		return 0, false
	}
	p := &c.spans[c.lead].pace
	return p.last + p.longest(), true
}

// shownEnd returns until when the last packet of the lead track is shown: where it ends or, with B-frames, up to a segment target later, as long
// as no part of another track becomes longer than PART-TARGET by that.
func (c *cutter) shownEnd() (pts int64, ok bool) {
	end, ok := c.leadEnd()
	if !ok || !c.gops.started {
		return end, ok
	}
	shown := end + min(max(c.gops.top-c.spans[c.lead].pace.last, 0), c.target)
	for i := range c.spans {
		if s := &c.spans[i]; i != c.lead && s.inPart && c.timed(i) && c.parts == partsOn {
			shown = min(shown, s.part+c.partMost())
		}
	}
	return max(shown, end), true
}

func (c *cutter) startSegment(at place) Flags {
	c.from, c.leadIn, c.whole = at, false, false
	for i := range c.spans {
		c.spans[i].inSegment = false
	}
	c.segments++
	if c.parts == partsOn && c.epochParts != partsOpen {
		c.decideParts()
	}
	f := SegmentStart | c.startPart(at)
	c.part = 0
	return f
}

func (c *cutter) startPart(at place) Flags {
	c.partFrom = at.dts
	for i := range c.spans {
		c.spans[i].inPart = false
	}
	c.part++
	if c.parts == partsOff || c.epochParts == partsOff {
		return 0
	}
	return PartStart
}

// timed reports whether a track counts for lengths. Data does not, unless it is alone, and a multiplex never does: an epoch
// of nothing else is one segment.
func (c *cutter) timed(track int) bool {
	switch c.kinds[track] {
	case media.Multiplex:
		return false
	case media.Data:
		return track == c.lead
	default:
		return true
	}
}

func (c *cutter) segmentEnds(track int, at place, random bool) bool {
	if !c.timed(track) {
		return false
	}
	if track != c.lead {
		// While the lead track is silent, another one has to end the segment.
		return at.dts+c.spans[track].pace.longest()-c.from.dts > c.limit()-c.spare(at.dts)
	}
	if at.dts <= c.from.dts || c.leadIn {
		return false
	}
	if c.kinds[track] != media.Video {
		return c.bucket(at.pts) != c.bucket(c.from.pts) || c.overdue(at.dts)
	}
	return random && c.cutsAt(at) || c.overdue(at.dts) || c.lastBoundary(track, at)
}

// spare is by how much earlier than the limit another track than the lead track ends the segment at a decoding time, in ticks: what is lost of the
// other track must not make a pause of all tracks. It is 0 while the next picture may still be on its way, and where the picture has not been
// silent for long: a picture just behind the limit would begin its segment late otherwise.
func (c *cutter) spare(dts int64) int64 {
	lead := &c.spans[c.lead].pace
	if silent := dts - lead.last; lead.started && (silent <= lead.longest()+exactTicks || 3*silent < 2*c.limit()) {
		return 0
	}
	return media.ClockRate / 4
}

// cutsAt reports whether a random access point of the picture ends the running segment. Presentation times decide, so that
// streams of one encoder, a stream and its backup, an origin and its edges are cut at the same pictures.
func (c *cutter) cutsAt(at place) bool {
	if !c.whole {
		// What began without a random access point ends at the first one; else a GOP could not be joined at its beginning.
		return true
	}
	if c.shownLate(at) {
		return false
	}
	if 2*(at.pts-c.from.pts) < c.target {
		return c.tooLongWith(at) && c.longestGOP() <= c.limit()
	}
	return c.tooLongWith(at) || 10*(at.pts-c.gops.last.pts) >= 9*c.target || c.bucket(at.pts) != c.bucket(c.from.pts)
}

// shownLate reports whether a picture is shown much longer after the one before it than it is decoded after that. An encoder with B-frames tells
// such times of the first pictures behind a pause: what it tells as their decoding times is from before the pause. A segment that began
// there would begin seconds before its first picture; so such pictures belong with the one before, which lasts until they are shown.
func (c *cutter) shownLate(at place) bool {
	g, last := &c.gops, c.spans[c.lead].pace.last
	return g.started && (2*(at.pts-g.top-(at.dts-last)) > c.target || at.dts < g.late && at.pts > g.late)
}

// bucket numbers the stretches of a segment target, which begin a quarter of it early, on the circle of 33 bits.
func (c *cutter) bucket(pts int64) int64 { return c.phase(pts) / c.target }

// phase is how far a time lies behind the beginning of the first bucket.
func (c *cutter) phase(pts int64) int64 { return pts&(1<<33-1) + c.target/4 }

// tooLongWith reports whether the running segment could exceed the limit, should it go on past this random access point for as long
// as the longest GOP. Then it had better end here, unless it is shorter than half a target and no segment can hold that GOP anyway:
// keyframes that follow each other at once, as flashes make them, would become segments of one picture, and save no cut.
func (c *cutter) tooLongWith(at place) bool {
	return at.dts-c.from.dts+c.longestGOP() > c.limit()
}

// longestGOP is how far apart random access points have to be expected, in ticks; 0 while it is not known.
func (c *cutter) longestGOP() int64 { return max(c.gops.longest, c.told) }

// overdue reports whether the segment would be over the limit at the next packet of the lead track.
func (c *cutter) overdue(dts int64) bool {
	expected := c.spans[c.lead].pace.longest()
	most := c.mostWithout()
	if c.targetDuration == 0 {
		most = min(c.max+expected/2, most)
	}
	return dts+expected-c.from.dts > most
}

// mostWithout is how long the running segment may become before it is cut without a random access point, in ticks: the limit, or
// less where the GOP is expected to end just behind that, so that half a target is left for the segment after it.
func (c *cutter) mostWithout() int64 {
	limit := c.limit()
	ends := c.gops.last.dts + c.longestGOP() - c.from.dts
	if !c.gops.started || ends <= limit {
		return limit
	}
	return min(limit, ends-c.target/2)
}

// lastBoundary reports whether this is the last part boundary within the limit: a GOP that is too long is cut there. One that is as long
// as those before it ends in time.
func (c *cutter) lastBoundary(track int, at place) bool {
	limit := c.from.dts + c.limit()
	ends := c.gops.last.dts + c.longestGOP()
	return at.dts+c.partMost() > c.from.dts+c.mostWithout() && (ends < at.dts || ends > limit) && c.partEnds(track, at)
}

// paused reports whether the source paused for longer than the running segment can last: with the packet of this
// time in the same epoch, EXTINF would round above TARGETDURATION. Any track that goes on meanwhile ends the segment in time.
func (c *cutter) paused(track int, dts int64) bool {
	return !c.fresh && c.timed(track) && dts-c.from.dts > c.limit()
}
