package hls

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
)

var (
	videoTrack = media.Track{Codec: media.H264, Config: prefixed([][]byte{
		// 1280x720, High, level 3.1, no timing.
		{0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60},
		{0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0},
	})}
	aacTrack = media.Track{Codec: media.AAC, Language: "deu", Config: []byte{0x11, 0x90}} // 48 kHz, stereo
	ac3Track = media.Track{Codec: media.AC3, Language: "eng", Config: []byte{0x0b, 0x77, 0, 0, 0x14, 0x40, 0x40, 0}}
	mp2Track = media.Track{Codec: media.MP2, Config: []byte{0xff, 0xfd, 0xa4, 0x04}}
)

// video is the n-th packet of a synthetic stream at 30 pictures a second with a GOP of one second.
func video(n int) media.Packet {
	kind := byte(0x41)
	if n%30 == 0 {
		kind = 0x65
	}
	payload := append([]byte{0, 0, 3, 0xe8, kind}, make([]byte, 999)...)
	payload[10] = byte(n)
	return media.Packet{Track: 0, DTS: int64(n) * 3000, PTS: int64(n) * 3000, RandomAccess: n%30 == 0, Payload: payload}
}

// synthetic begins an epoch with video and writes some packets.
func (f *feed) synthetic(from, to int) {
	f.t.Helper()
	for n := from; n < to; n++ {
		f.packet(video(n), 0)
	}
}

func TestNothingToPlay(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	s := f.stream(Options{Hold: 30 * time.Millisecond})
	for _, path := range []string{"index.m3u8", "v0/index.m3u8", "ts/index.m3u8", "ts/media.m3u8"} {
		began := time.Now()
		r := get(t, s, path)
		require.Equal(t, http.StatusServiceUnavailable, r.StatusCode, path)
		require.Equal(t, "1", r.Header.Get("Retry-After"))
		require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
		require.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
	}
	require.NoError(t, f.w.Finish())
	// It may take longer than the request is held until the stream is seen to be over.
	require.Eventually(t, func() bool { return get(t, s, "index.m3u8").StatusCode == http.StatusNotFound }, time.Minute, time.Millisecond)
}

// A request that comes before the stream is answered as soon as there is one.
func TestHeldUntilPlayable(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	s := f.stream(Options{Hold: time.Minute})
	answer := make(chan int, 1)
	go func() { answer <- get(t, s, "index.m3u8").StatusCode }()
	f.begin(videoTrack)
	f.synthetic(0, 30)
	require.Eventually(t, func() bool { return s.active.Load() == 1 }, 10*time.Second, time.Millisecond)
	require.Empty(t, answer)
	f.synthetic(30, 31)
	select {
	case status := <-answer:
		require.Equal(t, http.StatusOK, status)
	case <-time.After(10 * time.Second):
		t.Fatal("not answered")
	}
}

