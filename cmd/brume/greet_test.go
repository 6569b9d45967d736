package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/config"
	"brume/controller"
	"brume/media"
)

// listening is a server with a configuration, of whose ports some belong to streams.
func listening(t *testing.T, text string, own ...controller.Port) (*config.Config, controller.Addresses) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "brume.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	cfg, err := config.Load(file, nil)
	require.NoError(t, err)
	at := controller.Addresses{HTTP: "[::]:8080", API: "127.0.0.1:4242"}
	for _, p := range cfg.SRT.AllPorts() {
		at.SRT = append(at.SRT, controller.Port{Port: p})
	}
	at.SRT = append(at.SRT, own...)
	return cfg, at
}

// TestCallers: what is said of a port at the start is what a caller of that port finds.
func TestCallers(t *testing.T) {
	own := controller.Port{Port: config.Port{Stream: "cam2", Mode: config.ModePublish, Passphrase: "correct horse"}, Only: true}
	for _, tc := range []struct {
		name, text string
		own        []controller.Port
		want       []string
	}{
		{"defaults", "", nil, []string{"callers may publish and play any stream; without a stream id it is live"}},
		{
			"modes", "srt: {mode: play, stream: tv, ports: [{address: ':1', mode: publish}, {address: ':2', mode: any, stream: b}]}", nil,
			[]string{
				"callers may play any stream; without a stream id it is tv",
				"callers may publish any stream; without a stream id it is tv",
				"callers may publish and play any stream; without a stream id it is b",
			},
		},
		{
			"passphrases and networks",
			"srt: {passphrase: correct horse, ports: [{address: ':1', passphrase: '', networks: [10.0.0.0/8, '::1']}, {address: ':2', options: {enforcedencryption: false}}]}", nil,
			[]string{
				"callers may publish and play any stream, with the passphrase of the port; without a stream id it is live",
				"callers may publish and play any stream, from 10.0.0.0/8 or ::1/128; without a stream id it is live",
				"callers may publish and play any stream, encrypted where they have the passphrase; without a stream id it is live",
			},
		},
		{
			"passphrases of streams", "srt: {ports: [{address: ':1', mode: play}, {address: ':2', passphrase: correct horse}]}\nstreams: {a: {srt: {publish_passphrase: correct horse}}}", nil,
			[]string{
				"callers may publish and play any stream, with the passphrase of the stream where it has one; without a stream id it is live",
				"callers may play any stream; without a stream id it is live",
				"callers may publish and play any stream, with the passphrase of the stream, or of the port where the stream has none; without a stream id it is live",
			},
		},
		{"entries", "access: [{token: t}]", nil, []string{"callers may publish and play any stream, as the access entries allow; without a stream id it is live"}},
		{
			"a stream's own port", "streams: {a: {srt: {publish_passphrase: correct horse}}}",
			[]controller.Port{own},
			[]string{
				"callers may publish and play any stream, with the passphrase of the stream where it has one; without a stream id it is live",
				"callers may publish cam2 alone, with the passphrase of the port",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, at := listening(t, tc.text, tc.own...)
			text, logged := welcome(cfg, at), logLines(cfg, at)
			for i := range at.SRT {
				require.Equal(t, tc.want[i], at.SRT[i].Callers(cfg))
				require.Contains(t, text, "SRT port  "+string(at.SRT[i].Address)+": "+tc.want[i]+"\n")
				require.Contains(t, logged, `"msg":"SRT `+tc.want[i]+`"`)
			}
			require.NotContains(t, text+logged, "correct horse")
		})
	}
}

func logLines(cfg *config.Config, at controller.Addresses) string {
	var b bytes.Buffer
	greet(slog.New(newHandler(&b, string(config.LogJSON), slog.LevelInfo)), string(config.LogJSON), cfg, at)
	return b.String()
}

// TestWelcomeExamples: the lines to copy name a port that takes them, and say where a secret is missing.
func TestWelcomeExamples(t *testing.T) {
	for _, tc := range []struct{ name, text, publish, play string }{
		{"defaults", "", "srt://:8889?streamid=publish:live", "srt://:8889?streamid=read:live"},
		{"modes", "srt: {mode: play, ports: [{address: '0.0.0.0:1', mode: publish}]}", "srt://127.0.0.1:1?streamid=publish:live", "srt://:8889?streamid=read:live"},
		{"none to publish", "srt: {mode: play}", "", "srt://:8889?streamid=read:live"},
		{"passphrase of the port", "srt: {passphrase: correct horse}", "srt://:8889?streamid=publish:live&passphrase=PASSPHRASE", "srt://:8889?streamid=read:live&passphrase=PASSPHRASE"},
		{"passphrase of the stream", "streams: {'l*': {srt: {play_passphrase: correct horse}}}", "srt://:8889?streamid=publish:live", "srt://:8889?streamid=read:live&passphrase=PASSPHRASE"},
		{"entries", "access: [{action: play}, {token: t}]", "srt://:8889?streamid=publish:live:USER:PASSWORD", "srt://:8889?streamid=read:live"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, at := listening(t, tc.text)
			require.Equal(t, tc.publish, example(cfg, at, media.Publish))
			require.Equal(t, tc.play, example(cfg, at, media.Play))
			text := welcome(cfg, at)
			require.Equal(t, tc.publish != "", strings.Contains(text, "Publish"))
			require.Contains(t, text, tc.play+"\n")
		})
	}
	require.Empty(t, example(config.Default(), controller.Addresses{SRT: []controller.Port{{Only: true}}}, media.Play), "a stream's own port takes no other stream")
}
