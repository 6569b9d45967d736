package tsfeed

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// failing lists the indicators that failed.
func failing(h *ts.Health) (names []string) {
	for name, i := range h.Indicators.All() {
		if i.Errors > 0 {
			names = append(names, name)
		}
	}
	return names
}

func TestHealthOfAPublisher(t *testing.T) {
	p := NewPublisher(&fakeBuffer{}, clock(), Options{})
	require.Nil(t, p.Stats().Health)
	require.ErrorIs(t, p.Run(&batches{rest: clip, size: 1316, err: io.EOF}), io.EOF)
	h := p.Stats().Health
	require.Empty(t, failing(h))
	require.True(t, h.OK)
	require.Len(t, h.PCRs, 1)

	torn := append([]byte{}, clip...)
	copy(torn[100*ts.PacketSize:], torn[103*ts.PacketSize:104*ts.PacketSize])
	p = NewPublisher(&fakeBuffer{}, clock(), Options{})
	require.ErrorIs(t, p.Run(&batches{rest: torn, size: 1316, err: io.EOF}), io.EOF)
	require.Contains(t, failing(p.Stats().Health), "continuity_count")
}

// TestHealthByTheSource: how far apart the batches are read does not matter, but when their messages were sent.
func TestHealthByTheSource(t *testing.T) {
	in := &batches{rest: clip, size: 1316}
	var all Batch // as of a connection whose role showed itself late
	for len(in.rest) > 0 {
		b, err := in.Next()
		require.NoError(t, err)
		all = Batch{append(all.Bytes, b.Bytes...), append(all.Messages, b.Messages...)}
	}
	p := NewPublisher(&fakeBuffer{}, clock(), Options{})
	p.judge.told = p.start.Add(-time.Hour)
	require.NoError(t, p.Take(all))
	h := p.Stats().Health
	require.Empty(t, failing(h))
	require.InDelta(t, 80, h.PCRs[0].IntervalMS, 1)
	require.Less(t, h.PCRs[0].JitterUS, 300e3)
	require.Positive(t, h.PCRs[0].JitterUS)
}

// TestHealthOfASilentPublisher: that nothing comes is seen, though there is no message that tells its time.
func TestHealthOfASilentPublisher(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	p := NewPublisher(&fakeBuffer{}, func() time.Time { return now }, Options{})
	silent := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); now = now.Add(100 * time.Millisecond) {
			require.NoError(t, p.Take(Batch{}))
		}
	}
	silent(10 * time.Second)
	require.True(t, p.Stats().Health.OK, "nothing has begun")
	require.NoError(t, p.Take(message(clip, 5*time.Second)))
	silent(900 * time.Millisecond)
	require.Empty(t, failing(p.Stats().Health))
	silent(7 * time.Second)
	h := p.Stats().Health
	require.Contains(t, failing(h), "pid")
	require.Contains(t, failing(h), "pat")
	require.WithinDuration(t, now.Add(-7900*time.Millisecond+1500*time.Millisecond), *h.Indicators.PAT.LastError, 300*time.Millisecond)
	require.False(t, h.OK)
}
