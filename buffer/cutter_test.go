package buffer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"brume/media"
)

// unit is a packet as the cutter sees it, and what came of it.
type unit struct {
	track   int
	dts     int64
	random  bool
	flags   Flags
	segment uint64
	part    uint32
}

// source describes a track to generate.
type source struct {
	codec  media.Codec
	num    int64 // duration of a packet is num/den ticks
	den    int64
	start  int64
	millis bool  // times are rounded to milliseconds, as RTMP and Matroska do
	jitter int64 // times are off by less than this
	gops   []int // lengths of the GOPs in packets, the last repeats; 0: no random access point any more
	first  int   // packets before the first random access point
}

func (s source) dts(n int64) int64 {
	d := n * s.num / s.den
	if s.millis {
		d = (d + 45) / 90 * 90
	}
	if s.jitter > 0 {
		d += n * 7919 % s.jitter
	}
	return s.start + d
}

// generate merges the sources by decoding time, until the given one.
func generate(sources []source, until int64) (units []unit) {
	for track, s := range sources {
		next, gop := s.first, 0
		for n := int64(0); s.dts(n) < until; n++ {
			random := int(n) == next && (len(s.gops) == 0 || s.gops[gop] >= 0)
			if random && len(s.gops) > 0 {
				if g := s.gops[gop]; g > 0 {
					next += g
				} else {
					next = -1
				}
				gop = min(gop+1, len(s.gops)-1)
			}
			units = append(units, unit{track: track, dts: s.dts(n), random: random || s.codec.Kind() != media.Video})
		}
	}
	slices.SortStableFunc(units, func(a, b unit) int { return int(min(max(a.dts-b.dts, -1), 1)) })
	return units
}

func tracksOf(sources []source) (tracks []media.Track) {
	for _, s := range sources {
		tracks = append(tracks, media.Track{Codec: s.codec})
	}
	return tracks
}

// cut runs a cutter over the units.
func cut(c *cutter, tracks []media.Track, units []unit) {
	c.begin(tracks)
	for i := range units {
		u := &units[i]
		u.flags = c.next(u.track, place{u.dts, u.dts}, u.random)
		u.segment, u.part = c.segments-1, c.part
	}
}

func newCutter() *cutter {
	return &cutter{cutterOptions: cutterOptionsOf(Options{}.withDefaults())}
}

// lengths returns how long each segment is in the rendition of a track: from its first packet to that of the next
// segment that has one. The last is left out.
func lengths(units []unit, track int, key func(unit) [2]uint64) (keys [][2]uint64, out []int64) {
	var first []int64
	for _, u := range units {
		if u.track != track {
			continue
		}
		if k := key(u); len(keys) == 0 || keys[len(keys)-1] != k {
			keys = append(keys, k)
			first = append(first, u.dts)
		}
	}
	for i := 1; i < len(first); i++ {
		out = append(out, first[i]-first[i-1])
	}
	return keys, out
}

func bySegment(u unit) [2]uint64 { return [2]uint64{u.segment, 0} }
func byPart(u unit) [2]uint64    { return [2]uint64{u.segment, uint64(u.part)} }

// checkNumbers checks marks against numbers.
func checkNumbers(t require.TestingT, units []unit) {
	for i, u := range units {
		if i == 0 {
			require.NotZero(t, u.flags&EpochStart)
			require.NotZero(t, u.flags&SegmentStart)
			require.Zero(t, u.part)
			continue
		}
		p := units[i-1]
		require.Zero(t, u.flags&EpochStart)
		switch {
		case u.flags&SegmentStart != 0:
			require.Equal(t, p.segment+1, u.segment)
			require.Zero(t, u.part)
		case u.flags&PartStart != 0:
			require.Equal(t, p.segment, u.segment)
			require.Equal(t, p.part+1, u.part)
		default:
			require.Equal(t, p.segment, u.segment)
			require.Equal(t, p.part, u.part)
		}
	}
}

