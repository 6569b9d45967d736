package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

const script = "assets/player-a1b2c3.js"

// built is a bundle as make pages leaves it.
func built() fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		"dist/.gitkeep":     file(""),
		"dist/.built":       file("yes"),
		"dist/index.html":   file("<!doctype html>front"),
		"dist/player.html":  file("<!doctype html>player"),
		"dist/watch.html":   file("<!doctype html>watch"),
		"dist/favicon.svg":  file("<svg/>"),
		"dist/" + script:    file(strings.Repeat("let x = 1;\n", 100)),
		"dist/assets/x.css": file("a{}"),
		"dist/assets/blob":  file("?"),
	}
}

// bundle puts another bundle in place for a test.
func bundle(t *testing.T, dist fstest.MapFS) {
	t.Helper()
	before := files
	files = load(dist)
	t.Cleanup(func() { files = before })
}

func get(h http.Handler, method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

func TestPages(t *testing.T) {
	bundle(t, built())
	const html, forever = "text/html; charset=utf-8", "public, max-age=31536000, immutable"
	for _, c := range []struct {
		name    string
		handler http.Handler
		path    string
		status  int
		kind    string
		cache   string
		body    string
	}{
		{"player", Player(), "/live.html", 200, html, "no-cache", "player"},
		{"player anywhere", Player(), "/x/y", 200, html, "no-cache", "player"},
		{"watch", Watch(), "/", 200, html, "no-cache", "watch"},
		{"front", Front(), "/", 200, html, "no-cache", "front"},
		{"front's script", Front(), "/" + script, 200, "text/javascript; charset=utf-8", forever, "let x"},
		{"script", Assets(), "/" + script, 200, "text/javascript; charset=utf-8", forever, "let x"},
		{"style", Assets(), "/assets/x.css", 200, "text/css; charset=utf-8", forever, "a{}"},
		{"unknown type", Assets(), "/assets/blob", 200, "application/octet-stream", forever, "?"},
		{"icon", Assets(), "/favicon.svg", 200, "image/svg+xml", "no-cache", "<svg/>"},
		{"icon by its old name", Assets(), "/favicon.ico", 200, "image/svg+xml", "no-cache", "<svg/>"},
		{"no such script", Assets(), "/assets/none.js", 404, "", "no-store", "nothing here"},
		{"pages are no assets", Assets(), "/player.html", 404, "", "no-store", "nothing here"},
		{"hidden file", Assets(), "/.built", 404, "", "no-store", "nothing here"},
		{"folder", Assets(), "/assets/", 404, "", "no-store", "nothing here"},
		{"folder without slash", Assets(), "/assets", 404, "", "no-store", "nothing here"},
		{"parent", Assets(), "/assets/../index.html", 404, "", "no-store", "nothing here"},
		{"out of the bundle", Assets(), "/assets/%2e%2e/%2e%2e/web.go", 404, "", "no-store", "nothing here"},
		{"front has no other pages", Front(), "/player.html", 404, "", "no-store", "nothing here"},
		{"front's unknown", Front(), "/x", 404, "", "no-store", "nothing here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := get(c.handler, "GET", c.path)
			require.Equal(t, c.status, r.StatusCode)
			require.Equal(t, c.cache, r.Header.Get("Cache-Control"))
			require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
			text := body(t, r)
			require.Contains(t, text, c.body)
			if c.status != 200 {
				return
			}
			require.Equal(t, c.kind, r.Header.Get("Content-Type"))
			require.Equal(t, int64(len(text)), r.ContentLength)
			require.Equal(t, "Accept-Encoding", r.Header.Get("Vary"))
			if c.kind == html {
				policy := r.Header.Get("Content-Security-Policy")
				require.Contains(t, policy, "default-src 'self'")
				require.Contains(t, policy, "media-src 'self' blob:")
			}

			head := get(c.handler, "HEAD", c.path)
			require.Equal(t, 200, head.StatusCode)
			require.Equal(t, r.Header, head.Header)
			require.Empty(t, body(t, head))
		})
	}
}

func TestCompression(t *testing.T) {
	bundle(t, built())
	for _, c := range []struct {
		accept, path string
		want         bool
	}{
		{"gzip", script, true},
		{"deflate, gzip;q=0.8, br", script, true},
		{"GZIP", script, true},
		{"", script, false},
		{"br", script, false},
		{"gzip;q=0", script, false},
		{"gzip; q=0.000, br", script, false},
		{"gzip", "assets/x.css", false}, // too small to gain
	} {
		t.Run(c.accept+" "+c.path, func(t *testing.T) {
			r := get(Assets(), "GET", "/"+c.path, "Accept-Encoding", c.accept)
			raw := body(t, r)
			require.Equal(t, int64(len(raw)), r.ContentLength)
			if !c.want {
				require.Empty(t, r.Header.Get("Content-Encoding"))
				return
			}
			require.Equal(t, "gzip", r.Header.Get("Content-Encoding"))
			z, err := gzip.NewReader(bytes.NewReader([]byte(raw)))
			require.NoError(t, err)
			plain, err := io.ReadAll(z)
			require.NoError(t, err)
			require.Equal(t, string(built()["dist/"+c.path].Data), string(plain))
		})
	}
}

func TestMethods(t *testing.T) {
	bundle(t, built())
	for _, h := range []http.Handler{Player(), Watch(), Front()} {
		r := get(h, "POST", "/")
		require.Equal(t, 405, r.StatusCode)
		require.Equal(t, "GET, HEAD", r.Header.Get("Allow"))
	}
}

// TestWithoutABundle has a program that was built by go build alone.
func TestWithoutABundle(t *testing.T) {
	bundle(t, fstest.MapFS{"dist/.gitkeep": &fstest.MapFile{}})
	for name, h := range map[string]http.Handler{"player.html": Player(), "watch.html": Watch(), "index.html": Front()} {
		r := get(h, "GET", "/")
		require.Equal(t, 404, r.StatusCode)
		require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
		text := body(t, r)
		require.Contains(t, text, name)
		require.Contains(t, text, "make")
	}
	require.Equal(t, 404, get(Assets(), "GET", "/favicon.ico").StatusCode)
}

// TestEmbedded has whatever this program was built with: it loads, and what it has is whole.
func TestEmbedded(t *testing.T) {
	for name, f := range load(dist) {
		require.NotEmpty(t, f.plain, name)
		require.NotContains(t, name, "/.")
		require.NotEqual(t, '.', name[0])
	}
}
