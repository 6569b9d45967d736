package test

import (
	"flag"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"brume/srt"
	"brume/test/relay"

	"github.com/stretchr/testify/require"
)

var soakTime = flag.Duration("soak", time.Minute, "length of the media that TestSoak sends")

// noisyClip fills a link: 150 packets a second, so that a minute of 2 % loss is 180 of them.
func noisyClip(t *testing.T, seconds int) string {
	t.Helper()
	return clip(t, fmt.Sprintf("noisy%d", seconds), seconds,
		"-vf noise=alls=30:allf=t -c:v libx264 -preset ultrafast -g 30 -bf 2 -pix_fmt yuv420p -b:v 1500k -maxrate 1500k -bufsize 750k -c:a aac")
}

// rough is a way there and back through half of Europe's worst: 80 ms of round trip.
func rough(seed uint64, loss float64) relay.Config {
	return relay.Both(seed, relay.Way{Loss: loss, Delay: 40 * time.Millisecond})
}

// stall is how far behind its time the relay may send a packet on: one round trip. When the machine stood still for longer, the network was another
// one than was asked for, and a loss that comes of it says nothing about the server.
const stall = 80 * time.Millisecond

// onSteadyNetwork measures, and again when something went wrong while the machine stood still, three times at most. The last one counts.
func onSteadyNetwork(t *testing.T, measure func(t *testing.T) (late time.Duration, wrong string)) {
	t.Helper()
	for i := range 3 {
		var late time.Duration
		var wrong string
		if !t.Run(fmt.Sprintf("run%d", i+1), func(t *testing.T) { late, wrong = measure(t) }) {
			t.FailNow()
		}
		if wrong == "" || late < stall {
			require.Empty(t, wrong)
			return
		}
		t.Logf("the machine stood still for %s: %s; once more", late, wrong)
	}
	require.FailNow(t, "this machine is too busy to be a network")
}

// soaked is what came of one run.
type soaked struct {
	up, down relay.Count
	pub      srt.StatsCount
	play     srt.StatsCount
	skipped  uint64
	frames   map[string][]string
}

// TestSoak publishes and plays through 2 % loss each way, 80 ms of round trip and 600 ms of latency. Nothing is dropped, every frame is at the viewers,
// and the server tells as many losses as the relay made.
func TestSoak(t *testing.T) {
	t.Parallel()
	seconds := int(soakTime.Seconds())
	file := noisyClip(t, seconds)
	source := frames(t, file)
	onSteadyNetwork(t, func(t *testing.T) (time.Duration, string) {
		r := soakOnce(t, file, seconds)
		t.Logf("publisher's way: %+v", r.up)
		t.Logf("its server: received %d, unique %d, lost %d, dropped %d, belated %d", r.pub.PktRecv, r.pub.PktRecvUnique, r.pub.PktRcvLoss, r.pub.PktRcvDrop, r.pub.PktRcvBelated)
		t.Logf("viewer's way: %+v", r.down)
		t.Logf("its server: sent %d, again %d, dropped %d", r.play.PktSentUnique, r.play.PktRetrans, r.play.PktSndDrop)
		require.Greater(t, r.up.LostFirst, uint64(seconds), "there was little to repair")
		require.Greater(t, r.down.LostFirst, uint64(seconds), "there was little to repair")
		return max(r.up.Latest, r.down.Latest), r.wrong(source, (seconds-10)*30)
	})
}

// wrong tells the first thing that should not be.
func (r *soaked) wrong(source []string, least int) string {
	switch {
	case r.pub.PktRcvDrop != 0 || r.play.PktSndDrop != 0 || r.skipped != 0:
		return "the server dropped something"
	case r.pub.PktRecvUnique != int64(r.up.First):
		return "not every packet has come"
	case lossTold(r.up, r.pub.PktRcvLoss) != "":
		return lossTold(r.up, r.pub.PktRcvLoss)
	}
	for name, got := range r.frames {
		if fault := broken(source, got, least); fault != "" {
			return name + ": " + fault
		}
		if !slices.Contains(source[len(source)-5:], got[len(got)-1]) {
			return name + ": the end is missing"
		}
	}
	return ""
}

