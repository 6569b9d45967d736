package hls

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"
	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
)

// streamOf is a Stream with three seconds of a picture (if asked) and the given further tracks.
func streamOf(t *testing.T, tracks ...media.Track) *Stream {
	f := newFeed(t, buffer.Options{})
	f.begin(tracks...)
	next := make([]int64, len(tracks))
	for n := range 100 {
		for i := range tracks {
			for ; next[i] <= int64(n)*3000; next[i] += 1920 {
				if tracks[i].Codec.Kind() == media.Audio {
					f.packet(media.Packet{Track: i, DTS: next[i], PTS: next[i], RandomAccess: true, Payload: make([]byte, 200)}, 0)
				}
			}
		}
		if tracks[0].Codec == media.H264 {
			f.synthetic(n, n+1)
		}
	}
	return f.stream(Options{})
}

func TestMultivariant(t *testing.T) {
	lang := func(t media.Track, l string) media.Track {
		t.Language = l
		return t
	}
	as := func(t media.Track, r media.TrackRole) media.Track {
		t.Role = r
		return t
	}
	const video = `CODECS="avc1.64001F%s",RESOLUTION=1280x720,FRAME-RATE=30.000%s` + "\nv0/index.m3u8\n"
	item := func(group, name, rest string) string {
		return `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio-` + group + `",NAME="` + name + `"` + rest
	}
	aac, ac3 := "mp4a.40.2", "ac-3"
	tests := []struct {
		name   string
		tracks []media.Track
		want   []string
		count  int // of variants
	}{
		{name: "picture alone", tracks: []media.Track{videoTrack}, count: 1, want: []string{fmt.Sprintf(video, "", "")}},
		{name: "one audio", tracks: []media.Track{videoTrack, aacTrack}, count: 1, want: []string{
			item(aac, "German", `,LANGUAGE="de",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="a0/index.m3u8"`), fmt.Sprintf(video, ","+aac, `,AUDIO="audio-mp4a.40.2"`),
		}},
		{name: "same language twice", tracks: []media.Track{videoTrack, aacTrack, aacTrack}, count: 1, want: []string{
			item(aac, "German", ""), item(aac, "German 2", `,LANGUAGE="de",DEFAULT=NO`),
		}},
		{name: "no language", tracks: []media.Track{videoTrack, lang(aacTrack, ""), lang(aacTrack, "ast")}, count: 1, want: []string{
			item(aac, "Audio 1", ",DEFAULT=YES"), item(aac, "ast", `,LANGUAGE="ast"`),
		}},
		{name: "a language for local use", tracks: []media.Track{videoTrack, lang(aacTrack, "qad")}, count: 1, want: []string{item(aac, "Audio 1", ",DEFAULT=YES")}},
		{name: "roles", tracks: []media.Track{
			videoTrack, as(lang(aacTrack, "fra"), media.TrackDescription), lang(aacTrack, "fra"), as(aacTrack, media.TrackHearing), as(aacTrack, media.TrackNarration),
			as(aacTrack, media.TrackSubtitles),
		}, count: 1, want: []string{
			item(aac, "French (audio description)", `,LANGUAGE="fr",DEFAULT=NO,AUTOSELECT=YES,CHARACTERISTICS="public.accessibility.describes-video",CHANNELS="2",URI="a0/index.m3u8"`),
			item(aac, "French", `,LANGUAGE="fr",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="a1/index.m3u8"`),
			item(aac, "German (clear speech)", `,LANGUAGE="de",DEFAULT=NO,AUTOSELECT=YES,CHARACTERISTICS="public.accessibility.enhances-speech-intelligibility",CHANNELS="2",URI="a2/index.m3u8"`),
			item(aac, "German (narration)", `,LANGUAGE="de",DEFAULT=NO,AUTOSELECT=NO,CHANNELS="2",URI="a3/index.m3u8"`),
			item(aac, "German (spoken subtitles)", `,LANGUAGE="de",DEFAULT=NO,AUTOSELECT=YES,CHANNELS="2",URI="a4/index.m3u8"`),
		}},
		{name: "objects", tracks: []media.Track{videoTrack, {Codec: media.EAC3, Config: []byte{0x0b, 0x77, 0x01, 0x7f, 0x3f, 0x86, 0x20, 0x40, 16}}}, count: 2, want: []string{
			item("ec-3", "Audio 1", `,DEFAULT=YES,AUTOSELECT=YES,CHANNELS="16/JOC",URI="a0/index.m3u8"`),
		}},
		{name: "nothing but a description", tracks: []media.Track{videoTrack, as(aacTrack, media.TrackDescription)}, count: 1, want: []string{
			item(aac, "German (audio description)", `,LANGUAGE="de",DEFAULT=YES,AUTOSELECT=YES,CHARACTERISTICS="public.accessibility.describes-video",CHANNELS="2",URI="a0/index.m3u8"`),
		}},
		{name: "two codecs, the one for browsers first", tracks: []media.Track{videoTrack, ac3Track, aacTrack}, count: 2, want: []string{
			item(ac3, "English", `,LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="a0/index.m3u8"`), item(aac, "German", ""),
			fmt.Sprintf(video, ","+aac, `,AUDIO="audio-mp4a.40.2"`) + "#EXT-X-STREAM-INF",
		}},
		{name: "audio that browsers can't play", tracks: []media.Track{videoTrack, mp2Track}, count: 2, want: []string{
			fmt.Sprintf(video, ",mp4a.40.33", `,AUDIO="audio-mp4a.40.33"`), fmt.Sprintf(video, "", ""),
		}},
		{name: "audio only", tracks: []media.Track{aacTrack}, count: 1, want: []string{`CODECS="mp4a.40.2"` + "\na0/index.m3u8\n"}},
		{name: "audio only, two languages", tracks: []media.Track{aacTrack, lang(aacTrack, "eng")}, count: 1, want: []string{
			item(aac, "German", `,LANGUAGE="de",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2"`+"\n"),
			item(aac, "English", `,LANGUAGE="en",DEFAULT=NO,AUTOSELECT=YES,CHANNELS="2",URI="a1/index.m3u8"`),
			`CODECS="mp4a.40.2",AUDIO="audio-mp4a.40.2"` + "\na0/index.m3u8\n",
		}},
		{name: "a track that lies", tracks: []media.Track{videoTrack, {Codec: media.AAC, Config: []byte{0xff}}, aacTrack}, count: 1, want: []string{item(aac, "German", `,LANGUAGE="de",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="a1/index.m3u8"`)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := streamOf(t, test.tracks...)
			text := fetch(t, s, "index.m3u8")
			for _, want := range test.want {
				require.Contains(t, text, want)
			}
			var m playlist.Multivariant
			require.NoError(t, m.Unmarshal([]byte(text)))
			require.Len(t, m.Variants, test.count)
			require.True(t, m.IndependentSegments)
			for _, v := range m.Variants {
				require.Positive(t, v.Bandwidth)
				require.NotNil(t, v.AverageBandwidth)
				require.LessOrEqual(t, *v.AverageBandwidth, v.Bandwidth)
				fetch(t, s, v.URI)
			}
			var ts playlist.Multivariant
			require.NoError(t, ts.Unmarshal([]byte(fetch(t, s, "ts/index.m3u8"))))
			require.Len(t, ts.Variants, 1)
		})
	}
}

