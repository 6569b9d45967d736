package controller

import "time"

// Pauses of a caller that reaches nobody.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
	// calmTime is how long a connection has to have lasted for its end to be a new beginning.
	calmTime = 10 * time.Second
)

// phase is where a caller is.
type phase uint8

const (
	resting    phase = iota // nobody wants it, or its stream is not there
	connecting              // its peer's name is being resolved, or its peer called
	connected
	failed // until the next try
)

// round decides when a caller calls which of its addresses: the first that works. When one fails, the next follows at once;
// after the last there is a pause, which grows from one time to the next. After a connection that lasted it begins again with the first.
// It has no clock: times come in, and so does chance, from 0 to 1, which keeps many callers from calling at the same time.
type round struct {
	size int // addresses

	phase  phase
	at     int       // the address that is called or connected, or that comes next
	pauses int       // in a row
	since  time.Time // of the phase
	next   time.Time // no attempt before
}

func (r *round) enter(p phase, now time.Time) {
	if r.phase != p || r.since.IsZero() {
		r.phase, r.since = p, now
	}
}

// due tells whether it is time for an attempt.
func (r *round) due(now time.Time) bool {
	return (r.phase == resting || r.phase == failed) && !now.Before(r.next)
}

// failing reports whether all addresses have failed, since a connection lasted or since the caller rested.
func (r *round) failing() bool { return r.pauses > 0 && r.phase != connected }

// begin is the beginning of an attempt.
func (r *round) begin(now time.Time) { r.enter(connecting, now) }

// up is the making of a connection.
func (r *round) up(now time.Time) { r.enter(connected, now) }

// fail is the end of an attempt, or of a connection that did not last.
func (r *round) fail(now time.Time, chance float64) {
	r.enter(failed, now)
	r.next = now
	if r.at++; r.at >= r.size {
		r.at = 0
		r.next = now.Add(r.pause(chance))
	}
}

// pause is within a fifth of 1, 2, 4, 8, 16 and then 30 seconds.
func (r *round) pause(chance float64) time.Duration {
	d := min(firstPause<<min(r.pauses, 5), lastPause)
	r.pauses++
	return min(time.Duration(float64(d)*(0.8+0.4*chance)), lastPause)
}

// down is the end of a connection.
func (r *round) down(now time.Time, chance float64) {
	if now.Sub(r.since) < calmTime {
		r.fail(now, chance)
		return
	}
	r.enter(failed, now)
	r.at, r.pauses, r.next = 0, 0, now
}

// rest forgets what was: the next attempt begins with the first address, at once.
func (r *round) rest(now time.Time) {
	r.enter(resting, now)
	r.at, r.pauses, r.next = 0, 0, time.Time{}
}
