package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"brume/test/relay"

	"github.com/stretchr/testify/require"
)

// through starts a bad network in front of a server.
func through(t *testing.T, address string, c relay.Config) *relay.Relay {
	t.Helper()
	r, err := relay.Start("127.0.0.1:0", address, c)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// settledCounts are a relay's once no media has come to it for a second, which is longer than it holds any back.
func settledCounts(s *server, r *relay.Relay) (up, down relay.Count) {
	s.t.Helper()
	since := time.Now()
	s.eventually(60*time.Second, "the relay is at rest", func() bool {
		u, d := r.Counts()
		if u.First != up.First || u.Repeated != up.Repeated || d.First != down.First || d.Repeated != down.Repeated {
			since = time.Now()
		}
		up, down = u, d
		return time.Since(since) > time.Second
	})
	return up, down
}

// messageSize is what an encoder puts into a message, in bytes.
const messageSize = 7 * 188

// piped is a program that sends what is written to it. Its input stays open while nothing is written, so that a connection
// outlives its media and can be looked at in peace.
type piped struct {
	*program
	input *os.File
}

func launchPiped(t *testing.T, cmd *exec.Cmd) *piped {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdin = r
	p := &piped{launchCommand(t, cmd), w}
	_ = r.Close()
	t.Cleanup(func() { _ = w.Close() })
	return p
}

// Write implements io.Writer.
func (p *piped) Write(b []byte) (int, error) { return p.input.Write(b) }

// Close implements io.Closer.
func (p *piped) Close() error { return p.input.Close() }

// liveTransmit publishes what is written to it, with libsrt's own program.
func liveTransmit(t *testing.T, url string) *piped {
	t.Helper()
	return launchPiped(t, exec.Command("srt-live-transmit", "-chunk", strconv.Itoa(messageSize), "file://con", url))
}

// hangUp closes the connection as an encoder does. The signal is seen when the end of the input wakes the program.
func (p *piped) hangUp(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.input.Close())
	p.wait(t, 20*time.Second)
}

// feed sends a clip in real time to each of them, in whole messages, so that the n-th packet of each has the same in it. It returns when the clip
// is over; the last message is filled up with null packets.
func feed(t *testing.T, file string, seconds int, to ...io.Writer) error {
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-v", "error", "-re", "-i", file, "-t", strconv.Itoa(seconds),
		"-map", "0", "-c", "copy", "-f", "mpegts", "pipe:1")
	r, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for b := make([]byte, messageSize); err == nil; {
		var n int
		if n, err = io.ReadFull(r, b); n == 0 {
			break
		}
		for ; n < messageSize; n += len(nullPacket) {
			copy(b[n:], nullPacket)
		}
		for _, w := range to {
			if _, err := w.Write(b); err != nil {
				_ = cmd.Process.Kill()
				return errors.Join(err, cmd.Wait())
			}
		}
	}
	return cmd.Wait()
}

// nullPacket is a transport stream packet that carries nothing (ISO/IEC 13818-1 2.4.1: PID 0x1fff).
var nullPacket = append([]byte{0x47, 0x1f, 0xff, 0x10}, bytes.Repeat([]byte{0xff}, 184)...)

// plainReceiver is libsrt as it comes: a listener of srt-live-transmit that throws away what it receives and writes statistics.
type plainReceiver struct {
	*program
	address string
	stats   string
}

func receivePlain(t *testing.T, options string) *plainReceiver {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	p := &plainReceiver{address: c.LocalAddr().String(), stats: filepath.Join(t.TempDir(), "stats.json")}
	require.NoError(t, c.Close())
	cmd := exec.Command("srt-live-transmit", "-fullstats", "-stats", "20", "-statspf", "json", "-statsout", p.stats,
		"srt://"+p.address+"?mode=listener&"+options, "file://con")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	cmd.Stdout = null
	p.program = launchCommand(t, cmd)
	return p
}

// plainStats are those of libsrt's receiver, as srt-live-transmit tells them.
type plainStats struct {
	Packets       int64 `json:"packets"`
	PacketsUnique int64 `json:"packetsUnique"`
	Lost          int64 `json:"packetsLost"`
	Dropped       int64 `json:"packetsDropped"`
	Belated       int64 `json:"packetsBelated"`
}

// read returns the last figures, which are from when it last gave out 20 packets.
func (p *plainReceiver) read(t *testing.T) plainStats {
	t.Helper()
	raw, err := os.ReadFile(p.stats)
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	var last struct {
		Recv plainStats `json:"recv"`
	}
	line := bytes.TrimRight(lines[len(lines)-1], ",")
	require.NoError(t, json.Unmarshal(line, &last), string(line))
	return last.Recv
}
