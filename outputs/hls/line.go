package hls

import (
	"brume/buffer"
	"brume/media"
)

// lateShown is by how much longer than usual after its decoding a picture has to be shown to be one behind a pause, in ticks.
const lateShown = media.ClockRate / 2

// line is where the samples of the lead track lie in decoding time, within a segment: one after the other, without overlap.
//
// A sample that is late begins with its segment, which the mark of another track may have begun meanwhile.
//
// Of the first pictures behind a pause, an encoder with B-frames tells decoding times from before it. As a sample lasts until the next one, one
// that is shown behind the pause would last as long as the pause, and the one that is shown before it for a moment: players would find a
// hole. So a random access point that is shown much later than usual after its decoding is decoded as long before it is shown as the first sample of
// the segment, and those that follow it come between these two times. What the encoder tells has reached the later one by then.
type line struct {
	floor  int64 // the next sample can't be decoded before
	offset int64 // PTS - DTS of the segment's first sample, where that is a random access point
	lifts  bool  // it is one
	until  int64 // PTS of the random access point that was moved last
}

// newLine begins a segment that starts at a decoding time, with its first sample.
func newLine(e *buffer.Entry, start int64) line {
	return line{floor: start, offset: e.PTS - e.DTS, lifts: e.Independent(), until: media.NoPTS}
}

// next is the decoding time of the next sample, unless it says a later one itself.
func (l *line) next(e *buffer.Entry) int64 {
	if l.moves(e) {
		return max(l.floor, e.PTS-l.offset)
	}
	if left := l.until - l.floor; l.until != media.NoPTS && left > 2 && e.PTS > l.until {
		return l.floor + left/2
	}
	return l.floor
}

// moves reports whether a sample is the first behind a pause.
func (l *line) moves(e *buffer.Entry) bool {
	return l.lifts && e.Independent() && e.PTS-e.DTS > l.offset+lateShown && (l.until == media.NoPTS || e.DTS >= l.until)
}

// pass takes the sample at its decoding time.
func (l *line) pass(e *buffer.Entry, at int64) {
	if l.moves(e) {
		l.until = e.PTS
	}
	l.floor = at + 1
}

// limit is where the last sample ends that would end at stop: what comes behind a picture that was moved may begin when that is shown.
func (l *line) limit(stop int64) int64 {
	if l.until != media.NoPTS && l.floor < l.until {
		return min(stop, l.until)
	}
	return stop
}
