package hls

import (
	"bytes"
	"compress/gzip"
	"math"
	"slices"
	"sync"
	"time"

	"brume/buffer"
	"brume/media"
)

// header is what the buffer's header says.
type header struct {
	targetDuration int   // seconds, 0 until it is known
	partTarget     int64 // PART-TARGET in ticks, 0: no parts
	closed, ended  bool
	window         int64 // ticks
	tail           uint64
}

func headerOf(i *buffer.Info) header {
	return header{
		targetDuration: i.TargetDuration, partTarget: media.Ticks(buffer.PartTargetOf(i.PartTarget)), window: media.Ticks(i.Window), tail: i.Tail,
		closed: i.State == buffer.Closed, ended: i.State == buffer.Ended || i.State == buffer.Closed,
	}
}

// snapshot is the model at one moment. It never changes, so what is rendered from it is the same for everybody.
type snapshot struct {
	header
	segments []*segment // complete
	listed   int        // index of the first that playlists show
	running  *segment   // a copy, or nil
	epoch    *epoch     // newest, nil before the first
	ranges   dateRanges

	superseded chan struct{} // closed when there is a newer one
	mu         sync.Mutex
	pages      map[pageKey]*page
}

// snapshot freezes the model. It decides what is listed: at most half of the window, so that what a player
// has seen listed stays fetchable (RFC 8216 6.2.2), and never again what has left the playlist.
func (m *model) snapshot(h header) *snapshot {
	s := &snapshot{
		header: h, segments: slices.Clip(m.segments), epoch: m.epoch, ranges: m.ranges.clone(),
		superseded: make(chan struct{}), pages: map[pageKey]*page{},
	}
	if m.running != nil {
		c := *m.running
		c.spans = slices.Clone(c.spans)
		s.running = &c
	}
	n := len(s.segments)
	if n == 0 {
		return s
	}
	half := h.window / 2
	if h.tail > 0 {
		// Where the size bounds the buffer, the window is shorter.
		half = min(half, media.Ticks(time.Duration(s.segments[n-1].wall-s.segments[0].wall))/2)
	}
	s.listed = n - 1
	for sum := s.segments[n-1].length; s.listed > 0; s.listed-- {
		if sum += s.segments[s.listed-1].length; sum > half || s.segments[s.listed-1].number < m.floor {
			break
		}
	}
	m.floor = s.segments[s.listed].number
	return s
}

// list is what playlists show, complete segments only.
func (s *snapshot) list() []*segment { return s.segments[s.listed:] }

// last is the number of the last complete segment.
func (s *snapshot) last() uint64 { return s.segments[len(s.segments)-1].number }

// playable tells whether there is anything to put into a playlist.
func (s *snapshot) playable() bool {
	if s.targetDuration == 0 || len(s.segments) == 0 {
		return false
	}
	for _, g := range s.list() {
		if g.epoch.lead >= 0 && g.length > 0 {
			return true
		}
	}
	return false
}

// has tells whether a rendition is part of the playlists.
func (s *snapshot) has(id string) bool {
	if id == tsID {
		return true
	}
	if s.epoch != nil && s.epoch.lane(id) >= 0 {
		return true
	}
	for _, g := range s.list() {
		if g.epoch.lane(id) >= 0 {
			return true
		}
	}
	return false
}

// find returns a segment that is in the buffer.
func (s *snapshot) find(epoch, number uint64) *segment {
	if r := s.running; r != nil && r.number == number && r.epoch.id == epoch {
		return r
	}
	if len(s.segments) == 0 || number < s.segments[0].number {
		return nil
	}
	// The model keeps numbers without gaps.
	if i := number - s.segments[0].number; i < uint64(len(s.segments)) && s.segments[i].epoch.id == epoch {
		return s.segments[i]
	}
	return nil
}

// findEpoch returns an epoch that has a segment in the buffer.
func (s *snapshot) findEpoch(id uint64) *epoch {
	if s.epoch != nil && s.epoch.id == id {
		return s.epoch
	}
	for _, g := range s.segments {
		if g.epoch.id == id {
			return g.epoch
		}
	}
	return nil
}

// target is the target duration in ticks, at least a second.
func (s *snapshot) target() int64 { return int64(max(s.targetDuration, 1)) * media.ClockRate }

// blocks reports whether media playlists of fMP4 can wait for what is asked for: they have parts, and somebody writes.
func (s *snapshot) blocks() bool { return s.partTarget > 0 && !s.ended }

