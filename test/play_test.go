package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// outputs are the ways to watch a stream with a player.
func (s *server) outputs(stream string) map[string]string {
	return map[string]string{
		"hls": "http://" + s.http + "/hls/" + stream + "/index.m3u8",
		"ts":  "http://" + s.http + "/hls/" + stream + "/ts/index.m3u8",
		"srt": "srt://" + s.srt + "?mode=caller&streamid=read:" + stream,
	}
}

// waitPlayable waits for a stream's multivariant playlist. From then on to the end of the test all playlists of the stream are judged.
func (s *server) waitPlayable(stream string) {
	s.t.Helper()
	s.waitUnwatched(stream)
	s.watch(stream)
}

func (s *server) waitUnwatched(stream string) {
	s.t.Helper()
	s.eventually(30*time.Second, stream+" is playable", func() bool {
		status, _, _ := s.fetch("/hls/" + stream + "/index.m3u8")
		return status == http.StatusOK
	})
}

// TestEveryOutputIsFrameExact records each output of a source with B-frames and compares its pictures with the source's.
func TestEveryOutputIsFrameExact(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := plainClip(t)
	source := frames(t, file)
	s.publish(file, "live")
	s.waitPlayable("live")
	recorders := map[string]*program{}
	dir := t.TempDir()
	for name, url := range s.outputs("live") {
		recorders[name] = record(t, url, filepath.Join(dir, name+".ts"), 8)
	}
	for name, r := range recorders {
		r.wait(t, 60*time.Second)
		require.NoError(t, r.err, name)
		require.NotContains(t, strings.ToLower(r.out.String()), "non-monoton", name)
		requireContiguous(t, source, frames(t, filepath.Join(dir, name+".ts")), 200)
	}
	for _, url := range s.outputs("live") {
		requireClean(t, url, 4)
	}
}

// TestAnUnstatedRoleIsFoundOut publishes and plays with a bare stream name.
func TestAnUnstatedRoleIsFoundOut(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := plainClip(t)
	s.publish(file, "live")
	s.waitState("live", "live")
	out := filepath.Join(t.TempDir(), "out.ts")
	r := record(t, "srt://"+s.srt+"?streamid=live", out, 5)
	r.wait(t, 60*time.Second)
	requireContiguous(t, frames(t, file), frames(t, out), 120)
}

// probed is what ffprobe finds.
type probed struct {
	Streams []struct {
		CodecName string            `json:"codec_name"`
		CodecType string            `json:"codec_type"`
		Width     int               `json:"width"`
		Height    int               `json:"height"`
		Tags      map[string]string `json:"tags"`
	} `json:"streams"`
}

func probe(t *testing.T, input string) probed {
	t.Helper()
	var p probed
	out := run(t, time.Minute, "ffprobe", "-v", "error", "-show_streams", "-of", "json", input)
	require.NoError(t, json.Unmarshal([]byte(out), &p))
	return p
}

func (p *probed) codecs(kind string) []string {
	var all []string
	for _, s := range p.Streams {
		if s.CodecType == kind {
			all = append(all, s.CodecName)
		}
	}
	return all
}

// TestBroadcastSources plays what broadcasters send, at each output.
func TestBroadcastSources(t *testing.T) {
	t.Parallel()
	const h264 = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -b:v 400k "
	for _, source := range []struct {
		name, args string
		video      string
		audio      []string
		openGOP    bool // the pictures before the first random access point's are lost by nature
	}{
		{name: "interlaced", args: h264 + "-flags +ilme+ildct -x264-params interlaced=1:keyint=30 -bf 2 -c:a aac", video: "h264", audio: []string{"aac"}},
		{name: "opengop", args: h264 + "-x264-params open-gop=1:keyint=30:bframes=3 -c:a aac", video: "h264", audio: []string{"aac"}, openGOP: true},
		{name: "hevc", args: "-c:v libx265 -preset ultrafast -x265-params keyint=30:log-level=error -pix_fmt yuv420p -b:v 400k -c:a aac", video: "hevc", audio: []string{"aac"}, openGOP: true},
		{name: "audios", args: "-map 0:v -map 1:a -map 1:a " + h264 + "-g 30 -bf 2 -c:a aac -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu", video: "h264", audio: []string{"aac", "aac"}},
		{name: "mp2", args: h264 + "-g 30 -c:a mp2", video: "h264", audio: []string{"mp2"}},
		{name: "ac3", args: h264 + "-g 30 -c:a ac3", video: "h264", audio: []string{"ac3"}},
		{name: "wrap", args: h264 + "-g 30 -bf 2 -c:a aac -output_ts_offset 95433.7", video: "h264", audio: []string{"aac"}},
	} {
		t.Run(source.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			file := clip(t, source.name, 40, source.args)
			want := frames(t, file)
			s.publish(file, "publish:live", "-copyts")
			s.waitPlayable("live")
			dir := t.TempDir()
			recorders := map[string]*program{}
			seconds := 6
			if source.name == "wrap" {
				seconds = 16
			}
			for name, url := range s.outputs("live") {
				recorders[name] = record(t, url, filepath.Join(dir, name+".mkv"), seconds)
			}
			for name, r := range recorders {
				r.wait(t, 60*time.Second)
				require.NoError(t, r.err, "%s: %s", name, r.out.String())
				require.NotContains(t, strings.ToLower(r.out.String()), "non-monoton", name)
				out := filepath.Join(dir, name+".mkv")
				p := probe(t, out)
				// A variant without the audio that few browsers play has the same picture a second time.
				require.Equal(t, source.video, strings.Join(slices.Compact(p.codecs("video")), ","), name)
				require.Len(t, p.codecs("audio"), len(source.audio), name)
				got := frames(t, out)
				if source.openGOP {
					// A decoder that joins an open GOP makes nothing or garbage of its leading pictures.
					for len(got) > 0 && !contains(want, got[0]) {
						got = got[1:]
					}
				}
				requireContiguous(t, want, got, (seconds-2)*30)
			}
			requireClean(t, s.outputs("live")["hls"], 2)
		})
	}
}

