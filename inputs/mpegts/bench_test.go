package mpegts

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

// nothing is a sink that takes no notice.
type nothing struct{ units, bytes int }

func (*nothing) BeginEpoch([]media.Track) error { return nil }
func (n *nothing) WritePacket(p *media.Packet) error {
	n.units++
	n.bytes += len(p.Payload)
	return nil
}

// at20 is a stream of about 20 Mbit/s.
const at20 = "-f lavfi -i testsrc2=s=1280x720:r=30:d=4,noise=alls=40:allf=t -f lavfi -i sine=d=4:r=48000 " +
	x264 + "-b:v 20M -maxrate 20M -bufsize 10M -g 60 -c:a aac -f mpegts"

// BenchmarkDemuxer is the rate at which a transport stream is taken apart, as it comes over
// SRT: seven packets in one message.
func BenchmarkDemuxer(b *testing.B) {
	for _, c := range []struct{ name, args string }{
		{"h264 20 Mbit/s", at20},
		{"h264 1 Mbit/s", "-f lavfi -i testsrc2=s=640x360:r=30:d=4 " + x264 + "-bf 2 -f mpegts"},
		{"audio", "-f lavfi -i sine=d=4:r=48000 -c:a aac -b:a 128k -f mpegts"},
	} {
		b.Run(c.name, func(b *testing.B) {
			clip := ffmpeg(b, strings.Fields(c.args)...)
			clip = clip[:len(clip)/(7*ts.PacketSize)*7*ts.PacketSize]
			d := NewDemuxer(&nothing{}, Options{})
			feed(b, d, clip)
			b.SetBytes(int64(len(clip)))
			b.ReportAllocs()
			before := d.Stats()
			for b.Loop() {
				b.StopTimer()
				advance(clip, 4*media.ClockRate)
				b.StartTimer()
				feed(b, d, clip)
			}
			after := d.Stats()
			require.Equal(b, before.Epochs, after.Epochs)
			require.Zero(b, after.ContinuityErrors)
			require.Greater(b, after.Units, before.Units)
		})
	}
}

// advance makes a clip its own continuation: continuity counters and times go on.
func advance(clip []byte, by int64) {
	count := map[int]byte{}
	for p := clip; len(p) >= ts.PacketSize; p = p[ts.PacketSize:] {
		if p[3]&0x10 != 0 {
			count[int(p[1]&0x1F)<<8|int(p[2])]++
		}
	}
	for p := clip; len(p) >= ts.PacketSize; p = p[ts.PacketSize:] {
		at := 4
		if p[3]&0x20 != 0 {
			if at += 1 + int(p[4]); p[4] > 6 && p[5]&0x10 != 0 {
				pcr := int64(binary.BigEndian.Uint32(p[6:]))<<1 | int64(p[10]>>7)
				pcr += by
				binary.BigEndian.PutUint32(p[6:], uint32(pcr>>1))
				p[10] = p[10]&0x7F | byte(pcr)<<7
			}
		}
		if p[3]&0x10 != 0 {
			p[3] = p[3]&0xF0 | (p[3]+count[int(p[1]&0x1F)<<8|int(p[2])])&0x0F
		}
		if b := p[at:ts.PacketSize]; p[1]&0x40 != 0 && len(b) > 19 && b[0] == 0 && b[1] == 0 && b[2] == 1 {
			if b[7]&0x80 != 0 {
				putTime(b[9:], timestamp(b[9:])+by)
			}
			if b[7]&0x40 != 0 {
				putTime(b[14:], timestamp(b[14:])+by)
			}
		}
	}
}

// putTime writes a PTS or DTS and leaves its first four bits.
func putTime(b []byte, t int64) {
	b[0] = b[0]&0xF0 | byte(t>>29)&0x0E | 1
	b[1], b[2] = byte(t>>22), byte(t>>14)|1
	b[3], b[4] = byte(t>>7), byte(t<<1)|1
}

func feed(t testing.TB, d *Demuxer, clip []byte) {
	for ; len(clip) >= 7*ts.PacketSize; clip = clip[7*ts.PacketSize:] {
		if err := d.Write(clip[:7*ts.PacketSize]); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoAllocations: once all is set up, nothing is allocated.
func TestNoAllocations(t *testing.T) {
	for _, c := range oracleClips {
		t.Run(c.name, func(t *testing.T) {
			clip := ffmpeg(t, strings.Fields(c.args)...)
			sink := &nothing{}
			d := NewDemuxer(sink, Options{})
			require.NoError(t, d.Write(clip[:len(clip)/2]))
			clip = clip[len(clip)/2:]
			const runs = 20
			step := len(clip) / (runs + 2)
			before := sink.units
			n := testing.AllocsPerRun(runs, func() {
				if err := d.Write(clip[:step]); err != nil {
					t.Fatal(err)
				}
				clip = clip[step:]
			})
			require.Zero(t, n)
			require.Greater(t, sink.units, before)
		})
	}
}
