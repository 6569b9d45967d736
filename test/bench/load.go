package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	publishers = 10
	viewers    = 25
)

// ingest measures ten publishers of 4 Mbit/s and one of 50 Mbit/s, and beside them programs that take the same streams by libsrt and do
// nothing with them.
func (b *bench) ingest() ([]figure, error) {
	fast := filepath.Join(b.dir, "fast.ts")
	if err := encode(fast, "-s 1920x1080", 20, 48000); err != nil {
		return nil, err
	}
	var out []figure
	for _, c := range []struct {
		name string
		clip string
		n    int
		goal goal
	}{
		{"publishers of 4 Mbit/s", b.clip, publishers, atMost(2)},
		{"publisher of 50 Mbit/s", fast, 1, atMost(12)},
	} {
		ours, err := b.takeIn(c.clip, c.n)
		if err != nil {
			return nil, err
		}
		plain, err := b.takeInPlain(c.clip, c.n)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("CPU all in, %d %s, for each", c.n, c.name)
		out = append(out, figure{name, ours / float64(c.n), "% core", c.goal},
			figure{name + ", srt-live-transmit", plain / float64(c.n), "% core", peer})
	}
	return out, nil
}

// takeIn is the load of a server with n publishers and no viewers.
func (b *bench) takeIn(clip string, n int) (float64, error) {
	s, err := b.start("BRUME_SRT_POOL=" + strconv.Itoa(n+1))
	if err != nil {
		return 0, err
	}
	defer s.stop()
	for i := range n {
		p, err := publishTo("srt://"+s.srt+"?pkt_size=1316&streamid=publish:s"+strconv.Itoa(i), clip)
		if err != nil {
			return 0, err
		}
		defer end(p)
	}
	for i := range n {
		if err := s.waitState("s" + strconv.Itoa(i)); err != nil {
			return 0, err
		}
	}
	time.Sleep(5 * time.Second)
	return s.load(b.seconds), nil
}

