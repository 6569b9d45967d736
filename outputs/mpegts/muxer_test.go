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

// Parameter sets whose content the muxer does not read.
var (
	sps, pps           = []byte{0x67, 100, 0, 31, 1}, []byte{0x68, 2, 3}
	vps5, sps5, pps5   = []byte{0x40, 1, 9}, []byte{0x42, 1, 8}, []byte{0x44, 1, 7}
	idr, slice, slice5 = []byte{0x65, 1, 2, 3, 4}, []byte{0x41, 5, 6}, []byte{0x02, 1, 5, 6}
)

func prefixed(nals ...[]byte) (b []byte) {
	for _, n := range nals {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(n))), n...)
	}
	return b
}

func annexed(nals ...[]byte) (b []byte) {
	for _, n := range nals {
		b = append(append(b, 0, 0, 0, 1), n...)
	}
	return b
}

var (
	h264Track   = media.Track{Codec: media.H264, Config: prefixed(sps, pps)}
	h265Track   = media.Track{Codec: media.H265, Config: prefixed(vps5, sps5, pps5)}
	aacTrack    = media.Track{Codec: media.AAC, Config: []byte{0x11, 0x90}} // LC, 48 kHz, stereo
	opusTrack   = media.Track{Codec: media.Opus, Config: []byte{1, 2, 0x38, 1, 0x80, 0xbb, 0, 0, 0, 0, 0}}
	klvTrack    = media.Track{Codec: media.KLV}
	scte35Track = media.Track{Codec: media.SCTE35}
	mp2Track    = media.Track{Codec: media.MP2, Config: []byte{0xff, 0xfd, 0x84, 0}}
	mp2LowTrack = media.Track{Codec: media.MP2, Config: []byte{0xff, 0xf5, 0x84, 0}}
	ac3Track    = media.Track{Codec: media.AC3, Config: []byte{0x0b, 0x77, 0, 0, 0, 0, 0, 0}}
	eac3Track   = media.Track{Codec: media.EAC3, Config: []byte{0x0b, 0x77, 0, 0, 0, 0, 0, 0}}
)

// picture is a unit of H.264 whose one slice has size bytes.
func picture(dts, pts int64, random bool, size int) media.Packet {
	nal := slice
	if random {
		nal = idr
	}
	nal = slices.Concat(nal, bytes.Repeat([]byte{0xa5}, size))[:max(size, 2)]
	return media.Packet{DTS: dts, PTS: pts, RandomAccess: random, Payload: prefixed(nal)}
}

func newMuxer(t testing.TB, tracks ...media.Track) *Muxer {
	t.Helper()
	m, err := NewMuxer(tracks)
	require.NoError(t, err)
	return m
}

func write(t testing.TB, m *Muxer, p media.Packet) []byte {
	t.Helper()
	out, err := m.WritePacket(nil, &p)
	require.NoError(t, err)
	return out
}

func TestSupports(t *testing.T) {
	for _, c := range []media.Codec{media.H264, media.H265, media.AAC, media.MP2, media.MP3, media.AC3, media.EAC3, media.Opus, media.SCTE35, media.KLV} {
		require.True(t, Supports(c), c)
	}
	require.False(t, Supports("vp9"))
	require.False(t, Supports(""))
}

func TestTracksThatCantBeCarried(t *testing.T) {
	for _, c := range []struct {
		name  string
		track media.Track
	}{
		{"unknown codec", media.Track{Codec: "vp9"}},
		{"no AudioSpecificConfig", media.Track{Codec: media.AAC}},
		{"AudioSpecificConfig with its own rate", media.Track{Codec: media.AAC, Config: []byte{0x17, 0x80, 0, 0, 0, 0x10}}},
		{"AAC object type that ADTS can't tell", media.Track{Codec: media.AAC, Config: []byte{0xb9, 0x90}}},
		{"no OpusHead", media.Track{Codec: media.Opus}},
		{"cut parameter set", media.Track{Codec: media.H264, Config: []byte{0, 0, 0, 9, 0x67}}},
		{"empty parameter set", media.Track{Codec: media.H265, Config: []byte{0, 0, 0, 0, 0x67}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewMuxer([]media.Track{c.track})
			require.ErrorIs(t, err, ErrNoTracks)

			m := newMuxer(t, c.track, mp2Track)
			out, err := m.WritePacket([]byte("before"), &media.Packet{Payload: []byte{1}})
			require.NoError(t, err)
			require.Equal(t, "before", string(out), "its packets are left out")
			require.NotEmpty(t, write(t, m, media.Packet{Track: 1, Payload: []byte{0xff, 0xfd}}))
		})
	}
	_, err := NewMuxer(nil)
	require.ErrorIs(t, err, ErrNoTracks)
}

