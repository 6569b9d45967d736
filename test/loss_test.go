package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"brume/test/relay"

	"github.com/stretchr/testify/require"
)

// TestConnectsThroughLoss lets 30 callers in through 20 % loss each way, and each gets media. The time is for callers that repeat themselves once a second.
func TestConnectsThroughLoss(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.publish(plainClip(t), "publish:live")
	s.waitState("live", "live")
	r := through(t, s.srt, relay.Both(5, relay.Way{Loss: 0.2}))
	dir := t.TempDir()
	var wait sync.WaitGroup
	turns := make(chan struct{}, 5)
	for i := range 30 {
		out, err := os.Create(filepath.Join(dir, strconv.Itoa(i)))
		require.NoError(t, err)
		wait.Go(func() {
			defer out.Close()
			turns <- struct{}{}
			defer func() { <-turns }()
			cmd := exec.CommandContext(t.Context(), "srt-live-transmit", "-autoreconnect", "no",
				"srt://"+r.Addr()+"?streamid=read:live&conntimeo=20000", "file://con")
			cmd.Stdout = out
			if cmd.Start() != nil {
				return
			}
			for deadline := time.Now().Add(25 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
				if i, err := out.Stat(); err == nil && i.Size() > 0 {
					break
				}
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	wait.Wait()
	up, down := r.Counts()
	t.Logf("up %+v, down %+v", up, down)
	require.Greater(t, up.Lost, uint64(30))
	for i := range 30 {
		info, err := os.Stat(filepath.Join(dir, strconv.Itoa(i)))
		require.NoError(t, err)
		require.Positive(t, info.Size(), "caller %d was lost", i)
	}
	s.eventually(60*time.Second, "they are gone", func() bool { return len(s.connections("role=play")) == 0 })
	require.Zero(t, s.metric("brume_connection_ends_total", `reason="crash"`))
}

// TestSourcePortChanges gives publishers and viewers another port in mid-connection, as a router does. libsrt does not move a connection: it ends, at a
// plain listener of libsrt's as here. The next call works at once, though the old one has not been given up yet.
func TestSourcePortChanges(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := plainClip(t)
	plain := receivePlain(t, "latency=120")
	toBrume, toPlain := through(t, s.srt, relay.Config{}), through(t, plain.address, relay.Config{})
	at := s.in(t)
	at.srt = toBrume.Addr()
	publisher := at.publish(file, "publish:live")
	s.waitState("live", "live")
	viewer := record(t, at.outputs("live")["srt"], filepath.Join(t.TempDir(), "out.ts"), 600)
	other := launch(t, "ffmpeg", "-nostdin", "-v", "error", "-re", "-i", file, "-c", "copy", "-f", "mpegts", "srt://"+toPlain.Addr()+"?pkt_size=1316")
	s.eventually(20*time.Second, "a viewer", func() bool { return len(s.connections("role=play")) == 1 })
	s.eventually(20*time.Second, "packets at the plain listener", func() bool { i, err := os.Stat(plain.stats); return err == nil && i.Size() > 0 })
	before := s.connections("role=publish")[0].ID

	require.NoError(t, toBrume.ChangePorts())
	require.NoError(t, toPlain.ChangePorts())
	// An encoder that calls again when the server has heard nothing of it for a second is let in at its first try.
	received, since := uint64(0), time.Now()
	s.eventually(20*time.Second, "the publisher is silent", func() bool {
		now := uint64(0)
		for _, c := range s.connections("role=publish") {
			now += c.Bytes
		}
		if now != received {
			received, since = now, time.Now()
		}
		return time.Since(since) > 2500*time.Millisecond // the API is a second behind
	})
	next := at.publish(file, "publish:live")
	s.eventually(20*time.Second, "the next call works", func() bool {
		v := s.stream("live")
		return v.State == "live" && v.Publisher != nil && v.Publisher.Connection != before
	})
	for name, p := range map[string]*program{"publisher": publisher, "viewer": viewer, "publisher of a plain listener": other} {
		select {
		case <-p.done:
		case <-time.After(30 * time.Second):
			require.Fail(t, "its connection goes on: "+name)
		}
	}
	require.True(t, next.running())
	out := filepath.Join(t.TempDir(), "again.ts")
	again := record(t, at.outputs("live")["srt"], out, 4)
	again.wait(t, 60*time.Second)
	require.NoError(t, again.err)
	requireContiguous(t, frames(t, file), frames(t, out), 60)
	s.eventually(30*time.Second, "the old ones are gone", func() bool { return len(s.connections("")) == 1 })
	require.Zero(t, s.metric("brume_connection_ends_total", `reason="crash"`))
}
