package hls

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
	"brume/media/scte35"
	"brume/test/hlscheck"
)

// atOnce stands for a splice time that is not told.
const atOnce = int64(-1)

// section makes a splice_info_section without a checksum.
func section(adjustment int64, command, descriptors []byte) []byte {
	b := []byte{0xfc, 0, 0, 0, byte(adjustment >> 32)}
	b = binary.BigEndian.AppendUint32(b, uint32(adjustment))
	b = append(b, 0, 0xff, 0xf0, byte(len(command)-1))
	b = binary.BigEndian.AppendUint16(append(b, command...), uint16(len(descriptors)))
	b = append(append(b, descriptors...), 0, 0, 0, 0)
	b[1], b[2] = 0x30|byte((len(b)-3)>>8), byte(len(b)-3)
	return b
}

func bits33(prefix byte, v int64) []byte {
	return binary.BigEndian.AppendUint32([]byte{prefix | byte(v>>32)&1}, uint32(v))
}

// insert is a splice_insert; at and duration are in ticks, and duration is 0 where it is not told.
func insert(id uint32, out bool, at, duration int64, returns bool) []byte {
	b := binary.BigEndian.AppendUint32([]byte{scte35.Insert}, id)
	flags := byte(0x4f)
	if out {
		flags |= 0x80
	}
	if duration > 0 {
		flags |= 0x20
	}
	if at == atOnce {
		flags |= 0x10
	}
	b = append(b, 0x7f, flags)
	if at != atOnce {
		b = append(b, bits33(0xfe, at)...)
	}
	if duration > 0 {
		prefix := byte(0x7e)
		if returns {
			prefix = 0xfe
		}
		b = append(b, bits33(prefix, duration)...)
	}
	return section(0, append(b, 0, 1, 0, 0), nil)
}

func cancelInsert(id uint32) []byte {
	return section(0, append(binary.BigEndian.AppendUint32([]byte{scte35.Insert}, id), 0xff), nil)
}

// signal is a time_signal.
func signal(at int64, descriptors ...[]byte) []byte {
	command := []byte{scte35.TimeSignal, 0x7f}
	if at != atOnce {
		command = append(command[:1], bits33(0xfe, at)...)
	}
	var all []byte
	for _, d := range descriptors {
		all = append(all, d...)
	}
	return section(0, command, all)
}

// segmentation is a segmentation_descriptor; kind 0xffff is one that cancels.
func segmentation(id uint32, kind uint16, duration int64) []byte {
	b := binary.BigEndian.AppendUint32([]byte{2, 0, 'C', 'U', 'E', 'I'}, id)
	switch {
	case kind == 0xffff:
		b = append(b, 0xff)
	case duration > 0:
		b = append(binary.BigEndian.AppendUint32(append(b, 0x7f, 0xff, byte(duration>>32)), uint32(duration)), 0, 0, byte(kind), 0, 0)
	default:
		b = append(b, 0x7f, 0xbf, 0, 0, byte(kind), 0, 0)
	}
	b[1] = byte(len(b) - 2)
	return b
}

const second = int64(media.ClockRate)

// told is a command, or nothing but the time that passes; at is in ticks, and so is the wall clock.
type told struct {
	at      int64
	section []byte
}

// attributesOf splits what date ranges say, by ID.
func attributesOf(t testing.TB, playlist string) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for line := range strings.Lines(playlist) {
		list, ok := strings.CutPrefix(strings.TrimSpace(line), "#EXT-X-DATERANGE:")
		if !ok {
			continue
		}
		one := map[string]string{}
		for pair := range strings.SplitSeq(list, ",") {
			name, value, _ := strings.Cut(pair, "=")
			require.NotContains(t, one, name)
			one[name] = value
		}
		require.NotContains(t, all, one["ID"])
		all[one["ID"]] = one
	}
	return all
}

// tell feeds commands to date ranges and returns what they list in the end. What was listed never changes on the way.
func tell(t *testing.T, all []told) string {
	t.Helper()
	var d dateRanges
	was := map[string]map[string]string{}
	list := ""
	for i, c := range all {
		changes := d.changes
		wall := int64(media.Duration(c.at))
		d.pass(wall)
		if len(c.section) > 0 {
			e := buffer.Entry{Seq: uint64(i), Epoch: 1, DTS: c.at, PTS: c.at, Wall: wall, Length: len(c.section)}
			d.add(&e, func() ([]byte, error) { return c.section, nil })
		}
		w := &text{}
		d.write(w, 0)
		require.Equal(t, string(w.b) != list, d.changes != changes, "players are told of what changes, and of nothing else")
		list = string(w.b)
		is := attributesOf(t, list)
		for id, attributes := range is {
			for name, value := range was[id] {
				require.Equal(t, value, attributes[name], "%s of %s", name, id)
			}
			was[id] = attributes
		}
	}
	return list
}