// checkTarget checks that no segment rounds above TARGETDURATION: a segment lasts from mark to mark of the first track.
func checkTarget(t require.TestingT, c *cutter, units []unit) {
	if c.targetDuration == 0 {
		return
	}
	keys, got := lengths(units, 0, bySegment)
	for i, l := range got {
		require.LessOrEqual(t, (l+media.ClockRate/2)/media.ClockRate, int64(c.targetDuration), "segment %d, %d ticks", keys[i], l)
	}
}

// checkParts checks the lengths of parts in every rendition.
func checkParts(t require.TestingT, c *cutter, units []unit, tracks int) {
	for track := range tracks {
		keys, got := lengths(units, track, byPart)
		for i, l := range got {
			require.LessOrEqual(t, l, c.partMost(), "track %d, part %d", track, keys[i])
			if keys[i][0] == keys[i+1][0] {
				require.GreaterOrEqual(t, l, c.partLeast(), "track %d, part %d", track, keys[i])
			}
		}
	}
}

var (
	aac48  = source{codec: media.AAC, num: 1920, den: 1}
	aac44  = source{codec: media.AAC, num: 1024 * 90000, den: 44100}
	mp2    = source{codec: media.MP2, num: 2160, den: 1}
	ac3    = source{codec: media.AC3, num: 2880, den: 1}
	opus   = source{codec: media.Opus, num: 1800, den: 1}
	fps    = map[string][2]int64{"23.976": {15015, 4}, "24": {3750, 1}, "25": {3600, 1}, "29.97": {3003, 1}, "30": {3000, 1}, "50": {1800, 1}, "59.94": {3003, 2}, "60": {1500, 1}}
	sounds = map[string]source{"aac48": aac48, "aac44": aac44, "mp2": mp2, "ac3": ac3, "opus": opus}
)

func video(name string, gop ...int) source {
	return source{codec: media.H264, num: fps[name][0], den: fps[name][1], gops: gop}
}

// TestPartsOfCommonFormats checks that every usual pair of frame rate and audio has parts.
func TestPartsOfCommonFormats(t *testing.T) {
	for rate := range fps {
		for sound, audio := range sounds {
			for _, millis := range []bool{false, true} {
				t.Run(fmt.Sprint(rate, " ", sound, " ", millis), func(t *testing.T) {
					v := video(rate, 48)
					v.millis, audio.millis = millis, millis
					sources := []source{v, audio}
					units := generate(sources, 60*media.ClockRate)
					c := newCutter()
					cut(c, tracksOf(sources), units)
					require.Equal(t, partsOn, c.parts)
					checkNumbers(t, units)
					checkParts(t, c, units, 2)
					checkTarget(t, c, units)
				})
			}
		}
	}
}

// TestSoundBeforePicture checks that the first part of an epoch is not too long where sound begins a bit before the picture, as it does in
// most streams: encoders of AAC give out a frame of silence first.
func TestSoundBeforePicture(t *testing.T) {
	for _, before := range []int64{0, 1024, 1900, 1920, 3000, 4000} {
		for rate := range fps {
			t.Run(fmt.Sprint(rate, " ", before), func(t *testing.T) {
				sound := aac48
				sound.start = -before
				sources := []source{video(rate, 48), sound}
				c := newCutter()
				for range 2 {
					units := generate(sources, 10*media.ClockRate)
					cut(c, tracksOf(sources), units)
					require.Equal(t, partsOn, c.parts)
					checkParts(t, c, units, 2)
				}
			})
		}
	}
}

// TestPartsWithJitter checks that no part becomes too long where a packet more or less depends on a tick.
func TestPartsWithJitter(t *testing.T) {
	sound := ac3
	sound.start, sound.jitter = -2, 4
	sources := []source{video("25", 50), sound}
	units := generate(sources, 200*media.ClockRate)
	c := newCutter()
	cut(c, tracksOf(sources), units)
	require.Equal(t, partsOn, c.parts)
	for track := range sources {
		keys, got := lengths(units, track, byPart)
		for i, l := range got {
			require.LessOrEqual(t, l, c.partMost()+sound.jitter, "track %d, part %d", track, keys[i])
		}
	}
}

