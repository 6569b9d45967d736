package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// handlers are the operations of the REST API.
type handlers struct {
	backend Backend
	log     *slog.Logger
}

type (
	// hostInput takes the Host of a request, which huma does not count among the headers.
	hostInput struct{ host string }

	streamInput struct {
		hostInput
		Name string `path:"name" doc:"Name of the stream" example:"live"`
	}
	streamsInput struct {
		hostInput
		Page
	}
	connectionInput struct {
		ID string `path:"id" doc:"Id of the connection"`
	}
	connectionsInput struct {
		Page
		Stream string `query:"stream" doc:"Only connections of this stream"`
		Role   string `query:"role" enum:"publish,play,undecided" doc:"Only connections of this role"`
	}

	output[T any] struct{ Body T }
)

// Resolve is called by huma.
func (i *hostInput) Resolve(ctx huma.Context) []error {
	i.host = ctx.Host()
	return nil
}

// register adds every operation and returns the OpenAPI document.
func (h *handlers) register(a huma.API) []byte {
	a.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		if errs := readQuery(ctx); len(errs) > 0 {
			_ = huma.WriteErr(a, ctx, http.StatusUnprocessableEntity, "validation failed", errs...)
			return
		}
		next(ctx)
	})
	const (
		invalid  = http.StatusUnprocessableEntity
		notFound = http.StatusNotFound
		conflict = http.StatusConflict
	)
	register(a, http.MethodGet, "/api/v1/info", "getInfo", "The server", h.info, invalid)
	register(a, http.MethodGet, "/api/v1/streams", "listStreams", "Streams by name", h.streams, invalid)
	register(a, http.MethodGet, "/api/v1/streams/{name}", "getStream", "One stream", h.stream, notFound)
	register(a, http.MethodDelete, "/api/v1/streams/{name}", "endPublisher", "End a stream's publisher", h.endPublisher, notFound, conflict)
	register(a, http.MethodPut, "/api/v1/streams/{name}/lock", "lockStream", "Let no new publishers and players in over SRT", h.lock, notFound, conflict)
	register(a, http.MethodDelete, "/api/v1/streams/{name}/lock", "unlockStream", "Let publishers and players in again", h.unlock, notFound)
	register(a, http.MethodGet, "/api/v1/connections", "listConnections", "Connections, the oldest first", h.connections, invalid)
	register(a, http.MethodGet, "/api/v1/connections/{id}", "getConnection", "One connection", h.connection, notFound)
	register(a, http.MethodDelete, "/api/v1/connections/{id}", "disconnect", "End a connection", h.disconnect, notFound)
	register(a, http.MethodGet, "/api/v1/connections/{id}/history", "getConnectionHistory", "What a connection was like, for graphs", h.connectionHistory, notFound, invalid)
	register(a, http.MethodGet, "/api/v1/refusals", "listRefusals", "SRT callers that were refused, the newest first", h.refusals, invalid)
	register(a, http.MethodGet, "/api/v1/streams/{name}/history", "getStreamHistory", "What a stream was like, for graphs", h.streamHistory, notFound, invalid)
	h.registerEvents(a)
	h.registerPushes(a)
	delete(a.OpenAPI().Components.Schemas.Map()["ErrorDetail"].Properties, "value") // see failure
	document, err := json.Marshal(a.OpenAPI())
	if err != nil {
		// The document is made of this package's types alone: a test would have met this.
		panic(err)
	}
	return document
}

func register[I, O any](a huma.API, method, path, id, summary string, f func(context.Context, *I) (*O, error), codes ...int) {
	op := huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary, Description: descriptions[id], Tags: []string{tag(path)},
		Errors: append(codes, http.StatusMisdirectedRequest),
	}
	if method != http.MethodGet {
		op.Errors = append(op.Errors, http.StatusForbidden)
	}
	switch method {
	case http.MethodDelete, http.MethodPut:
		op.DefaultStatus = http.StatusNoContent
	case http.MethodPost:
		op.DefaultStatus = http.StatusCreated
	}
	huma.Register(a, op, f)
}

func (h *handlers) info(context.Context, *struct{}) (*output[Info], error) {
	i := h.backend.Info()
	i.UptimeSeconds = since(&i.Started)
	i.SRT, i.Processes = list(i.SRT), list(i.Processes)
	return &output[Info]{i}, nil
}

