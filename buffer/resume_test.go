package buffer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
)

// TestResumeBetweenStores opens a buffer whose writer died after it had written the header and before the head.
func TestResumeBetweenStores(t *testing.T) {
	w, r, rw := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	write(t, w, 0, 0, true, nil)
	require.NoError(t, w.EndEpoch())
	before, err := r.Info()
	require.NoError(t, err)
	w.m.h.epoch++
	w.m.h.discontinuity++
	w.m.h.segment++
	w.m.h.state = uint64(Live)
	w.m.h.slotEpoch[5] = before.Epoch + 7
	require.NoError(t, w.Close())

	w, err = OpenWriter(rw)
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Close()) }()
	after, err := r.Info()
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, uint64(1), w.m.h.segment)
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	write(t, w, 0, 0, true, nil)
	w.Commit()
	require.Equal(t, before.Epoch+8, w.epoch, "an id that may have been seen is not used again")
}

// TestResumeWall checks that an epoch does not begin before the last one ended, although that ran ahead of the clock.
func TestResumeWall(t *testing.T) {
	w, r, rw := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	for second := range int64(21) {
		write(t, w, 0, second*media.ClockRate, true, nil)
	}
	w.Commit()
	require.NoError(t, w.Close())
	w, err := OpenWriter(rw)
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Close()) }()
	w.SetTime(epochTime.Add(5 * time.Second))
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	write(t, w, 0, 77, true, nil)
	w.Commit()
	last, err := r.Entry(20)
	require.NoError(t, err)
	first, err := r.Entry(21)
	require.NoError(t, err)
	require.Equal(t, last.Wall, first.Wall)
}
