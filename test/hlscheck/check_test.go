package hlscheck

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const head = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:1
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.65000,HOLD-BACK=3.00000,CAN-SKIP-UNTIL=6.00000
#EXT-X-PART-INF:PART-TARGET=0.55000
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:0
`

const good = head + `#EXT-X-MAP:URI="init-1.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z
#EXTINF:1.00000,
seg-1-7.m4s
#EXT-X-PART:DURATION=0.50000,URI="part-1-8.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.50000,URI="part-1-8.1.m4s"
#EXTINF:1.00000,
seg-1-8.m4s
#EXT-X-PART:DURATION=0.50000,URI="part-1-9.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part-1-9.1.m4s"
`

func rules(c *Checker) []string {
	var all []string
	for _, f := range c.Faults {
		all = append(all, f.Rule)
	}
	return all
}

// TestBadPlaylists changes one thing in a good playlist, which is judged after the good one.
func TestBadPlaylists(t *testing.T) {
	for _, c := range []struct{ name, from, to, rule string }{
		{"target changes", "DURATION:1\n", "DURATION:2\n", "constant"},
		{"part target changes", "TARGET=0.55000", "TARGET=0.54000", "constant"},
		{"hold back", "HOLD-BACK=3.00000", "HOLD-BACK=2.90000", "hold-back"},
		{"part hold back", "PART-HOLD-BACK=1.65000", "PART-HOLD-BACK=1.60000", "part-hold-back"},
		{"skip until", "UNTIL=6.00000", "UNTIL=5.00000", "skip-until"},
		{"long segment", "#EXTINF:1.00000,\nseg-1-8", "#EXTINF:1.50000,\nseg-1-8", "target"},
		{"changed segment", "#EXTINF:1.00000,\nseg-1-8", "#EXTINF:1.01000,\nseg-1-8", "changed"},
		{"changed name", "seg-1-7", "seg-2-7", "changed"},
		{"sequence goes back", "MEDIA-SEQUENCE:7", "MEDIA-SEQUENCE:6", "sequence"},
		{"long part", "0.50000,URI=\"part-1-8.1", "0.60000,URI=\"part-1-8.1", "part-long"},
		{"short part", "0.50000,URI=\"part-1-8.0", "0.40000,URI=\"part-1-8.0", "part-short"},
		{"sum of parts", "0.50000,URI=\"part-1-8.1", "0.40000,URI=\"part-1-8.1", "part-sum"},
		{"no parts between parts", "seg-1-8.m4s\n", "seg-1-8.m4s\n#EXTINF:1.00000,\nseg-1-9.m4s\n", "part-hole"},
		{"no map", "#EXT-X-MAP:URI=\"init-1.mp4\"\n", "", "map"},
		{"date moves", "00:00:00.000Z", "00:00:00.100Z", "date"},
		{"no date", "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n", "", "date"},
		{"a segment at the end", `#EXT-X-PART:DURATION=0.50000,URI="part-1-9.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part-1-9.1.m4s"
