package mpegts

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

// pyramids are streams of H.264 whose pictures tell decoders which others to remove: those with B-frames that are predicted from.
var pyramids = map[string]string{
	"open GOP":             "-x264-params open-gop=1:keyint=25:bframes=3",
	"interlaced open GOP":  "-flags +ilme+ildct -x264-params interlaced=1:open-gop=1:keyint=25:bframes=3",
	"strict pyramid":       "-x264-params open-gop=1:keyint=25:bframes=3:b-pyramid=strict:bluray-compat=1",
	"many references":      "-x264-params open-gop=1:keyint=25:bframes=5:ref=8:weightp=2",
	"weights and slices":   "-vf fade=in:0:100 -x264-params open-gop=1:keyint=25:bframes=3:weightp=2:slices=3",
	"closed GOP":           "-x264-params keyint=25:bframes=3",
	"baseline, sliding":    "-profile:v baseline -x264-params keyint=25:ref=3",
	"no B-frames referred": "-x264-params open-gop=1:keyint=25:bframes=3:b-pyramid=none",
}

func pyramid(t *testing.T, args string) []byte {
	t.Helper()
	line := "-f lavfi -i testsrc2=s=160x96:r=25 -t 12 -c:v libx264 -preset fast -pix_fmt yuv420p " + args + " -f mpegts"
	return ffmpeg(t, fields(line)...)
}

func fields(line string) (all []string) {
	for _, f := range bytes.Fields([]byte(line)) {
		all = append(all, string(f))
	}
	return all
}

// decodes fails where a decoder that ends with the first error, as those of browsers do, does so.
func decodes(t *testing.T, list []media.Packet) {
	t.Helper()
	var b []byte
	for _, p := range list {
		if p.Torn {
			continue
		}
		for nal := range media.NALUnits(p.Payload) {
			b = append(binary.BigEndian.AppendUint32(b, 1), nal...)
		}
	}
	file := temp(t, "pictures.h264")
	require.NoError(t, os.WriteFile(file, b, 0o600))
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-v", "error", "-xerror", "-err_detect", "explode", "-threads", "1",
		"-f", "h264", "-i", file, "-f", "null", "-").CombinedOutput()
	require.NoError(t, err, string(out))
	require.NotContains(t, string(out), "mmco")
}

// TestPyramidsAreWhole: without a loss no picture is torn, whatever pictures tell decoders to remove.
func TestPyramidsAreWhole(t *testing.T) {
	for name, args := range pyramids {
		t.Run(name, func(t *testing.T) {
			r, d := demux(t, pyramid(t, args), Options{})
			require.Len(t, r.times(0), 300)
			require.Zero(t, d.Stats().TornUnits)
			marks := d.streams[0].entry.references
			require.True(t, marks.begun)
			require.False(t, marks.blind)
			require.NotEmpty(t, marks.kept())
		})
	}
}

// TestDecodesBehindLosses loses packets, and the beginning of the stream: a decoder without mercy takes all pictures that are not torn.
func TestDecodesBehindLosses(t *testing.T) {
	for name, args := range pyramids {
		t.Run(name, func(t *testing.T) {
			clip := pyramid(t, args)
			for seed := range uint64(4) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				b := slices.Clone(clip)
				for n := len(b) / ts.PacketSize; n > 100; n -= 200 + rnd.IntN(300) {
					if n+7 < len(b)/ts.PacketSize {
						b = slices.Delete(b, n*ts.PacketSize, (n+7)*ts.PacketSize)
					}
				}
				if seed == 3 {
					b = append(b[:3*ts.PacketSize:3*ts.PacketSize], b[len(b)/3/ts.PacketSize*ts.PacketSize:]...)
				}
				r, d := demux(t, b, Options{})
				require.Positive(t, d.Stats().TornUnits)
				require.Len(t, r.epochs, 1)
				list := r.epochs[0].track(0)
				require.Greater(t, len(list)-int(d.Stats().TornUnits), 10, "some goes on")
				decodes(t, list)
			}
		})
	}
}
