package hls

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
)

// TestStart has keyframes at 0, 1, 9, 17 s and so on: most segments begin without one, and EXT-X-START leads to one that does.
func TestStart(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	s := f.stream(Options{})
	offset := regexp.MustCompile(`#EXT-X-START:TIME-OFFSET=-([0-9.]+)\n`)
	starts := 0
	for n := range 30 * 40 {
		p := video(n)
		p.RandomAccess = n == 0 || n%240 == 30
		f.packet(p, 0)
		if n%10 != 9 {
			continue
		}
		s.advance()
		snap := s.current()
		if !snap.playable() {
			continue
		}
		text := string(snap.page(pageKey{kind: KindPlaylist, id: "v0"}).plain)
		multivariant := string(snap.page(pageKey{kind: KindMultivariant}).plain)
		m := offset.FindStringSubmatch(text)
		if snap.independent() {
			require.Nil(t, m)
			require.Contains(t, multivariant, "#EXT-X-INDEPENDENT-SEGMENTS")
			continue
		}
		require.NotContains(t, multivariant, "#EXT-X-INDEPENDENT-SEGMENTS")
		require.NotNil(t, m, text)
		require.Contains(t, multivariant, m[0], "both say the same")
		ts := offset.FindStringSubmatch(string(snap.page(pageKey{kind: KindPlaylist, id: tsID}).plain))
		require.Contains(t, string(snap.page(pageKey{kind: KindMultivariant, id: tsID}).plain), ts[0], "it has no parts, so it ends earlier")
		starts++
		seconds, err := strconv.ParseFloat(m[1], 64)
		require.NoError(t, err)
		require.GreaterOrEqual(t, seconds+1e-4, 3*float64(snap.targetDuration), "before the hold-back")
		list := mediaPlaylist(t, text)
		at := -seconds
		for _, g := range list.Segments {
			at += g.Duration.Seconds()
		}
		for _, part := range list.Parts {
			at += part.Duration.Seconds()
		}
		// Where it leads to, from the first segment of the playlist on.
		dts := snap.list()[0].start + int64((at+1e-3)*media.ClockRate)
		picture := (dts - snap.list()[0].start%3000) / 3000
		require.True(t, picture == 0 || picture%240 == 30, "picture %d is no keyframe", picture)
	}
	require.Greater(t, starts, 50)
}
