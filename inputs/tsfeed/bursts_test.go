package tsfeed

import (
	"fmt"
	"io"
	"math"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
)

// TestAudioInBursts publishes what ffmpeg's own muxer makes of audio at low bit rates: it puts up to 1 s of audio into one PES
// packet, which comes after the video that belongs to it. The buffer gets all in the order of the decoding times.
func TestAudioInBursts(t *testing.T) {
	for _, rate := range []string{"24k", "48k", "128k"} {
		t.Run(rate, func(t *testing.T) {
			t.Parallel()
			args := "-nostdin -v error -f lavfi -i testsrc2=s=160x90:r=25 -f lavfi -i sine=r=48000 -t 12 -c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p -c:a aac -f mpegts -b:a " + rate + " -"
			b, err := exec.Command("ffmpeg", strings.Fields(args)...).Output()
			require.NoError(t, err)
			last, late := int64(math.MinInt64), []string(nil)
			f := &fakeBuffer{refuse: func(_ int, p *media.Packet) error {
				if p.DTS < last {
					late = append(late, fmt.Sprintf("track %d at %d after %d", p.Track, p.DTS, last))
				}
				last = max(last, p.DTS)
				return nil
			}}
			p := NewPublisher(f, clock(), Options{})
			require.ErrorIs(t, p.Run(&batches{rest: b, size: 1316, err: io.EOF}), io.EOF)
			require.Equal(t, 12*25, f.units[0])
			require.Greater(t, f.units[1], 550)
			require.Empty(t, late)
		})
	}
}
