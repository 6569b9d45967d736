package hls

import (
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"brume/buffer"
	"brume/media"
	"brume/test/hlscheck"
)

// judge gives what a player would fetch to a checker: every media playlist, in full or as a delta update, and new segments.
type judge struct {
	s       *Stream
	checker *hlscheck.Checker
	looks   int
	holed   map[string]bool // renditions that miss something that nothing can be put in place of
}

func (j *judge) get(t *rapid.T, uri string) string {
	r := get(t, j.s, uri)
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode, "%s: %.200s", uri, b)
	return string(b)
}

func (j *judge) look(t *rapid.T) {
	j.s.advance()
	if !j.s.current().playable() {
		return
	}
	j.looks++
	for _, uri := range j.checker.Multivariant("", j.get(t, "index.m3u8")) {
		id, folder := strings.TrimSuffix(uri, "/index.m3u8"), path.Dir(uri)+"/"
		query := ""
		if j.looks%3 == 2 && j.checker.Knows(id) {
			query = "?_HLS_skip=YES"
		}
		p := j.checker.Playlist(id, j.get(t, uri+query))
		require.NotNil(t, p)
		for _, g := range p.Segments {
			if g.Gap || !j.checker.Wants(id, g.Number) {
				continue
			}
			if j.checker.WantsInit(id, g.Map) {
				j.checker.Init(id, g.Map, []byte(j.get(t, folder+g.Map)))
			}
			j.checker.Segment(id, g.Number, []byte(j.get(t, folder+g.URI)))
		}
	}
	for _, f := range j.checker.Faults {
		if !j.holed[f.Rendition] || !slices.Contains([]string{"drift", "date"}, f.Rule) {
			require.Fail(t, f.String())
		}
	}
}

// real is a source as encoders and links make it: with keyframes at a distance that changes, other sound, and holes in one track or in all.
type real struct {
	f      *feed
	rt     *rapid.T
	tracks []media.Track
	frames []int64 // duration of a packet by track
	next   []int64 // decoding time by track
	lost   []int64 // what lies before is lost, by track
	gop    int     // pictures left until the next keyframe
	gops   []int
	holed  map[string]bool
}

var codecFrames = map[media.Codec]int64{media.AAC: 1920, media.MP2: 2160}

func newReal(f *feed, rt *rapid.T) *real {
	r := &real{f: f, rt: rt}
	kinds := [][]media.Track{{videoTrack, aacTrack}, {videoTrack, aacTrack, mp2Track}, {videoTrack, mp2Track}, {videoTrack}, {aacTrack}, {mp2Track, aacTrack}}
	r.tracks = rapid.SampledFrom(kinds).Draw(rt, "tracks")
	frame := rapid.SampledFrom([]int64{1500, 1800, 3000, 3003, 3600, 3750, 18000, 45000, 90000, 180000}).Draw(rt, "frame")
	for _, t := range r.tracks {
		d := codecFrames[t.Codec]
		if t.Codec == media.H264 {
			d = frame
		}
		r.frames = append(r.frames, d)
		r.next, r.lost = append(r.next, 0), append(r.lost, 0)
	}
	r.gops = rapid.SliceOfN(rapid.IntRange(1, max(int(270000/frame), 2)), 1, 4).Draw(rt, "gops")
	return r
}

// packet writes the next packet, or loses it.
func (r *real) packet() {
	i := 0
	for j := range r.next {
		if r.next[j] < r.next[i] {
			i = j
		}
	}
	p := media.Packet{Track: i, DTS: r.next[i], PTS: r.next[i], RandomAccess: true, Payload: []byte{0, 0, 0, 2, 0x65, 1}}
	if r.tracks[i].Codec == media.H264 {
		p.PTS += r.frames[i]
		p.RandomAccess = r.gop == 0
		if r.gop--; r.gop < 0 {
			r.gop = rapid.SampledFrom(r.gops).Draw(r.rt, "gop") - 1
		}
	}
	r.next[i] += r.frames[i]
	if p.DTS >= r.lost[i] {
		r.f.packet(p, 0)
	}
}

// lose loses one track, or all, for a while.
func (r *real) lose() {
	which := rapid.IntRange(-1, len(r.tracks)-1).Draw(r.rt, "lost track")
	until := r.f.clock + rapid.Int64Range(1000, 8*media.ClockRate).Draw(r.rt, "lost for")
	for i := range r.lost {
		if which < 0 || which == i {
			r.lost[i] = until
			if i > 0 && r.tracks[i].Codec != media.AAC {
				r.holed["a0"], r.holed["a1"] = true, true
			}
		}
	}
}

// TestRealStreams gives the playlists of streams with random keyframes, frame rates, tracks and holes to the checker.
func TestRealStreams(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFeed(t, buffer.Options{Window: 60e9})
		s := f.stream(Options{})
		defer func() { _ = s.Close() }()
		j := &judge{s: s, checker: hlscheck.New(), holed: map[string]bool{}}
		r := newReal(f, rt)
		r.holed = j.holed
		f.begin(r.tracks...)
		for range rapid.IntRange(5, 40).Draw(rt, "steps") {
			// An epoch begins with all tracks: sound that comes in later has no silence before it.
			if slices.Min(r.next) > 0 && rapid.IntRange(0, 7).Draw(rt, "loss") == 0 {
				r.lose()
			}
			for end := r.next[0] + rapid.Int64Range(9000, 100000).Draw(rt, "ticks"); r.next[0] < end; {
				r.packet()
			}
			j.look(rt)
		}
	})
}

// requireNoFault fails when something could not be read from the buffer or made of it.
func requireNoFault(t require.TestingT, s *Stream) {
	require.Equal(t, Faults{}, s.Stats().Faults)
}
