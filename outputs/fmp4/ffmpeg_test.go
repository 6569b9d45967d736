package fmp4

import (
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"

	"brume/media"
)

const (
	pictures = "-f lavfi -i testsrc2=s=320x180:r=25:d=3 "
	tone     = "-f lavfi -i sine=d=3:r=48000 "
	x264     = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 "
	x265     = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=0:keyint=25:bframes=3 "
)

var clips = []struct {
	name, args string
	kind       string // of the sample entry
	probed     string // what ffprobe says of it
}{
	{"h264", pictures + x264, "avc1", "h264,320,180"},
	{"h264 high with B-frames", pictures + x264 + "-preset veryfast -bf 3", "avc1", "h264,320,180"},
	{"h264 anamorphic", pictures + x264 + "-vf setsar=16/11 -colorspace bt709 -color_primaries bt709 -color_trc bt709", "avc1", "h264,320,180"},
	{"h264 cropped", "-f lavfi -i testsrc2=s=318x178:r=25:d=2 " + x264, "avc1", "h264,318,178"},
	{"h264 10 bit 4:2:2", "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv422p10le", "avc1", "h264,320,180"},
	{"h264 interlaced", pictures + x264 + "-flags +ilme+ildct -x264-params tff=1", "avc1", "h264,320,180"},
	{"hevc", pictures + x265, "hvc1", "hevc,320,180"},
	{"hevc 10 bit", "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params log-level=0", "hvc1", "hevc,320,180"},
	{"aac", tone + "-c:a aac", "mp4a", "aac,48000,1"},
	{"aac 7.1", tone + "-c:a aac -ac 8", "mp4a", "aac,48000,8"},
	{"aac at 96 kHz", tone + "-c:a aac -ar 96000 -ac 2", "mp4a", "aac,96000,2"},
	{"mp2", tone + "-c:a mp2 -ac 2", "mp4a", "mp3,48000,2"}, // one object type for all layers; a decoder reads the frames
	{"mp3", tone + "-c:a libmp3lame -ac 2", "mp4a", "mp3,48000,2"},
	{"mp3 at a low rate", tone + "-c:a libmp3lame -ar 22050", "mp4a", "mp3,22050,1"},
	{"ac3", tone + "-c:a ac3 -ac 2", "ac-3", "ac3,48000,2"},
	{"ac3 5.1", tone + "-c:a ac3 -ac 6 -b:a 448k", "ac-3", "ac3,48000,6"},
	{"ac3 at 32 kHz", tone + "-c:a ac3 -ar 32000", "ac-3", "ac3,32000,1"},
	{"eac3", tone + "-c:a eac3 -ac 2", "ec-3", "eac3,48000,2"},
	{"eac3 5.1", tone + "-c:a eac3 -ac 6", "ec-3", "eac3,48000,6"},
	{"opus", tone + "-c:a libopus -ac 2", "Opus", "opus,48000,2"},
	{"opus 5.1", tone + "-c:a libopus -ac 6 -mapping_family 1", "Opus", "opus,48000,6"},
}

// TestFFmpeg compares the initialization section with the one that ffmpeg writes for the same stream, reads the samples back with
// mp4ff, and has ffmpeg decode the file.
func TestFFmpeg(t *testing.T) {
	for _, c := range clips {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			source := run(t, nil, "ffmpeg", "-nostdin -v error "+c.args+" -threads 1 -f mpegts -")
			track, packets := units(t, source)
			out := fragments(t, track, packets, 7)
			file := parse(t, out)
			theirs := parse(t, run(t, source, "ffmpeg", "-v error -f mpegts -i - -c copy -bsf:a "+bitstreamFilter(track.Codec)+" -strict -2 -f mp4 -movflags frag_keyframe+empty_moov+delay_moov -"))
			compareEntries(t, track, theirs.Init.Moov.Trak, file.Init.Moov.Trak)
			require.Equal(t, c.kind, file.Init.Moov.Trak.Mdia.Minf.Stbl.Stsd.Children[0].Type())

			all := samples(t, file)
			require.Equal(t, len(packets), len(all))
			for i, p := range packets {
				require.Equal(t, p.Payload, all[i].Data, "sample %d", i)
				require.Equal(t, p.DTS-packets[0].DTS, int64(all[i].DecodeTime))
				require.Equal(t, p.PTS-p.DTS, int64(all[i].CompositionTimeOffset))
				require.Equal(t, p.RandomAccess, all[i].IsSync())
			}
			decoder := ""
			if track.Codec == media.MP2 {
				decoder = "-c:a mp2 " // of MP4 ffmpeg learns only late that it is not layer III, whose decoder rounds differently
			}
			require.Equal(t, frames(t, source, decoder+"-f mpegts"), frames(t, out, decoder+"-f mp4"), "decoded content")
			entries := "codec_name,sample_rate,channels"
			if track.Codec.Kind() == media.Video {
				entries = "codec_name,width,height"
			}
			require.Equal(t, c.probed, strings.TrimRight(string(run(t, out, "ffprobe", "-v error -show_entries stream="+entries+" -of csv=p=0 -")), ",\n"))
		})
	}
}

