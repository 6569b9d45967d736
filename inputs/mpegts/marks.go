package mpegts

import (
	"time"

	"brume/media"
	"brume/media/ts"
)

// maxField is how far apart the two fields of a frame may be shown where the frame rate is not told: between a field at 24
// frames per second and a frame at 30.
const maxField = media.ClockRate / 36

// mark is the time of the PES whose payload begins at off, where a receiver can begin to get it, and when it arrived.
type mark struct {
	off int
	stamp
	join uint64
	came time.Duration
}

// time takes the time of the unit at hand: that of the last PES which began at or before
// it and whose time no unit has taken (ISO/IEC 13818-1 2.4.3.7). Where that PES has none,
// one that begins before the picture may tell.
func (v *video) time() (t stamp, ok bool) {
	if v.from >= len(v.nals) {
		return t, false
	}
	start, pic := int(v.nals[v.from].start), int(v.nals[min(v.pic, len(v.nals)-1)].start)
	t, n := v.timeAt(start, pic)
	for _, m := range v.marks[:n] {
		if m.off <= start {
			v.join, v.came = m.join, m.came
		}
	}
	v.marks = v.marks[:copy(v.marks, v.marks[n:])]
	return t, t.valid
}

// timeAt is the time of the unit that begins at start and whose picture begins at pic. It comes from the first n marks.
func (v *video) timeAt(start, pic int) (t stamp, n int) {
	for n < len(v.marks) && (v.marks[n].off <= start || !t.valid && v.marks[n].off <= pic) {
		t = v.marks[n].stamp
		n++
	}
	return t, n
}

// oneFrame reports whether the field that begins with NAL unit i can be the second one of the frame at hand by the time at
// which it is shown. A field without a time of its own can.
func (v *video) oneFrame(i int) bool {
	first, n := v.timeAt(int(v.nals[v.from].start), int(v.nals[v.pic].start))
	at := int(v.nals[i].start)
	if v.maybe >= 0 {
		at = int(v.nals[v.maybe].start)
	}
	var t stamp
	for ; n < len(v.marks) && v.marks[n].off <= at; n++ {
		t = v.marks[n].stamp
	}
	if !first.valid || !t.valid {
		return true
	}
	limit := float64(maxField)
	if v.rate > 0 {
		limit = max(limit, 0.75*media.ClockRate/v.rate)
	}
	return abs(ts.Distance(t.pts, first.pts)) <= int64(limit)
}
