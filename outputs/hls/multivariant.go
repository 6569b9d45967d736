package hls

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"brume/media"
	"brume/outputs/mpegts"
)

// rate is a bit rate as EXT-X-STREAM-INF has it, in bits per second.
type rate struct{ peak, average int64 }

func (r rate) plus(o rate) rate { return rate{r.peak + o.peak, r.average + o.average} }

// measure adds up the sizes and durations of the listed segments. The peak is the highest rate of any segments in a row that
// last at least the target duration: a short segment that is little more than a keyframe is no peak of what a player has to
// receive (RFC 8216 4.1). Where all of them are shorter than the target, the peak is the average.
func (s *snapshot) measure(size func(g *segment) (bytes, ticks int64)) rate {
	list := s.list()
	target := max(int64(s.targetDuration)*media.ClockRate, 1)
	var r rate
	var bytes, ticks int64       // of all
	var rowBytes, rowTicks int64 // of a row that begins with list[first]
	first := 0
	for _, g := range list {
		b, d := size(g)
		if d <= 0 {
			continue
		}
		bytes, ticks, rowBytes, rowTicks = bytes+b, ticks+d, rowBytes+b, rowTicks+d
		for ; ; first++ {
			b, d = size(list[first])
			if d > 0 && rowTicks-d < target {
				break
			}
			if d > 0 {
				rowBytes, rowTicks = rowBytes-b, rowTicks-d
			}
		}
		if rowTicks >= target {
			r.peak = max(r.peak, rowBytes*8*media.ClockRate/rowTicks)
		}
	}
	if ticks > 0 {
		r.average = bytes * 8 * media.ClockRate / ticks
	}
	r.average = max(r.average, 1)
	r.peak = max(r.peak, r.average)
	return r
}

// laneRate measures a rendition, with its boxes.
func (s *snapshot) laneRate(id string) rate {
	const fragment, sample = 104, 16 // bytes of boxes
	return s.measure(func(g *segment) (int64, int64) {
		p := g.span(id)
		if p == nil || p.samples == 0 {
			return 0, 0
		}
		return p.bytes + fragment*int64(len(p.parts)) + sample*int64(p.samples), p.stop - p.start
	})
}

// frameRate is what the codec's parameters say, or what was counted.
func (s *snapshot) frameRate(l *lane) float64 {
	if r := l.params.FrameRate; r > 0 && r <= 1000 {
		return r
	}
	var samples, ticks int64
	for _, g := range s.list() {
		if p := g.span(l.id); p != nil && p.samples > 0 {
			samples, ticks = samples+int64(p.samples), ticks+p.stop-p.start
		}
	}
	if ticks <= 0 {
		return 0
	}
	return float64(samples) * media.ClockRate / float64(ticks)
}

// independent tells whether every listed segment can be decoded without the one before.
func (s *snapshot) independent() bool {
	for _, g := range s.list() {
		if g.leadSamples > 0 && !g.independent {
			return false
		}
	}
	return true
}

// audioGroup is the audio renditions of one codec. Players choose a variant by codec, then a rendition by language.
type audioGroup struct {
	id, codec string
	playable  bool // by browsers in common use
	lanes     []*lane
	rate      rate // the largest
}

func (s *snapshot) audioGroups(lanes []*lane) []*audioGroup {
	var groups []*audioGroup
	for _, l := range lanes {
		if l.video {
			continue
		}
		at := slices.IndexFunc(groups, func(g *audioGroup) bool { return g.codec == l.params.CodecString })
		if at < 0 {
			at = len(groups)
			groups = append(groups, &audioGroup{id: "audio-" + l.params.CodecString, codec: l.params.CodecString, playable: browserPlays(l.codec)})
		}
		g, r := groups[at], s.laneRate(l.id)
		g.lanes = append(g.lanes, l)
		g.rate.peak, g.rate.average = max(g.rate.peak, r.peak), max(g.rate.average, r.average)
	}
	// Players begin with the first variant.
	slices.SortStableFunc(groups, func(a, b *audioGroup) int {
		switch {
		case a.playable == b.playable:
			return 0
		case a.playable:
			return -1
		default:
			return 1
		}
	})
	return groups
}

func browserPlays(c media.Codec) bool {
	switch c {
	case media.AC3, media.EAC3, media.MP2:
		return false
	default:
		return true
	}
}

func (s *snapshot) beginMultivariant(id string) *text {
	t := &text{b: make([]byte, 0, 1024)}
	t.line("#EXTM3U")
	t.line("#EXT-X-VERSION:", strconv.Itoa(version))
	if s.independent() {
		t.line("#EXT-X-INDEPENDENT-SEGMENTS")
	}
	s.writeStart(t, id)
	return t
}

