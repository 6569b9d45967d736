package buffer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
)

var mp3Track = media.Track{Codec: media.MP3, PID: 258, Config: []byte{0xff, 0xfb, 0x94, 0xc4}} // 48 kHz, mono

var aacTrack = media.Track{Codec: media.AAC, PID: 258, Config: []byte{0x11, 0x90}} // 48 kHz, stereo

// sounded writes 30 s of pictures and sound; heard says at what decoding times sound comes, and how late.
func sounded(t *testing.T, tracks []media.Track, heard func(dts int64) (late int64, ok bool)) []Entry {
	t.Helper()
	w, r, _ := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch(tracks))
	next := int64(0)
	for dts := int64(0); dts < 30*media.ClockRate; dts += 3000 {
		w.SetTime(epochTime.Add(media.Duration(dts)))
		for {
			late, ok := heard(next)
			if next+late >= dts {
				break
			}
			if ok {
				write(t, w, 1, next, true, []byte{1})
			}
			next += 1920
		}
		write(t, w, 0, dts, dts%(30*3000) == 0, nil)
		w.Commit()
	}
	return entries(t, r)
}

// holes are the distances of a track's packets that are longer than a frame of sound, or not forwards; silent counts those that were made up.
func holes(t *testing.T, all []Entry, track int) (holes []int64, silent int) {
	t.Helper()
	last := int64(-1920)
	for _, e := range all {
		if e.Track != track {
			continue
		}
		if d := e.DTS - last; d != 1920 {
			holes = append(holes, d)
		}
		if last = e.DTS; e.Length > 1 {
			silent++
		}
	}
	return holes, silent
}

// TestSilence checks that AAC that is missing while the picture goes on is replaced frame by frame, in its place.
func TestSilence(t *testing.T) {
	const second = int64(media.ClockRate)
	gap := func(dts int64) (int64, bool) { return 0, dts < 8*second || dts >= 12*second }
	all := sounded(t, []media.Track{videoTrack, aacTrack}, gap)
	got, silent := holes(t, all, 1)
	require.Empty(t, got)
	require.InDelta(t, 4*second/1920, silent, 1)
	for i := 1; i < len(all); i++ {
		require.LessOrEqual(t, all[i-1].DTS-all[i].DTS, int64(3000+1920), "silence lies where it belongs, so segments and parts are cut as always")
	}
	// A frame of MP3 has 2160 ticks.
	_, silent = holes(t, sounded(t, []media.Track{videoTrack, mp3Track}, gap), 1)
	require.InDelta(t, 4*second/2160, silent, 1)
	got, silent = holes(t, sounded(t, []media.Track{videoTrack, audioTrack}, gap), 1)
	require.Len(t, got, 1, "nothing is made up for MP2")
	require.Zero(t, silent)
}

// TestSilenceLate checks that sound that is always late is neither replaced nor left out, and that what comes after it was replaced is left out.
func TestSilenceLate(t *testing.T) {
	const second = int64(media.ClockRate)
	got, silent := holes(t, sounded(t, []media.Track{videoTrack, aacTrack}, func(int64) (int64, bool) { return 2 * second, true }), 1)
	require.Empty(t, got)
	require.Zero(t, silent)
	got, silent = holes(t, sounded(t, []media.Track{videoTrack, aacTrack}, func(dts int64) (int64, bool) {
		return max(0, min(dts-8*second, 9*second-dts)), true // up to half a second too late
	}), 1)
	require.Empty(t, got)
	require.NotZero(t, silent)
}

// TestSilenceUnheard checks that a track that sends nothing from the beginning is replaced after a while.
func TestSilenceUnheard(t *testing.T) {
	all := sounded(t, []media.Track{videoTrack, aacTrack}, func(int64) (int64, bool) { return 0, false })
	_, silent := holes(t, all, 1)
	require.InDelta(t, 25*media.ClockRate/1920, silent, 2)
}

// TestSilenceIsBounded runs away with the times of the picture: what is filled in follows the clock.
func TestSilenceIsBounded(t *testing.T) {
	w, r, _ := newBuffer(t, Options{Window: maxWindow})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, aacTrack}))
	w.SetTime(epochTime)
	write(t, w, 0, 0, true, nil)
	write(t, w, 1, 0, true, []byte{1})
	for n := range int64(1000) {
		write(t, w, 0, n*media.ClockRate, true, nil)
	}
	w.Commit()
	_, silent := holes(t, entries(t, r), 1)
	require.InDelta(t, 10*media.ClockRate/1920, silent, 30, "the clock gives way by 500 ppm")
}

// TestSilenceAtTheEnd checks that the sound of an epoch lasts as long as its picture is shown, whichever way the epoch ends.
func TestSilenceAtTheEnd(t *testing.T) {
	for name, end := range map[string]func(w *Writer) error{
		"by its writer": func(w *Writer) error { return w.EndEpoch() },
		"by another epoch": func(w *Writer) error {
			require.NoError(t, w.BeginEpoch([]media.Track{aacTrack, videoTrack}))
			return w.WritePacket(&media.Packet{Track: 1, DTS: 0, PTS: 0, RandomAccess: true, Payload: []byte{1}})
		},
		"by a pause": func(w *Writer) error {
			return w.WritePacket(&media.Packet{DTS: 60 * media.ClockRate, PTS: 60 * media.ClockRate, RandomAccess: true, Payload: []byte{1}})
		},
	} {
		for _, c := range []struct {
			name         string
			late         int64 // by how much pictures are shown later than they are decoded
			partTarget   time.Duration
			pictures     int64
			shortest, to int64 // where the sound ends
		}{
			{"pictures in their order", 0, -1, 90, 90*3000 - 1920, 90 * 3000},
			{"pictures shown later", 6000, -1, 90, 90*3000 + 6000 - 1920, 90*3000 + 6000},
			{"pictures shown later, in parts", 6000, 0, 98, 98*3000 + 6000 - 1920, 98*3000 + 6000},
			{"pictures shown later, a whole part", 6000, 0, 90, 90*3000 - 1920, 90*3000 + 4500},
			{"a time that makes no sense", 1000 * media.ClockRate, -1, 90, 91 * 3000, 120 * 3000},
		} {
			t.Run(name+", "+c.name, func(t *testing.T) {
				w, r, _ := newBuffer(t, Options{PartTarget: c.partTarget})
				require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, aacTrack}))
				sound := int64(0)
				for n := range c.pictures {
					w.SetTime(epochTime.Add(media.Duration(n * 3000)))
					require.NoError(t, w.WritePacket(&media.Packet{DTS: n * 3000, PTS: n*3000 + c.late, RandomAccess: n%30 == 0, Payload: []byte{1}}))
					for ; sound < min(n*3000, (c.pictures-10)*3000); sound += 1920 {
						write(t, w, 1, sound, true, []byte{1})
					}
				}
				require.NoError(t, end(w))
				w.Commit()
				last := int64(0)
				epoch := entries(t, r)[0].Epoch
				for _, e := range entries(t, r) {
					if e.Epoch == epoch && e.Track == 1 {
						last = e.DTS + 1920
					}
				}
				require.Greater(t, last, c.shortest)
				require.LessOrEqual(t, last, c.to)
			})
		}
	}
}
