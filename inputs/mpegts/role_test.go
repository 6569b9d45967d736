package mpegts

import (
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

func TestRoles(t *testing.T) {
	for _, c := range []struct {
		name        string
		kind        byte
		descriptors string
		role        media.TrackRole
		language    string
	}{
		{"none", ts.StreamTypeADTS, "", "", ""},
		{"main", ts.StreamTypeADTS, "\x0A\x04fra\x00", "", "fra"},
		{"clean effects", ts.StreamTypeADTS, "\x0A\x04fra\x01", "", "fra"},
		{"hearing impaired", ts.StreamTypeADTS, "\x0A\x04fra\x02", media.TrackHearing, "fra"},
		{"visual impaired commentary", ts.StreamTypeADTS, "\x0A\x04fra\x03", media.TrackDescription, "fra"},
		{"local language", ts.StreamTypeADTS, "\x0A\x04qaa\x00", "", ""},
		{"France", ts.StreamTypeADTS, "\x0A\x04qad\x03\x7F\x05\x06\x85fra", media.TrackDescription, "fra"},
		{"to be mixed", ts.StreamTypeMPEG2Audio, "\x0A\x04eng\x03\x7F\x02\x06\x06", media.TrackNarration, "eng"},
		{"clean audio", ts.StreamTypeADTS, "\x7F\x02\x06\x8A\x0A\x04eng\x00", media.TrackHearing, "eng"},
		{"spoken subtitles", ts.StreamTypeADTS, "\x0A\x04swe\x00\x7F\x02\x06\x8E", media.TrackSubtitles, "swe"},
		{"general", ts.StreamTypeADTS, "\x0A\x04swe\x03\x7F\x02\x06\xDE", "", "swe"},
		{"no code behind the flag", ts.StreamTypeADTS, "\x0A\x04swe\x00\x7F\x03\x06\x85f", media.TrackDescription, "swe"},
		{"cut off", ts.StreamTypeADTS, "\x0A\x04swe\x00\x7F\x01\x06", "", "swe"},
		{"AC-3, whole", 6, "\x6A\x02\x80\x52\x0A\x04eng\x00", media.TrackDescription, "eng"},
		{"AC-3, to be mixed", 6, "\x6A\x02\x80\x12", media.TrackNarration, ""},
		{"E-AC-3, hearing", 6, "\x7A\x02\x80\x58", media.TrackHearing, ""},
		{"E-AC-3, main", 6, "\x7A\x02\x80\x42", "", ""},
		{"video", ts.StreamTypeH264, "\x0A\x04eng\x03", "", "eng"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := ts.Element{Type: c.kind, PID: pidAudio, Descriptors: ts.Descriptors(c.descriptors)}
			f, ok := classify(&e, &ts.PMT{})
			require.True(t, ok)
			require.Equal(t, c.role, f.role)
			require.Equal(t, c.language, f.language)
		})
	}
}

// TestDolbyVision: only a descriptor that is surely one of Dolby Vision, of a kind that others can play, is taken for it.
func TestDolbyVision(t *testing.T) {
	for _, c := range []struct{ descriptors, want string }{
		{"\x05\x04HEVC\xB0\x05\x01\x00\x10\x3D\x1F", "dvh1.08.07/db1p"},
		{"\xB0\x05\x01\x00\x10\x35\x4F", "dvh1.08.06/db4h"},
		{"\xB0\x05\x01\x00\x11\x05\x20", "dvh1.08.32/db2g"},
		{"\xB0\x05\x01\x00\x0A\x35\x0F", ""},         // profile 5
		{"\xB0\x07\x01\x00\x0E\x36\x20\x07\x60", ""}, // profile 7, two layers
		{"\xB0\x05\x02\x00\x10\x3D\x1F", ""},
		{"\xB0\x05\x01\x00\x10\x3D\x0F", ""},
		{"\xB0\x04\x01\x00\x10\x3D", ""},
		{"\xB0\x05hello", ""},
		{"", ""},
	} {
		e := ts.Element{Type: ts.StreamTypeH265, PID: pidVideo, Descriptors: ts.Descriptors(c.descriptors)}
		f, ok := classify(&e, &ts.PMT{})
		require.True(t, ok)
		track := media.Track{Codec: media.H265, DolbyVision: f.dovi[:]}
		require.Equal(t, c.want != "", track.HasDolbyVision(), c.descriptors)
		require.Equal(t, c.want == "", f.dovi == [5]byte{}, c.descriptors)
		if c.want != "" {
			require.Equal(t, c.want[len(c.want)-4:], track.Brand())
		}
	}
	e := ts.Element{Type: ts.StreamTypeH264, Descriptors: ts.Descriptors("\xB0\x05\x01\x00\x10\x3D\x1F")}
	f, _ := classify(&e, &ts.PMT{})
	require.Zero(t, f.dovi)
}

// TestRoleChanges: the same audio that is for others from now on begins an epoch.
func TestRoleChanges(t *testing.T) {
	c := craft().tables(0, withAudio...).audio(pidAudio, 90000, aac(9)).gop(90000, 10)
	c.tables(1, onlyVideo[0], es{ts.StreamTypeADTS, pidAudio, "\x0A\x04eng\x02"}).audio(pidAudio, 90000+9*1920, aac(9)).gop(126000, 10)
	r, _ := demux(t, c.buf, Options{})
	require.Len(t, r.epochs, 2)
	require.Equal(t, media.TrackRole(""), r.epochs[0].Tracks[1].Role)
	require.Equal(t, media.TrackHearing, r.epochs[1].Tracks[1].Role)
}
