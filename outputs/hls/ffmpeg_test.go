package hls

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
)

// serve gives a Stream an address.
func serve(t testing.TB, s *Stream) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r, strings.TrimPrefix(r.URL.Path, "/hls/live/"))
	}))
	t.Cleanup(func() {
		_ = s.Close()
		http.DefaultClient.CloseIdleConnections()
		server.Close()
	})
	return server.URL + "/hls/live/"
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
	return string(out)
}

// frames lists the presentation times that ffprobe sees in a stream.
func frames(t testing.TB, url, stream string) []string {
	t.Helper()
	out := run(t, "ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", "packet=pts", "-of", "csv=p=0", url)
	return strings.Fields(strings.ReplaceAll(out, ",", ""))
}

func TestFFmpegPlays(t *testing.T) {
	tests := []struct {
		name   string
		args   string
		parts  time.Duration
		video  int
		audios int
	}{
		{name: "h264 and aac", args: videoArgs + "-f lavfi -i sine" + h264Args + "-c:a aac -ar 48000", video: 1, audios: 1},
		{name: "without parts", args: videoArgs + "-f lavfi -i sine" + h264Args + "-c:a aac", parts: -1, video: 1, audios: 1},
		{name: "two languages", args: videoArgs + "-f lavfi -i sine -f lavfi -i sine=880 -map 0 -map 1 -map 2 -metadata:s:a:0 language=ger -metadata:s:a:1 language=eng" + h264Args + "-c:a aac -ar 48000", video: 1, audios: 2},
		{name: "h265", args: videoArgs + "-c:v libx265 -preset ultrafast -x265-params keyint=30:log-level=none:pools=1 -pix_fmt yuv420p", video: 1},
		{name: "audio only", args: "-f lavfi -i sine -c:a aac -ar 44100", audios: 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := ffmpegClip(t, 8, strings.Fields(test.args)...)
			f := newFeed(t, buffer.Options{PartTarget: test.parts})
			f.begin(c.tracks...)
			f.play(c, 90000, nil)
			require.NoError(t, f.w.Finish())
			base := serve(t, f.stream(Options{}))
			for _, url := range []string{base + "index.m3u8", base + "ts/index.m3u8"} {
				out := run(t, "ffmpeg", "-v", "warning", "-xerror", "-i", url, "-map", "0", "-f", "null", "-")
				require.NotContains(t, out, "monoton", url)
				probed := run(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", url)
				require.GreaterOrEqual(t, strings.Count(probed, "video"), test.video, probed)
				require.GreaterOrEqual(t, strings.Count(probed, "audio"), test.audios, probed)
			}
			for i := range c.tracks {
				id := "v0"
				if c.tracks[i].Codec.Kind() == media.Audio {
					id = "a" + string(rune('0'+i-test.video))
				}
				var sent []string
				for _, p := range c.packets {
					if p.Track == i {
						sent = append(sent, fmt.Sprint(p.PTS+90000))
					}
				}
				// ffmpeg's own clip has a hole of two frames of sound, which are filled.
				got := frames(t, base+id+"/index.m3u8", "0")
				require.Subset(t, got, sent, "every access unit of %s", id)
				require.LessOrEqual(t, len(got), len(sent)+2)
			}
		})
	}
}

// A publisher that comes back: one playlist, two epochs. ffmpeg's own fMP4 reader ignores a second initialization section, so
// another picture size is for the transport stream.
func TestFFmpegPlaysEpochs(t *testing.T) {
	args := "-f lavfi -i sine" + h264Args + "-c:a aac -ar 48000"
	small := ffmpegClip(t, 4, strings.Fields(videoArgs+args)...)
	large := ffmpegClip(t, 4, strings.Fields("-f lavfi -i testsrc2=s=640x360:r=30 "+args)...)
	for path, second := range map[string]*clip{"v0/index.m3u8": small, "ts/index.m3u8": large} {
		f := newFeed(t, buffer.Options{})
		f.begin(small.tracks...)
		f.play(small, 0, nil)
		require.NoError(t, f.w.EndEpoch())
		f.begin(second.tracks...)
		f.play(second, 6*90000, nil)
		require.NoError(t, f.w.Finish())
		url := serve(t, f.stream(Options{})) + path
		run(t, "ffmpeg", "-v", "error", "-xerror", "-i", url, "-map", "0", "-f", "null", "-")
		require.Len(t, frames(t, url, "v:0"), 240, url)
	}
}
