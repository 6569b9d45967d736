package hls

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"brume/buffer"
	"brume/media"
	"brume/outputs/fmp4"
	"brume/outputs/mpegts"
)

// Bounds of what is kept, whatever a buffer says.
const (
	maxSegments = 8192
	maxParts    = 4096 // of a segment
)

var errMarks = errors.New("segment marks make no sense")

// lane is a track that is delivered as an fMP4 rendition.
type lane struct {
	id     string // "v0", "a0", "a1", ...: kind, and position among the tracks of that kind
	track  int
	lead   bool // segments and parts are cut by this track
	video  bool
	params media.Params
	codec  media.Codec
	lang   string
	role   media.TrackRole
	init   []byte // initialization section
}

// epoch is what is known of an epoch. It never changes.
type epoch struct {
	id     uint64
	tracks []media.Track
	lanes  []lane // the lead track's first, if it can be carried
	lead   int    // track
}

// newEpoch works out the renditions of an epoch. Tracks that can't be carried have none, and there is one of video at
// most: the lead track, whose random access points the segments begin with.
func newEpoch(id uint64, tracks []media.Track) *epoch {
	e := &epoch{id: id, tracks: tracks, lead: media.Lead(tracks, func(i int) bool { return tracks[i].Codec.Kind() != media.Data })}
	for _, kind := range []media.Kind{media.Video, media.Audio} {
		position := 0
		for i := range tracks {
			t := &tracks[i]
			if t.Codec.Kind() != kind {
				continue
			}
			if l, ok := newLane(t); ok && (kind == media.Audio || e.lead == i) {
				l.id = kind.String()[:1] + strconv.Itoa(position)
				l.track, l.lead = i, e.lead == i
				e.lanes = append(e.lanes, l)
			}
			position++
		}
	}
	return e
}

func newLane(t *media.Track) (lane, bool) {
	if !fmp4.Supports(t.Codec) {
		return lane{}, false
	}
	p, err := t.Params()
	if err != nil || p.CodecString == "" {
		return lane{}, false
	}
	init, err := fmp4.Init(t)
	if err != nil {
		return lane{}, false
	}
	return lane{video: t.Codec.Kind() == media.Video, params: p, codec: t.Codec, lang: t.Language, role: t.Role, init: init}, true
}

// hasTS tells whether there is anything that a transport stream can carry.
func (e *epoch) hasTS() bool {
	return slices.ContainsFunc(e.lanes, func(l lane) bool { return mpegts.Supports(l.codec) })
}

// nominal is how long a sample is taken to last when nothing tells it, in ticks.
func (l *lane) nominal() int64 {
	switch {
	case l.params.FrameDuration > 0:
		return l.params.FrameDuration
	case l.params.FrameRate >= 1 && l.params.FrameRate <= 1000:
		return int64(media.ClockRate / l.params.FrameRate)
	case l.video:
		return media.ClockRate / 25
	default:
		return media.ClockRate / 50 // the usual Opus frame
	}
}

// segment is one media segment in all renditions.
type segment struct {
	number        uint64
	epoch         *epoch
	discontinuity uint32
	first, end    uint64 // sequence numbers: first <= seq < end; end only when complete
	complete      bool
	parted        bool // the stream had parts when it began
	wall          int64
	part          uint32 // the running part
	partFirst     uint64
	spans         []span // as epoch.lanes
	bytes         int64  // payload of all tracks
	tsBytes       int64  // of the transport stream, about

	leadLast, leadPrevious int64 // decoding times of the lead track, carried in fMP4 or not; ticks
	leadSamples            int
	opens                  bool  // it is the first of its epoch
	start                  int64 // decoding time from which it counts, ticks
	length                 int64 // from mark to mark, ticks; of all renditions. Known when complete
	independent            bool  // the lead track begins with a random access point
}

// model is what playlists are made of. It is built from the entries of a buffer, one after the other; it asks for no
// time and reads nothing. The same entries make the same model, from wherever it begins.
type model struct {
	segments []*segment // complete, numbered without gaps, oldest first
	running  *segment
	epoch    *epoch // newest
	ranges   dateRanges
	floor    uint64 // media sequence numbers below are not listed any more
	faults   uint64 // how often marks made no sense
}