func contains(all []string, one string) bool {
	for _, a := range all {
		if a == one {
			return true
		}
	}
	return false
}

// TestLanguagesAreNamed sees the languages of the audio tracks in the multivariant playlist and the API.
func TestLanguagesAreNamed(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := clip(t, "audios", 40, "-map 0:v -map 1:a -map 1:a -c:v libx264 -preset veryfast -pix_fmt yuv420p -b:v 400k -g 30 -bf 2 -c:a aac -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu")
	s.publish(file, "live")
	s.waitPlayable("live")
	_, playlist, _ := s.fetch("/hls/live/index.m3u8")
	require.Contains(t, string(playlist), `LANGUAGE="en"`)
	require.Contains(t, string(playlist), `LANGUAGE="de"`)
	v := s.stream("live")
	require.Len(t, v.Tracks, 3)
	require.Equal(t, "eng", v.Tracks[1].Language)
	require.Equal(t, 320, v.Tracks[0].Width)
	s.eventually(10*time.Second, "bitrates are measured", func() bool { return s.stream("live").Tracks[0].Bitrate > 100_000 })
}

// TestResolutionChange publishes a picture that changes its size.
func TestResolutionChange(t *testing.T) {
	t.Parallel()
	small := clip(t, "small", 8, "-c:v libx264 -preset veryfast -g 30 -bf 2 -pix_fmt yuv420p -b:v 300k -c:a aac")
	large := clip(t, "large", 30, "-vf scale=640:360 -c:v libx264 -preset veryfast -g 30 -bf 2 -pix_fmt yuv420p -b:v 500k -c:a aac -output_ts_offset 8")
	s := start(t)
	s.publish("concat:"+small+"|"+large, "live")
	s.waitPlayable("live")
	require.Equal(t, 320, s.stream("live").Tracks[0].Width)
	out := filepath.Join(t.TempDir(), "srt.ts")
	r := record(t, s.outputs("live")["srt"], out, 12)
	s.eventually(30*time.Second, "the new size is live", func() bool {
		v := s.stream("live")
		return len(v.Tracks) > 0 && v.Tracks[0].Width == 640
	})
	s.eventually(10*time.Second, "a discontinuity is listed", func() bool {
		_, playlist, _ := s.fetch("/hls/live/v0/index.m3u8")
		return strings.Contains(string(playlist), "#EXT-X-DISCONTINUITY\n") && strings.Count(string(playlist), "#EXT-X-MAP") == 2
	})
	r.wait(t, 60*time.Second)
	require.GreaterOrEqual(t, len(frames(t, out)), 300)
}

// TestAudioOnly starts within 3 s and plays.
func TestAudioOnly(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := clip(t, "audio", 60, "-map 1:a -c:a aac -b:a 96k")
	began := time.Now()
	s.publish(file, "radio")
	s.waitPlayable("radio")
	t.Logf("playable after %v", time.Since(began))
	for name, url := range s.outputs("radio") {
		out := filepath.Join(t.TempDir(), name+".mkv")
		r := record(t, url, out, 4)
		r.wait(t, 60*time.Second)
		require.NoError(t, r.err, r.out.String())
		length, err := strconv.ParseFloat(strings.TrimSpace(run(t, time.Minute, "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", out)), 64)
		require.NoError(t, err)
		require.InDelta(t, 4, length, 1, name)
	}
}

// TestUnknownStreams are answered, not waited for.
func TestUnknownStreams(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/hls/nothing/index.m3u8", "/hls/nothing/ts/index.m3u8", "/hls/nothing/v0/seg-1-1.m4s", "/hls/..%2fetc/index.m3u8", "/hls/"} {
		status, body, _ := s.fetch(path)
		require.Equal(t, http.StatusNotFound, status, path)
		require.NotEmpty(t, body)
		require.Less(t, len(body), 500)
	}
	r := launch(t, "ffmpeg", "-nostdin", "-v", "error", "-i", s.outputs("nothing")["srt"], "-f", "null", "-")
	r.wait(t, 20*time.Second)
	require.Error(t, r.err)
	require.EqualValues(t, 1, s.metric("brume_srt_rejects_total", `code="1404"`), fmt.Sprint(s.log))
}
