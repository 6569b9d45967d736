package hls

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
)

// tb is what helpers need of a test.
type tb interface {
	Helper()
	Context() context.Context
}

// get asks a Stream without a network.
func get(t tb, s *Stream, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hls/live/"+path, http.NoBody)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	path, _, _ = strings.Cut(path, "?")
	s.ServeHTTP(w, r, path)
	return w.Result()
}

func body(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	return string(b)
}

func fetch(t testing.TB, s *Stream, path string) string {
	t.Helper()
	r := get(t, s, path)
	b := body(t, r)
	require.Equal(t, http.StatusOK, r.StatusCode, "%s: %.100s", path, b)
	return b
}

// uris are what a media playlist names, with its attributes' URIs.
func uris(playlist string) (all []string) {
	for line := range strings.Lines(playlist) {
		line = strings.TrimSpace(line)
		switch {
		case line != "" && line[0] != '#':
			all = append(all, line)
		case strings.HasPrefix(line, "#EXT-X-PART:"), strings.HasPrefix(line, "#EXT-X-MAP:"):
			_, uri, _ := strings.Cut(line, `URI="`)
			uri, _, _ = strings.Cut(uri, `"`)
			all = append(all, uri)
		}
	}
	return all
}

// A process that followed the stream from the start and was asked for each part as it came, and one that was
// started late, give out the same names and the same bytes.
func TestSameAfterRestart(t *testing.T) {
	c := ffmpegClip(t, 8, strings.Fields(videoArgs+"-f lavfi -i sine"+h264Args+"-c:a aac -ar 44100")...)
	f := newFeed(t, buffer.Options{})
	early := f.stream(Options{})
	seen := map[string]string{} // by path
	look := func() {
		early.advance()
		n := early.current()
		if !n.playable() {
			return
		}
		for _, id := range []string{"v0", "a0", "ts"} {
			name := id + "/index.m3u8"
			if id == "ts" {
				name = "ts/media.m3u8"
			}
			for _, uri := range uris(fetch(t, early, name)) {
				if path := id + "/" + uri; seen[path] == "" {
					seen[path] = fetch(t, early, path)
				}
			}
		}
	}
	f.begin(c.tracks...)
	f.play(c, 0, look)
	// One epoch ends by itself, the next follows it at once.
	require.NoError(t, f.w.EndEpoch())
	look()
	f.begin(c.tracks...)
	f.play(c, 20*90000, look)
	f.begin(c.tracks...)
	f.play(c, 40*90000, look)
	require.NoError(t, f.w.EndEpoch())
	look()

	late := f.stream(Options{})
	for _, name := range []string{"index.m3u8", "ts/index.m3u8", "v0/index.m3u8", "a0/index.m3u8", "ts/media.m3u8"} {
		require.Equal(t, fetch(t, early, name), fetch(t, late, name), name)
	}
	parts, segments := 0, 0
	whole := map[string]string{}
	for path, was := range seen {
		require.Equal(t, was, fetch(t, late, path), path)
		switch KindOf(path) {
		case KindSegment:
			segments++
		case KindPart:
			parts++
			segment := strings.Replace(path[:strings.LastIndex(path[:len(path)-4], ".")], "part-", "seg-", 1) + ".m4s"
			whole[segment] = ""
		}
	}
	require.Greater(t, segments, 60)
	require.Greater(t, parts, 80)
	for path := range whole {
		for n := 0; ; n++ {
			b, ok := seen[strings.TrimSuffix(strings.Replace(path, "seg-", "part-", 1), ".m4s")+"."+string(rune('0'+n))+".m4s"]
			if !ok {
				break
			}
			whole[path] += b
		}
		if seen[path] != "" {
			require.True(t, seen[path] == whole[path], "%s is its parts: %d bytes, not %d", path, len(seen[path]), len(whole[path]))
		}
	}
	requireNoFault(t, early)
	requireNoFault(t, late)
}

// Durations of samples add up to the place of the next fragment, so that no player sees a gap.
func TestDurations(t *testing.T) {
	c := ffmpegClip(t, 8, strings.Fields(videoArgs+"-f lavfi -i sine"+h264Args+"-c:a aac -ar 44100")...)
	f := newFeed(t, buffer.Options{})
	s := f.stream(Options{})
	f.begin(c.tracks...)
	f.play(c, 0, nil)
	require.NoError(t, f.w.EndEpoch())
	n := s.current()
	for lane, slack := range []int64{0, 2} {
		var end int64
		for i, g := range n.segments {
			for j, p := range g.spans[lane].parts {
				if i+j > 0 {
					require.InDelta(t, end, p.start, float64(slack), "%s segment %d part %d", g.epoch.lanes[lane].id, i, j)
				}
				require.Greater(t, p.stop, p.start)
				end = p.stop
			}
		}
		require.InDelta(t, c.length, end, 8000)
	}
	require.EqualValues(t, media.ClockRate, n.segments[3].length)
}

// Where pictures last differently, the last one of a part lasts until the mark. At the end of an epoch it lasts as long as the one before.
func TestUnevenDurations(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	lengths := []int64{3000, 2000, 4000, 3500, 2500}
	dts, last := int64(0), int64(0)
	for n := range 100 {
		p := video(n)
		p.DTS, p.PTS = dts, dts
		f.packet(p, 0)
		last = dts
		dts += lengths[n%5]
	}
	require.NoError(t, f.w.EndEpoch())
	n := f.stream(Options{}).current()
	require.Greater(t, len(n.segments), 2)
	var end int64
	for i, g := range n.segments {
		for _, p := range g.spans[0].parts {
			require.Equal(t, end, p.start, "segment %d part %d", i, p.number)
			end = p.stop
		}
	}
	require.Equal(t, last+lengths[98%5], end)
}