// renderMultivariant writes the multivariant playlist of fMP4.
func (s *snapshot) renderMultivariant() []byte {
	t := s.beginMultivariant(s.lead())
	lanes := s.offered()
	groups := s.audioGroups(lanes)
	names := map[string]bool{}
	video := (*lane)(nil)
	if len(lanes) > 0 && lanes[0].video {
		video = lanes[0]
	}
	for _, g := range groups {
		if video != nil || len(g.lanes) > 1 {
			g.write(t, names, video == nil)
		}
	}
	if video == nil {
		for _, g := range groups {
			v := variant{rate: g.rate, codecs: []string{g.codec}, uri: g.lanes[0].id + "/index.m3u8"}
			if len(g.lanes) > 1 {
				v.audio = g.id
			}
			v.write(t)
		}
		return t.b
	}
	base := variant{rate: s.laneRate(video.id), codecs: []string{video.params.CodecString}, uri: video.id + "/index.m3u8", video: video, frameRate: s.frameRate(video)}
	playable := len(groups) == 0
	for _, g := range groups {
		v := base
		v.rate, v.codecs, v.audio = base.rate.plus(g.rate), append(slices.Clone(base.codecs), g.codec), g.id
		v.write(t)
		playable = playable || g.playable
	}
	if len(groups) == 0 || !playable {
		// A browser that can't play any of the audio at least shows the picture.
		base.write(t)
	}
	return t.b
}

// write lists the renditions of a group. Where the first is the variant itself, it has no URI (RFC 8216 4.3.4.2.1).
func (g *audioGroup) write(t *text, names map[string]bool, inVariant bool) {
	clear(names)
	main := max(0, slices.IndexFunc(g.lanes, func(l *lane) bool { return l.role == "" }))
	for i, l := range g.lanes {
		tag, name := language(l.lang)
		if name == "" {
			name = "Audio " + strconv.Itoa(i+1)
		}
		if r := roles[l.role].name; r != "" {
			name += " (" + r + ")"
		}
		unique := name
		for n := 2; names[unique]; n++ {
			unique = name + " " + strconv.Itoa(n)
		}
		names[unique] = true
		t.add(`#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="`, g.id, `",NAME="`, unique, `"`)
		if tag != "" {
			t.add(`,LANGUAGE="`, tag, `"`)
		}
		if i == main {
			t.add(",DEFAULT=YES")
		} else {
			t.add(",DEFAULT=NO")
		}
		if i == main || l.role != media.TrackNarration { // which nobody can follow by itself
			t.add(",AUTOSELECT=YES")
		} else {
			t.add(",AUTOSELECT=NO")
		}
		if c := roles[l.role].characteristics; c != "" {
			t.add(`,CHARACTERISTICS="`, c, `"`)
		}
		switch p := &l.params; {
		case p.Objects > 0:
			t.add(`,CHANNELS="`, strconv.Itoa(p.Objects), `/JOC"`)
		case p.Channels > 0:
			t.add(`,CHANNELS="`, strconv.Itoa(p.Channels), `"`)
		}
		if i > 0 || !inVariant {
			t.add(`,URI="`, l.id, `/index.m3u8"`)
		}
		t.line()
	}
}

// roles are what players and people are told of each (draft-pantos-hls-rfc8216bis 4.4.6.1.1).
var roles = map[media.TrackRole]struct{ name, characteristics string }{
	media.TrackDescription: {"audio description", "public.accessibility.describes-video"},
	media.TrackNarration:   {"narration", ""},
	media.TrackHearing:     {"clear speech", "public.accessibility.enhances-speech-intelligibility"},
	media.TrackSubtitles:   {"spoken subtitles", ""},
}

// variant is an EXT-X-STREAM-INF.
type variant struct {
	rate      rate
	codecs    []string
	video     *lane
	frameRate float64
	audio     string // group
	uri       string
}

func (v *variant) write(t *text) {
	t.add("#EXT-X-STREAM-INF:BANDWIDTH=")
	t.number(uint64(v.rate.peak))
	t.add(",AVERAGE-BANDWIDTH=")
	t.number(uint64(v.rate.average))
	t.add(`,CODECS="`, strings.Join(v.codecs, ","), `"`)
	if v.video != nil {
		if c := v.video.params.Supplemental; c != "" {
			t.add(`,SUPPLEMENTAL-CODECS="`, c, `"`)
		}
		if p := &v.video.params; p.Width > 0 && p.Height > 0 {
			t.add(fmt.Sprintf(",RESOLUTION=%dx%d", p.Width, p.Height))
		}
		if v.frameRate > 0 {
			t.add(fmt.Sprintf(",FRAME-RATE=%.3f", v.frameRate))
		}
		if r := v.video.params.VideoRange; r == "PQ" || r == "HLG" {
			t.add(",VIDEO-RANGE=", r) // SDR is what players take a variant for that says nothing
		}
	}
	if v.audio != "" {
		t.add(`,AUDIO="`, v.audio, `"`)
	}
	t.line()
	t.line(v.uri)
}

// renderMultivariantTS writes the multivariant playlist of MPEG-TS: one variant, muxed.
func (s *snapshot) renderMultivariantTS() []byte {
	t := s.beginMultivariant(tsID)
	v := variant{uri: "media.m3u8"}
	for _, l := range s.offered() {
		if !mpegts.Supports(l.codec) {
			continue
		}
		if l.video {
			v.video, v.frameRate = l, s.frameRate(l)
		}
		if !slices.Contains(v.codecs, l.params.CodecString) {
			v.codecs = append(v.codecs, l.params.CodecString)
		}
	}
	v.rate = s.measure(func(g *segment) (int64, int64) { return g.tsBytes, g.length })
	v.write(t)
	return t.b
}
