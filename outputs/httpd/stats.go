package httpd

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"brume/outputs/hls"
)

// counter is a total.
type counter struct{ n atomic.Uint64 }

func (c *counter) add(n uint64)  { c.n.Add(n) }
func (c *counter) total() uint64 { return c.n.Load() }

// counts are the process's own, over all streams.
type counts struct {
	malformed, panics, slow counter
	active                  atomic.Int64

	mu       sync.Mutex
	requests map[countKey]*RequestCount
}

type countKey struct {
	route Route
	class string
}

// count adds one answered request.
func (c *counts) count(route Route, class string, bytes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests == nil {
		c.requests = map[countKey]*RequestCount{}
	}
	key := countKey{route, class}
	r := c.requests[key]
	if r == nil {
		r = &RequestCount{Route: route, Class: class}
		c.requests[key] = r
	}
	r.Requests++
	r.Bytes += bytes
}

func (c *counts) all() []RequestCount {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]RequestCount, 0, len(c.requests))
	for _, r := range c.requests {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b RequestCount) int {
		return strings.Compare(string(a.Route)+a.Class, string(b.Route)+b.Class)
	})
	return all
}

// report tells the controller what was counted. Messages that find no room are dropped: the next ones tell it all again.
func (s *server) report() {
	g := s.gate.Counts()
	_ = s.ctl.Send(MsgStats, Stats{
		Connections: g.Open, Accepted: g.Accepted, Refused: g.Refused, Displaced: g.Displaced, SlowClosed: s.counts.slow.total(),
		Panics: s.counts.panics.total(), Malformed: s.counts.malformed.total(), Active: int(s.counts.active.Load()), Requests: s.counts.all(),
	})
	s.mu.RLock()
	all := make([]StreamStats, 0, len(s.streams))
	for _, one := range s.streams {
		h := one.hls.Stats()
		stats := StreamStats{Name: one.name, ID: one.id, Viewers: h.Viewers, PlayerViews: one.views.total()}
		for _, classes := range h.Requests {
			for _, n := range classes {
				stats.Requests += n.Requests
				stats.Bytes += n.Bytes
			}
		}
		stats.Faults = s.tellFaults(one, &h.Faults)
		all = append(all, stats)
	}
	s.mu.RUnlock()
	for chunk := range slices.Chunk(all, StreamsPerMessage) {
		_ = s.ctl.Send(MsgStreams, Streams{Streams: chunk})
	}
}

// tellFaults logs the last fault of each kind that came up since the last report, and returns all counts.
func (s *server) tellFaults(one *served, all *hls.Faults) Faults {
	one.mu.Lock()
	defer one.mu.Unlock()
	for i, n := range all {
		if more := n.Count - one.told[i].Count; more > 0 {
			s.log.Warn("a stream can't be made into HLS as it should be", "stream", one.name, "cause", hls.Fault(i).String(), "times", more, "error", n.Last)
		}
	}
	one.told = *all
	return Faults{
		Segment: all[hls.FaultSegment].Count, Overtaken: all[hls.FaultOvertaken].Count,
		Entry: all[hls.FaultEntry].Count, Buffer: all[hls.FaultBuffer].Count,
	}
}
