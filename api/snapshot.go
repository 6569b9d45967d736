package api

import "brume/srt"

// MetricsSnapshot is what /metrics shows. Counters may begin anew when the process that
// counts is restarted; Prometheus takes that for the reset it is.
type MetricsSnapshot struct {
	Info        Info
	Streams     []Stream
	Connections []Connection
	Pushes      []Push
	Listeners   []ListenerMetrics
	HTTP        HTTPMetrics
	Events      EventMetrics
	Processes   map[string]int         // running now, by role
	Restarts    map[string]uint64      // processes started again after an end nobody wanted, by role
	Rejects     map[RejectCause]uint64 // SRT callers that were refused before or after they were accepted
	Failures    map[string]uint64      // ends of connections, by reason (srt.Fail constants)
	Kills       map[string]uint64      // processes ended by force, by cause
}

// RejectCause is why an SRT caller is refused. Both are of fixed sets.
type RejectCause struct {
	Code  int    // SRT rejection code
	Cause string // what was the matter, in one word
}

// ListenerMetrics is what one SRT listener counts.
type ListenerMetrics struct {
	Address string // as in Info.SRT
	srt.ListenerStats
}

// HTTPMetrics is what the http process counts over all streams. All but Connections and
// Active are totals.
type HTTPMetrics struct {
	Connections int    // open now
	Active      int    // requests being served now
	Accepted    uint64 // connections
	Refused     uint64 // connections closed at once, since there were too many
	Displaced   uint64 // idle connections closed to make room
	SlowClosed  uint64 // connections closed since the client stopped reading
	Panics      uint64 // requests that ended in a panic
	Malformed   uint64 // control messages that could not be read
	Requests    []HTTPRequests
}

// HTTPRequests counts the requests of one kind of route answered with one class of status.
type HTTPRequests struct {
	Route    string // playlist, segment, part, init, player, asset, page, other
	Class    string // 1xx to 5xx, or gone when the client left before an answer
	Requests uint64
	Bytes    uint64 // of bodies
}
