package test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// heldBack is the address of a proxy for the viewers' port that calls hold before it passes a request on.
func (s *server) heldBack(hold func(r *http.Request)) string {
	s.t.Helper()
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.http})
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hold(r)
		if r.Context().Err() == nil {
			behind.ServeHTTP(w, r)
		}
	}))
	s.t.Cleanup(proxy.Close)
	return proxy.URL
}

// TestPlayerPageLoadsInParts plays segments of 4 s by a way on which sound comes late: several parts at a time are known and loaded one behind the other, so
// that hls.js is nearly always within a segment. It must not forget what it has of it by throwing old media away, which begins after half a minute. Once
// the way is quick, old media is thrown away.
func TestPlayerPageLoadsInParts(t *testing.T) {
	s := start(t)
	s.publish(clip(t, "gop4", 150, "-c:v libx264 -preset veryfast -g 120 -sc_threshold 0 -bf 2 -pix_fmt yuv420p -b:v 300k -c:a aac"), "live")
	s.waitPlayable("live")
	var quick atomic.Bool
	address := s.heldBack(func(r *http.Request) {
		switch {
		case quick.Load():
		case strings.HasSuffix(r.URL.Path, "/a0/index.m3u8"):
			time.Sleep(1200 * time.Millisecond)
		case strings.Contains(r.URL.Path, "/a0/part-"):
			time.Sleep(350 * time.Millisecond)
		}
	})
	page := newPlayers(t).open("page", address+"/live.html")
	v := page.until(4*time.Minute, "it has played for long enough", func(v seen) bool { return v.Played > 50 })
	require.Empty(t, v.Messages, "%s", v)
	quick.Store(true)
	page.until(time.Minute, "old media is thrown away", func(v seen) bool { return len(v.Buffered) > 0 && v.Buffered[0][0] > v.Position-45 })
}

// TestPlayerPageLoadsAnew lets one request for sound hang: the page loads anew at the live edge, long before the request counts as failed.
func TestPlayerPageLoadsAnew(t *testing.T) {
	s := start(t)
	s.publish(plainClip(t), "live")
	s.waitPlayable("live")
	var hang atomic.Bool
	address := s.heldBack(func(r *http.Request) {
		if strings.Contains(r.URL.Path, "/a0/") && strings.HasSuffix(r.URL.Path, ".m4s") && hang.CompareAndSwap(true, false) {
			<-r.Context().Done()
		}
	})
	page := newPlayers(t).open("page", address+"/live.html")
	before := page.until(time.Minute, "it plays", func(v seen) bool { return v.Played > 3 })
	hang.Store(true)
	said := func(v seen) string { return strings.Join(v.Messages[len(before.Messages):], "\n") }
	v := page.until(time.Minute, "it loads anew", func(v seen) bool { return strings.Contains(said(v), "Loading begins anew") })
	v = page.until(time.Minute, "it plays on", func(now seen) bool { return now.Played > v.Played+5 })
	require.NotContains(t, said(v), "Playback begins anew")
}
