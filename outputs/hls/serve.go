package hls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"brume/buffer"
	"brume/media"
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

// holdHalves is after how many halves of a target duration a request for what does not come is answered. A server may
// wait for three whole ones (draft-pantos-hls-rfc8216bis 6.2.5.2), but players give up before.
const holdHalves = 3

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
	errAbsurd   = &failure{http.StatusBadRequest, "bad _HLS_msn or _HLS_part"}
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

// wait returns the first snapshot for which done is true. It gives up with late after a time that is asked of the newest
// snapshot, with errGone and errClosing.
func (s *Stream) wait(ctx context.Context, patience func(*snapshot) time.Duration, late error, done func(*snapshot) (bool, error)) (*snapshot, error) {
	began := time.Now()
	var timer *time.Timer
	for {
		snap := s.current()
		if snap == nil {
			return nil, errClosing
		}
		if ok, err := done(snap); ok || err != nil {
			return snap, err
		}
		left := patience(snap) - time.Since(began)
		if left <= 0 {
			return snap, late
		}
		if timer == nil {
			timer = time.NewTimer(left)
			defer timer.Stop()
		} else {
			timer.Reset(left)
		}
		select {
		case <-snap.superseded:
		case <-timer.C:
		case <-ctx.Done():
			return nil, errGone
		case <-s.closing:
			return nil, errClosing
		}
	}
}

// stallTime is how long a request for a part waits that does not come.
func stallTime(s *snapshot) time.Duration { return media.Duration(holdHalves * s.target() / 2) }

// reloadTime is how long a blocking reload waits for what does not come. hls.js gives a playlist up after three part targets or
// 0.8 target durations, whichever is longer, and its time counts from before ours.
func reloadTime(s *snapshot) time.Duration {
	return media.Duration(min(holdHalves*s.target()/2, max(5*s.partTarget/2, 3*s.target()/4)))
}

