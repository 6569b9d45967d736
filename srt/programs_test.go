package srt

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// TestProgramsFitAMessage: the most that a process tells, in a coding that takes the most room.
func TestProgramsFitAMessage(t *testing.T) {
	const most = 64<<10 - 256 // control.MaxSize, and what is around the body
	var p Programs
	for i := range 1000 {
		p.List = append(p.List, Program{Number: uint16(60000 + i), PMT: 8000, Name: strings.Repeat("<", 500), Provider: strings.Repeat("&", 500)})
		p.Taken = append(p.Taken, uint16(60000+i))
	}
	p.Bound()
	require.Len(t, p.List, MaxPrograms)
	require.Len(t, p.Taken, MaxMapped+1)
	b, err := json.Marshal(p)
	require.NoError(t, err)
	require.Less(t, len(b), most)

	s := ConnStats{Demux: &ts.Stats{}}
	for range MaxMapped {
		v := ^uint64(0)
		s.Mapped = append(s.Mapped, ts.Stats{
			Bytes: v, Packets: v, SyncLosses: v, SkippedBytes: v, TransportErrors: v, ContinuityErrors: v, CRCErrors: v, TableErrors: v, PESErrors: v,
			UnitErrors: v, Oversized: v, UnknownPackets: v, Scrambled: v, Discontinuities: v, Epochs: v, Units: v, IgnoredTracks: v,
		})
	}
	b, err = json.Marshal(s)
	require.NoError(t, err)
	require.Less(t, len(b), most/2)
}

func TestProgramTextsAreCutBetweenCharacters(t *testing.T) {
	for _, text := range []string{"", "News", strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat("€", 40), "x" + strings.Repeat("ü", 40)} {
		p := Programs{List: []Program{{Name: text}}}
		p.Bound()
		got := p.List[0].Name
		require.True(t, utf8.ValidString(got))
		require.True(t, strings.HasPrefix(text, got))
		require.LessOrEqual(t, len(got), maxProgramText)
		require.True(t, len(got) == len(text) || len(got) > maxProgramText-4)
	}
}

func TestProgramNumber(t *testing.T) {
	for text, want := range map[string]uint16{"": 0, "0": 0, "7": 7, "65535": 65535, "65536": 0, "-1": 0, "News": 0, "7a": 0, "007": 7} {
		require.Equal(t, want, ProgramNumber(text), text)
	}
}
