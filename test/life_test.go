package test

import (
	"bytes"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestKillingAPeersProcessTouchesNobodyElse kills each kind of process and looks at everybody else.
func TestKillingAPeersProcessTouchesNobodyElse(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := plainClip(t)
	source := frames(t, file)
	dir := t.TempDir()
	s.publish(file, "publish:one")
	two := s.publish(file, "publish:two")
	s.waitPlayable("one")
	s.waitPlayable("two")
	keeper := record(t, s.outputs("one")["srt"], filepath.Join(dir, "keeper.ts"), 14)
	s.eventually(20*time.Second, "a viewer over SRT", func() bool { return len(s.connections("role=play&stream=one")) == 1 })
	kept := s.connections("role=play&stream=one")[0].ID
	hls := record(t, s.outputs("one")["hls"], filepath.Join(dir, "hls.ts"), 14)
	victim := record(t, s.outputs("one")["srt"], filepath.Join(dir, "victim.ts"), 600)
	s.eventually(20*time.Second, "two viewers over SRT", func() bool { return len(s.connections("role=play&stream=one")) == 2 })
	all := s.connections("")
	require.Len(t, all, 4)
	pids := map[int]bool{}
	for _, c := range all {
		require.Contains(t, s.processes("brume-srt"), c.PID)
		pids[c.PID] = true
	}
	require.Len(t, pids, 4, "one process per connection")

	for _, c := range all {
		if c.ID != kept && (c.Role == "play" || c.Stream == "two") {
			s.kill(c.PID)
		}
	}
	// The farewell reaches the peers: libsrt alone would let them wait for longer.
	victim.wait(t, 4*time.Second)
	two.wait(t, 4*time.Second)
	s.eventually(5*time.Second, "both are forgotten", func() bool { return len(s.connections("")) == 2 })
	for name, r := range map[string]*program{"keeper.ts": keeper, "hls.ts": hls} {
		r.wait(t, 60*time.Second)
		require.NoError(t, r.err)
		requireContiguous(t, source, frames(t, filepath.Join(dir, name)), 300)
	}
}

var segmentName = regexp.MustCompile(`(?m)^seg-\d+-\d+\.m4s$`)

// TestHTTPProcessIsReplaced kills it: names continue, and what was fetched before is the same after.
func TestHTTPProcessIsReplaced(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := plainClip(t)
	s.publish(file, "live")
	s.waitPlayable("live")
	s.eventually(20*time.Second, "some segments are listed", func() bool {
		_, playlist, _ := s.fetch("/hls/live/v0/index.m3u8")
		return len(segmentName.FindAll(playlist, -1)) >= 4
	})
	dir := t.TempDir()
	viewer := record(t, s.outputs("live")["srt"], filepath.Join(dir, "srt.ts"), 8)
	_, before, _ := s.fetch("/hls/live/v0/index.m3u8")
	names := segmentName.FindAllString(string(before), -1)
	bodies := map[string][]byte{}
	for _, n := range names {
		status, body, _ := s.fetch("/hls/live/v0/" + n)
		require.Equal(t, http.StatusOK, status, n)
		bodies[n] = body
	}
	killed := time.Now()
	s.kill(s.pid("http"))
	s.eventually(10*time.Second, "http is back", func() bool {
		status, _, _ := s.fetch("/hls/live/v0/index.m3u8")
		return status == http.StatusOK
	})
	t.Logf("http was back after %v", time.Since(killed))
	_, after, _ := s.fetch("/hls/live/v0/index.m3u8")
	require.Contains(t, string(after), names[len(names)-1], "names continue")
	for n, want := range bodies {
		status, body, _ := s.fetch("/hls/live/v0/" + n)
		require.Equal(t, http.StatusOK, status, n)
		require.True(t, bytes.Equal(want, body), "%s has other bytes now", n)
	}
	viewer.wait(t, 60*time.Second)
	requireContiguous(t, frames(t, file), frames(t, filepath.Join(dir, "srt.ts")), 200)
}

// TestControllerIsReplaced kills it: media goes on, and the next one knows everybody.
func TestControllerIsReplaced(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := plainClip(t)
	dir := t.TempDir()
	publisher := s.publish(file, "publish:live")
	s.waitPlayable("live")
	viewers := map[string]*program{
		"srt.ts": record(t, s.outputs("live")["srt"], filepath.Join(dir, "srt.ts"), 12),
		"hls.ts": record(t, s.outputs("live")["hls"], filepath.Join(dir, "hls.ts"), 12),
	}
	s.eventually(20*time.Second, "the viewer is in", func() bool { return len(s.connections("role=play")) == 1 })
	before := s.connections("")
	killed := time.Now()
	s.kill(s.pid("controller"))
	s.eventually(10*time.Second, "the next controller knows all", func() bool {
		return len(s.connections("")) == len(before) && s.stream("live").State == "live"
	})
	t.Logf("everybody was listed again after %v", time.Since(killed))
	ids := map[string]int{}
	for _, c := range before {
		ids[c.ID] = c.PID
	}
	for _, c := range s.connections("") {
		require.Equal(t, ids[c.ID], c.PID)
	}
	// New callers come in, and what the old controller started can be ended by the new one.
	r := record(t, s.outputs("live")["srt"], filepath.Join(dir, "late.ts"), 3)
	r.wait(t, 30*time.Second)
	for name, v := range viewers {
		v.wait(t, 60*time.Second)
		requireContiguous(t, frames(t, file), frames(t, filepath.Join(dir, name)), 300)
	}
	require.True(t, publisher.running())
	require.Equal(t, http.StatusNoContent, s.delete("/api/v1/streams/live"))
	publisher.wait(t, 10*time.Second)
	require.EqualValues(t, 1, s.metric("brume_process_restarts_total", `role="controller"`))
}

// TestAControllerThatHangs is replaced too: nobody who is connected notices either.
func TestAControllerThatHangs(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := plainClip(t)
	dir := t.TempDir()
	publisher := s.publish(file, "publish:live")
	s.waitPlayable("live")
	viewer := record(t, s.outputs("live")["srt"], filepath.Join(dir, "srt.ts"), 20)
	s.eventually(20*time.Second, "the viewer is in", func() bool { return len(s.connections("role=play")) == 1 })
	hangs := s.one(" controller")
	require.NoError(t, syscall.Kill(hangs, syscall.SIGSTOP))
	s.eventually(60*time.Second, "it is ended", func() bool { return s.processes(" controller")[hangs] == "" })
	s.eventually(20*time.Second, "the next controller knows all", func() bool {
		return len(s.connections("")) == 2 && s.stream("live").State == "live"
	})
	require.Contains(t, s.log.String(), "the controller hangs; ending it")
	r := record(t, s.outputs("live")["srt"], filepath.Join(dir, "late.ts"), 3)
	r.wait(t, 30*time.Second)
	require.NoError(t, r.err)
	viewer.wait(t, 60*time.Second)
	requireContiguous(t, frames(t, file), frames(t, filepath.Join(dir, "srt.ts")), 400)
	require.True(t, publisher.running())
	require.EqualValues(t, 1, s.metric("brume_process_restarts_total", `role="controller"`))
}

// TestListenerIsReplaced kills it: connections go on and new ones come in.
func TestListenerIsReplaced(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := plainClip(t)
	publisher := s.publish(file, "publish:live")
	s.waitState("live", "live")
	s.kill(s.pid("srt-listener"))
	out := filepath.Join(t.TempDir(), "out.ts")
	r := record(t, s.outputs("live")["srt"], out, 3)
	r.wait(t, 30*time.Second)
	require.NoError(t, r.err)
	require.True(t, publisher.running())
	requireContiguous(t, frames(t, file), frames(t, out), 60)
}

// TestGuardianIsKilled sees that nothing is left then.
func TestGuardianIsKilled(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.publish(plainClip(t), "publish:live")
	s.waitState("live", "live")
	s.kill(s.cmd.Process.Pid)
	s.eventually(12*time.Second, "all processes are gone", func() bool { return len(s.processes("")) == 0 })
}

// TestPublisherComesBack keeps viewers over a publisher's pause, in a new epoch.
func TestPublisherComesBack(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := plainClip(t)
	out := filepath.Join(t.TempDir(), "out.ts")
	first := s.publish(file, "publish:live")
	s.waitPlayable("live")
	viewer := record(t, s.outputs("live")["srt"], out, 600)
	s.eventually(20*time.Second, "the viewer is in", func() bool { return len(s.connections("role=play")) == 1 })
	time.Sleep(2 * time.Second)
	first.end()
	s.waitState("live", "offline")
	s.publish(file, "publish:live")
	s.waitState("live", "live")
	s.eventually(20*time.Second, "the playlist goes on", func() bool {
		_, playlist, _ := s.fetch("/hls/live/v0/index.m3u8")
		i := strings.Index(string(playlist), "#EXT-X-DISCONTINUITY\n")
		return i > 0 && segmentName.Match(playlist[i:])
	})
	require.True(t, viewer.running())
	require.Len(t, s.connections("role=play"), 1, "the viewer stayed")
}

// TestStreamEnds goes through the end of a stream: viewers are closed, playlists end, then are gone.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	s := start(t, "BRUME_RESUME=1s", "BRUME_BUFFER_WINDOW=8s", "BRUME_BUFFER_SEGMENT_MAX=1s")
	file := plainClip(t)
	publisher := s.publish(file, "publish:live")
	s.waitPlayable("live")
	viewer := record(t, s.outputs("live")["srt"], filepath.Join(t.TempDir(), "out.ts"), 600)
	s.eventually(20*time.Second, "the viewer is in", func() bool { return len(s.connections("role=play")) == 1 })
	publisher.end()
	s.eventually(15*time.Second, "the playlist ends", func() bool {
		_, playlist, _ := s.fetch("/hls/live/v0/index.m3u8")
		return strings.Contains(string(playlist), "#EXT-X-ENDLIST")
	})
	viewer.wait(t, 10*time.Second)
	s.eventually(15*time.Second, "the stream is gone", func() bool {
		status, _, _ := s.fetch("/hls/live/index.m3u8")
		return status == http.StatusNotFound
	})
	require.Equal(t, http.StatusNotFound, s.get("/api/v1/streams/live", nil))
	// It may begin anew.
	s.publish(file, "publish:live")
	s.waitPlayable("live")
	_, playlist, _ := s.fetch("/hls/live/v0/index.m3u8")
	require.NotContains(t, string(playlist), "#EXT-X-ENDLIST")
}

