package controller

import (
	"math"
	"slices"
	"time"
)

// How long a history is.
const (
	fineStep, fineSlots     = 1, 600  // 10 minutes, a second each
	coarseStep, coarseSlots = 10, 360 // an hour, 10 seconds each
)

// merge is how several values of one slot become one.
type merge byte

const (
	mean  merge = iota // weighted by the time that each value stands for
	total              // added up
)

// history keeps the last values of some figures in memory of fixed size. It knows no clock: a value belongs to a
// second of Unix time.
type history struct {
	fine, coarse level
}

func newHistory(figures []merge) *history {
	return &history{fine: newLevel(figures, fineStep, fineSlots), coarse: newLevel(figures, coarseStep, coarseSlots)}
}

// add takes the values of one report, one for each figure, NaN where there is none. The weight is the time that they
// stand for.
func (h *history) add(second int64, weight float64, values []float64) {
	h.fine.add(second, weight, values)
	h.coarse.add(second, weight, values)
}

// level is a ring of slots of one length.
type level struct {
	figures []merge
	step    int64     // seconds of a slot
	length  int64     // slots
	values  []float32 // slot by slot; NaN where nothing was reported
	first   int64     // number of the oldest slot that ever had a value: Unix time divided by step
	newest  int64     // number of the newest, 0 before the first

	sums, weights []float64 // of the newest slot, by figure
}

func newLevel(figures []merge, step, length int64) level {
	l := level{figures: figures, step: step, length: length}
	l.values = make([]float32, int(length+1)*len(figures)) // one for the slot that is not over
	l.sums, l.weights = make([]float64, len(figures)), make([]float64, len(figures))
	return l
}

// row is where the values of a slot are.
func (l *level) row(slot int64) []float32 {
	i := int(slot%(l.length+1)) * len(l.figures)
	return l.values[i : i+len(l.figures)]
}

// turn makes a slot the newest. What was passed over is a gap. A value that is late by up to a slot belongs to the newest;
// when time itself has gone back, the history begins anew.
func (l *level) turn(slot int64) {
	switch {
	case slot == l.newest || slot == l.newest-1:
		return
	case l.newest == 0 || slot < l.newest || slot-l.newest > l.length:
		l.first = slot
		clearRow(l.values)
	default:
		for s := l.newest + 1; s <= slot; s++ {
			clearRow(l.row(s))
		}
	}
	l.newest = slot
	clear(l.sums)
	clear(l.weights)
}

func clearRow(row []float32) {
	for i := range row {
		row[i] = float32(math.NaN())
	}
}

func (l *level) add(second int64, weight float64, values []float64) {
	l.turn(second / l.step)
	row := l.row(l.newest)
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		if l.figures[i] == total {
			l.sums[i] += v
			row[i] = float32(l.sums[i])
			continue
		}
		l.sums[i] += v * weight
		l.weights[i] += weight
		row[i] = float32(l.sums[i] / l.weights[i])
	}
}

// read returns the slots that were over before a second, the oldest first: their times and the values of each figure.
func (l *level) read(before int64) (times []int64, columns [][]float32) {
	columns = make([][]float32, len(l.figures))
	end := before / l.step
	from := max(l.first, end-l.length, l.newest-l.length)
	if l.newest == 0 || from >= end {
		return []int64{}, columns
	}
	times = make([]int64, 0, end-from)
	for i := range columns {
		columns[i] = make([]float32, 0, end-from)
	}
	for s := from; s < end; s++ {
		times = append(times, s*l.step)
		for i := range columns {
			v := float32(math.NaN())
			if s <= l.newest {
				v = l.row(s)[i]
			}
			columns[i] = append(columns[i], v)
		}
	}
	return times, columns
}

// empty tells whether nothing is left of a history at a second.
func (h *history) empty(second int64) bool { return second/coarseStep-h.coarse.newest >= coarseSlots }

// beat gives a regular report the second that it stands for, so that one that comes now a little early, now a little late
// is neither missing in one second nor twice in the next: the middle of a second is where they come on average.
type beat struct {
	begun bool
	phase time.Duration // of the seconds against the clock's; less than one second
}

// pull is how fast the middle follows the reports.
const pull = 16

// second returns the second of a report that comes now.
func (b *beat) second(now time.Time) int64 {
	if !b.begun {
		b.begun = true
		b.phase = time.Duration(now.Nanosecond()) - time.Second/2
	}
	at := now.Add(-b.phase)
	b.phase += (time.Duration(at.Nanosecond()) - time.Second/2) / pull
	b.phase = min(max(b.phase, -time.Second), time.Second)
	return at.Unix()
}

// present returns the second that is not over yet.
func (b *beat) present(now time.Time) int64 { return now.Add(-b.phase).Unix() }

// within returns a value, or NaN where it is out of range.
func within(v, most float64) float64 {
	if v >= 0 && v <= most {
		return v
	}
	return math.NaN()
}

// none is a report without any value.
func none(figures int) []float64 { return slices.Repeat([]float64{math.NaN()}, figures) }
