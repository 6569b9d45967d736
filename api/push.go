package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Mode is how a connection comes to be, seen from this side.
type Mode string

// The modes of connections.
const (
	ModeListener   Mode = "listener"
	ModeCaller     Mode = "caller"
	ModeRendezvous Mode = "rendezvous"
)

// Direction tells who began a connection.
type Direction string

// The directions of connections.
const (
	Inbound  Direction = "inbound"
	Outbound Direction = "outbound"
)

// CallState is where something that the server calls by itself is.
type CallState string

// The states of calls.
const (
	CallWaiting    CallState = "waiting"    // nothing to do: nobody asks for the stream, or it is not live
	CallConnecting CallState = "connecting" // an attempt runs
	CallConnected  CallState = "connected"  //
	CallFailed     CallState = "failed"     // until NextTry
)

// Call is something that the server calls by itself, and calls again when it ends.
type Call struct {
	State      CallState         `json:"state" enum:"waiting,connecting,connected,failed" doc:"waiting: nobody asks for the stream, or it is not live; failed: the last attempt failed or the connection was lost, and the next attempt follows"`
	URL        string            `json:"url" doc:"That is called or connected, or comes next; without its secrets" example:"srt://192.0.2.7:9000?streamid=read:main&passphrase=***"`
	Mode       Mode              `json:"mode" enum:"listener,caller,rendezvous"`
	Since      time.Time         `json:"since" doc:"When it came into this state"`
	Connection string            `json:"connection,omitempty" doc:"Id of the connection that is there or being made"`
	Attempts   uint64            `json:"attempts" doc:"Since the controller began"`
	Failures   map[string]uint64 `json:"failures" doc:"Attempts that failed and connections that were lost, by reason, since the controller began"`
	LastError  *CallError        `json:"last_error,omitempty" doc:"Why an attempt last failed or a connection was last lost"`
	NextTry    *time.Time        `json:"next_try,omitempty" doc:"When the next attempt follows; only where the state is failed"`
}

// CallError is why an attempt failed or a connection was lost.
type CallError struct {
	Reason string    `json:"reason" doc:"One word, as in the metrics" example:"rejected"`
	Detail string    `json:"detail" example:"the peer has no such stream"`
	Code   int       `json:"code,omitempty" doc:"SRT rejection code, where the peer gave one" example:"1404"`
	At     time.Time `json:"at"`
}

// Push is a target that a stream is sent to whenever it is live.
type Push struct {
	ID         string `json:"id"`
	Stream     string `json:"stream" example:"live"`
	Configured bool   `json:"configured" doc:"It is in the configuration, and not started by this API"`
	Call
}

// Source is where a stream is pulled from.
type Source struct {
	Start string   `json:"start" enum:"demand,always" doc:"demand: when somebody asks for the stream; always: with the server"`
	URLs  []string `json:"urls" doc:"In the order in which they are tried, without their secrets"`
	Index int      `json:"index" minimum:"0" doc:"Which of them is called or connected, or comes next"`
	Call
}

type (
	pushInput struct {
		ID string `path:"id" doc:"Id of the push"`
	}
	pushesInput struct {
		Page
		Stream string `query:"stream" doc:"Only pushes of this stream"`
	}
	startPushInput struct {
		Body struct {
			Stream string `json:"stream" maxLength:"100" doc:"Name of the stream" example:"live"`
			URL    string `json:"url" maxLength:"2048" doc:"Where it is sent; $stream in a stream id is the stream's name" example:"srt://192.0.2.9:9000?streamid=publish:live"`
		}
	}
	createdPush struct {
		Location string `header:"Location"`
		Body     Push
	}
)

func (h *handlers) registerPushes(a huma.API) {
	const (
		invalid  = http.StatusUnprocessableEntity
		notFound = http.StatusNotFound
		conflict = http.StatusConflict
	)
	register(a, http.MethodGet, "/api/v1/pushes", "listPushes", "Pushes by stream", h.pushes, invalid)
	register(a, http.MethodGet, "/api/v1/pushes/{id}", "getPush", "One push", h.push, notFound)
	register(a, http.MethodPost, "/api/v1/pushes", "startPush", "Send a stream somewhere whenever it is live", h.startPush,
		invalid, conflict, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	register(a, http.MethodDelete, "/api/v1/pushes/{id}", "endPush", "End a push that was started here", h.endPush, notFound, conflict)
}

func (h *handlers) pushes(_ context.Context, in *pushesInput) (*output[List[Push]], error) {
	all := slices.DeleteFunc(h.backend.Pushes(), func(p Push) bool { return in.Stream != "" && p.Stream != in.Stream })
	slices.SortFunc(all, func(a, b Push) int { return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.ID, b.ID)) })
	return &output[List[Push]]{page(all, in.Page)}, nil
}

func (h *handlers) push(_ context.Context, in *pushInput) (*output[Push], error) {
	p, err := h.backend.Push(in.ID)
	if err != nil {
		return nil, h.fault(err, "push", in.ID)
	}
	return &output[Push]{p}, nil
}

func (h *handlers) startPush(_ context.Context, in *startPushInput) (*createdPush, error) {
	p, err := h.backend.StartPush(in.Body.Stream, in.Body.URL)
	if err != nil {
		return nil, h.fault(err, "stream", in.Body.Stream)
	}
	return &createdPush{"/api/v1/pushes/" + p.ID, p}, nil
}

func (h *handlers) endPush(_ context.Context, in *pushInput) (*struct{}, error) {
	if err := h.backend.EndPush(in.ID); err != nil {
		return nil, h.fault(err, "push", in.ID)
	}
	return nil, nil
}

// refusal is the answer to what can't be done as it is asked for. The text of such an error is meant for who asked.
func refusal(err error) error {
	for _, kind := range []error{ErrInvalid, ErrConflict} {
		if !errors.Is(err, kind) {
			continue
		}
		text := strings.TrimPrefix(err.Error(), kind.Error()+": ")
		if kind == ErrInvalid {
			return huma.Error422UnprocessableEntity(text)
		}
		return huma.Error409Conflict(text)
	}
	return nil
}
