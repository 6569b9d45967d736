package mpegts

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
)

// TestFiller has a source whose times run at a multiple of real time. What is filled is at most the time that passed and 10 s.
func TestFiller(t *testing.T) {
	const pictures = 500
	for _, c := range []struct {
		name    string
		step    int64         // between pictures, ticks
		passed  time.Duration // between pictures
		legal   bool          // the PCRs are at most 100 ms apart to the end
		restart int           // a new epoch every so many pictures, 0 for none
	}{
		{"1 fps in real time", 90000, time.Second, true, 0},
		{"a picture in 9 s in real time", 9 * 90000, 9 * time.Second, true, 0},
		{"25 fps in real time", 3600, 40 * time.Millisecond, true, 0},
		{"25 fps as fast as it comes", 3600, 0, true, 0},
		{"a picture a second, 25 in a second", 90000, 40 * time.Millisecond, false, 0},
		{"a picture in 3.3 s, 25 in a second", 300000, 40 * time.Millisecond, false, 0},
		{"a picture in 3.3 s as fast as it comes", 300000, 0, false, 0},
		{"a picture in 3.3 s in epochs of two", 300000, 40 * time.Millisecond, false, 2},
		{"a clock that goes back", 300000, -time.Second, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f Filler
			now := time.Unix(1e9, 0)
			f.SetTime(now)
			m := newMuxer(t, h264Track)
			m.Bound(&f)
			w := clockWatch{last: -1, pats: -1}
			pcrs := 0
			for n := range int64(pictures) {
				if c.restart > 0 && n%int64(c.restart) == 0 {
					m = newMuxer(t, h264Track)
					m.Bound(&f)
				}
				now = now.Add(c.passed)
				f.SetTime(now)
				out := write(t, m, picture(n*c.step, n*c.step, n == 0, 300))
				if c.legal {
					w.take(t, out, n*c.step, n == 0)
				}
				for _, p := range parsePackets(t, out) {
					if p.pcr >= 0 {
						pcrs++
					}
				}
			}
			most := media.Ticks(max(pictures*c.passed, 0)) + 10*media.ClockRate
			require.LessOrEqual(t, pcrs-pictures, int(most/pcrFill))
		})
	}
}

// TestFillerIsNotSaved sees that an hour without a gap does not allow more than 10 s at once.
func TestFillerIsNotSaved(t *testing.T) {
	var f Filler
	f.SetTime(time.Unix(1e9, 0))
	f.SetTime(time.Unix(1e9+3600, 0))
	taken := 0
	for taken < 1000 && f.take(pcrFill) {
		taken++
	}
	require.Equal(t, 10*media.ClockRate/pcrFill, taken)
}
