package api

import "slices"

var (
	sourceState    = gauge("source_state", "1 for the state that a stream's source is in, else 0.", "stream", "state")
	sourceIndex    = gauge("source_index", "Which of a stream's sources is called or connected, or comes next, from 0.", "stream")
	sourceAttempts = counter("source_attempts_total", "Attempts to connect to a stream's source.", "stream")
	sourceFailures = counter("source_failures_total", "Attempts to connect to a stream's source that failed, and connections to it that were lost, by reason.", "stream", "reason")
	pushState      = gauge("push_state", "1 for the state that a push is in, else 0.", "stream", "push", "state")
	pushAttempts   = counter("push_attempts_total", "Attempts to connect to a push's target.", "stream", "push")
	pushFailures   = counter("push_failures_total", "Attempts to connect to a push's target that failed, and connections to it that were lost, by reason.", "stream", "push", "reason")
)

var callStates = []CallState{CallWaiting, CallConnecting, CallConnected, CallFailed}

// callReasons are those that no process tells, beside endReasons.
var callReasons = []string{"resolve", "socket", "forbidden", "no_process", "no_media"}

func isCallReason(reason string) bool {
	return slices.Contains(endReasons, reason) || slices.Contains(callReasons, reason)
}

func (e emitter) source(stream string, s *Source) {
	for _, state := range callStates {
		e.add(sourceState, truth(s.State == state), stream, string(state))
	}
	e.add(sourceIndex, float64(s.Index), stream)
	e.add(sourceAttempts, float64(s.Attempts), stream)
	for reason, n := range bounded(s.Failures, isCallReason) {
		e.add(sourceFailures, float64(n), stream, reason)
	}
}

func (e emitter) push(p *Push) {
	for _, state := range callStates {
		e.add(pushState, truth(p.State == state), p.Stream, p.ID, string(state))
	}
	e.add(pushAttempts, float64(p.Attempts), p.Stream, p.ID)
	for reason, n := range bounded(p.Failures, isCallReason) {
		e.add(pushFailures, float64(n), p.Stream, p.ID, reason)
	}
}
