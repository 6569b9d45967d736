package health

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

const (
	pictures = "-f lavfi -i testsrc2=s=320x180:r=25:d=8 "
	tone     = "-f lavfi -i sine=d=8:r=48000 "
	x264     = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -b:v 300k "
)

func ffmpeg(t testing.TB, args string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "ffmpeg", append(append([]string{"-nostdin", "-v", "error"}, strings.Fields(args)...), "-")...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	b, err := c.Output()
	require.NoError(t, err, stderr.String())
	return b
}

// replay sends a clip as its own clock says: each message of seven packets at the time of the last PCR.
func replay(m *Monitor, clip []byte) {
	const message = 7 * ts.PacketSize
	at := time.Duration(0)
	last := int64(-1)
	for ; len(clip) > 0; clip = clip[min(message, len(clip)):] {
		b := clip[:min(message, len(clip))]
		for p := b; len(p) >= ts.PacketSize; p = p[ts.PacketSize:] {
			if p[3]&0x20 == 0 || p[4] < 7 || p[5]&0x10 == 0 {
				continue
			}
			pcr := (int64(p[6])<<25|int64(p[7])<<17|int64(p[8])<<9|int64(p[9])<<1|int64(p[10]>>7))*300 + int64(p[10]&1)<<8 + int64(p[11])
			if last >= 0 {
				at += pcrStep(last, pcr)
			}
			last = pcr
		}
		m.Write(b, at)
	}
}

// TestCleanClips: what ffmpeg's multiplexer makes is free of errors.
func TestCleanClips(t *testing.T) {
	for _, c := range []struct {
		name, args string
		kinds      map[uint16]ts.PIDKind
	}{
		{"variable rate", pictures + tone + x264 + "-bf 2 -c:a aac -f mpegts", map[uint16]ts.PIDKind{0x100: ts.KindVideo, 0x101: ts.KindAudio}},
		{"constant rate", pictures + tone + x264 + "-c:a aac -muxrate 1M -f mpegts", map[uint16]ts.PIDKind{0x100: ts.KindVideo, 0x101: ts.KindAudio}},
		{"constant rate, PCR every 20 ms", pictures + tone + x264 + "-c:a mp2 -muxrate 3M -pcr_period 20 -f mpegts", map[uint16]ts.PIDKind{0x100: ts.KindVideo, 0x101: ts.KindAudio}},
		{"tables with each picture", pictures + x264 + "-mpegts_flags +pat_pmt_at_frames+resend_headers -f mpegts", map[uint16]ts.PIDKind{0x100: ts.KindVideo}},
		{"DVB", pictures + tone + x264 + "-c:a ac3 -mpegts_flags +system_b -f mpegts", map[uint16]ts.PIDKind{0x100: ts.KindVideo, 0x101: ts.KindAudio}},
		{"audio alone", tone + "-c:a libopus -f mpegts", map[uint16]ts.PIDKind{0x100: ts.KindAudio}},
		{"the clock wraps", pictures + tone + x264 + "-c:a aac -output_ts_offset 95440 -f mpegts", map[uint16]ts.PIDKind{0x100: ts.KindVideo, 0x101: ts.KindAudio}},
		{
			"two programs", pictures + tone + "-map 0 -map 1 -map 0 -map 1 " + x264 + "-c:a aac -program program_num=7:st=0:st=1 -program program_num=9:st=2:st=3 -f mpegts",
			map[uint16]ts.PIDKind{0x100: ts.KindVideo, 0x101: ts.KindAudio, 0x102: ts.KindVideo, 0x103: ts.KindAudio},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New()
			replay(m, ffmpeg(t, c.args))
			h := m.report()
			requireClean(t, h)
			found := kinds(h)
			for pid, kind := range c.kinds {
				require.Equal(t, kind, found[pid])
			}
			require.NotEmpty(t, h.PCRs)
			for _, p := range h.PCRs {
				require.LessOrEqual(t, p.IntervalMS, 100.0)
				require.Positive(t, p.IntervalMS)
			}
		})
	}
}
