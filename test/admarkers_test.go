package test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

const pidSplice = 0x1F0

// ptsOf is the PTS of the PES that begins in a packet.
func ptsOf(p []byte) (pts int64, ok bool) {
	at := 4
	if p[3]&0x20 != 0 {
		at += 1 + int(p[4])
	}
	if p[1]&0x40 == 0 || at+14 > len(p) || p[at+7]&0x80 == 0 {
		return 0, false
	}
	h := p[at+9:]
	return int64(h[0]>>1&7)<<30 | int64(h[1])<<22 | int64(h[2]>>1)<<15 | int64(h[3])<<7 | int64(h[4]>>1), true
}

// spliceInsert is a splice_insert of event 17, whose time is told in two parts: splice_time and pts_adjustment.
func spliceInsert(out bool, pts, adjustment int64) []byte {
	flags := byte(0x4F)
	if out {
		flags |= 0x80
	}
	put := func(prefix byte, v int64) []byte {
		return binary.BigEndian.AppendUint32([]byte{prefix | byte(v>>32)&1}, uint32(v))
	}
	b := append([]byte{ts.TableSCTE35, 0x30, 0, 0}, put(0, adjustment)...)
	b = append(b, 0, 0xFF, 0xF0, 15, 5, 0, 0, 0, 17, 0x7F, flags)
	b = append(b, put(0xFE, (pts-adjustment)&(ts.Wrap-1))...)
	b = append(b, 0, 1, 0, 0, 0, 0)
	b[2] = byte(len(b) + 1)
	return ts.AppendCRC32(b)
}

// withSplices puts splice commands into a clip: out before anything but the tables, for the picture 4 s later, and in at 6 s for the
// picture at 9 s. It returns the PTS of all pictures too.
func withSplices(t *testing.T, clip []byte) (stream, out, in []byte, pictures map[int64]bool) {
	t.Helper()
	first, counter := int64(-1), byte(0)
	pictures = map[int64]bool{}
	for p := clip; len(p) >= ts.PacketSize; p = p[ts.PacketSize:] {
		if int(p[1]&0x1F)<<8|int(p[2]) != pidVideo {
			continue
		}
		if pts, ok := ptsOf(p[:ts.PacketSize]); ok {
			if first < 0 {
				first = pts
			}
			pictures[pts] = true
		}
	}
	out, in = spliceInsert(true, first+4*90000, 90000), spliceInsert(false, first+9*90000, ts.Wrap-90000)
	put := func(section []byte) {
		p := append([]byte{ts.SyncByte, 0x40 | pidSplice>>8, pidSplice & 0xFF, 0x10 | counter, 0}, section...)
		stream = append(stream, append(p, bytes.Repeat([]byte{0xFF}, ts.PacketSize-len(p))...)...)
		counter++
	}
	for ; len(clip) >= ts.PacketSize; clip = clip[ts.PacketSize:] {
		p := clip[:ts.PacketSize]
		switch pid := int(p[1]&0x1F)<<8 | int(p[2]); {
		case pid == pidPMT:
			stream = append(stream, sectionPacket(pidPMT, ts.TablePMT, 1, int(p[3]), []byte{
				0xE0 | pidVideo>>8, pidVideo & 0xFF, 0xF0, 0, ts.StreamTypeH264, 0xE1, 0, 0xF0, 0, ts.StreamTypeADTS, 0xE1, 1, 0xF0, 0,
				ts.StreamTypeSCTE35, 0xE0 | pidSplice>>8, pidSplice & 0xFF, 0xF0, 0,
			})...)
			if counter == 0 {
				put(out)
			}
			continue
		case pid == pidVideo && counter == 1:
			if pts, ok := ptsOf(p); ok && pts >= first+6*90000 {
				put(in)
			}
		}
		stream = append(stream, p...)
	}
	return stream, out, in, pictures
}

