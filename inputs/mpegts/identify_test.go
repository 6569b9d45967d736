package mpegts

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

// retype gives every stream of one type in the PMTs of ffmpeg another one.
func retype(t *testing.T, clip []byte, from, to byte) []byte {
	t.Helper()
	clip = bytes.Clone(clip)
	done := 0
	for at := 0; at+ts.PacketSize <= len(clip); at += ts.PacketSize {
		p := clip[at : at+ts.PacketSize]
		if binary.BigEndian.Uint16(p[1:]) != 0x5000 { // PUSI, PID 0x1000
			continue
		}
		s := p[5:]
		s = s[:3+int(binary.BigEndian.Uint16(s[1:])&0xFFF)]
		for n := 12 + int(binary.BigEndian.Uint16(s[10:])&0xFFF); n < len(s)-4; n += 5 + int(binary.BigEndian.Uint16(s[n+3:])&0xFFF) {
			if s[n] == from {
				s[n] = to
				done++
			}
		}
		binary.BigEndian.PutUint32(s[len(s)-4:], ts.CRC32(s[:len(s)-4]))
	}
	require.Positive(t, done)
	return clip
}

// TestAudioUnderAnotherType: the frames say what audio is, and the stream_type only what to look for first.
func TestAudioUnderAnotherType(t *testing.T) {
	aac := []byte{ts.StreamTypeADTS, ts.StreamTypeLATM, ts.StreamTypeMPEG1Audio, ts.StreamTypeMPEG2Audio}
	dolby := []byte{ts.StreamTypeAC3, ts.StreamTypeEAC3}
	for _, c := range []struct {
		name, encode string
		is           byte
		types        []byte
	}{
		{"adts", "-c:a aac", ts.StreamTypeADTS, aac},
		{"latm", "-c:a aac -mpegts_flags latm", ts.StreamTypeLATM, aac},
		{"mp2", "-c:a mp2", ts.StreamTypeMPEG1Audio, aac},
		{"mp3", "-c:a libmp3lame", ts.StreamTypeMPEG1Audio, aac},
		{"ac3", "-c:a ac3", ts.StreamTypeAC3, dolby},
		{"eac3", "-c:a eac3", ts.StreamTypeEAC3, dolby},
	} {
		clip := ffmpeg(t, strings.Fields(tone+c.encode+" -f mpegts")...)
		want, _ := demux(t, clip, Options{})
		require.Greater(t, len(want.packets(0)), 20)
		for _, kind := range c.types {
			t.Run(fmt.Sprintf("%s as %#x", c.name, kind), func(t *testing.T) {
				r, d := demux(t, retype(t, clip, c.is, kind), Options{})
				require.Equal(t, want.epochs, r.epochs)
				require.Zero(t, d.Stats().UnitErrors)
			})
		}
	}
}

// TestAudioThatIsNone: bytes that look like a frame by themselves make no track, also where they end with their PES.
func TestAudioThatIsNone(t *testing.T) {
	mp3 := fill([]byte{0xFF, 0xF3, 0x24, 0xC4}, 44) // 48 bytes of layer III
	for _, kind := range []byte{ts.StreamTypeMPEG2Audio, ts.StreamTypeADTS, ts.StreamTypeLATM} {
		c := craft().tables(0, onlyVideo[0], es{kind, pidAudio, ""})
		for n := range int64(50) {
			c.audio(pidAudio, 90000+3600*n, bytes.Repeat([]byte{0x3C}, 300), mp3).video(90000+3600*n, none, idr(30))
		}
		r, d := demux(t, c.buf, Options{})
		require.Len(t, r.epochs, 1)
		require.Len(t, r.epochs[0].Tracks, 1)
		require.Positive(t, d.Stats().UnitErrors)
	}
}

// TestFalseFrames are bytes in AAC that look like MPEG audio, where the PMT says MPEG audio.
func TestFalseFrames(t *testing.T) {
	c := craft().tables(0, es{ts.StreamTypeMPEG2Audio, pidAudio, ""})
	frame := adtsFrame(2, 100)
	copy(frame[len(frame)-48:], []byte{0xFF, 0xF3, 0x24, 0xC4})
	for n := range int64(20) {
		c.audio(pidAudio, 90000+1920*n, frame)
	}
	r, d := demux(t, c.buf, Options{})
	require.Equal(t, steps(90000, 20, 1920), r.times(0))
	require.Len(t, r.epochs, 1)
	require.Equal(t, media.AAC, r.epochs[0].Tracks[0].Codec)
	require.Zero(t, d.Stats().UnitErrors)
}

// TestAudioThatChanges goes from ADTS to MPEG audio and back without a word in the PMT.
func TestAudioThatChanges(t *testing.T) {
	const frames = 300
	layer2 := fill([]byte{0xFF, 0xFD, 0x84, 0x00}, 380) // 128 kbit/s, 48 kHz
	c := craft().tables(0, withAudio[1])
	at := int64(90000)
	for _, kind := range [][]byte{adtsFrame(2, 200), layer2, adtsFrame(2, 200)} {
		for range frames {
			c.audio(pidAudio, at, kind)
			at += 1920
		}
	}
	r, d := demux(t, c.buf, Options{})
	var codecs []media.Codec
	for _, e := range r.epochs {
		codecs = append(codecs, e.Tracks[0].Codec)
		require.Greater(t, len(e.Packets), frames/2)
	}
	require.Equal(t, []media.Codec{media.AAC, media.MP2, media.AAC}, slices.Compact(codecs))
	require.LessOrEqual(t, d.Stats().UnitErrors, uint64(4))
}
