package test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSilentPublisherComesBack has a young stream whose publisher falls silent with its connection open, and comes back by a new connection.
func TestSilentPublisherComesBack(t *testing.T) {
	s := start(t)
	whole, err := os.ReadFile(plainClip(t))
	require.NoError(t, err)
	first := filter(whole, func(_ []byte, at float64) bool { return at < 24 })
	began := time.Now()
	stop := s.publishBytes(t, "live", first)
	s.waitPlayable("live")
	tabs := newPlayers(t)
	all := []*player{tabs.kind(playerPage, s, "live"), tabs.kind(playerLow, s, "live")}
	for _, p := range all {
		p.until(30*time.Second, "it plays", func(v seen) bool { return v.Played > 1 })
	}
	time.Sleep(time.Until(began.Add(30 * time.Second)))
	again := s.publishBytes(t, "live", whole)
	back := map[*player]seen{}
	for _, p := range all {
		back[p] = p.look()
	}
	for _, p := range all {
		p.until(30*time.Second, "it plays on", func(v seen) bool { return v.Played > back[p].Played+5 })
	}
	stop()
	again()
}