// BANDWIDTH is close to what really goes over the line.
func TestBandwidth(t *testing.T) {
	c := ffmpegClip(t, 8, strings.Fields(videoArgs+"-f lavfi -i sine"+h264Args+"-c:a aac -ar 48000")...)
	f := newFeed(t, buffer.Options{})
	f.begin(c.tracks...)
	f.play(c, 0, nil)
	require.NoError(t, f.w.EndEpoch())
	s := f.stream(Options{})
	for _, test := range []struct{ playlist, dir, media string }{{"index.m3u8", "v0/", "v0/index.m3u8"}, {"ts/index.m3u8", "ts/", "ts/media.m3u8"}} {
		var m playlist.Multivariant
		require.NoError(t, m.Unmarshal([]byte(fetch(t, s, test.playlist))))
		bits := 0
		for _, uri := range uris(fetch(t, s, test.media)) {
			if strings.HasPrefix(uri, "seg-") {
				bits += 8 * len(fetch(t, s, test.dir+uri))
				if test.dir == "v0/" {
					bits += 8 * len(fetch(t, s, "a0/"+uri))
				}
			}
		}
		require.InEpsilon(t, bits/8, *m.Variants[0].AverageBandwidth, 0.1, test.playlist)
	}
}

// TestMeasure gives the sizes and durations of segments: the peak is of at least the target duration.
func TestMeasure(t *testing.T) {
	const second = media.ClockRate
	for _, c := range []struct {
		name  string
		sizes [][2]int64 // bytes, ticks
		want  rate
	}{
		{"even", [][2]int64{{1000, 2 * second}, {1000, 2 * second}}, rate{4000, 4000}},
		{"one that is larger", [][2]int64{{1000, 2 * second}, {3000, 2 * second}, {1000, 2 * second}}, rate{12000, 6666}},
		{"a keyframe in a segment of 1 s", [][2]int64{{1000, 2 * second}, {2000, 1 * second}, {500, 2 * second}, {500, 2 * second}}, rate{8000, 4571}},
		{"all are shorter than the target", [][2]int64{{300, second}, {100, second}, {100, second}, {100, second}}, rate{1600, 1200}},
		{"less than the target in all", [][2]int64{{500, second / 2}, {100, second / 2}}, rate{4800, 4800}},
		{"a rendition without samples", [][2]int64{{0, 0}, {1000, 2 * second}, {0, -1}, {0, 0}}, rate{4000, 4000}},
		{"nothing", nil, rate{1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &snapshot{}
			s.targetDuration = 2
			for _, size := range c.sizes {
				s.segments = append(s.segments, &segment{bytes: size[0], length: size[1]})
			}
			require.Equal(t, c.want, s.measure(func(g *segment) (int64, int64) { return g.bytes, g.length }))
		})
	}
}

