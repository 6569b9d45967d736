package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	gosrt "github.com/datarhei/gosrt"
	"github.com/stretchr/testify/require"
)

// bystanders are a publisher, its viewers and somebody who asks the API, beside whom others are taken over.
type bystanders struct {
	s         *server
	dir       string
	file      string
	publisher *program
	viewers   map[string]*program
	known     []connectionView

	stop    chan struct{}
	stopped sync.WaitGroup
	asked   []time.Duration
	faults  []string
}

func newBystanders(s *server) *bystanders {
	t := s.t
	t.Helper()
	b := &bystanders{s: s, dir: t.TempDir(), stop: make(chan struct{})}
	b.file = clip(t, "steady", 240, "-c:v libx264 -preset veryfast -g 30 -bf 2 -pix_fmt yuv420p -b:v 300k -c:a aac")
	b.publisher = s.publish(b.file, "publish:steady")
	s.waitPlayable("steady")
	b.viewers = map[string]*program{
		"srt.ts": record(t, s.outputs("steady")["srt"], filepath.Join(b.dir, "srt.ts"), 3600),
		"hls.ts": record(t, s.outputs("steady")["hls"], filepath.Join(b.dir, "hls.ts"), 3600),
	}
	s.eventually(30*time.Second, "the viewers are in", func() bool {
		v := s.stream("steady").Viewers
		return v.SRT == 1 && v.HLS >= 1
	})
	b.known = s.connections("stream=steady")
	require.Len(t, b.known, 2)
	b.stopped.Go(b.ask)
	t.Cleanup(b.end)
	return b
}

func (b *bystanders) end() {
	select {
	case <-b.stop:
	default:
		close(b.stop)
	}
	b.stopped.Wait()
}

// ask sees that the API answers, rightly and soon.
func (b *bystanders) ask() {
	client := http.Client{Timeout: 30 * time.Second}
	get := func(path string, into any) error {
		r, err := client.Get("http://" + b.s.api + path)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return errors.New(r.Status)
		}
		return json.NewDecoder(r.Body).Decode(into)
	}
	for {
		select {
		case <-b.stop:
			return
		case <-time.After(100 * time.Millisecond):
		}
		began := time.Now()
		var list struct{ Items []connectionView }
		if err := get("/api/v1/connections?limit=1000&stream=steady", &list); err != nil {
			b.faults = append(b.faults, "connections: "+err.Error())
			continue
		}
		b.asked = append(b.asked, time.Since(began))
		for _, want := range b.known {
			if !slices.ContainsFunc(list.Items, func(c connectionView) bool {
				return c.ID == want.ID && c.Peer == want.Peer && c.PID == want.PID && c.Role == want.Role && c.State == "connected"
			}) {
				b.faults = append(b.faults, fmt.Sprintf("connection %s is not as it was: %+v", want.ID, list.Items))
			}
		}
		var v streamView
		if err := get("/api/v1/streams/steady", &v); err != nil || v.State != "live" {
			b.faults = append(b.faults, fmt.Sprintf("stream: %v %s", err, v.State))
		}
	}
}

// unharmed sees that they have noticed nothing: no picture is missing, no answer was wrong or late.
func (b *bystanders) unharmed(t *testing.T) {
	t.Helper()
	b.s.eventually(time.Minute, "there is enough to judge", func() bool {
		for name := range b.viewers {
			if info, err := os.Stat(filepath.Join(b.dir, name)); err != nil || info.Size() < 400_000 {
				return false
			}
		}
		return true
	})
	b.end()
	require.Empty(t, b.faults)
	require.NotEmpty(t, b.asked)
	slices.Sort(b.asked)
	t.Logf("%d answers of the API, the slowest took %v", len(b.asked), b.asked[len(b.asked)-1])
	// On a loaded machine some may take longer.
	require.Less(t, b.asked[len(b.asked)*3/4], time.Second, "the API is slow")
	require.Less(t, b.asked[len(b.asked)-1], 10*time.Second, "the API hung")
	require.True(t, b.publisher.running())
	for name, v := range b.viewers {
		require.True(t, v.running(), name)
		require.NoError(t, v.cmd.Process.Signal(os.Interrupt)) // ffmpeg writes what it has
		v.wait(t, 20*time.Second)
		requireContiguous(t, frames(t, b.file), frames(t, filepath.Join(b.dir, name)), 60)
	}
}

// guest is a peer over SRT that waits for its connection's end.
type guest struct {
	conn gosrt.Conn
	over chan struct{} // closed when the peer was told that it is over
	read func() int    // bytes so far
}

// join connects a peer. A publisher of a clip sends it in a loop.
func join(t *testing.T, s *server, streamID, file string) *guest {
	t.Helper()
	config := gosrt.DefaultConfig()
	config.StreamId = streamID
	config.ConnectionTimeout = 20 * time.Second
	config.PeerIdleTimeout = time.Minute // so that the end is what it is told, and no guess of its own
	conn, err := gosrt.Dial("srt", s.srt, config)
	require.NoError(t, err, streamID)
	g := &guest{conn: conn, over: make(chan struct{})}
	var mu sync.Mutex
	n := 0
	g.read = func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
	go func() {
		defer close(g.over)
		b := make([]byte, 1500)
		for {
			k, err := conn.Read(b)
			if err != nil {
				return
			}
			mu.Lock()
			n += k
			mu.Unlock()
		}
	}()
	if file != "" {
		go send(conn, file)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		<-g.over
	})
	return g
}

// send sends a clip at about its own rate until the connection ends.
func send(conn io.Writer, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		return
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for off := 0; off+1316 <= len(b); off += 1316 {
		if _, err := conn.Write(b[off : off+1316]); err != nil {
			return
		}
		<-tick.C
	}
}
