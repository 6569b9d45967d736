package test

import (
	"flag"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var soakPlayers = flag.Bool("soak-players", false, "run TestSoakPlayers, for as long as -soak says")

// stuck is how long a player may stand still, in seconds. Players give up on a request after 20 s.
const stuck = 30

// settled is how old streams are when players open them: what x264's defaults need for three target durations.
const settled = 30 * time.Second

// TestSoakPlayers publishes all shapes at once, opens the player page on each, and tells how often and how long each stood still.
// It is run by make soak-players alone: it takes long, and a machine that does other work at the same time makes stalls of its own.
func TestSoakPlayers(t *testing.T) {
	if !*soakPlayers {
		t.Skip("make soak-players runs it")
	}
	s := start(t, "BRUME_SRT_POOL="+strconv.Itoa(len(shapes)))
	all := newPlayers(t)
	var runs []*soakRun
	for _, p := range shapes {
		runs = append(runs, &soakRun{publisher: s.publishShape(p)})
	}
	time.Sleep(settled)
	for _, r := range runs {
		s.waitUnwatched(r.name)
		if r.ffmpeg {
			r.follower = follow(t, s.outputs(r.name)["hls"])
		} else {
			r.page = all.page(s, "/"+r.name+".html")
		}
	}
	for began := time.Now(); time.Since(began) < *soakTime; time.Sleep(2 * time.Second) {
		for _, r := range runs {
			r.tend(t)
			r.look(t)
		}
	}
	t.Log("\n| stream | judge | stalls per hour | seconds of freeze | longest | seconds | jumps |\n|---|---|---|---|---|---|---|")
	for _, r := range runs {
		t.Log(r.row())
		if r.state.Started < 0 || r.longest() > stuck {
			t.Errorf("%s is stuck: %s", r.name, r.state)
		}
	}
}

// soakRun is one shape with its player.
type soakRun struct {
	*publisher
	page     *player
	follower *follower
	state    seen // at the last look
	told     int  // of its stalls
}

func (r *soakRun) look(t *testing.T) {
	t.Helper()
	if r.page == nil {
		require.True(t, r.follower.running(), "ffmpeg ended")
		r.state = r.follower.look()
	} else {
		r.state = r.page.look()
	}
	still := r.still()
	for ; r.told < len(still); r.told++ {
		t.Logf("%s %s stands still for %.1f s or more at %.1f; position %.1f, buffered %.1f, ready %d, %s %q", time.Now().Format(time.TimeOnly), r.name,
			still[r.told].Seconds, still[r.told].At, r.state.Position, r.state.Buffered, r.state.Ready, r.state.State, r.state.Messages)
	}
}

// still are the times in which the player stood still, or showed no new picture where pictures come all the time. The encoder's own pauses
// are not in it.
func (r *soakRun) still() []interval {
	all := r.state.Stalls
	if r.steady && total(r.state.Freezes) > total(all) {
		all = r.state.Freezes
	}
	return r.beyondOwn(time.Now().Add(-time.Duration(r.state.Now*float64(time.Second))), all)
}

func (r *soakRun) longest() (seconds float64) {
	for _, s := range r.still() {
		seconds = max(seconds, s.Seconds)
	}
	return seconds
}

func (r *soakRun) row() string {
	judge := "page"
	if r.ffmpeg {
		judge = "ffmpeg"
	}
	still, jumps := r.still(), 0
	for _, j := range r.state.Jumps {
		if j.At > r.state.Started {
			jumps++
		}
	}
	return fmt.Sprintf("| %s | %s | %.1f | %.1f | %.1f | %.0f | %d |", r.name, judge, float64(len(still))*3600/(r.state.Now-r.state.Started),
		total(still), r.longest(), r.state.Now-r.state.Started, jumps)
}

// follower is ffmpeg in the place of a player: what it reads is played by reckoning, three seconds after the first of it.
type follower struct {
	*program
	opened time.Time

	mu    sync.Mutex
	meter meter
}

func follow(t *testing.T, url string) *follower {
	t.Helper()
	f := &follower{opened: time.Now()}
	cmd := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-i", url, "-map", "0", "-c", "copy", "-f", "null", "-stats_period", "0.2", "-progress", "-", "-")
	cmd.Stdout = f
	f.program = launchCommand(t, cmd)
	return f
}

func (f *follower) now() float64 { return time.Since(f.opened).Seconds() }

// Write takes ffmpeg's progress, lines of which one is out_time_us=TIME.
func (f *follower) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range strings.Lines(string(b)) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "out_time_us=")
		if us, err := strconv.ParseFloat(value, 64); ok && err == nil && us > 0 {
			f.meter.at(f.now(), us/1e6)
		}
	}
	return len(b), nil
}

func (f *follower) look() seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.meter // what goes on now counts, and goes on
	s := seen{Now: f.now(), Started: -1}
	if m.running {
		m.at(s.Now, m.has)
		s.Started, s.Stalls = m.started, m.stalls
	}
	return s
}

// meter reckons when a player stands still, from when its media comes. All in seconds.
type meter struct {
	running bool
	started float64
	begins  float64 // when position 0 would have been played, moved on by each stall
	has     float64 // media that has come
	stalls  []interval
}

// meterDelay is how long after the first media the player begins, in seconds: HLS players hold back as much with segments of 1 s.
const meterDelay = 3

// at says that so much media has come by now.
func (m *meter) at(now, has float64) {
	if !m.running {
		m.running, m.started, m.begins = true, now, now+meterDelay
	}
	if behind := now - m.begins - m.has; behind > 0 {
		if behind > 0.5 {
			m.stalls = append(m.stalls[:len(m.stalls):len(m.stalls)], interval{At: now - behind, Seconds: behind})
		}
		m.begins += behind
	}
	m.has = has
}

func TestMeterOfStalls(t *testing.T) {
	var m meter
	for _, v := range [][2]float64{{10, 1}, {12, 2}, {14, 4}, {18, 5}, {18.5, 9}, {21, 9}} {
		m.at(v[0], v[1])
	}
	require.Equal(t, []interval{{At: 17, Seconds: 1}}, m.stalls)
}

func TestAnEncodersOwnPauseIsNoStall(t *testing.T) {
	opened := time.Now()
	p := publisher{hungUp: []time.Time{opened.Add(60 * time.Second), opened.Add(120 * time.Second)}}
	got := p.beyondOwn(opened, []interval{{At: 30, Seconds: 1}, {At: 61, Seconds: 1.5}, {At: 70, Seconds: 0.75}, {At: 119, Seconds: 5}})
	require.Equal(t, []interval{{At: 30, Seconds: 1}, {At: 70, Seconds: 0.25}, {At: 119, Seconds: 3}}, got)
}
