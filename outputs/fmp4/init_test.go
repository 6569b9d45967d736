package fmp4

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"

	"brume/media"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// Parameter sets that x264 wrote: 320x180, High profile.
var configH264 = prefixed(unhex("6764000cacd941419f9f011000000300100000030320f1429960"), unhex("68ebe3cb22c0"))

// Parameter sets that x265 wrote for the same.
var configH265 = prefixed(unhex("40010c01ffff01600000030090000003000003003c959409"),
	unhex("42010101600000030090000003000003003ca00a080c1f3e595952930bc05a020000030002000003003210"), unhex("4401c073c189"))

func TestSupports(t *testing.T) {
	for _, c := range []media.Codec{media.H264, media.H265, media.AAC, media.MP2, media.MP3, media.AC3, media.EAC3, media.Opus} {
		require.True(t, Supports(c), c)
	}
	for _, c := range []media.Codec{media.SCTE35, media.KLV, "vp9", ""} {
		require.False(t, Supports(c), c)
		_, err := Init(&media.Track{Codec: c})
		require.ErrorIs(t, err, ErrUnsupported)
	}
}

func TestLanguages(t *testing.T) {
	for in, want := range map[string]string{"": "und", "eng": "eng", "zza": "zza", "ENG": "und", "e\xffg": "und", "english": "und", "`{~": "und"} {
		tr := aacTrack
		tr.Language = in
		b, err := Init(&tr)
		require.NoError(t, err)
		f, err := mp4.DecodeFile(bytes.NewReader(b))
		require.NoError(t, err)
		require.Equal(t, want, f.Init.Moov.Trak.Mdia.Mdhd.GetLanguage())
	}
}

func TestInitIsTheSameEachTime(t *testing.T) {
	a, err := Init(&media.Track{Codec: media.H264, Config: configH264})
	require.NoError(t, err)
	b, err := Init(&media.Track{Codec: media.H264, Config: configH264})
	require.NoError(t, err)
	require.Equal(t, a, b)
}

func TestFormOfTheInit(t *testing.T) {
	f := parse(t, initOf(t))
	require.Equal(t, "iso6", f.Init.Ftyp.MajorBrand())
	require.Contains(t, f.Init.Ftyp.CompatibleBrands(), "cmfc")
	require.Equal(t, uint32(media.ClockRate), f.Init.Moov.Trak.Mdia.Mdhd.Timescale)
	require.True(t, f.IsFragmented())
	require.Equal(t, uint32(1), f.Init.Moov.Mvex.Trex.TrackID)
	require.Equal(t, uint32(1), f.Init.Moov.Trak.Tkhd.TrackID)
	require.Equal(t, uint32(2), f.Init.Moov.Mvhd.NextTrackID)
}

func TestChannels(t *testing.T) {
	for _, c := range []struct {
		name     string
		track    media.Track
		channels uint16
		rate     uint16
	}{
		{"aac stereo", media.Track{Codec: media.AAC, Config: []byte{0x11, 0x90}}, 2, 48000},
		{"aac 7.1, configuration 7", media.Track{Codec: media.AAC, Config: []byte{0x11, 0xb8}}, 8, 48000},
		{"he-aac tells its core", media.Track{Codec: media.AAC, Config: []byte{0x2b, 0x11, 0x88, 0}}, 2, 24000},
		{"aac over 65535 Hz", media.Track{Codec: media.AAC, Config: []byte{0x10, 0x10}}, 2, 0},
		{"opus mono", media.Track{Codec: media.Opus, Config: []byte{1, 1, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0}}, 1, 48000},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := Init(&c.track)
			require.NoError(t, err)
			e := parse(t, b).Init.Moov.Trak.Mdia.Minf.Stbl.Stsd.Children[0].(*mp4.AudioSampleEntryBox)
			require.Equal(t, []uint16{c.channels, c.rate}, []uint16{e.ChannelCount, e.SampleRate})
		})
	}
}

// TestObjects: dec3 tells the objects of E-AC-3 behind what it tells without.
func TestObjects(t *testing.T) {
	config := []byte{0x0b, 0x77, 0x01, 0x7f, 0x3f, 0x86, 0x20, 0x40}
	box := func(config []byte) []byte {
		b, err := Init(&media.Track{Codec: media.EAC3, Config: config})
		require.NoError(t, err)
		at := bytes.Index(b, []byte("dec3")) - 4
		return b[at : at+int(b[at+3])]
	}
	plain := box(config)
	require.Len(t, plain, 13)
	with := box(append(config, 16))
	require.Equal(t, append([]byte{0, 0, 0, 15}, plain[4:]...), with[:13])
	require.Equal(t, []byte{1, 16}, with[13:])
}

