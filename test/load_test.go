package test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gosrt "github.com/datarhei/gosrt"
	"github.com/stretchr/testify/require"
)

// footprint is what a server holds: processes, and the descriptors of those that live as long as it does.
type footprint struct {
	processes, descriptors int
}

func (s *server) footprint() footprint {
	f := footprint{processes: len(s.processes(""))}
	for pid := range s.processes("") {
		if strings.Contains(s.processes("")[pid], "brume-srt") {
			continue
		}
		fds, _ := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
		f.descriptors += len(fds)
	}
	return f
}

// settled waits until the pool of idle processes is full and nothing else runs, then measures.
func (s *server) settled() footprint {
	s.t.Helper()
	var last footprint
	same := 0
	s.eventually(60*time.Second, "the server is at rest", func() bool {
		f := s.footprint()
		if f == last && len(s.connections("")) == 0 {
			same++
		} else {
			same = 0
		}
		last = f
		time.Sleep(100 * time.Millisecond)
		return same > 5
	})
	return last
}

func dial(t *testing.T, address, streamID string) (gosrt.Conn, error) {
	t.Helper()
	config := gosrt.DefaultConfig()
	config.StreamId = streamID
	config.ConnectionTimeout = 20 * time.Second
	return gosrt.Dial("srt", address, config)
}

// TestManyPublishersAndViewers has 20 of each at once.
func TestManyPublishersAndViewers(t *testing.T) {
	s := start(t)
	file := clip(t, "tiny", 90, "-c:v libx264 -preset veryfast -g 30 -bf 2 -pix_fmt yuv420p -b:v 150k -vf scale=160:90 -c:a aac -b:a 32k")
	source := frames(t, file)
	before := s.settled()
	dir := t.TempDir()
	var publishers, viewers []*program
	for i := range 20 {
		publishers = append(publishers, s.publish(file, fmt.Sprintf("publish:s%d", i)))
	}
	for i := range 20 {
		s.waitState(fmt.Sprintf("s%d", i), "live")
	}
	for i := range 20 {
		viewers = append(viewers, record(t, s.outputs(fmt.Sprintf("s%d", i))["srt"], filepath.Join(dir, fmt.Sprintf("%d.ts", i)), 10))
	}
	for i, v := range viewers {
		v.wait(t, 90*time.Second)
		require.NoError(t, v.err)
		requireContiguous(t, source, frames(t, filepath.Join(dir, fmt.Sprintf("%d.ts", i))), 240)
	}
	for _, p := range publishers {
		require.True(t, p.running())
		p.end()
	}
	s.eventually(60*time.Second, "all connections are gone", func() bool { return len(s.connections("")) == 0 })
	require.LessOrEqual(t, s.settled().processes, before.processes)
}

// TestManyViewersJoinAtOnce lets 100 in within a second.
func TestManyViewersJoinAtOnce(t *testing.T) {
	s := start(t)
	s.publish(plainClip(t), "publish:live")
	s.waitPlayable("live")
	var wait sync.WaitGroup
	var mu sync.Mutex
	got := 0
	for i := range 100 {
		wait.Go(func() {
			conn, err := dial(t, s.srt, "read:live")
			if err != nil {
				t.Logf("viewer %d can't connect: %v", i, err)
				return
			}
			defer conn.Close()
			b := make([]byte, 1500)
			for n := 0; n < 50_000; {
				k, err := conn.Read(b)
				if err != nil {
					t.Logf("viewer %d read %d bytes: %v", i, n, err)
					return
				}
				n += k
			}
			mu.Lock()
			got++
			mu.Unlock()
		})
	}
	wait.Wait()
	require.Equal(t, 100, got, "viewers that got media")
	s.eventually(60*time.Second, "they are gone", func() bool { return len(s.connections("role=play")) == 0 })
}

