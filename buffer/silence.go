package buffer

import (
	"time"

	"brume/media"
)

const (
	// silenceAhead is how far ahead of the clock silence may lie, in nanoseconds: a source whose times run away must not cost more than one
	// that sends.
	silenceAhead = int64(10 * time.Second)
	// unheardFor is how long a track of an epoch has to send its first frame before silence takes its place, in ticks.
	unheardFor = 5 * media.ClockRate
	// lateBy is by how much a track that is there must lag behind the lead track to be called late, and lateFor how long it must not
	// have been late before silence takes the place of what is missing, in ticks.
	lateBy  = media.ClockRate
	lateFor = 10 * media.ClockRate
)

// silence fills the holes of a track of AAC or MP3 with silent frames: a player of separate renditions stops where one is missing. Packets
// come in the order of decoding times, so what lies before that of the newest is not coming any more.
type silence struct {
	frame         []byte // nil: the track can't be filled
	samples, rate int64  // of a frame, and in a second

	from  int64 // decoding time where the next frame should begin
	count int64 // silent frames since
	end   int64 // where the last silent frame ends
}

// beginSilence prepares for an epoch that begins at a decoding time; again: after a pause, with the same tracks.
func (w *Writer) beginSilence(dts int64, again bool) {
	from := dts + unheardFor
	if again {
		from = dts
	}
	w.silences = w.silences[:0]
	for i := range w.tracks {
		s := silence{from: from, end: dts - maxTicks}
		s.take(&w.tracks[i])
		w.silences = append(w.silences, s)
	}
}

// take makes the frame of a track, where that can be filled.
func (s *silence) take(t *media.Track) {
	switch t.Codec {
	case media.AAC:
		if c, err := media.ParseAudioSpecificConfig(t.Config); err == nil && c.FrameSamples > 0 {
			s.frame, s.samples, s.rate = c.SilentFrame(), int64(c.FrameSamples), int64(c.SampleRate)
		}
	case media.MP3:
		if h, ok := media.ParseMPEGAudioHeader(t.Config); ok {
			s.frame, s.samples, s.rate = media.SilentMP3(t.Config), int64(h.Samples), int64(h.SampleRate)
		}
	}
}

// next is where the next silent frame would begin.
func (s *silence) next() int64 { return s.from + s.ticks(s.count) }

func (s *silence) ticks(frames int64) int64 { return frames * s.samples * media.ClockRate / s.rate }

// fillSilence writes what is missing of such tracks before a decoding time. It belongs to the segment and the part that are running: only what
// the source sends begins new ones.
func (w *Writer) fillSilence(dts int64) error {
	for {
		i := w.mostSilent()
		if i < 0 {
			return nil
		}
		s := &w.silences[i]
		at := s.next()
		if at+s.ticks(1) > dts || w.clock.at(at) > w.now+silenceAhead {
			return nil
		}
		here := place{at, at}
		if err := w.append(i, here, s.frame, func() Flags { return w.cutter.fill(i, here) }); err != nil {
			return err
		}
		s.count++
		s.end = s.next()
	}
}

// soundOut lets the sound of an epoch that is over last as long as its picture is shown, to the frame. In a player each picture of the next epoch is
// shown as long after that as it is decoded, with B-frames 0.1 s or so, and hls.js may stand still at a hole of more than 0.1 s.
func (w *Writer) soundOut() error {
	until, ok := w.cutter.shownEnd()
	if !w.open || !ok {
		return nil
	}
	return w.fillSilence(until)
}

// mostSilent is the track whose next silent frame would come first, -1 where no track can be filled.
func (w *Writer) mostSilent() int {
	first := -1
	for i := range w.silences {
		if s := &w.silences[i]; s.frame != nil && (first < 0 || s.next()+s.ticks(1) < w.silences[first].next()+w.silences[first].ticks(1)) {
			first = i
		}
	}
	return first
}

// sounds takes note of a frame of a track, and reports whether there is still room for it: not where silence has taken its place, because
// it came too late. A track that is always late, as a multiplexer may send it, is not filled.
func (w *Writer) sounds(track int, dts int64) bool {
	s := &w.silences[track]
	if s.frame == nil {
		return true
	}
	if lead := &w.cutter.spans[w.cutter.lead].pace; lead.started && lead.last-dts > lateBy {
		s.from, s.count = lead.last+lateFor, 0
	} else if dts >= s.end-s.ticks(1)/2 {
		s.from, s.count = dts+s.ticks(1), 0
	}
	return dts >= s.end-s.ticks(1)/2
}
