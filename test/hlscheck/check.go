package hlscheck

import (
	"fmt"
	"math"
	"path"
	"strings"
	"time"
)

// maxFaults is how many faults of one rule and rendition are kept; one tends to come again with each version.
const maxFaults = 3

// rounding is what two sums of durations may differ by, in seconds: playlists write them to 10 microseconds.
const rounding = 0.001

// dateTolerance is what the program date time may differ by from the sum of the EXTINFs, in seconds: it is written to a millisecond.
const dateTolerance = 0.02

// interleaving is how far audio may lie from the picture that it comes with, seconds: what multiplexers put into one packet of audio, and a
// reordered picture.
const interleaving = 0.75

// longestAudio is the longest frame of audio, seconds.
const longestAudio = 0.06

// partFloor is the least duration of a part that is not its segment's last, in part targets.
const partFloor = 0.85

// A Fault is a rule that something broke.
type Fault struct {
	Rendition string
	Rule      string // one word, the same for every fault of a kind
	Detail    string
	Playlist  string // the text
}

func (f Fault) String() string {
	return fmt.Sprintf("%s: %s: %s\n%s", f.Rendition, f.Rule, f.Detail, f.Playlist)
}

// Checker judges one stream from its first playlist to its end.
type Checker struct {
	Faults []Fault

	seen        map[string]bool // faults
	kept        map[string]int  // faults of each rendition and rule
	renditions  map[string]*rendition
	shared      map[uint64]Segment           // what all renditions must say alike of a segment
	ranges      map[string]map[string]string // what was said of each date range, by its ID
	independent map[string]bool              // EXT-X-INDEPENDENT-SEGMENTS of the multivariant playlist of each variant
	lead        string                       // id of the rendition whose marks cut all others: the video, or else the first audio; "" before it is known
	text        string                       // the playlist that is being judged
}

// rendition is what is known of one media playlist.
type rendition struct {
	id       string
	variant  string // "" or "ts/", with which the id begins
	latest   *Playlist
	spliced  bool // there was a discontinuity
	segments map[uint64]Segment
	uris     map[string]uint64            // of segments, with their numbers
	parts    map[string]Part              // all that were ever listed
	order    map[uint64][]Part            // the parts of each segment as far as they were listed
	dates    map[uint64]float64           // program date time of each segment, Unix seconds
	ranges   map[string]map[string]string // what it said of each date range, by its ID
	reported Report                       // the furthest that another rendition has told
	media    map[uint64]Media
	longest  float64           // sample in them
	scales   map[string]uint32 // by the URI of the EXT-X-MAP
	anchor   uint64            // number of the segment from which the EXTINFs are added up
}

// New is a checker that has seen nothing.
func New() *Checker {
	return &Checker{seen: map[string]bool{}, kept: map[string]int{}, renditions: map[string]*rendition{}, shared: map[uint64]Segment{}, ranges: map[string]map[string]string{}, independent: map[string]bool{}}
}

// Forget begins anew with a variant: it was not there any more, so its next playlist owes nothing to the last one.
func (c *Checker) Forget(variant string) {
	for id, r := range c.renditions {
		if r.variant == variant {
			delete(c.renditions, id)
		}
	}
	clear(c.shared)
	clear(c.ranges)
}

func (c *Checker) fault(r *rendition, rule, format string, args ...any) {
	detail := fmt.Sprintf(format, args...)
	kind := r.id + " " + rule
	if key := kind + detail; !c.seen[key] && c.kept[kind] < maxFaults {
		c.seen[key] = true
		c.kept[kind]++
		c.Faults = append(c.Faults, Fault{Rendition: r.id, Rule: rule, Detail: detail, Playlist: c.text})
	}
}

// leads reports whether a rendition is sure to be the one whose marks cut all others: the video, or the first audio where there is none. Behind
// a discontinuity there may be video that the multivariant playlist does not list yet.
func (c *Checker) leads(r *rendition) bool {
	if r.variant != "" || c.lead == "" {
		return true
	}
	return r.id == c.lead && (r.id == "v0" || !r.spliced)
}

