package buffer

// paceSpan is how many packets an observed duration is remembered for, at least.
const paceSpan = 64

// maxPace bounds a duration, so that sums of wild times don't overflow.
const maxPace = 1 << 40

// pace learns how long the packets of a track last, from the distances of decoding times within the last 64
// to 128 packets, in ticks. A single gap, as lost packets leave one, does not count.
type pace struct {
	last       int64
	started    bool
	now, old   distances
	suspicious int
}

// distances sums up a number of distances.
type distances struct{ longest, shortest, sum, count int64 }

func (d *distances) add(v int64) {
	if d.count == 0 {
		d.shortest = v
	}
	d.longest, d.shortest = max(d.longest, v), min(d.shortest, v)
	d.sum += v
	d.count++
}

// longest returns the duration to expect at most, 0 while it is not known.
func (p *pace) longest() int64 { return max(p.now.longest, p.old.longest) }

// mean returns the usual duration, 0 while it is not known.
func (p *pace) mean() int64 {
	count := p.now.count + p.old.count
	if count == 0 {
		return 0
	}
	return (p.now.sum + p.old.sum + count/2) / count
}

// jitter returns by how much durations differ.
func (p *pace) jitter() int64 {
	shortest := p.now.shortest
	if p.old.count > 0 && (p.now.count == 0 || p.old.shortest < shortest) {
		shortest = p.old.shortest
	}
	return p.longest() - shortest
}

// add takes the next decoding time.
func (p *pace) add(dts int64) {
	d := dts - p.last
	first := !p.started
	p.last, p.started = dts, true
	if first || d <= 0 {
		return
	}
	d = min(d, maxPace)
	if known := p.longest(); known > 0 && 2*d > 3*known {
		if p.suspicious++; p.suspicious < 3 {
			return
		}
	}
	p.suspicious = 0
	p.now.add(d)
	if p.now.count >= paceSpan {
		p.old, p.now = p.now, distances{}
	}
}
