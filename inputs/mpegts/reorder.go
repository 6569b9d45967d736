package mpegts

import (
	"slices"

	"brume/media"
	"brume/media/h26x"
)

// reorder derives decoding times for a video whose PES tell presentation times alone, though its pictures do not come in
// output order. A PES without DTS says that both times are the same (ISO/IEC 13818-1 2.4.3.7). Of single pictures of a
// reordered video that is true, of a random access point it never is.
//
// Where at most n pictures precede one in decoding order and follow it in output order, the decoding time of each is the
// presentation time of the one n places before it in output order. Such times rise, and no picture is shown before it is decoded.
type reorder struct {
	alone   bool    // since the last random access point, no picture had a DTS
	started bool    // top and last are known
	top     int64   // latest presentation time so far
	last    int64   // latest decoding time
	ahead   []int64 // presentation times that are not taken as decoding times yet, rising
}

// take sets the decoding time of a unit whose PES told t. depth is n of above; step is about how long a picture lasts.
func (r *reorder) take(u *unit, t stamp, depth int, step int64) {
	switch {
	case !t.valid:
	case t.both:
		r.alone = false
	case u.random:
		r.alone = true
	}
	if step <= 0 {
		step = media.ClockRate / 25
	}
	jumps := abs(u.pts-r.top) > max(media.ClockRate, 2*h26x.MaxReorder*step) || u.random && u.pts <= r.top
	if jumps || !r.started || !r.alone || depth == 0 {
		r.ahead = r.ahead[:0]
	}
	if r.alone && depth > 0 {
		u.dts = r.next(u.pts, depth, step)
		if r.started && !jumps { // the first pictures had other times, or are reordered by more than was told
			u.dts = max(u.dts, r.last+1)
		}
	}
	if jumps || !r.started {
		r.top = u.pts
	}
	r.started, r.top, r.last = true, max(r.top, u.pts), u.dts
}

// next returns the decoding time of the picture with this presentation time.
func (r *reorder) next(pts int64, depth int, step int64) int64 {
	if len(r.ahead) == 0 {
		for i := depth; i > 0; i-- {
			r.ahead = append(r.ahead, pts-int64(i)*step)
		}
	}
	at, _ := slices.BinarySearch(r.ahead, pts)
	r.ahead = slices.Insert(r.ahead, at, pts)
	n := max(len(r.ahead)-1-depth, 0)
	dts := r.ahead[n]
	r.ahead = slices.Delete(r.ahead, 0, n+1)
	return dts
}

// shift moves all times by n ticks.
func (r *reorder) shift(n int64) {
	r.top += n
	r.last += n
	for i := range r.ahead {
		r.ahead[i] += n
	}
}