func TestUnits(t *testing.T) {
	big := bytes.Repeat([]byte{7}, 600)
	aud, aud5 := []byte{9, 0xf0}, []byte{70, 1, 0x50}
	for _, c := range []struct {
		name    string
		track   media.Track
		random  bool
		payload []byte
		want    []byte
	}{
		{"h264", h264Track, false, prefixed(slice), annexed(aud, slice)},
		{"h264 random access without sets", h264Track, true, prefixed(idr), annexed(aud, sps, pps, idr)},
		{"h264 random access with sets", h264Track, true, prefixed(sps, pps, idr), annexed(aud, sps, pps, idr)},
		{"h264 random access with one set", h264Track, true, prefixed(sps, idr), annexed(aud, sps, pps, sps, idr)},
		{"h264 of many NAL units", h264Track, false, prefixed(slice, idr, big, slice, big), annexed(aud, slice, idr, big, slice, big)},
		{"h265", h265Track, false, prefixed(slice5), annexed(aud5, slice5)},
		{"h265 random access without sets", h265Track, true, prefixed(slice5), annexed(aud5, vps5, sps5, pps5, slice5)},
		{"h265 random access without VPS", h265Track, true, prefixed(sps5, pps5, slice5), annexed(aud5, vps5, sps5, pps5, sps5, pps5, slice5)},
		{"h265 random access with sets", h265Track, true, prefixed(vps5, sps5, pps5, slice5), annexed(aud5, vps5, sps5, pps5, slice5)},
		{"aac", aacTrack, true, big, append([]byte{0xff, 0xf1, 0x4c, 0x80, 0x4b, 0xff, 0xfc}, big...)},
		{"opus", opusTrack, true, big, append([]byte{0x7f, 0xe0, 255, 255, 90}, big...)},
		{"opus of 255 bytes", opusTrack, true, big[:255], append([]byte{0x7f, 0xe0, 255, 0}, big[:255]...)},
		{"mp2", mp2Track, true, big, big},
		{"klv", klvTrack, true, big, big},
		{"klv of one byte", klvTrack, true, big[:1], big[:1]},
		{"largest klv", klvTrack, true, make([]byte, maxPES), make([]byte, maxPES)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMuxer(t, c.track)
			write(t, m, media.Packet{DTS: 900, PTS: 900, RandomAccess: true, Payload: prefixed(slice)})
			all := parsePackets(t, write(t, m, media.Packet{DTS: 900, PTS: 4500, RandomAccess: c.random, Payload: c.payload}))
			got := parsePES(t, all, firstPID)
			require.Len(t, got, 1)
			require.Equal(t, pes{firstPID, 4500, 900, c.random, c.want}, got[0])
		})
	}
}

// TestStartCodesAcrossPackets moves a NAL unit's length over every place in the packets.
func TestStartCodesAcrossPackets(t *testing.T) {
	m := newMuxer(t, h264Track)
	write(t, m, picture(0, 0, true, 100))
	for size := 1; size < 600; size++ {
		first, last := bytes.Repeat([]byte{0x41}, size), bytes.Repeat([]byte{0x42}, 1+size%7)
		payload := prefixed(first, last, last)
		before := bytes.Clone(payload)
		all := parsePackets(t, write(t, m, media.Packet{DTS: int64(size), PTS: int64(size), Payload: payload}))
		require.Equal(t, before, payload, "the payload is the caller's")
		got := parsePES(t, all, firstPID)
		require.Equal(t, annexed([]byte{9, 0xf0}, first, last, last), got[0].data, "%d bytes", size)
	}
}