func TestAnswers(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack, aacTrack)
	f.synthetic(0, 100)
	base := serve(t, f.stream(Options{}))
	s := f.stream(Options{})
	epoch := s.current().epoch.id
	seg, part := fmt.Sprintf("v0/seg-%d-1.m4s", epoch), fmt.Sprintf("v0/part-%d-1.1.m4s", epoch)
	initial, whole := fmt.Sprintf("v0/init-%d.mp4", epoch), fetch(t, s, seg)
	tests := []struct {
		name, method, path string
		header             []string
		status             int
		want               map[string]string
		body               string
	}{
		{name: "playlist", path: "v0/index.m3u8", status: 200, want: map[string]string{"Cache-Control": "no-cache", "Content-Type": typePlaylist, "Vary": "Accept-Encoding"}},
		{name: "multivariant", path: "index.m3u8", status: 200, want: map[string]string{"Cache-Control": "no-cache"}},
		{name: "segment", path: seg, status: 200, want: map[string]string{"Cache-Control": cacheForever, "Content-Type": "video/mp4"}, body: whole},
		{name: "head", method: "HEAD", path: seg, status: 200, want: map[string]string{"Content-Length": fmt.Sprint(len(whole))}},
		{name: "range", path: seg, header: []string{"Range", "bytes=10-19"}, status: 206, want: map[string]string{"Content-Range": fmt.Sprintf("bytes 10-19/%d", len(whole)), "Content-Length": "10"}, body: whole[10:20]},
		{name: "open range", path: seg, header: []string{"Range", "bytes=20-"}, status: 206, body: whole[20:]},
		{name: "last bytes", path: seg, header: []string{"Range", "bytes=-5"}, status: 206, body: whole[len(whole)-5:]},
		{name: "range behind the end", path: seg, header: []string{"Range", "bytes=99999999-"}, status: 416, want: map[string]string{"Content-Range": fmt.Sprintf("bytes */%d", len(whole))}},
		{name: "two ranges", path: seg, header: []string{"Range", "bytes=0-1,4-5"}, status: 200, body: whole},
		{name: "range that makes no sense", path: seg, header: []string{"Range", "bytes=9-2"}, status: 200, body: whole},
		{name: "part", path: part, status: 200, want: map[string]string{"Cache-Control": cacheForever}},
		{name: "part range", path: part, header: []string{"Range", "bytes=4-7"}, status: 206, body: "moof"},
		{name: "init", path: initial, status: 200, want: map[string]string{"Cache-Control": cacheForever}},
		{name: "init range", path: initial, header: []string{"Range", "bytes=4-7"}, status: 206, body: "ftyp"},
		{name: "segment in TS", path: fmt.Sprintf("ts/seg-%d-1.ts", epoch), status: 200, want: map[string]string{"Content-Type": "video/mp2t"}},
		{name: "running segment", path: fmt.Sprintf("v0/seg-%d-4.m4s", epoch), status: 404, want: map[string]string{"Cache-Control": "no-store"}},
		{name: "running segment in TS", path: fmt.Sprintf("ts/seg-%d-4.ts", epoch), status: 404},
		{name: "segment to come", path: fmt.Sprintf("v0/seg-%d-5.m4s", epoch), status: 404},
		{name: "other epoch", path: fmt.Sprintf("v0/seg-%d-1.m4s", epoch-1), status: 404},
		{name: "part that is not", path: fmt.Sprintf("v0/part-%d-1.9.m4s", epoch), status: 404},
		{name: "part after the next", path: fmt.Sprintf("v0/part-%d-4.2.m4s", epoch), status: 404},
		{name: "init of another epoch", path: "v0/init-1.mp4", status: 404},
		{name: "rendition that is not", path: "a1/index.m3u8", status: 404},
		{name: "segment without samples", path: fmt.Sprintf("a0/seg-%d-1.m4s", epoch), status: 404},
		{name: "anything", path: "v0/../../etc/passwd", status: 404},
		{name: "leading zero", path: fmt.Sprintf("v0/seg-0%d-1.m4s", epoch), status: 404},
		{name: "post", method: "POST", path: "index.m3u8", status: 405, want: map[string]string{"Allow": "GET, HEAD"}},
		{name: "far ahead", path: "v0/index.m3u8?_HLS_msn=6", status: 400},
		{name: "no number", path: "v0/index.m3u8?_HLS_msn=-1", status: 400},
		{name: "part alone", path: "v0/index.m3u8?_HLS_part=1", status: 400},
		{name: "bad part", path: "v0/index.m3u8?_HLS_msn=1&_HLS_part=x", status: 400},
		{name: "there already", path: "v0/index.m3u8?_HLS_msn=3&_HLS_part=0", status: 200},
		{name: "running part", path: "v0/index.m3u8?_HLS_msn=3&_HLS_part=1", status: 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			method := test.method
			if method == "" {
				method = http.MethodGet
			}
			r, err := http.NewRequestWithContext(t.Context(), method, base+test.path, http.NoBody)
			require.NoError(t, err)
			r.Header.Set("Accept-Encoding", "identity")
			for i := 0; i+1 < len(test.header); i += 2 {
				r.Header.Set(test.header[i], test.header[i+1])
			}
			a, err := http.DefaultTransport.RoundTrip(r)
			require.NoError(t, err)
			b := body(t, a)
			require.Equal(t, test.status, a.StatusCode, b)
			for k, v := range test.want {
				require.Equal(t, v, a.Header.Get(k), k)
			}
			if test.body != "" {
				require.Equal(t, test.body, b)
			}
		})
	}
}

