package test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSilentPublisherComesBack has a young stream whose publisher falls silent with its connection open, and comes back by a new connection.
// With 25 pictures a second and sound from 21 ms before the first, the first part of sound of the new epoch is longer than PART-TARGET unless the
// cutter looks after it; hls.js then passed over a second of it.
func TestSilentPublisherComesBack(t *testing.T) {
	s := start(t)
	whole, err := os.ReadFile(clip(t, "rate25nob", 60, "-r 25 -c:v libx264 -preset veryfast -g 25 -bf 0 -pix_fmt yuv420p -b:v 400k -c:a aac"))
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
