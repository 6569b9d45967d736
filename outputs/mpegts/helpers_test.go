package mpegts

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	demux "brume/inputs/mpegts"
	"brume/media"
	"brume/media/ts"
)

// packet is a transport stream packet, read without the muxer's code.
type packet struct {
	pid           uint16
	start         bool
	cc            byte
	discontinuity bool
	random        bool
	pcr           int64 // -1 without
	payload       []byte
}

func parsePackets(t testing.TB, b []byte) []packet {
	t.Helper()
	require.Zero(t, len(b)%188, "whole packets")
	var all []packet
	for ; len(b) > 0; b = b[188:] {
		require.Equal(t, byte(0x47), b[0])
		require.Zero(t, b[1]&0x80, "transport_error_indicator")
		require.Zero(t, b[3]&0xc0, "scrambling")
		p := packet{pid: binary.BigEndian.Uint16(b[1:]) & 0x1fff, start: b[1]&0x40 != 0, cc: b[3] & 15, pcr: -1}
		at := 4
		if b[3]&0x20 != 0 {
			n := int(b[4])
			if b[3]&0x10 != 0 {
				require.LessOrEqual(t, n, 182)
			} else {
				require.Equal(t, 183, n)
			}
			at = 5 + n
			if n > 0 {
				p.discontinuity, p.random = b[5]&0x80 != 0, b[5]&0x40 != 0
				used := 6
				if b[5]&0x10 != 0 {
					p.pcr = int64(binary.BigEndian.Uint32(b[6:]))<<1 | int64(b[10]>>7)
					require.Equal(t, byte(0x7e), b[10]&0x7f, "reserved bits and extension of the PCR")
					require.Zero(t, b[11])
					used = 12
				}
				require.GreaterOrEqual(t, at, used)
				require.Equal(t, bytes.Repeat([]byte{0xff}, at-used), b[used:at], "stuffing")
			}
		}
		if b[3]&0x10 != 0 {
			p.payload = b[at:188]
			require.NotEmpty(t, p.payload)
		}
		all = append(all, p)
	}
	return all
}

// checkContinuity demands that each PID counts on, from 0 where fresh says that the stream begins.
func checkContinuity(t testing.TB, all []packet, fresh bool) {
	t.Helper()
	last := map[uint16]byte{}
	for i, p := range all {
		before, known := last[p.pid]
		switch {
		case !known && fresh:
			require.True(t, p.discontinuity, "packet %d is the first of PID %d", i, p.pid)
			if p.payload != nil {
				require.Zero(t, p.cc, "packet %d is the first of PID %d", i, p.pid)
			} else {
				require.Equal(t, byte(15), p.cc)
			}
		case known && p.payload == nil:
			require.Equal(t, before, p.cc, "packet %d of PID %d has no payload", i, p.pid)
		case known:
			require.Equal(t, (before+1)&15, p.cc, "packet %d of PID %d", i, p.pid)
			require.False(t, p.discontinuity, "packet %d of PID %d", i, p.pid)
		}
		last[p.pid] = p.cc
	}
}

// pes is a reassembled PES.
type pes struct {
	pid      uint16
	pts, dts int64
	random   bool
	data     []byte
}

// parsePES reassembles the PES of one PID.
func parsePES(t testing.TB, all []packet, pid uint16) []pes {
	t.Helper()
	var raw [][]byte
	var random []bool
	for _, p := range all {
		if p.pid != pid || p.payload == nil {
			continue
		}
		if p.start {
			raw, random = append(raw, nil), append(random, p.random)
		}
		require.NotEmpty(t, raw)
		raw[len(raw)-1] = append(raw[len(raw)-1], p.payload...)
	}
	var out []pes
	for i, b := range raw {
		require.Equal(t, []byte{0, 0, 1}, b[:3])
		if n := int(binary.BigEndian.Uint16(b[4:])); n != 0 {
			require.Equal(t, len(b)-6, n, "PES_packet_length")
		} else {
			require.Equal(t, byte(ts.StreamIDVideo), b[3], "only video may leave its length out")
		}
		one := pes{pid: pid, random: random[i], pts: readTime(t, b[9:], b[7]>>6), data: b[9+int(b[8]):]}
		one.dts = one.pts
		if b[7]>>6 == 3 {
			one.dts = readTime(t, b[14:], 1)
		}
		out = append(out, one)
	}
	return out
}

func readTime(t testing.TB, b []byte, prefix byte) int64 {
	t.Helper()
	require.Equal(t, prefix, b[0]>>4)
	require.Equal(t, []byte{1, 1, 1}, []byte{b[0] & 1, b[2] & 1, b[4] & 1}, "marker bits")
	return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}

