package buffer

import "time"

const (
	// slewRate is how much of the time that passes may go into following the clock: 1/2000, 500 ppm.
	slewRate = 2000
	// maxSlewStep bounds the time that one step takes account of.
	maxSlewStep = 10 * time.Second
	// maxWallLead is how far the end of the last epoch may lie ahead of the clock and still push the next one.
	maxWallLead = time.Minute
)

// wallClock maps decoding times of an epoch to the wall clock: a straight line that is bent so
// slowly towards the clock that neither bursts nor stalls of the sender show.
type wallClock struct {
	wall int64 // Unix nanoseconds
	dts  int64 // of that moment
	last int64 // decoding time of the last step
}

// begin starts an epoch. It begins no earlier than the last one ended, unless that was far in the future.
func (c *wallClock) begin(now, previous, dts int64) {
	if now == 0 || previous > now && previous-now < int64(maxWallLead) {
		now = max(now, previous)
	}
	*c = wallClock{wall: now, dts: dts, last: dts}
}

// at returns the wall clock of a decoding time.
func (c *wallClock) at(dts int64) int64 { return c.wall + ticksToNano(dts-c.dts) }

// step follows the clock: now is when the packet of that decoding time came.
func (c *wallClock) step(now, dts int64) {
	passed := ticksToNano(dts - c.last)
	if now == 0 || passed <= 0 {
		return
	}
	c.last = dts
	most := min(passed, int64(maxSlewStep)) / slewRate
	c.wall += min(max(now-c.at(dts), -most), most)
}

// ticksToNano converts 90 kHz ticks to nanoseconds, within a century.
func ticksToNano(ticks int64) int64 {
	const century = 100 * 366 * 24 * 3600 * 90000
	ticks = min(max(ticks, -century), century)
	return ticks/9*100000 + ticks%9*100000/9
}
