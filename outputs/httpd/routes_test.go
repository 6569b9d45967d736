package httpd

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnescape(t *testing.T) {
	for path, want := range map[string]string{
		"":                     "",
		"/hls/live":            "/hls/live",
		"/hls/a%2Bb/index":     "/hls/a+b/index",
		"/hls/a%2fb/c%2Bd":     "/hls/a%2fb/c+d",
		"/hls/a%252fb":         "/hls/a%2fb",
		"/hls/a%zz/b%2":        "/hls/a%zz/b%2",
		"/%2e%2e/%00/%C3%A9/+": "/../\x00/\u00e9/+",
	} {
		require.Equal(t, want, unescape(path), path)
	}
}

// TestMediaIsNotSniffed fetches one of each kind of resource.
func TestMediaIsNotSniffed(t *testing.T) {
	f := start(t)
	f.add(1, live(t))
	f.counted() // the stream is there then
	_, playlist := f.get("GET", "/hls/live/a0/index.m3u8")
	_, ts := f.get("GET", "/hls/live/ts/media.m3u8")
	paths := []string{"a0/" + regexp.MustCompile(`init-\d+\.mp4`).FindString(playlist), "ts/" + regexp.MustCompile(`seg-\d+-\d+\.ts`).FindString(ts)}
	paths = append(paths, "a0/"+regexp.MustCompile(`seg-\d+-\d+\.m4s`).FindString(playlist))
	for _, p := range paths {
		r, body := f.get("GET", "/hls/live/"+p)
		require.Equal(t, http.StatusOK, r.StatusCode, p)
		require.NotEmpty(t, body)
		require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"), p)
	}
}

// TestWrongAddresses asks for what other servers have there: the answer says where a stream is watched here.
func TestWrongAddresses(t *testing.T) {
	f := start(t)
	for _, path := range []string{"/live", "/live/", "/live/index.m3u8", "/live.m3u8", "/app/live.html"} {
		r, body := f.get("GET", path)
		require.Equal(t, http.StatusNotFound, r.StatusCode, path)
		require.Contains(t, body, "/live.html", path)
		require.Contains(t, body, "/hls/live/index.m3u8", path)
	}
}
