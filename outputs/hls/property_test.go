package hls

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"brume/buffer"
	"brume/media"
)

// source is a stream whose times and tracks rapid chooses.
type generated struct {
	*feed
	rt     *rapid.T
	tracks []media.Track
	frame  int64
	next   []int64 // by track
	count  int
	gop    int
}

func (g *generated) epoch() {
	g.tracks = nil
	if rapid.Bool().Draw(g.rt, "video") {
		g.tracks = append(g.tracks, videoTrack)
	}
	for range rapid.IntRange(0, 2).Draw(g.rt, "audios") {
		g.tracks = append(g.tracks, aacTrack)
	}
	if len(g.tracks) == 0 {
		g.tracks = append(g.tracks, aacTrack)
	}
	g.frame = rapid.SampledFrom([]int64{1500, 3000, 3003, 3600, 7200, 45000}).Draw(g.rt, "frame")
	g.gop = rapid.IntRange(1, 90).Draw(g.rt, "gop")
	g.count = rapid.IntRange(0, 3).Draw(g.rt, "first")
	g.next = make([]int64, len(g.tracks))
	for i := range g.next {
		g.next[i] = g.clock
	}
	g.begin(g.tracks...)
}

// step writes packets for some time.
func (g *generated) step(ticks int64) {
	mute := rapid.IntRange(0, 8).Draw(g.rt, "mute")
	pause := int64(0)
	if rapid.IntRange(0, 12).Draw(g.rt, "late") == 0 {
		pause = rapid.Int64Range(0, 900000).Draw(g.rt, "pause")
	}
	for end := g.clock + ticks; g.clock < end; {
		i := 0
		for j := range g.next {
			if g.next[j] < g.next[i] {
				i = j
			}
		}
		p := media.Packet{Track: i, DTS: g.next[i], PTS: g.next[i], RandomAccess: true, Payload: []byte{0, 0, 0, 2, 0x65, 1}}
		if g.tracks[i].Codec == media.H264 {
			p.RandomAccess = g.count%g.gop == 0
			g.count++
			g.next[i] += g.frame
			p.PTS += g.frame
		} else {
			g.next[i] += 1920
		}
		if pause > 0 {
			for j := range g.next {
				g.next[j] += pause
			}
			pause = 0
		}
		if i == mute {
			g.clock = max(g.clock, p.DTS)
			continue
		}
		g.packet(p, 0)
	}
}

// patch applies a delta update to the playlist before it (draft-pantos-hls-rfc8216bis 6.3.7).
func patch(t require.TestingT, old, delta string) string {
	head, rest, ok := strings.Cut(delta, "#EXT-X-SKIP:SKIPPED-SEGMENTS=")
	if !ok {
		return delta
	}
	count, rest, _ := strings.Cut(rest, "\n")
	var skip int
	_, err := fmt.Sscan(count, &skip)
	require.NoError(t, err)
	return head + strings.Join(segmentTexts(old)[:skip], "") + rest
}

// segmentTexts are the segments of a playlist, each with the tags before it.
func segmentTexts(p string) (segments []string) {
	current, inSegments := "", false
	for line := range strings.Lines(p) {
		for _, tag := range []string{"#EXTINF", "#EXT-X-MAP", "#EXT-X-PROGRAM", "#EXT-X-PART:", "#EXT-X-GAP", "#EXT-X-DISCONTINUITY\n"} {
			inSegments = inSegments || strings.HasPrefix(line, tag)
		}
		if !inSegments {
			continue
		}
		current += line
		if line[0] != '#' {
			segments = append(segments, current)
			current = ""
		}
	}
	return segments
}

func mediaPlaylist(t require.TestingT, text string) *playlist.Media {
	var p playlist.Media
	require.NoError(t, p.Unmarshal([]byte(text)), text)
	return &p
}

// watcher checks what a player may rely on from one playlist to the next.
type watcher struct {
	id       string
	sequence int
	disc     int
	target   int
	numbers  map[string]int // media sequence by URI
}

