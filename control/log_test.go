package control

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLogLinesArrive(t *testing.T) {
	here, there := pair(t)
	log := slog.New(NewLogHandler(there, slog.LevelInfo)).With("who", "me")
	next := func() (l Log) {
		m, _, err := here.Recv()
		require.NoError(t, err)
		require.Equal(t, MsgLog, m.Type)
		require.NoError(t, m.Decode(&l))
		return l
	}
	log.Debug("not this")
	log.WithGroup("g").Warn("this", "n", 3, "on", true, "for", time.Second, "error", errors.New("why"), "rate", 0.5)
	require.Equal(t, Log{Level: "warn", Text: "this", Attrs: []LogAttr{
		{"who", "me"}, {"n", 3.0}, {"on", true}, {"for", "1s"}, {"error", "why"}, {"rate", "0.5"},
	}}, next())

	long := strings.Repeat("x", 2*MaxLogText)
	var many []any
	for range 2 * MaxLogAttrs {
		many = append(many, "k", 1)
	}
	log.Error(long, append([]any{"long", long}, many...)...)
	l := next()
	require.Len(t, l.Text, MaxLogText)
	require.Len(t, l.Attrs, MaxLogAttrs)
	require.Len(t, l.Attrs[1].Value, MaxLogText)
}

// A process whose lines nobody reads does not wait, and says how many went missing once somebody reads again.
func TestLogLinesWithoutRoomAreCounted(t *testing.T) {
	here, there := pair(t)
	h := NewLogHandler(there, slog.LevelInfo)
	log := slog.New(h)
	sent := 0
	for h.lost.Load() == 0 {
		log.Info("line")
		sent++
	}
	log.Info("line")
	require.NoError(t, here.SetReadDeadline(time.Now().Add(time.Minute)))
	for range sent - 1 {
		_, _, err := here.Recv()
		require.NoError(t, err)
	}
	log.Info("after")
	m, _, err := here.Recv()
	require.NoError(t, err)
	var l Log
	require.NoError(t, m.Decode(&l))
	require.Equal(t, Log{Level: "info", Text: "after", Attrs: []LogAttr{{"unlogged", 2.0}}}, l)
}