func TestSections(t *testing.T) {
	m := newMuxer(t, h264Track, scte35Track)
	write(t, m, picture(0, 0, true, 50))
	for _, size := range []int{4, 183, 184, 200, 1000, ts.MaxSectionSize} {
		b := []byte{ts.TableSCTE35, 0x80 | 0x30 | byte((size-3)>>8), byte(size - 3)}
		b = append(b, make([]byte, size-3)...)
		if size >= 12 {
			binary.BigEndian.PutUint32(b[size-4:], ts.CRC32(b[:size-4]))
		}
		all := parsePackets(t, write(t, m, media.Packet{Track: 1, DTS: 90, PTS: 90, Payload: b}))
		var got []byte
		for _, p := range all {
			require.Equal(t, uint16(firstPID+1), p.pid)
			if p.start {
				require.Zero(t, p.payload[0])
				p.payload = p.payload[1:]
			}
			got = append(got, p.payload...)
		}
		require.Equal(t, b, got[:size])
		require.Equal(t, bytes.Repeat([]byte{0xff}, len(got)-size), got[size:])
	}
}

func TestMalformedUnits(t *testing.T) {
	for _, c := range []struct {
		name    string
		track   media.Track
		payload []byte
	}{
		{"no NAL unit", h264Track, nil},
		{"length cut", h264Track, []byte{0, 0, 0}},
		{"length alone", h264Track, []byte{0, 0, 0, 1}},
		{"length of 0", h264Track, append(prefixed(slice), 0, 0, 0, 0, 1)},
		{"length over the end", h264Track, append(prefixed(slice), 0, 0, 0, 9, 1, 2)},
		{"length one over the end", h264Track, []byte{0, 0, 0, 3, 1, 2}},
		{"length with the top bit", h264Track, []byte{0xff, 0xff, 0xff, 0xff, 1, 2}},
		{"bytes behind the last", h265Track, append(prefixed(slice5), 0)},
		{"empty aac", aacTrack, nil},
		{"aac over 13 bits", aacTrack, make([]byte, 8185)},
		{"empty opus", opusTrack, nil},
		{"opus over a PES", opusTrack, make([]byte, 65500)},
		{"huge opus", opusTrack, make([]byte, 1<<20)},
		{"klv over a PES", klvTrack, make([]byte, maxPES+1)},
		{"mp2 over a PES", mp2Track, make([]byte, 1<<17)},
		{"section of 2 bytes", scte35Track, []byte{0xfc, 0x30}},
		{"section over 4096 bytes", scte35Track, make([]byte, 4097)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMuxer(t, c.track, mp2Track)
			good := media.Packet{Track: 1, Payload: []byte{1, 2, 3}}
			out := write(t, m, good)
			n := len(out)
			out, err := m.WritePacket(out, &media.Packet{DTS: 200, PTS: 200, RandomAccess: true, Payload: c.payload})
			require.ErrorIs(t, err, ErrMalformed)
			require.Len(t, out, n, "nothing is written")
			out, err = m.WritePacket(out, &good)
			require.NoError(t, err)
			checkContinuity(t, parsePackets(t, out), true)
		})
	}
	m := newMuxer(t, h264Track)
	for _, track := range []int{-1, 1, 1 << 30} {
		_, err := m.WritePacket(nil, &media.Packet{Track: track, Payload: prefixed(slice)})
		require.ErrorIs(t, err, ErrMalformed)
	}
}

// TestReset has rule (f) of the design: tables first, counters at 0, and the mark on each PID's first packet.
func TestReset(t *testing.T) {
	m := newMuxer(t, h264Track, aacTrack, scte35Track)
	section := []byte{ts.TableSCTE35, 0x30, 1, 0}
	for segment := range int64(3) {
		if segment > 0 {
			m.Reset() // a new muxer needs none
		}
		var out []byte
		var err error
		// The second segment begins with sound, so that the first packet of the video PID has nothing but PCR.
		order := []int{0, 1, 0, 1, 2, 0, 1}
		if segment == 1 {
			order = []int{1, 0, 1, 2, 0, 1}
		}
		for i, track := range order {
			p := picture(segment*90000+int64(i)*1800, segment*90000+int64(i)*1800, i == 0, 700)
			if track > 0 {
				p.Payload = section
			}
			p.Track = track
			out, err = m.WritePacket(out, &p)
			require.NoError(t, err)
		}
		all := parsePackets(t, out)
		checkContinuity(t, all, true)
		require.Equal(t, []uint16{ts.PIDPAT, pmtPID}, []uint16{all[0].pid, all[1].pid})
		require.Equal(t, pcrAt(segment*90000), all[2].pcr, "the clock is told at once")
		var pids []uint16
		for _, p := range all {
			if !slices.Contains(pids, p.pid) {
				pids = append(pids, p.pid)
			}
		}
		require.ElementsMatch(t, []uint16{ts.PIDPAT, pmtPID, firstPID, firstPID + 1, firstPID + 2}, pids)
	}
}