func TestCuts(t *testing.T) {
	late := aac48
	late.start = -1 * media.ClockRate
	tests := []struct {
		name    string
		sources []source
		target  int       // TARGETDURATION
		parts   partsMode // of the stream
		lengths []int64   // of the lead track's first segments, in frames
	}{
		{"GOP of 1 s", []source{video("30", 30), aac48}, 1, partsOn, []int64{30, 30, 30}},
		{"GOP of 2 s", []source{video("25", 50), aac48}, 2, partsOn, []int64{50, 50, 50}},
		{"NTSC rounds up", []source{video("29.97", 30), aac48}, 2, partsOn, []int64{30, 30, 30}},
		{"short GOPs are joined", []source{video("25", 10), aac48}, 2, partsOn, []int64{20, 30, 20}},
		{"short GOPs divide the target", []source{video("30", 15), aac48}, 1, partsOn, []int64{30, 30, 30}},
		{"x264's default", []source{video("25", 250), aac48}, 10, partsOn, []int64{250, 250, 250}},
		{"GOP over the maximum", []source{video("25", 350), aac48}, 12, partsOn, []int64{299, 51, 299, 51}},
		{"no random access", []source{video("25", 0), aac48}, 12, partsOn, []int64{299, 299}},
		{"longer GOP later", []source{video("25", 25, 25, 100), aac48}, 1, partsOn, []int64{25, 25, 37, 26, 26, 11, 26, 26}},
		{"keyframes a picture early or late", []source{video("25", 25, 24, 24, 25, 25, 26, 24, 26), aac48}, 1, partsOn, []int64{25, 24, 24, 25, 25, 26, 24, 26}},
		{"scene cuts", []source{video("25", 250, 15, 250, 15, 5, 250), aac48}, 10, partsOn, []int64{250, 15, 250, 15}},
		{"keyframes at once before GOPs that no segment holds", []source{video("25", 25, 60, 1, 60, 1, 1, 60, 4, 60), aac48}, 1, partsOn, []int64{25, 26, 26, 8, 26, 35, 26, 36}},
		{"keyframes at once before GOPs that a segment holds", []source{video("25", 250, 1, 250, 2, 1, 250), aac48}, 10, partsOn, []int64{250, 251}},
		{"the keyframe is just behind the limit", []source{video("25", 313), aac48}, 12, partsOn, []int64{299, 14, 299, 14}},
		{"the keyframe is just behind the limit, no parts", []source{{codec: media.H264, num: 18000, den: 1, gops: []int{63}}, aac48}, 12, partsOff, []int64{60, 3, 60, 3}},
		{"begins in a GOP", []source{{codec: media.H264, num: 3600, den: 1, gops: []int{50}, first: 20}, aac48}, 2, partsOn, []int64{20, 50, 50}},
		{"10 fps", []source{{codec: media.H264, num: 9000, den: 1, gops: []int{20}}, aac48}, 2, partsOn, []int64{20, 20, 20}},
		{"5 fps has no parts", []source{{codec: media.H264, num: 18000, den: 1, gops: []int{10}}, aac48}, 2, partsOff, []int64{10, 10, 10}},
		{"1 fps has no parts", []source{{codec: media.H264, num: 90000, den: 1, gops: []int{1}}, aac48}, 1, partsOff, []int64{1, 1, 1}},
		{"10 fps alone", []source{{codec: media.H264, num: 9000, den: 1, gops: []int{20}}}, 2, partsOn, []int64{20, 20, 20}},
		{"audio alone", []source{aac48}, 1, partsOn, []int64{36, 47, 46}},
		{"audio alone, 44.1 kHz", []source{aac44}, 1, partsOn, []int64{33, 43, 43}},
		{"audio a second behind", []source{video("25", 50), late}, 2, partsOn, []int64{50, 50, 50}},
		{"data alone", []source{{codec: media.KLV, num: 30000, den: 1}}, 1, partsOff, []int64{3, 3, 3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			units := generate(test.sources, 30*media.ClockRate)
			c := newCutter()
			tracks := tracksOf(test.sources)
			cut(c, tracks, units)
			checkNumbers(t, units)
			checkTarget(t, c, units)
			require.Equal(t, test.target, c.targetDuration)
			require.Equal(t, test.parts, c.parts)
			var got []int64
			for _, u := range units {
				if u.track != 0 || int(u.segment) >= len(test.lengths) {
					continue
				}
				for int(u.segment) >= len(got) {
					got = append(got, 0)
				}
				got[u.segment]++
			}
			require.Equal(t, test.lengths, got)
		})
	}
}

