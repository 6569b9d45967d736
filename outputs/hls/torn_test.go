package hls

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
)

// tearing writes 12 s of pictures and sound: of the picture, 3.2 s to 3.5 s and the keyframe at 6 s are lost. The pictures behind a loss up to the
// next keyframe are torn; with keep false they are left out.
func tearing(f *feed, keep bool) {
	f.begin(videoTrack, aacTrack)
	sound, torn := int64(0), false
	for n := range 12 * 30 {
		p := video(n)
		for ; sound <= p.DTS; sound += 1920 {
			f.packet(media.Packet{Track: 1, DTS: sound, PTS: sound, RandomAccess: true, Payload: make([]byte, 200)}, 0)
		}
		if n >= 96 && n < 105 || n == 180 {
			torn = true
			continue
		}
		torn = torn && !p.RandomAccess
		if p.Torn = torn; keep || !torn {
			f.packet(p, 0)
		}
	}
	require.NoError(f.t, f.w.EndEpoch())
}

// TestTorn: pictures behind a loss are in the buffer, and in no segment. Playlists and segments are those of a stream that does not have them.
func TestTorn(t *testing.T) {
	with, without := newFeed(t, buffer.Options{}), newFeed(t, buffer.Options{})
	tearing(with, true)
	tearing(without, false)
	torn := 0
	tail, head := with.r.Bounds()
	for seq := tail; seq < head; seq++ {
		if e, err := with.r.Entry(seq); err == nil && e.Has(buffer.Torn) {
			torn++
		}
	}
	require.Equal(t, 15+29, torn)
	got, want := with.stream(Options{}), without.stream(Options{})
	id := func(s *Stream) string { return strconv.FormatUint(s.current().epoch.id, 10) }
	same := func(text string) string { return strings.ReplaceAll(text, id(want), id(got)) }
	for _, path := range []string{"index.m3u8", "ts/index.m3u8"} {
		require.Equal(t, fetch(t, want, path), fetch(t, got, path), path)
	}
	for _, path := range []string{"v0/index.m3u8", "a0/index.m3u8", "ts/media.m3u8"} {
		text := fetch(t, want, path)
		require.Equal(t, same(text), fetch(t, got, path), path)
		all := uris(text)
		require.Greater(t, len(all), 9)
		dir, _, _ := strings.Cut(path, "/")
		for _, uri := range all {
			a, b := get(t, want, dir+"/"+uri), get(t, got, dir+"/"+same(uri)) // a segment without any picture is listed as a gap, and is not there
			require.Equal(t, a.StatusCode, b.StatusCode, uri)
			require.Equal(t, body(t, a), body(t, b), uri)
		}
	}
	requireNoFault(t, got)
}
