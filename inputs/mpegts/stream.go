package mpegts

import (
	"bytes"
	"time"

	"brume/media"
	"brume/media/ts"
)

// maxPES bounds what is held of one stream: a PES, an access unit. In bytes.
const maxPES = 8 << 20

// params are the codec parameters of an access unit. They never change once made.
type params struct {
	codec  media.Codec
	config []byte
}

// same reports whether both configure a decoder in the same way.
func same(a, b *params) bool {
	return a != nil && b != nil && a.codec == b.codec && bytes.Equal(a.config, b.config)
}

// cover reports whether a decoder that was configured with p has every parameter set in o. A nil o has none.
func (p *params) cover(o *params) bool {
	if o == nil || o == p {
		return true
	}
	for set := range media.NALUnits(o.config) {
		found := false
		for has := range media.NALUnits(p.config) {
			found = found || bytes.Equal(set, has)
		}
		if !found {
			return false
		}
	}
	return p.codec == o.codec
}

// The states of PES reassembly.
const (
	pesIdle = iota // wait for the next PES to begin
	pesHead
	pesBody
	pesDone  // as long as its header said
	pesTaken // its end was not told, but taken from what came of it
)

// A picture that the next follows only seconds later must not wait for it. So a PES whose length is not told counts as over when nothing has come
// of it for silentAfter, by arrival or by the times of other tracks, if its last packet was stuffed. Where that was full, as may happen, the
// other tracks have to be longAfter behind its decoding time too: by then all of it has come (ISO/IEC 13818-1 2.4.2).
const (
	silentAfter = 100 * time.Millisecond
	longAfter   = 300 * time.Millisecond
)

// The ways in which a PES ends.
const (
	endLength    = iota // as long as its header says; what follows is not known yet
	endContinued        // another begins, and goes on with the same access unit
	endNext             // another begins, with an access unit of its own
	endAll              // nothing follows
)

// parser takes the payload of the PES of one stream apart.
type parser interface {
	// begin says that a PES begins, with size bytes of payload (-1: not known).
	begin(t stamp, size int)
	// add takes payload.
	add(p []byte) error
	// end says how the PES is over. It may be called again when more is known.
	end(how int) error
	// lose says that bytes are missing; inside: in the PES at hand.
	lose(inside bool) error
	// pending tells how many bytes are held.
	pending() int
}

// noPES is the parser of a stream of sections.
type noPES struct{}

func (noPES) begin(stamp, int) {}
func (noPES) add([]byte) error { return nil }
func (noPES) end(int) error    { return nil }
func (noPES) lose(bool) error  { return nil }
func (noPES) pending() int     { return 0 }

// stream is one elementary stream of the program.
type stream struct {
	d    *Demuxer
	slot *slot
	pid  uint16
	format
	parser parser
	gone   bool // no longer in the PMT

	state int
	head  []byte        // of a PES header that is not whole yet
	left  int           // bytes of payload still to come, -1: up to the next PES
	heard time.Duration // when payload came last, by arrival
	ref   int64         // and in media time: clock.ref behind that, NoPTS: not known
	fills bool          // it stuffs packets within a PES

	timing
	usage
	order reorder // of a video's pictures
	ready bool    // a decoder could start
	// torn, tornAt: of a video, something is lost that the pictures up to the next random access point may refer to; since when.
	torn   bool
	tornAt time.Duration
	track  int     // in the running epoch, -1: not in it
	given  *params // those of the running epoch

	waits  bool    // units of it wait for another epoch
	absent bool    // the running epoch did not wait for it any longer
	lacks  ts.Wait // what the pictures that came lack, where no decoder can begin with one of them
	entry  entry   // into the running epoch

	lastParams *params // those of the last unit

	interval int // of key frames, see unitInfo; told once, with an encoder's first picture
}

func newStream(d *Demuxer, e element) *stream {
	s := &stream{d: d, pid: e.pid, format: e.format, track: -1, usage: usage{since: d.now}}
	switch e.codec {
	case media.H264, media.H265:
		s.parser = newVideo(s)
	case media.SCTE35:
		s.parser = noPES{}
		s.ready = true
	case media.KLV:
		s.parser = &klv{s: s}
		s.ready = true
	default:
		s.parser = newAudio(s)
	}
	if s.kind() == media.Data {
		s.lastParams = &params{codec: e.codec}
	}
	return s
}

func (s *stream) kind() media.Kind { return s.codec.Kind() }

