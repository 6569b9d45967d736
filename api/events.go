package api

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// EventType says what has happened.
type EventType string

// The types of events.
const (
	EventStarting       EventType = "stream.starting"       // a publisher is there; its tracks are not known yet
	EventLive           EventType = "stream.live"           // media comes in
	EventUnplayable     EventType = "stream.unplayable"     // nothing that the publisher sends can be played
	EventOffline        EventType = "stream.offline"        // the publisher is gone; viewers are kept for a while
	EventRemoved        EventType = "stream.removed"        // the stream is forgotten, and so are its viewers
	EventLongGOP        EventType = "stream.long_gop"       // keyframes come too rarely for the stream's target duration
	EventConnecting     EventType = "connection.connecting" // admitted; its handshake is not finished
	EventConnected      EventType = "connection.connected"  // handshake finished
	EventEnded          EventType = "connection.ended"      // gone, for a reason
	EventCallerRefused  EventType = "caller.refused"        // one caller, or many of one kind
	EventRestarted      EventType = "process.restarted"     // a process was started again after an end that nobody wanted
	EventMissed         EventType = "events.missed"         // events before this one can't be told any more
	eventTypes                    = 12
	eventRing                     = 1000 // events kept for clients that come back
	eventQueue                    = 256  // events that wait for one client
	maxEventSubscribers           = 64
)

// EventTypes are all of them.
var EventTypes = [eventTypes]EventType{
	EventStarting, EventLive, EventUnplayable, EventOffline, EventRemoved, EventLongGOP, EventConnecting, EventConnected, EventEnded, EventCallerRefused, EventRestarted, EventMissed,
}

// Event is something that has happened. Nothing in it is secret.
type Event struct {
	ID         string           `json:"id" doc:"For Last-Event-ID; its form means nothing" example:"2rjqwn8h3l5-17"`
	Time       time.Time        `json:"time"`
	Type       EventType        `json:"type" enum:"stream.starting,stream.live,stream.unplayable,stream.offline,stream.removed,stream.long_gop,connection.connecting,connection.connected,connection.ended,caller.refused,process.restarted,events.missed"`
	Stream     string           `json:"stream,omitempty" doc:"Name of the stream that it is about" example:"live"`
	Reason     string           `json:"reason,omitempty" doc:"Of stream.unplayable: why, in a sentence"`
	Keyframes  *EventKeyframes  `json:"keyframes,omitempty" doc:"Of stream.long_gop"`
	Connection *EventConnection `json:"connection,omitempty" doc:"Of connection events, and of a caller refused after it was accepted"`
	End        *EventEnd        `json:"end,omitempty" doc:"Of connection.ended"`
	Refusal    *EventRefusal    `json:"refusal,omitempty" doc:"Of caller.refused"`
	Process    *EventProcess    `json:"process,omitempty" doc:"Of process.restarted"`
}

// EventKeyframes is how far apart the keyframes of a stream are.
type EventKeyframes struct {
	Seconds               int `json:"seconds" doc:"Longest distance so far, rounded up, at most segment_max"`
	TargetDurationSeconds int `json:"target_duration_seconds" doc:"EXT-X-TARGETDURATION: segments are cut without a keyframe. The stream's next buffer begins with the distance"`
}

// EventConnection names a connection.
type EventConnection struct {
	ID       string `json:"id" doc:"Id of the connection"`
	Peer     string `json:"peer" doc:"Address and port of the other side" example:"192.0.2.7:50000"`
	Role     string `json:"role" enum:"publish,play,undecided"`
	Protocol string `json:"protocol" enum:"srt"`
}

// EventEnd is why a connection ended.
type EventEnd struct {
	Reason string `json:"reason" doc:"One word, as in brume_connection_ends_total; also refused" example:"bad_secret"`
	Detail string `json:"detail,omitempty" doc:"The same in a sentence, where there is more to say"`
}

// EventRefusal is why a caller was refused.
type EventRefusal struct {
	Code   int    `json:"code" doc:"SRT rejection code" example:"1404"`
	Cause  string `json:"cause" doc:"The same in one word, as in brume_srt_rejects_total" example:"no_publisher"`
	Reason string `json:"reason" doc:"The same in a sentence; of the last one when there were many"`
	Peer   string `json:"peer" doc:"Address and port of the caller; of the last one when there were many" example:"192.0.2.7:50000"`
	Count  uint64 `json:"count" minimum:"1" doc:"Callers that this event stands for: during a flood those of one cause are counted, and told once in a second"`
}

// EventProcess is a process that was started again.
type EventProcess struct {
	Role   string `json:"role" doc:"What it is for" example:"http"`
	PID    int    `json:"pid" doc:"Of the process that ended; of the controller, of the new one"`
	Status string `json:"status,omitempty" doc:"How it ended" example:"killed by SIGKILL"`
}

// ErrTooManySubscribers means that no further client can be told events.
var ErrTooManySubscribers = errors.New("too many clients listen to events")

