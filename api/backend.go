// Package api is the server's REST API, its metrics and its health: HTTP handlers over a
// Backend, which the controller implements.
package api

import "errors"

// Errors of a Backend.
var (
	// ErrNotFound means that there is no stream or connection of that name.
	ErrNotFound = errors.New("not found")
	// ErrNoPublisher means that the stream is there, but nobody publishes it.
	ErrNoPublisher = errors.New("the stream has no publisher")
	// ErrTooMany means that no more of the kind can be kept.
	ErrTooMany = errors.New("too many")
	// ErrInvalid means that something can't be done with these values, ErrConflict that it can't be done now. What
	// they are wrapped with is told to whoever asked.
	ErrInvalid  = errors.New("invalid")
	ErrConflict = errors.New("conflict")
)

// Backend is what the API shows and does. Every answer is a snapshot that the caller may keep
// and change. All methods may be called from many goroutines at once and must not block on
// another process.
type Backend interface {
	// Info describes the server.
	Info() Info
	// Ready returns nil when streams can be published and played, else a sentence that says
	// what is missing.
	Ready() error

	// Streams returns the streams that somebody publishes or watches, that are kept for a
	// returning publisher, that have an entry of their own in the configuration, or that are locked. In any order.
	Streams() []Stream
	// Stream returns one of them, or ErrNotFound.
	Stream(name string) (Stream, error)
	// EndPublisher begins to end the connection of the stream's publisher. It returns
	// ErrNotFound or ErrNoPublisher where there is none.
	EndPublisher(name string) error
	// Lock keeps new publishers and players over SRT from a stream, whether it is there or not; those who are there stay.
	// It returns ErrNotFound for what can't be the name of a stream, and ErrTooMany.
	Lock(name string) error
	// Unlock undoes Lock. It returns ErrNotFound for what can't be the name of a stream.
	Unlock(name string) error

	// Connections returns the connections that have a process of their own. In any order.
	Connections() []Connection
	// Connection returns one of them, or ErrNotFound.
	Connection(id string) (Connection, error)
	// Disconnect begins to end a connection. It returns ErrNotFound where there is none.
	Disconnect(id string) error

	// Refusals returns the newest callers that were refused, the newest first.
	Refusals() []Refusal

	// ConnectionHistory returns what a connection was like, or ErrNotFound.
	ConnectionHistory(id string, r Resolution) (ConnectionHistory, error)
	// StreamHistory returns what a stream was like, also for some time after it is gone, or ErrNotFound.
	StreamHistory(name string, r Resolution) (StreamHistory, error)
	// Events are what has happened and happens. It is always the same one.
	Events() *Events
	// Pushes returns all pushes, in any order.
	Pushes() []Push
	// Push returns one of them, or ErrNotFound.
	Push(id string) (Push, error)
	// StartPush sends a stream to a URL whenever it is live. It returns ErrInvalid or ErrConflict.
	StartPush(stream, url string) (Push, error)
	// EndPush ends a push that StartPush began. It returns ErrNotFound, or ErrConflict for one of the configuration.
	EndPush(id string) error

	// Metrics returns what /metrics shows.
	Metrics() MetricsSnapshot
}
