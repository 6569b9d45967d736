package mpegts

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

func TestAudioFraming(t *testing.T) {
	one := adtsFrame(2, 100)
	three := slices.Concat(adtsFrame(2, 100), adtsFrame(2, 90), adtsFrame(2, 80))
	damaged := adtsFrame(2, 100)
	damaged[0] = 0
	for _, c := range []struct {
		name   string
		in     *crafter
		times  []int64
		errors uint64
	}{
		{"one in each PES", craft().audio(pidAudio, 90000, one).audio(pidAudio, 91920, one).audio(pidAudio, 93840, one), steps(90000, 3, 1920), 0},
		{"three in a PES", craft().audio(pidAudio, 90000, three).audio(pidAudio, 95760, one), steps(90000, 4, 1920), 0},
		{"one over two PES", craft().audio(pidAudio, 90000, one, one[:50]).audio(pidAudio, 93840, one[50:], one), steps(90000, 3, 1920), 0},
		{"a header over two PES", craft().audio(pidAudio, 90000, one, one[:3]).audio(pidAudio, 93840, one[3:], one), steps(90000, 3, 1920), 0},
		{"one over three PES", craft().audio(pidAudio, 90000, one, one[:20]).audio(pidAudio, none, one[20:60]).audio(pidAudio, 93840, one[60:], one), steps(90000, 3, 1920), 0},
		{"no time on the second PES", craft().audio(pidAudio, 90000, one).audio(pidAudio, none, three).audio(pidAudio, 97680, one), steps(90000, 5, 1920), 0},
		{"no length", craft().split(pidAudio, pesBytes(0xC0, 90000, none, false, three)).split(pidAudio, pesBytes(0xC0, 95760, none, false, one)), steps(90000, 4, 1920), 0},
		{"garbage before", craft().audio(pidAudio, 90000, []byte{0xFF, 0xF1, 0xFF, 1, 2, 3}, three), steps(90000, 3, 1920), 1},
		{"garbage between", craft().audio(pidAudio, 84240, three).audio(pidAudio, 90000, one, []byte{1, 2, 3, 0xFF}, three), steps(84240, 7, 1920), 1},
		{"a damaged frame", craft().audio(pidAudio, 84240, three).audio(pidAudio, 90000, one, damaged, one).audio(pidAudio, 95760, one), append(steps(84240, 5, 1920), 95760), 1},
		{"half a frame at the end", craft().audio(pidAudio, 90000, three, one[:30]), steps(90000, 3, 1920), 1},
		{"no time at all", craft().audio(pidAudio, none, three), nil, 0},
		{"nothing but sync bytes", craft().audio(pidAudio, 90000, bytes.Repeat([]byte{0xFF}, 3000)), nil, 1},
		{"loss inside a frame", craft().audio(pidAudio, 84240, three).audio(pidAudio, 90000, adtsFrame(2, 500)).audio(pidAudio, 91920, adtsFrame(2, 500)).audio(pidAudio, 93840, one).cut(6), append(steps(84240, 4, 1920), 93840), 1},
		{"loss between PES", craft().audio(pidAudio, 84240, three).audio(pidAudio, 90000, one).audio(pidAudio, 91920, one).audio(pidAudio, 93840, one).cut(3), append(steps(84240, 4, 1920), 93840), 0},
		{"loss with a frame over two PES", craft().audio(pidAudio, 84240, three).audio(pidAudio, 90000, one, one[:50]).audio(pidAudio, 93840, one[50:]).audio(pidAudio, 95760, one).cut(3), append(steps(84240, 4, 1920), 95760), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, d := demux(t, append(craft().tables(0, withAudio[1]).buf, c.in.buf...), Options{})
			require.Equal(t, c.times, r.times(0))
			require.Equal(t, c.errors, d.Stats().UnitErrors)
			for _, p := range r.packets(0) {
				require.Contains(t, []int{80, 90, 100, 500}, len(p.Payload))
			}
		})
	}
}

