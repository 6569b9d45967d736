// Package httpd is the http process: it serves the streams whose buffers the controller handed it,
// and the player page. It opens no file and connects nowhere.
package httpd

import "time"

// Types of the messages between the controller and the http process.
const (
	// Controller to http.
	MsgListen = "listen" // with listening TCP sockets: serve on these too; one whose address is served already is closed
	MsgLimits = "limits" // Limits, in the place of those before
	MsgStream = "stream" // Stream, with the read-only buffer; the same name and id again changes only whether it can be played, another id replaces
	MsgRemove = "remove" // Remove: the stream is no more
	MsgDemand = "demand" // Demand: whether streams begin when they are asked for
	MsgSource = "source" // Source: the answer to a Wanted
	MsgReport = "report" // ask for a Hello and Stats at once (a new controller does)
	MsgClose  = "close"  // finish what runs, at most CloseGrace long, and end

	// HTTP to controller.
	MsgHello   = "hello"   // Hello: started, has new sockets, or asked to report
	MsgStats   = "stats"   // Stats, once a second
	MsgStreams = "streams" // Streams, once a second, as many messages as it takes
	MsgFailed  = "failed"  // Failed: a message could not be obeyed
	MsgWanted  = "wanted"  // Wanted: somebody asks for a stream that is not there
)

// Bounds of the http process.
const (
	// MaxStreams bounds the streams served at once. A further one is answered with Failed.
	MaxStreams = 4096
	// MaxConnections bounds the open TCP connections, as a third of the limit of open files does. A further one takes the place
	// of the one that is idle for longest, and is closed at once where none is.
	MaxConnections = 16384
	// MaxListeners bounds the listening sockets.
	MaxListeners = 64
	// StreamsPerMessage bounds one Streams message, so that it fits a control message.
	StreamsPerMessage = 100
	// CloseGrace is how long running requests may go on after MsgClose.
	CloseGrace = 2 * time.Second
	// MaxWanted bounds the streams that requests wait for at once, MaxHeld the requests that wait. A further one is answered with 503.
	MaxWanted = 256
	MaxHeld   = 4096
	// WantedRate is how many Wanted messages a second are sent.
	WantedRate = 50
	// Hold is how long a request waits for a stream that is starting to have a buffer: as long as three addresses of its
	// source may take, the first two of which do not answer (libsrt waits 3 s for each). With what it may wait after that
	// for a playlist, it is less than players and proxies wait.
	Hold = 9 * time.Second
)

// Limits bound what clients may use up, and say what they get.
type Limits struct {
	KeepQuery  bool `json:"keep_query"`  // playlists carry the query of their request on to what they name
	PerAddress int  `json:"per_address"` // TCP connections of one IPv4 address or IPv6 /64; 0 for no bound
}

// Stream names a stream whose read-only buffer comes with the message.
type Stream struct {
	Name string `json:"name"` // media.ValidName
	ID   uint64 `json:"id"`   // of this buffer, chosen by the controller; a new buffer has a new one
	// Unplayable says in a sentence why there is nothing to play, as long as there isn't.
	Unplayable string `json:"unplayable,omitempty"`
}

// Remove names a stream that is no more. An id that is not the one being served is ignored, so that a
// late remove can't hit its successor.
type Remove struct {
	Name string `json:"name"`
	ID   uint64 `json:"id"`
}

// Demand tells whether there are streams that begin when somebody asks for them. Without it unknown names are answered with
// 404 at once.
type Demand struct {
	Sources bool `json:"sources"`
}

// Wanted names a stream that somebody asks for and that is not there.
type Wanted struct {
	Name string `json:"name"` // media.ValidName
}

// SourceState is what becomes of a stream that is wanted.
type SourceState string

// The states of Source.
const (
	SourceNone     SourceState = "none"     // there is no such stream, and no source of it
	SourceStarting SourceState = "starting" // a Stream follows, once the source is connected
	SourceFailed   SourceState = "failed"   // no address of its source has answered; they will be tried again
)

// Source answers a Wanted. It also comes by itself: when the source of a stream has failed, and when it is connected.
type Source struct {
	Name  string      `json:"name"`
	State SourceState `json:"state"`
	Why   string      `json:"why,omitempty"` // what is wrong with a source that fails, for viewers
}

// Hello reports the http process.
type Hello struct {
	PID       int      `json:"pid"`
	Addresses []string `json:"addresses,omitempty"` // that it serves on
	Sandbox   []string `json:"sandbox,omitempty"`   // what is in force: "landlock", "seccomp", "rlimits"
	Missing   []string `json:"missing,omitempty"`   // what the kernel lacks
}

// Failed tells which message could not be obeyed and why.
type Failed struct {
	Message string `json:"message"` // type of the message
	Stream  string `json:"stream,omitempty"`
	ID      uint64 `json:"id,omitempty"`
	Detail  string `json:"detail"` // for the log
}

// Stats is what the http process counts over all streams. Counters are totals since it began.
type Stats struct {
	Connections int            `json:"connections"` // open now
	Accepted    uint64         `json:"accepted"`    // connections
	Refused     uint64         `json:"refused"`     // connections closed at once, since there were too many
	Displaced   uint64         `json:"displaced"`   // idle connections closed to make room
	SlowClosed  uint64         `json:"slow_closed"` // connections closed since the client stopped reading
	Panics      uint64         `json:"panics"`      // requests that ended in a panic; each is a bug
	Malformed   uint64         `json:"malformed"`   // control messages that could not be read
	Active      int            `json:"active"`      // requests being served now
	Requests    []RequestCount `json:"requests"`    // by route and class, only those that came up
}

// RequestCount counts requests of one kind of route that were answered with one class of status.
type RequestCount struct {
	Route    Route  `json:"route"`
	Class    string `json:"class"` // "1xx" to "5xx"; "gone" when the client left before an answer
	Requests uint64 `json:"requests"`
	Bytes    uint64 `json:"bytes"` // of bodies
}

// Route is a kind of route: a metric label, so there are only these.
type Route string

// The kinds of routes.
const (
	RoutePlaylist Route = "playlist" // HLS multivariant and media playlists
	RouteSegment  Route = "segment"  // HLS segments, fMP4 and MPEG-TS
	RoutePart     Route = "part"     // HLS partial segments
	RouteInit     Route = "init"     // fMP4 initialization sections
	RoutePlayer   Route = "player"   // player pages
	RouteAsset    Route = "asset"    // scripts, styles and icons of the pages
	RoutePage     Route = "page"     // the page at /
	RouteOther    Route = "other"    // anything else, unknown paths among them
)

// Streams is what the http process counts by stream. Every stream it serves is in one of the messages of a
// second, so a controller that was restarted sees what it must send or remove.
type Streams struct {
	Streams []StreamStats `json:"streams"` // at most StreamsPerMessage
}

// StreamStats counts one stream. Counters are totals since the http process got this buffer.
type StreamStats struct {
	Name        string `json:"name"`
	ID          uint64 `json:"id"`
	Viewers     int    `json:"viewers"`      // different clients (address and user agent) in the last 10 s
	Requests    uint64 `json:"requests"`     // of its playlists, segments and parts
	Bytes       uint64 `json:"bytes"`        // of bodies
	PlayerViews uint64 `json:"player_views"` // player pages asked for while it was known
	Faults      Faults `json:"faults"`       // failures to make playlists and segments
}

// Faults counts what hls.Fault names.
type Faults struct {
	Segment   uint64 `json:"segment"`
	Overtaken uint64 `json:"overtaken"`
	Entry     uint64 `json:"entry"`
	Buffer    uint64 `json:"buffer"`
}