func (h *handlers) streams(_ context.Context, in *streamsInput) (*output[List[Stream]], error) {
	all := h.backend.Streams()
	slices.SortFunc(all, func(a, b Stream) int { return cmp.Compare(a.Name, b.Name) })
	answer := page(all, in.Page)
	info := h.backend.Info()
	for i := range answer.Items {
		finish(&answer.Items[i], in.host, &info)
	}
	return &output[List[Stream]]{answer}, nil
}

func (h *handlers) stream(_ context.Context, in *streamInput) (*output[Stream], error) {
	s, err := h.backend.Stream(in.Name)
	if err != nil {
		return nil, h.fault(err, "stream", in.Name)
	}
	info := h.backend.Info()
	finish(&s, in.host, &info)
	return &output[Stream]{s}, nil
}

func (h *handlers) endPublisher(_ context.Context, in *streamInput) (*struct{}, error) {
	if err := h.backend.EndPublisher(in.Name); err != nil {
		return nil, h.fault(err, "stream", in.Name)
	}
	return nil, nil
}

func (h *handlers) lock(_ context.Context, in *streamInput) (*struct{}, error) {
	if err := h.backend.Lock(in.Name); err != nil {
		return nil, h.fault(err, "stream", in.Name)
	}
	return nil, nil
}

func (h *handlers) unlock(_ context.Context, in *streamInput) (*struct{}, error) {
	if err := h.backend.Unlock(in.Name); err != nil {
		return nil, h.fault(err, "stream", in.Name)
	}
	return nil, nil
}

func (h *handlers) connections(_ context.Context, in *connectionsInput) (*output[List[Connection]], error) {
	all := slices.DeleteFunc(h.backend.Connections(), func(c Connection) bool {
		return (in.Stream != "" && c.Stream != in.Stream && !slices.Contains(c.Feeds, in.Stream)) || (in.Role != "" && c.Role != in.Role)
	})
	slices.SortFunc(all, func(a, b Connection) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	answer := page(all, in.Page)
	for i := range answer.Items {
		finishConnection(&answer.Items[i])
	}
	return &output[List[Connection]]{answer}, nil
}

func (h *handlers) connection(_ context.Context, in *connectionInput) (*output[Connection], error) {
	c, err := h.backend.Connection(in.ID)
	if err != nil {
		return nil, h.fault(err, "connection", in.ID)
	}
	finishConnection(&c)
	return &output[Connection]{c}, nil
}

func (h *handlers) disconnect(_ context.Context, in *connectionInput) (*struct{}, error) {
	if err := h.backend.Disconnect(in.ID); err != nil {
		return nil, h.fault(err, "connection", in.ID)
	}
	return nil, nil
}

// fault turns an error of the backend into an answer.
func (h *handlers) fault(err error, kind, name string) error {
	if answer := refusal(err); answer != nil {
		return answer
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return huma.Error404NotFound(fmt.Sprintf("there is no %s %s", kind, named(name)))
	case errors.Is(err, ErrNoPublisher):
		return huma.Error409Conflict(fmt.Sprintf("nobody publishes the stream %s", named(name)))
	case errors.Is(err, ErrTooMany):
		return huma.Error409Conflict("too many streams are locked; unlock one first")
	default:
		h.log.Error("API request failed", kind, named(name), "err", err)
		return huma.Error500InternalServerError("the server failed; its log says why")
	}
}

// finish fills in what is the API's part of a stream.
func finish(s *Stream, host string, info *Info) {
	s.UptimeSeconds = since(s.LiveSince)
	s.Viewers.Total = s.Viewers.SRT + s.Viewers.HLS
	s.Links = links(s.Name, host, info)
	s.Tracks, s.Programs, s.LeftOut = list(s.Tracks), list(s.Programs), list(s.LeftOut)
	for i := range s.Programs {
		s.Programs[i].Streams = list(s.Programs[i].Streams)
	}
}

func finishConnection(c *Connection) {
	c.Sandbox, c.Feeds = list(c.Sandbox), list(c.Feeds)
}

func since(t *time.Time) float64 {
	if t == nil || t.IsZero() {
		return 0
	}
	// Rounded: nanoseconds are noise to a reader. A clock that was set back is no negative age.
	return max(0, time.Since(*t).Round(time.Millisecond).Seconds())
}
