package mpegts

import (
	"time"

	"brume/media"
)

// maxFiller is the most program time that is filled ahead of real time: what a receiver that comes in late, or stood still,
// catches up with.
const maxFiller = 10 * media.ClockRate

// Filler bounds by real time what the muxers of one connection write between units that are far apart. Without it, a source
// whose times run many times faster than its bytes costs a receiver many times the bytes of the media. The zero value is
// ready for use.
type Filler struct {
	now  time.Time
	left int64 // program time that may still be filled, ticks
}

// SetTime tells what time it is: as much of the program's time may be filled as passed, beyond the first 10 s.
func (f *Filler) SetTime(now time.Time) {
	if f.now.IsZero() {
		f.left = maxFiller
	} else if passed := now.Sub(f.now); passed > 0 {
		f.left = min(f.left+media.Ticks(min(passed, time.Minute)), maxFiller)
	}
	f.now = now
}

// take reports whether so many ticks may be filled, and counts them.
func (f *Filler) take(ticks int64) bool {
	if f == nil {
		return true
	}
	if f.left < ticks {
		return false
	}
	f.left -= ticks
	return true
}

// Bound makes what the muxer fills obey a Filler. A muxer without one fills all of the program's time.
func (m *Muxer) Bound(f *Filler) { m.filler = f }

// keepUp writes the PCRs and tables that are due before the next unit, in a program whose units are far apart. After
// a gap that only a jump of the clock makes it writes nothing.
func (m *Muxer) keepUp(dst []byte) []byte {
	if m.clock-m.lastPCR > maxGap {
		return dst
	}
	for m.clock-m.lastPCR > pcrLimit && m.filler.take(pcrFill) {
		m.lastPCR += pcrFill
		if m.lastPCR-m.lastTables >= tablesEvery {
			dst = m.writeTables(dst)
			m.lastTables = m.lastPCR
		}
		dst = m.pcr.writePCR(dst, pcrAt(m.lastPCR))
	}
	return dst
}