// TestAudioAtOnce: a frame is given on as soon as it is whole, not when its PES is.
func TestAudioAtOnce(t *testing.T) {
	r := &recorder{}
	d := NewDemuxer(r, Options{})
	c := craft().tables(0, withAudio[1]).audio(pidAudio, 84240, aac(3))
	c.audio(pidAudio, 90000, adtsFrame(2, 60), adtsFrame(2, 200), adtsFrame(2, 200))
	require.NoError(t, d.Write(c.buf[:4*ts.PacketSize]))
	require.Len(t, r.times(0), 3+1)
	require.NoError(t, d.Write(c.buf[4*ts.PacketSize:5*ts.PacketSize]))
	require.Len(t, r.times(0), 3+2)
	require.NoError(t, d.Write(c.buf[5*ts.PacketSize:]))
	require.Len(t, r.times(0), 3+3)
}

// TestRounding: times of many frames do not drift.
func TestRounding(t *testing.T) {
	frame := adtsFrame(2, 5)
	frame[2] = frame[2]&^0x3C | 4<<2 // 44.1 kHz
	c := craft().tables(0, withAudio[1]).audio(pidAudio, 90000, bytes.Repeat(frame, 4410))
	r, _ := demux(t, c.buf, Options{})
	times := r.times(0)
	require.Len(t, times, 4410)
	for i, at := range times {
		require.InDelta(t, 90000+float64(i)*1024*90000/44100, float64(at), 0.51)
	}
}

// eac3Frame is a syncframe of size bytes.
func eac3Frame(kind, id byte, blocks, size int) []byte {
	code := map[int]byte{1: 0, 2: 1, 3: 2, 6: 3}[blocks]
	words := size/2 - 1
	return fill([]byte{0x0B, 0x77, kind<<6 | id<<3 | byte(words>>8), byte(words), code<<4 | 2<<1, 16 << 3}, size-6)
}

func TestEAC3Substreams(t *testing.T) {
	join := slices.Concat[[]byte]
	six := eac3Frame(0, 0, 6, 100)
	dependent := eac3Frame(1, 0, 6, 60)
	three := eac3Frame(0, 0, 3, 50)
	one := eac3Frame(0, 0, 1, 30)
	for _, c := range []struct {
		name   string
		pes    [][]byte
		sizes  []int
		errors uint64
	}{
		{"six blocks each", [][]byte{join(six, six, six)}, []int{100, 100, 100}, 0},
		{"with a dependent substream", [][]byte{join(six, dependent, six, dependent, six, dependent)}, []int{160, 160, 160}, 0},
		{"with another program", [][]byte{join(six, eac3Frame(0, 1, 6, 40), six, six)}, []int{140, 100, 100}, 0},
		{"three blocks each", [][]byte{bytes.Repeat(three, 6)}, []int{100, 100, 100}, 0},
		{"a block each", [][]byte{bytes.Repeat(one, 18)}, []int{180, 180, 180}, 0},
		{"over two PES", [][]byte{three, join(three, six, six)}, []int{100, 100, 100}, 0},
		{"a dependent substream first", [][]byte{join(dependent, six, six, six)}, []int{100, 100, 100}, 1},
		{"far too many substreams", [][]byte{join(six, six, six, six, bytes.Repeat(dependent, 100), six)}, []int{100, 100, 100, 100}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := craft().tables(0, es{ts.StreamTypeEAC3, pidAudio, ""})
			for i, p := range c.pes {
				in.split(pidAudio, pesBytes(ts.StreamIDPrivate1, 90000+2880*int64(i), none, true, p))
			}
			r, d := demux(t, in.buf, Options{})
			var sizes []int
			for _, p := range r.packets(0) {
				sizes = append(sizes, len(p.Payload))
			}
			require.Equal(t, c.sizes, sizes)
			require.Equal(t, c.errors, d.Stats().UnitErrors)
		})
	}
}

