package relay

import "time"

// fate is what happens to one packet.
type fate struct {
	lost   bool
	copies int           // 1 or 2
	delay  time.Duration // of one that keeps its place
	held   time.Duration // beyond that, of one that loses it
}

// dice decides about the packets of one direction of one client. What becomes of a packet depends on the seed, the client's number, the
// direction and how many packets of its kind came before, and on nothing else: two servers behind relays of one seed
// lose the same media packets, whatever else they and their peers have to say. A burst alone is a state of the way and meets whatever
// passes by.
type dice struct {
	way    Way
	seed   uint64
	count  [kinds]uint64
	passed uint64
	bad    bool
}

// What is drawn, so that no draw tells anything of another.
const (
	drawLoss = 1 + iota
	drawTurn
	drawBurst
	drawJitter
	drawReorder
	drawDuplicate
)

func newDice(way Way, seed uint64, client int, up bool) *dice {
	d := &dice{way: way, seed: scramble(scramble(seed) + uint64(client)*2)}
	if up {
		d.seed = scramble(d.seed + 1)
	}
	return d
}

// scramble is the finalizer of splitmix64: neighbours in, strangers out.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draw is evenly spread over 0 to 1, 1 excluded.
func (d *dice) draw(what int, k kind, n uint64) float64 {
	return float64(scramble(scramble(d.seed+uint64(what)*kinds+uint64(k))+n)>>11) / (1 << 53)
}

func (d *dice) throw(k kind) fate {
	n := d.count[k]
	d.count[k]++
	f := fate{copies: 1, delay: d.way.Delay}
	f.lost = d.burst() || d.draw(drawLoss, k, n) < d.way.Loss
	if d.way.Jitter > 0 {
		f.delay += time.Duration(d.draw(drawJitter, k, n) * float64(d.way.Jitter))
	}
	if d.draw(drawReorder, k, n) < d.way.Reorder {
		f.held = d.way.ReorderBy
	}
	if d.draw(drawDuplicate, k, n) < d.way.Duplicate {
		f.copies = 2
	}
	return f
}

func (d *dice) burst() bool {
	n := d.passed
	d.passed++
	turn := d.draw(drawTurn, 0, n)
	if d.bad {
		d.bad = turn >= d.way.Burst.End
	} else {
		d.bad = turn < d.way.Burst.Begin
	}
	return d.bad && d.draw(drawBurst, 0, n) < d.way.Burst.Loss
}
