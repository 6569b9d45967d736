package mpegts

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"brume/media"
	"brume/media/ts"
)

// checker is a sink that fails a test when it is used against the rules of media.Sink.
type checker struct {
	t      *testing.T
	epochs int
	units  int
	tracks []media.Track
	last   [media.MaxTracks]int64
}

func (c *checker) BeginEpoch(tracks []media.Track) error {
	c.epochs++
	if len(tracks) == 0 || len(tracks) > media.MaxTracks {
		c.t.Fatalf("%d tracks", len(tracks))
	}
	for i, tr := range tracks {
		if len(tr.Config) > media.MaxConfigSize {
			c.t.Fatalf("config of %d bytes", len(tr.Config))
		}
		if _, err := tr.Params(); err != nil {
			c.t.Fatalf("parameters of %s: %v, %x", tr.Codec, err, tr.Config)
		}
		c.last[i] = -1
	}
	c.tracks = tracks
	return nil
}

func (c *checker) WritePacket(p *media.Packet) error {
	c.units++
	if p.Track < 0 || p.Track >= len(c.tracks) {
		c.t.Fatalf("track %d of %d", p.Track, len(c.tracks))
	}
	if len(p.Payload) == 0 || len(p.Payload) > maxPES+4*maxNALs {
		c.t.Fatalf("payload of %d bytes", len(p.Payload))
	}
	kind := c.tracks[p.Track].Codec.Kind()
	if kind != media.Data {
		if p.DTS <= c.last[p.Track] {
			c.t.Fatalf("DTS %d after %d", p.DTS, c.last[p.Track])
		}
		c.last[p.Track] = p.DTS
	}
	if kind == media.Video {
		n := 0
		for b := range media.NALUnits(p.Payload) {
			if len(b) == 0 {
				c.t.Fatal("NAL unit without bytes")
			}
			n += 4 + len(b)
		}
		if n != len(p.Payload) {
			c.t.Fatal("lengths that do not fit")
		}
	}
	return nil
}

// checked takes b apart in two ways and compares.
func checked(t *testing.T, b []byte) {
	whole := &checker{t: t}
	var raw, rawParts []byte
	d := NewDemuxer(whole, Options{Raw: func(p []byte) { raw = append(raw, p...) }})
	if err := d.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	parts := &checker{t: t}
	e := NewDemuxer(parts, Options{Raw: func(p []byte) { rawParts = append(rawParts, p...) }})
	for n := 1; len(b) > 0; n = n*7%1999 + 1 {
		n = min(n, len(b))
		if err := e.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	if d.Stats() != e.Stats() {
		t.Fatalf("the cut matters: %+v, %+v", d.Stats(), e.Stats())
	}
	if !bytes.Equal(raw, rawParts) || uint64(len(raw)) != d.Stats().Packets*ts.PacketSize {
		t.Fatalf("%d and %d bytes of transport stream, but %d packets", len(raw), len(rawParts), d.Stats().Packets)
	}
	if len(d.Programs()) > maxPrograms || len(d.services) > maxServices {
		t.Fatalf("%d programs, %d services", len(d.Programs()), len(d.services))
	}
	if s := d.Stats(); s.Units != uint64(whole.units) || s.Epochs != uint64(whole.epochs) {
		t.Fatalf("%d units in %d epochs, but %+v", whole.units, whole.epochs, s)
	}
}

// FuzzDemuxer takes anything for a transport stream.
func FuzzDemuxer(f *testing.F) {
	f.Add(craft().tables(0, withAudio...).audio(pidAudio, 90000, aac(3)).gop(90000, 3).buf)
	f.Add(craft().sdt(0, 7, "News", 9, "Sport").pat(0, 7, pidPMT, 9, pidPMT2).table(pidPMT, pmt(7, 0, 0x1FFF)).
		table(pidPMT2, pmt(9, 0, pidVideo2, onlyVideo2...)).both(90000).pat(1, 9, 0x300).buf)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<18 {
			return
		}
		checked(t, b)
	})
}

// fuzzTypes are the streams of FuzzUnits.
var fuzzTypes = []es{
	{ts.StreamTypeH264, pidVideo, ""},
	{ts.StreamTypeH265, pidVideo, ""},
	{ts.StreamTypeADTS, pidVideo, ""},
	{ts.StreamTypeLATM, pidVideo, ""},
	{ts.StreamTypeMPEG1Audio, pidVideo, ""},
	{ts.StreamTypeAC3, pidVideo, ""},
	{ts.StreamTypeEAC3, pidVideo, ""},
	{ts.StreamTypePrivate, pidVideo, "\x05\x04Opus\x7F\x02\x80\x02"},
	{ts.StreamTypeMetadata, pidVideo, "\x05\x04KLVA"},
	{ts.StreamTypeSCTE35, pidVideo, ""},
}

