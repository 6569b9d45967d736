package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func emit(e *Events, kind EventType, stream string) { e.Emit(&Event{Type: kind, Stream: stream}) }

// queued empties a subscription's queue.
func queued(s *EventSubscription) (kinds []string) {
	for {
		select {
		case t, ok := <-s.events:
			if !ok {
				return kinds
			}
			kinds = append(kinds, string(t.kind)+" "+t.stream)
		default:
			return kinds
		}
	}
}

func TestEventsAreFiltered(t *testing.T) {
	e := NewEvents(time.Unix(1, 0))
	for _, c := range []struct {
		filter EventFilter
		want   []string
	}{
		{EventFilter{}, []string{"stream.live a", "stream.live b", "process.restarted ", "stream.offline a"}},
		{EventFilter{Stream: "a"}, []string{"stream.live a", "stream.offline a"}},
		{EventFilter{Types: []string{"stream.live", "process.restarted"}}, []string{"stream.live a", "stream.live b", "process.restarted "}},
		{EventFilter{Types: []string{"stream.live"}, Stream: "b"}, []string{"stream.live b"}},
	} {
		s, err := e.Subscribe(c.filter, "")
		require.NoError(t, err)
		emit(e, EventLive, "a")
		emit(e, EventLive, "b")
		emit(e, EventRestarted, "")
		emit(e, EventOffline, "a")
		require.Equal(t, c.want, queued(s))
		e.Unsubscribe(s)
		e.Unsubscribe(s)
		emit(e, EventLive, "a")
	}
	require.Zero(t, e.Metrics().Subscribers)
	require.EqualValues(t, 12, e.Metrics().Told[EventLive])
}

func TestEventsResume(t *testing.T) {
	e := NewEvents(time.Unix(1, 0))
	resume := func(after string) (kinds []string) {
		s, err := e.Subscribe(EventFilter{Types: []string{"stream.live"}}, after)
		require.NoError(t, err)
		defer e.Unsubscribe(s)
		require.Empty(t, queued(s))
		for i := range s.backlog {
			kinds = append(kinds, fmt.Sprint(string(s.backlog[i].kind), " ", s.backlog[i].number))
		}
		return kinds
	}
	require.Empty(t, resume(""), "a new client has missed nothing")
	require.Empty(t, resume(e.id(0)), "one that saw nothing of this controller, and nothing has happened")
	for i := range 5 {
		emit(e, EventLive, fmt.Sprint(i))
	}
	emit(e, EventOffline, "a")
	require.Empty(t, resume(""))
	require.Equal(t, []string{"stream.live 4", "stream.live 5"}, resume(e.id(3)))
	require.Empty(t, resume(e.id(6)))
	all := []string{"events.missed 0", "stream.live 1", "stream.live 2", "stream.live 3", "stream.live 4", "stream.live 5"}
	require.Equal(t, all, resume(NewEvents(time.Unix(2, 0)).id(3)), "of an earlier controller")
	for _, bad := range []string{e.id(7), e.boot, e.boot + "-", e.boot + "-x", e.boot + "--1", "-", "\xff", strings.Repeat("9", 10000), e.boot + "-99999999999999999999999"} {
		require.Equal(t, all, resume(bad), bad)
	}

	for range eventRing {
		emit(e, EventLive, "b")
	}
	require.Len(t, e.ring, eventRing)
	require.LessOrEqual(t, cap(e.ring), 2*eventRing)
	require.Equal(t, []string{"events.missed 6"}, resume(e.id(5))[:1], "event 6 is no longer kept")
	require.Equal(t, []string{"stream.live 7"}, resume(e.id(6))[:1])
	require.Len(t, resume(e.id(6)), eventRing)
}

// Who does not listen is dropped and told why; nobody waits for it.
func TestSlowClientIsDropped(t *testing.T) {
	e := NewEvents(time.Unix(1, 0))
	slow, err := e.Subscribe(EventFilter{}, "")
	require.NoError(t, err)
	for range eventQueue {
		emit(e, EventLive, "a")
	}
	require.Equal(t, 1, e.Metrics().Subscribers)
	other, err := e.Subscribe(EventFilter{}, "")
	require.NoError(t, err)
	emit(e, EventOffline, "a")
	m := e.Metrics()
	require.Equal(t, 1, m.Subscribers)
	require.EqualValues(t, 1, m.Dropped)
	require.Equal(t, []string{"stream.offline a"}, queued(other))

	w := httptest.NewRecorder()
	require.NoError(t, slow.send(t.Context(), w))
	body := w.Body.String()
	require.Equal(t, eventQueue, strings.Count(body, "\nevent: stream.live\n"))
	require.NotContains(t, body, "stream.offline")
	require.True(t, strings.HasSuffix(body, "\n\n: this client is too slow: events were dropped; connect again with Last-Event-ID\n\n"), body[len(body)-200:])
	e.Unsubscribe(other)
}

func TestEventsSayThatTheyAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEvents(time.Now())
		s, err := e.Subscribe(EventFilter{}, "")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		w := httptest.NewRecorder()
		done := make(chan error, 1)
		go func() { done <- s.send(ctx, w) }()
		time.Sleep(3*eventHeartbeat + time.Second)
		synctest.Wait()
		require.Equal(t, "retry: 1000\nid: "+e.id(0)+"\n\n"+strings.Repeat(": still here\n\n", 3), w.Body.String())
		require.True(t, w.Flushed)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)

		s, err = e.Subscribe(EventFilter{}, "")
		require.NoError(t, err)
		w = httptest.NewRecorder()
		go func() { done <- s.send(t.Context(), w) }()
		synctest.Wait()
		e.Close("the server is shutting down")
		require.NoError(t, <-done)
		require.True(t, strings.HasSuffix(w.Body.String(), "\n\n: the server is shutting down\n\n"))
		s, err = e.Subscribe(EventFilter{}, "")
		require.NoError(t, err)
		w = httptest.NewRecorder()
		require.NoError(t, s.send(t.Context(), w), "it ends at once")
	})
}

// listen opens the events of a real server, whose times for a request must not end them.
func listen(t *testing.T, f *fake, query, last string) (*bufio.Reader, *http.Response) {
	t.Helper()
	s := NewServer(New(f, Options{}), nil)
	s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-served
		for end := time.Now().Add(10 * time.Second); f.events.Metrics().Subscribers > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			continue
		}
		require.Zero(t, f.events.Metrics().Subscribers, "who is gone is forgotten")
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/api/v1/events?"+query, nil)
	require.NoError(t, err)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	client := &http.Client{Transport: &http.Transport{}}
	res, err := client.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = res.Body.Close()
		client.CloseIdleConnections()
	})
	return bufio.NewReader(res.Body), res
}

// block reads up to the next empty line.
func block(t *testing.T, r *bufio.Reader) (fields map[string]string) {
	t.Helper()
	fields = map[string]string{}
	for {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return fields
		}
		name, value, _ := strings.Cut(line, ": ")
		fields[name] = value
	}
}

// Types may be listed with commas or by repeating the parameter, as generated clients do.
func TestEventsOverHTTP(t *testing.T) {
	for _, types := range []string{"types=stream.live,connection.ended", "types=stream.live&types=connection.ended"} {
		t.Run(types, func(t *testing.T) { eventsOverHTTP(t, types) })
	}
}

func eventsOverHTTP(t *testing.T, types string) {
	f := newFake()
	emit(f.events, EventLive, "before")
	r, res := listen(t, f, types+"&stream=live", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	first := block(t, r)
	require.Equal(t, f.events.id(1), first["id"])
	require.NotContains(t, first, "data")
	time.Sleep(200 * time.Millisecond) // beyond the server's times
	emit(f.events, EventOffline, "live")
	emit(f.events, EventLive, "other")
	f.events.Emit(&Event{
		Type: EventEnded, Stream: "live", Connection: &EventConnection{ID: "c1", Peer: "192.0.2.7:5000", Role: "publish", Protocol: "srt"},
		End: &EventEnd{Reason: "bad_secret", Detail: "line\nid: forged\n\ndata: {}"},
	})
	told := block(t, r)
	require.Equal(t, "connection.ended", told["event"])
	require.Equal(t, f.events.id(4), told["id"])
	var ev Event
	require.NoError(t, json.Unmarshal([]byte(told["data"]), &ev))
	require.Equal(t, told["id"], ev.ID)
	require.Equal(t, "bad_secret", ev.End.Reason)
	require.WithinDuration(t, time.Now(), ev.Time, time.Minute)

	again, _ := listen(t, f, "", f.events.id(2))
	require.Equal(t, f.events.id(2), block(t, again)["id"])
	require.Equal(t, f.events.id(3), block(t, again)["id"])
	require.Equal(t, f.events.id(4), block(t, again)["id"])
	emit(f.events, EventRemoved, "live")
	require.Equal(t, "stream.removed", block(t, again)["event"])

	// What is told is what the document says.
	_, body := do(t, New(f, Options{}), http.MethodGet, "/api/openapi.json")
	var d document
	require.NoError(t, json.Unmarshal(body, &d))
	var v any
	require.NoError(t, json.Unmarshal([]byte(told["data"]), &v))
	fits(t, d.Components.Schemas, d.Components.Schemas["Event"], v, "Event")
	enum := d.Components.Schemas["Event"]["properties"].(map[string]any)["type"].(map[string]any)["enum"].([]any)
	var kinds []any
	for _, k := range EventTypes {
		kinds = append(kinds, string(k))
	}
	require.Equal(t, kinds, enum)
}

func TestEventsRefused(t *testing.T) {
	f := newFake()
	h := New(f, Options{})
	for _, query := range []string{"types=stream.life", "type=stream.live", "types=stream.live,x", "types=stream.live&types=x", "stream=a&stream=b"} {
		res, _ := do(t, h, http.MethodGet, "/api/v1/events?"+query)
		require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode, query)
	}
	res, body := do(t, h, http.MethodHead, "/api/v1/events")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Empty(t, body)
	require.Zero(t, f.events.Metrics().Subscribers)
	var all []*EventSubscription
	for range maxEventSubscribers {
		s, err := f.events.Subscribe(EventFilter{}, "")
		require.NoError(t, err)
		all = append(all, s)
	}
	res, body = do(t, h, http.MethodGet, "/api/v1/events")
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Contains(t, string(body), ErrTooManySubscribers.Error())
	f.events.Unsubscribe(all[0])
	_, err := f.events.Subscribe(EventFilter{}, "")
	require.NoError(t, err)
}
