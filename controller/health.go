package controller

import "time"

// clockSlack is how far the times of the process that made a report may be off.
const clockSlack = time.Minute

// judged gives the streams what their publisher said of the transport stream's health, bounded. Nobody else has a say.
func (conn *connection) judged(now time.Time) {
	h := conn.stats.Health
	conn.stats.Health = nil
	if h == nil {
		return
	}
	h.Bound(conn.Since.Add(-clockSlack), now.Add(clockSlack))
	for _, s := range conn.published() {
		s.health = h // replaced as a whole: the API may be reading the last one
	}
}
