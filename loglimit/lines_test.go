package loglimit

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"brume/rate"

	"github.com/stretchr/testify/require"
)

func logTo(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func TestLines(t *testing.T) {
	var out bytes.Buffer
	log, l := logTo(&out), Lines{PerSecond: 1e-9}
	for range 4 {
		l.Log(log, slog.LevelWarn, "again", "peer", "a")
	}
	require.Equal(t, "level=WARN msg=again peer=a\n", out.String(), "one line, and the others are counted")
	out.Reset()
	l.budget = rate.Bucket{} // a second later
	l.Log(log, slog.LevelInfo, "again")
	require.Equal(t, "level=INFO msg=again unlogged=3\n", out.String())
}

func TestLinesOfSeveralAreBoundedTogether(t *testing.T) {
	var out bytes.Buffer
	log, shared := logTo(&out), Lines{PerSecond: 1e-9}
	shared.take()
	var all [10]Lines
	for i := range all {
		all[i].Shared = &shared
		all[i].Log(log, slog.LevelInfo, "one")
	}
	require.Zero(t, strings.Count(out.String(), "\n"), "the shared bound is used up")
	shared = Lines{}
	all[0].budget = rate.Bucket{}
	all[0].Log(log, slog.LevelInfo, "one")
	require.Equal(t, "level=INFO msg=one unlogged=1\n", out.String())
}

func TestLinesFromManyGoroutines(t *testing.T) {
	var out bytes.Buffer
	log, l := logTo(&out), Lines{PerSecond: 1e-9}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { l.Log(log, slog.LevelInfo, "one") })
	}
	wg.Wait()
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
	require.EqualValues(t, 7, l.unlogged)
}
