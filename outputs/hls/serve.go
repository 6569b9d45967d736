package hls

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"brume/negotiate"
)

// Values of Cache-Control. Names of segments are never used twice, so what they name never changes.
const (
	cacheForever  = "public, max-age=3600, immutable"
	cachePlaylist = "no-cache"
	cacheError    = "no-store"
)

const (
	typePlaylist = "application/vnd.apple.mpegurl"
	typeVideo    = "video/mp4"
	typeAudio    = "audio/mp4"
	typeTS       = "video/mp2t"
)

// failure is an answer that is an error.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

var (
	errNotFound = &failure{http.StatusNotFound, "not found"}
	errGone     = &failure{0, "client is gone"}
	errNothing  = &failure{http.StatusServiceUnavailable, "the stream is starting"}
	errStalled  = &failure{http.StatusServiceUnavailable, "the stream is stalled"}
	errShort    = &failure{http.StatusServiceUnavailable, "the server is short of memory or descriptors, try again"}
	errBroken   = &failure{http.StatusInternalServerError, "the segment can't be made, the server's log says why"}
	errAbsurd   = &failure{http.StatusBadRequest, "_HLS_msn or _HLS_part is no number, or lies too far ahead"}
	errClosing  = &failure{http.StatusServiceUnavailable, "shutting down"}
	errMethod   = &failure{http.StatusMethodNotAllowed, "method not allowed"}
)

// ServeHTTP answers a request for a path below /hls/{stream}/. CORS is the caller's; segments go out by sendfile if w has
// net/http's ReadFrom.
func (s *Stream) ServeHTTP(w http.ResponseWriter, r *http.Request, path string) {
	s.active.Add(1)
	defer func() {
		s.lastUse.Store(int64(time.Since(s.start)))
		s.active.Add(-1)
	}()
	t := parsePath(path)
	if t.kind != KindOther {
		s.counters.seen(r, time.Now())
	}
	status, n, err := s.answer(w, r, &t)
	if err != nil {
		status, n = fail(w, err)
	}
	if r.Context().Err() != nil && n == 0 {
		status = 0
	}
	s.counters.request(t.kind, status, n)
}

// answer serves what exists; an error is still to be answered.
func (s *Stream) answer(w http.ResponseWriter, r *http.Request, t *target) (status int, n int64, err error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return 0, 0, errMethod
	}
	switch t.kind {
	case KindMultivariant, KindPlaylist:
		query := ""
		if s.o.KeepQuery != nil && s.o.KeepQuery() {
			if query, err = carriedQuery(r.URL.RawQuery); err != nil {
				return 0, 0, err
			}
		}
		p, err := s.playlist(r.Context(), t, r.URL)
		if err != nil {
			return 0, 0, err
		}
		status, n = writePlaylist(w, r, p, query)
		return status, n, nil
	case KindSegment, KindPart:
		g, index, err := s.segment(r.Context(), t)
		if err != nil {
			return 0, 0, err
		}
		return s.send(w, r, t, g, index)
	case KindInit:
		return s.sendInit(w, r, t)
	default:
		return 0, 0, errNotFound
	}
}

func fail(w http.ResponseWriter, err error) (int, int64) {
	f := errNotFound
	if !errors.As(err, &f) {
		f = errNotFound
	}
	if f == errGone {
		return 0, 0
	}
	h := w.Header()
	h.Set("Cache-Control", cacheError)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	switch f.status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	case http.StatusMethodNotAllowed:
		h.Set("Allow", "GET, HEAD")
	}
	w.WriteHeader(f.status)
	n, _ := io.WriteString(w, f.text+"\n") // a client that is gone
	return f.status, int64(n)
}

// writePlaylist sends a page. One with a query is made for this request alone, and so it is not worth compressing.
func writePlaylist(w http.ResponseWriter, r *http.Request, p *page, query string) (int, int64) {
	h := w.Header()
	h.Set("Cache-Control", cachePlaylist)
	h.Set("Content-Type", typePlaylist)
	b, size := p.plain, len(p.plain)
	if gzip := negotiate.Gzip(h, r); query != "" {
		size = queriedSize(b, query)
	} else if gzip {
		b = p.gzip()
		size = len(b)
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(size))
	w.WriteHeader(http.StatusOK)
	switch {
	case r.Method == http.MethodHead:
		return http.StatusOK, 0
	case query != "":
		n, _ := withQuery(w, b, query) // a client that is gone
		return http.StatusOK, n
	default:
		n, _ := w.Write(b) // a client that is gone
		return http.StatusOK, int64(n)
	}
}

// segment finds a segment, or the index of a part in it, -1 for all. A part that is being written is waited for; 404 tells that
// what a preload hint promised has not come.
func (s *Stream) segment(ctx context.Context, t *target) (*segment, int, error) {
	var found *segment
	index := -1
	_, err := s.wait(ctx, stallTime, errStalled, func(n *snapshot) (bool, error) {
		g := n.find(t.epoch, t.segment)
		if g == nil {
			return false, errNotFound
		}
		found = g
		if t.id == tsID {
			if !g.complete {
				return false, errNotFound
			}
			return true, nil
		}
		p := g.span(t.id)
		switch {
		case p == nil:
			return false, errNotFound
		case t.kind == KindSegment:
			if !g.complete || p.samples == 0 {
				return false, errNotFound
			}
			return true, nil
		}
		for i := range p.parts {
			if p.parts[i].number == t.part {
				index = i
				return true, nil
			}
		}
		if g.complete || g.part != t.part || n.ended {
			return false, errNotFound
		}
		return false, nil
	})
	return found, index, err
}