// splicesOf are the sections of the splice PID, and the PTS of all pictures, in a transport stream.
func splicesOf(stream []byte) (sections [][]byte, pictures []int64) {
	for p := stream; len(p) >= ts.PacketSize; p = p[ts.PacketSize:] {
		switch int(p[1]&0x1F)<<8 | int(p[2]) {
		case pidSplice:
			at := 4
			if p[3]&0x20 != 0 {
				at += 1 + int(p[4])
			}
			section := p[at+1:]
			sections = append(sections, bytes.Clone(section[:3+int(section[2])]))
		case pidVideo:
			if pts, ok := ptsOf(p[:ts.PacketSize]); ok {
				pictures = append(pictures, pts)
			}
		}
	}
	return sections, pictures
}

// TestAdMarkers: a break that the source announces before its first time stamp is one date range, at the time of its picture; SRT
// and MPEG-TS get the sections as they came, with the time stamps that they are about.
func TestAdMarkers(t *testing.T) {
	t.Parallel()
	s := start(t)
	clip, err := os.ReadFile(plainClip(t))
	require.NoError(t, err)
	stream, out, in, sent := withSplices(t, clip)
	stop := s.publishBytes(t, "ads", stream)
	defer stop()
	s.waitPlayable("ads")
	viewer := s.capture("ads")
	line := ""
	date := func(name, text string) time.Time {
		m := regexp.MustCompile(name + `[=:]"?([^"\n]*)`).FindStringSubmatch(text)
		require.NotNil(t, m, "%s in %s", name, text)
		at, err := time.Parse(time.RFC3339Nano, m[1])
		require.NoError(t, err)
		return at
	}
	for _, want := range []string{"SCTE35-OUT", "SCTE35-IN"} {
		s.eventually(30*time.Second, want, func() bool {
			_, body, _ := s.fetch("/hls/ads/v0/index.m3u8")
			_, rest, found := strings.Cut(string(body), "#EXT-X-DATERANGE:")
			line, _, _ = strings.Cut(rest, "\n")
			if found {
				require.NotContains(t, rest, "DATERANGE", "one of both")
				require.WithinDuration(t, date("PROGRAM-DATE-TIME", string(body)).Add(4*time.Second), date("START-DATE", line), 20*time.Millisecond)
			}
			return strings.Contains(line, want)
		})
	}
	require.Regexp(t, `^ID="scte35-\d+-\d+-17",`, line)
	require.Contains(t, line, ",DURATION=5.000,")
	require.Equal(t, 5*time.Second, date("END-DATE", line).Sub(date("START-DATE", line)))
	require.Contains(t, line, ",SCTE35-OUT=0x"+strings.ToUpper(hex.EncodeToString(out)))
	require.Contains(t, line, ",SCTE35-IN=0x"+strings.ToUpper(hex.EncodeToString(in)))

	s.eventually(30*time.Second, "the viewer has the second command", func() bool {
		sections, _ := splicesOf(viewer.bytes())
		return len(sections) > 0 && bytes.Equal(in, sections[len(sections)-1])
	})
	_, pictures := splicesOf(viewer.bytes())
	requireSent(t, sent, pictures)
	_, playlist, _ := s.fetch("/hls/ads/ts/media.m3u8")
	var all []byte
	for line := range strings.Lines(string(playlist)) {
		if !strings.HasPrefix(line, "#") {
			_, body, _ := s.fetch("/hls/ads/ts/" + strings.TrimSpace(line))
			all = append(all, body...)
		}
	}
	sections, pictures := splicesOf(all)
	require.Equal(t, [][]byte{out, in}, sections)
	requireSent(t, sent, pictures)
}

// requireSent sees that pictures have the times with which they were sent.
func requireSent(t *testing.T, sent map[int64]bool, pictures []int64) {
	t.Helper()
	require.NotEmpty(t, pictures)
	for _, pts := range pictures {
		require.True(t, sent[pts], pts)
	}
}
