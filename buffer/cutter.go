package buffer

import (
	"brume/media"
)

// partsMode tells whether a stream has parts. Once decided it stays, for a playlist's life.
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
	segments       uint64 // begun so far; the running one has number segments-1
	part           uint32 // of the running segment
	targetDuration int    // seconds, 0 until it is fixed
	parts          partsMode
	needed         int // least targetDuration for the segments so far, seconds
}

// span is how a track lies in the running segment and part.
type span struct {
	pace      pace
	segment   int64 // decoding time of its first packet in the segment
	part      int64 // and in the part
	inSegment bool
	inPart    bool
	random    bool // its first packet in the segment is a random access point
}

// end returns where the last packet ends.
func (s *span) end() int64 { return s.pace.last + s.pace.longest() }

// cutter decides where segments and parts begin. It knows neither clock nor memory: the same
// packets make the same cuts.
//
// Lengths are taken for each track from its own packets, since each becomes a rendition with playlist
// entries of its own, and since audio may come earlier or later than the video that belongs to it.
type cutter struct {
	cutterOptions
	life

	kinds      []media.Kind
	spans      []span
	lead       int
	fresh      bool      // the next packet is the first of its epoch
	from       int64     // decoding time from which the running segment counts: of its mark, or where leadIn, of the first lead packet
	leadIn     bool      // an epoch has begun with other tracks than the lead track
	epochParts partsMode // parts that the epoch's frame rate allows
	planned    []int64   // the durations that partLimit was made for
	partLimit  int64     // a part of the lead track is no longer, ticks; 0: not possible
}

// begin prepares for an epoch, after end.
func (c *cutter) begin(tracks []media.Track) {
	c.kinds, c.spans = c.kinds[:0], c.spans[:0]
	for i := range tracks {
		c.kinds = append(c.kinds, tracks[i].Codec.Kind())
		c.spans = append(c.spans, span{})
	}
	c.lead = leadTrack(tracks)
	c.fresh = true
	c.epochParts = partsOpen
	c.planned = c.planned[:0]
	c.partLimit = 0
	if c.parts == partsOpen && c.partTarget == 0 {
		c.parts = partsOff
	}
}

// next places the next packet and returns its flags. Its segment and part are the running ones then.
func (c *cutter) next(track int, dts int64, random bool) Flags {
	var f Flags
	random = random || c.kinds[track] != media.Video
	if random {
		f = RandomAccess
	}
	switch {
	case c.fresh:
		c.fresh = false
		f |= EpochStart | c.startSegment(dts)
		c.leadIn = track != c.lead
	case c.segmentEnds(track, dts, random):
		c.complete(false)
		f |= c.startSegment(dts)
	case c.partEnds(track, dts):
		f |= c.startPart()
	}
	c.put(track, dts, random)
	return f
}

// put adds a packet to the running segment and part.
func (c *cutter) put(track int, dts int64, random bool) {
	s := &c.spans[track]
	if c.leadIn && track == c.lead {
		c.from, c.leadIn = dts, false
	}
	if !s.inSegment {
		s.segment, s.inSegment, s.random = dts, true, random
	}
	if !s.inPart {
		s.part, s.inPart = dts, true
	}
	s.pace.add(dts)
}

// replay takes a packet that another writer has placed in the running segment.
func (c *cutter) replay(track int, dts int64, random bool) {
	c.fresh = false
	c.put(track, dts, random)
}

// end closes the epoch and with it the last segment.
func (c *cutter) end() {
	if !c.fresh {
		c.complete(true)
	}
	c.fresh = true
}

// finish fixes TARGETDURATION for a stream that was too short to show it.
func (c *cutter) finish() {
	if c.segments > 0 {
		c.fix()
	}
}

// leadEnd returns where the last packet of the lead track ends.
func (c *cutter) leadEnd() (dts int64, ok bool) {
	if len(c.spans) == 0 || !c.spans[c.lead].pace.started {
		return 0, false
	}
	return c.spans[c.lead].end(), true
}

func (c *cutter) startSegment(dts int64) Flags {
	c.from, c.leadIn = dts, false
	for i := range c.spans {
		c.spans[i].inSegment = false
	}
	c.segments++
	f := SegmentStart | c.startPart()
	c.part = 0
	return f
}

func (c *cutter) startPart() Flags {
	for i := range c.spans {
		c.spans[i].inPart = false
	}
	c.part++
	if c.parts == partsOff || c.epochParts == partsOff {
		return 0
	}
	return PartStart
}

