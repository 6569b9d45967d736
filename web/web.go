// Package web holds the pages: the player that the http process serves, and the front page of the API port. They are
// built from web/src by make pages.
package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"brume/negotiate"
)

//go:embed all:dist
var dist embed.FS

// file is one file of the bundle, ready to be sent.
type file struct {
	plain, gzipped []byte
	contentType    string
	cache          string
}

var files = load(dist)

func load(dist fs.FS) map[string]*file {
	all := map[string]*file{}
	_ = fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		b, err := fs.ReadFile(dist, name)
		if err != nil {
			return nil
		}
		f := &file{plain: b, contentType: contentType(name), cache: "no-cache"}
		name = strings.TrimPrefix(name, "dist/")
		if strings.HasPrefix(name, "assets/") {
			// Their names carry a hash of what is in them.
			f.cache = "public, max-age=31536000, immutable"
		}
		var z bytes.Buffer
		w, _ := gzip.NewWriterLevel(&z, gzip.BestCompression) // the level is valid
		_, _ = w.Write(b)
		_ = w.Close()
		if z.Len() < len(b)*9/10 {
			f.gzipped = z.Bytes()
		}
		all[name] = f
		return nil
	})
	return all
}

// contentTypes are those of what a bundle has. The system's own table differs from host to host.
var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".ico":   "image/x-icon",
	".js":    "text/javascript; charset=utf-8",
	".json":  "application/json",
	".map":   "application/json",
	".png":   "image/png",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".wasm":  "application/wasm",
	".woff2": "font/woff2",
}

func contentType(name string) string {
	if t := contentTypes[path.Ext(name)]; t != "" {
		return t
	}
	return "application/octet-stream"
}

// Player serves the player page, whatever the path: the page reads the stream's name from it.
func Player() http.Handler { return page("player.html", "*") }

// Watch serves the page at / of the viewers' port.
func Watch() http.Handler { return page("watch.html", "'none'") }

// Assets serves what the pages load, at /assets/ and /favicon.svg.
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "favicon.ico" {
			name = "favicon.svg"
		}
		if strings.HasSuffix(name, ".html") || files[name] == nil {
			notFound(w, "there is nothing here")
			return
		}
		files[name].serve(w, r)
	})
}

// Front serves the front page of the API port at / and what it loads.
func Front() http.Handler {
	front, assets := page("index.html", "'none'"), Assets()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			front.ServeHTTP(w, r)
			return
		}
		assets.ServeHTTP(w, r)
	})
}

// page serves a page that the given origins may put into a frame.
func page(name, frames string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := files[name]
		if f == nil {
			notFound(w, fmt.Sprintf("the page %s is not in this build; build with make", name))
			return
		}
		// Media comes from blobs that hls.js fills; nothing is loaded from elsewhere.
		w.Header().Set("Content-Security-Policy", "default-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "+frames)
		f.serve(w, r)
	})
}

func notFound(w http.ResponseWriter, text string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, text, http.StatusNotFound)
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are served here", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", f.cache)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	body := f.plain
	if negotiate.Gzip(h, r) && f.gzipped != nil {
		h.Set("Content-Encoding", "gzip")
		body = f.gzipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(30 * time.Second))
	_, _ = w.Write(body)
}