`, "", "end"},
		{"no number", "SEQUENCE:7", "SEQUENCE:x", "syntax"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := New()
			k.Multivariant("", "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\nv0/index.m3u8\n")
			require.NotNil(t, k.Playlist("v0", good))
			require.NotNil(t, k.Playlist("v0", good))
			require.Empty(t, k.Faults)
			bad := strings.Replace(good, c.from, c.to, 1)
			require.NotEqual(t, good, bad)
			k.Playlist("v0", bad)
			require.Contains(t, rules(k), c.rule)
		})
	}
}

// TestRenditionsAgree compares two renditions, and a report with what it reports of.
func TestRenditionsAgree(t *testing.T) {
	k := New()
	k.Playlist("v0", good)
	k.Playlist("a0", good+"#EXT-X-RENDITION-REPORT:URI=\"../v0/index.m3u8\",LAST-MSN=9,LAST-PART=0\n")
	require.Empty(t, k.Faults)
	k.Playlist("a0", good+"#EXT-X-RENDITION-REPORT:URI=\"../v0/index.m3u8\",LAST-MSN=8,LAST-PART=1\n")
	require.Equal(t, []string{"report"}, rules(k))

	k = New()
	k.Playlist("v0", good)
	k.Playlist("a0", strings.Replace(good, "#EXTINF:1.00000,\nseg-1-7", "#EXTINF:0.90000,\nseg-1-7", 1))
	require.Contains(t, rules(k), "agree")
}

// TestDelta skips what was not known, and what is too new.
func TestDelta(t *testing.T) {
	k := New()
	k.Playlist("v0", good)
	k.Playlist("v0", head+"#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n#EXTINF:1.00000,\nseg-1-9.m4s\n")
	require.Contains(t, rules(k), "delta")
}

// TestNextStream ends a stream unseen: the next of its name owes nothing to it. One that goes on may not go back.
func TestNextStream(t *testing.T) {
	next := strings.NewReplacer("SEQUENCE:7", "SEQUENCE:0", "-1-7", "-2-0", "-1-8", "-2-1", "-1-9", "-2-2", "init-1", "init-2", "2026", "2027").Replace(good)
	k := New()
	k.Playlist("v0", good)
	require.NotNil(t, k.Playlist("v0", next))
	require.True(t, k.Knows("v0"))
	require.NotNil(t, k.Playlist("v0", next))
	require.Empty(t, k.Faults)

	require.Nil(t, k.Playlist("v0", strings.Replace(head, "SEQUENCE:7", "SEQUENCE:0", 1)+"#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n#EXTINF:1.00000,\nseg-3-0.m4s\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-3-1.0.m4s\"\n"))
	require.False(t, k.Knows("v0"))
	require.Empty(t, k.Faults)

	k = New()
	k.Playlist("v0", good)
	k.Playlist("v0", strings.Replace(good, "SEQUENCE:7", "SEQUENCE:6", 1))
	require.Contains(t, rules(k), "sequence")
}

func box(kind string, content ...byte) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(content)+8)), kind...), content...)
}

// segmentOf has one fragment with samples of a duration in milliseconds.
func segmentOf(at uint64, sync bool, durations ...uint32) []byte {
	tfdt := box("tfdt", binary.BigEndian.AppendUint64([]byte{1, 0, 0, 0}, at)...)
	run := binary.BigEndian.AppendUint32([]byte{0, 0, 5, 0}, uint32(len(durations))) // duration and flags of each sample
	for i, d := range durations {
		run = binary.BigEndian.AppendUint32(run, d)
		var flags uint32
		if i > 0 || !sync {
			flags = 0x10000
		}
		run = binary.BigEndian.AppendUint32(run, flags)
	}
	return box("moof", box("traf", append(tfdt, box("trun", run...)...)...)...)
}

// TestBoxes compares the EXTINFs with the media.
func TestBoxes(t *testing.T) {
	mdhd := box("mdhd", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 232, 0, 0, 0, 0)
	init := box("moov", box("trak", box("mdia", mdhd...)...)...)
	for _, c := range []struct {
		name          string
		first, second []byte
		rules         []string
	}{
		{"good", segmentOf(0, true, 500, 500), segmentOf(1000, true, 500, 500), nil},
		{"hole", segmentOf(0, true, 40, 960), segmentOf(3000, true, 40, 960), []string{"extinf", "hole", "drift"}},
		{"overlap", segmentOf(0, true, 500, 520), segmentOf(1000, true, 500, 500), []string{"overlap"}},
		{"not independent", segmentOf(0, true, 500, 500), segmentOf(1000, false, 500, 500), []string{"independent", "independent"}},
		{"damaged", []byte{0, 0, 0, 4}, segmentOf(1000, true, 500, 500), []string{"boxes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := New()
			require.Equal(t, []string{"v0/index.m3u8"}, k.Multivariant("", "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\nv0/index.m3u8\n"))
			k.Playlist("v0", good)
			require.True(t, k.WantsInit("v0", "init-1.mp4"))
			k.Init("v0", "init-1.mp4", init)
			require.True(t, k.Wants("v0", 7))
			k.Segment("v0", 7, c.first)
			k.Segment("v0", 8, c.second)
			require.Equal(t, c.rules, rules(k))
		})
	}
}

// TestOverlap has a picture that comes late, behind a segment that sound has ended: it may begin late, but not before that segment's end.
func TestOverlap(t *testing.T) {
	mdhd := box("mdhd", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 232, 0, 0, 0, 0)
	late := strings.Replace(strings.ReplaceAll(good, "#EXT-X-PART:", "#IGNORED:"), "#EXTINF:1.00000,\nseg-1-7", "#EXTINF:1.48000,\nseg-1-7", 1)
	for second, want := range map[uint64][]string{1480: nil, 1700: nil, 1000: {"overlap"}} {
		k := New()
		k.Multivariant("", "#EXTM3U\nv0/index.m3u8\n")
		k.Playlist("v0", late)
		k.Init("v0", "init-1.mp4", box("moov", box("trak", box("mdia", mdhd...)...)...))
		k.Segment("v0", 7, segmentOf(0, true, 1480))
		k.Segment("v0", 8, segmentOf(second, true, 2000-uint32(second)))
		require.Equal(t, want, rules(k))
	}
}

// TestDrift has audio that is cut where the video is: early or late, but never further and further.
func TestDrift(t *testing.T) {
	mdhd := box("mdhd", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 232, 0, 0, 0, 0)
	for _, c := range []struct {
		second uint64
		rules  []string
	}{{1300, nil}, {700, nil}, {1800, []string{"drift"}}, {200, []string{"drift"}}} {
		k := New()
		k.Multivariant("", "#EXTM3U\na0/index.m3u8\nv0/index.m3u8\n")
		k.Playlist("a0", strings.ReplaceAll(good, "#EXT-X-PART:", "#IGNORED:"))
		k.Init("a0", "init-1.mp4", box("moov", box("trak", box("mdia", mdhd...)...)...))
		k.Segment("a0", 7, segmentOf(0, true, uint32(c.second)))
		k.Segment("a0", 8, segmentOf(c.second, true, 1000))
		require.Equal(t, c.rules, rules(k))
	}
}

// TestLeadBehindDiscontinuity: sound alone cuts by its own marks, until a discontinuity behind which video may come that is not listed yet.
func TestLeadBehindDiscontinuity(t *testing.T) {
	mdhd := box("mdhd", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 232, 0, 0, 0, 0)
	radio := strings.ReplaceAll(good, "#EXT-X-PART:", "#IGNORED:")
	for _, c := range []struct {
		list  string
		rules []string
	}{
		{radio, []string{"extinf", "drift"}},
		{strings.Replace(radio, "#EXT-X-DISCONTINUITY-SEQUENCE:0", "#EXT-X-DISCONTINUITY-SEQUENCE:1", 1), nil},
	} {
		k := New()
		k.Multivariant("", "#EXTM3U\na0/index.m3u8\n")
		k.Playlist("a0", c.list)
		k.Init("a0", "init-1.mp4", box("moov", box("trak", box("mdia", mdhd...)...)...))
		k.Segment("a0", 7, segmentOf(0, true, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100))
		k.Segment("a0", 8, segmentOf(1300, true, 100, 100, 100, 100, 100, 100, 100))
		require.Equal(t, c.rules, rules(k))
	}
}

// pes is a packet of a transport stream in which a PES packet begins, at a time in seconds.
func pes(pid byte, id byte, seconds uint64) []byte {
	at := seconds * 90000
	p := []byte{
		0x47, 0x40, pid, 0x30, 1, 0x40, 0, 0, 1, id, 0, 0, 0x80, 0x80, 5,
		0x21 | byte(at>>29&0xe), byte(at >> 22), byte(at>>14) | 1, byte(at >> 7), byte(at<<1) | 1,
	}
	return append(p, make([]byte, 188-len(p))...)
}

// TestSoundAlone: a segment of MPEG-TS that has lost its picture is no segment to play.
func TestSoundAlone(t *testing.T) {
	list := "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=6.0\n#EXT-X-MEDIA-SEQUENCE:7\n" +
		"#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n#EXTINF:1.00000,\nseg-1-7.ts\n#EXTINF:1.00000,\nseg-1-8.ts\n"
	for _, c := range []struct {
		name          string
		first, second byte // stream_id
		rules         []string
	}{{"picture", 0xe0, 0xe0, nil}, {"sound", 0xc0, 0xc0, nil}, {"the picture comes", 0xc0, 0xe0, nil}, {"the picture goes", 0xe0, 0xc0, []string{"gap"}}} {
		t.Run(c.name, func(t *testing.T) {
			k := New()
			k.Multivariant("ts/", "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\nmedia.m3u8\n")
			k.Playlist("ts/media", list)
			k.Segment("ts/media", 7, pes(64, c.first, 1))
			k.Segment("ts/media", 8, pes(65, c.second, 2))
			require.Equal(t, c.rules, rules(k))
		})
	}
}
