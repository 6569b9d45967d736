package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestRound(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := round{size: 2}
	require.True(t, r.due(now))
	for _, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second} {
		for at := range 2 {
			require.Equal(t, at, r.at)
			require.True(t, r.due(now))
			r.begin(now)
			require.False(t, r.due(now))
			r.fail(now, 0.5)
			require.Equal(t, at == 1 || pause > time.Second, r.failing())
			if at == 0 {
				require.True(t, r.due(now), "the next one at once")
			}
		}
		require.Equal(t, now.Add(pause), r.next)
		require.False(t, r.due(r.next.Add(-1)))
		now = r.next
	}
	t.Run("the backup works, and the first is tried when it ends", func(t *testing.T) {
		r.begin(now)
		r.fail(now, 0)
		r.begin(now)
		require.True(t, r.failing(), "all have failed, and the next one may fail too")
		r.up(now)
		require.False(t, r.failing())
		require.Equal(t, 1, r.at)
		now = now.Add(time.Minute)
		r.down(now, 0)
		require.False(t, r.failing(), "it lasted")
		require.Zero(t, r.at)
		require.True(t, r.due(now))
	})
	t.Run("one that does not last is no success", func(t *testing.T) {
		r.begin(now)
		r.up(now)
		r.down(now.Add(calmTime-1), 0)
		require.Equal(t, 1, r.at)
	})
	t.Run("rest", func(t *testing.T) {
		r.rest(now)
		require.Equal(t, round{size: 2, since: now}, r)
	})
}

// Whatever happens, a pause is within its bounds, and the address is one of those there are.
func TestRoundBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := round{size: rapid.IntRange(1, 16).Draw(t, "size")}
		now := time.Unix(1e9, 0)
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2e10).Draw(t, "passed")))
			chance := rapid.Float64Range(0, 1).Draw(t, "chance")
			switch rapid.IntRange(0, 4).Draw(t, "event") {
			case 0:
				r.begin(now)
			case 1:
				r.up(now)
			case 2:
				r.fail(now, chance)
			case 3:
				r.down(now, chance)
			case 4:
				r.rest(now)
			}
			require.Less(t, r.at, r.size)
			require.LessOrEqual(t, r.next.Sub(now), lastPause)
		}
	})
}
