package mpegts

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
)

const (
	pictures = "-f lavfi -i testsrc2=s=320x180:r=25:d=3 "
	tone     = "-f lavfi -i sine=d=3:r=48000 "
	x264     = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 "
	x265     = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=0:keyint=25:bframes=3 "
)

var clips = []struct {
	name, args string
	codecs     []string
}{
	{"h264, aac", pictures + tone + x264 + "-c:a aac", []string{"h264", "aac"}},
	{"h264 with B-frames", pictures + tone + x264 + "-bf 3 -x264-params b-adapt=0:bframes=3 -c:a aac", []string{"h264", "aac"}},
	{"h264 in slices", pictures + x264 + "-x264-params slices=4", []string{"h264"}},
	{"hevc, ac3", pictures + tone + x265 + "-c:a ac3", []string{"hevc", "ac3"}},
	{"large pictures", "-f lavfi -i nullsrc=s=640x360:r=25:d=1,geq=random(1)*255:128:128 " + x264 + "-qp 1", []string{"h264"}},
	{"wrap of the clock", pictures + tone + x264 + "-bf 2 -c:a aac -output_ts_offset 95442.2", []string{"h264", "aac"}},
	{"languages", pictures + tone + "-map 0 -map 1 -map 1 " + x264 + "-c:a aac -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu", []string{"h264", "aac", "aac"}},
	{"mp2", tone + "-c:a mp2", []string{"mp2"}},
	{"mp3", tone + "-c:a libmp3lame", []string{"mp3"}},
	{"mp3 at a low rate", tone + "-c:a libmp3lame -ar 22050", []string{"mp3"}},
	{"ac3 surround", tone + "-c:a ac3 -ac 6", []string{"ac3"}},
	{"eac3", tone + "-c:a eac3", []string{"eac3"}},
	{"opus", tone + "-c:a libopus", []string{"opus"}},
	{"opus surround", tone + "-c:a libopus -ac 6 -mapping_family 1", []string{"opus"}},
	{"aac at 44.1 kHz", tone + "-c:a aac -ar 44100", []string{"aac"}},
}

// TestFFmpeg has ffmpeg decode what was muxed, and find in it what it finds in its own stream.
func TestFFmpeg(t *testing.T) {
	for _, c := range clips {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			source := ffmpeg(t, c.args)
			content := units(t, source)
			out := mux(t, content)
			checkContinuity(t, parsePackets(t, out), true)
			require.Equal(t, frames(t, source), frames(t, out), "decoded content")

			again := units(t, out)
			require.Equal(t, content.tracks, again.tracks)
			for i := range content.tracks {
				require.Equal(t, content.track(i), again.track(i), "track %d", i)
			}

			_, languages, want := probe(t, source)
			codecs, gotLanguages, got := probe(t, out)
			require.Equal(t, c.codecs, codecs)
			require.Equal(t, languages, gotLanguages)
			for i := range want {
				if strings.HasPrefix(c.codecs[i], "h") { // of audio ffmpeg packs several units in a PES, and adds rounded durations up
					require.Equal(t, want[i], got[i])
				}
				require.Equal(t, len(want[i]), len(got[i]))
			}
		})
	}
}

// TestSegmentsPlayAlone cuts a stream as HLS does: each piece must decode by itself and all of them in a row.
func TestSegmentsPlayAlone(t *testing.T) {
	content := units(t, ffmpeg(t, pictures+tone+x264+"-bf 2 -c:a aac"))
	m, err := NewMuxer(content.tracks)
	require.NoError(t, err)
	var segments [][]byte
	for i := range content.packets {
		p := &content.packets[i]
		if content.tracks[p.Track].Codec == media.H264 && p.RandomAccess {
			m.Reset()
			segments = append(segments, nil)
		}
		if len(segments) == 0 {
			continue // sound before the first picture
		}
		last := &segments[len(segments)-1]
		*last, err = m.WritePacket(*last, p)
		require.NoError(t, err)
	}
	require.Len(t, segments, 3)
	sound := 0
	for _, s := range segments {
		checkContinuity(t, parsePackets(t, s), true)
		alone := frames(t, s)
		require.Len(t, alone["0"], 25)
		require.NotEmpty(t, alone["1"])
		sound += len(alone["1"])
	}
	whole := frames(t, slices.Concat(segments...))
	require.Len(t, whole["0"], 75)
	require.Len(t, whole["1"], sound)
}