// waitState waits for a stream without asking for its media, so that nothing is made for viewers.
func (s *server) waitState(stream string) error {
	for range 400 {
		body, err := get("http://" + s.api + "/api/v1/streams/" + stream)
		if err == nil && strings.Contains(body, `"live"`) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("the stream did not become live")
}

// takeInPlain is the load of n programs that receive.
func (b *bench) takeInPlain(clip string, n int) (float64, error) {
	var pids []int
	for range n {
		port, err := freePort()
		if err != nil {
			return 0, err
		}
		cmd := exec.Command("srt-live-transmit", "-q", fmt.Sprintf("srt://127.0.0.1:%d?mode=listener", port), "file://con")
		cmd.Stdout = io.Discard
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		defer end(cmd)
		pids = append(pids, cmd.Process.Pid)
		time.Sleep(200 * time.Millisecond)
		p, err := publishTo(fmt.Sprintf("srt://127.0.0.1:%d?pkt_size=1316", port), clip)
		if err != nil {
			return 0, err
		}
		defer end(p)
	}
	time.Sleep(6 * time.Second)
	return b.loadOf(pids), nil
}

// loadOf is the CPU that some processes take, in percent of a core.
func (b *bench) loadOf(pids []int) float64 {
	ticks := func() (sum int) {
		for _, pid := range pids {
			fields := stat(pid)
			for i := 11; i < 13 && i < len(fields); i++ {
				n, _ := strconv.Atoi(fields[i])
				sum += n
			}
		}
		return sum
	}
	before, began := ticks(), time.Now()
	time.Sleep(time.Duration(b.seconds) * time.Second)
	return float64(ticks()-before) / time.Since(began).Seconds()
}

// play measures 25 viewers of one stream, and beside them programs that send the same stream by libsrt.
func (b *bench) play() ([]figure, error) {
	s, stop, err := b.live("BRUME_SRT_POOL=" + strconv.Itoa(viewers+1))
	if err != nil {
		return nil, err
	}
	defer stop()
	time.Sleep(5 * time.Second)
	alone := s.load(b.seconds)
	for range viewers {
		v := exec.Command("srt-live-transmit", "-q", "srt://"+s.srt+"?streamid=read:live", "file://con")
		v.Stdout = io.Discard
		if err := v.Start(); err != nil {
			return nil, err
		}
		defer end(v)
	}
	time.Sleep(10 * time.Second)
	memory, err := s.memory()
	if err != nil {
		return nil, err
	}
	all := s.load(b.seconds)
	plain, err := b.sendPlain()
	if err != nil {
		return nil, err
	}
	return []figure{
		{"CPU of each of 25 viewers of 4 Mbit/s", (all - alone) / viewers, "% core", atMost(1.3)},
		{"CPU of each of 25 viewers of 4 Mbit/s, srt-live-transmit", plain / viewers, "% core", peer},
		{"memory of its own, of each of 25 viewers, median", memory, "MB", atMost(3)},
	}, nil
}

// sendPlain is the load of 25 programs that send, each fed by a pipe.
func (b *bench) sendPlain() (float64, error) {
	var pids []int
	for range viewers {
		port, err := freePort()
		if err != nil {
			return 0, err
		}
		feed := exec.Command("ffmpeg", feedArguments(b.clip, "-")...)
		pipe, err := feed.StdoutPipe()
		if err != nil {
			return 0, err
		}
		sender := exec.Command("srt-live-transmit", "-q", "-chunk", "1316", "file://con", fmt.Sprintf("srt://127.0.0.1:%d?mode=listener", port))
		sender.Stdin = pipe
		receiver := exec.Command("srt-live-transmit", "-q", fmt.Sprintf("srt://127.0.0.1:%d", port), "file://con")
		receiver.Stdout = io.Discard
		for _, cmd := range []*exec.Cmd{feed, sender} {
			if err := cmd.Start(); err != nil {
				return 0, err
			}
			defer end(cmd)
		}
		pids = append(pids, sender.Process.Pid)
		time.Sleep(200 * time.Millisecond)
		if err := receiver.Start(); err != nil {
			return 0, err
		}
		defer end(receiver)
	}
	time.Sleep(6 * time.Second)
	return b.loadOf(pids), nil
}

// flood measures what a forged handshake costs, and what a real caller waits meanwhile.
func (b *bench) flood() ([]figure, error) {
	s, end, err := b.live()
	if err != nil {
		return nil, err
	}
	defer end()
	const rate, seconds = 20000, 10
	idle := s.load(5)
	calm, err := median(20, 100*time.Millisecond, func() (time.Duration, error) { return connectOnce(s.srt, "read:live", true) })
	if err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	sent := new(atomic.Int64)
	done := make(chan error, 1)
	go func() { done <- forge(s.srt, rate, sent, stop) }()
	before, began, first := s.cpu(), time.Now(), sent.Load()
	time.Sleep(seconds * time.Second)
	lasted := time.Since(began).Seconds()
	spent, forged := (s.cpu()-before).Seconds()-idle/100*lasted, float64(sent.Load()-first)
	busy, callErr := median(seconds*5, 200*time.Millisecond, func() (time.Duration, error) { return connectOnce(s.srt, "read:live", true) })
	close(stop)
	if err := errors.Join(<-done, callErr); err != nil {
		return nil, err
	}
	return []figure{
		{fmt.Sprintf("CPU of a forged handshake at %.0f/s from forged addresses", forged/lasted), spent / forged * 1e6, "us", atMost(25)},
		{"connect during that, more than before it, medians", busy - calm, "ms", atMost(50)},
	}, nil
}

// forge sends handshakes from many addresses of the loopback network, a third of them conclusions with a wrong cookie.
func forge(address string, rate float64, sent *atomic.Int64, stop <-chan struct{}) error {
	to, err := net.ResolveUDPAddr("udp4", address)
	if err != nil {
		return err
	}
	var sockets []*net.UDPConn
	for i := range 500 {
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, byte(1+i/250), byte(i), 1)}, to)
		if err != nil {
			return err
		}
		defer c.Close()
		sockets = append(sockets, c)
	}
	induction := make([]byte, 64)
	induction[0], induction[19], induction[23], induction[39] = 0x80, 4, 2, 1
	conclusion := append([]byte(nil), induction...)
	conclusion[19], conclusion[23] = 5, 1
	copy(conclusion[36:40], "\xff\xff\xff\xff")
	began := time.Now()
	for {
		select {
		case <-stop:
			return nil
		case <-time.After(time.Millisecond):
		}
		for due := int64(time.Since(began).Seconds() * rate); sent.Load() < due; sent.Add(1) {
			packet := induction
			if rand.IntN(3) == 0 {
				packet = conclusion
			}
			_, _ = sockets[rand.IntN(len(sockets))].Write(packet)
		}
	}
}

func freePort() (int, error) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port, nil
}

// encode makes a clip with a constant bit rate, in kbit/s of video.
func encode(path, size string, seconds, rate int) error {
	line := fmt.Sprintf("-nostdin -v error -f lavfi -i testsrc2=rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 -t %d "+
		"%s -c:v libx264 -preset veryfast -profile:v main -pix_fmt yuv420p -g 30 -keyint_min 30 -sc_threshold 0 -bf 0 "+
		"-b:v %[3]dk -minrate %[3]dk -maxrate %[3]dk -bufsize %[3]dk -x264-params nal-hrd=cbr:force-cfr=1 -c:a aac -b:a 128k -f mpegts", seconds, size, rate)
	if out, err := exec.Command("ffmpeg", append(strings.Fields(line), path)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ffmpeg: %w: %s", err, out)
	}
	return nil
}

func feedArguments(clip, to string) []string {
	return []string{"-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", clip, "-c", "copy", "-f", "mpegts", to}
}

// publishTo sends a clip in real time, over and over.
func publishTo(url, clip string) (*exec.Cmd, error) {
	cmd := exec.Command("ffmpeg", feedArguments(clip, url)...)
	cmd.Stderr = os.Stderr
	return cmd, cmd.Start()
}
