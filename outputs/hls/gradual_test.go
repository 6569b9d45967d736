package hls

import (
	"bytes"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"

	"brume/buffer"
)

// TestGradual: intra refresh has a keyframe at the beginning, and then recovery points behind which the picture becomes right
// little by little. Segments begin with them, and nothing says that they could be decoded by themselves.
func TestGradual(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	for n := range 6 * 30 {
		p := video(n)
		p.Gradual = p.RandomAccess && n > 0
		f.packet(p, 0)
	}
	s := f.stream(Options{})
	require.NotContains(t, fetch(t, s, "index.m3u8"), "INDEPENDENT")
	require.NotContains(t, fetch(t, s, "ts/index.m3u8"), "INDEPENDENT")
	text := fetch(t, s, "v0/index.m3u8")
	list := mediaPlaylist(t, text)
	require.Len(t, list.Segments, 5)
	for i, g := range list.Segments {
		require.InDelta(t, 1, g.Duration.Seconds(), 0.001)
		file, err := mp4.DecodeFile(bytes.NewReader([]byte(fetch(t, s, "v0/"+g.URI))))
		require.NoError(t, err)
		for j, x := range file.Segments[0].Fragments[0].Moof.Traf.Trun.Samples {
			require.Equal(t, i == 0 && j == 0, x.IsSync(), "sample %d of segment %d", j, i)
		}
	}
	require.NotEmpty(t, list.Segments[4].Parts)
	require.NotContains(t, text, "INDEPENDENT=YES", "its first parts are no longer listed")
}