// FuzzUnits takes anything for the payload of PES of each codec. Every PES begins with
// four bytes: whether its length is told, how its time goes on, and how long it is.
func FuzzUnits(f *testing.F) {
	for i := range fuzzTypes {
		f.Add(uint8(i), append([]byte{0, 1, 0, 60}, idr(200)...))
	}
	f.Add(uint8(0), reorderedPES())
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		e := fuzzTypes[int(kind)%len(fuzzTypes)]
		c := craft().tables(0, e)
		for at := int64(1000000); len(b) > 4; {
			n := min(int(b[2])<<8|int(b[3]), len(b)-4)
			time := at
			switch b[1] >> 5 {
			case 5:
				time = none
			case 6:
				time = int64(b[1]) << 28
			case 7:
				at = at - 90000*int64(b[1])
				time = at
			}
			if e.kind == ts.StreamTypeSCTE35 {
				c.split(pidVideo, append([]byte{0}, b[4:4+n]...))
			} else {
				c.split(pidVideo, pesBytes(0xE0, time&(ts.Wrap-1), none, b[0]&1 != 0, b[4:4+n]))
			}
			at += int64(b[1]&31) * 500
			b = b[4+n:]
		}
		checked(t, c.buf)
	})
}

// reorderedPES are pictures for FuzzUnits that are shown in another order, as the B slices tell.
func reorderedPES() (b []byte) {
	for i, unit := range [][]byte{
		annexB(untold(), pps(0, 0), slice(0x65, 0, sliceI, 0, 20)),
		annexB(slice(0x41, 0, sliceP, 1, 20)),
		annexB(slice(0x01, 0, sliceB, 2, 20)),
		annexB(slice(0x41, 0, sliceP, 3, 20)),
		annexB(recoveryPoint(9), slice(0x41, 0, sliceI, 4, 20)),
	} {
		b = append(b, 1, byte(i%2)*7+1, 0, byte(len(unit)))
		b = append(b, unit...)
	}
	return b
}

// TestHostileVolume: what is hostile takes no more than linear time.
func TestHostileVolume(t *testing.T) {
	const size = 4 << 20
	many := func(b ...byte) []byte {
		out := make([]byte, 0, size)
		for len(out) < size {
			out = append(out, b...)
		}
		return out
	}
	for _, c := range []struct {
		name string
		kind es
		b    []byte
	}{
		{"start codes", fuzzTypes[0], many(0, 0, 1)},
		{"ones", fuzzTypes[0], many(1)},
		{"tiny pictures", fuzzTypes[0], append(idr(10), many(0, 0, 1, 0x41, 0x9A)...)},
		{"delimiters", fuzzTypes[0], many(0, 0, 1, 9, 0xF0)},
		{"parameter sets that change", fuzzTypes[0], many(0, 0, 1, 0x68, 0xC0, 0, 0, 1, 0x68, 0xD0)},
		{"tiny pictures of H.265", fuzzTypes[1], many(0, 0, 1, 2, 1, 0x80)},
		{"ADTS sync words", fuzzTypes[2], many(0xFF, 0xF1)},
		{"ADTS headers", fuzzTypes[2], many(0xFF, 0xF1, 0x4C, 0x80, 1, 0, 0)},
		{"LOAS of one byte", fuzzTypes[3], many(0x56, 0xE0, 1, 0)},
		{"E-AC-3 of two bytes", fuzzTypes[6], many(0x0B, 0x77, 0x40, 0, 0, 0x80)},
		{"Opus headers", fuzzTypes[7], many(0x7F, 0xE0, 0xFF)},
		{"cells", fuzzTypes[8], many(0, 0, 0xC0, 0, 1, 7)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, per := range []int{150, 10000, size} {
				in := craft().tables(0, c.kind)
				at := int64(90000)
				for b := c.b; len(b) > 0; {
					n := min(per, len(b))
					in.split(pidVideo, pesBytes(0xE0, at, none, false, b[:n]))
					b = b[n:]
					at += 900
				}
				began := time.Now()
				d := NewDemuxer(&nothing{}, Options{})
				if err := d.Write(in.buf); err != nil {
					t.Fatal(err)
				}
				// 20 MB/s at the least, with much room for slow machines and the race detector.
				if took := time.Since(began); took > 60*time.Second {
					t.Errorf("%s by %d bytes took %v", c.name, per, took)
				} else if testing.Verbose() {
					t.Logf("%d bytes: %.0f MB/s, %+v", per, float64(len(in.buf))/took.Seconds()/1e6, d.Stats())
				}
			}
		})
	}
}

// TestSpoilt: damage of all kinds to streams of all kinds.
func TestSpoilt(t *testing.T) {
	rounds := uint64(6)
	if n, err := strconv.ParseUint(os.Getenv("BRUME_SPOILT_ROUNDS"), 10, 64); err == nil {
		rounds = n
	}
	for _, c := range oracleClips {
		clip := ffmpeg(t, strings.Fields(c.args)...)
		clip = clip[:min(len(clip), 150000)]
		for seed := range rounds {
			b := clip
			rnd := rand.New(rand.NewPCG(seed, 11))
			for range 1 + seed%4 {
				b = spoil(rnd, b)
			}
			checked(t, b)
		}
	}
}