// TestEarlyCut: a keyframe shortly after the beginning of a segment ends it where a GOP as long as the longest would not fit in any
// more, since that GOP would be cut without a keyframe.
func TestEarlyCut(t *testing.T) {
	sources := []source{video("25", 100, 15, 100, 2, 100, 100)}
	units := generate(sources, 20*media.ClockRate)
	c := &cutter{cutterOptions: cutterOptionsOf(Options{SegmentTarget: 4 * time.Second}.withDefaults())}
	cut(c, tracksOf(sources), units)
	require.Equal(t, 4, c.targetDuration)
	var begins []int
	for i, u := range units {
		if u.flags&SegmentStart != 0 {
			require.True(t, u.random)
			begins = append(begins, i)
		}
	}
	require.Equal(t, []int{0, 100, 115, 215, 317, 417}, begins)
}

// TestCutProperties checks the rules for segments and parts on any stream whose packets come in order.
func TestCutProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rates := slices.Sorted(func(yield func(string) bool) {
			for k := range fps {
				if !yield(k) {
					return
				}
			}
		})
		v := video(rapid.SampledFrom(rates).Draw(t, "rate"), rapid.SliceOfN(rapid.IntRange(1, 400), 1, 20).Draw(t, "gops")...)
		v.millis = rapid.Bool().Draw(t, "millis")
		v.first = rapid.SampledFrom([]int{0, 0, 0, 13, 70, 1000}).Draw(t, "first")
		v.start = rapid.SampledFrom([]int64{0, 1 << 33, -5_000_000_000_000}).Draw(t, "start")
		sources := []source{v}
		kinds := []source{aac48, aac44, mp2, ac3, opus}
		for range rapid.IntRange(0, 3).Draw(t, "audio tracks") {
			a := rapid.SampledFrom(kinds).Draw(t, "audio")
			a.start = v.start + rapid.Int64Range(0, 1500).Draw(t, "offset")
			sources = append(sources, a)
		}
		if rapid.Bool().Draw(t, "data") {
			sources = append(sources, source{codec: media.SCTE35, num: 77777, den: 1, start: v.start})
		}
		o := Options{
			SegmentTarget: time.Duration(rapid.Int64Range(200, 4000).Draw(t, "target")) * time.Millisecond,
			SegmentMax:    time.Duration(rapid.Int64Range(4000, 12000).Draw(t, "max")) * time.Millisecond,
		}.withDefaults()
		units := generate(sources, v.start+40*media.ClockRate)
		c := &cutter{cutterOptions: cutterOptionsOf(o)}
		tracks := tracksOf(sources)
		timed := len(tracks)
		if tracks[timed-1].Codec.Kind() == media.Data {
			timed--
		}
		cut(c, tracks, units)
		checkNumbers(t, units)
		checkTarget(t, c, units)
		if c.parts == partsOn {
			checkParts(t, c, units, timed)
		}
		checkSegments(t, c, units, v)
	})
}

