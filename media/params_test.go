package media

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"
)

// sets puts parameter sets into the form of Track.Config.
func sets(t testing.TB, list ...string) (b []byte) {
	t.Helper()
	for _, s := range list {
		n := unhex(t, s)
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(n))), n...)
	}
	return b
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func TestParams(t *testing.T) {
	for _, c := range []struct {
		name   string
		codec  Codec
		config []byte
		want   Params
	}{
		{
			"H.264 720p", H264, sets(t, "67640028acd9405005bb011000000300100000030320f1831960", "68ebecb22c"),
			Params{Width: 1280, Height: 720, FrameRate: 25, CodecString: "avc1.640028"},
		},
		{
			"H.264 with cropping, baseline", H264, sets(t, "6742c01fd900780227e584000003000400000300f03c60c920", "68cb83cb20"),
			Params{Width: 1920, Height: 1080, FrameRate: 30, CodecString: "avc1.42C01F"},
		},
		{
			"AAC", AAC, unhex(t, "1190"),
			Params{SampleRate: 48000, Channels: 2, FrameDuration: 1920, CodecString: "mp4a.40.2"},
		},
		{
			"AAC at 44.1 kHz, mono", AAC, unhex(t, "1208"),
			Params{SampleRate: 44100, Channels: 1, FrameDuration: 2089, CodecString: "mp4a.40.2"},
		},
		{
			"HE-AAC", AAC, unhex(t, "2b118800"),
			Params{SampleRate: 48000, Channels: 2, FrameDuration: 3840, CodecString: "mp4a.40.5"},
		},
		{
			"HE-AAC v2", AAC, unhex(t, "eb098800"),
			Params{SampleRate: 48000, Channels: 2, FrameDuration: 3840, CodecString: "mp4a.40.29"},
		},
		{
			"HE-AAC in an extension", AAC, unhex(t, "131056e598"),
			Params{SampleRate: 48000, Channels: 2, FrameDuration: 3840, CodecString: "mp4a.40.5"},
		},
		{
			"HE-AAC v2 in an extension", AAC, unhex(t, "130856e59d4880"),
			Params{SampleRate: 48000, Channels: 2, FrameDuration: 3840, CodecString: "mp4a.40.29"},
		},
		{
			"an extension that says that there is no SBR", AAC, unhex(t, "131056e500"),
			Params{SampleRate: 24000, Channels: 2, FrameDuration: 3840, CodecString: "mp4a.40.2"},
		},
		{
			"an extension that is cut off", AAC, unhex(t, "131056e5"),
			Params{SampleRate: 24000, Channels: 2, FrameDuration: 3840, CodecString: "mp4a.40.2"},
		},
		{
			"layer II", MP2, unhex(t, "fffdc400"),
			Params{SampleRate: 48000, Channels: 2, FrameDuration: 2160, CodecString: "mp4a.40.33"},
		},
		{
			"layer III, MPEG-2, mono", MP3, unhex(t, "fff364c0"),
			Params{SampleRate: 24000, Channels: 1, FrameDuration: 2160, CodecString: "mp4a.40.34"},
		},
		{
			"AC-3 5.1", AC3, unhex(t, "0b77c8de1c40e1f8"),
			Params{SampleRate: 48000, Channels: 6, FrameDuration: 2880, CodecString: "ac-3"},
		},
		{
			"E-AC-3", EAC3, unhex(t, "0b77017f3f862040")[:8],
			Params{SampleRate: 48000, Channels: 6, FrameDuration: 2880, CodecString: "ec-3"},
		},
		{
			"E-AC-3 with objects", EAC3, unhex(t, "0b77017f3f86204010"),
			Params{SampleRate: 48000, Channels: 6, Objects: 16, FrameDuration: 2880, CodecString: "ec-3"},
		},
		{
			"E-AC-3 with too many", EAC3, unhex(t, "0b77017f3f86204011"),
			Params{SampleRate: 48000, Channels: 6, FrameDuration: 2880, CodecString: "ec-3"},
		},
		{
			"Opus", Opus, unhex(t, "0102380180bb0000000000"),
			Params{SampleRate: 48000, Channels: 2, CodecString: "opus"},
		},
		{"SCTE 35", SCTE35, nil, Params{}},
		{"KLV", KLV, nil, Params{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			track := Track{Codec: c.codec, Config: c.config}
			got, err := track.Params()
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestParamsThatLie(t *testing.T) {
	for _, c := range []struct {
		name   string
		codec  Codec
		config []byte
	}{
		{"nothing", H264, nil},
		{"no sequence parameter set", H264, sets(t, "68ebecb22c")},
		{"a length over the end", H264, []byte{0, 0, 1, 0, 0x67, 1}},
		{"an empty NAL unit", H265, []byte{0, 0, 0, 0}},
		{"zeros", H265, sets(t, "4201000000000000000000000000000000000000")},
		{"too long", AAC, make([]byte, MaxConfigSize+1)},
		{"short", AAC, []byte{0x11}},
		{"reserved rate", AAC, unhex(t, "1690")},
		{"object type", AAC, unhex(t, "f9483080")},
		{"free format", MP2, unhex(t, "fffd0400")},
		{"short", AC3, []byte{0x0B, 0x77}},
		{"no sync word", AC3, make([]byte, 8)},
		{"no sync word", EAC3, make([]byte, 8)},
		{"no channels", Opus, make([]byte, 11)},
		{"unknown codec", "theora", nil},
	} {
		t.Run(string(c.codec)+", "+c.name, func(t *testing.T) {
			_, err := (&Track{Codec: c.codec, Config: c.config}).Params()
			require.ErrorIs(t, err, ErrConfig)
		})
	}
}

// TestAudioSpecificConfig compares with another implementation.
func TestAudioSpecificConfig(t *testing.T) {
	for _, want := range []mpeg4audio.AudioSpecificConfig{
		{Type: 2, SampleRate: 48000, ChannelConfig: 2},
		{Type: 2, SampleRate: 7350, ChannelConfig: 1},
		{Type: 2, SampleRate: 96000, ChannelConfig: 7},
		{Type: 2, SampleRate: 53333, ChannelConfig: 6},
		{Type: 2, SampleRate: 24000, ChannelConfig: 1, ExtensionType: 5, ExtensionSampleRate: 48000},
		{Type: 2, SampleRate: 22050, ChannelConfig: 2, ExtensionType: 5, ExtensionSampleRate: 44100},
		{Type: 2, SampleRate: 44100, ChannelConfig: 2, FrameLengthFlag: true},
		{Type: 2, SampleRate: 44100, ChannelConfig: 2, DependsOnCoreCoder: true, CoreCoderDelay: 385},
	} {
		b, err := want.Marshal()
		require.NoError(t, err)
		got, err := ParseAudioSpecificConfig(b)
		require.NoError(t, err)
		var check mpeg4audio.AudioSpecificConfig
		require.NoError(t, check.Unmarshal(b))
		rate, samples := check.SampleRate, 1024
		if check.FrameLengthFlag {
			samples = 960
		}
		if check.ExtensionType != 0 {
			rate, samples = check.ExtensionSampleRate, 2*samples
		}
		require.Equal(t, rate, got.SampleRate)
		require.Equal(t, [8]int{0, 1, 2, 3, 4, 5, 6, 8}[check.ChannelConfig], got.Channels)
		require.Equal(t, samples, got.FrameSamples)
		require.Equal(t, len(b), (got.Bits+7)/8)
	}
}

// TestADTSConfig: where the header leaves the channels open, the frame tells them.
func TestADTSConfig(t *testing.T) {
	plain := []byte{0xFF, 0xF1, 0x4C, 0x80, 0, 0, 0}
	require.Equal(t, []byte{0x11, 0x90}, ADTSConfig(plain, 7))

	open := []byte{0xFF, 0xF1, 0x4C, 0x00, 0, 0, 0}
	require.Nil(t, ADTSConfig(open, 7))
	require.Nil(t, ADTSConfig(append(open, 0x20, 0, 0, 0, 0, 0, 0, 0), 7), "no program config element")

	// Element 5, tag 0, LC, 48 kHz, two channel pairs in front and one LFE, comment of one byte.
	pce := append(bytes.Clone(open), 0b101_0000_0, 0b1_0011_001, 0b0_0000_000, 0b0_01_000_00, 0b00_0_0_0_1_00, 0b00_1_0001_0, 0b000_00000, 1, 'x')
	config := ADTSConfig(pce, 7)
	c, err := ParseAudioSpecificConfig(config)
	require.NoError(t, err)
	require.Equal(t, 5, c.Channels)
	require.Equal(t, 48000, c.SampleRate)
	require.Equal(t, 8*len(config), c.Bits)
}

func TestMPEGAudioHeader(t *testing.T) {
	for _, c := range []struct {
		name string
		head string
		want MPEGAudioHeader
	}{
		{"layer I", "ffff8400", MPEGAudioHeader{1, 48000, 2, 384, 256}},
		{"layer II", "fffdc400", MPEGAudioHeader{2, 48000, 2, 1152, 768}},
		{"layer II with padding", "fffdc2c0", MPEGAudioHeader{2, 44100, 1, 1152, 836}},
		{"layer III", "fffb9000", MPEGAudioHeader{3, 44100, 2, 1152, 417}},
		{"layer III of MPEG-2", "fff38000", MPEGAudioHeader{3, 22050, 2, 576, 208}},
		{"layer III of MPEG-2.5", "ffe38000", MPEGAudioHeader{3, 11025, 2, 576, 417}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, ok := ParseMPEGAudioHeader(unhex(t, c.head))
			require.True(t, ok)
			require.Equal(t, c.want, h)
		})
	}
	for _, bad := range []string{"", "fffd", "00fdc400", "ffe9c400", "fff9c400", "fffdf400", "fffdcc00"} {
		_, ok := ParseMPEGAudioHeader(unhex(t, bad))
		require.False(t, ok, bad)
	}
}

// FuzzParams takes anything for codec parameters.
func FuzzParams(f *testing.F) {
	codecs := []Codec{H264, H265, AAC, MP2, AC3, EAC3, Opus}
	f.Add(uint8(2), []byte{0x11, 0x90})
	f.Fuzz(func(t *testing.T, codec uint8, config []byte) {
		track := Track{Codec: codecs[int(codec)%len(codecs)], Config: config}
		p, err := track.Params()
		if err != nil {
			require.ErrorIs(t, err, ErrConfig)
			return
		}
		require.NotEmpty(t, p.CodecString)
		require.LessOrEqual(t, p.FrameRate, 1000.0)
		if track.Codec.Kind() == Video {
			require.Positive(t, p.Width)
			require.Positive(t, p.Height)
			require.LessOrEqual(t, max(p.Width, p.Height), 16384)
		} else {
			require.Positive(t, p.SampleRate)
		}
	})
}