func (c *Checker) rendition(id string) *rendition {
	r := c.renditions[id]
	if r == nil {
		r = &rendition{
			id: id, variant: id[:strings.LastIndexByte(id, '/')+1], segments: map[uint64]Segment{}, uris: map[string]uint64{}, parts: map[string]Part{}, order: map[uint64][]Part{},
			dates: map[uint64]float64{}, media: map[uint64]Media{}, scales: map[string]uint32{}, ranges: map[string]map[string]string{}, reported: Report{Part: -1},
		}
		c.renditions[id] = r
	}
	return r
}

// Multivariant judges the multivariant playlist of a variant, "" or "ts/", and returns the URIs of its media playlists. The ids of their
// renditions begin with the variant.
func (c *Checker) Multivariant(variant, text string) []string {
	c.text = text
	c.independent[variant] = strings.Contains(text, "#EXT-X-INDEPENDENT-SEGMENTS\n")
	var uris []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "#EXT-X-MEDIA:"):
			if uri := attributes(strings.TrimPrefix(line, "#EXT-X-MEDIA:"))["URI"]; uri != "" {
				uris = append(uris, uri)
			}
		case line != "" && !strings.HasPrefix(line, "#"):
			uris = append(uris, line)
		}
	}
	if variant == "" {
		for _, uri := range uris {
			if id := path.Dir(uri); id == "v0" || c.lead == "" || c.lead != "v0" && id < c.lead {
				c.lead = id
			}
		}
	}
	return uris
}

// Playlist judges the next version of a media playlist, or a delta update of one (EXT-X-SKIP). It returns nil for what can't be read.
func (c *Checker) Playlist(id, text string) *Playlist {
	c.text = text
	r := c.rendition(id)
	p, err := Parse(text)
	if err != nil {
		c.fault(r, "syntax", "%v", err)
		return nil
	}
	if r.latest != nil && (r.latest.Ended && !p.Ended || r.anew(p)) {
		c.Forget(r.variant)
		if p.Skipped > 0 {
			return nil
		}
		r = c.rendition(id)
	}
	if p.Skipped > 0 {
		c.merge(r, p)
	}
	r.spliced = r.spliced || p.spliced()
	c.checkHead(r, p)
	c.checkSegments(r, p)
	c.checkParts(r, p)
	c.checkDates(r, p)
	c.checkRanges(r, p)
	c.checkAgreement(r, p)
	c.checkReports(r, p)
	r.latest = p
	c.checkIndependent(r)
	return p
}

// Knows reports whether a full playlist of a rendition was judged, so that a delta update can be.
func (c *Checker) Knows(id string) bool {
	r := c.renditions[id]
	return r != nil && r.latest != nil
}

// anew reports whether a playlist is of the next stream of the name: its segments have the numbers of others, and all of them are new.
func (r *rendition) anew(p *Playlist) bool {
	for _, g := range p.Segments {
		if _, known := r.uris[g.URI]; known {
			return false
		}
	}
	return len(p.Segments) > 0 && p.Segments[0].Number < r.latest.Sequence+uint64(len(r.latest.Segments))
}

// merge puts the skipped segments of a delta update in their place, as a player does.
func (c *Checker) merge(r *rendition, p *Playlist) {
	var skipped []Segment
	for n := p.Sequence; n < p.Sequence+uint64(p.Skipped); n++ {
		g, ok := r.segments[n]
		if !ok {
			c.fault(r, "delta", "segment %d is skipped, but no full playlist had it", n)
			continue
		}
		g.Parts = nil
		if at, known := r.dates[n]; known && len(skipped) == 0 {
			g.Time = time.UnixMilli(int64(math.Round(at * 1000)))
		}
		skipped = append(skipped, g)
	}
	left := 0.0
	for _, g := range p.Segments {
		left += g.Duration
	}
	for _, part := range p.Running.Parts {
		left += part.Duration
	}
	if left < p.SkipUntil-rounding {
		c.fault(r, "delta", "segments within the last %.3f s are skipped, and CAN-SKIP-UNTIL is %.3f", left, p.SkipUntil)
	}
	if len(skipped) > 0 && len(p.Segments) > 0 {
		// The text has no EXT-X-DISCONTINUITY and no EXT-X-MAP of what it leaves out.
		last := skipped[len(skipped)-1]
		shift := last.Discontinuity - p.Discontinuity
		for i := range p.Segments {
			p.Segments[i].Discontinuity += shift
			if p.Segments[i].Map == "" {
				p.Segments[i].Map = last.Map
			}
		}
		p.Running.Discontinuity += shift
	}
	p.Segments = append(skipped, p.Segments...)
}