// checkSegments checks where the segments of the first track begin: at random access points that are a target apart or lie in
// another stretch of the timeline, and elsewhere only where a segment would become too long.
func checkSegments(t require.TestingT, c *cutter, units []unit, v source) {
	frame := (v.num+v.den-1)/v.den + 90
	bucket := func(dts int64) int64 { return (dts&(1<<33-1) + c.target/4) / c.target }
	limit := int64(0)
	marks := map[uint64]int64{} // where segments begin, by whatever track
	var first, last unit        // of the running segment; the newest random access point
	longest := int64(0)         // GOP so far
	started := false
	for _, u := range units {
		if _, known := marks[u.segment]; !known {
			marks[u.segment] = u.dts
		}
		if u.track != 0 {
			continue
		}
		if !started {
			first, last, started = u, u, true
			continue
		}
		length := u.dts - marks[first.segment]
		if limit = c.max; c.targetDuration != 0 {
			limit = min(limit, c.limit())
		}
		due := !first.random || 2*length >= c.target && (10*(u.dts-last.dts) >= 9*c.target || bucket(u.dts) != bucket(first.dts))
		switch begins := u.segment != first.segment; {
		case begins && !u.random:
			require.Greater(t, length+2*frame+c.partMost()+c.target/2, limit, "segment %d begins without random access and without need", u.segment)
		case begins && !due:
			require.Greater(t, length+longest, c.limit(), "segment %d begins too early", u.segment)
			require.True(t, 2*length >= c.target || longest <= c.limit(), "segment %d begins too early, and saves no cut", u.segment)
		case !begins && u.random:
			require.False(t, due, "the random access point at %d was passed over", u.dts)
		}
		if u.random {
			if last.random {
				longest = max(longest, u.dts-last.dts)
			}
			last = u
		}
		if u.segment != first.segment {
			first = u
		}
	}
}

// TestTargetDurationStays checks that later epochs keep TARGETDURATION and parts, whatever they bring.
func TestTargetDurationStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCutter()
		fixed, parts := 0, partsOpen
		segments := uint64(0)
		for range rapid.IntRange(2, 6).Draw(t, "epochs") {
			v := source{
				codec: media.H265, num: rapid.Int64Range(1200, 20000).Draw(t, "frame"), den: 1,
				gops: rapid.SliceOfN(rapid.IntRange(1, 100), 1, 5).Draw(t, "gops"),
			}
			sources := []source{v, aac48}
			units := generate(sources, rapid.Int64Range(1, 12*media.ClockRate).Draw(t, "length"))
			cut(c, tracksOf(sources), units)
			checkNumbers(t, units)
			require.Equal(t, segments, units[0].segment)
			if fixed != 0 {
				checkTarget(t, c, units)
				require.Equal(t, fixed, c.targetDuration)
				require.Equal(t, parts, c.parts)
			}
			c.end()
			segments = c.segments
			if fixed = c.targetDuration; fixed != 0 {
				parts = c.parts
				require.NotEqual(t, partsOpen, parts)
			}
		}
		c.finish()
		require.NotZero(t, c.targetDuration)
	})
}

// TestLeadSilent checks that segments go on where video stops, and that the first random access point after is taken.
func TestLeadSilent(t *testing.T) {
	sources := []source{video("25", 50), aac48}
	var units []unit
	for _, u := range generate(sources, 60*media.ClockRate) {
		if u.track != 0 || u.dts < 10*media.ClockRate || u.dts > 31*media.ClockRate {
			units = append(units, u)
		}
	}
	c := newCutter()
	cut(c, tracksOf(sources), units)
	checkNumbers(t, units)
	require.Equal(t, 2, c.targetDuration)
	_, got := lengths(units, 1, bySegment)
	for i, l := range got {
		require.LessOrEqual(t, l, c.limit(), "segment %d", i)
	}
	_, got = lengths(units, 1, byPart)
	for i, l := range got {
		require.LessOrEqual(t, l, c.partMost(), "part %d", i)
	}
	// Video comes back at 31.04 s, its random access point at 32 s.
	i := slices.IndexFunc(units, func(u unit) bool { return u.track == 0 && u.dts == 32*media.ClockRate })
	require.NotZero(t, units[i].flags&SegmentStart)
}

