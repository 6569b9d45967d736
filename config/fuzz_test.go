package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/srt/libsrt/option"
)

// FuzzConfig: whatever the file and the environment hold, there is either an error or a
// configuration whose every value is in range.
func FuzzConfig(f *testing.F) {
	text, err := os.ReadFile(example)
	require.NoError(f, err)
	f.Add(string(text), "BRUME_SRT_POOL=2")
	f.Add("srt: {networks: [::1], options: {fc: 100}, ports: [{address: ':1', latency: 1s}]}\naccess: [{user: u, password: p, streams: [a*]}]\nstreams: {a: {raw: true, programs: {1: b}, source: ['srt://h:1?streamid=$stream'], start: always, push: ['srt://:1']}}", "BRUME_SRT_MODE=play")
	f.Fuzz(func(t *testing.T, text, env string) {
		c, err := parse("f", []byte(text), strings.Split(env, "\n"))
		if err != nil {
			require.Nil(t, c)
			require.NotEmpty(t, err.Error())
			return
		}
		require.True(t, c.API.Address.IsLoopback())
		require.LessOrEqual(t, c.SRT.Pool, Count(64))
		for _, p := range c.SRT.AllPorts() {
			require.NotEmpty(t, p.Address)
			require.NotEmpty(t, p.Mode)
			require.NoError(t, option.CheckPassphrase(string(p.Passphrase)))
			_, err := option.ParseAll(p.Options)
			require.NoError(t, err)
		}
		for _, a := range c.Access {
			require.NotEmpty(t, a.Action)
			require.Equal(t, a.User == "", a.Password == "")
			require.True(t, a.User == "" || a.Token == "")
		}
		require.True(t, media.ValidName(string(c.SRT.Stream)))
		for p, s := range c.Streams {
			require.True(t, media.ValidName(strings.ReplaceAll(string(p), "*", "x")))
			require.LessOrEqual(t, s.Resume, Duration(time.Hour))
			for _, u := range append(s.Source, s.Push...) {
				_, _, err := u.Parse(strings.Repeat("y", media.MaxNameSize))
				require.NoError(t, err)
				require.NoError(t, c.SRT.Allows(u, "y"))
			}
			require.GreaterOrEqual(t, s.Buffer.Window, 6*s.Buffer.SegmentMax)
			require.LessOrEqual(t, s.Buffer.SegmentTarget, s.Buffer.SegmentMax)
			require.GreaterOrEqual(t, s.Buffer.Size, Size(megabyte))
			require.Equal(t, s, c.Stream(string(p)))
		}
	})
}