// checkHead judges what stands before the segments: 4.4.3.1, 4.4.3.7 and 4.4.3.8 of rfc8216bis, and that nothing of it ever changes.
func (c *Checker) checkHead(r *rendition, p *Playlist) {
	target := float64(p.Target)
	if p.HoldBack > 0 && p.HoldBack < 3*target-rounding {
		c.fault(r, "hold-back", "HOLD-BACK %.3f is less than three times %d", p.HoldBack, p.Target)
	}
	if p.SkipUntil > 0 && p.SkipUntil < 6*target-rounding {
		c.fault(r, "skip-until", "CAN-SKIP-UNTIL %.3f is less than six times %d", p.SkipUntil, p.Target)
	}
	if p.PartTarget > 0 && p.PartHoldBack < 3*p.PartTarget-rounding {
		c.fault(r, "part-hold-back", "PART-HOLD-BACK %.3f is less than three times %.3f", p.PartHoldBack, p.PartTarget)
	}
	if lines := strings.Split(strings.TrimSpace(c.text), "\n"); p.PartTarget > 0 && !strings.HasPrefix(lines[len(lines)-1], "#") {
		// hls.js 1.7 takes the segment for the one to come, and gives up when that comes with another name.
		c.fault(r, "end", "the last line is that of a segment")
	}
	old := r.latest
	if old == nil {
		return
	}
	for _, v := range []struct {
		name     string
		was, now float64
	}{
		{"TARGETDURATION", float64(old.Target), target},
		{"PART-TARGET", old.PartTarget, p.PartTarget},
		{"HOLD-BACK", old.HoldBack, p.HoldBack},
		{"PART-HOLD-BACK", old.PartHoldBack, p.PartHoldBack},
	} {
		if v.was != v.now {
			c.fault(r, "constant", "%s was %v and is %v", v.name, v.was, v.now)
		}
	}
	if p.Sequence < old.Sequence || p.Discontinuity < old.Discontinuity {
		c.fault(r, "sequence", "the sequence numbers went back from %d, %d to %d, %d", old.Sequence, old.Discontinuity, p.Sequence, p.Discontinuity)
	}
}

// checkSegments judges each segment, and that a segment never changes (6.2.1).
func (c *Checker) checkSegments(r *rendition, p *Playlist) {
	if len(p.Segments) == 0 {
		c.fault(r, "empty", "there is no segment")
	}
	for _, g := range p.Segments {
		if math.Floor(g.Duration+0.5) > float64(p.Target) {
			c.fault(r, "target", "EXTINF %.5f of segment %d rounds to more than %d", g.Duration, g.Number, p.Target)
		}
		if g.Duration <= 0 {
			c.fault(r, "target", "segment %d has no duration", g.Number)
		}
		if !g.Gap && g.Map == "" && !strings.HasSuffix(g.URI, ".ts") {
			c.fault(r, "map", "segment %d has no EXT-X-MAP", g.Number)
		}
		if n, ok := r.uris[g.URI]; ok && n != g.Number {
			c.fault(r, "changed", "%s was segment %d and is segment %d", g.URI, n, g.Number)
		}
		r.uris[g.URI] = g.Number
		old, ok := r.segments[g.Number]
		if ok && (old.URI != g.URI || old.Duration != g.Duration || old.Gap != g.Gap || old.Discontinuity != g.Discontinuity || !g.Gap && old.Map != g.Map) {
			c.fault(r, "changed", "segment %d was %s %.5f gap=%t discontinuity %d map %s and is %s %.5f gap=%t discontinuity %d map %s", g.Number,
				old.URI, old.Duration, old.Gap, old.Discontinuity, old.Map, g.URI, g.Duration, g.Gap, g.Discontinuity, g.Map)
		}
		r.segments[g.Number] = g
		if before, ok := r.segments[g.Number-1]; ok && (g.Discontinuity < before.Discontinuity || g.Discontinuity > before.Discontinuity+1) {
			c.fault(r, "sequence", "discontinuity %d of segment %d follows %d", g.Discontinuity, g.Number, before.Discontinuity)
		}
	}
}

