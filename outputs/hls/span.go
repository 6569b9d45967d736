package hls

import (
	"math"

	"brume/buffer"
	"brume/media"
)

// part is a complete part of a segment in one rendition: a fragment.
type part struct {
	number      uint32
	first, end  uint64 // sequence numbers: first <= seq < end, of all tracks
	start, stop int64  // decoding time of the first sample, and where the last one ends; ticks
	independent bool   // begins with a random access point
	line        line   // of the lead track, at its beginning
}

// span is how a rendition lies in a segment.
type span struct {
	parts       []part // complete ones that have samples. Only appended to
	samples     int
	bytes       int64
	start, stop int64 // of the segment so far, as in part
	wall        int64 // wall clock of when its first picture or frame is shown, Unix nanoseconds; while nothing has come, of when it would be
	independent bool

	line     line // of the lead track
	open     part // the running part, while has
	has      bool
	held     bool  // another track's packet began the next part, and open lasts until the next sample comes
	last     int64 // decoding time of the last sample, see line
	previous int64 // duration of the sample before it, 0 when not known
}

func (p *span) add(e *buffer.Entry, s *segment, lead bool) {
	independent, at, line := e.Independent(), e.DTS, p.line
	if lead {
		if p.samples == 0 {
			line = newLine(e, s.start)
		}
		at = max(at, line.next(e))
		p.line = line
		p.line.pass(e, at)
	}
	wall := presented(e) + int64(media.Duration(shown(e, at)-e.PTS))
	if p.samples == 0 {
		p.start, p.wall, p.independent = at, wall, independent
	} else if d := at - p.last; d > 0 {
		p.previous = d
	}
	if p.held {
		p.closePart(at)
	}
	if !p.has {
		p.has = true
		p.open = part{number: s.part, first: s.partFirst, start: at, independent: independent, line: line}
	}
	p.samples++
	p.bytes += int64(e.Length)
	p.last, p.wall = at, min(p.wall, wall) // in an open GOP, some pictures are shown before the one that comes first
}

// date takes note of a torn picture: the segment's date is that of the first picture that it was to show, so that dates are as far apart as
// segments are long.
func (s *segment) date(e *buffer.Entry) {
	for i := range s.spans {
		if p := &s.spans[i]; s.epoch.lanes[i].track == e.Track && p.samples > 0 {
			p.wall = min(p.wall, presented(e))
		}
	}
}

// shown is the presentation time of a sample that is decoded at a time: one that is decoded late is not shown before. Ticks.
func shown(e *buffer.Entry, at int64) int64 {
	if at > e.DTS {
		return max(e.PTS, at)
	}
	return e.PTS
}

// endPart completes the running part before an entry, in the renditions that have samples in it. Where that is another track's, the part of the
// lead track goes on until its next sample comes or the segment ends, so that its timeline has neither hole nor overlap whatever was lost.
func (s *segment) endPart(next *buffer.Entry) {
	for i := range s.spans {
		p, l := &s.spans[i], &s.epoch.lanes[i]
		if !p.has {
			continue
		}
		if !p.held {
			p.open.end = next.Seq
		}
		if p.held = l.waits(next, s); !p.held {
			p.closePart(p.line.limit(max(p.last, p.open.start) + l.lastDuration(next, s, p)))
		}
	}
}

// closePart completes the running part at a decoding time.
func (p *span) closePart(stop int64) {
	p.has, p.held = false, false
	p.open.stop, p.stop = stop, stop
	p.line.floor = max(p.line.floor, stop)
	p.parts = append(p.parts, p.open)
}

// waits reports whether only the next sample of the lead track can tell how long the last one lasts: a mark within the segment is another
// track's.
func (l *lane) waits(mark *buffer.Entry, s *segment) bool {
	return l.lead && s.continues(mark) && !mark.Has(buffer.SegmentStart) && mark.Track != l.track
}

// lastDuration is how long the last sample before a mark lasts, in ticks. One of the lead track lasts until the mark, where that
// belongs to the same epoch: the next one sits there, or else the track is silent and the picture stays. A frame of other audio lasts what
// its codec says. Nothing but the segment and the mark counts, so that the result is the same whenever it is asked for.
func (l *lane) lastDuration(next *buffer.Entry, s *segment, p *span) int64 {
	d := l.unfollowed(p.previous)
	if l.lead && s.continues(next) {
		if until := next.DTS - p.last; until > 0 {
			d = until
		}
	}
	return min(d, math.MaxInt32)
}
