package buffer

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
)

// benchWriter fills a buffer to its steady state: a window of a minute at 30 frames a second.
func benchWriter(b *testing.B, length int) (*Writer, *Reader, func(n int)) {
	w, r, _ := newBuffer(b, Options{})
	require.NoError(b, w.BeginEpoch([]media.Track{videoTrack}))
	payload := fill(nil, 1, length)
	p := media.Packet{Payload: payload}
	now := epochTime
	n := 0
	write := func(batch int) {
		p.DTS += 3000
		p.PTS, p.RandomAccess = p.DTS, n%30 == 0
		if err := w.WritePacket(&p); err != nil {
			b.Fatal(err)
		}
		if n++; n%batch == 0 {
			now = now.Add(time.Duration(batch) * time.Second / 30)
			w.SetTime(now)
			w.Commit()
		}
	}
	for range 10000 {
		write(16)
	}
	return w, r, write
}

// BenchmarkWrite writes access units with a commit for each 16, in a window of 60 s or what the size allows.
func BenchmarkWrite(b *testing.B) {
	for _, length := range []int{400, 10_000, 100_000} {
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			_, _, write := benchWriter(b, length)
			b.SetBytes(int64(length))
			b.ReportAllocs()
			for b.Loop() {
				write(16)
			}
		})
	}
}

// BenchmarkCommit writes a small unit and commits it.
func BenchmarkCommit(b *testing.B) {
	_, _, write := benchWriter(b, 400)
	b.ReportAllocs()
	for b.Loop() {
		write(1)
	}
}

// BenchmarkRead reads entries and payloads one after the other.
func BenchmarkRead(b *testing.B) {
	for _, length := range []int{400, 10_000} {
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			_, r, _ := benchWriter(b, length)
			tail, head := r.Bounds()
			buf := make([]byte, 0, length)
			seq := tail
			b.SetBytes(int64(length))
			b.ReportAllocs()
			for b.Loop() {
				e, err := r.Entry(seq)
				if err == nil {
					buf, err = r.Payload(&e, buf[:0])
				}
				if err != nil {
					b.Fatal(err)
				}
				if seq++; seq == head {
					seq = tail
				}
			}
		})
	}
}

// BenchmarkLatestRandomAccess searches back over a GOP of one second.
func BenchmarkLatestRandomAccess(b *testing.B) {
	_, r, _ := benchWriter(b, 400)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := r.LatestRandomAccess(); !ok {
			b.Fatal("no random access point")
		}
	}
}

// BenchmarkWriteFresh writes into memory that was never used: the first minute of a stream.
func BenchmarkWriteFresh(b *testing.B) {
	payload := fill(nil, 1, 10_000)
	var w *Writer
	p := media.Packet{Payload: payload}
	n := 0
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if n%5000 == 0 {
			b.StopTimer()
			w, _, _ = newBuffer(b, Options{Window: time.Hour})
			require.NoError(b, w.BeginEpoch([]media.Track{videoTrack}))
			b.StartTimer()
		}
		p.DTS, p.RandomAccess = p.DTS+3000, n%30 == 0
		if err := w.WritePacket(&p); err != nil {
			b.Fatal(err)
		}
		if n++; n%16 == 0 {
			w.Commit()
		}
	}
}