// reached reports whether a playlist has a part of a segment (draft-pantos-hls-rfc8216bis 6.2.5.2).
func (s *snapshot) reached(id string, number uint64, part int64) bool {
	last := s.last()
	if number == last {
		if p := s.segments[len(s.segments)-1].span(id); p == nil || part >= int64(len(p.parts)) {
			number, part = number+1, 0 // counts as the first of the next segment
		}
	}
	if number <= last {
		return true
	}
	return s.running != nil && s.running.number == number && part < int64(len(s.parts(s.running, id)))
}

// parts are those of a segment that are listed. Where the source leaves no way to keep to the lengths that players count on, the list ends, and
// the segment as a whole makes up for the rest: before a part that is longer than PART-TARGET, because a packet came later than the writer
// could foresee, and before one that is shorter than 85 % of it and not the segment's last (draft-pantos-hls-rfc8216bis 4.4.4.9), because
// sound is missing.
func (s *snapshot) parts(g *segment, id string) []part {
	if s.partTarget == 0 || !g.parted {
		return nil
	}
	p := g.span(id)
	if p == nil {
		return nil
	}
	for i := range p.parts {
		length, last := p.parts[i].stop-p.parts[i].start, g.complete && i == len(p.parts)-1
		if length > s.partTarget || !last && length < buffer.LeastPart(s.partTarget) {
			return p.parts[:i]
		}
	}
	return p.parts
}

// partsListed is how many parts of a segment are listed. Of a complete one it is all or none.
func (s *snapshot) partsListed(g *segment, id string) int {
	n := len(s.parts(g, id))
	if p := g.span(id); g.complete && p != nil && n < len(p.parts) {
		return 0
	}
	return n
}

// partsFrom is the index of the first segment from which on all have their parts listed to the end. Those before it are listed without any:
// hls.js goes from one listed part to the next, and would never load what lies between them.
func (s *snapshot) partsFrom(list []*segment, id string) int {
	i := len(list)
	for ; i > 0; i-- {
		if p := list[i-1].span(id); p != nil && s.partsListed(list[i-1], id) < len(p.parts) {
			break
		}
	}
	return i
}

// hint is the number of the part that comes next in a rendition.
func (s *snapshot) hint(id string) (*segment, uint32, bool) {
	g := s.running
	if g == nil || s.partTarget == 0 || !g.parted || s.ended {
		return nil, 0, false
	}
	p := g.span(id)
	if p == nil || p.held || len(s.parts(g, id)) < len(p.parts) {
		return nil, 0, false
	}
	// The first part of an epoch would stand before its initialization section.
	if len(p.parts) == 0 && (len(s.segments) == 0 || s.segments[len(s.segments)-1].epoch != g.epoch) {
		return nil, 0, false
	}
	return g, g.part, true
}

func (e *epoch) lane(id string) int {
	return slices.IndexFunc(e.lanes, func(l lane) bool { return l.id == id })
}

// span returns how a rendition lies in the segment, nil if it does not exist in this epoch.
func (g *segment) span(id string) *span {
	if i := g.epoch.lane(id); i >= 0 {
		return &g.spans[i]
	}
	return nil
}

// presented is the wall clock of an entry's presentation time, Unix nanoseconds.
func presented(e *buffer.Entry) int64 {
	offset := min(max(e.PTS-e.DTS, -math.MaxInt32), math.MaxInt32)
	return e.Wall + int64(media.Duration(offset))
}

// pageKey names a playlist.
type pageKey struct {
	kind Kind
	id   string
	skip bool // a delta update
}

// page is a rendered playlist.
type page struct {
	render sync.Once
	plain  []byte
	zip    sync.Once
	zipped []byte
}

// page renders a playlist, once for everybody.
func (s *snapshot) page(k pageKey) *page {
	s.mu.Lock()
	p := s.pages[k]
	if p == nil {
		p = &page{}
		s.pages[k] = p
	}
	s.mu.Unlock()
	p.render.Do(func() {
		switch {
		case k.kind == KindMultivariant && k.id == tsID:
			p.plain = s.renderMultivariantTS()
		case k.kind == KindMultivariant:
			p.plain = s.renderMultivariant()
		default:
			p.plain = s.renderMedia(k.id, k.skip)
		}
	})
	return p
}

func (p *page) gzip() []byte {
	p.zip.Do(func() {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is valid
		_, _ = w.Write(p.plain)                         // a bytes.Buffer takes all
		_ = w.Close()
		p.zipped = b.Bytes()
	})
	return p.zipped
}