func soakOnce(t *testing.T, file string, seconds int) (r soaked) {
	s := start(t, "BRUME_RESUME=2s")
	in := through(t, s.srt, rough(1, 0.02))
	out := through(t, s.srt, rough(2, 0.02))
	publisher := liveTransmit(t, "srt://"+in.Addr()+"?streamid=publish:live&latency=600")
	dir := t.TempDir()
	fed := make(chan error, 1)
	go func() { fed <- feed(t, file, seconds, publisher) }()
	s.waitPlayable("live")
	recorders := map[string]*program{}
	for name, url := range map[string]string{"srt": "srt://" + out.Addr() + "?mode=caller&latency=600000&streamid=read:live", "hls": s.outputs("live")["hls"]} {
		recorders[name] = record(t, url, filepath.Join(dir, name+".ts"), seconds+60)
	}
	s.eventually(20*time.Second, "a viewer over SRT", func() bool { return len(s.connections("role=play")) == 1 })
	require.NoError(t, <-fed)
	r.up, _ = settledCounts(s, in)
	_, r.down = settledCounts(s, out)
	pub, play := s.newStats("role=publish"), s.newStats("role=play")
	r.pub, r.play, r.skipped = pub.SRT.Stats.Total, play.SRT.Stats.Total, play.Skipped
	publisher.hangUp(t)
	r.frames = map[string][]string{}
	for name, p := range recorders {
		p.wait(t, 60*time.Second)
		r.frames[name] = frames(t, filepath.Join(dir, name+".ts"))
	}
	return r
}

// newStats are a connection's statistics from after this call.
func (s *server) newStats(query string) connectionView {
	s.t.Helper()
	age := int64(-1)
	var c connectionView
	s.eventually(20*time.Second, "new statistics of "+query, func() bool {
		all := s.connections(query)
		if len(all) != 1 {
			return false
		}
		c = all[0]
		if age < 0 {
			age = c.SRT.Stats.TimeMS
		}
		return c.SRT.Stats.TimeMS > age
	})
	return c
}

// lossTold compares what a receiver tells of its losses with what the relay did, and tells what is wrong. libsrt counts each sequence number that is
// passed over when a later packet comes (CUDT::processData, pktRcvLoss). That is each first transmission that was lost, but the last ones: they
// come again before a later one shows that they are missing. The lost copies of packets that were sent again are not counted, packets that were
// overtaken are. Two in a hundred are left for what a full socket of this machine loses, of which the relay knows nothing.
func lossTold(c relay.Count, told int64) string {
	for _, made := range []uint64{c.LostFirst, c.ReceiverLosses} {
		if math.Abs(float64(told)-float64(made)) > 0.02*float64(made) {
			return fmt.Sprintf("the server tells %d losses; %d first transmissions were lost, %d numbers passed over", told, c.LostFirst, c.ReceiverLosses)
		}
	}
	return ""
}

// TestNoMoreDropsThanPlainLibsrt sends the same packets through the same losses to Brume and to libsrt's own receiver.
func TestNoMoreDropsThanPlainLibsrt(t *testing.T) {
	t.Parallel()
	const seconds = 30
	file := noisyClip(t, seconds)
	onSteadyNetwork(t, func(t *testing.T) (time.Duration, string) {
		s := start(t)
		const latency = "latency=600"
		receiver := receivePlain(t, latency)
		one, two := through(t, s.srt, rough(3, 0.1)), through(t, receiver.address, rough(3, 0.1))
		require.NoError(t, feed(t, file, seconds,
			liveTransmit(t, "srt://"+one.Addr()+"?streamid=publish:live&"+latency),
			liveTransmit(t, "srt://"+two.Addr()+"?"+latency)))
		up, _ := settledCounts(s, one)
		plainUp, _ := settledCounts(s, two)
		require.Equal(t, up.First, plainUp.First)
		require.Equal(t, up.LostFirst, plainUp.LostFirst, "another pattern")
		brume, plain := s.newStats("role=publish").SRT.Stats.Total, receiver.read(t)
		t.Logf("the way: %+v", up)
		t.Logf("Brume: received %d, unique %d, lost %d, dropped %d, belated %d", brume.PktRecv, brume.PktRecvUnique, brume.PktRcvLoss, brume.PktRcvDrop, brume.PktRcvBelated)
		t.Logf("plain: %+v", plain)
		require.Greater(t, up.LostFirst, uint64(seconds*10), "there was little to repair")
		late := max(up.Latest, plainUp.Latest)
		if brume.PktRcvDrop > plain.Dropped {
			return late, fmt.Sprintf("Brume dropped %d, plain libsrt %d", brume.PktRcvDrop, plain.Dropped)
		}
		return late, lossTold(up, brume.PktRcvLoss)
	})
}
