package test

import (
	"context"
	"net"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStrangersChangeNothing has encoders without the passphrase call for a stream again and again: none of them keeps its
// publisher out, and none ends it when it stalls.
func TestStrangersChangeNothing(t *testing.T) {
	t.Parallel()
	s := startWith(t, `streams: {shut: {srt: {publish_passphrase: "secret of publishers"}}}`)
	require.Equal(t, "rejected 10", rejected(t, s.srt, "publish:shut", "not the secret", "live"))
	host, port, err := net.SplitHostPort(s.srt)
	require.NoError(t, err)
	var strangers sync.WaitGroup
	defer strangers.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for range 3 {
		strangers.Go(func() {
			for ctx.Err() == nil {
				_ = exec.CommandContext(ctx, theCaller.path, host, port, "publish:shut", "not the secret", "live").Run()
			}
		})
	}
	publishing := func() bool {
		return slices.ContainsFunc(s.connections("role=publish"), func(c connectionView) bool { return c.State == "connected" })
	}
	s.eventually(20*time.Second, "they call", func() bool { return s.metric("brume_srt_rejects_total", `code="1010"`) >= 3 })
	for range 10 {
		require.Equal(t, "connected", rejected(t, s.srt, "publish:shut", "secret of publishers", "live"))
		s.eventually(20*time.Second, "it is gone again", func() bool { return !publishing() })
	}

	publisher := s.publish(plainClip(t), "publish:shut&passphrase=secret+of+publishers", "-stream_loop", "-1")
	s.waitState("shut", "live")
	id := s.stream("shut").Publisher.Connection
	pause(t, publisher)
	time.Sleep(1500 * time.Millisecond) // it counts as silent
	had := s.metric("brume_srt_rejects_total", `code="1010"`)
	s.eventually(20*time.Second, "a stranger calls", func() bool { return s.metric("brume_srt_rejects_total", `code="1010"`) > had })
	require.NoError(t, publisher.cmd.Process.Signal(syscall.SIGCONT))
	before := s.stream("shut").Input["units"]
	s.eventually(20*time.Second, "it goes on", func() bool { return s.stream("shut").Input["units"] > before })
	require.NotNil(t, s.stream("shut").Publisher)
	require.Equal(t, id, s.stream("shut").Publisher.Connection)
	require.Zero(t, s.metric("brume_process_kills_total", `cause="silent"`))
}