// ranged writes what a test expects: `ID start end planned CMD|OUT|IN...`, times in seconds; the sections are given behind it.
func ranged(id string, start, end, planned float64, sections ...any) string {
	at := func(s float64) string { return time.UnixMilli(int64(s * 1000)).UTC().Format(timeFormat) }
	line := fmt.Sprintf(`#EXT-X-DATERANGE:ID="scte35-1-%s",START-DATE="%s"`, id, at(start))
	if end >= 0 {
		line += fmt.Sprintf(`,END-DATE="%s",DURATION=%.3f`, at(end), end-start)
	}
	if planned > 0 {
		line += fmt.Sprintf(",PLANNED-DURATION=%.5f", planned)
	}
	for i := 0; i < len(sections); i += 2 {
		line += fmt.Sprintf(",SCTE35-%s=0x%X", sections[i], sections[i+1])
	}
	return line + "\n"
}

func TestDateRanges(t *testing.T) {
	const s = second
	out10, in16 := insert(1, true, 10*s, 6*s, false), insert(1, false, 16*s, 0, false)
	outNow, inNow := insert(7, true, atOnce, 0, false), insert(7, false, atOnce, 0, false)
	returns := insert(2, true, 10*s, 6*s, true)
	adStart, adEnd := signal(10*s, segmentation(9, 0x34, 20*s)), signal(30*s, segmentation(9, 0x35, 0))
	both := signal(10*s, segmentation(5, 0x22, 60*s), segmentation(5, 0x30, 30*s))
	programs := signal(10*s, segmentation(3, 0x11, 0), segmentation(4, 0x10, 0))
	encrypted := section(0, []byte{0x12, 0x34, 0x56, 0x78}, nil)
	encrypted[4] |= 0x80
	broken := section(0, []byte{scte35.Insert, 0, 0, 0, 1}, nil)
	shifted := insert(1, true, 10*s, 0, false)
	copy(shifted[4:], bits33(0, 2*s))
	for _, c := range []struct {
		name string
		told []told
		want string
	}{
		{"out is announced", []told{{6 * s, out10}}, ranged("900000-1", 10, -1, 6, "OUT", out10)},
		{"out and in", []told{{6 * s, out10}, {14 * s, in16}}, ranged("900000-1", 10, 16, 6, "OUT", out10, "IN", in16)},
		{"each told three times", []told{{6 * s, out10}, {7 * s, out10}, {11 * s, out10}, {14 * s, in16}, {15 * s, in16}, {17 * s, in16}}, ranged("900000-1", 10, 16, 6, "OUT", out10, "IN", in16)},
		{"longer than planned, and does not return by itself", []told{{6 * s, out10}, {40 * s, nil}}, ranged("900000-1", 10, -1, 6, "OUT", out10)},
		{"at once", []told{{5 * s, outNow}, {6 * s, outNow}, {9 * s, inNow}, {10 * s, inNow}}, ranged("450000-7", 5, 9, 0, "OUT", outNow, "IN", inNow)},
		{"two breaks with one ID", []told{{5 * s, outNow}, {9 * s, inNow}, {20 * s, outNow}}, ranged("450000-7", 5, 9, 0, "OUT", outNow, "IN", inNow) + ranged("1800000-7", 20, -1, 0, "OUT", outNow)},
		{"returns by itself, not yet", []told{{6 * s, returns}, {16*s - 1, nil}}, ranged("900000-2", 10, -1, 6, "OUT", returns)},
		{"returns by itself", []told{{6 * s, returns}, {16 * s, nil}}, ranged("900000-2", 10, 16, 6, "OUT", returns)},
		{"returns by itself, and is told to", []told{{6 * s, returns}, {16 * s, nil}, {16 * s, insert(2, false, atOnce, 0, false)}}, ranged("900000-2", 10, 16, 6, "OUT", returns, "IN", insert(2, false, atOnce, 0, false))},
		{"is told to return early", []told{{6 * s, returns}, {13 * s, insert(2, false, atOnce, 0, false)}, {16 * s, nil}}, ranged("900000-2", 10, 13, 6, "OUT", returns, "IN", insert(2, false, atOnce, 0, false))},
		{"made longer while it lasts", []told{{6 * s, returns}, {12 * s, insert(2, true, 10*s, 8*s, true)}, {16 * s, nil}, {18 * s, nil}}, ranged("900000-2", 10, 18, 6, "OUT", returns)},
		{"duration told later", []told{{6 * s, insert(1, true, 10*s, 0, false)}, {7 * s, out10}}, ranged("900000-1", 10, -1, 6, "OUT", insert(1, true, 10*s, 0, false))},
		{"moved", []told{{6 * s, out10}, {7 * s, insert(1, true, 12*s, 0, false)}}, ranged("1080000-1", 12, -1, 0, "OUT", insert(1, true, 12*s, 0, false))},
		{"moved to now", []told{{6 * s, out10}, {7 * s, insert(1, true, atOnce, 0, false)}}, ranged("630000-1", 7, -1, 0, "OUT", insert(1, true, atOnce, 0, false))},
		{"cancelled", []told{{6 * s, out10}, {8 * s, cancelInsert(1)}}, ""},
		{"cancelled when it had begun", []told{{6 * s, out10}, {11 * s, cancelInsert(1)}}, ranged("900000-1", 10, -1, 6, "OUT", out10)},
		{"another is cancelled", []told{{6 * s, out10}, {8 * s, cancelInsert(2)}, {8 * s, signal(atOnce, segmentation(1, 0xffff, 0))}}, ranged("900000-1", 10, -1, 6, "OUT", out10)},
		{"in alone", []told{{14 * s, in16}, {15 * s, in16}}, ranged("1440000-1", 16, 16, 0, "IN", in16)},
		{"in with another ID", []told{{6 * s, out10}, {14 * s, insert(33, false, 16*s, 0, false)}}, ranged("900000-1", 10, 16, 6, "OUT", out10, "IN", insert(33, false, 16*s, 0, false))},
		{"the next break is announced before this one ends", []told{{6 * s, out10}, {13 * s, insert(1, true, 30*s, 0, false)}, {14 * s, in16}}, ranged("900000-1", 10, 16, 6, "OUT", out10, "IN", in16) + ranged("2700000-1", 30, -1, 0, "OUT", insert(1, true, 30*s, 0, false))},
		{"pts_adjustment", []told{{6 * s, shifted}}, ranged("1080000-1", 12, -1, 0, "OUT", shifted)},
		{"time_signal pair", []told{{6 * s, adStart}, {6 * s, adStart}, {28 * s, adEnd}, {29 * s, adEnd}}, ranged("900000-9-34", 10, 30, 20, "OUT", adStart, "IN", adEnd)},
		{"two types with one ID in one section", []told{{6 * s, both}, {39 * s, signal(40*s, segmentation(5, 0x31, 0))}}, ranged("900000-5-22", 10, -1, 60, "OUT", both) + ranged("900000-5-30", 10, 40, 30, "OUT", both, "IN", signal(40*s, segmentation(5, 0x31, 0)))},
		{"segments that lead nowhere", []told{{6 * s, programs}, {7 * s, programs}}, ranged("900000-3-11", 10, -1, 0, "CMD", programs) + ranged("900000-4-10", 10, -1, 0, "CMD", programs)},
		{"segmentation cancelled", []told{{6 * s, both}, {6 * s, adStart}, {7 * s, signal(atOnce, segmentation(5, 0xffff, 0))}}, ranged("900000-9-34", 10, -1, 20, "OUT", adStart)},
		{"time_signal without a segment", []told{{6 * s, signal(8 * s)}, {7 * s, signal(8 * s)}, {8 * s, signal(atOnce)}}, ranged("0", 8, -1, 0, "CMD", signal(8*s)) + ranged("2", 8, -1, 0, "CMD", signal(atOnce))},
		{"encrypted", []told{{6 * s, encrypted}}, ranged("0", 6, -1, 0, "CMD", encrypted)},
		{"broken", []told{{6 * s, broken}}, ranged("0", 6, -1, 0, "CMD", broken)},
		{"nothing said", []told{{6 * s, section(0, []byte{scte35.Null}, nil)}, {6 * s, section(0, []byte{scte35.BandwidthReservation}, nil)}, {6 * s, out10[:14]}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, tell(t, c.told)) })
	}
}