// TestThousandConnections come and go and leave nothing.
func TestThousandConnections(t *testing.T) {
	s := start(t)
	s.publish(plainClip(t), "publish:live")
	s.waitState("live", "live")
	s.eventually(20*time.Second, "rest", func() bool { return len(s.connections("")) == 1 })
	time.Sleep(time.Second)
	before := s.footprint()
	var wait sync.WaitGroup
	failed := make(chan error, 1000)
	for range 8 {
		wait.Go(func() {
			for range 125 {
				conn, err := dial(t, s.srt, "read:live")
				if err != nil {
					// The kernel may have given it the port of a connection that is still ending.
					if conn, err = dial(t, s.srt, "read:live"); err != nil {
						failed <- err
						continue
					}
				}
				_ = conn.Close()
			}
		})
	}
	wait.Wait()
	close(failed)
	for err := range failed {
		require.NoError(t, err)
	}
	s.eventually(60*time.Second, "all are gone", func() bool { return len(s.connections("")) == 1 })
	s.eventually(60*time.Second, "nothing is left over", func() bool {
		f := s.footprint()
		return f.processes <= before.processes && f.descriptors <= before.descriptors+4
	})
}

// TestForgedHandshakes sends 10,000 from 10,000 ports: nothing starts, and a real caller comes in meanwhile.
func TestForgedHandshakes(t *testing.T) {
	s := start(t)
	s.publish(plainClip(t), "publish:live")
	s.waitState("live", "live")
	processes := s.processes("brume-srt")
	to, err := net.ResolveUDPAddr("udp4", s.srt)
	require.NoError(t, err)
	induction := make([]byte, 64)
	induction[0] = 0x80
	induction[19] = 4 // handshake version
	induction[23] = 2
	induction[39] = 1 // request type: induction
	conclusion := append([]byte{}, induction...)
	conclusion[19], conclusion[23] = 5, 5
	for i := 36; i < 40; i++ {
		conclusion[i] = 0xff
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 10_000 {
			// Each from a port of its own, on addresses of the loopback range.
			from := &net.UDPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i)), Port: 0}
			c, err := net.DialUDP("udp4", from, to)
			if err != nil {
				continue
			}
			_, _ = c.Write(induction)
			_, _ = c.Write(conclusion)
			_ = c.Close()
		}
	}()
	for range 3 {
		conn, err := dial(t, s.srt, "read:live")
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1500))
		require.NoError(t, err)
		_ = conn.Close()
	}
	<-done
	s.eventually(20*time.Second, "the viewers are gone", func() bool { return len(s.connections("")) == 1 })
	s.eventually(20*time.Second, "no process was started", func() bool { return len(s.processes("brume-srt")) <= len(processes) })
	s.eventually(10*time.Second, "they are counted", func() bool { return s.metric("brume_srt_listener_inductions_total") >= 5000 })
}

// TestGarbage sends what is no SRT to the port.
func TestGarbage(t *testing.T) {
	s := start(t)
	publisher := s.publish(plainClip(t), "publish:live")
	s.waitState("live", "live")
	c, err := net.Dial("udp4", s.srt)
	require.NoError(t, err)
	defer c.Close()
	for i := range 2000 {
		packet := make([]byte, 1+i%1400)
		for j := range packet {
			packet[j] = byte(i * j)
		}
		if i%3 == 0 {
			packet[0] = 0x80
		}
		_, _ = c.Write(packet)
	}
	conn, err := dial(t, s.srt, "read:live")
	require.NoError(t, err)
	_ = conn.Close()
	require.True(t, publisher.running())
	for _, id := range []string{"../etc/passwd", "a\x00b", strings.Repeat("x", 500), "publish:😀", "#!::r=..,m=publish", "publish:a/../../b"} {
		_, err := dial(t, s.srt, id)
		require.Error(t, err, "%q", id)
	}
	require.GreaterOrEqual(t, s.metric("brume_srt_rejects_total", `code="1400"`), 5.0)
	s.eventually(20*time.Second, "only the publisher is left", func() bool { return len(s.connections("")) == 1 })
}
