package scte35

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The examples of ANSI/SCTE 35 14, and others by hand, without their checksums.
const (
	spliceInsert     = "/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo="
	opportunityStart = "/DA0AAAAAAAA///wBQb+cr0AUAAeAhxDVUVJSAAAjn/PAAGlmbAICAAAAAAsoKGKNAIAmsnRfg=="
	opportunityEnd   = "/DAvAAAAAAAA///wBQb+dGKQoAAZAhdDVUVJSAAAjn+fCAgAAAAALKChijUCAKnMZ1g="
	programChange    = "/DBIAAAAAAAA///wBQb+ek2ItgAyAhdDVUVJSAAAGH+fCAgAAAAALMvDRBEAAAIXQ1VFSUgAABl/nwgIAAAAACyk26AQAACZcuND"
)

func decode(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return b
}

// section makes one of a pts_adjustment, and of a command and descriptors in hex.
func section(t testing.TB, adjustment int64, command, descriptors string) []byte {
	t.Helper()
	c, err := hex.DecodeString(command)
	require.NoError(t, err)
	d, err := hex.DecodeString(descriptors)
	require.NoError(t, err)
	b := []byte{tableID, 0, 0, 0, byte(adjustment >> 32)}
	b = binary.BigEndian.AppendUint32(b, uint32(adjustment))
	b = append(b, 0, 0xFF, 0xF0, byte(len(c)-1))
	b = binary.BigEndian.AppendUint16(append(b, c...), uint16(len(d)))
	b = append(append(b, d...), 0, 0, 0, 0)
	b[1], b[2] = 0x30|byte((len(b)-3)>>8), byte(len(b)-3)
	return b
}

// change returns a copy with other bytes in one place.
func change(b []byte, at int, to ...byte) []byte {
	b = append([]byte{}, b...)
	copy(b[at:], to)
	return b
}

// The commands and descriptors of most tests, in hex.
const (
	back       = "05000000017F4FFE0000000A00010000" // splice_insert at 10
	out        = "05000000017FCFFE0000000A00010000"
	outAtOnce  = "05000000017FDF00010000"
	outByParts = "05000000017F8F02017F02FE0000000B00010000" // the time of the second component is told
	atOnce     = "067F"                                     // time_signal
	byParts    = "0216" + "43554549" + "00000009" + "7F3F" + "0101FE00000000" + "0000" + "320000"
	cancelled  = "02094355454900000009FF"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want Section
	}{
		{"splice_insert that returns by itself", decode(t, spliceInsert), Section{
			Command: Insert, Time: 0x07369C02E,
			Events: []Event{{Kind: KindInsert, ID: 0x4800008F, Action: Out, Duration: 5426421, AutoReturn: true}},
		}},
		{"placement opportunity", decode(t, opportunityStart), Section{
			Command: TimeSignal, Time: 0x072BD0050, Events: []Event{{Kind: 0x34, ID: 0x4800008E, Action: Out, Duration: 27630000}},
		}},
		{"its end", decode(t, opportunityEnd), Section{
			Command: TimeSignal, Time: 0x0746290A0, Events: []Event{{Kind: 0x34, ID: 0x4800008E, Action: In}},
		}},
		{"two segments", decode(t, programChange), Section{
			Command: TimeSignal, Time: 0x07A4D88B6, Events: []Event{{Kind: 0x11, ID: 0x48000018}, {Kind: 0x10, ID: 0x48000019}},
		}},
		{"return", section(t, 100000, back, ""), Section{
			Command: Insert, Time: 100010, Events: []Event{{Kind: KindInsert, ID: 1, Action: In}},
		}},
		{"time past the wrap", section(t, 1<<33-11, out, ""), Section{
			Command: Insert, Time: 1<<33 - 1, Events: []Event{{Kind: KindInsert, ID: 1, Action: Out}},
		}},
		{"time behind the wrap", section(t, 1<<33-1, out, ""), Section{
			Command: Insert, Time: 9, Events: []Event{{Kind: KindInsert, ID: 1, Action: Out}},
		}},
		{"at once", section(t, 5, outAtOnce, ""), Section{
			Command: Insert, Time: NoTime, Events: []Event{{Kind: KindInsert, ID: 1, Action: Out}},
		}},
		{"by component", section(t, 0, outByParts, ""), Section{
			Command: Insert, Time: 11, Events: []Event{{Kind: KindInsert, ID: 1, Action: Out}},
		}},
		{"command whose length is not told", change(section(t, 0, out, ""), 11, 0xFF, 0xFF), Section{
			Command: Insert, Time: 10, Events: []Event{{Kind: KindInsert, ID: 1, Action: Out}},
		}},
		{"cancel", section(t, 0, "0500000007FF", ""), Section{
			Command: Insert, Time: NoTime, Events: []Event{{Kind: KindInsert, ID: 7, Action: Cancel}},
		}},
		{"segmentation cancel", section(t, 0, atOnce, cancelled), Section{
			Command: TimeSignal, Time: NoTime, Events: []Event{{Kind: KindAny, ID: 9, Action: Cancel}},
		}},
		{"segment by component", section(t, 0, atOnce, byParts), Section{
			Command: TimeSignal, Time: NoTime, Events: []Event{{Kind: 0x32, ID: 9, Action: Out}},
		}},
		{"descriptor of somebody else", section(t, 0, atOnce, "020441424344"+"0104"+"43554549"), Section{Command: TimeSignal, Time: NoTime}},
		{"encrypted", change(section(t, 0, out, ""), 4, 0x80), Section{Encrypted: true, Time: NoTime}},
		{"null", section(t, 0, "00", ""), Section{Time: NoTime}},
		{"private", section(t, 0, "FF41424344", ""), Section{Command: Private, Time: NoTime}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse(c.in)
			require.NoError(t, err, "%x", c.in)
			require.Equal(t, c.want, got)
		})
	}
}

