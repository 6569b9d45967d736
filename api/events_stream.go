package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
)

// How events are sent.
const (
	eventHeartbeat = 15 * time.Second // between two comments when nothing happens
	eventWrite     = 10 * time.Second // for one write
	eventRetry     = time.Second      // after which a client should connect again
)

type eventsInput struct {
	Types       []string `query:"types" enum:"stream.starting,stream.live,stream.unplayable,stream.offline,stream.removed,stream.long_gop,connection.connecting,connection.connected,connection.ended,caller.refused,process.restarted,events.missed" doc:"Only events of these types: with commas between them, or the parameter repeated"`
	Stream      string   `query:"stream" doc:"Only events about this stream"`
	LastEventID string   `header:"Last-Event-ID" doc:"Id of the last event that the client knows: it is told what came after. Browsers send it by themselves"`
}

// registerEvents adds the stream of events.
func (h *handlers) registerEvents(a huma.API) {
	huma.Register(a, huma.Operation{
		Method: http.MethodGet, Path: "/api/v1/events", OperationID: "streamEvents", Summary: "Events as they happen", Tags: []string{"events"},
		Description: "Server-sent events. The data of each is an Event in JSON; its id and type are repeated in the fields id and event. Lines that begin with a colon are comments.",
		Errors:      []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable, http.StatusMisdirectedRequest},
		Responses: map[string]*huma.Response{"200": {
			Description: "Events until the client goes",
			Content: map[string]*huma.MediaType{"text/event-stream": {
				Schema: a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Event](), true, "Event"),
			}},
		}},
	}, h.events)
}

func (h *handlers) events(_ context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	events := h.backend.Events()
	s, err := events.Subscribe(EventFilter{Types: in.Types, Stream: in.Stream}, in.LastEventID)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer events.Unsubscribe(s)
		r, w := humachi.Unwrap(ctx)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no") // a proxy in front must not gather events
		if r.Method != http.MethodHead {
			_ = s.send(r.Context(), w)
		}
	}}, nil
}

// send writes events until the client goes or is dropped. Only this client waits for its writes.
func (s *EventSubscription) send(ctx context.Context, w http.ResponseWriter) error {
	c := http.NewResponseController(w)
	write := func(format string, args ...any) error {
		_ = c.SetWriteDeadline(time.Now().Add(eventWrite))
		_, err := fmt.Fprintf(w, format, args...)
		return err
	}
	// The id without an event tells a client that is new where to go on should it be cut off before the first one.
	err := write("retry: %d\nid: %s\n\n", eventRetry.Milliseconds(), s.id)
	for i := 0; err == nil && i < len(s.backlog); i++ {
		err = s.backlog[i].write(write)
	}
	s.backlog = nil
	heartbeat := time.NewTicker(eventHeartbeat)
	defer heartbeat.Stop()
	for err == nil {
		if err = c.Flush(); err != nil {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-heartbeat.C:
			err = write(": still here\n\n")
		case t, more := <-s.events:
			if !more {
				err = write(": %s\n\n", s.why)
				_ = c.Flush()
				return err
			}
			err = t.write(write)
		}
	}
	return err
}

func (t *toldEvent) write(write func(string, ...any) error) error {
	return write("id: %s\nevent: %s\ndata: %s\n\n", t.id, t.kind, t.data)
}
