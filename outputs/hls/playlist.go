package hls

import (
	"slices"
	"strconv"
	"time"

	"brume/media"
	"brume/outputs/mpegts"
)

// version is that of EXT-X-SKIP (draft-pantos-hls-rfc8216bis 8).
const version = 9

// skipTargets is CAN-SKIP-UNTIL in target durations, which must be six at least (draft-pantos-hls-rfc8216bis 4.4.3.8).
const skipTargets = 6

// holdTargets is HOLD-BACK in target durations, which must be three at least (draft-pantos-hls-rfc8216bis 4.4.3.8).
const holdTargets = 3

// partsTargets is how many target durations at the end of a playlist have their parts listed.
const partsTargets = 3

const timeFormat = "2006-01-02T15:04:05.000Z"

// text writes a playlist.
type text struct{ b []byte }

func (t *text) add(parts ...string) {
	for _, p := range parts {
		t.b = append(t.b, p...)
	}
}

func (t *text) line(parts ...string) {
	t.add(parts...)
	t.b = append(t.b, '\n')
}

func (t *text) number(v uint64) { t.b = strconv.AppendUint(t.b, v, 10) }

// seconds writes ticks as seconds, to 10 us, rounded down: EXTINF must not round above TARGETDURATION, nor a part be longer than PART-TARGET.
func (t *text) seconds(ticks int64) {
	us := max(ticks, 0) * 100 / 9 // media.ClockRate is 90000
	t.number(uint64(us / 1e6))
	frac := us%1e6/10 + 1e5
	t.b = append(t.b, '.')
	t.b = append(t.b, strconv.FormatInt(frac, 10)[1:]...)
}

func (t *text) time(unixNano int64) {
	t.b = time.Unix(0, unixNano).UTC().AppendFormat(t.b, timeFormat)
}

// renderMedia writes the media playlist of a rendition, or of the muxed transport stream.
func (s *snapshot) renderMedia(id string, skip bool) []byte {
	t := &text{b: make([]byte, 0, 4096)}
	parts := s.partTarget > 0 && id != tsID
	list := s.list()

	t.line("#EXTM3U")
	t.line("#EXT-X-VERSION:", strconv.Itoa(version))
	t.line("#EXT-X-TARGETDURATION:", strconv.Itoa(s.targetDuration))
	target := int64(s.targetDuration) * media.ClockRate
	s.writeServerControl(t, parts, target)
	if parts {
		t.add("#EXT-X-PART-INF:PART-TARGET=")
		t.seconds(s.partTarget)
		t.line()
	}
	t.add("#EXT-X-MEDIA-SEQUENCE:")
	t.number(list[0].number)
	t.line()
	t.add("#EXT-X-DISCONTINUITY-SEQUENCE:")
	t.number(uint64(list[0].discontinuity))
	t.line()
	s.writeStart(t, id)
	s.ranges.write(t, list[0].wall)

	first := 0
	if skip {
		if first = s.skippable(id, list, target); first > 0 {
			t.line("#EXT-X-SKIP:SKIPPED-SEGMENTS=", strconv.Itoa(first))
		}
	}
	w := mediaWriter{text: t, s: s, id: id, parts: parts, target: target}
	w.segments(list, first)
	if s.closed {
		t.line("#EXT-X-ENDLIST")
		return t.b
	}
	if parts {
		w.tail()
	}
	return t.b
}

func (s *snapshot) writeServerControl(t *text, parts bool, target int64) {
	if !parts {
		t.add("#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=")
		t.seconds(skipTargets * target)
		t.line()
		return
	}
	t.add("#EXT-X-SERVER-CONTROL:")
	if s.blocks() {
		t.add("CAN-BLOCK-RELOAD=YES,")
	}
	t.add("PART-HOLD-BACK=")
	t.seconds(3 * s.partTarget)
	t.add(",HOLD-BACK=")
	t.seconds(holdTargets * target)
	t.add(",CAN-SKIP-UNTIL=")
	t.seconds(skipTargets * target)
	t.line()
}

// skippable is the number of segments that a delta update leaves out: those that end before the skip boundary.
func (s *snapshot) skippable(id string, list []*segment, target int64) int {
	boundary := skipTargets * target
	var after int64 // to the end of the playlist
	if s.running != nil {
		for _, p := range s.parts(s.running, id) {
			after += p.stop - p.start
		}
	}
	for i := len(list) - 1; i >= 0; i-- {
		if after >= boundary {
			return i + 1
		}
		after += s.listedDuration(list[i])
	}
	return 0
}

// listedDuration is the EXTINF of a segment in ticks, the same in all renditions. The writer's marks keep it from rounding above
// TARGETDURATION; the bound holds whatever the marks say.
func (s *snapshot) listedDuration(g *segment) int64 {
	return min(g.length, int64(s.targetDuration)*media.ClockRate+media.ClockRate/2-1)
}