// checkDates sees that the program date time goes on by the EXTINFs within a discontinuity. It is that of a rendition's own first sample, so
// where another track ends the segment between two pictures that are far apart it moves by less than their distance.
func (c *Checker) checkDates(r *rendition, p *Playlist) {
	tolerance := max(dateTolerance, r.longest)
	if !c.leads(r) || !c.independent[r.variant] {
		tolerance = max(interleaving, r.longest) // the first picture within a group is not always shown first
	}
	var at float64
	for i, g := range p.Segments {
		if !g.Time.IsZero() {
			next := float64(g.Time.UnixMilli()) / 1000
			if i > 0 && at > 0 && g.Discontinuity == p.Segments[i-1].Discontinuity && math.Abs(next-at) > tolerance {
				c.fault(r, "date", "the program date time of segment %d is %+.3f s away from what the EXTINFs say", g.Number, next-at)
			}
			at = next
		}
		if at == 0 {
			c.fault(r, "date", "segment %d has no program date time", g.Number)
			return
		}
		if old, ok := r.dates[g.Number]; ok && math.Abs(old-at) > tolerance {
			c.fault(r, "date", "the program date time of segment %d has moved by %+.3f s", g.Number, at-old)
		} else if !ok {
			r.dates[g.Number] = at
		}
		at += g.Duration
	}
}

// checkAgreement sees that all renditions say the same of a segment.
func (c *Checker) checkAgreement(r *rendition, p *Playlist) {
	if r.variant != "" {
		return // a playlist of its own
	}
	for _, g := range p.Segments {
		o, ok := c.shared[g.Number]
		if !ok {
			c.shared[g.Number] = g
			continue
		}
		if math.Abs(o.Duration-g.Duration) > rounding {
			c.fault(r, "agree", "EXTINF of segment %d is %.5f here and %.5f in another rendition", g.Number, g.Duration, o.Duration)
		}
		if o.Discontinuity != g.Discontinuity {
			c.fault(r, "agree", "discontinuity of segment %d is %d here and %d in another rendition", g.Number, g.Discontinuity, o.Discontinuity)
		}
	}
}

// last is the newest segment and part of a playlist, as reports name it.
func (p *Playlist) last() Report {
	l := Report{MSN: p.Sequence + uint64(len(p.Segments)) - 1, Part: -1}
	if n := len(p.Running.Parts); n > 0 {
		return Report{MSN: l.MSN + 1, Part: n - 1}
	}
	if len(p.Segments) > 0 {
		l.Part = len(p.Segments[len(p.Segments)-1].Parts) - 1
	}
	return l
}

// after reports whether a place is behind another one. A segment without a last part is complete.
func (r Report) after(o Report) bool {
	return r.MSN > o.MSN || r.MSN == o.MSN && o.Part >= 0 && r.Part > o.Part
}

// checkReports compares the rendition reports with the other playlists, which were asked for before and are asked for later (4.4.5.4).
func (c *Checker) checkReports(r *rendition, p *Playlist) {
	if r.reported.after(p.last()) {
		c.fault(r, "report", "another rendition's report told of %d.%d, and this playlist ends with %d.%d", r.reported.MSN, r.reported.Part, p.last().MSN, p.last().Part)
	}
	r.reported = Report{Part: -1}
	for _, report := range p.Reports {
		o := c.renditions[path.Join(path.Dir(r.id+"/x"), report.URI[:max(0, len(report.URI)-len("/index.m3u8"))])]
		if o == nil || o.latest == nil {
			continue
		}
		if known := o.latest.last(); known.after(report) {
			c.fault(r, "report", "it says that %s ends with %d.%d, which had %d.%d before", o.id, report.MSN, report.Part, known.MSN, known.Part)
		}
		if report.after(o.reported) {
			o.reported = report
		}
	}
}
