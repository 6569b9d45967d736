package mpegts

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
)

// epoch is what a sink got between two calls of BeginEpoch.
type epoch struct {
	Tracks  []media.Track
	Packets []media.Packet
}

// recorder is a sink that keeps copies of all it gets.
type recorder struct{ epochs []epoch }

func (r *recorder) BeginEpoch(tracks []media.Track) error {
	r.epochs = append(r.epochs, epoch{Tracks: tracks})
	return nil
}

func (r *recorder) WritePacket(p *media.Packet) error {
	c := *p
	c.Payload = bytes.Clone(p.Payload)
	e := &r.epochs[len(r.epochs)-1]
	e.Packets = append(e.Packets, c)
	return nil
}

// track returns the packets of one track.
func (e *epoch) track(n int) (list []media.Packet) {
	for _, p := range e.Packets {
		if p.Track == n {
			list = append(list, p)
		}
	}
	return list
}

// demux takes a whole stream apart.
func demux(t testing.TB, b []byte, o Options) (*recorder, *Demuxer) {
	t.Helper()
	r := &recorder{}
	d := NewDemuxer(r, o)
	require.NoError(t, d.Write(b))
	require.NoError(t, d.Flush())
	return r, d
}

var clips struct {
	sync.Mutex
	made map[string][]byte
}

// ffmpeg runs ffmpeg with its output on stdout. What it made is kept for the run of the tests.
func ffmpeg(t testing.TB, args ...string) []byte {
	t.Helper()
	key := strings.Join(args, " ")
	clips.Lock()
	defer clips.Unlock()
	if b, ok := clips.made[key]; ok {
		return b
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "ffmpeg", append(append([]string{"-nostdin", "-v", "error"}, args...), "-")...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	b, err := c.Output()
	require.NoError(t, err, stderr.String())
	if clips.made == nil {
		clips.made = map[string][]byte{}
	}
	clips.made[key] = b
	return b
}

// probed is a packet as ffprobe shows it.
type probed struct {
	Stream int    `json:"stream_index"`
	PTS    int64  `json:"pts"`
	DTS    int64  `json:"dts"`
	Size   string `json:"size"`
	Flags  string `json:"flags"`
}

func (p probed) size() int {
	n, _ := strconv.Atoi(p.Size)
	return n
}

// ffprobe lists the packets of a clip by stream.
func ffprobe(t testing.TB, clip []byte) map[int][]probed {
	t.Helper()
	var out struct {
		Packets []probed `json:"packets"`
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-show_packets", "-of", "json", "-")
	c.Stdin = bytes.NewReader(clip)
	b, err := c.Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &out))
	list := map[int][]probed{}
	for _, p := range out.Packets {
		list[p.Stream] = append(list[p.Stream], p)
	}
	return list
}

// temp writes a clip to a file, for programs that do not take it from a pipe.
func temp(t testing.TB, name string) string { return filepath.Join(t.TempDir(), name) }

// ffmpegFile makes a file with ffmpeg.
func ffmpegFile(t testing.TB, file, args string) {
	t.Helper()
	b := ffmpeg(t, strings.Fields(args)...)
	require.NoError(t, os.WriteFile(file, b, 0o600))
}
