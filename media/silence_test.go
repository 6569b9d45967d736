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
		requireSilence(t, "aac", stream, fmt.Sprintf("48000 Hz, %s", name), 47*1024)
	}
}

// requireSilence decodes a stream, which must have all its samples, and no sound.
func requireSilence(t *testing.T, format string, stream []byte, is string, samples int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, "ffmpeg", "-v", "info", "-nostats", "-xerror", "-err_detect", "explode", "-f", format, "-i", "pipe:0", "-af", "astats=metadata=0", "-f", "null", "-")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(stream), &log
	require.NoError(t, cmd.Run(), "%s: %s", is, &log)
	require.Contains(t, log.String(), is)
	require.Contains(t, log.String(), fmt.Sprintf("Number of samples: %d", samples))
	require.Contains(t, log.String(), "Peak level dB: -inf")
	require.NotContains(t, strings.ToLower(log.String()), "error")
}

// TestSilentMP3 decodes silence after headers of all versions, with and without CRC and padding.
func TestSilentMP3(t *testing.T) {
	for _, c := range []struct {
		header  [4]byte
		is      string
		samples int
	}{
		{[4]byte{0xff, 0xfb, 0x94, 0xc4}, "48000 Hz, mono", 1152},
		{[4]byte{0xff, 0xfa, 0x92, 0x64}, "44100 Hz, stereo", 1152},
		{[4]byte{0xff, 0xf3, 0x84, 0x44}, "24000 Hz, stereo", 576},
		{[4]byte{0xff, 0xe3, 0x48, 0xc4}, "8000 Hz, mono", 576},
	} {
		frame := SilentMP3(c.header[:])
		require.NotEmpty(t, frame, c.is)
		requireSilence(t, "mp3", bytes.Repeat(frame, 20), c.is, 20*c.samples)
	}
	for name, header := range map[string][]byte{"layer II": {0xff, 0xfd, 0x94, 0xc4}, "free format": {0xff, 0xfb, 0x04, 0xc4}, "short": {0xff, 0xfb}, "none": nil} {
		require.Nil(t, SilentMP3(header), name)
	}
}

func TestSilentAACConfigs(t *testing.T) {
	stereo := silentFrame([]byte{0x11, 0x90})
	require.Equal(t, stereo, silentFrame([]byte{0x2b, 0x11, 0x88, 0x00}), "HE-AAC around a stereo core")
	for name, config := range map[string][]byte{"program config element": {0x11, 0x80}, "AAC LD": {0xb9, 0x90}, "short": {0x11}, "none": nil} {
		require.Nil(t, silentFrame(config), name)
	}
}