// TestSetsWithoutRandomAccessPoint has a segment that begins within a group of pictures, with sound: its first picture has parameter sets all the
// same, and only that.
func TestSetsWithoutRandomAccessPoint(t *testing.T) {
	m := newMuxer(t, h264Track, aacTrack)
	for segment := range int64(3) {
		m.Reset()
		out := write(t, m, media.Packet{Track: 1, DTS: segment * 90000, PTS: segment * 90000, RandomAccess: true, Payload: []byte{1, 2}})
		for i := range int64(2) {
			out = append(out, write(t, m, media.Packet{DTS: segment*90000 + i*3000, PTS: segment*90000 + i*3000, Payload: prefixed(slice)})...)
		}
		got := parsePES(t, parsePackets(t, out), firstPID)
		require.Len(t, got, 2)
		require.Equal(t, annexed([]byte{9, 0xf0}, sps, pps, slice), got[0].data)
		require.Equal(t, annexed([]byte{9, 0xf0}, slice), got[1].data)
	}
}

func TestSameSegmentSameBytes(t *testing.T) {
	m := newMuxer(t, h264Track, aacTrack)
	segment := func() []byte {
		m.Reset()
		var out []byte
		for i := range int64(30) {
			p := picture(i*3000, i*3000, i == 0, 900)
			if i%3 == 2 {
				p.Track = 1
			}
			out, _ = m.WritePacket(out, &p)
		}
		return out
	}
	require.True(t, bytes.Equal(segment(), segment()))
}

func TestTimes(t *testing.T) {
	mask := int64(1<<33 - 1)
	for _, c := range []struct {
		name     string
		dts, pts int64
	}{
		{"zero", 0, 0},
		{"picture without reordering", 3600, 3600},
		{"B-frames", 3600, 10800},
		{"before the wrap", mask, mask},
		{"PTS over the wrap", mask - 100, mask + 3500},
		{"after the wrap", mask + 1, mask + 3600},
		{"days on", 5<<33 + 77, 5<<33 + 80},
		{"negative", -7200, -3600},
		{"PTS over zero", -3600, 3600},
		{"far below zero", -3<<33 - 5, -3 << 33},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMuxer(t, h264Track)
			all := parsePackets(t, write(t, m, picture(c.dts, c.pts, true, 300)))
			got := parsePES(t, all, firstPID)[0]
			require.Equal(t, c.pts&mask, got.pts)
			require.Equal(t, c.dts&mask, got.dts)
			require.Equal(t, (c.dts-muxDelay)&mask, all[2].pcr)
		})
	}
}

