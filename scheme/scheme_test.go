package scheme

import (
	"testing"

	"github.com/stretchr/testify/require"

	"brume/srt"
)

func TestParse(t *testing.T) {
	s, u, err := Parse("srt://example.org:9000?streamid=read:$stream&passphrase=correct horse", "live")
	require.ErrorIs(t, err, srt.ErrURL)
	require.NotContains(t, err.Error(), "correct")
	require.Nil(t, s)
	require.Nil(t, u)

	s, u, err = Parse("srt://example.org:9000?streamid=read:$stream", "live")
	require.NoError(t, err)
	require.Equal(t, ProgramSRT, s.Program)
	require.True(t, s.Source && s.Target)
	require.Equal(t, "read:live", u.(*srt.URL).StreamID)

	for _, raw := range []string{"", "srt", "rtmp://secret", "SRT://h:1", "secret@h", "://"} {
		_, _, err = Parse(raw, "live")
		require.ErrorContains(t, err, "srt://")
		require.NotContains(t, err.Error(), "secret")
	}
	require.Equal(t, []string{"srt"}, Names())
}
