package mpegts

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

const (
	pictures = "-f lavfi -i testsrc2=s=320x180:r=25:d=4 "
	tone     = "-f lavfi -i sine=d=4:r=48000 "
	x264     = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p "
)

// oracleClips are broadcast-like streams.
var oracleClips = []struct {
	name   string
	args   string
	codecs []media.Codec
	langs  []string
}{
	{"plain", pictures + tone + x264 + "-g 25 -c:a aac -f mpegts", []media.Codec{media.H264, media.AAC}, nil},
	{"b-frames", pictures + tone + x264 + "-bf 3 -g 25 -x264-params b-adapt=0:bframes=3 -c:a aac -f mpegts", []media.Codec{media.H264, media.AAC}, nil},
	{"interlaced", pictures + tone + x264 + "-bf 2 -g 25 -flags +ilme+ildct -x264-params tff=1 -c:a mp2 -f mpegts", []media.Codec{media.H264, media.MP2}, nil},
	{"open GOP", pictures + x264 + "-preset medium -bf 2 -g 12 -x264-params open-gop=1:keyint=12:min-keyint=12:scenecut=0 -f mpegts", []media.Codec{media.H264}, nil},
	{"slices", pictures + x264 + "-x264-params slices=4:keyint=25 -f mpegts", []media.Codec{media.H264}, nil},
	{"hevc", pictures + tone + "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=0:keyint=25:bframes=3 -c:a ac3 -f mpegts", []media.Codec{media.H265, media.AC3}, nil},
	{"hevc open GOP", pictures + "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=0:keyint=12:min-keyint=12:open-gop=1:bframes=3 -f mpegts", []media.Codec{media.H265}, nil},
	{"hevc in layers", pictures + "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=0:keyint=25:temporal-layers=3:bframes=3 -f mpegts", []media.Codec{media.H265}, nil},
	{
		"several audio tracks", pictures + tone + "-f lavfi -i sine=f=900:d=4:r=44100 -map 0 -map 1 -map 2 -map 1 " + x264 +
			"-c:a aac -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu -c:a:2 mp2 -f mpegts",
		[]media.Codec{media.H264, media.AAC, media.AAC, media.MP2},
		[]string{"", "eng", "deu", ""},
	},
	{"mp2", tone + "-c:a mp2 -f mpegts", []media.Codec{media.MP2}, nil},
	{"mp3", tone + "-c:a libmp3lame -f mpegts", []media.Codec{media.MP3}, nil},
	{"mp3 at a low rate", tone + "-c:a libmp3lame -ar 22050 -f mpegts", []media.Codec{media.MP3}, nil},
	{"ac3", tone + "-c:a ac3 -ac 6 -f mpegts", []media.Codec{media.AC3}, nil},
	{"ac3 at 44.1 kHz", tone + "-c:a ac3 -ar 44100 -f mpegts", []media.Codec{media.AC3}, nil},
	{"ac3 for DVB", tone + "-c:a ac3 -mpegts_flags system_b -f mpegts", []media.Codec{media.AC3}, nil},
	{"eac3", tone + "-c:a eac3 -f mpegts", []media.Codec{media.EAC3}, nil},
	{"opus", tone + "-c:a libopus -f mpegts", []media.Codec{media.Opus}, nil},
	{"opus surround", tone + "-c:a libopus -ac 6 -mapping_family 1 -f mpegts", []media.Codec{media.Opus}, nil},
	{"aac at 44.1 kHz", tone + "-c:a aac -ar 44100 -f mpegts", []media.Codec{media.AAC}, nil},
	{"latm", pictures + tone + x264 + "-c:a aac -mpegts_flags latm -f mpegts", []media.Codec{media.H264, media.AAC}, nil},
	{"lengths told", pictures + tone + x264 + "-b:v 300k -c:a aac -omit_video_pes_length 0 -f mpegts", []media.Codec{media.H264, media.AAC}, nil},
	{"constant rate", pictures + tone + x264 + "-c:a aac -muxrate 3M -f mpegts", []media.Codec{media.H264, media.AAC}, nil},
	{"wrap", pictures + tone + x264 + "-bf 2 -c:a aac -output_ts_offset 95441.7 -f mpegts", []media.Codec{media.H264, media.AAC}, nil},
	{"zero", pictures + tone + x264 + "-bf 2 -c:a aac -muxdelay 0 -muxpreload 0 -f mpegts", []media.Codec{media.H264, media.AAC}, nil},
}

// TestOracle compares with the packets that ffprobe finds.
func TestOracle(t *testing.T) {
	for _, c := range oracleClips {
		t.Run(c.name, func(t *testing.T) {
			clip := ffmpeg(t, strings.Fields(c.args)...)
			r, d := demux(t, clip, Options{})
			require.Len(t, r.epochs, 1)
			e := &r.epochs[0]
			var codecs []media.Codec
			for i, tr := range e.Tracks {
				codecs = append(codecs, tr.Codec)
				if c.langs != nil {
					require.Equal(t, c.langs[i], tr.Language)
				}
				p, err := tr.Params()
				require.NoError(t, err)
				require.NotEmpty(t, p.CodecString)
				if tr.Codec.Kind() == media.Video {
					require.Equal(t, []any{320, 180, 25.0, c.name == "interlaced"}, []any{p.Width, p.Height, p.FrameRate, p.Interlaced})
				} else {
					require.Positive(t, p.SampleRate)
					require.Positive(t, p.Channels)
				}
			}
			require.Equal(t, c.codecs, codecs)
			want := ffprobe(t, clip)
			for i := range e.Tracks {
				comparePackets(t, fmt.Sprintf("track %d", i), want[i], e.track(i), e.Tracks[i].Codec)
			}
			s := d.Stats()
			require.Equal(t, uint64(len(clip)), s.Bytes)
			require.Equal(t, uint64(len(clip)/ts.PacketSize), s.Packets)
			require.Equal(t, uint64(len(e.Packets)), s.Units)
			s.Bytes, s.Packets, s.Units, s.Epochs, s.UnknownPackets = 0, 0, 0, 0, 0
			require.Zero(t, s)
		})
	}
}

func comparePackets(t *testing.T, what string, want []probed, got []media.Packet, codec media.Codec) {
	t.Helper()
	require.Equal(t, len(want), len(got), "%s: units", what)
	video := codec.Kind() == media.Video
	last, slack := int64(-1<<62), int64(0)
	if codec.Kind() == media.Audio {
		slack = 20 // ffprobe adds up durations that it has rounded
	}
	for i := range want {
		require.LessOrEqual(t, abs(ts.Distance(got[i].DTS, want[i].DTS)), slack, "%s: DTS of unit %d", what, i)
		require.LessOrEqual(t, abs(ts.Distance(got[i].PTS, want[i].PTS)), slack, "%s: PTS of unit %d", what, i)
		if video {
			require.Equal(t, strings.HasPrefix(want[i].Flags, "K"), got[i].RandomAccess, "%s: random access of unit %d", what, i)
		}
		require.Greater(t, got[i].DTS, last, what)
		require.GreaterOrEqual(t, got[i].DTS, int64(0))
		last = got[i].DTS
		size := len(got[i].Payload)
		switch codec {
		case media.MP2, media.MP3, media.AC3, media.EAC3, media.Opus:
			require.Equal(t, want[i].size(), size, "%s: size of unit %d", what, i)
		}
	}
}
