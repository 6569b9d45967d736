package fmp4

import (
	"bytes"
	"context"
	"encoding/binary"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"

	demux "brume/inputs/mpegts"
	"brume/media"
)

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

// units takes a transport stream of one track apart.
func units(t testing.TB, b []byte) (*media.Track, []media.Packet) {
	t.Helper()
	c := &clip{}
	d := demux.NewDemuxer(c, demux.Options{})
	require.NoError(t, d.Write(b))
	require.NoError(t, d.Flush())
	require.Len(t, c.tracks, 1)
	require.NotEmpty(t, c.packets)
	return &c.tracks[0], c.packets
}

// run runs a program on what it reads from stdin; what it complains about fails the test.
func run(t testing.TB, stdin []byte, name, args string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, strings.Fields(args)...)
	c.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	b, err := c.Output()
	require.NoError(t, err, stderr.String())
	require.Empty(t, stderr.String(), "%s complains", name)
	return b
}

// fragments writes a track's units as a file, each of n of them a fragment.
func fragments(t testing.TB, track *media.Track, packets []media.Packet, n int) []byte {
	t.Helper()
	out, err := Init(track)
	require.NoError(t, err)
	base := packets[0].DTS
	for at := 0; at < len(packets); at += n {
		part := packets[at:min(at+n, len(packets))]
		f := Fragment{Sequence: uint32(at + 1), BaseTime: uint64(part[0].DTS - base)}
		for i, p := range part {
			duration := int64(1800)
			if at+i+1 < len(packets) {
				duration = packets[at+i+1].DTS - p.DTS
			}
			f.Samples = append(f.Samples, Sample{Duration: uint32(duration), CTO: int32(p.PTS - p.DTS), RandomAccess: p.RandomAccess})
		}
		out, err = Append(out, track, &f, func(i int, dst []byte) ([]byte, error) { return append(dst, part[i].Payload...), nil })
		require.NoError(t, err)
	}
	return out
}

// parse reads a file with mp4ff, which must not find more or less than boxes that fit.
func parse(t testing.TB, b []byte) *mp4.File {
	t.Helper()
	f, err := mp4.DecodeFile(bytes.NewReader(b))
	require.NoError(t, err)
	require.NotNil(t, f.Init)
	return f
}

// samples are all samples of a file.
func samples(t testing.TB, f *mp4.File) (all []mp4.FullSample) {
	t.Helper()
	for _, s := range f.Segments {
		for _, fr := range s.Fragments {
			list, err := fr.GetFullSamples(f.Init.Moov.Mvex.Trex)
			require.NoError(t, err)
			all = append(all, list...)
		}
	}
	return all
}

func prefixed(nals ...[]byte) (b []byte) {
	for _, n := range nals {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(n))), n...)
	}
	return b
}

// without leaves NAL units of some types out, and empty ones.
func without(payload []byte, codec media.Codec, types ...byte) []byte {
	var kept [][]byte
	for n := range media.NALUnits(payload) {
		if len(n) == 0 {
			continue
		}
		kind := n[0] & 0x1f
		if codec == media.H265 {
			kind = n[0] >> 1 & 0x3f
		}
		if !bytes.Contains(types, []byte{kind}) {
			kept = append(kept, n)
		}
	}
	return prefixed(kept...)
}

// frames are the checksums of what a decoder makes of a stream, with their sizes.
func frames(t testing.TB, b []byte, input string) (sums []string) {
	t.Helper()
	out := run(t, b, "ffmpeg", "-v error "+input+" -i - -f framemd5 -")
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") {
			f := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), " ", ""), ",")
			sums = append(sums, f[4]+" "+f[5])
		}
	}
	return sums
}

// encode is a box as bytes.
func encode(t testing.TB, b mp4.Box) []byte {
	t.Helper()
	var w bytes.Buffer
	require.NoError(t, b.Encode(&w))
	return w.Bytes()
}