// TestWildTimes checks that nothing overflows or takes long, whatever the times.
func TestWildTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCutter()
		c.begin([]media.Track{videoTrack, audioTrack})
		var units []unit
		for range rapid.IntRange(0, 300).Draw(t, "packets") {
			u := unit{
				track: rapid.IntRange(0, 1).Draw(t, "track"), random: rapid.Bool().Draw(t, "random"),
				dts: rapid.OneOf(rapid.Int64Range(0, 300000), rapid.Int64Range(-maxTicks, maxTicks), rapid.SampledFrom([]int64{-maxTicks, maxTicks, 0})).Draw(t, "dts"),
			}
			u.flags = c.next(u.track, place{u.dts, u.dts}, u.random)
			u.segment, u.part = c.segments-1, c.part
			units = append(units, u)
		}
		checkNumbers(t, units)
		c.end()
		c.finish()
		require.True(t, len(units) == 0 || c.targetDuration >= 1 && c.targetDuration <= 12)
	})
}

// TestPartsDivideGOPs checks that a GOP as long as the two before it is divided evenly, wherever that is possible.
func TestPartsDivideGOPs(t *testing.T) {
	for _, test := range []struct {
		name  string
		video source
		want  []int // pictures of each part of a segment
	}{
		{"30 fps, 1 s", video("30", 30), []int{15, 15}},
		{"25 fps, 1 s", video("25", 25), []int{13, 12}},
		{"25 fps, 2 s", video("25", 50), []int{13, 12, 13, 12}},
		{"29.97 fps, 1 s", video("29.97", 30), []int{15, 15}},
		{"50 fps, 1 s", video("50", 50), []int{25, 25}},
		{"24 fps, 48 pictures", video("24", 48), []int{12, 12, 12, 12}},
		{"23.976 fps, 2 s", video("23.976", 48), []int{12, 12, 12, 12}},
		{"25 fps, 32 pictures do not divide", video("25", 32), []int{13, 13, 6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sources := []source{test.video, aac48}
			units := generate(sources, 30*media.ClockRate)
			c := newCutter()
			cut(c, tracksOf(sources), units)
			require.Equal(t, partsOn, c.parts)
			checkParts(t, c, units, 2)
			got := make([]int, 0, len(test.want))
			for _, u := range units {
				if u.track != 0 || u.segment != 5 {
					continue
				}
				for int(u.part) >= len(got) {
					got = append(got, 0)
				}
				got[u.part]++
			}
			require.Equal(t, test.want, got)
		})
	}
}

// TestTargetDurationBegins checks what TARGETDURATION follows from: what the encoder tells, and what was seen.
func TestTargetDurationBegins(t *testing.T) {
	sources := []source{video("25", 25, 200), aac48}
	units := generate(sources, 3*media.ClockRate)
	for told, want := range map[int64]int{0: 1, 4 * media.ClockRate: 4, 4*media.ClockRate + 1: 5, 100 * media.ClockRate: 12} {
		c := newCutter()
		tracks := tracksOf(sources)
		tracks[0].KeyframeDistance = told
		cut(c, tracks, units)
		require.Equal(t, want, c.targetDuration, "the encoder tells %d ticks", told)
	}
	c := newCutter()
	cut(c, tracksOf(sources), generate(sources, 20*media.ClockRate))
	require.Equal(t, 1, c.targetDuration, "it never changes")
	require.Equal(t, 8, c.needed, "what the next buffer of the name begins with")
}

// TestPartsWithLoss loses a fifth of the pictures: the distances that they leave are no reason for parts that are too short.
func TestPartsWithLoss(t *testing.T) {
	sources := []source{video("25", 25), aac48}
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 1))
		var units []unit
		for _, u := range generate(sources, 60*media.ClockRate) {
			if u.track != 0 || u.random || u.dts < 8*media.ClockRate || random.IntN(5) > 0 {
				units = append(units, u)
			}
		}
		c := newCutter()
		cut(c, tracksOf(sources), units)
		keys, got := lengths(units, 0, byPart)
		require.Greater(t, len(got), 100)
		for i := range len(got) - 1 {
			if keys[i][0] == keys[i+1][0] {
				require.GreaterOrEqual(t, got[i], c.partLeast(), "seed %d, segment and part %d", seed, keys[i])
			}
		}
	}
}