func TestMalformed(t *testing.T) {
	whole := decode(t, opportunityStart)
	for n := range whole {
		_, err := Parse(whole[:n])
		require.ErrorIs(t, err, ErrMalformed, n)
	}
	loop := section(t, 0, atOnce, "")
	for name, b := range map[string][]byte{
		"another table":               change(whole, 0, 0xFB),
		"command longer than it says": change(section(t, 0, out, ""), 12, 5),
		"command of no end":           change(section(t, 0, out, ""), 12, 200),
		"descriptor over its end":     section(t, 0, atOnce, "0205435545490000"),
		"loop over its end":           change(loop, len(loop)-5, 40),
	} {
		_, err := Parse(b)
		require.ErrorIs(t, err, ErrMalformed, name)
	}
}

func TestManyEvents(t *testing.T) {
	descriptors := ""
	for n := range MaxEvents + 5 {
		one := fmt.Sprintf("020943554549%08XFF", n)
		descriptors += one + one
		s, err := Parse(section(t, 0, atOnce, descriptors))
		require.NoError(t, err)
		require.Len(t, s.Events, min(n+1, MaxEvents), "each once")
	}
}

// TestSegments has what each segmentation_type_id of table 23 is.
func TestSegments(t *testing.T) {
	for id, want := range map[uint8]Action{
		0x00: Mark, 0x01: Mark, 0x10: Mark, 0x11: Mark, 0x12: Mark, 0x13: Mark, 0x20: Mark, 0x22: Out, 0x23: In, 0x24: Mark, 0x27: Mark,
		0x30: Out, 0x31: In, 0x34: Out, 0x37: In, 0x3A: Out, 0x3F: In, 0x40: Mark, 0x41: Mark, 0x42: Out, 0x47: In, 0x50: Mark, 0xFF: Mark,
	} {
		kind, action := segment(id)
		require.Equal(t, want, action, "0x%02x", id)
		if action == In {
			id--
		}
		require.Equal(t, Kind(id), kind)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{spliceInsert, opportunityStart, opportunityEnd, programChange} {
		f.Add(decode(f, text))
	}
	f.Add(section(f, 1, outByParts, ""))
	f.Add(section(f, 0, atOnce, byParts))
	f.Add(section(f, 0, atOnce, cancelled))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		require.True(t, s.Time == NoTime || s.Time >= 0 && s.Time < 1<<33)
		require.LessOrEqual(t, len(s.Events), MaxEvents)
		for _, e := range s.Events {
			require.True(t, e.Duration >= 0 && e.Duration < 1<<40)
			require.True(t, !e.AutoReturn || e.Duration > 0)
			require.True(t, e.Action != Cancel || e.Duration == 0)
		}
		if err == nil && s.Encrypted {
			require.Empty(t, s.Events)
		}
	})
}
