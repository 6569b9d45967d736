package hls

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
)

// TestMultiplexIsLeftOut: with the transport stream kept beside them, the tracks give the same playlists and the same segments.
func TestMultiplexIsLeftOut(t *testing.T) {
	c := ffmpegClip(t, 6, strings.Fields(videoArgs+"-f lavfi -i sine"+h264Args+"-c:a aac")...)
	plain, mixed := newFeed(t, buffer.Options{}), newFeed(t, buffer.Options{})
	plain.begin(c.tracks...)
	plain.play(c, 0, nil)
	mixed.begin(append(append([]media.Track{}, c.tracks...), media.Track{Codec: media.MPEGTS})...)
	raw := media.Packet{Track: len(c.tracks), RandomAccess: true, Payload: bytes.Repeat([]byte{0x47}, 188*20)}
	for i, p := range c.packets {
		if i%3 == 0 {
			raw.DTS, raw.PTS = p.DTS+90, p.DTS+90
			mixed.packet(raw, 0)
		}
		mixed.packet(p, 0)
	}
	for _, f := range []*feed{plain, mixed} {
		require.NoError(t, f.w.Finish())
	}
	a, b := plain.stream(Options{}), mixed.stream(Options{})
	shape := func(s *Stream, playlist string) string { // without names, which have the epoch's id
		var out []string
		for line := range strings.Lines(fetch(t, s, playlist)) {
			if strings.HasPrefix(line, "#") {
				line, _, _ = strings.Cut(line, "URI=")
				out = append(out, strings.TrimSpace(line))
			}
		}
		return strings.Join(out, "\n")
	}
	for _, playlist := range []string{"index.m3u8", "ts/index.m3u8", "v0/index.m3u8", "a0/index.m3u8"} {
		require.Equal(t, shape(a, playlist), shape(b, playlist), playlist)
	}
	for _, playlist := range []string{"v0/index.m3u8", "a0/index.m3u8", "ts/media.m3u8"} {
		base := playlist[:strings.LastIndexByte(playlist, '/')+1]
		as, bs := uris(fetch(t, a, playlist)), uris(fetch(t, b, playlist))
		require.Equal(t, len(as), len(bs))
		require.NotEmpty(t, as)
		for i := range as {
			require.Equal(t, fetch(t, a, base+as[i]), fetch(t, b, base+bs[i]), as[i])
		}
	}
}

// TestMultiplexAlone has nothing to play.
func TestMultiplexAlone(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(media.Track{Codec: media.MPEGTS})
	for i := range int64(500) {
		f.packet(media.Packet{DTS: i * 900, PTS: i * 900, RandomAccess: true, Payload: make([]byte, 188)}, 0)
	}
	s := f.stream(Options{Hold: 1})
	for _, path := range []string{"index.m3u8", "ts/index.m3u8"} {
		require.Equal(t, http.StatusServiceUnavailable, get(t, s, path).StatusCode, path)
	}
	require.Zero(t, s.Stats().Segments)
}