// TestDolbyVision: H.265 that others can play without it says so beside.
func TestDolbyVision(t *testing.T) {
	record := []byte{1, 0, 0x10, 0x3d, 0x40}
	b, err := Init(&media.Track{Codec: media.H265, Config: configH265, DolbyVision: record})
	require.NoError(t, err)
	require.Contains(t, parse(t, b).Init.Ftyp.CompatibleBrands(), "db4h")
	at := bytes.Index(b, []byte("dvvC"))
	require.Greater(t, at, bytes.Index(b, []byte("hvcC")))
	require.Equal(t, []byte{0, 0, 0, 32}, b[at-4:at])
	require.Equal(t, append(record, make([]byte, 19)...), b[at+4:at+28])
	for _, other := range [][]byte{nil, {1, 0, 0x0a, 0x3d, 0x00}, {1}} {
		b, err := Init(&media.Track{Codec: media.H265, Config: configH265, DolbyVision: other})
		require.NoError(t, err)
		require.NotContains(t, string(b), "dvvC")
		require.NotContains(t, string(b), "db4h")
	}
}

func TestHostileConfigs(t *testing.T) {
	for _, c := range []struct {
		name   string
		codec  media.Codec
		config []byte
	}{
		{"h264 without sets", media.H264, nil},
		{"h264 without PPS", media.H264, configH264[:30]},
		{"h264 cut", media.H264, configH264[:12]},
		{"h264 length over the end", media.H264, []byte{0, 0, 1, 0, 0x67}},
		{"h264 SPS of noise", media.H264, prefixed([]byte{0x67, 0xff, 0xff, 0xff, 0xff}, []byte{0x68, 1, 2})},
		{"h265 without sets", media.H265, prefixed([]byte{0x40, 1, 1})},
		{"h265 SPS cut", media.H265, prefixed([]byte{0x40, 1, 1}, []byte{0x42, 1, 1}, []byte{0x44, 1, 1})},
		{"aac empty", media.AAC, nil},
		{"aac cut", media.AAC, []byte{0x11}},
		{"mp2 empty", media.MP2, nil},
		{"mp3 not a header", media.MP3, []byte{1, 2, 3, 4}},
		{"ac3 short", media.AC3, []byte{0x0b, 0x77, 0}},
		{"ac3 rate of no use", media.AC3, []byte{0x0b, 0x77, 0, 0, 0xc0, 0x40, 0, 0}},
		{"eac3 without sync", media.EAC3, make([]byte, 8)},
		{"eac3 reserved rate", media.EAC3, []byte{0x0b, 0x77, 0, 0, 0xf0, 0x80, 0, 0}},
		{"opus short", media.Opus, []byte{1, 2}},
		{"opus without channels", media.Opus, make([]byte, 11)},
		{"opus mapping cut", media.Opus, []byte{1, 6, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := Init(&media.Track{Codec: c.codec, Config: c.config})
			require.Error(t, err)
			require.NotErrorIs(t, err, ErrUnsupported)
			require.Nil(t, b)
		})
	}
}

// FuzzInit takes any configuration: what is accepted is a file that reads.
func FuzzInit(f *testing.F) {
	codecs := []media.Codec{media.H264, media.H265, media.AAC, media.MP2, media.MP3, media.AC3, media.EAC3, media.Opus}
	f.Add(byte(0), configH264)
	f.Add(byte(1), configH265)
	f.Add(byte(2), []byte{0x11, 0x90})
	f.Add(byte(3), []byte{0xff, 0xfd, 0x84, 0})
	f.Add(byte(4), []byte{0xff, 0xfb, 0x90, 0})
	f.Add(byte(5), []byte{0x0b, 0x77, 0x12, 0x34, 0x14, 0x40, 0x43, 0xe1})
	f.Add(byte(6), []byte{0x0b, 0x77, 0x01, 0x7f, 0x34, 0x86, 0xff, 0xe1})
	f.Add(byte(7), []byte{1, 6, 0x38, 1, 0x80, 0xbb, 0, 0, 0, 0, 1, 4, 2, 0, 4, 1, 2, 3, 5})
	f.Fuzz(func(t *testing.T, codec byte, config []byte) {
		b, err := Init(&media.Track{Codec: codecs[int(codec)%len(codecs)], Config: config})
		if err != nil {
			require.Nil(t, b)
			return
		}
		require.Less(t, len(b), 1<<20)
		for at := 0; at < len(b); {
			require.GreaterOrEqual(t, len(b)-at, 8)
			n := int(uint32(b[at])<<24 | uint32(b[at+1])<<16 | uint32(b[at+2])<<8 | uint32(b[at+3]))
			require.GreaterOrEqual(t, n, 8)
			at += n
			require.LessOrEqual(t, at, len(b))
		}
	})
}
