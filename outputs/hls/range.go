package hls

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"brume/buffer"
)

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
