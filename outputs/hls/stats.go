package hls

import (
	"hash/maphash"
	"net"
	"net/http"
	"sync"
	"time"
)

// Count is requests and bytes of bodies.
type Count struct {
	Requests, Bytes uint64
}

// Stats counts since the Stream was made.
type Stats struct {
	Requests map[Kind]map[string]Count // by what was asked for, and class of status: "2xx" to "5xx", "gone" when the client left first
	Viewers  int                       // different clients, by address and User-Agent, within the last 10 s; bounded
	Segments uint64                    // built, in all renditions
	Cached   int64                     // bytes of segments in memory
	Files    int                       // segments in memory
	Faults   Faults                    // what could not be read or made, by Fault
}

// Fault is a kind of failure to make playlists or segments from the buffer.
type Fault int

// The kinds of Fault.
const (
	FaultBuffer    Fault = iota // the buffer's header can't be read
	FaultEntry                  // an entry, or its marks of segments and parts, makes no sense
	FaultSegment                // a segment or part that is listed can't be made, or not written
	FaultOvertaken              // the buffer's writer was faster than its reader
	faults
)

// String is the name of the fault in metrics and logs.
func (f Fault) String() string {
	return [faults]string{"buffer", "entry", "segment", "overtaken"}[f]
}

// Faults counts each Fault.
type Faults [faults]FaultCount

// FaultCount counts the faults of a kind.
type FaultCount struct {
	Count uint64
	Last  error // the last one, nil while there was none
}

const (
	viewerWindow = 10 * time.Second // how long a viewer counts after its last request of a playlist, segment or part
	maxViewers   = 65536            // told apart in one stream
	classGone    = "gone"
)

// counters is Stats while it counts.
type counters struct {
	seed maphash.Seed

	mu       sync.Mutex
	requests map[Kind]map[string]Count
	viewers  map[uint64]time.Time // when each was last seen
	pruned   time.Time
	faults   Faults
}

func newCounters() *counters {
	return &counters{seed: maphash.MakeSeed(), requests: map[Kind]map[string]Count{}, viewers: map[uint64]time.Time{}}
}

// class names a status for counting.
func class(status int) string {
	switch status / 100 {
	case 1, 2:
		return "2xx"
	case 3:
		return "3xx"
	case 4:
		return "4xx"
	case 5:
		return "5xx"
	default:
		return classGone
	}
}

func (c *counters) request(k Kind, status int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.requests[k]
	if m == nil {
		m = map[string]Count{}
		c.requests[k] = m
	}
	n := m[class(status)]
	n.Requests++
	n.Bytes += uint64(max(bytes, 0))
	m[class(status)] = n
}

// seen takes note of a viewer.
func (c *counters) seen(r *http.Request, now time.Time) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	agent := r.UserAgent()
	var h maphash.Hash
	h.SetSeed(c.seed)
	_, _ = h.WriteString(host) // never fails
	_ = h.WriteByte(0)
	_, _ = h.WriteString(agent[:min(len(agent), 512)])
	sum := h.Sum64()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.viewers[sum]; !known && len(c.viewers) >= maxViewers {
		if now.Sub(c.pruned) < time.Second {
			return
		}
		c.prune(now)
		if len(c.viewers) >= maxViewers {
			return
		}
	}
	c.viewers[sum] = now
}

func (c *counters) prune(now time.Time) {
	c.pruned = now
	for k, t := range c.viewers {
		if now.Sub(t) > viewerWindow {
			delete(c.viewers, k)
		}
	}
}

func (c *counters) fault(f Fault, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[f].Count++
	c.faults[f].Last = err
}

func (c *counters) stats(now time.Time) Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prune(now)
	s := Stats{Requests: make(map[Kind]map[string]Count, len(c.requests)), Viewers: len(c.viewers), Faults: c.faults}
	for k, m := range c.requests {
		n := make(map[string]Count, len(m))
		for class, count := range m {
			n[class] = count
		}
		s.Requests[k] = n
	}
	return s
}