// mediaWriter writes the segments of a media playlist.
type mediaWriter struct {
	*text
	s      *snapshot
	id     string
	parts  bool
	target int64

	previous *segment // the one before in the list
	mapped   uint64   // epoch of the last EXT-X-MAP
}

// segments writes those from a given index on. What the ones before had to say is taken as said.
func (w *mediaWriter) segments(list []*segment, first int) {
	var left int64 // from here to the end of the playlist
	for _, g := range list {
		left += w.s.listedDuration(g)
	}
	partsFrom := w.s.partsFrom(list, w.id)
	for i, g := range list {
		d := w.s.listedDuration(g)
		left -= d
		if i < first {
			w.previous = g
			if !w.gap(g) {
				w.mapped = g.epoch.id
			}
			continue
		}
		w.begin(g)
		if left < partsTargets*w.target && i >= partsFrom {
			w.listParts(g)
		}
		w.add("#EXTINF:")
		w.seconds(d)
		w.line(",")
		if w.gap(g) {
			w.line("#EXT-X-GAP")
		}
		w.uri("seg-", g, "")
		if w.id == tsID {
			w.line(".ts")
		} else {
			w.line(".m4s")
		}
	}
}

// gap reports whether a segment has nothing of this rendition, or of the picture in a transport stream. hls.js never comes past a segment that has
// sound alone where others have a picture.
func (w *mediaWriter) gap(g *segment) bool {
	if w.id == tsID {
		return slices.ContainsFunc(g.epoch.lanes, func(l lane) bool { return l.video && mpegts.Supports(l.codec) && g.span(l.id).samples == 0 })
	}
	p := g.span(w.id)
	return p == nil || p.samples == 0
}

// begin writes the tags before a segment.
func (w *mediaWriter) begin(g *segment) {
	p := w.previous
	w.previous = g
	if p != nil && p.discontinuity != g.discontinuity {
		w.line("#EXT-X-DISCONTINUITY")
	}
	gap := w.gap(g)
	if w.id != tsID && !gap && w.mapped != g.epoch.id {
		w.mapped = g.epoch.id
		w.add(`#EXT-X-MAP:URI="init-`)
		w.number(g.epoch.id)
		w.line(`.mp4"`)
	}
	if p == nil || p.epoch != g.epoch {
		w.add("#EXT-X-PROGRAM-DATE-TIME:")
		w.time(w.wall(g))
		w.line()
	}
}

// wall is the wall clock of a segment's first sample: of the first rendition's in a transport stream.
func (w *mediaWriter) wall(g *segment) int64 {
	p := g.span(w.id)
	if w.id == tsID && len(g.spans) > 0 {
		p = &g.spans[0]
	}
	if p != nil {
		return p.wall
	}
	return g.wall
}

func (w *mediaWriter) uri(prefix string, g *segment, suffix string) {
	w.add(prefix)
	w.number(g.epoch.id)
	w.add("-")
	w.number(g.number)
	w.add(suffix)
}

func (w *mediaWriter) partURI(g *segment, n uint32) {
	w.uri("part-", g, ".")
	w.number(uint64(n))
	w.add(`.m4s"`)
}

func (w *mediaWriter) listParts(g *segment) {
	if !w.parts {
		return
	}
	for _, p := range w.s.parts(g, w.id) {
		w.add("#EXT-X-PART:DURATION=")
		w.seconds(p.stop - p.start)
		w.add(`,URI="`)
		w.partURI(g, p.number)
		if p.independent {
			w.add(",INDEPENDENT=YES")
		}
		w.line()
	}
}

// tail writes what follows the last complete segment. It is never nothing: hls.js (1.7) takes the last segment of a playlist that ends with one for
// the segment that is still to come, and gives up when that comes with another name.
func (w *mediaWriter) tail() {
	s, complete := w.s, len(w.b)
	if s.running != nil && len(s.parts(s.running, w.id)) > 0 {
		w.begin(s.running)
		w.listParts(s.running)
	}
	if g, n, ok := s.hint(w.id); ok {
		w.add(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="`)
		w.partURI(g, n)
		w.line()
	}
	for i := range s.epoch.lanes {
		id := s.epoch.lanes[i].id
		if id == w.id {
			continue
		}
		w.add(`#EXT-X-RENDITION-REPORT:URI="../`, id, `/index.m3u8",LAST-MSN=`)
		g := s.segments[len(s.segments)-1]
		if s.running != nil && len(s.parts(s.running, id)) > 0 {
			g = s.running
		}
		w.number(g.number)
		if n := s.partsListed(g, id); n > 0 {
			w.add(",LAST-PART=")
			w.number(uint64(n - 1))
		}
		w.line()
	}
	if len(w.b) == complete {
		w.line("# to be continued")
	}
}