// TestSpliceTimeWraps has a splice time behind the end of 33 bits, and one of before it.
func TestSpliceTimeWraps(t *testing.T) {
	const wrap = int64(1) << 33
	out, back := insert(1, true, second, 0, false), insert(1, false, wrap-second, 0, false)
	e := buffer.Entry{Epoch: 1, DTS: 3*wrap - second, PTS: 3*wrap - second, Wall: 100e9, Length: len(out)}
	var d dateRanges
	d.add(&e, func() ([]byte, error) { return out, nil })
	require.InDelta(t, 102e9, d.list[0].start, 1)
	e.DTS, e.PTS, e.Wall = 3*wrap+second, 3*wrap+second, 102e9
	d.add(&e, func() ([]byte, error) { return back, nil })
	require.InDelta(t, 100e9, d.list[1].end, 1, "before the break, which it can't end")
}

// TestLengthOfBreak has a wall clock that is bent, and one break over two epochs.
func TestLengthOfBreak(t *testing.T) {
	for epoch, want := range map[uint64]int64{1: 106e9, 2: 107e9} {
		var d dateRanges
		give := func(e buffer.Entry, b []byte) {
			e.Length = len(b)
			d.add(&e, func() ([]byte, error) { return b, nil })
		}
		give(buffer.Entry{Epoch: 1, DTS: 10 * second, PTS: 10 * second, Wall: 100e9}, insert(1, true, 10*second, 0, false))
		give(buffer.Entry{Epoch: epoch, DTS: 16 * second, PTS: 16 * second, Wall: 107e9}, insert(1, false, 16*second, 0, false))
		require.Len(t, d.list, 1)
		require.InDelta(t, want, d.list[0].end, 1, epoch)
	}
}

