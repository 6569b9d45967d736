// Package hlscheck judges HLS: it is given the successive playlists of a stream and the media that they list, and says which rules of
// draft-pantos-hls-rfc8216bis and of Brume's own design they break. It has no clock and no socket.
package hlscheck

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Playlist is one version of a media playlist. Durations are in seconds; what is absent is 0, or -1 for the parts of reports.
type Playlist struct {
	Target                             int
	PartTarget, HoldBack, PartHoldBack float64
	SkipUntil                          float64
	CanBlock                           bool
	Sequence                           uint64
	Discontinuity                      uint64
	Skipped                            int
	Segments                           []Segment // those that the text has; a delta update begins with a later one
	Running                            Segment   // what follows the last complete segment: its parts, without a URI
	Hint                               string
	Reports                            []Report
	Ranges                             []map[string]string // attributes of each EXT-X-DATERANGE
	Independent, Ended                 bool
	discontinuityCount                 uint64
}

// Segment is one of a playlist.
type Segment struct {
	Number        uint64 // media sequence number
	Discontinuity uint64 // discontinuity sequence number
	Duration      float64
	URI, Map      string
	Gap           bool
	Time          time.Time // EXT-X-PROGRAM-DATE-TIME; zero where the text has none
	Parts         []Part
}

// Part is a partial segment.
type Part struct {
	Duration    float64
	URI         string
	Independent bool
	Gap         bool
}

// Report is an EXT-X-RENDITION-REPORT. Part is -1 where it says none.
type Report struct {
	URI  string
	MSN  uint64
	Part int
}

// attributes splits an attribute list (RFC 8216 4.2). Quotes are taken off.
func attributes(list string) map[string]string {
	all := map[string]string{}
	for list != "" {
		name, rest, ok := strings.Cut(list, "=")
		if !ok {
			break
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			value, rest, _ = strings.Cut(rest[1:], `"`)
			list = strings.TrimPrefix(rest, ",")
		} else {
			value, list, _ = strings.Cut(rest, ",")
		}
		all[name] = value
	}
	return all
}

type parser struct {
	p       *Playlist
	segment Segment // that is being described
	mapped  string
	err     error
}

// Parse reads a media playlist. It refuses what a player could not read.
func Parse(text string) (*Playlist, error) {
	if !strings.HasPrefix(text, "#EXTM3U\n") {
		return nil, fmt.Errorf("the first line is not #EXTM3U")
	}
	q := &parser{p: &Playlist{}}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "" || line == "#EXTM3U":
		case strings.HasPrefix(line, "#"):
			tag, value, _ := strings.Cut(line, ":")
			q.tag(tag, value)
		default:
			q.uri(line)
		}
		if q.err != nil {
			return nil, fmt.Errorf("%q: %w", line, q.err)
		}
	}
	q.place()
	q.p.Running = q.segment
	if q.p.Target == 0 {
		return nil, fmt.Errorf("there is no EXT-X-TARGETDURATION")
	}
	return q.p, nil
}

func (q *parser) number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		q.err = err
	}
	return n
}

func (q *parser) seconds(s string) float64 {
	if s == "" {
		return 0
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v < 0 {
		q.err = fmt.Errorf("%q is not a duration", s)
	}
	return v
}

// tag reads one tag. Those of the head come first, since they decide the numbers of the segments.
func (q *parser) tag(tag, value string) {
	p := q.p
	switch tag {
	case "#EXT-X-TARGETDURATION":
		p.Target = int(q.number(value))
	case "#EXT-X-SERVER-CONTROL":
		a := attributes(value)
		p.HoldBack, p.PartHoldBack, p.SkipUntil = q.seconds(a["HOLD-BACK"]), q.seconds(a["PART-HOLD-BACK"]), q.seconds(a["CAN-SKIP-UNTIL"])
		p.CanBlock = a["CAN-BLOCK-RELOAD"] == "YES"
	case "#EXT-X-PART-INF":
		p.PartTarget = q.seconds(attributes(value)["PART-TARGET"])
	case "#EXT-X-MEDIA-SEQUENCE":
		p.Sequence = q.number(value)
	case "#EXT-X-DISCONTINUITY-SEQUENCE":
		p.Discontinuity = q.number(value)
	case "#EXT-X-SKIP":
		p.Skipped = int(q.number(attributes(value)["SKIPPED-SEGMENTS"]))
	case "#EXT-X-INDEPENDENT-SEGMENTS":
		p.Independent = true
	case "#EXT-X-DATERANGE":
		p.Ranges = append(p.Ranges, attributes(value))
	case "#EXT-X-ENDLIST":
		p.Ended = true
	default:
		q.segmentTag(tag, value)
	}
}

func (q *parser) segmentTag(tag, value string) {
	p, g := q.p, &q.segment
	switch tag {
	case "#EXTINF":
		duration, _, _ := strings.Cut(value, ",")
		g.Duration = q.seconds(duration)
	case "#EXT-X-DISCONTINUITY":
		p.discontinuityCount++
	case "#EXT-X-GAP":
		g.Gap = true
	case "#EXT-X-MAP":
		q.mapped = attributes(value)["URI"]
	case "#EXT-X-PROGRAM-DATE-TIME":
		g.Time, q.err = time.Parse(time.RFC3339Nano, value)
	case "#EXT-X-PART":
		a := attributes(value)
		g.Parts = append(g.Parts, Part{Duration: q.seconds(a["DURATION"]), URI: a["URI"], Independent: a["INDEPENDENT"] == "YES", Gap: a["GAP"] == "YES"})
	case "#EXT-X-PRELOAD-HINT":
		p.Hint = attributes(value)["URI"]
	case "#EXT-X-RENDITION-REPORT":
		a := attributes(value)
		r := Report{URI: a["URI"], MSN: q.number(a["LAST-MSN"]), Part: -1}
		if last := a["LAST-PART"]; last != "" {
			r.Part = int(q.number(last))
		}
		p.Reports = append(p.Reports, r)
	}
}

// place gives the segment that is being described its numbers.
func (q *parser) place() {
	g, p := &q.segment, q.p
	g.Number = p.Sequence + uint64(p.Skipped+len(p.Segments))
	g.Discontinuity = p.Discontinuity + p.discontinuityCount
	g.Map = q.mapped
}

func (q *parser) uri(line string) {
	q.place()
	q.segment.URI = line
	q.p.Segments = append(q.p.Segments, q.segment)
	q.segment = Segment{}
}

// spliced reports whether there was a discontinuity up to the playlist's end.
func (p *Playlist) spliced() bool {
	if p.Discontinuity > 0 || p.Running.Discontinuity > 0 {
		return true
	}
	n := len(p.Segments)
	return n > 0 && p.Segments[n-1].Discontinuity > 0
}
