package api

import (
	"maps"
	"slices"
	"strconv"

	"brume/media"
	"brume/srt"
)

var (
	buildInfo   = gauge("build_info", "Always 1; the labels tell the versions in use.", "version", "goversion", "libsrt", "libsrt_package")
	startTime   = gauge("start_time_seconds", "Unix time at which the server was started.")
	streamCount = gauge("streams", "Streams by state.", "state")
	connections = gauge("connections", "Connections with a process of their own by role.", "role")
	processes   = gauge("processes", "Processes running by role.", "role")
	restarts    = counter("process_restarts_total", "Processes started again after an end that nobody wanted, by role.", "role")
	kills       = counter("process_kills_total", "Processes that the controller ended by force, by cause.", "cause")
	rejects     = counter("srt_rejects_total", "SRT callers that were refused, before or after they were accepted, by SRT rejection code and cause.", "code", "cause")
	failures    = counter("connection_ends_total", "Ends of connections by reason.", "reason")

	eventsTold       = counter("events_total", "Events told at the API by type.", "type")
	eventSubscribers = gauge("event_subscribers", "Clients that listen to events.")
	eventsDropped    = counter("event_subscribers_dropped_total", "Clients that were too slow for events, and disconnected.")

	listenerPackets     = counter("srt_listener_packets_total", "Datagrams received.", "address")
	listenerInductions  = counter("srt_listener_inductions_total", "INDUCTION handshakes received.", "address")
	listenerConclusions = counter("srt_listener_conclusions_total", "CONCLUSION handshakes received with a valid cookie.", "address")
	listenerBadCookies  = counter("srt_listener_bad_cookies_total", "CONCLUSION handshakes received with a cookie that is wrong or too old.", "address")
	listenerMalformed   = counter("srt_listener_malformed_total", "Datagrams that are no handshake, or a broken one.", "address")
	listenerDuplicates  = counter("srt_listener_duplicates_total", "CONCLUSION handshakes repeated by a caller that is being served.", "address")
	listenerForeign     = counter("srt_listener_foreign_total", "Datagrams drained from a new connection's socket and dispatched again.", "address")
	listenerHanded      = counter("srt_listener_handed_total", "Callers handed over to a connection process.", "address")
	listenerDropped     = counter("srt_listener_dropped_total", "CONCLUSION handshakes dropped: no controller answered, its address calls too often, or too many of it wait.", "address", "cause")
	listenerRejected    = counter("srt_listener_rejected_total", "CONCLUSION handshakes answered with a rejection, by SRT rejection code.", "address", "code")

	httpConnections = gauge("http_connections", "TCP connections open at the HTTP port.")
	httpActive      = gauge("http_active_requests", "Requests being served at the HTTP port.")
	httpAccepted    = counter("http_connections_accepted_total", "TCP connections accepted at the HTTP port.")
	httpRefused     = counter("http_connections_refused_total", "TCP connections closed at once since there were too many and none was idle.")
	httpDisplaced   = counter("http_connections_displaced_total", "Idle TCP connections closed to make room for others.")
	httpSlow        = counter("http_connections_slow_total", "TCP connections closed since the client stopped reading.")
	httpPanics      = counter("http_panics_total", "Requests at the HTTP port that ended in a panic.")
	httpMalformed   = counter("http_control_malformed_total", "Messages from the controller that the http process could not read.")
	httpRequests    = counter("http_requests_total", "Requests at the HTTP port by kind of route and class of status.", "route", "class")
	httpBytes       = counter("http_response_bytes_total", "Bytes of response bodies at the HTTP port by kind of route and class of status.", "route", "class")
)

// other stands for every label value that is not of the fixed set.
const other = "other"

var endReasons = []string{
	srt.FailTimeout, srt.FailSecret, srt.FailUnsecure, srt.FailRejected, srt.FailPeer, srt.FailLost, srt.FailClosed,
	srt.FailBuffer, srt.FailStreamEnd, srt.FailController, srt.FailInternal, srt.FailCrash,
}