func (w *watcher) check(t *rapid.T, s *Stream, n *snapshot) {
	text := string(n.page(pageKey{kind: KindPlaylist, id: w.id}).plain)
	// The parser knows no gaps in front of a segment without a name; all else is standard.
	p := mediaPlaylist(t, text)
	require.GreaterOrEqual(t, p.MediaSequence, w.sequence, "media sequence")
	w.sequence = p.MediaSequence
	require.NotEmpty(t, p.Segments)
	if w.target != 0 {
		require.Equal(t, w.target, p.TargetDuration)
	}
	w.target = p.TargetDuration
	if p.DiscontinuitySequence != nil {
		require.GreaterOrEqual(t, *p.DiscontinuitySequence, w.disc)
		w.disc = *p.DiscontinuitySequence
	}
	var length int64 // as the lead track measures it
	for _, g := range n.list() {
		length += g.length
	}
	for i, g := range p.Segments {
		d := g.Duration.Seconds()
		require.LessOrEqual(t, int(math.Round(d)), p.TargetDuration, "EXTINF %v of %s", d, g.URI)
		was, known := w.numbers[g.URI]
		require.True(t, !known || was == p.MediaSequence+i, "a segment keeps its number")
		w.numbers[g.URI] = p.MediaSequence + i
		for _, part := range g.Parts {
			require.LessOrEqual(t, part.Duration, p.PartInf.PartTarget)
		}
		if !g.Gap {
			r := get(t, s, w.id+"/"+g.URI)
			require.Equal(t, http.StatusOK, r.StatusCode, g.URI)
		}
	}
	require.True(t, len(n.list()) == 1 || length <= 15*media.ClockRate, "half of the window")
	delta := string(n.page(pageKey{kind: KindPlaylist, id: w.id, skip: true}).plain)
	require.Equal(t, text, patch(t, text, delta))
	if skipped := len(p.Segments) - len(segmentTexts(delta)); skipped > 0 {
		left := 0.1 // for what is rounded
		for _, g := range p.Segments[skipped:] {
			left += g.Duration.Seconds()
		}
		for _, part := range p.Parts {
			left += part.Duration.Seconds()
		}
		require.GreaterOrEqual(t, left, 6*float64(p.TargetDuration), "nothing after the skip boundary is left out")
	}
	for _, uri := range uris(text) {
		if w.id != tsID && strings.Contains(uri, "init") || strings.Contains(uri, "part") {
			require.Equal(t, http.StatusOK, get(t, s, w.id+"/"+uri).StatusCode, uri)
		}
	}
}

func TestPlaylistProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		checkGenerated(t, rt)
	})
}

func checkGenerated(t *testing.T, rt *rapid.T) {
	f := newFeed(t, buffer.Options{Window: 30e9})
	g := &generated{feed: f, rt: rt}
	s := f.stream(Options{})
	defer func() { _ = s.Close() }()
	watchers := map[string]*watcher{}
	g.epoch()
	for range rapid.IntRange(3, 12).Draw(rt, "steps") {
		g.step(rapid.Int64Range(9000, 500000).Draw(rt, "ticks"))
		s.advance()
		n := s.current()
		if n.playable() {
			for _, id := range []string{"v0", "a0", "a1"} {
				if !n.has(id) {
					continue
				}
				if watchers[id] == nil {
					watchers[id] = &watcher{id: id, numbers: map[string]int{}}
				}
				watchers[id].check(rt, s, n)
			}
			var m playlist.Multivariant
			require.NoError(rt, m.Unmarshal(bytes.TrimSpace(n.page(pageKey{kind: KindMultivariant}).plain)))
		}
		switch rapid.IntRange(0, 6).Draw(rt, "then") {
		case 0:
			require.NoError(rt, f.w.EndEpoch())
			g.epoch()
		case 1:
			g.epoch()
		}
	}
	requireNoFault(rt, s)
}
