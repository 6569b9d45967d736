package mpegts

import (
	"brume/media"
)

// maxAudioFrame bounds an audio frame, in bytes. The longest there is are those of LOAS
// (13 bits of length) and E-AC-3 with many substreams.
const maxAudioFrame = 64 << 10

// The outcomes of looking for an audio frame.
const (
	frameWhole = iota
	frameShort // more bytes are needed
	frameBad   // there is none at this place
)

// frame is one audio frame with its transport header.
type frame struct {
	size    int    // bytes, header included
	head    int    // bytes of the header, which is not passed on
	samples int    // per channel
	rate    int    // of the samples, hertz
	key     uint64 // what the codec parameters depend on
}

// framer knows the frames of one codec.
type framer interface {
	// frame looks for a frame at the beginning of b. more: further bytes may follow that
	// belong to it.
	frame(b []byte, more bool) (f frame, state int)
	// sync is the first byte of each frame.
	sync() byte
	// params makes the codec parameters from a frame, nil if it can't.
	params(b []byte) *params
	// give gives on the units in a frame.
	give(a *audio, f frame, b []byte) error
}

// audio finds frames in the PES of an audio stream: several in one, and one over two.
type audio struct {
	s      *stream
	framer framer // nil: not known yet, or no longer
	buf    []byte
	at     int // what is before it was given on
	marks  []mark
	ended  bool // buf ends where a PES ends
	locked bool // the last frame ended at at
	stray  bool // bytes are being passed over, and were counted
	passed int  // how many, since the last frame
	key    uint64
	params *params

	anchor   int64 // time of the last frame that had one of its own
	anchored bool
	timed    bool  // that frame is the next
	samples  int64 // since that frame
	rate     int   // of samples
}

func newAudio(s *stream) *audio {
	a := &audio{s: s, marks: make([]mark, 0, 4)}
	if s.format.codec == media.Opus {
		a.framer = &opus{config: opusConfig(s.opus)}
	}
	return a
}

func (a *audio) pending() int { return len(a.buf) - a.at }

func (a *audio) begin(t stamp, _ int) {
	a.ended = false
	if !t.valid {
		return
	}
	a.compact()
	if len(a.marks) == maxMarks {
		a.marks = a.marks[:maxMarks-1]
	}
	a.marks = append(a.marks, mark{off: len(a.buf), stamp: t})
}

func (a *audio) compact() {
	if a.at == 0 {
		return
	}
	a.buf = a.buf[:copy(a.buf, a.buf[a.at:])]
	for i := range a.marks {
		a.marks[i].off = max(-1, a.marks[i].off-a.at) // -1: before the next frame
	}
	a.at = 0
}

func (a *audio) add(p []byte) error {
	a.compact()
	a.buf = append(a.buf, p...)
	return a.run()
}

func (a *audio) end(how int) error {
	a.ended = true
	err := a.run()
	if how == endAll {
		if a.pending() > 0 && !a.stray {
			a.s.d.stats.UnitErrors++
		}
		a.clear()
	}
	return err
}

func (a *audio) lose(inside bool) error {
	if a.pending() > 0 && !a.stray {
		a.s.d.stats.UnitErrors++
	}
	if inside || a.pending() > 0 {
		a.clear()
	}
	return nil
}

// clear forgets what is gathered. The next frame needs a time of its own.
func (a *audio) clear() {
	a.buf, a.marks, a.at = a.buf[:0], a.marks[:0], 0
	a.locked, a.anchored = false, false
}

// run gives on the frames that are whole.
func (a *audio) run() error {
	for a.at < len(a.buf) {
		if a.framer == nil && !a.identify() {
			return nil
		}
		b := a.buf[a.at:]
		f, state := a.framer.frame(b, !a.ended)
		if state == frameWhole && (f.size > maxAudioFrame || f.rate <= 0) {
			state = frameBad
		}
		if state == frameWhole && f.size > len(b) {
			state = frameShort
		}
		if state == frameWhole && !a.vouched(f) {
			state = a.confirm(f, b)
		}
		switch state {
		case frameShort:
			return nil
		case frameBad:
			a.skip(func(b byte) bool { return b == a.framer.sync() })
			if a.passed > maxSearch && a.s.framings() != nil {
				a.framer = nil // the stream carries something else by now
			}
			continue
		}
		if err := a.give(f, b[:f.size]); err != nil {
			return err
		}
		a.at += f.size
		a.locked, a.stray, a.passed = true, false, 0
	}
	return nil
}

// vouched tells that a frame goes on from the last one, or begins where a PES does, with
// the parameters of before.
func (a *audio) vouched(f frame) bool {
	return a.params != nil && f.key == a.key && (a.locked || len(a.marks) > 0 && a.marks[0].off == a.at)
}

// confirm looks at the header that follows a frame which nothing else vouches for: the
// sync words are short enough to occur in coded audio.
func (a *audio) confirm(f frame, b []byte) int {
	if f.size == len(b) {
		if a.ended {
			return frameWhole
		}
		return frameShort
	}
	next, state := a.framer.frame(b[f.size:], true)
	switch {
	case state == frameBad:
		return frameBad
	case state == frameShort && next.size == 0 && !a.ended:
		return frameShort
	case next.size != 0 && next.key != f.key:
		return frameBad
	}
	return frameWhole
}

// skip passes over bytes up to the next that may begin a frame.
func (a *audio) skip(sync func(b byte) bool) {
	if !a.stray {
		a.s.d.stats.UnitErrors++
	}
	a.stray, a.locked = true, false
	from := a.at
	for a.at++; a.at < len(a.buf) && !sync(a.buf[a.at]); {
		a.at++
	}
	a.passed += a.at - from
}

func (a *audio) give(f frame, b []byte) error {
	for len(a.marks) > 0 && a.marks[0].off <= a.at {
		a.anchor, a.anchored, a.timed, a.samples = a.marks[0].dts, true, true, 0
		a.marks = a.marks[:copy(a.marks, a.marks[1:])]
	}
	if a.params == nil || f.key != a.key {
		p := a.framer.params(b)
		if p == nil {
			a.s.d.stats.UnitErrors++
			return nil
		}
		a.params, a.key = p, f.key
	}
	if f.rate != a.rate && a.anchored && a.rate > 0 {
		a.anchor, a.samples = a.time(), 0
	}
	a.rate = f.rate
	if !a.anchored {
		a.s.d.stats.PESErrors++ // no time has been told
		return nil
	}
	return a.framer.give(a, f, b)
}

// time is that of the next frame. It is counted from the last time told, so that
// rounding does not add up.
func (a *audio) time() int64 {
	return a.anchor + (a.samples*media.ClockRate+int64(a.rate)/2)/int64(a.rate)
}

// unit gives on one frame without its transport header.
func (a *audio) unit(b []byte, samples int) error {
	u := unit{s: a.s, params: a.params, random: true, came: a.s.d.now, payload: b}
	t, timed := a.time(), a.timed
	a.timed = false
	a.samples += int64(samples)
	return a.s.stampedAudio(&u, t, timed, int64(samples)*media.ClockRate/int64(a.rate))
}
