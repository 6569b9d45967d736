package controller

import (
	"time"

	"brume/api"
	"brume/buffer"
	"brume/srt"
)

// state is what the API says of a stream.
func (s *stream) state() api.StreamState {
	switch {
	case s.publisher == nil:
		return api.StreamOffline
	case s.info.State == buffer.Live:
		return api.StreamLive
	default:
		return api.StreamStarting
	}
}

var stateEvents = map[api.StreamState]api.EventType{
	api.StreamStarting: api.EventStarting, api.StreamLive: api.EventLive, api.StreamOffline: api.EventOffline,
}

// tellStream tells the state of a stream once it is another.
func (c *Controller) tellStream(s *stream) {
	if state := s.state(); state != s.told {
		s.told = state
		c.events.Emit(&api.Event{Type: stateEvents[state], Stream: s.Stream})
	}
}

func (c *Controller) tellRemoved(s *stream) {
	c.events.Emit(&api.Event{Type: api.EventRemoved, Stream: s.Stream})
}

func (conn *connection) event() *api.EventConnection {
	return &api.EventConnection{ID: conn.ID, Peer: conn.Peer, Role: api.Role(roleName(conn.Role)), Protocol: "srt"}
}

func (c *Controller) tellConnection(t api.EventType, conn *connection) {
	c.events.Emit(&api.Event{Type: t, Stream: conn.Stream, Connection: conn.event()})
}

// Reasons that only an event has: nothing is counted for them.
const (
	endRefused = "refused" // no process was ready for it
	endOther   = "other"   // the process did not say
)

// tellEnded tells the end of a connection, why included.
func (c *Controller) tellEnded(conn *connection) {
	end := conn.ended
	switch {
	case end.Reason != "":
	case conn.proc == nil:
		end.Reason = endRefused
	case conn.proc.killed:
		end.Reason, end.Detail = srt.FailClosed, "its process was ended by force"
	default:
		end.Reason = endOther
	}
	c.events.Emit(&api.Event{Type: api.EventEnded, Stream: conn.Stream, Connection: conn.event(), End: &end})
}

func (c *Controller) tellRestart(p *process, status string) {
	c.events.Emit(&api.Event{Type: api.EventRestarted, Process: &api.EventProcess{Role: string(p.Role), PID: p.PID, Status: status}})
}

// refusedPerSecond bounds the events that callers can cause who are refused. The others are counted by code.
const refusedPerSecond = 10

// refusing are the refusals that are not told yet.
type refusing struct {
	budget *budget
	more   map[int]*api.EventRefusal
	since  time.Time // when the first of more came
}

// tellRefused tells that a caller was refused. The connection is nil unless it was accepted before.
func (c *Controller) tellRefused(conn *connection, peer, stream string, code int, cause string) {
	r := &c.refusing
	if r.budget == nil {
		r.budget = newBudget(refusedPerSecond)
	}
	e := api.EventRefusal{Code: code, Cause: clip(cause, 200), Peer: peer, Count: 1}
	r.budget.refill()
	if r.budget.left >= 1 {
		r.budget.left--
		ev := &api.Event{Type: api.EventCallerRefused, Stream: stream, Refusal: &e}
		if conn != nil {
			ev.Connection = conn.event()
		}
		c.events.Emit(ev)
		return
	}
	if len(r.more) == 0 {
		r.more, r.since = map[int]*api.EventRefusal{}, time.Now()
	}
	if old := r.more[code]; old != nil {
		e.Count += old.Count
	}
	r.more[code] = &e
}

// tellMoreRefused tells, once in a second and by code, how many were refused beyond those that were told.
func (c *Controller) tellMoreRefused(now time.Time) {
	r := &c.refusing
	if len(r.more) == 0 || now.Sub(r.since) < time.Second {
		return
	}
	for _, e := range r.more {
		c.events.Emit(&api.Event{Type: api.EventCallerRefused, Refusal: e})
	}
	r.more = nil
}

// streamOf is the stream that a caller named, where it could be read.
func streamOf(id string) string {
	if parsed, err := srt.ParseStreamID(id); err == nil {
		return parsed.Name
	}
	return ""
}

// Events are what the API tells as it happens.
func (c *Controller) Events() *api.Events { return c.events }