// take takes the payload of a packet; start: a PES begins in it (ISO/IEC 13818-1 2.4.3.3).
func (s *stream) take(p []byte, start bool) error {
	s.heard = s.d.now
	if start {
		if s.state == pesHead { // the last one was nothing but a header
			s.d.stats.PESErrors++
			s.state = pesIdle
		}
		s.head = s.head[:0]
		return s.takeHead(p)
	}
	switch s.state {
	case pesHead:
		return s.takeHead(p)
	case pesBody:
		return s.takeBody(p)
	case pesTaken:
		s.fills = true
	}
	return nil
}

// rest gives on the picture at hand if it seems to be whole and nothing follows it for now.
func (s *stream) rest() error {
	v, ok := s.parser.(*video)
	if !ok || s.state != pesBody || s.left >= 0 || s.fills {
		return nil
	}
	passed := s.passed(s.ref)
	over := s.slot.stuffed && max(passed, s.d.now-s.heard) >= silentAfter
	if passed >= longAfter && len(v.marks) > 0 && v.marks[len(v.marks)-1].valid {
		over = over || s.passed(s.d.unwrap(v.marks[len(v.marks)-1].dts)) >= longAfter
	}
	if !over {
		return nil
	}
	s.state = pesTaken
	return s.parser.end(endLength)
}

// passed is by how much the times of the program have gone on since one of them; 0 where that is not known or they have jumped.
func (s *stream) passed(since int64) time.Duration {
	passed := s.d.ref - since
	if since == media.NoPTS || passed > maxGap {
		return 0
	}
	return media.Duration(passed)
}

// takeHead reads the PES header, which may be spread over packets.
func (s *stream) takeHead(p []byte) error {
	b := p
	if len(s.head) > 0 {
		s.head = append(s.head, p...)
		b = s.head
	}
	h, n, state := parsePES(b)
	if state == pesShort {
		if len(s.head) == 0 {
			s.head = append(s.head, p...)
			if err := s.endPES(nil); err != nil {
				return err
			}
		}
		s.state = pesHead
		return nil
	}
	if state == pesGood && h.id != ts.StreamIDPadding && h.id != ts.StreamIDPrivate2 {
		if err := s.endPES(b[n:]); err != nil {
			return err
		}
		return s.begin(&h, b[n:])
	}
	switch state {
	case pesBad:
		s.d.stats.PESErrors++
	case pesScrambled:
		s.hide()
	}
	err := s.endPES(nil)
	s.state = pesIdle
	if state != pesGood {
		s.tear()
	}
	return err
}

// endPES ends the PES at hand because another one begins, with next.
func (s *stream) endPES(next []byte) error {
	if s.state == pesBody && s.left > 0 {
		s.d.stats.PESErrors++ // shorter than its header says
	}
	s.state = pesIdle
	if v, ok := s.parser.(*video); ok && len(next) > 0 && !v.startsUnit(next) {
		return v.end(endContinued)
	}
	return s.parser.end(endNext)
}

func (s *stream) begin(h *pesHeader, p []byte) error {
	s.state, s.left = pesBody, h.length
	s.parser.begin(h.stamp, h.length)
	if h.length == 0 {
		s.d.stats.UnitErrors++ // nothing in it
	}
	return s.takeBody(p)
}

func (s *stream) takeBody(p []byte) error {
	if s.left >= 0 && len(p) > s.left {
		p = p[:s.left]
	}
	if s.parser.pending()+len(p) > maxPES {
		s.d.stats.Oversized++
		s.state = pesIdle
		defer s.tear()
		return s.parser.lose(true)
	}
	if s.left < 0 {
		return s.parser.add(p)
	}
	s.left -= len(p)
	if err := s.parser.add(p); err != nil || s.left > 0 {
		return err
	}
	s.state = pesDone
	return s.parser.end(endLength)
}

// lose says that packets are missing; complete: the PES at hand is known to be whole.
func (s *stream) lose(complete bool) error {
	inside := false
	switch {
	case s.state == pesHead:
		s.state = pesIdle
	case s.state == pesBody && complete && s.left <= 0:
		s.state = pesIdle
		if err := s.parser.end(endNext); err != nil {
			return err
		}
	case s.state == pesBody:
		s.state = pesIdle
		inside = true
	}
	return s.parser.lose(inside)
}

// finish gives on what is complete, as nothing follows.
func (s *stream) finish() error {
	if err := s.lose(s.slot.stuffed); err != nil {
		return err
	}
	return s.parser.end(endAll)
}
