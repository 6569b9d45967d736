package buffer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"brume/media"
)

var multiplexTrack = media.Track{Codec: media.MPEGTS}

// TestMultiplexCutsNothing puts packets of a multiplex anywhere between others: these lie in the same segments and parts as
// without.
func TestMultiplexCutsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := video("30", rapid.SliceOfN(rapid.IntRange(1, 200), 1, 10).Draw(t, "gops")...)
		sources := []source{v, aac48}
		if rapid.Bool().Draw(t, "audio alone") {
			sources = sources[1:]
		}
		alone := generate(sources, 20*media.ClockRate)
		plain := newCutter()
		cut(plain, tracksOf(sources), alone)

		var mixed []unit
		for _, u := range alone {
			u.flags = 0
			for range rapid.IntRange(0, 2).Draw(t, "multiplex packets") {
				mixed = append(mixed, unit{track: len(sources), dts: u.dts + rapid.Int64Range(-90000, 900000).Draw(t, "time"), random: true})
			}
			mixed = append(mixed, u)
		}
		c := newCutter()
		cut(c, append(tracksOf(sources), multiplexTrack), mixed)
		checkNumbers(t, mixed)
		var got []unit
		for i, u := range mixed {
			if u.track < len(sources) {
				got = append(got, u)
			} else if i > 0 {
				require.Zero(t, u.flags&^RandomAccess, "it has no mark")
			}
		}
		require.Len(t, got, len(alone))
		for i, u := range got {
			require.Equal(t, alone[i].segment, u.segment)
			require.Equal(t, alone[i].part, u.part)
			if i > 0 { // the epoch may begin with a packet of the multiplex
				require.Equal(t, alone[i].flags, u.flags)
			}
		}
		require.Equal(t, plain.targetDuration, c.targetDuration)
		require.Equal(t, plain.parts, c.parts)
		require.Equal(t, plain.lead, c.lead)
	})
}

// TestMultiplexAlone is one segment, whatever its length, and decides on nothing.
func TestMultiplexAlone(t *testing.T) {
	w, r, _ := newBuffer(t, Options{Window: 5 * time.Second})
	require.NoError(t, w.BeginEpoch([]media.Track{multiplexTrack}))
	for n := range int64(1000) {
		write(t, w, 0, n*900, true, fill(nil, uint64(n), 1316))
		w.Commit()
	}
	entries := checkAll(t, r)
	require.InDelta(t, 501, len(entries), 1, "the window holds 5 s")
	for _, e := range entries {
		require.Equal(t, uint64(1), e.Segment)
		require.Equal(t, RandomAccess, e.Flags)
	}
	seq, ok := r.LatestRandomAccess()
	require.True(t, ok)
	require.EqualValues(t, 999, seq)
	info, err := r.Info()
	require.NoError(t, err)
	require.Zero(t, info.TargetDuration)
	require.Equal(t, DefaultPartTarget, info.PartTarget, "whether there are parts is open")

	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, multiplexTrack}))
	for n := range int64(200) {
		write(t, w, 0, n*3000, n%60 == 0, fill(nil, w.head, 100))
		write(t, w, 1, n*3000, true, fill(nil, w.head, 100))
		w.Commit()
	}
	info, err = r.Info()
	require.NoError(t, err)
	require.Equal(t, 2, info.TargetDuration, "the first epoch with a picture decides")
	require.Equal(t, DefaultPartTarget, info.PartTarget)
	seq, ok = r.LatestRandomAccess()
	require.True(t, ok)
	e, err := r.Entry(seq)
	require.NoError(t, err)
	require.Zero(t, e.Track)
	checkAll(t, r)
}

// TestMultiplexIsNotLead, whatever else there is.
func TestMultiplexIsNotLead(t *testing.T) {
	for _, c := range []struct {
		codecs []media.Codec
		lead   int
	}{
		{[]media.Codec{media.MPEGTS}, 0},
		{[]media.Codec{media.MPEGTS, media.SCTE35}, 1},
		{[]media.Codec{media.SCTE35, media.MPEGTS}, 0},
		{[]media.Codec{media.MPEGTS, media.SCTE35, media.AAC}, 2},
		{[]media.Codec{media.MPEGTS, media.AAC, media.H264}, 2},
	} {
		var tracks []media.Track
		for _, codec := range c.codecs {
			tracks = append(tracks, media.Track{Codec: codec})
		}
		require.Equal(t, c.lead, leadTrack(tracks), "%v", c.codecs)
	}
}