func TestForcedCut(t *testing.T) {
	f := newFeed(t, buffer.Options{SegmentMax: time.Second})
	f.begin(videoTrack)
	for n := range 100 {
		p := video(n)
		p.RandomAccess = n == 0
		f.packet(p, 0)
	}
	s := f.stream(Options{})
	require.NotContains(t, fetch(t, s, "index.m3u8"), "INDEPENDENT")
	text := fetch(t, s, "v0/index.m3u8")
	require.Equal(t, 1, strings.Count(text, "INDEPENDENT=YES"), text)
}

func TestEpochs(t *testing.T) {
	small := ffmpegClip(t, 4, strings.Fields(videoArgs+"-f lavfi -i sine"+h264Args+"-c:a aac -ar 48000")...)
	large := ffmpegClip(t, 4, strings.Fields("-f lavfi -i testsrc2=s=640x360:r=30 -f lavfi -i sine"+h264Args+"-c:a aac -ar 48000")...)
	f := newFeed(t, buffer.Options{Window: time.Minute})
	s := f.stream(Options{})
	f.begin(small.tracks...)
	f.play(small, 0, nil)
	require.Contains(t, fetch(t, s, "index.m3u8"), "RESOLUTION=320x180")
	f.begin(large.tracks...)
	f.play(large, 5*90000, nil)
	s.advance()
	require.Contains(t, fetch(t, s, "index.m3u8"), "RESOLUTION=640x360", "the newest epoch")
	for _, id := range []string{"v0", "a0"} {
		text := fetch(t, s, id+"/index.m3u8")
		require.Equal(t, 1, strings.Count(text, "#EXT-X-DISCONTINUITY\n#EXT-X-MAP"), text)
		require.Equal(t, 2, strings.Count(text, "#EXT-X-MAP"))
		require.Equal(t, 2, strings.Count(text, "#EXT-X-PROGRAM-DATE-TIME"))
		require.Contains(t, text, "#EXT-X-DISCONTINUITY-SEQUENCE:0\n")
	}
	// The picture alone, after a while: audio renditions have gaps until they leave the playlist.
	f.begin(videoTrack)
	for n := range 1000 {
		f.packet(video(n), f.clock+3000-int64(n)*3000)
		if n == 100 {
			s.advance()
			require.Contains(t, fetch(t, s, "a0/index.m3u8"), "#EXT-X-GAP")
			require.NotContains(t, fetch(t, s, "index.m3u8"), "EXT-X-MEDIA:")
		}
	}
	s.advance()
	require.Equal(t, http.StatusNotFound, get(t, s, "a0/index.m3u8").StatusCode)
	text := fetch(t, s, "v0/index.m3u8")
	require.Contains(t, text, "#EXT-X-DISCONTINUITY-SEQUENCE:2\n")
	require.NotContains(t, text, "#EXT-X-DISCONTINUITY\n")
	require.Equal(t, 30, len(regexp.MustCompile("(?m)^seg-").FindAllString(text, -1)), "half of the window")
}

// The first part of sound of an epoch, which begins well before the picture, is longer than PART-TARGET. So its segment has no parts, and
// must not lie between segments that have: hls.js would pass over it.
func TestSegmentWithoutPartsBetweenParts(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	s := f.stream(Options{})
	whole := 0
	for epoch := range int64(2) {
		f.begin(videoTrack, aacTrack)
		sound := int64(-10000)
		for n := range 150 {
			p := video(n)
			for ; sound <= p.DTS; sound += 1920 {
				f.packet(media.Packet{Track: 1, DTS: sound, PTS: sound, RandomAccess: true, Payload: make([]byte, 100)}, 10000+epoch*500000)
			}
			f.packet(p, 10000+epoch*500000)
			s.advance()
			if !s.current().playable() {
				continue
			}
			listed := false
			all := segmentTexts(fetch(t, s, "a0/index.m3u8"))
			for i, text := range all {
				has := strings.Contains(text, "EXT-X-PART:")
				require.False(t, listed && !has, "segment %d lies between segments with parts, and has none", i)
				listed = listed || has
				if i == len(all)-1 && strings.Contains(text, "EXT-X-DISCONTINUITY\n") && !has {
					whole++
				}
			}
		}
	}
	require.Positive(t, whole, "the case has come up")
}