// TestSecondPublisherIsRefused with the code that fits, before any process is used.
func TestSecondPublisherIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := plainClip(t)
	first := s.publish(file, "publish:live")
	s.waitState("live", "live")
	second := s.publish(file, "publish:live")
	second.wait(t, 20*time.Second)
	require.Error(t, second.err)
	require.True(t, first.running())
	require.GreaterOrEqual(t, s.metric("brume_srt_rejects_total", `code="1409"`), 1.0)
}

// TestSilentPublisherGivesWay to one that comes back.
func TestSilentPublisherGivesWay(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := plainClip(t)
	first := s.publish(file, "publish:live")
	s.waitState("live", "live")
	old := s.stream("live").Publisher.Connection
	pause(t, first)
	time.Sleep(1500 * time.Millisecond)
	s.publish(file, "publish:live")
	s.eventually(10*time.Second, "the new publisher has taken over", func() bool {
		v := s.stream("live")
		return v.State == "live" && v.Publisher != nil && v.Publisher.Connection != old
	})
}

// TestDisconnect ends connections by the API.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	s := start(t)
	publisher := s.publish(plainClip(t), "live")
	s.waitState("live", "live")
	all := s.connections("")
	require.Len(t, all, 1)
	require.Equal(t, http.StatusNoContent, s.delete("/api/v1/connections/"+all[0].ID))
	publisher.wait(t, 10*time.Second)
	s.eventually(5*time.Second, "it is gone", func() bool { return len(s.connections("")) == 0 })
	require.Equal(t, http.StatusNotFound, s.delete("/api/v1/connections/"+all[0].ID))
	require.Equal(t, http.StatusNotFound, s.delete("/api/v1/streams/other"))
	require.Equal(t, http.StatusConflict, s.delete("/api/v1/streams/live"))
}