// TestDateRangesEnd has what leaves the playlist, and when.
func TestDateRangesEnd(t *testing.T) {
	const s = second
	for _, c := range []struct {
		name string
		told []told
		gone int64 // seconds: the first at which all is gone; 0: never
	}{
		{"a moment", []told{{0, signal(8*s, segmentation(1, 0x10, 0))}}, 9},
		{"a pair", []told{{0, insert(1, true, 10*s, 6*s, false)}, {0, insert(1, false, 18*s, 0, false)}}, 19},
		{"planned", []told{{0, insert(1, true, 10*s, 6*s, false)}}, 17},
		{"returns by itself", []told{{0, insert(1, true, 10*s, 6*s, true)}}, 17},
		{"no end", []told{{0, insert(1, true, 10*s, 0, false)}}, 0},
		{"no end, but another break", []told{{0, insert(1, true, 10*s, 0, false)}, {0, insert(2, true, 20*s, s, false)}}, 22},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d dateRanges
			for i, x := range c.told {
				e := buffer.Entry{Seq: uint64(i), Epoch: 1, DTS: x.at, PTS: x.at, Wall: int64(media.Duration(x.at)), Length: len(x.section)}
				d.add(&e, func() ([]byte, error) { return x.section, nil })
			}
			for at := int64(1); at < 40; at++ {
				w := &text{}
				d.write(w, at*1e9)
				require.Equal(t, c.gone > 0 && at >= c.gone, len(w.b) == 0, "at %d", at)
				copied := d.clone()
				copied.prune(at * 1e9)
				require.Equal(t, c.gone > 0 && at >= c.gone, len(copied.list) == 0)
			}
		})
	}
}

// TestDateRangesBound floods with commands: the newest are kept.
func TestDateRangesBound(t *testing.T) {
	var d dateRanges
	give := func(n int, b []byte) {
		e := buffer.Entry{Seq: uint64(n), Epoch: 1, DTS: int64(n), PTS: int64(n), Wall: int64(n), Length: len(b)}
		d.add(&e, func() ([]byte, error) { return b, nil })
	}
	for n := range 100 {
		give(n, insert(uint32(n), true, int64(n)*second, 0, false))
	}
	require.Len(t, d.list, maxDateRanges)
	require.Equal(t, uint32(99), d.list[maxDateRanges-1].key.id)
	for n := range 100 {
		give(n, section(0, append([]byte{scte35.Private}, make([]byte, 200)...), make([]byte, 3800)))
	}
	require.Len(t, d.list, maxSplices/4021)
	size := 0
	for i := range d.list {
		size += d.list[i].size()
	}
	require.LessOrEqual(t, size, maxSplices)
}

