package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzConfig: whatever the file and the environment hold, there is either an error or a
// configuration whose every value is in range.
func FuzzConfig(f *testing.F) {
	text, err := os.ReadFile(example)
	require.NoError(f, err)
	f.Add(string(text), "BRUME_SRT_POOL=2")
	f.Fuzz(func(t *testing.T, text, env string) {
		c, err := parse("f", []byte(text), strings.Split(env, "\n"))
		if err != nil {
			require.Nil(t, c)
			require.NotEmpty(t, err.Error())
			return
		}
		require.True(t, c.API.Address.IsLoopback())
		require.LessOrEqual(t, c.SRT.Pool, Count(64))
		require.True(t, validName(string(c.SRT.Stream), ""))
		for p, s := range c.Streams {
			require.True(t, validName(string(p), "*"))
			require.LessOrEqual(t, s.Resume, Duration(time.Hour))
			require.GreaterOrEqual(t, s.Buffer.Window, 6*s.Buffer.SegmentMax)
			require.LessOrEqual(t, s.Buffer.SegmentTarget, s.Buffer.SegmentMax)
			require.GreaterOrEqual(t, s.Buffer.Size, Size(megabyte))
			require.Equal(t, s, c.Stream(string(p)))
		}
	})
}
