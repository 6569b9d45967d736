package mpegts

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
)

// TestOneWrongTime has one time stamp in a picture or in sound that is wrong by too little for a jump. What it stamps has the time that it should
// have, nothing else changes, and no epoch ends.
func TestOneWrongTime(t *testing.T) {
	const start = 1000000
	for _, wrong := range []int64{3600, 7200, 10800, 27000, 90000, 270000, 440000, -3600, -90000, -440000} {
		for _, live := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d live=%t", wrong, live), func(t *testing.T) {
				r := &recorder{}
				d := NewDemuxer(r, Options{})
				c := craft().tables(0, withAudio...)
				n := int64(0)
				for i := range int64(64) {
					picture := start + 3600*i
					if i == 20 {
						picture += wrong
					}
					c.video(picture, none, idr(20))
					for ; 5760*n <= 3600*i; n++ {
						sound := start + 5760*n
						if n == 25 {
							sound += wrong
						}
						c.audio(pidAudio, sound, aac(3))
					}
					if live {
						d.SetTime(media.Duration(3600 * i))
					}
					writeAll(t, d, c)
				}
				require.NoError(t, d.Flush())
				require.Len(t, r.epochs, 1)
				require.Zero(t, d.Stats().Discontinuities)
				for track, right := range [][]int64{steps(start, 64, 3600), steps(start, int(3*n), 1920)} {
					if abs(wrong) > 3*3600 {
						require.Equal(t, right, r.times(track))
						continue
					}
					// Where the other track has come as far, the time is believed, and what follows gives way.
					require.Len(t, r.times(track), len(right))
					for i, at := range r.times(track) {
						require.InDelta(t, right[i], at, float64(abs(wrong)))
						require.True(t, i == 0 || at > r.times(track)[i-1])
					}
				}
				require.LessOrEqual(t, d.Stats().PESErrors, uint64(2))
			})
		}
	}
}

// TestPauseBeforeItsTime: of a file that is sent by its PCR, or of an encoder that puts its tracks in the order of decoding times, a picture
// comes long before its time. It comes out when the sound has come as far, and pictures without sound when the next one has come.
func TestPauseBeforeItsTime(t *testing.T) {
	const start, pause = 1000000, 3 * media.ClockRate
	r := &recorder{}
	d := NewDemuxer(r, Options{})
	c := craft().tables(0, withAudio...).audio(pidAudio, start-3*1920, aac(3))
	for i := range int64(10) {
		c.video(start+3600*i, none, idr(20)).audio(pidAudio, start+3600*i, aac(1))
	}
	c.video(start+pause, none, idr(20)).split(pidVideo, nil) // ends the picture
	writeAll(t, d, c)
	require.Len(t, r.times(0), 10)
	for at := start + int64(36000); at < start+pause-7200; at += 1920 {
		c.audio(pidAudio, at, aac(1))
	}
	writeAll(t, d, c)
	require.Len(t, r.times(0), 10)
	c.audio(pidAudio, start+pause-3600, aac(1))
	writeAll(t, d, c)
	require.Equal(t, append(steps(start, 10, 3600), start+pause), r.times(0))

	c.video(start+2*pause, none, idr(20)).split(pidVideo, nil)
	writeAll(t, d, c)
	require.Len(t, r.times(0), 11)
	d.SetTime(2900 * time.Millisecond)
	require.NoError(t, d.Write(nil))
	require.Len(t, r.times(0), 11)
	d.SetTime(3000 * time.Millisecond) // by the clock it is time
	require.NoError(t, d.Write(nil))
	require.Equal(t, append(steps(start, 10, 3600), start+pause, start+2*pause), r.times(0))
	require.Len(t, r.epochs, 1)
}

// TestWrongTimeOfKeyframe has a keyframe with a PTS that is seconds late and that the next picture contradicts, behind a pause or not, and one
// that is shown behind a pause of which only the pictures behind it tell in their decoding times.
func TestWrongTimeOfKeyframe(t *testing.T) {
	const start, frame = 1000000, 3600
	for name, c := range map[string]struct {
		pause int64 // before the keyframe is shown
		late  int64 // pictures from it on whose decoding times are from before the pause
		wrong int64 // in the PTS of the keyframe
	}{
		"wrong":                {wrong: 3 * media.ClockRate},
		"pause":                {pause: 3 * media.ClockRate, late: 2},
		"wrong behind a pause": {pause: 4 * media.ClockRate, wrong: 2 * media.ClockRate},
	} {
		t.Run(name, func(t *testing.T) {
			b := craft().tables(0, withAudio...).audio(pidAudio, start-3*1920, aac(3))
			var want []int64
			for i := range int64(60) {
				dts, pts, picture := start+frame*i, start+frame*(i+2), inter(20)
				if i >= 30 {
					pts += c.pause
				}
				if i >= 30+c.late {
					dts += c.pause
				}
				want = append(want, pts)
				if i%30 == 0 {
					picture = idr(20)
				}
				if i == 30 {
					pts += c.wrong
				}
				b.video(pts, dts, picture).audio(pidAudio, dts, aac(1))
			}
			r, d := demux(t, b.buf, Options{})
			require.Len(t, r.epochs, 1)
			var got []int64
			for _, p := range r.packets(0) {
				got = append(got, p.PTS)
			}
			require.Equal(t, want, got)
			require.Equal(t, c.wrong > 0, d.Stats().PESErrors == 1)
		})
	}
}
