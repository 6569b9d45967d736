package hls

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
)

// TestPauseOfReorderedPictures has pictures that are decoded two places before they are shown, and a pause of them alone, as of a screen. What is
// told as the decoding time of the first two behind the pause is from before it. The picture before the pause is shown until they are.
func TestPauseOfReorderedPictures(t *testing.T) {
	const frame, before, behind = 3000, 180, 283 // pictures: the last before the pause, the first behind it
	for _, keyframes := range []int{0, 1, 2, 3} {
		t.Run(fmt.Sprintf("%d keyframes in a row", keyframes), func(t *testing.T) {
			f := newFeed(t, buffer.Options{})
			f.begin(videoTrack, aacTrack)
			shown := []int64{}
			for n := range int64(500) {
				if n <= before || n >= behind {
					shown = append(shown, (n+2)*frame)
				}
			}
			next := int64(0)
			for i, pts := range shown {
				p := video(1)
				p.PTS, p.DTS = pts, max(pts-2*frame, 0)
				if i >= 2 {
					p.DTS = shown[i-2]
				}
				since := pts/frame - 2 - behind
				p.RandomAccess = i%30 == 0 || since >= 0 && since < int64(keyframes)
				for ; next <= p.DTS; next += 1920 {
					f.packet(media.Packet{Track: 1, DTS: next, PTS: next, RandomAccess: true, Payload: make([]byte, 200)}, 0)
				}
				f.packet(p, 0)
			}
			s := f.stream(Options{})
			n := s.current()
			requireNoFault(t, s)
			checkTimes(t, n)
			require.Equal(t, 1, n.targetDuration)
			require.Equal(t, n.segments[0].epoch, n.segments[len(n.segments)-1].epoch)
			hole, overlap := presentation(t, s, n)
			require.Zero(t, overlap)
			if keyframes > 0 {
				require.LessOrEqual(t, hole, int64(frame))
			}
		})
	}
}

// presentation looks at the boxes of all segments of the picture. It returns the longest time for which there is nothing to show, and by how much
// samples lie over each other in decoding time, in ticks.
func presentation(t *testing.T, s *Stream, n *snapshot) (hole, overlap int64) {
	t.Helper()
	type shown struct{ from, to int64 }
	var all []shown
	end := int64(math.MinInt64)
	for _, g := range n.segments {
		if len(g.span("v0").parts) == 0 {
			continue
		}
		file, err := mp4.DecodeFile(strings.NewReader(fetch(t, s, fmt.Sprintf("v0/seg-%d-%d.m4s", g.epoch.id, g.number))))
		require.NoError(t, err)
		for _, fragment := range file.Segments[0].Fragments {
			at := int64(fragment.Moof.Traf.Tfdt.BaseMediaDecodeTime())
			overlap = max(overlap, end-at)
			for _, x := range fragment.Moof.Traf.Trun.Samples {
				require.Positive(t, x.Dur)
				all = append(all, shown{at + int64(x.CompositionTimeOffset), at + int64(x.CompositionTimeOffset) + int64(x.Dur)})
				at += int64(x.Dur)
			}
			end = at
		}
	}
	slices.SortFunc(all, func(a, b shown) int { return int(a.from - b.from) })
	end = all[0].to
	for _, v := range all {
		hole, end = max(hole, v.from-end), max(end, v.to)
	}
	return hole, overlap
}
