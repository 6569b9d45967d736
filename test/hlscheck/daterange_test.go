package hlscheck

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	rangeOut = `#EXT-X-DATERANGE:ID="b",START-DATE="2026-01-01T00:00:10.000Z",PLANNED-DURATION=30.00000,SCTE35-OUT=0xFC30` + "\n"
	rangeIn  = `#EXT-X-DATERANGE:ID="b",START-DATE="2026-01-01T00:00:10.000Z",END-DATE="2026-01-01T00:00:40.000Z",DURATION=30.000,PLANNED-DURATION=30.00000,SCTE35-OUT=0xFC30,SCTE35-IN=0xFC31` + "\n"
	alone    = `#EXT-X-DATERANGE:ID="c",START-DATE="2026-01-01T00:00:10.000Z",END-DATE="2026-01-01T00:00:10.000Z",DURATION=0.000,SCTE35-IN=0xFC31` + "\n"
)

// with is a good playlist with date ranges.
func with(ranges string) string {
	return strings.Replace(good, "#EXT-X-MAP", ranges+"#EXT-X-MAP", 1)
}

// TestRanges has date ranges that are right, one version after the other.
func TestRanges(t *testing.T) {
	k := New()
	for _, ranges := range []string{"", rangeOut, rangeOut, rangeIn + alone, rangeOut + rangeIn + alone, alone, "", strings.ReplaceAll(rangeIn, `"b"`, `"d"`)} {
		for _, id := range []string{"v0", "a0"} {
			require.NotNil(t, k.Playlist(id, with(ranges)))
		}
		require.Empty(t, k.Faults)
	}
	k.Playlist("v0", head+strings.ReplaceAll(rangeIn, `"b"`, `"d"`)+"#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n"+good[strings.Index(good, "#EXT-X-PART:"):])
	require.NotContains(t, rules(k), "daterange", "a delta update has no date of its own")
}

// TestBadRanges has date ranges that are wrong, by themselves or after others.
func TestBadRanges(t *testing.T) {
	change := strings.NewReplacer
	for _, c := range []struct{ name, before, bad, says string }{
		{"no ID", "", change(`ID="b",`, "").Replace(rangeOut), "no ID"},
		{"no start", "", change(`START-DATE="2026-01-01T00:00:10.000Z",`, "").Replace(rangeOut), "no START-DATE"},
		{"no date", "", change("2026-01-01T", "").Replace(rangeOut), "no START-DATE"},
		{"ends before it begins", "", change("00:00:40", "00:00:09").Replace(rangeIn), "begins at"},
		{"duration", "", change("DURATION=30.000,", "DURATION=29.990,").Replace(rangeIn), "its DURATION is 29.990"},
		{"negative", "", change("DURATION=30.000,", "DURATION=-30.000,").Replace(rangeIn), "DURATION of b"},
		{"negative plan", "", change("=30.00000", "=-1").Replace(rangeOut), "PLANNED-DURATION of b"},
		{"ends on the next one", "", change(",SCTE35-OUT", ",END-ON-NEXT=YES,SCTE35-OUT").Replace(rangeOut), "ends on the next"},
		{"not hexadecimal", "", change("0xFC30", "FC30").Replace(rangeOut), "SCTE35-OUT of b"},
		{"no section", "", change("0xFC30", "0x").Replace(rangeOut), "SCTE35-OUT of b"},
		{"start moves", rangeOut, change("00:00:10", "00:00:11").Replace(rangeOut), "START-DATE of b was"},
		{"two say different things", "", rangeOut + change("=30.00000", "=31.00000").Replace(rangeOut), "PLANNED-DURATION of b was"},
		{"section changes", rangeIn, change("0xFC31", "0xFC32").Replace(rangeIn), "SCTE35-IN of b was"},
		{"end is taken back", rangeIn, rangeOut, "b had"},
		{"in before out", change("SCTE35-OUT=0xFC30,", "").Replace(rangeIn), rangeIn, "SCTE35-OUT of b comes after"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := New()
			k.Playlist("v0", with(c.before))
			require.Empty(t, k.Faults)
			k.Playlist("v0", with(c.bad))
			require.NotEmpty(t, k.Faults)
			for _, f := range k.Faults {
				require.Equal(t, "daterange", f.Rule)
			}
			require.Contains(t, k.Faults[0].Detail, c.says)
		})
	}
	k := New()
	k.Playlist("v0", with(rangeOut))
	k.Playlist("a0", with(strings.Replace(rangeOut, "00:00:10", "00:00:11", 1)))
	require.Equal(t, []string{"daterange"}, rules(k), "renditions that differ")
	k = New()
	k.Playlist("v0", strings.Replace(with(rangeOut), "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n", "", 1))
	require.Contains(t, rules(k), "daterange", "no program date time")
}
