package test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// scrambled is a clip whose audio and video is marked as scrambled (ISO/IEC 13818-1 table 2-4).
func scrambled(clip []byte) []byte {
	b := append([]byte{}, clip...)
	for p := b; len(p) >= ts.PacketSize; p = p[ts.PacketSize:] {
		if pid := int(p[1]&0x1F)<<8 | int(p[2]); pid == pidVideo || pid == pidVideo+1 {
			p[3] |= 0xC0
		}
	}
	return b
}

type leftOutView struct {
	State   string       `json:"state"`
	Reason  string       `json:"reason"`
	LeftOut []ts.LeftOut `json:"left_out"`
}

func (s *server) leftOut(name string) (v leftOutView) {
	s.t.Helper()
	s.get("/api/v1/streams/"+name, &v)
	return v
}

// TestUnplayable: a scrambled stream and one of MPEG-2 say why they can't be played: to the API, to SRT players, to HLS players and on
// the page, until something comes that can be.
func TestUnplayable(t *testing.T) {
	t.Parallel()
	s := startWith(t, "streams: {kept: {raw: true}}\n")
	clear, err := os.ReadFile(plainClip(t))
	require.NoError(t, err)
	hidden := scrambled(clear)
	quarter := len(clear) / 4 / ts.PacketSize * ts.PacketSize
	old := clip(t, "mpeg2", 30, "-c:v mpeg2video -b:v 400k -c:a dca -strict -2 -ac 2 -ar 48000")
	s.publish(old, "old")
	s.send("publish:kept", hidden, 60*time.Second)
	s.send("publish:hidden", append(hidden[:quarter:quarter], clear[quarter:]...), 60*time.Second)
	ctx, _ := browser(t, 1280, 800)
	require.NoError(t, chromedp.Run(ctx, chromedp.Navigate("http://"+s.http+"/old.html")))

	const why = "nothing that the publisher sends can be played: mpeg2video on PID 256 is not supported, dts on PID 257 is not supported"
	s.waitState("old", "unplayable")
	v := s.leftOut("old")
	require.Equal(t, why, v.Reason)
	require.Equal(t, []ts.LeftOut{
		{PID: 256, StreamType: 2, Type: "mpeg2video", Reason: ts.LeftOutType}, {PID: 257, StreamType: 0x82, Type: "dts", Reason: ts.LeftOutType},
	}, v.LeftOut)
	require.Equal(t, "rejected 1415", rejected(t, s.srt, "read:old", "", "live"))
	status, body, _ := s.fetch("/hls/old/index.m3u8")
	require.Equal(t, http.StatusUnsupportedMediaType, status)
	require.Equal(t, why, strings.TrimSpace(string(body)))
	s.eventually(20*time.Second, "the page says why", func() bool {
		return strings.Contains(evaluate[string](ctx, t, "document.querySelector('#detail')?.textContent ?? ''"), why)
	})
	require.Equal(t, 1, strings.Count(s.log.all(), `"type":"dts"`), "the log says it once")
	require.EqualValues(t, 2, s.metric("brume_stream_left_out", `stream="old"`, `reason="type"`))

	s.waitState("hidden", "unplayable")
	require.Contains(t, s.leftOut("hidden").Reason, "h264 on PID 256 is scrambled, aac on PID 257 is scrambled")
	s.waitState("hidden", "live")
	s.waitPlayable("hidden")
	s.eventually(20*time.Second, "nothing is left out", func() bool { return len(s.leftOut("hidden").LeftOut) == 0 })
	require.Empty(t, s.leftOut("hidden").Reason)

	s.eventually(20*time.Second, "the other says so, too", func() bool { return len(s.leftOut("kept").LeftOut) == 2 })
	require.Equal(t, "live", s.leftOut("kept").State)
	out := filepath.Join(t.TempDir(), "kept.ts")
	run(t, 60*time.Second, "ffmpeg", "-nostdin", "-v", "error", "-i", "srt://"+s.srt+"?streamid=read:kept", "-map", "0", "-c", "copy", "-copy_unknown", "-t", "2", out)
	status, _, _ = s.fetch("/hls/kept/index.m3u8")
	require.Equal(t, http.StatusUnsupportedMediaType, status)
}
