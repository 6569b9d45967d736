package mpegts

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
)

// program is a second of 20 Mbit/s at 50 pictures a second, with sound.
func program() ([]media.Track, []media.Packet) {
	var packets []media.Packet
	for i := range int64(50) {
		size := 45000
		if i > 0 {
			size = 49000
		}
		packets = append(packets, picture(i*1800, i*1800+3600, i == 0, size))
		packets = append(packets, media.Packet{Track: 1, DTS: i * 1800, PTS: i * 1800, RandomAccess: true, Payload: make([]byte, 400)})
	}
	return []media.Track{h264Track, aacTrack}, packets
}

func TestNothingIsAllocated(t *testing.T) {
	tracks := []media.Track{h264Track, aacTrack, opusTrack, scte35Track, klvTrack}
	m := newMuxer(t, tracks...)
	_, packets := program()
	for i := 2; i < len(tracks); i++ {
		packets = append(packets, media.Packet{Track: i, DTS: 80000, PTS: 80000, Payload: make([]byte, 1000)})
	}
	var out []byte
	work := func() {
		m.Reset()
		out = out[:0]
		var err error
		for i := range packets {
			if out, err = m.WritePacket(out, &packets[i]); err != nil {
				panic(err)
			}
		}
	}
	require.Zero(t, testing.AllocsPerRun(5, work))
}

// BenchmarkMux counts bytes of elementary streams.
func BenchmarkMux(b *testing.B) {
	tracks, packets := program()
	m := newMuxer(b, tracks...)
	size := int64(0)
	for _, p := range packets {
		size += int64(len(p.Payload))
	}
	b.SetBytes(size)
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		m.Reset()
		out = out[:0]
		for i := range packets {
			out, _ = m.WritePacket(out, &packets[i])
		}
	}
}

func BenchmarkMuxSlices(b *testing.B) {
	for _, slices := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(slices), func(b *testing.B) {
			m := newMuxer(b, h264Track)
			var p media.Packet
			for range slices {
				p.Payload = append(p.Payload, prefixed(make([]byte, 50000/slices))...)
			}
			b.SetBytes(int64(len(p.Payload)))
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				p.DTS += 1800
				p.PTS = p.DTS
				out, _ = m.WritePacket(out[:0], &p)
			}
		})
	}
}
