package httpd

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"brume/media"
	"brume/outputs/hls"
)

// writePatience is how long a client may leave a write waiting before its connection is closed. It reads nothing then, while
// its part of our memory is full.
const writePatience = 20 * time.Second

// bodyPatience is how long the body of a request may take, which is thrown away.
const bodyPatience = time.Second

// sourceHeader says with a playlist what is wrong with the stream's source. The player page shows that once the playlist has ended.
const sourceHeader = "Brume-Source"

// handler routes by path. The mux of the standard library would clean paths by redirects, which players don't all follow.
func (s *server) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.counts.active.Add(1)
		a := &answer{ResponseWriter: w, route: RouteOther}
		defer s.finish(a, r)
		// A client that reads nothing is given up; each write gives it time anew.
		a.patience()
		if r.ContentLength != 0 {
			// Nothing here takes a body. One that was promised and does not come would keep the connection for good.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyPatience))
		}
		if r.Method == http.MethodOptions {
			preflight(w.Header(), r.Header.Values("Access-Control-Request-Headers"))
			a.WriteHeader(http.StatusNoContent)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD, OPTIONS")
			plain(a, http.StatusMethodNotAllowed, "only GET, HEAD and OPTIONS are served here")
			return
		}
		s.route(a, r)
	})
}

func (s *server) route(a *answer, r *http.Request) {
	p := unescape(r.URL.EscapedPath())
	switch {
	case p == "/":
		a.route = RoutePage
		s.o.Page.ServeHTTP(a, r)
	case strings.HasPrefix(p, "/hls/"):
		s.serveHLS(a, r, strings.TrimPrefix(p, "/hls/"))
	case strings.HasPrefix(p, "/assets/") || p == "/favicon.ico" || p == "/favicon.svg":
		a.route = RouteAsset
		s.o.Assets.ServeHTTP(a, r)
	case strings.HasSuffix(p, ".html") && media.ValidName(strings.TrimSuffix(p[1:], ".html")):
		a.route = RoutePlayer
		if one := s.stream(strings.TrimSuffix(p[1:], ".html")); one != nil {
			one.views.add(1)
		}
		s.o.Player.ServeHTTP(a, r)
	default:
		plain(a, http.StatusNotFound, "there is nothing here; a stream called live is watched at /live.html, or by a media player at /hls/live/index.m3u8")
	}
}

// unescape undoes the escapes of each part of a path. A part that would have a slash in it then, or that is malformed, stays as
// it is, so that an escaped slash never separates parts.
func unescape(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if u, err := url.PathUnescape(p); err == nil && !strings.Contains(u, "/") {
			parts[i] = u
		}
	}
	return strings.Join(parts, "/")
}

func (s *server) serveHLS(a *answer, r *http.Request, p string) {
	cors(a.Header())
	a.Header().Set("X-Content-Type-Options", "nosniff")
	name, rest, _ := strings.Cut(p, "/")
	a.route = routeOf(hls.KindOf(rest))
	one := s.stream(name)
	if one == nil && a.route == RoutePlaylist {
		end, why := s.wait(r.Context(), name)
		switch end {
		case arrived:
			one = s.stream(name)
		case starting:
			later(a, why)
			return
		}
	}
	if one == nil {
		plain(a, http.StatusNotFound, "no such stream is live")
		return
	}
	if rest == "" {
		to := url.URL{Path: "/hls/" + name + "/index.m3u8", RawQuery: r.URL.RawQuery}
		a.Header().Set("Location", to.String())
		plain(a, http.StatusFound, "the playlist is index.m3u8")
		return
	}
	if why := one.why.Load(); why != nil && *why != "" && a.route == RoutePlaylist {
		a.Header().Set(sourceHeader, *why)
	}
	one.serve(a, r, rest)
}

func routeOf(k hls.Kind) Route {
	switch k {
	case hls.KindMultivariant, hls.KindPlaylist:
		return RoutePlaylist
	case hls.KindSegment:
		return RouteSegment
	case hls.KindPart:
		return RoutePart
	case hls.KindInit:
		return RouteInit
	}
	return RouteOther
}

func plain(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

// finish counts a request, and keeps a panic from ending more than it.
func (s *server) finish(a *answer, r *http.Request) {
	s.counts.active.Add(-1)
	if v := recover(); v != nil {
		if v == http.ErrAbortHandler {
			panic(v)
		}
		s.counts.panics.add(1)
		s.log.Error("a request ended in a panic; this is a bug", "route", string(a.route), "kind", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
		if a.status == 0 {
			plain(a, http.StatusInternalServerError, "internal error")
		}
	}
	class := "gone"
	if a.status > 0 && r.Context().Err() == nil {
		class = string(rune('0'+a.status/100)) + "xx"
	}
	if errors.Is(a.err, os.ErrDeadlineExceeded) {
		s.counts.slow.add(1)
	}
	s.counts.count(a.route, class, a.bytes)
}

// answer watches what is sent.
type answer struct {
	http.ResponseWriter
	route  Route
	status int
	bytes  uint64
	err    error
}

// Unwrap gives http.ResponseController what it needs.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) patience() {
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(writePatience))
}

// WriteHeader notes the status.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write sends bytes.
func (a *answer) Write(b []byte) (int, error) {
	a.begin()
	n, err := a.ResponseWriter.Write(b)
	a.sent(n, err)
	return n, err
}

func (a *answer) begin() {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.patience()
}

func (a *answer) sent(n int, err error) {
	a.bytes += uint64(n)
	if err != nil {
		a.err = err
	}
}
