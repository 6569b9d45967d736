package api

import "math"

var (
	tsErrors      = counter("ts_errors_total", "Times that an indicator of TR 101 290 failed since the publisher began.", "stream", "indicator")
	tsOK          = gauge("ts_ok", "1 when an indicator of TR 101 290 is not in error, else 0; only while somebody publishes.", "stream", "indicator")
	tsPIDs        = gauge("ts_pids", "PIDs of the transport stream, without null packets.", "stream")
	tsPCRInterval = gauge("ts_pcr_interval_seconds", "Longest step from one PCR to the next within the last second, of all programs.", "stream")
	tsPCRJitter   = gauge("ts_pcr_jitter_seconds", "Largest peak to peak of PCR minus the time at which it was sent within the last second, of all programs.", "stream")
	tsPCRDrift    = gauge("ts_pcr_drift_ratio", "How much faster the PCR runs than the sender's system clock, of the program that is most off.", "stream")
)

// health shows how a transport stream keeps the rules.
func (e emitter) health(s *Stream) {
	h := s.Health
	if h == nil {
		return
	}
	for name, i := range h.Indicators.All() {
		e.add(tsErrors, float64(i.Errors), s.Name, name)
		if s.Publisher != nil {
			e.add(tsOK, truth(i.OK), s.Name, name)
		}
	}
	if s.Publisher == nil {
		return // what follows is of now
	}
	e.add(tsPIDs, float64(h.PIDsTotal), s.Name)
	if len(h.PCRs) == 0 {
		return
	}
	var interval, jitter, drift float64
	known := false
	for _, p := range h.PCRs {
		interval, jitter = max(interval, p.IntervalMS), max(jitter, p.JitterUS)
		if d := p.DriftPPM; d != nil && (!known || math.Abs(*d) > math.Abs(drift)) {
			drift, known = *d, true
		}
	}
	e.add(tsPCRInterval, interval/1e3, s.Name)
	e.add(tsPCRJitter, jitter/1e6, s.Name)
	if known {
		e.add(tsPCRDrift, drift/1e6, s.Name)
	}
}
