package relay

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// throws draws n fates of first transmissions.
func throws(d *dice, n int) []fate {
	all := make([]fate, n)
	for i := range all {
		all[i] = d.throw(first)
	}
	return all
}

func share(all []fate, of func(fate) bool) float64 {
	n := 0
	for _, f := range all {
		if of(f) {
			n++
		}
	}
	return float64(n) / float64(len(all))
}

func lost(f fate) bool { return f.lost }

// TestSharesComeOut sees that each share is what it was asked to be, within five standard deviations.
func TestSharesComeOut(t *testing.T) {
	const n = 200_000
	for _, p := range []float64{0, 0.001, 0.02, 0.1, 0.2, 1} {
		w := Way{Loss: p, Reorder: p, ReorderBy: time.Millisecond, Duplicate: p}
		all := throws(newDice(w, 7, 3, true), n)
		off := 5 * math.Sqrt(p*(1-p)/n)
		require.InDelta(t, p, share(all, lost), off)
		require.InDelta(t, p, share(all, func(f fate) bool { return f.held > 0 }), off)
		require.InDelta(t, p, share(all, func(f fate) bool { return f.copies == 2 }), off)
	}
}

func TestJitterIsSpread(t *testing.T) {
	var sum time.Duration
	least, most := time.Hour, time.Duration(0)
	const n = 10_000
	for _, f := range throws(newDice(Way{Delay: 40 * time.Millisecond, Jitter: 10 * time.Millisecond}, 1, 0, false), n) {
		least, most = min(least, f.delay), max(most, f.delay)
		sum += f.delay
	}
	require.GreaterOrEqual(t, least, 40*time.Millisecond)
	require.Less(t, most, 50*time.Millisecond)
	require.InDelta(t, 45, float64(sum/n)/1e6, 0.3)
}

// TestBursts has bursts of the length and the loss that the model gives.
func TestBursts(t *testing.T) {
	const n = 400_000
	b := Burst{Begin: 0.005, End: 0.1, Loss: 1}
	all := throws(newDice(Way{Burst: b}, 5, 0, true), n)
	require.InDelta(t, b.Loss*b.Begin/(b.Begin+b.End), share(all, lost), 0.005)
	bursts, packets := 0, 0
	for i, f := range all {
		if f.lost {
			packets++
			if i == 0 || !all[i-1].lost {
				bursts++
			}
		}
	}
	require.InDelta(t, 1/b.End, float64(packets)/float64(bursts), 1)
	b.Loss = 0.5
	require.InDelta(t, b.Loss*b.Begin/(b.Begin+b.End), share(throws(newDice(Way{Burst: b}, 5, 0, true), n), lost), 0.005)
}

// TestSameSeedSamePattern sees that what becomes of a first transmission hangs on nothing but seed, client, direction and index.
func TestSameSeedSamePattern(t *testing.T) {
	w := Way{Loss: 0.2, Jitter: time.Second, Reorder: 0.1, ReorderBy: time.Millisecond, Duplicate: 0.1}
	want := throws(newDice(w, 42, 1, true), 1000)
	require.Equal(t, want, throws(newDice(w, 42, 1, true), 1000))
	busy := newDice(w, 42, 1, true)
	for i, f := range want {
		for range i % 3 {
			busy.throw(other)
			busy.throw(repeat)
		}
		require.Equal(t, f, busy.throw(first), "what else passes changes the pattern")
	}
	for name, d := range map[string]*dice{
		"seed": newDice(w, 43, 1, true), "client": newDice(w, 42, 2, true), "direction": newDice(w, 42, 1, false),
	} {
		got := throws(d, 1000)
		same := 0
		for i := range got {
			if got[i].lost && want[i].lost {
				same++
			}
		}
		require.Less(t, same, 90, "another %s loses the same packets", name) // 40 by chance, 200 when they are the same
	}
}

func TestWaysAreRead(t *testing.T) {
	got, err := ParseWay("loss=0.02,delay=40ms,jitter=5ms,burst=0.01/0.3/1,reorder=0.01/20ms,duplicate=0.001")
	require.NoError(t, err)
	require.Equal(t, Way{
		Loss: 0.02, Delay: 40 * time.Millisecond, Jitter: 5 * time.Millisecond, Burst: Burst{0.01, 0.3, 1},
		Reorder: 0.01, ReorderBy: 20 * time.Millisecond, Duplicate: 0.001,
	}, got)
	got, err = ParseWay("")
	require.NoError(t, err)
	require.Zero(t, got)
	for _, bad := range []string{
		"loss", "loss=", "loss=2", "loss=-0.1", "loss=NaN", "loss=0.1/0.2", "delay=40", "delay=-1s", "delay=1h", "burst=0.1", "burst=0.1/0/1", "burst=0.1/x/1",
		"reorder=0.1", "reorder=0.1/0s", "jitter=x", "duplicate=x", "speed=3",
	} {
		_, err := ParseWay(bad)
		require.ErrorIs(t, err, errWay, bad)
	}
}
