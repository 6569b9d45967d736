// Command bench measures a built server from the outside: what callers wait for, what it costs. It is run by make bench, never by
// the tests, and prints one line a figure.
package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// figure is one measured number with its goal.
type figure struct {
	name  string
	value float64
	unit  string
	goal  goal
}

// String is a line: what was measured, the goal, and whether it is met.
func (f figure) String() string {
	line := fmt.Sprintf("%-72s %9.2f %-8s", f.name, f.value, f.unit)
	switch {
	case f.goal.peer:
		line += " (for comparison)"
	case f.goal.set && f.value <= f.goal.most:
		line += " goal: at most " + f.goal.String() + ", met"
	case f.goal.set:
		line += " goal: at most " + f.goal.String() + ", MISSED"
	}
	return strings.TrimRight(line, " ")
}

// goal is what a figure should not exceed. The zero value is no goal.
type goal struct {
	most float64 // in the figure's unit
	set  bool
	peer bool // the figure is another program's, to compare with
}

func atMost(most float64) goal { return goal{most: most, set: true} }

var peer = goal{peer: true}

func (g goal) String() string { return strconv.FormatFloat(math.Round(g.most*100)/100, 'f', -1, 64) }

func main() {
	seconds := flag.Int("seconds", 20, "length of each CPU measurement")
	only := flag.String("only", "", "run only the measurements whose name contains this")
	flag.Parse()
	if err := run(*seconds, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type measurement struct {
	name string
	run  func(b *bench) ([]figure, error)
}

var measurements = []measurement{
	{"connect", (*bench).connect},
	{"connect-lossy", (*bench).connectLossy},
	{"first-byte", (*bench).firstByte},
	{"hls-join", (*bench).join},
	{"page-latency", (*bench).pageLatency},
	{"cpu", (*bench).publisherCPU},
	{"memory", (*bench).viewerMemory},
	{"ingest", (*bench).ingest},
	{"play", (*bench).play},
	{"flood", (*bench).flood},
}

// bench is one run: a directory with the clip, and how long to measure.
type bench struct {
	dir     string
	clip    string
	seconds int
}

func run(seconds int, only string) error {
	dir, err := os.MkdirTemp("", "brume-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, clip: filepath.Join(dir, "clip.ts"), seconds: seconds}
	fmt.Fprintln(os.Stderr, "making a clip of 4 Mbit/s")
	if err := encode(b.clip, "-s 1280x720", 60, 3750); err != nil {
		return err
	}
	for _, m := range measurements {
		if !strings.Contains(m.name, only) {
			continue
		}
		figures, err := m.run(b)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		for _, f := range figures {
			fmt.Println(f)
		}
	}
	return nil
}

// percentile of some durations, in milliseconds.
func percentile(all []time.Duration, p float64) float64 {
	slices.Sort(all)
	return all[min(len(all)-1, int(p*float64(len(all))))].Seconds() * 1000
}
