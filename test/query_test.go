package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestKeepQuery has a proxy that lets nothing through without a token. ffmpeg, which is given the token with the first URL, plays
// both variants, and every request that it makes has it.
func TestKeepQuery(t *testing.T) {
	t.Parallel()
	s := startWith(t, "http: {keep_query: true}\n")
	stop := s.publish(plainClip(t), "publish:paid")
	defer stop.end()
	s.waitPlayable("paid")
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.http})
	var refused atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("token") != "let me in" {
			refused.Add(1)
			http.Error(w, "no token", http.StatusForbidden)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	for i, path := range []string{"index.m3u8", "ts/index.m3u8"} {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("%d.ts", i))
		run(t, time.Minute, "ffmpeg", "-nostdin", "-v", "error", "-y", "-i", proxy.URL+"/hls/paid/"+path+"?token=let%20me+in", "-t", "3", "-c", "copy", file)
		require.NotEmpty(t, frames(t, file))
	}
	require.Zero(t, refused.Load())
}
