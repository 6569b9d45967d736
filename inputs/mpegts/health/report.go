package health

import (
	"cmp"
	"slices"
	"time"

	"brume/media/ts"
)

// What is counted, in the order of ts.Indicators.All.
const (
	syncLoss = iota
	syncByte
	pat
	continuity
	pmt
	pidMissing
	transport
	crc
	pcrRepetition
	pcrDiscontinuity
	pts
	cat
	unreferenced
	siRepetition
	indicators
)

// fault counts one of them.
type fault struct {
	errors uint64
	last   time.Duration // of the source
}

func (m *Monitor) fail(i int) {
	m.faults[i].errors++
	m.faults[i].last = m.now.source
}

// lasting tells what is in error as long as something does not come.
func (m *Monitor) lasting() (l [indicators]bool) {
	l[syncLoss] = m.lost
	l[pat] = m.pat.late
	l[cat] = m.cat.late
	for i := range m.programs {
		l[pmt] = l[pmt] || m.programs[i].pmt.late
	}
	for i := range m.si {
		l[siRepetition] = l[siRepetition] || m.si[i].late
	}
	for i := firstRecord; i < len(m.records); i++ {
		r := &m.records[i]
		l[pidMissing] = l[pidMissing] || r.presence.late
		l[pts] = l[pts] || r.pts.late
		l[unreferenced] = l[unreferenced] || r.stray.late
		l[pcrRepetition] = l[pcrRepetition] || r.pcr != nil && r.pcr.late
	}
	return l
}

// Report tells how the stream is doing. wall is the time of day at the last call of Write or Tick.
func (m *Monitor) Report(wall time.Time) *ts.Health {
	h := &ts.Health{OK: true, PCRs: []ts.HealthPCR{}, PIDs: []ts.HealthPID{}, PIDsTotal: m.beyond}
	lasting, n := m.lasting(), 0
	for _, i := range h.Indicators.All() {
		f := &m.faults[n]
		i.Errors, i.OK = f.errors, !lasting[n]
		if f.errors > 0 {
			ago := m.now.source - f.last
			i.OK = i.OK && ago > hold
			at := wall.Add(-ago).UTC()
			i.LastError = &at
		}
		h.OK = h.OK && i.OK
		n++
	}
	var order [maxRecords]*record
	records := order[:0]
	for i := firstRecord; i < len(m.records); i++ {
		if m.records[i].pid != ts.PIDs {
			records = append(records, &m.records[i])
		}
	}
	slices.SortFunc(records, func(a, b *record) int { return cmp.Compare(a.pid, b.pid) })
	h.PIDsTotal += len(records)
	for _, r := range records {
		if len(h.PIDs) < ts.MaxHealthPIDs {
			h.PIDs = append(h.PIDs, ts.HealthPID{
				PID: r.pid, Kind: r.kind, Program: r.program, StreamType: r.streamType, Packets: r.packets, ContinuityErrors: r.losses,
				Scrambled: r.scrambled, Missing: r.presence.late,
			})
		}
		if c := r.pcr; c != nil && c.have && !c.late && len(h.PCRs) < ts.MaxHealthPCRs {
			h.PCRs = append(h.PCRs, c.report(r.pid))
		}
	}
	return h
}

func (c *pcrClock) report(pid uint16) ts.HealthPCR {
	p := ts.HealthPCR{PID: pid, IntervalMS: ms(c.interval), JitterUS: ms(1000 * c.jitter)}
	if ppm, err, known := c.drift(); known {
		p.DriftPPM, p.DriftErrorPPM = &ppm, &err
	}
	return p
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
