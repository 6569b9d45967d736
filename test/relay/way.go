package relay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxDelay bounds each of a way's times.
const MaxDelay = 10 * time.Second

// Way is what happens to the packets of one direction. The zero Way passes everything on at once.
type Way struct {
	Loss      float64       // share of packets that is lost, each by itself, 0 to 1
	Burst     Burst         // loss beside that, in bursts
	Delay     time.Duration // of every packet
	Jitter    time.Duration // up to this much more, evenly spread; packets stay in order
	Reorder   float64       // share of packets that is held back, so that later ones overtake it
	ReorderBy time.Duration // how long
	Duplicate float64       // share of packets that arrives twice
}

// Burst is loss after Gilbert and Elliott: a way that changes between a good and a bad state. Loss is that of the bad state.
// The mean burst is 1/End packets long, the whole loss is Loss * Begin/(Begin+End).
type Burst struct {
	Begin float64 // chance of each packet to find the way turned bad
	End   float64 // chance of each packet to find it good again
	Loss  float64 // share of packets lost in between
}

// errWay means that a way can't be read or has values that make no sense.
var errWay = errors.New("bad way")

// Check tells what is wrong with a way.
func (w Way) Check() error {
	for name, share := range map[string]float64{
		"loss": w.Loss, "burst begin": w.Burst.Begin, "burst end": w.Burst.End, "burst loss": w.Burst.Loss, "reorder": w.Reorder, "duplicate": w.Duplicate,
	} {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("%w: %s %v is no share from 0 to 1", errWay, name, share)
		}
	}
	for name, d := range map[string]time.Duration{"delay": w.Delay, "jitter": w.Jitter, "reorder": w.ReorderBy} {
		if d < 0 || d > MaxDelay {
			return fmt.Errorf("%w: %s %s; 0 to %s", errWay, name, d, MaxDelay)
		}
	}
	if w.Burst.Begin > 0 && w.Burst.End == 0 {
		return fmt.Errorf("%w: a burst that never ends", errWay)
	}
	if w.Reorder > 0 && w.ReorderBy == 0 {
		return fmt.Errorf("%w: packets that are held back by 0 s stay in order", errWay)
	}
	return nil
}

// ParseWay reads a way as it is given on a command line: "loss=0.02,delay=40ms,jitter=5ms,burst=0.01/0.3/1,reorder=0.01/20ms,duplicate=0.001".
func ParseWay(s string) (Way, error) {
	var w Way
	for pair := range strings.SplitSeq(s, ",") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		parts := strings.Split(value, "/")
		var err error
		switch {
		case key == "loss" && len(parts) == 1:
			err = number(&w.Loss, value)
		case key == "duplicate" && len(parts) == 1:
			err = number(&w.Duplicate, value)
		case key == "delay" && len(parts) == 1:
			w.Delay, err = time.ParseDuration(value)
		case key == "jitter" && len(parts) == 1:
			w.Jitter, err = time.ParseDuration(value)
		case key == "reorder" && len(parts) == 2:
			var by error
			w.ReorderBy, by = time.ParseDuration(parts[1])
			err = errors.Join(number(&w.Reorder, parts[0]), by)
		case key == "burst" && len(parts) == 3:
			err = errors.Join(number(&w.Burst.Begin, parts[0]), number(&w.Burst.End, parts[1]), number(&w.Burst.Loss, parts[2]))
		default:
			err = errors.New("use loss=SHARE, burst=BEGIN/END/LOSS, delay=TIME, jitter=TIME, reorder=SHARE/TIME, duplicate=SHARE")
		}
		if err != nil {
			return Way{}, fmt.Errorf("%w: %q: %w", errWay, pair, err)
		}
	}
	return w, w.Check()
}

func number(to *float64, s string) (err error) {
	*to, err = strconv.ParseFloat(s, 64)
	return err
}