// Events keeps the last events and tells new ones to who listens. Emit never waits.
type Events struct {
	boot string // tells the ids of one controller from those of the next

	mu          sync.Mutex
	last        uint64 // number of the last event
	ring        []toldEvent
	subscribers map[*EventSubscription]bool
	counts      map[EventType]uint64
	dropped     uint64
	closed      string // why nobody can listen any more
}

// toldEvent is an event as it is sent.
type toldEvent struct {
	number uint64
	kind   EventType
	stream string
	id     string
	data   []byte // JSON
}

// NewEvents makes an empty one. No two that a client may meet begin at the same time.
func NewEvents(begin time.Time) *Events {
	e := &Events{
		boot:        strconv.FormatInt(begin.UnixNano(), 36),
		subscribers: map[*EventSubscription]bool{}, counts: map[EventType]uint64{},
	}
	return e
}

func (e *Events) id(number uint64) string { return e.boot + "-" + strconv.FormatUint(number, 10) }

// Emit numbers an event, keeps it, and tells it. The time is now where it has none.
func (e *Events) Emit(ev *Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	if ev.Time.IsZero() {
		ev.Time = time.Now()
	}
	t := e.told(e.last, ev)
	e.counts[ev.Type]++
	if len(e.ring) == eventRing {
		e.ring = e.ring[1:]
	}
	e.ring = append(e.ring, t)
	for s := range e.subscribers {
		if !s.wants(&t) {
			continue
		}
		select {
		case s.events <- t:
		default:
			e.dropped++
			e.end(s, "this client is too slow: events were dropped; connect again with Last-Event-ID")
		}
	}
}

func (e *Events) told(number uint64, ev *Event) toldEvent {
	ev.ID = e.id(number)
	data, err := json.Marshal(ev)
	if err != nil {
		data = []byte("{}") // can't be: an event is texts and whole numbers
	}
	return toldEvent{number, ev.Type, ev.Stream, ev.ID, data}
}

// end ends a subscription. What waits in its queue is still told.
func (e *Events) end(s *EventSubscription, why string) {
	if e.subscribers[s] {
		delete(e.subscribers, s)
		s.why = why
		close(s.events)
	}
}

// Close ends every subscription, now and later.
func (e *Events) Close(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = why
	for s := range e.subscribers {
		e.end(s, why)
	}
}

// EventFilter chooses events. Its zero value chooses all. EventMissed is always told.
type EventFilter struct {
	Types  []string
	Stream string
}

// EventSubscription is a client that is told events.
type EventSubscription struct {
	filter  EventFilter
	id      string      // of the last event before the first that is told
	backlog []toldEvent // that it has missed
	events  chan toldEvent
	why     string // events was closed; may be read then
}

func (s *EventSubscription) wants(t *toldEvent) bool {
	if s.filter.Stream != "" && t.stream != s.filter.Stream {
		return false
	}
	return len(s.filter.Types) == 0 || slices.Contains(s.filter.Types, string(t.kind))
}

// Subscribe begins to tell events. After is the id of the last event that the client knows, of this controller or an
// earlier one, and empty for a client that is new. Unsubscribe has to be called.
func (e *Events) Subscribe(filter EventFilter, after string) (*EventSubscription, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.subscribers) >= maxEventSubscribers {
		return nil, ErrTooManySubscribers
	}
	s := &EventSubscription{filter: filter, id: e.id(e.last), events: make(chan toldEvent, eventQueue)}
	if after != "" {
		s.backlog = e.since(s, after)
	}
	e.subscribers[s] = true
	if e.closed != "" {
		e.end(s, e.closed)
	}
	return s, nil
}

// since returns what a client has missed, with a word about what can't be told any more.
func (e *Events) since(s *EventSubscription, after string) []toldEvent {
	oldest := e.last - uint64(len(e.ring)) // number before the first that is kept
	boot, text, _ := strings.Cut(after, "-")
	known, err := strconv.ParseUint(text, 10, 64)
	var all []toldEvent
	if err != nil || boot != e.boot || known < oldest || known > e.last {
		known = oldest
		all = append(all, e.told(oldest, &Event{Type: EventMissed, Time: time.Now()}))
	}
	s.id = e.id(known)
	for i := range e.ring {
		if t := &e.ring[i]; t.number > known && s.wants(t) {
			all = append(all, *t)
		}
	}
	return all
}

// Unsubscribe ends a subscription. It may be called twice.
func (e *Events) Unsubscribe(s *EventSubscription) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.end(s, "")
}

// EventMetrics counts events and who listens.
type EventMetrics struct {
	Told        map[EventType]uint64
	Subscribers int
	Dropped     uint64 // subscribers that were too slow
}

// Metrics returns what /metrics shows.
func (e *Events) Metrics() EventMetrics {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := EventMetrics{Told: map[EventType]uint64{}, Subscribers: len(e.subscribers), Dropped: e.dropped}
	for _, t := range EventTypes {
		if t != EventMissed {
			m.Told[t] = e.counts[t]
		}
	}
	return m
}
