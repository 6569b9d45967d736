package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/haivision/srtgo"
)

const latency = 120 * time.Millisecond // of every caller here

// call connects a libsrt caller and returns how long that took.
func call(address, streamID string, blocking bool) (*srtgo.SrtSocket, time.Duration, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, 0, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, 0, err
	}
	mode := "0"
	if blocking {
		mode = "1"
	}
	s := srtgo.NewSrtSocket(host, uint16(n), map[string]string{"transtype": "live", "blocking": mode, "streamid": streamID})
	if s == nil {
		return nil, 0, errors.New("no SRT socket")
	}
	began := time.Now()
	if err := s.Connect(); err != nil {
		s.Close()
		return nil, 0, fmt.Errorf("connect: %w", err)
	}
	return s, time.Since(began), nil
}

func median(n int, pause time.Duration, one func() (time.Duration, error)) (float64, error) {
	var all []time.Duration
	for range n {
		d, err := one()
		if err != nil {
			return 0, err
		}
		all = append(all, d)
		time.Sleep(pause)
	}
	return percentile(all, 0.5), nil
}

// connect measures what a caller waits for its connection: with an idle process, and beside it a plain listener of libsrt.
func (b *bench) connect() ([]figure, error) {
	s, stop, err := b.live()
	if err != nil {
		return nil, err
	}
	defer stop()
	var out []figure
	for _, c := range []struct {
		name     string
		blocking bool
	}{{"blocking", true}, {"non-blocking", false}} {
		ms, err := median(50, 150*time.Millisecond, func() (time.Duration, error) { return connectOnce(s.srt, "read:live", c.blocking) })
		if err != nil {
			return nil, err
		}
		out = append(out, figure{"connect, " + c.name + " caller, idle process, median", ms, "ms", atMost(6)})
	}
	stop, address, err := plainListener()
	if err != nil {
		return nil, err
	}
	defer stop()
	ms, err := median(50, 150*time.Millisecond, func() (time.Duration, error) { return connectOnce(address, "x", true) })
	if err != nil {
		return nil, err
	}
	return append(out, figure{"connect, blocking caller, plain listener of libsrt in one process, median", ms, "ms", peer}), nil
}

func connectOnce(address, streamID string, blocking bool) (time.Duration, error) {
	s, d, err := call(address, streamID, blocking)
	if err == nil {
		s.Close()
	}
	return d, err
}

// plainListener is libsrt's own listener in this process, for comparison.
func plainListener() (stop func(), address string, err error) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	port := c.LocalAddr().(*net.UDPAddr).Port
	_ = c.Close()
	l := srtgo.NewSrtSocket("127.0.0.1", uint16(port), map[string]string{"transtype": "live", "blocking": "1", "mode": "listener"})
	if l == nil {
		return nil, "", errors.New("no SRT socket")
	}
	if err := l.Listen(64); err != nil {
		return nil, "", err
	}
	var stopped atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		// A connection that is closed at once can't repeat a last reply that was lost.
		var accepted []*srtgo.SrtSocket
		for !stopped.Load() {
			if s, _, err := l.Accept(); err == nil { // an error is of a caller that is gone again
				accepted = append(accepted, s)
			}
		}
		for _, s := range accepted {
			s.Close()
		}
	}()
	return func() { stopped.Store(true); l.Close(); <-done }, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil
}

// firstByte measures from the call of a viewer to its first byte of media.
func (b *bench) firstByte() ([]figure, error) {
	s, stop, err := b.live()
	if err != nil {
		return nil, err
	}
	defer stop()
	ms, err := median(30, 200*time.Millisecond, func() (time.Duration, error) {
		began := time.Now()
		v, _, err := call(s.srt, "read:live", true)
		if err != nil {
			return 0, err
		}
		defer v.Close()
		_, err = v.Read(make([]byte, 1500))
		return time.Since(began) - latency, err
	})
	return []figure{{"viewer's first byte after its call, less its latency, median", ms, "ms", atMost(5)}}, err
}