func bitstreamFilter(c media.Codec) string {
	if c == media.AAC {
		return "aac_adtstoasc"
	}
	return "null"
}

// compareEntries looks at what a decoder is set up with.
func compareEntries(t *testing.T, track *media.Track, want, got *mp4.TrakBox) {
	t.Helper()
	w, g := want.Mdia.Minf.Stbl.Stsd, got.Mdia.Minf.Stbl.Stsd
	switch track.Codec {
	case media.H264:
		require.Equal(t, encode(t, w.AvcX.AvcC), encode(t, g.AvcX.AvcC))
	case media.H265:
		a, b := w.HvcX.HvcC, g.HvcX.HvcC
		require.Equal(t, a.GeneralProfileIDC, b.GeneralProfileIDC)
		require.Equal(t, a.GeneralProfileCompatibilityFlags, b.GeneralProfileCompatibilityFlags)
		require.Equal(t, a.GeneralConstraintIndicatorFlags, b.GeneralConstraintIndicatorFlags)
		require.Equal(t, []any{a.GeneralLevelIDC, a.GeneralTierFlag, a.GeneralProfileSpace, a.ChromaFormatIDC, a.BitDepthLumaMinus8, a.BitDepthChromaMinus8, a.NumTemporalLayers, a.TemporalIDNested, a.LengthSizeMinusOne},
			[]any{b.GeneralLevelIDC, b.GeneralTierFlag, b.GeneralProfileSpace, b.ChromaFormatIDC, b.BitDepthLumaMinus8, b.BitDepthChromaMinus8, b.NumTemporalLayers, b.TemporalIDNested, b.LengthSizeMinusOne})
		for i := range 3 {
			require.Equal(t, a.NaluArrays[i].Nalus, b.NaluArrays[i].Nalus)
			require.Equal(t, byte(1), b.NaluArrays[i].Complete())
		}
	case media.AAC:
		require.Equal(t, w.Mp4a.Esds.DecConfigDescriptor.ObjectType, g.Mp4a.Esds.DecConfigDescriptor.ObjectType)
		ours := g.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig
		require.Equal(t, ours, w.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig[:len(ours)])
	case media.MP2, media.MP3:
		require.Equal(t, w.Mp4a.Esds.DecConfigDescriptor.ObjectType, g.Mp4a.Esds.DecConfigDescriptor.ObjectType)
	case media.AC3:
		require.Equal(t, encode(t, w.AC3.Dac3), encode(t, g.AC3.Dac3))
	case media.EAC3:
		require.Equal(t, encode(t, w.EC3.Dec3), encode(t, g.EC3.Dec3))
	case media.Opus:
		require.Equal(t, encode(t, w.Opus.Dops), encode(t, g.Opus.Dops))
	}
	if track.Codec.Kind() == media.Video {
		a, b := w.Children[0].(*mp4.VisualSampleEntryBox), g.Children[0].(*mp4.VisualSampleEntryBox)
		require.Equal(t, []uint16{a.Width, a.Height}, []uint16{b.Width, b.Height})
		require.InDelta(t, float64(want.Tkhd.Width), float64(got.Tkhd.Width), 1<<16, "displayed width")
		require.Equal(t, want.Tkhd.Height, got.Tkhd.Height)
		if a.Pasp != nil && a.Pasp.HSpacing != a.Pasp.VSpacing {
			require.Equal(t, a.Pasp, b.Pasp)
		}
		return
	}
	a, b := w.Children[0].(*mp4.AudioSampleEntryBox), g.Children[0].(*mp4.AudioSampleEntryBox)
	require.Equal(t, a.SampleRate, b.SampleRate)
	p, err := track.Params()
	require.NoError(t, err)
	require.Equal(t, p.Channels, int(b.ChannelCount)) // ffmpeg says 2 always
}
