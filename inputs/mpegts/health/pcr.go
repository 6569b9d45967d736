package health

import (
	"math"
	"time"

	"brume/media/ts"
)

const (
	// pcrWrap is where a PCR of 27 MHz starts again at 0 (ISO/IEC 13818-1 2.4.3.5).
	pcrWrap = ts.Wrap * 300
	// clockDead is how long a clock may be silent before the source time stands in for it.
	clockDead = time.Second
	// window is how long jitter and intervals are measured for.
	window = time.Second
	// memory is the time after which a measurement of drift counts 1/e.
	memory = 300.0 // seconds
	// minWindows is how many windows a drift is told after.
	minWindows = 10
)

// pcrStep is how far a PCR is ahead of another one, on the shorter way around.
func pcrStep(from, to int64) time.Duration {
	d := (to - from) % pcrWrap
	switch {
	case d < -pcrWrap/2:
		d += pcrWrap
	case d >= pcrWrap/2:
		d -= pcrWrap
	}
	return time.Duration(d * 1000 / 27)
}

// reference is the PCR that tells how far the stream has come. Any will do.
type reference struct {
	pid  uint16
	pcr  int64
	at   time.Duration // of the source, when it last came
	have bool
}

// pcrClock is the clock of one or more programs.
type pcrClock struct {
	at   time.Duration // of the source, when a PCR last came
	pcr  int64
	have bool
	jump bool // discontinuity_indicator came: the next PCR is of another clock
	late bool // that none came was counted

	sum     time.Duration // PCR since begin
	begin   time.Duration // of the source
	windows int           // that trend is made of
	trend   trend

	// The running window, of PCR minus source time.
	opened  time.Duration
	n       int
	lo, hi  time.Duration
	mean    float64 // sum of them, in seconds
	longest time.Duration

	// The last whole one.
	jitter   time.Duration
	interval time.Duration
}

// tick takes a PCR.
func (m *Monitor) tick(r *record, pid uint16, pcr int64) {
	m.refer(pid, pcr)
	c := r.pcr
	if c == nil {
		return // no PMT names it
	}
	now := m.now.source
	step, pause := pcrStep(c.pcr, pcr), now-c.at
	switch {
	case !c.have, c.jump:
		c.restart(now)
	default:
		off := step - pause
		if step < 0 || step > maxPCR {
			m.fail(pcrDiscontinuity)
		}
		if step > maxPCR && off < clockDead && !c.late {
			m.fail(pcrRepetition)
		}
		if step < 0 || off > clockDead || off < -clockDead {
			c.restart(now)
		} else {
			c.sum += step
			c.longest = max(c.longest, step)
		}
	}
	c.pcr, c.at, c.have, c.jump, c.late = pcr, now, true, false, false
	c.measure(now)
}

// refer moves the media clock.
func (m *Monitor) refer(pid uint16, pcr int64) {
	r, now := &m.clock, m.now.source
	if pid != r.pid || !r.have {
		if r.have && now-r.at < clockDead {
			return
		}
	} else if step := pcrStep(r.pcr, pcr); step > 0 && step <= clockDead {
		m.now.media += step
	}
	*r = reference{pid: pid, pcr: pcr, at: now, have: true}
}

// restart begins to measure anew: the clock is another one.
func (c *pcrClock) restart(now time.Duration) {
	*c = pcrClock{begin: now, opened: now}
}

// measure puts the PCR of now into the running window.
func (c *pcrClock) measure(now time.Duration) {
	if length := now - c.opened; length >= window && c.n > 0 {
		c.jitter, c.interval = c.hi-c.lo, c.longest
		c.windows++
		c.trend.add(length.Seconds(), c.mean/float64(c.n))
		c.opened, c.n, c.mean, c.longest = now, 0, 0, 0
	}
	off := c.sum - (now - c.begin)
	if c.n == 0 {
		c.lo, c.hi = off, off
	}
	c.lo, c.hi = min(c.lo, off), max(c.hi, off)
	c.mean += off.Seconds()
	c.n++
}

// drift tells how much faster the PCR runs than the source's clock, and twice the standard error of that, both in parts per million.
func (c *pcrClock) drift() (ppm, err float64, known bool) {
	if c.windows < minWindows {
		return 0, 0, false
	}
	slope, err := c.trend.slope()
	ppm, err = slope*1e6, 2*err*1e6
	return ppm, err, !math.IsNaN(ppm) && !math.IsInf(ppm, 0) && !math.IsNaN(err) && !math.IsInf(err, 0)
}

// trend is a linear regression that slowly forgets. Its times are relative to the last point.
type trend struct{ n, t, tt, y, ty, yy float64 }

// add takes a value, dt seconds after the last one.
func (r *trend) add(dt, y float64) {
	r.tt += dt * (dt*r.n - 2*r.t)
	r.t -= dt * r.n
	r.ty -= dt * r.y
	keep := math.Exp(-dt / memory)
	r.n, r.t, r.tt, r.y, r.ty, r.yy = keep*r.n+1, keep*r.t, keep*r.tt, keep*r.y+y, keep*r.ty, keep*r.yy+y*y
}

// slope returns the slope in units a second, and its standard error.
func (r *trend) slope() (slope, err float64) {
	d := r.n*r.tt - r.t*r.t
	slope = (r.n*r.ty - r.t*r.y) / d
	rest := r.yy - r.y*r.y/r.n - slope*(r.ty-r.t*r.y/r.n)
	return slope, math.Sqrt(max(rest, 0) / max(r.n-2, 1) * r.n / d)
}
