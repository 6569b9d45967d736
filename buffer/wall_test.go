package buffer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"brume/media"
)

// TestWallClock checks that the clock is followed slowly, and times of a rising DTS rise.
func TestWallClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const begin = int64(1_800_000_000_000_000_000)
		dts := rapid.Int64Range(-1<<50, 1<<50).Draw(t, "dts")
		var c wallClock
		c.begin(begin, 0, dts)
		require.Equal(t, begin, c.at(dts))
		now, last := begin, begin
		for range rapid.IntRange(1, 100).Draw(t, "packets") {
			// A burst, a stall, or a clock that was set.
			now += rapid.OneOf(rapid.Int64Range(0, 1e8), rapid.Int64Range(-1e12, 1e12)).Draw(t, "now")
			d := rapid.Int64Range(1, 90000).Draw(t, "duration")
			dts += d
			before := c.at(dts)
			c.step(now, dts)
			at := c.at(dts)
			require.Greater(t, at, last)
			passed := int64(media.Duration(d))
			require.InDelta(t, passed, at-last, float64(passed)/1900+2)
			require.LessOrEqual(t, max(at-now, now-at), max(before-now, now-before), "towards the clock")
			last = at
		}
	})
}

// TestWallClockArrives checks that an initial burst of two seconds is made up for within two hours.
func TestWallClockArrives(t *testing.T) {
	var c wallClock
	begin := int64(1_800_000_000_000_000_000)
	c.begin(begin, 0, 0)
	dts := int64(2 * media.ClockRate)
	now := begin
	for range 2 * 3600 {
		dts += media.ClockRate
		now += int64(time.Second)
		c.step(now, dts)
	}
	require.InDelta(t, now, c.at(dts), 1e6)
}

func TestWallClockBegin(t *testing.T) {
	now := int64(1_800_000_000_000_000_000)
	tests := []struct {
		name                string
		now, previous, want int64
	}{
		{"first", now, 0, now},
		{"after a pause", now, now - 5e9, now},
		{"the last epoch ran ahead", now, now + 5e9, now + 5e9},
		{"the last epoch lies", now, now + 1e15, now},
		{"no time", 0, now, now},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var c wallClock
			c.begin(test.now, test.previous, 7)
			require.Equal(t, test.want, c.at(7))
		})
	}
}

func TestTicksToNano(t *testing.T) {
	require.Equal(t, int64(1e9), ticksToNano(media.ClockRate))
	require.Equal(t, int64(-11111), ticksToNano(-1))
	require.Equal(t, ticksToNano(1<<62), ticksToNano(1<<63-1), "a century at most")
	require.Negative(t, ticksToNano(-1<<63))
}

func TestPace(t *testing.T) {
	var p pace
	dts := int64(0)
	add := func(d int64) { dts += d; p.add(dts) }
	p.add(dts)
	require.Zero(t, p.longest())
	require.Zero(t, p.mean())
	for range 10 {
		add(3000)
	}
	require.Equal(t, []int64{3000, 3000, 0}, []int64{p.longest(), p.mean(), p.jitter()})
	add(90000)
	require.Equal(t, int64(3000), p.longest(), "one gap is no pace")
	add(-500)
	require.Equal(t, int64(3000), p.longest())
	for range 3 {
		add(9000)
	}
	require.Equal(t, int64(9000), p.longest(), "three in a row are")
	for range 2 * paceSpan {
		add(1500)
	}
	require.Equal(t, []int64{1500, 1500, 0}, []int64{p.longest(), p.mean(), p.jitter()}, "it forgets")
}
