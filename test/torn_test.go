package test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// withoutVideo takes the packets of the video between two places out of a transport stream.
func withoutVideo(t *testing.T, clip []byte, from, to int) []byte {
	t.Helper()
	out := clip[:from:from]
	for i := from; i < to; i += ts.PacketSize {
		if p := clip[i : i+ts.PacketSize]; pidOf(p) != pidVideo {
			out = append(out, p...)
		}
	}
	out = append(out, clip[to:]...)
	require.Less(t, len(out), len(clip))
	return out
}

// holes are the steps of the presentation times of a recording that are longer than one picture, in pictures. The last few pictures are left out, see
// requireContiguous.
func holes(t *testing.T, file string) (steps []int) {
	t.Helper()
	out := run(t, time.Minute, "ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts", "-of", "default=nk=1:nw=1", file)
	var times []int
	for l := range strings.Lines(out) {
		pts, err := strconv.Atoi(strings.TrimSpace(l))
		require.NoError(t, err)
		times = append(times, pts)
	}
	require.Greater(t, len(times), 200)
	times = times[:len(times)-4]
	slices.Sort(times)
	for i := 1; i < len(times); i++ {
		if step := times[i] - times[i-1]; step != ticks {
			steps = append(steps, step/ticks)
		}
	}
	return steps
}

// ticks is how long a picture of a clip lasts.
const ticks = 3000

// TestLostPicture loses all but the first packet of the tenth picture of a GOP of 30, every eight seconds. SRT viewers get all others, and conceal what they lack; HLS goes on
// with the next keyframe, as browsers end with an error at a picture whose references are missing.
func TestLostPicture(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, err := os.ReadFile(clip(t, "no-reordering", 60, "-c:v libx264 -preset veryfast -g 30 -bf 0 -sc_threshold 0 -pix_fmt yuv420p -b:v 400k -c:a aac"))
	require.NoError(t, err)
	at := pictureStarts(b)
	for n := 1689; n > 0; n -= 240 { // from behind, so that places before stay
		b = withoutVideo(t, b, at[n]+ts.PacketSize, at[n+1])
	}
	stop := s.publishBytes(t, "lossy", b)
	defer stop()
	s.waitPlayable("lossy")
	recorders := map[string]*program{}
	dir := t.TempDir()
	for name, url := range s.outputs("lossy") {
		recorders[name] = record(t, url, filepath.Join(dir, name+".ts"), 18)
	}
	for name, r := range recorders {
		r.wait(t, 90*time.Second)
		want := 22 // pictures 9 to 29, and the step from picture 8 to the next one
		if name == "srt" {
			want = 2
		}
		got := holes(t, filepath.Join(dir, name+".ts"))
		require.GreaterOrEqual(t, len(got), 2, name)
		for _, h := range got {
			require.Equal(t, want, h, "%s: %v", name, got)
		}
	}
	require.Positive(t, s.metric("brume_stream_ts_torn_units_total", `stream="lossy"`))
}
