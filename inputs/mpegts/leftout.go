package mpegts

import (
	"slices"
	"time"

	"brume/media"
	"brume/media/ts"
)

const (
	// maxIdle is after which time an elementary stream counts as left out that has brought nothing which can be used.
	maxIdle = 3 * time.Second
	// minScrambled is how many scrambled packets, with nothing usable between them, it takes to call it scrambled: the bits
	// that say so may be damaged.
	minScrambled = 3
	// reckonEach is how often what is left out is looked at anew.
	reckonEach = 500 * time.Millisecond
)

// named is an elementary stream that the PMT names.
type named struct {
	ts.LeftOut         // Reason is empty where stream is not nil
	stream     *stream // nil where it is not taken
}

// leftOut is what is known of the elementary streams that are not carried.
type leftOut struct {
	named    []named       // of the PMT, in its order
	namedAt  time.Duration // when the PMT came, by arrival
	reckoned time.Duration // when list and nothing were found out
	list     []ts.LeftOut
	nothing  bool
}

// usage is what is known of the use of an elementary stream. Times are those of arrival.
type usage struct {
	since     time.Duration // when the PMT first named it
	used      bool          // it has brought something that can be used
	usedAt    time.Duration // when it last did
	scrambled int           // packets since then
}

// LeftOut returns the elementary streams of the program that are not carried, in the order of the PMT, at most
// ts.MaxLeftOut. What it returned is not changed later.
func (d *Demuxer) LeftOut() []ts.LeftOut { return d.left.list }

// Nothing reports whether the program has nothing that can be played: it has a PMT, and none of its audio and video is carried,
// nor metadata where it has only that.
func (d *Demuxer) Nothing() bool { return d.left.nothing }

// reckon finds out what is left out, from time to time.
func (d *Demuxer) reckon() {
	l := &d.left
	if d.pmtCRC == 0 || d.now-l.reckoned < reckonEach && l.reckoned != 0 {
		return
	}
	l.reckoned = max(d.now, 1)
	var list []ts.LeftOut
	plays := false
	for i := range l.named {
		n := &l.named[i]
		out := n.LeftOut
		if n.stream != nil {
			out.Reason = n.stream.leftOut()
		}
		switch {
		case out.Reason == "":
			plays = plays || n.stream.plays()
		case len(list) < ts.MaxLeftOut:
			list = append(list, out)
		}
	}
	if !slices.Equal(list, l.list) {
		l.list = list
	}
	l.nothing = !plays && d.now-l.namedAt >= maxIdle
}

// plays reports whether a stream by itself is something to play: audio or video, or metadata of a program that has neither.
func (s *stream) plays() bool {
	return s.codec != media.SCTE35 && (s.kind() != media.Data || !s.d.hasMedia())
}

// hasMedia reports whether the program has audio or video that is taken.
func (d *Demuxer) hasMedia() bool {
	return slices.ContainsFunc(d.streams, func(s *stream) bool { return s.kind() != media.Data })
}

// leftOut is why a stream that is taken is not carried; empty where it is, or where that is not known yet. One that has
// been carried may pause.
func (s *stream) leftOut() ts.LeftOutReason {
	waited := s.d.now - max(s.since, s.usedAt)
	switch {
	case waited < maxIdle:
		return ""
	case s.scrambled >= minScrambled:
		return ts.LeftOutScrambled
	case s.used || s.kind() == media.Data:
		return ""
	case !s.slot.seen:
		return ts.LeftOutSilent
	case s.lacks != "" && waited < s.d.videoWait:
		return "" // it may come
	case s.lacks == ts.WaitKeyframe:
		return ts.LeftOutKeyframe
	case s.lacks == ts.WaitParameters:
		return ts.LeftOutParameters
	default:
		return ts.LeftOutUnreadable
	}
}

// use notes that a stream has brought something that can be used.
func (s *stream) use() { s.used, s.usedAt, s.scrambled = true, s.d.now, 0 }

// hide notes a packet that is scrambled.
func (s *stream) hide() {
	s.d.stats.Scrambled++
	s.scrambled++
}