// TestClockAndTables has units near and far apart: PCR at most 100 ms apart, tables at most 500 ms, whatever comes.
func TestClockAndTables(t *testing.T) {
	ms := func(n int64) int64 { return n * 90 }
	for _, c := range []struct {
		name   string
		start  int64
		video  int64 // between pictures, 0 for none
		audio  int64
		random int64 // a random access point every so many pictures, 0 for none but the first
	}{
		{"25 fps and sound", 0, ms(40), 1920, 25},
		{"60 fps", 0, 1500, 0, 60},
		{"50 fps, one random access point", 0, ms(20), 0, 0},
		{"sound alone", 12345, 0, 1920, 0},
		{"10 fps", 0, ms(100), 0, 10},
		{"9 fps", 0, 10000, 0, 9},
		{"5 fps", 0, ms(200), 0, 0},
		{"1 fps", 0, ms(1000), 0, 0},
		{"a picture in 9 s", 0, ms(9000), 0, 1},
		{"1 fps and sound", 0, ms(1000), 2160, 5},
		{"over the wrap", 1<<33 - 90000, ms(40), 1920, 25},
		{"slow over the wrap", 1<<33 - 90000, ms(700), 0, 0},
		{"from below zero", -90000, ms(40), 1920, 25},
	} {
		t.Run(c.name, func(t *testing.T) {
			tracks := []media.Track{h264Track, aacTrack}
			if c.video == 0 {
				tracks[0] = ac3Track // carried, but silent
				tracks = tracks[1:]
			}
			m := newMuxer(t, tracks...)
			w := clockWatch{last: -1, pats: -1}
			length := max(3*90000, 4*c.video)
			var random int64
			for at := int64(0); at < length; at++ {
				if c.video > 0 && at%c.video == 0 {
					isRandom := random == 0
					if random++; random == c.random {
						random = 0
					}
					w.take(t, write(t, m, picture(c.start+at, c.start+at, isRandom, 300)), c.start+at, isRandom)
				}
				if c.audio > 0 && at%c.audio == 0 {
					p := media.Packet{Track: len(tracks) - 1, DTS: c.start + at, PTS: c.start + at, RandomAccess: true, Payload: make([]byte, 250)}
					w.take(t, write(t, m, p), c.start+at, false)
				}
			}
			require.Greater(t, w.n, int((length-c.video)/9000))
		})
	}
}

// clockWatch watches the PCR and the tables of a stream.
type clockWatch struct {
	last, pats int64 // latest PCR, and the clock when PAT came last, relative to the first; -1 before the first
	first      int64
	n          int
}

func (w *clockWatch) take(t *testing.T, b []byte, dts int64, random bool) {
	t.Helper()
	all := parsePackets(t, b)
	tables := false
	for i, p := range all {
		switch {
		case p.pid == ts.PIDPAT:
			require.Equal(t, uint16(pmtPID), all[i+1].pid)
			tables = true
			now := int64(0)
			if w.last >= 0 {
				now = w.last
			}
			if w.pats >= 0 {
				require.LessOrEqual(t, now-w.pats, int64(500*90), "tables")
			}
			w.pats = now
		case p.pcr >= 0:
			if w.last < 0 {
				w.first, w.last = p.pcr, 0
			}
			now := (p.pcr - w.first) & (1<<33 - 1)
			require.LessOrEqual(t, now-w.last, int64(100*90), "PCR")
			require.GreaterOrEqual(t, now, w.last, "PCR runs forward")
			w.last = now
			w.n++
		}
	}
	require.True(t, !random || tables, "tables at a random access point")
	// What was told last is not later than the unit's bytes are said to arrive, and not long before.
	lag := (dts - muxDelay - w.first - w.last) & (1<<33 - 1)
	require.Less(t, lag, int64(100*90))
}

func TestJumpOfTheClock(t *testing.T) {
	m := newMuxer(t, h264Track)
	write(t, m, picture(0, 0, true, 10))
	for _, dts := range []int64{1 << 40, 0, -1 << 40, 1<<63 - 1, -1 << 63, 0} {
		out := write(t, m, picture(dts, dts, false, 10))
		require.LessOrEqual(t, len(out), 10*188, "a jump is not filled")
	}
}

// TestRoles: what is told of audio stands in its descriptors.
func TestRoles(t *testing.T) {
	for role, want := range map[media.TrackRole]string{
		"": "\x0A\x04deu\x00", media.TrackDescription: "\x0A\x04deu\x03\x7F\x02\x06\x86", media.TrackNarration: "\x0A\x04deu\x03\x7F\x02\x06\x06",
		media.TrackHearing: "\x0A\x04deu\x02\x7F\x02\x06\x8A", media.TrackSubtitles: "\x0A\x04deu\x00\x7F\x02\x06\x8E",
	} {
		e := elementary{track: media.Track{Codec: media.AAC, Language: "deu", Role: role}}
		require.Equal(t, want, string(e.descriptors()), role)
	}
	dovi := elementary{track: media.Track{Codec: media.H265, DolbyVision: []byte{1, 0, 0x10, 0x3d, 0x40}}}
	require.Equal(t, "\x05\x04HEVC\xB0\x05\x01\x00\x10\x3D\x40", string(dovi.descriptors()))
	e := elementary{track: media.Track{Codec: media.AAC, Role: media.TrackHearing}}
	require.Equal(t, "\x0A\x04und\x02\x7F\x02\x06\x8A", string(e.descriptors()))
}

