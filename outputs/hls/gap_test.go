package hls

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
)

// lossy writes 20 s of pictures and sound, of which those within a gap that begins at 8.4 s are lost.
func lossy(f *feed, gap int64, pictures, sound bool) {
	lost := func(dts int64) bool { return dts >= 84*media.ClockRate/10 && dts < 84*media.ClockRate/10+gap }
	f.begin(videoTrack, aacTrack)
	next := int64(0)
	end := 20*media.ClockRate + gap
	for n := 0; int64(n)*3000 < end; n++ {
		p := video(n)
		for ; next <= p.DTS; next += 1920 {
			if !sound || !lost(next) {
				f.packet(media.Packet{Track: 1, DTS: next, PTS: next, RandomAccess: true, Payload: make([]byte, 200)}, 0)
			}
		}
		if !pictures || !lost(p.DTS) {
			f.packet(p, 0)
		}
	}
}

// TestGaps loses all tracks or one of them for a while: the times that playlists tell are those of the media, in every rendition.
func TestGaps(t *testing.T) {
	for _, lost := range []struct {
		name         string
		video, audio bool
	}{{"all", true, true}, {"video", true, false}, {"audio", false, true}} {
		for _, ms := range []int64{100, 400, 700, 1000, 1500, 2500, 3400, 4500, 8000, 30000} {
			t.Run(fmt.Sprintf("%s %d ms", lost.name, ms), func(t *testing.T) {
				f := newFeed(t, buffer.Options{})
				lossy(f, ms*90, lost.video, lost.audio)
				s := f.stream(Options{})
				n := s.current()
				requireNoFault(t, s)
				require.Equal(t, 1, n.targetDuration)
				require.GreaterOrEqual(t, len(n.segments), 15)
				checkTimes(t, n)
				picture := mediaPlaylist(t, string(n.page(pageKey{kind: KindPlaylist, id: "v0"}).plain))
				sound := mediaPlaylist(t, string(n.page(pageKey{kind: KindPlaylist, id: "a0"}).plain))
				require.Len(t, sound.Segments, len(picture.Segments))
				all := mediaPlaylist(t, string(n.page(pageKey{kind: KindPlaylist, id: tsID}).plain))
				breaks := 0
				for i, g := range picture.Segments {
					require.Equal(t, g.Gap, all.Segments[i].Gap, "segment %d", i)
					require.Equal(t, g.Duration, sound.Segments[i].Duration, "segment %d", i)
					require.Equal(t, g.Discontinuity, sound.Segments[i].Discontinuity, "segment %d", i)
					if g.Discontinuity {
						breaks++
					}
				}
				if lost.video && lost.audio && ms > 1500 {
					require.Equal(t, 1, breaks, "the pause ends the epoch")
				}
				if lost.video != lost.audio {
					require.Zero(t, breaks, "the other track goes on")
				}
			})
		}
	}
}

// checkTimes checks the lengths of segments against the times of what is in them.
func checkTimes(t *testing.T, n *snapshot) {
	t.Helper()
	for i, g := range n.segments {
		require.LessOrEqual(t, g.length, int64(n.targetDuration)*media.ClockRate+media.ClockRate/2-1, "segment %d rounds to TARGETDURATION", i)
		if i == 0 || n.segments[i-1].epoch != g.epoch {
			require.True(t, g.leadSamples > 0 && g.independent, "segment %d: an epoch begins with a random access point", i)
			continue
		}
		before := n.segments[i-1]
		require.Equal(t, g.start-before.start, before.length, "segment %d lasts until the next", i-1)
		for lane := range g.spans {
			was, is := &before.spans[lane], &g.spans[lane]
			if was.samples > 0 && is.samples > 0 && lane == 0 {
				require.LessOrEqual(t, was.stop, is.start, "no picture lasts into the next segment")
			}
		}
	}
}

// TestScatteredLoss loses single pictures: in a segment each part of the picture ends where the next begins, whatever begins that part.
func TestScatteredLoss(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		f := newFeed(t, buffer.Options{})
		f.begin(videoTrack, aacTrack)
		next := int64(0)
		for n := range 500 {
			p := video(n)
			for ; next <= p.DTS; next += 1920 {
				f.packet(media.Packet{Track: 1, DTS: next, PTS: next, RandomAccess: true, Payload: make([]byte, 200)}, 0)
			}
			if n < 100 || n > 400 || random.IntN(5) > 0 {
				f.packet(p, 0)
			}
		}
		s := f.stream(Options{})
		n := s.current()
		requireNoFault(t, s)
		require.GreaterOrEqual(t, len(n.segments), 10)
		for _, g := range n.segments {
			parts := g.span("v0").parts
			for i := 1; i < len(parts); i++ {
				require.Equal(t, parts[i-1].stop, parts[i].start, "seed %d, segment %d, part %d", seed, g.number, i)
			}
		}
	}
}