// TestAudioContent compares each frame with what ffmpeg finds, by putting the transport
// header back where there is one.
func TestAudioContent(t *testing.T) {
	for _, c := range []struct{ name, encode, raw string }{
		{"adts", "-c:a aac", "adts"},
		{"latm", "-c:a aac -mpegts_flags latm", "adts"},
		{"mp2", "-c:a mp2", "mp2"},
		{"mp3", "-c:a libmp3lame", "mp3 -write_xing 0 -id3v2_version 0"},
		{"ac3", "-c:a ac3", "ac3"},
		{"eac3", "-c:a eac3", "eac3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := temp(t, "clip.ts")
			ffmpegFile(t, file, tone+c.encode+" -f mpegts")
			clip := ffmpeg(t, strings.Fields(tone+c.encode+" -f mpegts")...)
			source := "-i " + file + " -c copy"
			if c.name == "latm" { // which ffmpeg does not turn into ADTS
				source = tone + "-c:a aac"
			}
			want := ffmpeg(t, strings.Fields(source+" -f "+c.raw)...)
			r, _ := demux(t, clip, Options{})
			var got []byte
			for _, p := range r.packets(0) {
				if r.epochs[0].Tracks[0].Codec == media.AAC {
					got = append(got, want[len(got):len(got)+7]...)
				}
				got = append(got, p.Payload...)
			}
			require.True(t, bytes.Equal(want, got))
		})
	}
}

// TestLATMVersion1 and subframes, which ffmpeg does not make.
func TestLATMVersion1(t *testing.T) {
	asc := func(w *bitWriter) *bitWriter { return w.bits(2, 5).bits(3, 4).bits(2, 4).bits(0, 3) }
	payload := func(w *bitWriter, b ...byte) {
		w.bits(uint32(len(b)), 8)
		for _, x := range b {
			w.bits(uint32(x), 8)
		}
	}
	loas := func(w *bitWriter) []byte {
		return append([]byte{0x56, 0xE0 | byte(len(w.b)>>8), byte(len(w.b))}, w.b...)
	}
	v1 := (&bitWriter{}).bits(0b010, 3).bits(0, 2).bits(0, 8) // configuration, version 1, taraBufferFullness
	v1.bits(1, 1).bits(0, 6+4+3).bits(0, 2).bits(20, 8)       // 20 bits of configuration
	asc(v1).bits(0, 4).bits(0, 3).bits(0xFF, 8).bits(0, 2)
	payload(v1, 1, 2, 3)
	sub := (&bitWriter{}).bits(0b00, 2).bits(1, 1).bits(1, 6).bits(0, 4+3) // two subframes
	asc(sub).bits(0, 3).bits(0xFF, 8).bits(0, 2)
	payload(sub, 4, 5)
	payload(sub, 6)
	again := (&bitWriter{}).bits(1, 1)
	payload(again, 7, 8)
	payload(again, 9)

	in := craft().tables(0, es{ts.StreamTypeLATM, pidAudio, ""})
	in.audio(pidAudio, 90000, loas(v1)).audio(pidAudio, 91920, loas(sub), loas(again))
	r, d := demux(t, in.buf, Options{})
	require.Zero(t, d.Stats().UnitErrors)
	require.Equal(t, steps(90000, 5, 1920), r.times(0))
	var got [][]byte
	for _, p := range r.packets(0) {
		got = append(got, p.Payload)
	}
	require.Equal(t, [][]byte{{1, 2, 3}, {4, 5}, {6}, {7, 8}, {9}}, got)
	require.Equal(t, []byte{0x11, 0x90}, r.epochs[0].Tracks[0].Config)
}

// TestLATMWithSBRInAnExtension: where its length is told, a configuration has all that belongs to it.
func TestLATMWithSBRInAnExtension(t *testing.T) {
	config := []byte{0x13, 0x10, 0x56, 0xE5, 0x98} // AAC LC of 24 kHz, SBR to 48 kHz
	w := (&bitWriter{}).bits(0b010, 3).bits(0, 2).bits(0, 8).bits(1, 1).bits(0, 6+4+3).bits(0, 2).bits(40, 8)
	for _, x := range config {
		w.bits(uint32(x), 8)
	}
	w.bits(0, 3).bits(0xFF, 8).bits(0, 2).bits(2, 8).bits(0x0102, 16)
	frame := append([]byte{0x56, 0xE0 | byte(len(w.b)>>8), byte(len(w.b))}, w.b...)
	c := craft().tables(0, es{ts.StreamTypeLATM, pidAudio, ""}).audio(pidAudio, 90000, frame, frame, frame)
	r, _ := demux(t, c.buf, Options{})
	require.Equal(t, config, r.epochs[0].Tracks[0].Config)
	require.Equal(t, steps(90000, 3, 3840), r.times(0))
	p, err := r.epochs[0].Tracks[0].Params()
	require.NoError(t, err)
	require.Equal(t, "mp4a.40.5", p.CodecString)
}