// reset forgets all but what must not go back.
func (m *model) reset() { *m = model{floor: m.floor, faults: m.faults + 1} }

// lost drops the running segment and the date ranges, after entries that could not be read.
func (m *model) lost() {
	m.running = nil
	m.ranges.lost()
}

// mark changes with all that shows.
type mark struct {
	complete int
	first    uint64
	running  *segment
	part     uint32
	ranges   uint64
	faults   uint64
}

func (m *model) mark() mark {
	k := mark{complete: len(m.segments), running: m.running, ranges: m.ranges.changes, faults: m.faults}
	if k.complete > 0 {
		k.first = m.segments[0].number
	}
	if m.running != nil {
		k.part = m.running.part
	}
	return k
}

// add takes the next entry. tracks tells the tracks of an epoch, payload the content of the entry. After an error that is errMarks the model
// is empty, and goes on with the next segment that begins.
func (m *model) add(e *buffer.Entry, tracks func(uint64) ([]media.Track, error), payload func() ([]byte, error)) error {
	if e.Has(buffer.EpochEnd) {
		if m.running != nil && m.running.epoch.id != e.Epoch {
			m.reset()
			return fmt.Errorf("%w: end of another epoch", errMarks)
		}
		m.complete(e)
		return nil
	}
	switch s := m.running; {
	case s == nil || e.Has(buffer.SegmentStart):
		if !e.Has(buffer.SegmentStart) {
			return m.addCommand(e, tracks, payload) // joined in the middle of a segment
		}
		if err := m.begin(e, tracks); err != nil {
			return err
		}
	case e.Segment != s.number || e.Epoch != s.epoch.id || e.Part != s.part && e.Part != s.part+1 || e.Part >= maxParts:
		m.reset()
		return fmt.Errorf("%w: segment %d part %d within segment %d part %d", errMarks, e.Segment, e.Part, s.number, s.part)
	case e.Part != s.part:
		s.endPart(e)
		s.part, s.partFirst = e.Part, e.Seq
	}
	m.ranges.pass(e.Wall)
	switch codec := m.running.epoch.tracks[e.Track].Codec; {
	case codec.Kind() == media.Multiplex:
		return nil // the same once more
	case e.Has(buffer.Torn):
		m.running.date(e)
		return nil
	case codec == media.SCTE35:
		m.ranges.add(e, payload)
	}
	m.running.add(e)
	return nil
}

// addCommand takes what a segment without its beginning has for the date ranges: a break may last for long after that.
func (m *model) addCommand(e *buffer.Entry, tracks func(uint64) ([]media.Track, error), payload func() ([]byte, error)) error {
	t, err := tracks(e.Epoch)
	if err != nil {
		return err
	}
	m.ranges.pass(e.Wall)
	if e.Track >= 0 && e.Track < len(t) && t[e.Track].Codec == media.SCTE35 && !e.Has(buffer.Torn) {
		m.ranges.add(e, payload)
	}
	return nil
}

// begin completes the running segment and begins the next.
func (m *model) begin(e *buffer.Entry, tracks func(uint64) ([]media.Track, error)) error {
	m.complete(e)
	if n := len(m.segments); n > 0 {
		if last := m.segments[n-1]; e.Segment != last.number+1 || e.Epoch < last.epoch.id || e.Discontinuity < last.discontinuity {
			backwards := e.Segment <= last.number
			faults := m.faults
			m.reset()
			if backwards {
				m.floor = 0
			} else {
				m.faults = faults // entries were lost on the way
			}
		}
	}
	if m.epoch == nil || m.epoch.id != e.Epoch {
		t, err := tracks(e.Epoch)
		if err != nil {
			return err
		}
		m.epoch = newEpoch(e.Epoch, t)
	}
	if e.Track < 0 || e.Track >= len(m.epoch.tracks) {
		m.reset()
		return fmt.Errorf("%w: track %d", errMarks, e.Track)
	}
	m.running = &segment{
		number: e.Segment, epoch: m.epoch, discontinuity: e.Discontinuity, first: e.Seq, parted: e.Has(buffer.PartStart),
		wall: e.Wall, start: e.DTS, opens: e.Has(buffer.EpochStart), partFirst: e.Seq, spans: make([]span, len(m.epoch.lanes)),
	}
	return nil
}