// playlist finds the playlist to answer with, when its time has come.
func (s *Stream) playlist(ctx context.Context, t *target, u *url.URL) (*page, error) {
	snap, err := s.wait(ctx, func(*snapshot) time.Duration { return s.o.Hold }, errNothing, func(n *snapshot) (bool, error) {
		if n.closed && !n.playable() {
			return false, errNotFound
		}
		return n.playable(), nil
	})
	if err != nil {
		return nil, err
	}
	k := pageKey{kind: t.kind, id: t.id}
	if t.kind == KindMultivariant {
		if t.id == "" && len(snap.epoch.lanes) == 0 || t.id == tsID && !snap.epoch.hasTS() {
			return nil, errNotFound
		}
		return snap.page(k), nil
	}
	if !snap.has(t.id) {
		return nil, errNotFound
	}
	q := u.Query()
	if v := q.Get("_HLS_skip"); v == "YES" || v == "v2" {
		k.skip = true
	}
	number, part, blocking, err := directives(q)
	if err != nil {
		return nil, err
	}
	if !blocking || t.id == tsID || !snap.blocks() {
		return snap.page(k), nil
	}
	if number > snap.last()+2 && !snap.closed {
		return nil, errAbsurd
	}
	snap, err = s.wait(ctx, reloadTime, errStalled, func(n *snapshot) (bool, error) {
		return n.playable() && (!n.blocks() || n.reached(t.id, number, part)), nil
	})
	if errors.Is(err, errStalled) && snap.playable() {
		// Players give up after some errors, but not after a playlist that has not changed.
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return snap.page(k), nil
}

// directives reads _HLS_msn and _HLS_part. A part that is not given is the first one: Safari asks so for low-latency
// playlists.
func directives(q url.Values) (msn uint64, part int64, blocking bool, err error) {
	m, p := q.Get("_HLS_msn"), q.Get("_HLS_part")
	if m == "" {
		if p != "" {
			return 0, 0, false, errAbsurd
		}
		return 0, 0, false, nil
	}
	if msn, err = strconv.ParseUint(m, 10, 62); err != nil {
		return 0, 0, false, errAbsurd
	}
	if p != "" {
		if part, err = strconv.ParseInt(p, 10, 32); err != nil || part < 0 {
			return 0, 0, false, errAbsurd
		}
	}
	return msn, part, true, nil
}

// writePlaylist sends a page. One with a query is made for this request alone, and so it is not worth compressing.
func writePlaylist(w http.ResponseWriter, r *http.Request, p *page, query string) (int, int64) {
	h := w.Header()
	h.Set("Cache-Control", cachePlaylist)
	h.Set("Content-Type", typePlaylist)
	h.Add("Vary", "Accept-Encoding")
	b, size := p.plain, len(p.plain)
	if query != "" {
		size = queriedSize(b, query)
	} else if acceptsGzip(r.Header.Get("Accept-Encoding")) {
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

// acceptsGzip reads Accept-Encoding (RFC 9110 12.5.3).
func acceptsGzip(header string) bool {
	any := false
	for v := range strings.SplitSeq(header, ",") {
		coding, q, _ := strings.Cut(v, ";")
		coding = strings.ToLower(strings.TrimSpace(coding))
		q = strings.ReplaceAll(strings.ToLower(q), " ", "")
		weight, err := strconv.ParseFloat(strings.TrimPrefix(q, "q="), 64)
		accepted := q == "" || err != nil || weight > 0
		switch coding {
		case "gzip", "x-gzip":
			return accepted
		case "*":
			any = accepted
		}
	}
	return any
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

// send builds a segment or part if nobody has, and sends it.
func (s *Stream) send(w http.ResponseWriter, r *http.Request, t *target, g *segment, index int) (int, int64, error) {
	f, x, err := s.store.acquire(g, t.id, index)
	switch {
	case err == nil:
	case errors.Is(err, buffer.ErrOvertaken):
		s.counters.fault(FaultOvertaken, g.fault(t.id, err))
		return 0, 0, errNotFound
	case short(err):
		return 0, 0, errShort
	default:
		s.counters.fault(FaultSegment, g.fault(t.id, err))
		return 0, 0, errBroken
	}
	defer s.store.release(f)
	contentType := typeVideo
	switch {
	case t.id == tsID:
		contentType = typeTS
	case t.id[0] == 'a':
		contentType = typeAudio
	}
	status, x := writeHeader(w, r, contentType, x)
	if r.Method == http.MethodHead || x.size == 0 {
		return status, 0, nil
	}
	n := copyRange(w, f.memory, x)
	return status, n, nil
}

// fault says which segment could not be made.
func (g *segment) fault(id string, err error) error {
	return fmt.Errorf("%s: segment %d of epoch %d: %w", id, g.number, g.epoch.id, err)
}

// copyRange sends a range of a file. A description of its own has its own position, as sendfile needs.
func copyRange(w io.Writer, f *os.File, x extent) int64 {
	own, err := os.Open("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		n, _ := io.Copy(w, io.NewSectionReader(f, x.offset, x.size)) // a client that is gone
		return n
	}
	defer func() { _ = own.Close() }()
	if _, err := own.Seek(x.offset, io.SeekStart); err != nil {
		return 0
	}
	n, _ := io.Copy(w, io.LimitReader(own, x.size)) // a client that is gone
	return n
}

// writeHeader writes the header of an answer that may be a range (RFC 9110 14), and returns what is to be sent.
func writeHeader(w http.ResponseWriter, r *http.Request, contentType string, x extent) (int, extent) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Accept-Ranges", "bytes")
	status := http.StatusOK
	if v := r.Header.Get("Range"); v != "" && r.Header.Get("If-Range") == "" {
		from, size, ok, satisfiable := parseRange(v, x.size)
		switch {
		case ok && !satisfiable:
			h.Set("Cache-Control", cacheError)
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", x.size))
			h.Set("Content-Length", "0")
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return http.StatusRequestedRangeNotSatisfiable, extent{}
		case ok:
			h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+size-1, x.size))
			x.offset, x.size = x.offset+from, size
			status = http.StatusPartialContent
		}
	}
	h.Set("Cache-Control", cacheForever)
	h.Set("Content-Length", strconv.FormatInt(x.size, 10))
	w.WriteHeader(status)
	return status, x
}

// parseRange reads a Range of one range. What it does not understand is not ok and counts for nothing, as
// RFC 9110 14.2 allows.
func parseRange(v string, total int64) (from, size int64, ok, satisfiable bool) {
	spec, found := strings.CutPrefix(v, "bytes=")
	first, last, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !found || !dash {
		return 0, 0, false, false
	}
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			return 0, 0, false, false
		}
		size = min(int64(n), total)
		return total - size, size, true, size > 0
	}
	f, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return 0, 0, false, false
	}
	end := total - 1
	if last != "" {
		l, err := strconv.ParseUint(last, 10, 63)
		if err != nil || l < f {
			return 0, 0, false, false
		}
		end = min(end, int64(l))
	}
	from = int64(f)
	if from >= total {
		return 0, 0, true, false
	}
	return from, end - from + 1, true, true
}

// sendInit sends an initialization section.
func (s *Stream) sendInit(w http.ResponseWriter, r *http.Request, t *target) (int, int64, error) {
	snap := s.current()
	if snap == nil {
		return 0, 0, errClosing
	}
	e := snap.findEpoch(t.epoch)
	if e == nil {
		return 0, 0, errNotFound
	}
	i := e.lane(t.id)
	if i < 0 {
		return 0, 0, errNotFound
	}
	l := &e.lanes[i]
	contentType := typeVideo
	if !l.video {
		contentType = typeAudio
	}
	status, x := writeHeader(w, r, contentType, extent{0, int64(len(l.init))})
	if r.Method == http.MethodHead || x.size == 0 {
		return status, 0, nil
	}
	n, _ := w.Write(l.init[x.offset : x.offset+x.size]) // a client that is gone
	return status, int64(n), nil
}
