package rate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var start = time.Unix(1, 0)

func TestBucket(t *testing.T) {
	var b Bucket
	for range 10 {
		require.True(t, b.Take(10, start))
	}
	require.False(t, b.Take(10, start))
	require.False(t, b.Full(10, start))
	require.True(t, b.Take(10, start.Add(100*time.Millisecond)))
	require.False(t, b.Take(10, start.Add(150*time.Millisecond)))
	require.True(t, b.Full(10, start.Add(1150*time.Millisecond)))
	require.True(t, b.Full(10, start.Add(time.Hour)), "more than a second's worth is not kept")
}

func TestARateBelowOneASecondLetsOneThrough(t *testing.T) {
	var b Bucket
	require.True(t, b.Take(0.5, start))
	require.False(t, b.Take(0.5, start.Add(time.Second)))
	require.True(t, b.Take(0.5, start.Add(2*time.Second)))
}

func TestDebt(t *testing.T) {
	var b Bucket
	for range 4 {
		require.Zero(t, b.Debt(4, start))
	}
	require.Equal(t, 250*time.Millisecond, b.Debt(4, start))
	require.Equal(t, 500*time.Millisecond, b.Debt(4, start))
	require.Equal(t, 250*time.Millisecond, b.Debt(4, start.Add(500*time.Millisecond)))
}

func TestAClockThatGoesBackGivesNothing(t *testing.T) {
	var b Bucket
	require.True(t, b.Take(1, start))
	require.False(t, b.Take(1, start.Add(-time.Hour)))
}

// TestNoMoreThanPromised sees that in any stretch no more happens than one second's worth and the rate times its length.
func TestNoMoreThanPromised(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perSecond := rapid.Float64Range(0.1, 1000).Draw(t, "rate")
		var b Bucket
		var passed time.Duration
		happened := 0
		for _, step := range rapid.SliceOfN(rapid.IntRange(0, 300), 1, 500).Draw(t, "milliseconds") {
			passed += time.Duration(step) * time.Millisecond
			if b.Take(perSecond, start.Add(passed)) {
				happened++
			}
			require.LessOrEqual(t, float64(happened), size(perSecond)+passed.Seconds()*perSecond+1e-6)
		}
	})
}
