package hls

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
)

// TestDatesOfOpenGOPs: none to three pictures that are shown before the keyframe of a GOP follow it, so keyframes are shown unequally long after they
// are decoded. The dates of segments are as far apart as the segments are long all the same, also where such pictures are torn.
func TestDatesOfOpenGOPs(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	n := int64(0)
	show := func(at int, random, torn bool) {
		p := video(1)
		p.DTS, p.PTS, p.RandomAccess, p.Torn = n*3000, int64(at+3)*3000, random, torn
		f.packet(p, 0)
		n++
	}
	for gop := range 20 {
		lead := gop % 4
		show(30*gop, true, false)
		for i := lead; i > 0; i-- {
			show(30*gop-i, false, gop%8 == 7)
		}
		for i := 1; i < 30-(gop+1)%4; i++ {
			show(30*gop+i, false, false)
		}
	}
	s := f.stream(Options{}).current()
	require.Greater(t, len(s.segments), 15)
	at := s.segments[0].spans[0].wall
	for i, g := range s.segments {
		require.InDelta(t, at, g.spans[0].wall, float64(time.Microsecond), "segment %d", i)
		at += int64(media.Duration(g.length))
	}
}
