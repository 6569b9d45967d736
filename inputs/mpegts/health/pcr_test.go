package health

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// TestDrift measures clocks that run fast and slow, sent unevenly.
func TestDrift(t *testing.T) {
	for _, c := range []struct {
		name   string
		ppm    float64
		jitter time.Duration
		first  int64
	}{
		{"exact", 0, 0, 0},
		{"fast", 30, 0, 0},
		{"slow", -30, 0, 0},
		{"fast, sent unevenly", 100, 10 * time.Millisecond, 0},
		{"slow, sent unevenly, with a wrap", -100, 10 * time.Millisecond, pcrWrap - 20*27_000_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			m := New()
			list := recipe{length: 120 * second, ppm: c.ppm, first: c.first}.make()
			if c.jitter > 0 {
				late := time.Duration(0)
				for i := range list {
					if i == 0 || list[i].at != list[i-1].at-late {
						late = time.Duration(random.Int64N(int64(c.jitter)))
					}
					list[i].at += late
				}
			}
			feed(m, list[:len(list)/60])
			require.Nil(t, m.report().PCRs[0].DriftPPM, "too early to tell")
			feed(m, list[len(list)/60:])
			h := m.report()
			requireClean(t, h)
			require.Len(t, h.PCRs, 1)
			p := h.PCRs[0]
			require.EqualValues(t, pidVideo, p.PID)
			require.InDelta(t, 40, p.IntervalMS, 0.1)
			require.InDelta(t, c.ppm, *p.DriftPPM, 1+2**p.DriftErrorPPM)
			if c.jitter == 0 {
				require.Less(t, *p.DriftErrorPPM, 1.0)
				require.InDelta(t, math.Abs(c.ppm), p.JitterUS, 2, "what a second of drift makes")
			} else {
				require.Less(t, *p.DriftErrorPPM, 20.0)
				require.InDelta(t, 0.8*float64(c.jitter.Microseconds()), p.JitterUS, 0.3*float64(c.jitter.Microseconds()))
			}
		})
	}
}

// TestDriftBeginsAnew after a jump that is told.
func TestDriftBeginsAnew(t *testing.T) {
	m := New()
	feed(m, recipe{length: 20 * second}.make())
	require.NotNil(t, m.report().PCRs[0].DriftPPM)
	next := recipe{length: 5 * second, start: 20 * second, first: 1 << 40}.make()
	feed(m, edit(next, pidVideo, 0, 1, func(p []byte) { p[5] |= 0x80 }))
	require.Nil(t, m.report().PCRs[0].DriftPPM)
	require.Zero(t, m.report().Indicators.PCRDiscontinuity.Errors)
}

// TestDriftBehindAPause begins anew behind a pause, whose length says nothing of the clock.
func TestDriftBehindAPause(t *testing.T) {
	m := New()
	feed(m, recipe{length: 20 * second}.make())
	feed(m, recipe{length: 2 * second, start: 23 * second, first: 20 * 27_000_000}.make())
	p := m.report().PCRs[0]
	require.Nil(t, p.DriftPPM)
	require.Less(t, p.JitterUS, 100.0)
}

// TestClocksOfPrograms are listed once each.
func TestClocksOfPrograms(t *testing.T) {
	m := New()
	feed(m, recipe{length: 3 * second, programs: 4, clockPID: pidClock}.make())
	require.Len(t, m.report().PCRs, 1)
	m = New()
	feed(m, recipe{length: 3 * second, programs: 20}.make())
	h := m.report()
	require.Len(t, h.PCRs, ts.MaxHealthPCRs)
	require.Len(t, h.PIDs, 62)
	m = New()
	feed(m, recipe{length: 3 * second, programs: 30}.make())
	h = m.report()
	require.Len(t, h.PIDs, ts.MaxHealthPIDs)
	require.Equal(t, 92, h.PIDsTotal)
	requireClean(t, h)
}

// TestRegression compares with what the figures were made of.
func TestRegression(t *testing.T) {
	var r trend
	for i := range 200 {
		r.add(1, 5+3e-5*float64(i))
	}
	slope, err := r.slope()
	require.InDelta(t, 3e-5, slope, 1e-10)
	require.InDelta(t, 0, err, 1e-9)
	for i := range 1500 {
		r.add(1, 5+3e-5*200-2e-5*float64(i))
	}
	slope, _ = r.slope()
	require.InDelta(t, -2e-5, slope, 5e-7, "what was is forgotten")
}
