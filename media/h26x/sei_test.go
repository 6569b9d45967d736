package h26x

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// optionsSEI is an SEI NAL unit with the options of an encoder, behind the NAL unit header.
func optionsSEI(uuid []byte, text string, header ...byte) []byte {
	payload := append(bytes.Clone(uuid), text...)
	b := append(header, seiUserData)
	n := len(payload)
	for ; n >= 255; n -= 255 {
		b = append(b, 0xFF)
	}
	return append(append(append(b, byte(n)), payload...), 0x80)
}

func TestRecoveryPoint(t *testing.T) {
	for _, c := range []struct {
		name, nal string
		frames    uint32
		ok        bool
	}{
		{"at once", "060601c480", 0, true},
		{"two messages", "060102112206014480", 1, true},
		{"behind another", "06050211220601c480", 0, true},
		{"later", "0606020a4180", 19, true},
		{"another message alone", "060502112280", 0, false},
		{"a size over the end", "0605ffff", 0, false},
		{"nothing", "06", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := ParseH264SEI(unhex(t, c.nal))
			require.Equal(t, SEI{Recovery: c.ok, RecoveryCount: c.frames}, s)
		})
	}
	for _, c := range []struct {
		nal    string
		frames uint32
	}{
		{"4e010601d080", 0}, // se(v) 1 1 0: 0
		{"4e0106012480", 2},
		{"4e0106012880", 0}, // -2
	} {
		s := ParseH265SEI(unhex(t, c.nal))
		require.Equal(t, SEI{Recovery: true, RecoveryCount: c.frames}, s, c.nal)
	}
}

// TestKeyframeInterval: the distance of key frames that encoders tell, and only where they also cut at scenes.
func TestKeyframeInterval(t *testing.T) {
	long := strings.Repeat("filler=1 ", 60)
	for _, c := range []struct {
		name string
		nal  []byte
		want int
	}{
		{"x264", optionsSEI(uuidX264, "x264 - core 164 - options: cabac=1 "+long+"keyint=250 keyint_min=25 scenecut=40 qp=1\x00", 6), 250},
		{"x264 without cuts", optionsSEI(uuidX264, "options: keyint=250 keyint_min=25 scenecut=0", 6), 0},
		{"x264 without end", optionsSEI(uuidX264, "options: keyint=infinite keyint_min=25 scenecut=40", 6), 0},
		{"x265", optionsSEI(uuidX265, "x265 - options: min-keyint=25 keyint=240 scenecut=40 hist-scenecut=0", 0x4E, 1), 240},
		{"x265 without cuts", optionsSEI(uuidX265, "x265 - options: min-keyint=25 keyint=240 no-scenecut", 0x4E, 1), 0},
		{"x265 without end", optionsSEI(uuidX265, "x265 - options: min-keyint=25 keyint=2147483647 scenecut=40", 0x4E, 1), 0},
		{"another's message", optionsSEI(bytes.Repeat([]byte{7}, 16), "keyint=250 scenecut=40", 6), 0},
		{"numbers that lie", optionsSEI(uuidX264, "keyint=-3 scenecut=40", 6), 0},
		{"no number", optionsSEI(uuidX264, "keyint= scenecut=", 6), 0},
		{"cut off", optionsSEI(uuidX264, "keyint=250 scenecut=40", 6)[:20], 0},
		{"nothing but the identifier", optionsSEI(uuidX264, "", 6), 0},
		{"too far behind", optionsSEI(uuidX264, strings.Repeat(" ", maxOptions)+"keyint=250 scenecut=40", 6), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			parse := ParseH264SEI
			if c.nal[0] == 0x4E {
				parse = ParseH265SEI
			}
			require.Equal(t, SEI{KeyframeInterval: c.want}, parse(c.nal))
		})
	}
}
