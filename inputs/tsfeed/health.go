package tsfeed

import (
	"time"

	"brume/inputs/mpegts/health"
	"brume/media/ts"
)

// reportInterval is how often a report is made; the connection process sends one a second.
const reportInterval = 500 * time.Millisecond

// judge watches over a publisher's transport stream.
type judge struct {
	monitor *health.Monitor

	source time.Duration // of the last message
	heard  time.Time     // when it was read
	told   time.Time     // when the last report was made
	last   *ts.Health    // it; never changed afterwards
}

// take judges a batch that was read now.
func (j *judge) take(b Batch, now time.Time) {
	rest := b.Bytes
	for _, m := range b.Messages {
		n := min(m.Length, len(rest))
		j.monitor.Write(rest[:n], m.Source)
		j.source, j.heard = m.Source, now
		rest = rest[n:]
	}
	if len(b.Messages) == 0 && !j.heard.IsZero() {
		// A message is read its latency after it was sent, or later. So if another one had been sent by then, it would be here.
		j.monitor.Tick(j.source + now.Sub(j.heard))
	}
	if now.Sub(j.told) >= reportInterval {
		j.told, j.last = now, j.monitor.Report(now)
	}
}