// TestDateRangeAfterRestart: who begins to read later tells of a break as long as its command is in the buffer, be it in a segment that
// is not listed because its beginning has left the buffer.
func TestDateRangeAfterRestart(t *testing.T) {
	f := newFeed(t, buffer.Options{Window: 30 * time.Second})
	f.begin(videoTrack, media.Track{Codec: media.SCTE35, PID: 500})
	early := f.stream(Options{})
	f.synthetic(0, 75)
	f.packet(media.Packet{Track: 1, DTS: 75 * 3000, PTS: 75 * 3000, Payload: insert(1, true, 4*second, 60*second, false)}, 0)
	_, head := f.r.Bounds()
	command := head - 1
	listed, unlisted, gone := 0, 0, 0
	for n := 75; n < 1020; n++ {
		f.synthetic(n, n+1)
		if n < 930 || n%5 > 0 {
			continue
		}
		late := f.stream(Options{})
		playlist := fetch(t, late, "v0/index.m3u8")
		require.NoError(t, late.Close())
		early.advance()
		tail, _ := f.r.Bounds()
		switch {
		case tail > command:
			gone++
			require.Empty(t, attributesOf(t, playlist))
			continue
		case late.snap.Load().segments[0].first < command:
			listed++
		default:
			unlisted++
		}
		require.Equal(t, attributesOf(t, fetch(t, early, "v0/index.m3u8")), attributesOf(t, playlist))
		require.Len(t, attributesOf(t, playlist), 1)
	}
	require.True(t, listed > 0 && unlisted > 0 && gone > 0, "%d %d %d", listed, unlisted, gone)
}

// TestDateRangeInPlaylists has the break of a stream, longer than half of the window, in what players get: whole playlists
// and delta updates.
func TestDateRangeInPlaylists(t *testing.T) {
	f := newFeed(t, buffer.Options{Window: 30 * time.Second})
	f.begin(videoTrack, media.Track{Codec: media.SCTE35, PID: 500})
	s := f.stream(Options{})
	out, back := insert(1, true, 4*second, 20*second, false), insert(1, false, 70*second, 0, false)
	start := testStart.Add(4 * time.Second).UTC().Format(timeFormat)
	var began, listed string
	k := hlscheck.New()
	for n := range 3300 {
		at := int64(n) * 3000
		switch at {
		case 2 * second:
			f.packet(media.Packet{Track: 1, DTS: at, PTS: at, Payload: out}, 0)
		case 18 * second:
			f.packet(media.Packet{Track: 1, DTS: at, PTS: at, Payload: back}, 0)
		}
		f.synthetic(n, n+1)
		s.advance()
		if at >= second && at%second == 3000 {
			k.Playlist("v0", fetch(t, s, "v0/index.m3u8"))
		}
		switch at {
		case 2*second + 3000: // a part has not ended since then
			began = fetch(t, s, "v0/index.m3u8")
		case 60 * second:
			listed = fetch(t, s, "v0/index.m3u8")
			require.Equal(t, attributesOf(t, listed), attributesOf(t, fetch(t, s, "v0/index.m3u8?_HLS_skip=YES")))
			require.Equal(t, attributesOf(t, listed), attributesOf(t, fetch(t, s, "ts/media.m3u8")))
		}
	}
	require.Empty(t, k.Faults)
	id := fmt.Sprintf(`"scte35-%d-360000-1"`, s.current().epoch.id)
	require.Equal(t, map[string]map[string]string{id: {
		"ID": id, "START-DATE": `"` + start + `"`, "PLANNED-DURATION": "20.00000", "SCTE35-OUT": fmt.Sprintf("0x%X", out),
	}}, attributesOf(t, began))
	require.Equal(t, map[string]map[string]string{id: {
		"ID": id, "START-DATE": `"` + start + `"`, "PLANNED-DURATION": "20.00000", "SCTE35-OUT": fmt.Sprintf("0x%X", out),
		"END-DATE": `"` + testStart.Add(70*time.Second).UTC().Format(timeFormat) + `"`, "DURATION": "66.000", "SCTE35-IN": fmt.Sprintf("0x%X", back),
	}}, attributesOf(t, listed), "its beginning left the buffer long ago")
	require.Empty(t, attributesOf(t, fetch(t, s, "v0/index.m3u8")), "over before the first segment")
	require.Empty(t, s.model.ranges.list)
}
