package controller

import (
	"brume/api"
	"brume/buffer"
	"brume/srt"
)

// state is what the API says of a stream. What ends each:
//
//	offline     a publisher is connected: starting
//	starting    its media comes in: live; nothing of it can be played: unplayable; it is gone: offline
//	live        nothing that still comes can be played: unplayable; it is gone: offline
//	unplayable  something that can be played comes: starting, and live; it is gone: offline
func (s *stream) state() api.StreamState {
	switch {
	case s.publisher == nil:
		return api.StreamOffline
	case s.unplayable():
		return api.StreamUnplayable
	case s.info.State == buffer.Live:
		return api.StreamLive
	default:
		return api.StreamStarting
	}
}

var stateEvents = map[api.StreamState]api.EventType{
	api.StreamStarting: api.EventStarting, api.StreamLive: api.EventLive, api.StreamOffline: api.EventOffline, api.StreamUnplayable: api.EventUnplayable,
}

// tellStream tells the state of a stream once it is another.
func (c *Controller) tellStream(s *stream) {
	if state := s.state(); state != s.told {
		s.told = state
		e := api.Event{Type: stateEvents[state], Stream: s.Stream}
		if state == api.StreamUnplayable {
			e.Reason = s.lacks()
		}
		c.events.Emit(&e)
	}
}

func (c *Controller) tellRemoved(s *stream) {
	c.events.Emit(&api.Event{Type: api.EventRemoved, Stream: s.Stream})
}

func (conn *connection) event() *api.EventConnection {
	return &api.EventConnection{ID: conn.ID, Peer: conn.Peer, Role: conn.Role.String(), Protocol: "srt"}
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

// Events are what the API tells as it happens.
func (c *Controller) Events() *api.Events { return c.events }