func TestGzip(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	f.synthetic(0, 100)
	s := f.stream(Options{})
	r := get(t, s, "v0/index.m3u8", "Accept-Encoding", "br, gzip;q=0.5")
	require.Equal(t, "gzip", r.Header.Get("Content-Encoding"))
	z, err := gzip.NewReader(r.Body)
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	require.Equal(t, fetch(t, s, "v0/index.m3u8"), string(b))
}

// later asks in the background.
func later(t *testing.T, s *Stream, path string) <-chan *http.Response {
	active := s.active.Load()
	c := make(chan *http.Response, 1)
	go func() { c <- get(t, s, path) }()
	require.Eventually(t, func() bool { return s.active.Load() > active }, 10*time.Second, time.Millisecond)
	return c
}

func answered(t *testing.T, c <-chan *http.Response) *http.Response {
	t.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("not answered")
		return nil
	}
}

func TestBlockingReload(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	f.synthetic(0, 76) // a part is 15 pictures
	s := f.stream(Options{})
	require.Contains(t, fetch(t, s, "v0/index.m3u8?_HLS_msn=3&_HLS_part=0"), ".0.m4s")
	playlist, hint := later(t, s, "v0/index.m3u8?_HLS_msn=3&_HLS_part=1"), later(t, s, fmt.Sprintf("v0/part-%d-3.1.m4s", s.current().epoch.id))
	f.synthetic(76, 90)
	time.Sleep(20 * time.Millisecond)
	require.Empty(t, playlist, "held")
	require.Empty(t, hint, "held")
	f.synthetic(90, 91)
	require.Contains(t, body(t, answered(t, playlist)), "-3.1.m4s")
	require.Equal(t, "moof", body(t, answered(t, hint))[4:8])

	t.Run("without a part, the first one of the segment", func(t *testing.T) {
		require.Contains(t, body(t, get(t, s, "v0/index.m3u8?_HLS_msn=3")), ".0.m4s")
	})
	t.Run("an index behind the last part is the next segment", func(t *testing.T) {
		c := later(t, s, "v0/index.m3u8?_HLS_msn=3&_HLS_part=9")
		f.synthetic(91, 105)
		time.Sleep(20 * time.Millisecond)
		require.Empty(t, c)
		f.synthetic(105, 106)
		require.Contains(t, body(t, answered(t, c)), "-4.0.m4s")
	})
	t.Run("between two publishers", func(t *testing.T) {
		c := later(t, s, "v0/index.m3u8?_HLS_msn=5&_HLS_part=2")
		require.NoError(t, f.w.EndEpoch())
		r := answered(t, c)
		require.Equal(t, http.StatusOK, r.StatusCode, "the same playlist again")
		text := body(t, r)
		require.NotContains(t, text, "PRELOAD-HINT")
		require.NotContains(t, text, "CAN-BLOCK-RELOAD", "nothing can come")
		require.Contains(t, text, "PART-HOLD-BACK=1.65", "it never changes")
		require.Equal(t, text, body(t, get(t, s, "v0/index.m3u8?_HLS_msn=5")), "answered at once")
	})
	t.Run("a stream that is over", func(t *testing.T) {
		require.NoError(t, f.w.Finish())
		s.advance()
		text := body(t, get(t, s, "v0/index.m3u8?_HLS_msn=5"))
		require.Contains(t, text, "#EXT-X-ENDLIST")
		require.NotContains(t, text, "PRELOAD-HINT")
	})
}

