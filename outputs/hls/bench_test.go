package hls

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"brume/buffer"
	"brume/media"
)

// benchStream has 30 s of 4 Mbit/s.
func benchStream(b *testing.B) *Stream {
	f := newFeed(b, buffer.Options{})
	f.begin(videoTrack)
	payload := append([]byte{0, 0, 0x41, 0x1a, 0x65}, make([]byte, 16665)...)
	for n := range 900 {
		f.packet(media.Packet{DTS: int64(n) * 3000, PTS: int64(n) * 3000, RandomAccess: n%30 == 0, Payload: payload}, 0)
	}
	return f.stream(Options{})
}

func BenchmarkPlaylistRequest(b *testing.B) {
	s := benchStream(b)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", http.NoBody)
	b.ReportAllocs()
	for b.Loop() {
		s.ServeHTTP(httptest.NewRecorder(), r, "v0/index.m3u8")
	}
}

func BenchmarkPlaylistRender(b *testing.B) {
	s := benchStream(b)
	s.current()
	b.ReportAllocs()
	for b.Loop() {
		n := s.model.snapshot(s.head)
		n.page(pageKey{kind: KindPlaylist, id: "v0"})
	}
}

// BenchmarkSegmentRequest fetches built segments over loopback.
func BenchmarkSegmentRequest(b *testing.B) {
	s := benchStream(b)
	url := serve(b, s) + "v0/"
	all := uris(fetch(b, s, "v0/index.m3u8"))
	path := all[2]
	b.SetBytes(int64(len(fetch(b, s, "v0/"+path))))
	b.ReportAllocs()
	for b.Loop() {
		r, err := http.Get(url + path) //nolint:noctx // a benchmark
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			b.Fatal(err)
		}
		_ = r.Body.Close()
	}
}

func BenchmarkBuildSegment(b *testing.B) {
	for _, id := range []string{"v0", tsID} {
		b.Run(id, func(b *testing.B) {
			s := benchStream(b)
			g := s.current().segments[5]
			b.SetBytes(g.bytes)
			b.ReportAllocs()
			for b.Loop() {
				f, _, err := s.store.acquire(g, id, -1)
				if err != nil {
					b.Fatal(err)
				}
				s.store.release(f)
				s.store.expire(^uint64(0))
			}
		})
	}
}
