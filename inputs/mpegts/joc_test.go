package mpegts

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

// bitsOf reads fields: a number, a colon and its length in bits.
func bitsOf(fields string) []byte {
	w := &bitWriter{}
	for f := range strings.FieldsSeq(fields) {
		v, n, _ := strings.Cut(f, ":")
		w.bits(number(v), int(number(n)))
	}
	return w.b
}

func number(s string) (n uint32) {
	for _, c := range s {
		n = n*10 + uint32(c-'0')
	}
	return n
}

// jocFrame is a syncframe of 200 bytes: strmtyp, then from fscod on. 99 words follow the first.
func jocFrame(kind, fields string) []byte {
	b := append([]byte{0x0B, 0x77}, bitsOf(kind+":2 0:3 99:11 "+fields)...)
	return append(b, make([]byte, 200-len(b))...)
}

func TestJOCComplexity(t *testing.T) {
	const (
		fiveOne = "0:2 3:2 7:3 1:1 16:5 31:5 0:1" // 48 kHz, six blocks, 3/2 and LFE, dialnorm, no compr
		joc     = " 1:1 1:6 0:7 1:1 16:8"
	)
	for _, c := range []struct {
		name, kind, fields string
		want               byte
	}{
		{"plain", "0", fiveOne + " 0:1 0:1 0:1", 0},
		{"objects", "0", fiveOne + " 0:1 0:1" + joc, 16},
		{"compr", "0", "0:2 3:2 7:3 1:1 16:5 31:5 1:1 255:8 0:1 0:1" + joc, 16},
		{"another extension", "0", fiveOne + " 0:1 0:1 1:1 1:6 0:7 0:1 16:8", 0},
		{"too short", "0", fiveOne + " 0:1 0:1 1:1 0:6 0:7 1:1 16:8", 0},
		{"out of range", "0", fiveOne + " 0:1 0:1 1:1 1:6 0:7 1:1 17:8", 0},
		{"all mixing of 5.1", "0", fiveOne + " 1:1 3:2 7:3 7:3 7:3 7:3 1:1 31:5 1:1 63:6 1:1 63:6 1:2 31:5 1:1" + strings.Repeat(" 1:1 31:5", 6) + " 0:1" + joc, 16},
		{"mixdef 2, no configuration", "0", fiveOne + " 1:1 0:2 0:3 0:3 0:3 0:3 0:1 0:1 0:1 2:2 4095:12 0:1 0:1" + joc, 16},
		{"mixdef 3", "0", fiveOne + " 1:1 0:2 0:3 0:3 0:3 0:3 0:1 0:1 0:1 3:2 1:5 16777215:24 0:1 0:1" + joc, 16},
		{"information of 5.1", "0", fiveOne + " 0:1 1:1 7:3 1:1 1:1 3:2 1:1 31:5 3:2 1:1 1:1" + joc, 16},
		{"two mono programs", "0", "0:2 3:2 0:3 0:1 16:5 31:5 1:1 255:8 31:5 1:1 255:8" +
			" 1:1 1:1 63:6 0:1 0:1 0:2 1:1 16383:14 0:1 0:1 1:1 7:3 1:1 1:1 1:1 255:8 0:1 1:1" + joc, 16},
		{"stereo of one block", "0", "0:2 0:2 2:3 0:1 16:5 31:5 0:1 1:1 0:1 0:1 0:2 1:1 31:5 1:1 7:3 1:1 1:1 3:2 3:2 0:1 1:1 1:1" + joc, 16},
		{"24 kHz", "0", "3:2 0:2 2:3 0:1 16:5 31:5 0:1 0:1 1:1 7:3 1:1 1:1 3:2 3:2 0:1" + joc, 16},
		{"dependent", "1", fiveOne + " 1:1 65535:16 1:1 3:2 7:3 7:3 7:3 7:3 1:1 31:5 0:1" + joc, 16},
		{"converted AC-3", "2", fiveOne + " 0:1 0:1 63:6" + joc, 16},
		{"converted AC-3 of two blocks", "2", "0:2 1:2 7:3 1:1 16:5 31:5 0:1 0:1 0:1 1:1 63:6" + joc, 16},
		{"converted AC-3, a block in between", "2", "0:2 1:2 7:3 1:1 16:5 31:5 0:1 0:1 0:1 0:1" + joc, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, jocComplexity(jocFrame(c.kind, c.fields)))
		})
	}
	require.Zero(t, jocComplexity(jocFrame("0", fiveOne+" 0:1 0:1"+joc)[:9]), "cut off")
}

// TestJOCOfFFmpeg: nothing that ffmpeg writes has objects, whatever metadata it has.
func TestJOCOfFFmpeg(t *testing.T) {
	for _, args := range []string{"-ac 2", "-ac 6 -dialnorm -20 -room_type large -mixing_level 90 -copyright 1 -dsurex_mode 2 -dmix_mode ltrt -ltrt_cmixlev 1.414 -loro_surmixlev 0"} {
		r, _ := demux(t, ffmpeg(t, strings.Fields(tone+"-c:a eac3 "+args+" -f mpegts")...), Options{})
		require.NotEmpty(t, r.packets(0))
		require.Len(t, r.epochs, 1)
		require.Len(t, r.epochs[0].Tracks[0].Config, 8)
	}
}

// TestProgrammeInAtmos: a programme with objects begins an epoch that tells them, and ends with it.
func TestProgrammeInAtmos(t *testing.T) {
	plain := jocFrame("0", "0:2 3:2 7:3 1:1 16:5 31:5 0:1 0:1 0:1 0:1")
	objects := jocFrame("0", "0:2 3:2 7:3 1:1 16:5 31:5 0:1 0:1 0:1 1:1 1:6 0:7 1:1 15:8")
	c := craft().tables(0, es{ts.StreamTypeEAC3, pidAudio, ""})
	for i, f := range [][]byte{plain, objects, plain} {
		for n := range int64(5) {
			c.split(pidAudio, pesBytes(ts.StreamIDPrivate1, 90000+2880*(5*int64(i)+n), none, true, slices.Clone(f)))
		}
	}
	r, d := demux(t, c.buf, Options{})
	require.Zero(t, d.Stats().UnitErrors)
	require.Len(t, r.epochs, 3)
	for i, want := range []int{0, 15, 0} {
		p, err := r.epochs[i].Tracks[0].Params()
		require.NoError(t, err)
		require.Equal(t, want, p.Objects)
		require.Equal(t, 6, p.Channels)
		require.Len(t, r.epochs[i].track(0), 5)
	}
	require.Equal(t, byte(15), media.JOCComplexity(r.epochs[1].Tracks[0].Config))
}