// TestPicturesBehindTheMark has pictures that come late, when the sound has ended the segment that they were due in: they begin with the
// segment that they come in, no picture lasts into the next, and none is shown before it is decoded.
func TestPicturesBehindTheMark(t *testing.T) {
	const second = media.ClockRate
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack, aacTrack)
	next := int64(0)
	show := func(random bool, at, when int64) {
		for ; next < when; next += 1920 {
			f.packet(media.Packet{Track: 1, DTS: next, PTS: next, RandomAccess: true, Payload: make([]byte, 200)}, 0)
		}
		p := video(1)
		p.DTS, p.PTS, p.RandomAccess = at, at+3000, random
		f.packet(p, 0)
	}
	for n := range int64(10) {
		if n != 4 {
			show(true, n*second, n*second)
			continue
		}
		late := n*second + 7*second/10
		show(true, n*second, late)
		for i := range int64(7) { // some before the mark, which is at 4.48 s, and some behind it
			show(false, n*second+(i+1)*9000, late+i*1000)
		}
	}
	s := f.stream(Options{})
	n := s.current()
	requireNoFault(t, s)
	checkTimes(t, n)
	end, pictures := int64(0), 0
	for _, g := range n.segments {
		file, err := mp4.DecodeFile(strings.NewReader(fetch(t, s, fmt.Sprintf("v0/seg-%d-%d.m4s", g.epoch.id, g.number))))
		require.NoError(t, err)
		require.Equal(t, g.start, g.spans[0].start)
		for _, fragment := range file.Segments[0].Fragments {
			at := int64(fragment.Moof.Traf.Tfdt.BaseMediaDecodeTime())
			require.Equal(t, end, at, "segment %d", g.number)
			for _, x := range fragment.Moof.Traf.Trun.Samples {
				require.Positive(t, x.Dur)
				require.GreaterOrEqual(t, x.CompositionTimeOffset, int32(0))
				at += int64(x.Dur)
				pictures++
			}
			end = at
		}
		require.Equal(t, g.start+g.length, end)
		require.InDelta(t, testStart.UnixNano()+int64(media.Duration(g.start)), g.spans[0].wall, 1e8, "segment %d", g.number)
	}
	require.Equal(t, 16, pictures)
}

// TestUnevenPictures has a segment that the sound ends sooner after its last picture than that came after the one before: the picture lasts until
// the mark, behind which the next one begins.
func TestUnevenPictures(t *testing.T) {
	const tenth = media.ClockRate / 10
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack, aacTrack)
	next := int64(0)
	for _, at := range []int64{0, 10, 20, 30, 40, 50, 60, 70, 80, 94, 106, 120, 130, 140, 150, 160} {
		for ; next <= at*tenth; next += 1920 {
			f.packet(media.Packet{Track: 1, DTS: next, PTS: next, RandomAccess: true, Payload: make([]byte, 200)}, 0)
		}
		p := video(1)
		p.DTS, p.PTS, p.RandomAccess = at*tenth, at*tenth, at%20 == 0 || at == 106
		f.packet(p, 0)
	}
	s := f.stream(Options{})
	n := s.current()
	requireNoFault(t, s)
	require.Equal(t, 2, n.targetDuration)
	checkTimes(t, n)
	_, overlap := presentation(t, s, n)
	require.Zero(t, overlap)
}

// TestLatePicture ends an epoch with the picture that was the last for a while: it comes when the next one does. The segment lasts as long
// as its sound.
func TestLatePicture(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack, aacTrack)
	next := int64(0)
	sound := func(until int64) {
		for ; next < until; next += 1920 {
			f.packet(media.Packet{Track: 1, DTS: next, PTS: next, RandomAccess: true, Payload: make([]byte, 200)}, 0)
		}
	}
	for n := range 150 {
		sound(video(n).DTS)
		f.packet(video(n), 0)
	}
	sound(10 * media.ClockRate)
	f.packet(video(150), 0)
	require.NoError(t, f.w.EndEpoch())
	s := f.stream(Options{})
	n := s.current()
	requireNoFault(t, s)
	last := n.segments[len(n.segments)-1]
	require.Less(t, video(150).DTS, last.start)
	require.Equal(t, next-last.start, last.length)
}
