package media

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func silentFrame(config []byte) []byte {
	c, err := ParseAudioSpecificConfig(config)
	if err != nil {
		return nil
	}
	return c.SilentFrame()
}

// TestSilentAAC decodes a second of silence in each layout.
func TestSilentAAC(t *testing.T) {
	for channels, name := range map[byte]string{1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "7.1"} {
		frame := silentFrame([]byte{0x11, 0x80 | channels<<3}) // AAC LC, 48 kHz
		require.NotEmpty(t, frame)
		size := len(frame) + 7
		var stream []byte
		for range 47 {
			// ADTS (ISO/IEC 14496-3 1.A.2.2) without a CRC.
			stream = append(stream, 0xff, 0xf1, 0x4c|channels>>2, channels<<6|byte(size>>11), byte(size>>3), byte(size<<5)|0x1f, 0xfc)
			stream = append(stream, frame...)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var log bytes.Buffer
		cmd := exec.CommandContext(ctx, "ffmpeg", "-v", "info", "-nostats", "-xerror", "-err_detect", "explode", "-f", "aac", "-i", "pipe:0", "-af", "astats=metadata=0", "-f", "null", "-")
		cmd.Stdin, cmd.Stderr = bytes.NewReader(stream), &log
		err := cmd.Run()
		cancel()
		require.NoError(t, err, "%s: %s", name, &log)
		require.Contains(t, log.String(), fmt.Sprintf("48000 Hz, %s", name))
		require.Contains(t, log.String(), "Number of samples: 48128")
		require.Contains(t, log.String(), "Peak level dB: -inf")
		require.NotContains(t, strings.ToLower(log.String()), "error")
	}
}

func TestSilentAACConfigs(t *testing.T) {
	stereo := silentFrame([]byte{0x11, 0x90})
	require.Equal(t, stereo, silentFrame([]byte{0x2b, 0x11, 0x88, 0x00}), "HE-AAC around a stereo core")
	for name, config := range map[string][]byte{"program config element": {0x11, 0x80}, "AAC LD": {0xb9, 0x90}, "short": {0x11}, "none": nil} {
		require.Nil(t, silentFrame(config), name)
	}
}