// TestAwayPublisher has a picture without sound, whose playlist has neither hints nor reports while nobody publishes it.
func TestAwayPublisher(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	f.synthetic(0, 100)
	require.NoError(t, f.w.EndEpoch())
	text := fetch(t, f.stream(Options{}), "v0/index.m3u8")
	require.Regexp(t, `seg-\d+-\d+\.m4s\n#[^\n]*\n$`, text)
	require.NotContains(t, text, "#EXT-X-ENDLIST")
}

// TestOffered has a picture, then sound too, then the picture alone: what a player finds in the multivariant playlist lasts from where it begins on.
func TestOffered(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	s := f.stream(Options{})
	for i, tracks := range [][]media.Track{{videoTrack}, {videoTrack, aacTrack}, {videoTrack}} {
		f.begin(tracks...)
		for n, from := 0, f.clock+3000; n < 240; n++ {
			f.packet(video(n), from)
			if len(tracks) > 1 {
				f.packet(media.Packet{Track: 1, RandomAccess: true, Payload: make([]byte, 200)}, f.clock)
			}
			if s.advance(); i == 0 && n < 60 {
				continue
			}
			heard := i == 1 && n >= 30*holdTargets // as far as a player begins from the end of the playlist
			require.Equal(t, heard, strings.Contains(fetch(t, s, "index.m3u8"), "a0/index.m3u8"), "epoch %d, picture %d", i, n)
			require.Equal(t, heard, strings.Contains(fetch(t, s, "ts/index.m3u8"), "mp4a"), "epoch %d, picture %d", i, n)
		}
	}
}

func TestProgramDateTime(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	f.synthetic(0, 100)
	text := fetch(t, f.stream(Options{}), "v0/index.m3u8")
	require.Contains(t, text, "#EXT-X-PROGRAM-DATE-TIME:"+testStart.UTC().Format(timeFormat)+"\n")
}

func TestLanguage(t *testing.T) {
	for code, want := range map[string][2]string{"ger": {"de", "German"}, "qaa": {}, "und": {}, "": {}, "e": {}, "xyz": {"xyz", "xyz"}, `a"b`: {}} {
		tag, name := language(code)
		require.Equal(t, want, [2]string{tag, name}, code)
	}
}

func TestCanCarry(t *testing.T) {
	require.Equal(t, Carried{FMP4: true, TS: true}, CanCarry(media.H264))
	require.Equal(t, Carried{FMP4: true, TS: true}, CanCarry(media.AAC))
	require.False(t, CanCarry(media.KLV).FMP4)
	require.Equal(t, Carried{}, CanCarry("unknown"))
}

// TestVideoRange: the range is what the parameter sets of the video say.
func TestVideoRange(t *testing.T) {
	const hevc = videoArgs + "-pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=none:pools=1:keyint=30"
	for _, c := range []struct{ name, args, want string }{
		{"nothing is told", hevc, ""},
		{"SDR", hevc + ":transfer=bt709", ""},
		{"PQ", hevc + ":colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc", ",VIDEO-RANGE=PQ"},
		{"HLG", hevc + ":colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc", ",VIDEO-RANGE=HLG"},
		{"HLG in H.264", videoArgs + h264Args + "-x264-params transfer=arib-std-b67", ",VIDEO-RANGE=HLG"},
	} {
		t.Run(c.name, func(t *testing.T) {
			media := ffmpegClip(t, 3, strings.Fields(c.args)...)
			f := newFeed(t, buffer.Options{})
			f.begin(media.tracks...)
			f.play(media, 0, nil)
			s := f.stream(Options{})
			for _, uri := range []string{"index.m3u8", "ts/index.m3u8"} {
				text := fetch(t, s, uri)
				require.Equal(t, c.want, regexp.MustCompile(`,VIDEO-RANGE=\w+`).FindString(text), text)
			}
		})
	}
}

// TestSupplementalCodecs: players that know Dolby Vision are told of it beside what the video is for others.
func TestSupplementalCodecs(t *testing.T) {
	c := ffmpegClip(t, 3, strings.Fields(videoArgs+"-pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=none:pools=1:keyint=30")...)
	c.tracks[0].DolbyVision = []byte{1, 0, 0x10, 0x3d, 0x10}
	f := newFeed(t, buffer.Options{})
	f.begin(c.tracks...)
	f.play(c, 0, nil)
	s := f.stream(Options{})
	for _, uri := range []string{"index.m3u8", "ts/index.m3u8"} {
		require.Regexp(t, `CODECS="hvc1\.[^"]*",SUPPLEMENTAL-CODECS="dvh1\.08\.07/db1p"`, fetch(t, s, uri))
	}
}