func TestTables(t *testing.T) {
	lang := func(tr media.Track, l string, pid uint16) media.Track {
		tr.Language, tr.PID = l, pid
		return tr
	}
	tracks := []media.Track{
		lang(h264Track, "", 0x31), lang(h265Track, "", pmtPID), lang(aacTrack, "eng", 0x101), lang(mp2Track, "fra", 0x101), lang(mp2LowTrack, "", 5),
		ac3Track, eac3Track, opusTrack, klvTrack, scte35Track,
	}
	m := newMuxer(t, tracks...)
	all := parsePackets(t, m.writeTables(nil))
	pat := sections(t, all, ts.PIDPAT)
	require.Len(t, pat, 1)
	for program, pid := range pat[0].Programs() {
		require.Equal(t, []uint16{1, pmtPID}, []uint16{program, pid})
	}
	pmts := sections(t, all, pmtPID)
	require.Len(t, pmts, 1)
	require.True(t, pmts[0].Current)
	pmt, err := ts.ParsePMT(&pmts[0])
	require.NoError(t, err)
	require.Equal(t, uint16(0x31), pmt.PCRPID)
	require.Equal(t, uint32(ts.FormatCUEI), pmt.Descriptors.Format())
	var got []string
	for e := range pmt.Elements() {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%#x %#x %#x %s", e.Type, e.PID, e.Descriptors.Format(), e.Descriptors.Language())))
		if e.Descriptors.Format() == ts.FormatOpus {
			d, _ := e.Descriptors.Find(ts.DescriptorExtension)
			require.Equal(t, []byte{ts.ExtensionOpus, 2}, d)
		}
	}
	require.Equal(t, strings.Split(strings.TrimSpace(`
0x1b 0x31 0x0
0x24 0x100 0x48455643
0xf 0x101 0x0 eng
0x3 0x102 0x0 fra
0x4 0x103 0x0
0x81 0x104 0x41432d33
0x87 0x105 0x45414333
0x6 0x106 0x4f707573
0x6 0x107 0x4b4c5641
0x86 0x108 0x0`), "\n"), got)
}

// TestManyTracks has a program map that takes more than one packet.
func TestManyTracks(t *testing.T) {
	var tracks []media.Track
	for i := range media.MaxTracks {
		tr := opusTrack
		tr.Language = string([]byte{'a', 'a' + byte(i%26), 'a' + byte(i/26)})
		tracks = append(tracks, tr)
	}
	for n := 1; n <= len(tracks); n++ {
		m := newMuxer(t, tracks[:n]...)
		for range 3 {
			all := parsePackets(t, write(t, m, media.Packet{Payload: []byte{1}}))
			checkContinuity(t, all, true)
			pmts := sections(t, all, pmtPID)
			require.Len(t, pmts, 1)
			pmt, err := ts.ParsePMT(&pmts[0])
			require.NoError(t, err)
			require.Len(t, slices.Collect(pmt.Elements()), n)
			m.Reset()
		}
	}
}

func TestVersionsOfTwoEpochsDiffer(t *testing.T) {
	version := func(tracks ...media.Track) uint8 {
		return sections(t, parsePackets(t, newMuxer(t, tracks...).writeTables(nil)), pmtPID)[0].Version
	}
	require.Equal(t, version(h264Track, aacTrack), version(h264Track, aacTrack))
	require.NotEqual(t, version(h264Track, aacTrack), version(h264Track, mp2Track))
}

// TestClockOfSections has a program of nothing but splice messages: its clock is told too.
func TestClockOfSections(t *testing.T) {
	m := newMuxer(t, scte35Track)
	all := parsePackets(t, write(t, m, media.Packet{DTS: 90000, Payload: []byte{0xfc, 0x30, 1, 0}}))
	require.Equal(t, pcrAt(90000), all[2].pcr)
	checkContinuity(t, all, true)
}