// hinted is the part that a playlist promises.
func hinted(t *testing.T, playlist string) string {
	_, uri, ok := strings.Cut(playlist, `TYPE=PART,URI="`)
	require.True(t, ok, playlist)
	uri, _, _ = strings.Cut(uri, `"`)
	return uri
}

func TestHintThatDoesNotComeTrue(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack, mp2Track) // nothing can be put in place of what is missing
	audio := int64(0)
	for n := range 80 {
		for ; audio <= int64(n)*3000; audio += 2160 {
			f.packet(media.Packet{Track: 1, DTS: audio, PTS: audio, RandomAccess: true, Payload: []byte{1, 2, 3}}, 0)
		}
		f.synthetic(n, n+1)
	}
	s := f.stream(Options{})
	c := later(t, s, "a0/"+hinted(t, fetch(t, s, "a0/index.m3u8")))
	f.synthetic(80, 91) // the part has audio from the time before
	require.Equal(t, http.StatusOK, answered(t, c).StatusCode)
	c = later(t, s, "a0/"+hinted(t, fetch(t, s, "a0/index.m3u8")))
	f.synthetic(91, 104)
	require.Empty(t, c)
	f.synthetic(104, 106)
	require.Equal(t, http.StatusNotFound, answered(t, c).StatusCode)
	f.synthetic(106, 130)
	s.advance()
	require.Contains(t, fetch(t, s, "a0/index.m3u8"), "#EXT-X-GAP", "a segment without audio")
}

func TestStalled(t *testing.T) {
	f := newFeed(t, buffer.Options{SegmentTarget: 100 * time.Millisecond, SegmentMax: time.Second})
	f.begin(videoTrack)
	f.synthetic(0, 40)
	s := f.stream(Options{})
	began := time.Now()
	r := get(t, s, "v0/index.m3u8?_HLS_msn=2")
	require.GreaterOrEqual(t, time.Since(began), 1250*time.Millisecond, "held for two and a half part targets")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, fetch(t, s, "v0/index.m3u8"), body(t, r), "the playlist as it was")
}

func TestRequestEnds(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	s := f.stream(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody), "index.m3u8")
	}()
	c := later(t, s, "v0/index.m3u8")
	require.Eventually(t, func() bool { return s.active.Load() == 2 }, 10*time.Second, time.Millisecond)
	cancel()
	<-done
	require.EqualValues(t, 1, s.Stats().Requests[KindMultivariant]["gone"].Requests)
	require.NoError(t, s.Close())
	require.Equal(t, http.StatusServiceUnavailable, answered(t, c).StatusCode)
	require.Equal(t, http.StatusServiceUnavailable, get(t, s, "index.m3u8").StatusCode)
	require.ErrorIs(t, s.Close(), ErrClosed)
}

func TestIdle(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	f.synthetic(0, 100)
	s := f.stream(Options{Idle: 10 * time.Millisecond})
	seg := uris(fetch(t, s, "v0/index.m3u8"))[1]
	was := fetch(t, s, "v0/"+seg)
	require.Positive(t, s.Stats().Cached)
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.following
	}, 10*time.Second, time.Millisecond)
	require.Zero(t, s.Stats().Cached)
	f.synthetic(100, 200)
	require.Contains(t, fetch(t, s, "v0/index.m3u8"), "-5.m4s")
	require.Equal(t, was, fetch(t, s, "v0/"+seg))
}

func TestStats(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	f.synthetic(0, 100)
	s := f.stream(Options{})
	n := 0
	for range 3 {
		n += len(fetch(t, s, "v0/index.m3u8"))
	}
	get(t, s, "index.m3u8", "User-Agent", "another")
	get(t, s, "nothing")
	st := s.Stats()
	require.Equal(t, Count{3, uint64(n)}, st.Requests[KindPlaylist]["2xx"])
	require.EqualValues(t, 1, st.Requests[KindOther]["4xx"].Requests)
	require.Equal(t, 2, st.Viewers)
	require.Zero(t, s.counters.stats(time.Now().Add(time.Minute)).Viewers)
}
