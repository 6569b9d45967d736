package buffer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
)

// entries are all that a buffer holds.
func entries(t *testing.T, r *Reader) (all []Entry) {
	t.Helper()
	tail, head := r.Bounds()
	for seq := tail; seq < head; seq++ {
		e, err := r.Entry(seq)
		require.NoError(t, err)
		all = append(all, e)
	}
	return all
}

// TestPause checks that an epoch ends with a pause that the running segment can't hold, that the next one begins at a random access
// point of the picture, and that the transport stream as it came loses nothing.
func TestPause(t *testing.T) {
	const second = int64(media.ClockRate)
	w, r, _ := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, audioTrack, multiplexTrack}))
	picture := func(dts int64, random bool) { write(t, w, 0, dts, random, nil) }
	for n := range int64(10) { // GOPs of 1 s, pictures of 200 ms
		picture(n*second/5, n%5 == 0)
		write(t, w, 1, n*second/5, true, nil)
	}
	// 3 s later, in the middle of a GOP.
	picture(5*second, false)
	write(t, w, 1, 5*second, true, nil)
	write(t, w, 2, 5*second, true, nil)
	write(t, w, 1, 5*second+second/5, true, nil)
	picture(5*second+second/5, true)
	write(t, w, 1, 5*second+2*second/5, true, nil)
	w.Commit()
	all := entries(t, r)
	require.Len(t, all, 23, "what came between the pause and the random access point is left out")
	require.Equal(t, 2, all[20].Track, "except the multiplex")
	require.Equal(t, all[0].Epoch, all[20].Epoch)
	require.True(t, all[21].Has(EpochStart|SegmentStart|RandomAccess))
	require.Equal(t, 0, all[21].Track)
	require.Equal(t, 5*second+second/5, all[21].DTS)
	require.Equal(t, all[20].Discontinuity+1, all[21].Discontinuity)
	tracks, err := r.Tracks(all[21].Epoch)
	require.NoError(t, err)
	require.Len(t, tracks, 3, "the same tracks")
}

// TestPauseAudioAhead checks that a picture in the middle of a GOP begins no epoch because the sound is ahead of it.
func TestPauseAudioAhead(t *testing.T) {
	const second = int64(media.ClockRate)
	w, r, _ := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, audioTrack}))
	for n := range int64(10) {
		write(t, w, 0, n*second/5, n%5 == 0, nil)
		write(t, w, 1, n*second/5, true, nil)
	}
	for n := int64(26); n <= 30; n++ { // after 3 s, with the sound 0.4 s ahead
		write(t, w, 1, (n+2)*second/5, true, nil)
		write(t, w, 0, n*second/5, n%5 == 0, nil)
	}
	w.Commit()
	all := entries(t, r)
	require.Len(t, all, 21)
	require.True(t, all[20].Has(EpochStart|SegmentStart|RandomAccess))
	require.Equal(t, 0, all[20].Track)
	require.Equal(t, 6*second, all[20].DTS)
}

// TestPauseWithoutRandomAccess checks that packets are left out for as long as a segment may last, not longer.
func TestPauseWithoutRandomAccess(t *testing.T) {
	const second = int64(media.ClockRate)
	w, r, _ := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, audioTrack}))
	for n := range int64(10) {
		write(t, w, 0, n*second/5, n%5 == 0, nil)
		write(t, w, 1, n*second/5, true, nil)
	}
	for n := int64(25); n < 100; n++ {
		write(t, w, 1, n*second/5, true, nil)
	}
	w.Commit()
	all := entries(t, r)
	require.True(t, all[20].Has(EpochStart))
	require.InDelta(t, 5*second+int64(DefaultSegmentMax.Seconds())*second, all[20].DTS, float64(second)/2)
}

// TestHoleInSoundAtTheLimit loses a keyframe and 0.2 s of sound, wherever those lie in the time until the next keyframe: that is no pause of all
// tracks, so the sound goes on in the same epoch.
func TestHoleInSoundAtTheLimit(t *testing.T) {
	const frame, picture, hole = 1920, 3600, media.ClockRate / 5
	for _, sound := range []media.Track{audioTrack, {Codec: media.AAC, Config: []byte{0x11, 0x90}}} {
		for from := int64(10 * media.ClockRate); from < 11*media.ClockRate; from += 4500 {
			w, r, _ := newBuffer(t, Options{})
			require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, sound}))
			next, sent := int64(0), 0
			for n := range int64(400) { // GOPs of 2 s, and one of 4 s whose second half is torn
				dts := n * picture
				for ; next <= dts; next += frame {
					if next < from || next >= from+hole {
						write(t, w, 1, next, true, []byte{1})
						sent++
					}
				}
				w.SetTime(epochTime.Add(media.Duration(dts)))
				torn := n >= 210 && n < 300
				require.NoError(t, w.WritePacket(&media.Packet{
					DTS: dts, PTS: dts, RandomAccess: n%50 == 0 && !torn, Torn: torn, Resumes: n == 300, Payload: []byte{2},
				}))
			}
			w.Commit()
			got, length := 0, int64(0)
			for _, e := range entries(t, r) {
				require.Equal(t, e.Seq == 0, e.Has(EpochStart), "the hole begins at %d", from)
				if e.Track == 1 && e.Length == 1 {
					got++
				}
				if e.Has(SegmentStart) {
					require.LessOrEqual(t, e.DTS-length, int64(5*media.ClockRate/2))
					length = e.DTS
				}
			}
			require.Equal(t, sent, got)
		}
	}
}

// TestSlowPicturesBehindFastOnes: while the next picture may be only a little too late for a segment, the sound ends that segment at the last
// moment. What lies between that and the picture has no parts, and a player that is two seconds behind stands still when it is long.
func TestSlowPicturesBehindFastOnes(t *testing.T) {
	const frame = 1920
	w, r, _ := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, audioTrack}))
	next, pictures := int64(0), 0
	for n := range int64(120 * 30) { // a screen: 3 s at 30 pictures in a second, then 5 s at one in 1.5 s; a keyframe in 60 pictures
		if n%240 >= 90 && n%45 != 0 {
			continue
		}
		for ; next <= 3000*n; next += frame {
			w.SetTime(epochTime.Add(media.Duration(next)))
			write(t, w, 1, next, true, []byte{1})
		}
		write(t, w, 0, 3000*n, pictures%60 == 0, []byte{2})
		pictures++
	}
	w.Commit()
	begins, late := int64(-1), int64(0)
	for _, e := range entries(t, r) {
		if e.Has(SegmentStart) {
			begins = e.DTS
		}
		if e.Track == 0 && begins >= 0 {
			late, begins = max(late, e.DTS-begins), -1
		}
	}
	require.Less(t, late, int64(13*media.ClockRate/10))
}