func (e emitter) server(s *MetricsSnapshot) {
	e.add(buildInfo, 1, s.Info.Version, s.Info.Go, s.Info.LibSRT.Version, s.Info.LibSRT.Package)
	e.add(startTime, float64(s.Info.Started.UnixMilli())/1e3)

	states := map[StreamState]int{}
	for i := range s.Streams {
		states[s.Streams[i].State]++
	}
	for _, state := range []StreamState{StreamOffline, StreamStarting, StreamLive, StreamUnplayable} {
		e.add(streamCount, float64(states[state]), string(state))
	}
	roles := map[string]int{}
	for i := range s.Connections {
		roles[s.Connections[i].Role]++
	}
	for _, role := range []media.Role{media.Publish, media.Play, ""} {
		e.add(connections, float64(roles[role.String()]), role.String())
	}
	for role, n := range s.Processes {
		e.add(processes, float64(n), role)
	}
	for role, n := range s.Restarts {
		e.add(restarts, float64(n), role)
	}
	for why, n := range s.Kills {
		e.add(kills, float64(n), why)
	}
	for why, n := range s.Rejects {
		e.add(rejects, float64(n), strconv.Itoa(why.Code), why.Cause)
	}
	// The reasons come from connection processes, which may say anything.
	for reason, n := range bounded(s.Failures, func(reason string) bool { return slices.Contains(endReasons, reason) }) {
		e.add(failures, float64(n), reason)
	}
}

func (e emitter) events(m *EventMetrics) {
	for t, n := range m.Told {
		e.add(eventsTold, float64(n), string(t))
	}
	e.add(eventSubscribers, float64(m.Subscribers))
	e.add(eventsDropped, float64(m.Dropped))
}

func (e emitter) listener(l *ListenerMetrics) {
	e.add(listenerPackets, float64(l.Packets), l.Address)
	e.add(listenerInductions, float64(l.Inductions), l.Address)
	e.add(listenerConclusions, float64(l.Conclusions), l.Address)
	e.add(listenerBadCookies, float64(l.BadCookies), l.Address)
	e.add(listenerMalformed, float64(l.Malformed), l.Address)
	e.add(listenerDuplicates, float64(l.Duplicates), l.Address)
	e.add(listenerForeign, float64(l.Foreign), l.Address)
	e.add(listenerHanded, float64(l.Handed), l.Address)
	e.add(listenerDropped, float64(l.Dropped), l.Address, "no_answer")
	e.add(listenerDropped, float64(l.TooFast), l.Address, "handshakes")
	e.add(listenerDropped, float64(l.TooMany), l.Address, "pending")
	for code, n := range bounded(l.Rejected, isRejectCode) {
		e.add(listenerRejected, float64(n), l.Address, code)
	}
}

func (e emitter) http(h *HTTPMetrics) {
	e.add(httpConnections, float64(h.Connections))
	e.add(httpActive, float64(h.Active))
	e.add(httpAccepted, float64(h.Accepted))
	e.add(httpRefused, float64(h.Refused))
	e.add(httpDisplaced, float64(h.Displaced))
	e.add(httpSlow, float64(h.SlowClosed))
	e.add(httpPanics, float64(h.Panics))
	e.add(httpMalformed, float64(h.Malformed))
	for _, r := range h.Requests {
		e.add(httpRequests, float64(r.Requests), r.Route, r.Class)
		e.add(httpBytes, float64(r.Bytes), r.Route, r.Class)
	}
}

// bounded adds up what is not known under "other".
func bounded(counts map[string]uint64, known func(string) bool) map[string]uint64 {
	out := maps.Clone(counts)
	for key, n := range counts {
		if key != other && !known(key) {
			delete(out, key)
			out[other] += n
		}
	}
	return out
}

// isRejectCode tells whether a text is a rejection code of SRT: those of libsrt begin at
// 1000, those of applications at 1400 and 2000 (draft-sharabayko-srt 3.2.1 and SRT access control).
func isRejectCode(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 1000 && n < 3000 && len(text) == 4
}