// timed tells whether a track counts for lengths. Data does not, unless it is alone, and a multiplex never does: an epoch
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

// limit is the longest that a segment may become, in ticks. EXTINF rounded to the nearest second must
// not be over TARGETDURATION (RFC 8216 4.3.3.1).
func (c *cutter) limit() int64 {
	seconds := int64(c.targetDuration)
	if seconds == 0 {
		seconds = ceilSeconds(c.max)
	}
	return seconds*media.ClockRate + media.ClockRate/2 - 1
}

// leadLimit is the same for the lead track: the first segment keeps the maximum.
func (c *cutter) leadLimit() int64 {
	if c.targetDuration == 0 {
		return min(c.max+c.spans[c.lead].pace.longest()/2, c.limit())
	}
	return c.limit()
}

func ceilSeconds(ticks int64) int64 { return (ticks + media.ClockRate - 1) / media.ClockRate }

func (c *cutter) segmentEnds(track int, dts int64, random bool) bool {
	if !c.timed(track) {
		return false
	}
	s := &c.spans[track]
	if track != c.lead {
		// While the lead track is silent, another one has to end the segment.
		return dts+s.pace.longest()-c.from > c.limit()
	}
	if !s.inSegment {
		return random && !c.leadIn && dts > c.from
	}
	length, expected := dts-s.segment, s.pace.longest()
	if length <= 0 {
		return false
	}
	if c.kinds[track] != media.Video {
		// Every packet will do: end at the last one that keeps the target.
		if length+expected > c.target {
			return true
		}
		// No part may be left over that is hardly worth a request.
		return c.partEnds(track, dts) && length+c.partTarget/2 > c.target
	}
	// A segment that begins without a random access point, because an epoch or the limit made it, ends
	// at the first one: else the next would be as much too long as this one is.
	if random && (!s.random || length+expected/2 >= c.target) {
		return true
	}
	return c.overdue(dts)
}

// paused reports whether the source paused for longer than the running segment can last: with the packet of this
// time in the same epoch, EXTINF would round above TARGETDURATION. Any track that goes on meanwhile ends the segment in time.
func (c *cutter) paused(track int, dts int64) bool {
	if c.fresh || !c.timed(track) {
		return false
	}
	return dts-c.from > c.limit()
}

// overdue tells whether some track would be over the limit at the next packet of the lead track.
func (c *cutter) overdue(dts int64) bool {
	expected := c.spans[c.lead].pace.longest()
	if dts+expected-c.spans[c.lead].segment > c.leadLimit() {
		return true
	}
	for i := range c.spans {
		s := &c.spans[i]
		if i == c.lead || !s.inSegment || !c.timed(i) {
			continue
		}
		// Its packets up to the next of the lead track, and one that begins just before that.
		if s.end()+expected+s.pace.longest()-s.segment > c.limit() {
			return true
		}
	}
	return false
}

// length is that of the running segment in the lead track, or where that has none the longest, in ticks.
func (c *cutter) length() (length int64) {
	if s := &c.spans[c.lead]; s.inSegment {
		return s.end() - s.segment
	}
	return c.longestSpan()
}

// longestSpan is the length of the running segment in the rendition where it is longest, in ticks.
func (c *cutter) longestSpan() (length int64) {
	for i := range c.spans {
		if s := &c.spans[i]; s.inSegment && c.timed(i) {
			length = max(length, s.end()-s.segment)
		}
	}
	return length
}

// complete ends the running segment. The first one that tells how long segments are fixes
// TARGETDURATION; neither the rest of a GOP that an epoch begins with nor a piece that its end cut off does.
func (c *cutter) complete(byEpoch bool) {
	if c.targetDuration != 0 || len(c.spans) == 0 || !c.timed(c.lead) {
		return
	}
	length, lead := c.length(), &c.spans[c.lead]
	// The lead track's length counts rounded up. The others must not round above that.
	nearest := (c.longestSpan() + media.ClockRate/2) / media.ClockRate
	c.needed = int(min(max(int64(c.needed), ceilSeconds(length), nearest), ceilSeconds(c.max)))
	whole := lead.inSegment && lead.random
	if byEpoch {
		whole = length >= c.target
	}
	if whole || length+2*lead.pace.longest() >= c.max {
		c.fix()
	}
}

// fix sets TARGETDURATION: from now on for good.
func (c *cutter) fix() {
	if c.targetDuration != 0 {
		return
	}
	c.targetDuration = max(c.needed, int(ceilSeconds(c.target)))
	if c.parts == partsOpen {
		c.decideParts()
	}
}
