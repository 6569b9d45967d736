package buffer

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type placed struct {
	pos, length int64
	seq         uint64
}

// TestSpaceProperties places and releases payloads, and checks that none lies where a live one is, that memory in use
// follows what is live, and that a restored space knows the same.
func TestSpaceProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := geometry{chunk: 1 << 12, chunks: rapid.IntRange(4, 40).Draw(t, "chunks")}
		g.dataSize = g.chunk * int64(g.chunks)
		g.maxPayload = g.dataSize / 4
		s := newSpace(g)
		var live []placed
		seq, tail := uint64(0), uint64(0)
		window := rapid.IntRange(1, 60).Draw(t, "window")
		release := func(to uint64) {
			tail = to
			for len(live) > 0 && live[0].seq < tail {
				live = live[1:]
			}
			s.release(tail)
		}
		for range rapid.IntRange(1, 300).Draw(t, "packets") {
			length := rapid.OneOf(rapid.Int64Range(0, 300), rapid.Int64Range(0, g.maxPayload)).Draw(t, "length")
			pos, ok := s.place(length, seq)
			for ; !ok; pos, ok = s.place(length, seq) {
				require.GreaterOrEqual(t, s.taken.len(), 2, "nothing left to release")
				release(s.state[s.taken.front()].last + 1)
			}
			require.Zero(t, pos%payAlign)
			require.LessOrEqual(t, pos+length, g.dataSize)
			for _, l := range live {
				require.True(t, pos+length <= l.pos || l.pos+l.length <= pos || length == 0 || l.length == 0, "overlap")
			}
			live = append(live, placed{pos, length, seq})
			seq++
			if len(live) > window {
				release(seq - uint64(window))
			}
			for {
				r, ok := s.surplus(g.chunks)
				if !ok {
					break
				}
				for i := r.first; i < r.first+r.count; i++ {
					require.False(t, s.state[i].used)
				}
			}
			checkSpace(t, s, live)
		}
		other := newSpace(g)
		for _, l := range live {
			require.True(t, other.restore(l.pos, l.length, l.seq), "payload %d", l.seq)
		}
		for i := range s.state {
			if other.state[i].used {
				require.True(t, s.state[i].used)
				require.Equal(t, s.state[i].last, other.state[i].last)
			}
		}
	})
}

// checkSpace checks the counts, and that no chunk is kept for nothing.
func checkSpace(t require.TestingT, s *space, live []placed) {
	needed := make([]bool, len(s.state))
	for _, l := range live {
		for c := l.pos / s.chunk; l.length > 0 && c <= (l.pos+l.length-1)/s.chunk; c++ {
			needed[c] = true
		}
	}
	used, idle := 0, 0
	for i, c := range s.state {
		if c.used {
			used++
		} else if c.memory {
			idle++
		}
		require.True(t, c.used || !needed[i], "chunk %d is in use", i)
	}
	require.Equal(t, used, s.used)
	require.Equal(t, used, s.taken.len())
	require.Equal(t, idle, s.idle)
	require.LessOrEqual(t, idle, s.reserve())
}

// TestSpaceSteady checks that an even stream goes round in the memory that its window needs.
func TestSpaceSteady(t *testing.T) {
	s := newSpace(newGeometry(DefaultSize))
	high := int64(0)
	const window, length = 1000, 10_000
	for seq := range uint64(100_000) {
		pos, ok := s.place(length, seq)
		require.True(t, ok)
		high = max(high, pos+length)
		s.release(seq - min(seq, window))
	}
	require.Less(t, high, int64(window*(length+payAlign)+3*s.chunk))
}

// TestSpaceRestoreRefuses lists what no honest writer leaves.
func TestSpaceRestoreRefuses(t *testing.T) {
	g := newGeometry(MinSize)
	tests := []struct {
		name    string
		entries []placed
	}{
		{"not aligned", []placed{{pos: 8, length: 10}}},
		{"negative", []placed{{pos: -16, length: 10}}},
		{"past the end", []placed{{pos: g.dataSize - 16, length: 17}}},
		{"overlap", []placed{{pos: 0, length: 100}, {pos: 96, length: 10}}},
		{"backwards in a chunk", []placed{{pos: 160, length: 100}, {pos: 0, length: 10}}},
		{"chunk used again", []placed{{pos: 0, length: 100}, {pos: g.chunk, length: 10}, {pos: 112, length: 10}}},
		{"into a used chunk", []placed{{pos: g.chunk, length: 100}, {pos: 0, length: g.chunk + 1}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSpace(g)
			for i, e := range test.entries {
				require.Equal(t, i < len(test.entries)-1, s.restore(e.pos, e.length, uint64(i)))
			}
		})
	}
}