func (s *server) waitLive(stream string) error {
	for range 200 {
		r, err := http.Get("http://" + s.http + "/hls/" + stream + "/index.m3u8")
		if err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("the stream did not become live")
}

// join measures from a publisher's call to the first segment that is listed and fetched.
func (b *bench) join() ([]figure, error) {
	s, err := b.start()
	if err != nil {
		return nil, err
	}
	defer s.stop()
	i := 0
	ms, err := median(5, time.Second, func() (time.Duration, error) {
		i++
		name := "join" + strconv.Itoa(i)
		p, err := b.publish(s, name)
		if err != nil {
			return 0, err
		}
		defer end(p)
		var began time.Time
		for range 4000 {
			time.Sleep(5 * time.Millisecond)
			// The clock begins with the connection: ffmpeg takes its own time to start.
			if began.IsZero() && s.has(name) {
				began = time.Now()
			}
			if !began.IsZero() && s.playable(name) {
				return time.Since(began), nil
			}
		}
		return 0, errors.New("never became playable")
	})
	return []figure{{"new publisher playable over HLS (GOP of 1 s), median", ms, "ms", atMost(1400)}}, err
}

func (s *server) has(name string) bool {
	body, _ := get("http://" + s.api + "/api/v1/connections")
	return strings.Contains(body, `"`+name+`"`)
}

func (s *server) playable(name string) bool {
	body, err := get("http://" + s.http + "/hls/" + name + "/v0/index.m3u8")
	if err != nil {
		return false
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "seg-") {
			_, err := get("http://" + s.http + "/hls/" + name + "/v0/" + strings.TrimSpace(line))
			return err == nil
		}
	}
	return false
}

func get(url string) (string, error) {
	r, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = errors.New(r.Status)
	}
	return string(b), err
}

// publisherCPU measures all processes of the server with one publisher and no viewers.
func (b *bench) publisherCPU() ([]figure, error) {
	s, err := b.start()
	if err != nil {
		return nil, err
	}
	defer s.stop()
	idle := s.load(b.seconds)
	p, err := b.publish(s, "live")
	if err != nil {
		return nil, err
	}
	defer end(p)
	if err := s.waitLive("live"); err != nil {
		return nil, err
	}
	time.Sleep(35 * time.Second) // the HLS model of that request is given up, as without viewers
	busy := s.load(b.seconds)
	return []figure{
		{"CPU of a server at rest", idle, "% core", goal{}},
		{"CPU all in, one publisher of 4 Mbit/s, no viewers", busy, "% core", atMost(3.5)},
	}, nil
}

// live starts a server and publishes the clip to its stream live.
func (b *bench) live(settings ...string) (s *server, stop func(), err error) {
	s, err = b.start(settings...)
	if err != nil {
		return nil, nil, err
	}
	p, err := b.publish(s, "live")
	if err != nil {
		s.stop()
		return nil, nil, err
	}
	stop = func() {
		end(p)
		s.stop()
	}
	if err := s.waitState("live"); err != nil {
		stop()
		return nil, nil, err
	}
	return s, stop, nil
}

// load is the CPU that the server takes, in percent of a core.
func (s *server) load(seconds int) float64 {
	before, began := s.cpu(), time.Now()
	time.Sleep(time.Duration(seconds) * time.Second)
	return 100 * (s.cpu() - before).Seconds() / time.Since(began).Seconds()
}

// viewerMemory measures what each process of a viewer has to itself, idle and with 20 siblings at 4 Mbit/s.
func (b *bench) viewerMemory() ([]figure, error) {
	s, err := b.start("BRUME_SRT_POOL=20")
	if err != nil {
		return nil, err
	}
	defer s.stop()
	idle, err := s.memory()
	if err != nil {
		return nil, err
	}
	p, err := b.publish(s, "live")
	if err != nil {
		return nil, err
	}
	defer end(p)
	if err := s.waitLive("live"); err != nil {
		return nil, err
	}
	var viewers []*exec.Cmd
	defer func() {
		for _, v := range viewers {
			end(v)
		}
	}()
	for range 20 {
		v := exec.Command("srt-live-transmit", "-q", "srt://"+s.srt+"?streamid=read:live", "file://con")
		v.Stdout = io.Discard
		if err := v.Start(); err != nil {
			return nil, err
		}
		viewers = append(viewers, v)
	}
	time.Sleep(15 * time.Second)
	busy, err := s.memory()
	if err != nil {
		return nil, err
	}
	cpu := s.load(b.seconds)
	return []figure{
		{"memory of its own, idle connection process, 20 of them, median", idle, "MB", atMost(3)},
		{"memory of its own, connection process, 20 viewers at 4 Mbit/s, median", busy, "MB", atMost(4)},
		{"CPU all in, one publisher and 20 viewers of 4 Mbit/s", cpu, "% core", goal{}},
	}, nil
}

func (s *server) memory() (float64, error) {
	var all []int
	for pid, line := range tree(s.cmd.Process.Pid) {
		if !strings.Contains(line, "brume-srt") {
			continue
		}
		n, err := own(pid)
		if err != nil {
			return 0, err
		}
		all = append(all, n)
	}
	if len(all) == 0 {
		return 0, errors.New("no connection process is there")
	}
	slices.Sort(all)
	return float64(all[len(all)/2]) / 1e6, nil
}
