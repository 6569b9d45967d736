package httpd

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"

	"brume/media"
	"brume/rate"
)

// demand are the requests that wait for a stream that is not there yet.
type demand struct {
	mu      sync.Mutex
	sources bool // the controller has streams that begin when they are asked for
	held    int
	wanted  map[string]*wish
	asks    rate.Bucket
}

// askAgain is after how long a stream that requests still wait for is asked for again: the controller forgets who asked.
const askAgain = 2 * time.Second

// wish is a stream that requests wait for.
type wish struct {
	waits int           // requests
	asked time.Time     // when the controller was last asked
	done  chan struct{} // closed when it is decided
	end   verdict       // once done is closed
	why   string        // what is wrong with the stream's source, empty where nothing is known to be
}

// verdict is what becomes of a request for a stream that is not there.
type verdict uint8

const (
	unknown  verdict = iota // 404
	starting                // 503, try again
	arrived                 // the stream is there
)

// wait holds a request for a stream that may begin because it is asked for. For one that is starting it says what is wrong with
// the stream's source, if that is known.
func (s *server) wait(ctx context.Context, name string) (end verdict, why string) {
	d := &s.demand
	d.mu.Lock()
	if !d.sources || !media.ValidName(name) {
		d.mu.Unlock()
		return unknown, ""
	}
	w := d.wanted[name]
	now := time.Now()
	ask := (w == nil || now.Sub(w.asked) > askAgain) && d.asks.Take(WantedRate, now)
	if d.held >= MaxHeld || w == nil && (len(d.wanted) >= MaxWanted || !ask) {
		d.mu.Unlock()
		return starting, ""
	}
	if w == nil {
		w = &wish{done: make(chan struct{})}
		d.wanted[name] = w
	}
	w.waits++
	d.held++
	if ask {
		w.asked = now
	}
	d.mu.Unlock()
	if ask {
		_ = s.ctl.Send(MsgWanted, Wanted{Name: name})
	}
	if s.stream(name) != nil {
		d.decide(name, arrived) // it came in between
	}
	timer := time.NewTimer(Hold)
	defer timer.Stop()
	end = starting
	select {
	case <-w.done:
		end = w.end
	case <-timer.C:
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held--
	if w.waits--; w.waits == 0 && d.wanted[name] == w {
		delete(d.wanted, name)
	}
	return end, w.why
}

// answered takes what the controller says of a stream that is wanted.
func (d *demand) answered(source Source) {
	d.mu.Lock()
	if w := d.wanted[source.Name]; w != nil {
		w.why = source.Why
	}
	d.mu.Unlock()
	switch source.State {
	case SourceNone:
		d.decide(source.Name, unknown)
	case SourceFailed:
		d.decide(source.Name, starting)
	}
}

// decide ends the wait for a stream.
func (d *demand) decide(name string, end verdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.wanted[name]; w != nil {
		w.end = end
		delete(d.wanted, name)
		close(w.done)
	}
}

func (d *demand) set(sources bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sources = sources
}

// later answers for a stream that is starting, or whose source fails. The player page shows the text.
func later(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", "1")
	plain(w, http.StatusServiceUnavailable, cmp.Or(why, "the stream is starting"))
}
