package test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// pictureStarts are the places in a transport stream at which pictures begin.
func pictureStarts(clip []byte) (at []int) {
	for i := 0; i+ts.PacketSize <= len(clip); i += ts.PacketSize {
		if int(clip[i+1]&0x1F)<<8|int(clip[i+2]) == pidVideo && clip[i+1]&0x40 != 0 {
			at = append(at, i)
		}
	}
	return at
}

// longGOP is a clip with a keyframe each 5 s.
func longGOP(t *testing.T) (path string, b []byte) {
	t.Helper()
	path = clip(t, "gop5", 32, "-c:v libx264 -preset veryfast -g 150 -sc_threshold 0 -bf 2 -pix_fmt yuv420p -b:v 400k -c:a aac")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return path, b
}

// TestJoinsInMidGOP: who relays a running encoder begins in mid-GOP, with audio at once and the next keyframe seconds later.
// The stream begins with both, and says meanwhile what it waits for.
func TestJoinsInMidGOP(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, b := longGOP(t)
	at := pictureStarts(b)
	stop := s.publishBytes(t, "joined", slices.Concat(b[:3*ts.PacketSize], b[at[40]:]))
	defer stop()
	var v struct {
		State    string  `json:"state"`
		WaitsFor ts.Wait `json:"waits_for"`
		Tracks   []struct {
			Kind string `json:"kind"`
		} `json:"tracks"`
		Buffer struct {
			Epochs int `json:"epochs"`
		} `json:"buffer"`
	}
	s.eventually(30*time.Second, "it waits for a keyframe", func() bool {
		s.get("/api/v1/streams/joined", &v)
		return v.State == "starting" && v.WaitsFor == ts.WaitKeyframe
	})
	s.waitState("joined", "live")
	v.WaitsFor = ""
	s.eventually(10*time.Second, "both tracks are there", func() bool {
		s.get("/api/v1/streams/joined", &v)
		return len(v.Tracks) == 2
	})
	require.Empty(t, v.WaitsFor)
	require.Equal(t, 1, v.Buffer.Epochs)
	s.eventually(30*time.Second, "players get both", func() bool {
		_, body, _ := s.fetch("/hls/joined/index.m3u8")
		return strings.Contains(string(body), "v0/index.m3u8") && strings.Contains(string(body), "mp4a")
	})
}

// TestJumpsInMidGOP: a piece that begins in mid-GOP comes again and again. Players get nothing but pictures of the source.
func TestJumpsInMidGOP(t *testing.T) {
	t.Parallel()
	s := start(t)
	path, b := longGOP(t)
	source := map[string]bool{}
	for _, f := range frames(t, path) {
		source[f] = true
	}
	at := pictureStarts(b)
	piece := slices.Concat(b[:3*ts.PacketSize], b[at[200]:at[400]])
	whole := slices.Concat(b[:at[200]], piece, piece, piece, piece)
	s.send("publish:jumps", whole, time.Duration(len(at[:200])+4*200)*time.Second/30)
	s.waitState("jumps", "live")
	outputs := s.outputs("jumps")
	recorders := map[string]*program{}
	dir := t.TempDir()
	for name, url := range outputs {
		recorders[name] = record(t, url, filepath.Join(dir, name+".ts"), 20)
	}
	for name, r := range recorders {
		r.wait(t, 90*time.Second)
		got := frames(t, filepath.Join(dir, name+".ts"))
		require.Greater(t, len(got), 300, name)
		for i, f := range got {
			require.True(t, source[f], "%s: picture %d of %d is none of the source's", name, i, len(got))
		}
	}
}