// complete ends the running segment before an entry.
func (m *model) complete(e *buffer.Entry) {
	s := m.running
	if s == nil {
		return
	}
	s.endPart(e)
	s.length = s.lengthUntil(e)
	s.complete, s.end = true, e.Seq
	for i := range s.spans {
		if p := &s.spans[i]; p.samples == 0 {
			p.wall = m.expected(s, i)
		}
	}
	m.running = nil
	m.segments = append(m.segments, s)
	if n := len(m.segments) - maxSegments; n > 0 {
		m.segments = m.segments[n:]
	}
}

// expected is the wall clock of a segment that follows the complete ones in a rendition, by what is known of the one before.
func (m *model) expected(s *segment, lane int) int64 {
	if n := len(m.segments); n > 0 && m.segments[n-1].epoch == s.epoch {
		last := m.segments[n-1]
		return last.spans[lane].wall + int64(media.Duration(last.length))
	}
	return s.wall
}

// lengthUntil is how long the segment lasts in every rendition, in ticks: from mark to mark. The first segment of an epoch begins
// with the lead track, whatever comes before it. At the end of the epoch the last packet of the lead track lasts as long as the one before it, and
// where there is none the other tracks tell.
func (s *segment) lengthUntil(next *buffer.Entry) int64 {
	start, stop := s.start, next.DTS
	if !s.continues(next) {
		stop = start
		if s.leadSamples > 0 {
			stop = s.leadLast + s.lastOfLead()
		}
		if stop <= start { // what there is of the lead track came late: it belongs before the segment
			for i := range s.spans {
				if s.spans[i].samples > 0 {
					stop = max(stop, s.spans[i].stop)
				}
			}
		}
	}
	return min(max(stop-start, 0), math.MaxInt32)
}

// continues reports whether the epoch goes on at a mark, so that its time tells how long what is before it lasts.
func (s *segment) continues(mark *buffer.Entry) bool {
	return mark.Epoch == s.epoch.id && !mark.Has(buffer.EpochEnd)
}

// lastOfLead is how long the last packet of the lead track lasts where nothing follows it, in ticks.
func (s *segment) lastOfLead() int64 {
	if i := slices.IndexFunc(s.epoch.lanes, func(l lane) bool { return l.lead }); i >= 0 {
		l := &s.epoch.lanes[i]
		return l.unfollowed(s.leadPrevious)
	}
	if s.leadPrevious > 0 {
		return s.leadPrevious
	}
	return media.ClockRate / 25
}

// unfollowed is how long a sample lasts that no other follows, in ticks; previous is the duration of the one before, 0 when not known.
func (l *lane) unfollowed(previous int64) int64 {
	switch {
	case !l.video && l.params.FrameDuration > 0:
		return l.params.FrameDuration
	case previous > 0:
		return previous
	default:
		return l.nominal()
	}
}

// prune forgets what has left the buffer.
func (m *model) prune(tail uint64) {
	for len(m.segments) > 0 && m.segments[0].first < tail {
		m.segments = m.segments[1:] // what snapshots share stays as it is
	}
	if len(m.segments) > 0 {
		m.ranges.prune(m.segments[0].wall)
	}
}

// add counts a packet in.
func (s *segment) add(e *buffer.Entry) {
	s.bytes += int64(e.Length)
	// A PES header with both times, and what is left over of the last packet.
	s.tsBytes += (int64(e.Length) + 19 + 183) / 184 * 188
	if e.Track == s.epoch.lead {
		if s.leadSamples == 0 {
			s.independent = e.Independent()
			if s.opens {
				s.start = e.DTS
			}
		} else if d := e.DTS - s.leadLast; d > 0 {
			s.leadPrevious = d
		}
		s.leadSamples++
		s.leadLast = e.DTS
	}
	for i := range s.spans {
		if s.epoch.lanes[i].track == e.Track {
			s.spans[i].add(e, s, s.epoch.lanes[i].lead)
			return
		}
	}
}