// sections collects the sections of a PID and checks each one's CRC.
func sections(t testing.TB, all []packet, pid uint16) []ts.Section {
	t.Helper()
	var out []ts.Section
	var b []byte
	for _, p := range all {
		if p.pid != pid || p.payload == nil {
			continue
		}
		if p.start {
			require.Zero(t, p.payload[0], "pointer_field")
			b = append([]byte(nil), p.payload[1:]...)
		} else {
			b = append(b, p.payload...)
		}
		if n := 3 + int(binary.BigEndian.Uint16(b[1:])&0xfff); len(b) >= n {
			require.Equal(t, bytes.Repeat([]byte{0xff}, len(b)-n), b[n:])
			require.Zero(t, ts.CRC32(b[:n]), "CRC_32")
			s, err := ts.ParseSection(b[:n])
			require.NoError(t, err)
			out = append(out, s)
		}
	}
	return out
}

// clip is one epoch's content.
type clip struct {
	tracks  []media.Track
	packets []media.Packet
}

func (c *clip) BeginEpoch(tracks []media.Track) error {
	c.tracks = tracks
	return nil
}

func (c *clip) WritePacket(p *media.Packet) error {
	own := *p
	own.Payload = bytes.Clone(p.Payload)
	c.packets = append(c.packets, own)
	return nil
}

// units takes a transport stream apart, its units in the order of their decoding times.
func units(t testing.TB, b []byte) *clip {
	t.Helper()
	c := &clip{}
	in := media.NewInterleaver(c, media.ClockRate)
	d := demux.NewDemuxer(in, demux.Options{})
	require.NoError(t, d.Write(b))
	require.NoError(t, d.Flush())
	require.NoError(t, in.Flush())
	require.NotEmpty(t, c.packets)
	return c
}

func mux(t testing.TB, c *clip) []byte {
	t.Helper()
	m, err := NewMuxer(c.tracks)
	require.NoError(t, err)
	var out []byte
	for i := range c.packets {
		out, err = m.WritePacket(out, &c.packets[i])
		require.NoError(t, err)
	}
	return out
}

// track returns the units of one track, with their times in 33 bits: where unwrapping begins is the demuxer's business.
func (c *clip) track(n int) (list []media.Packet) {
	for _, p := range c.packets {
		if p.Track == n {
			p.DTS, p.PTS = p.DTS&(1<<33-1), p.PTS&(1<<33-1)
			list = append(list, p)
		}
	}
	return list
}

// run runs a program on what it reads from stdin.
func run(t testing.TB, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	b, err := c.Output()
	require.NoError(t, err, stderr.String())
	require.Empty(t, stderr.String(), "%s complains", name)
	return b
}

// ffmpeg makes a clip.
func ffmpeg(t testing.TB, args string) []byte {
	t.Helper()
	return run(t, nil, "ffmpeg", append(strings.Fields("-nostdin -v error "+args), "-threads", "1", "-f", "mpegts", "-")...)
}

// frames are what a decoder makes of a stream: by stream, of pictures the times and checksums, of sound the checksums, since ffmpeg adds
// up durations that it has rounded.
func frames(t testing.TB, b []byte) map[string][]string {
	t.Helper()
	out := run(t, b, "ffmpeg", strings.Fields("-v error -f mpegts -i - -map 0:v? -map 0:a? -copyts -f framemd5 -")...)
	video := false
	sums := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		video = video || strings.HasPrefix(line, "#media_type 0: video")
		if f := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), " ", ""), ","); !strings.HasPrefix(line, "#") {
			if f[0] != "0" || !video {
				f = f[4:]
			}
			stream := line[:1]
			sums[stream] = append(sums[stream], strings.Join(f, " "))
		}
	}
	return sums
}

// probed is a packet as ffprobe shows it.
type probed struct {
	Stream int    `json:"stream_index"`
	PTS    int64  `json:"pts"`
	DTS    int64  `json:"dts"`
	Flags  string `json:"flags"`
}

func probe(t testing.TB, b []byte) (codecs, languages []string, packets map[int][]probed) {
	t.Helper()
	var out struct {
		Packets []probed
		Streams []struct {
			Codec string `json:"codec_name"`
			Tags  struct{ Language string }
		}
	}
	require.NoError(t, json.Unmarshal(run(t, b, "ffprobe", "-v", "error", "-f", "mpegts", "-show_packets", "-show_streams", "-of", "json", "-"), &out))
	for _, s := range out.Streams {
		codecs, languages = append(codecs, s.Codec), append(languages, s.Tags.Language)
	}
	packets = map[int][]probed{}
	for _, p := range out.Packets {
		packets[p.Stream] = append(packets[p.Stream], p)
	}
	return codecs, languages, packets
}
