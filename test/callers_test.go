package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// callSecret is the passphrase of what the server calls. It must come to light nowhere.
const callSecret = "correct-horse-battery"

// udpPort was free a moment ago.
func udpPort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{})
	require.NoError(t, err)
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// loop sends a clip in real time, again and again, by libsrt's own tool.
func loop(t *testing.T, file, url string) *program {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	source := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", file, "-map", "0", "-c", "copy", "-f", "mpegts", "-flush_packets", "0", "-")
	source.Stdout = w
	source.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, source.Start())
	_ = w.Close()
	t.Cleanup(func() {
		_ = source.Process.Kill()
		_ = source.Wait()
	})
	return transmit(t, r, nil, "file://con", url)
}

// into receives into a file by libsrt's own tool.
func into(t *testing.T, url, file string) *program {
	t.Helper()
	f, err := os.Create(file)
	require.NoError(t, err)
	return transmit(t, nil, f, url, "file://con")
}

func transmit(t *testing.T, in, out *os.File, from, to string) *program {
	t.Helper()
	p := &program{cmd: exec.Command("srt-live-transmit", "-q", "-a", "no", "-chunk", "1316", from, to), done: make(chan struct{})}
	p.cmd.Stderr = &p.out
	if in != nil {
		p.cmd.Stdin = in
		defer in.Close()
	}
	if out != nil {
		p.cmd.Stdout = out
		defer out.Close()
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.end)
	return p
}

type callView struct {
	ID         string            `json:"id"`
	State      string            `json:"state"`
	URL        string            `json:"url"`
	Index      int               `json:"index"`
	Connection string            `json:"connection"`
	Attempts   int               `json:"attempts"`
	Failures   map[string]uint64 `json:"failures"`
	LastError  struct {
		Reason string `json:"reason"`
		Detail string `json:"detail"`
		Code   int    `json:"code"`
	} `json:"last_error"`
}

// source is what the API says of a stream's source.
func (s *server) source(name string) callView {
	s.t.Helper()
	var v struct {
		Source callView `json:"source"`
	}
	s.get("/api/v1/streams/"+name, &v)
	return v.Source
}

func (s *server) push(id string) callView {
	s.t.Helper()
	var v callView
	s.get("/api/v1/pushes/"+id, &v)
	return v
}

type outboundView struct {
	connectionView
	Direction string   `json:"direction"`
	Mode      string   `json:"mode"`
	Sandbox   []string `json:"sandbox"`
	SRT       struct {
		KeyLength int `json:"key_length"`
	} `json:"srt"`
}

func (s *server) outbound(id string) outboundView {
	s.t.Helper()
	var v outboundView
	s.get("/api/v1/connections/"+id, &v)
	return v
}

// requireSecret sees that a passphrase is in no answer, log line, metric or command line of a server.
func (s *server) requireSecret() {
	s.t.Helper()
	for _, path := range []string{"/api/v1/info", "/api/v1/streams", "/api/v1/pushes", "/api/v1/connections", "/metrics"} {
		r, err := http.Get("http://" + s.api + path)
		require.NoError(s.t, err)
		b, err := io.ReadAll(r.Body)
		require.NoError(s.t, err)
		_ = r.Body.Close()
		require.NotContains(s.t, string(b), callSecret, path)
	}
	require.NotContains(s.t, s.log.all(), callSecret)
	for pid, line := range s.processes("") {
		require.NotContains(s.t, line, callSecret)
		environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		require.NotContains(s.t, string(environment), callSecret)
	}
}

// TestPull pulls from libsrt's own tool with each key length, from ffmpeg, over IPv6, and from another Brume.
func TestPull(t *testing.T) {
	t.Parallel()
	file := plainClip(t)
	other := startWith(t, "srt: {passphrase: "+callSecret+"}\n")
	launch(t, "ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", file, "-map", "0", "-c", "copy", "-f", "mpegts", "-flush_packets", "0",
		"srt://"+other.srt+"?pkt_size=1316&streamid=publish:origin&passphrase="+callSecret)
	other.waitState("origin", "live")

	lengths := map[string]int{"aes128": 16, "aes192": 24, "aes256": 32}
	config := "streams:\n"
	add := func(name, url string) { config += fmt.Sprintf("  %s: {start: always, source: [%q]}\n", name, url) }
	for name, length := range lengths {
		port := udpPort(t)
		loop(t, file, fmt.Sprintf("srt://127.0.0.1:%d?mode=listener&passphrase=%s&pbkeylen=%d", port, callSecret, length))
		add(name, fmt.Sprintf("srt://127.0.0.1:%d?passphrase=%s", port, callSecret))
	}
	port := udpPort(t)
	loop(t, file, fmt.Sprintf("srt://[::1]:%d?mode=listener", port))
	add("ipv6", fmt.Sprintf("srt://[::1]:%d", port))
	port = udpPort(t)
	launch(t, "ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", file, "-map", "0", "-c", "copy", "-f", "mpegts", fmt.Sprintf("srt://127.0.0.1:%d?mode=listener", port))
	add("ffmpeg", fmt.Sprintf("srt://localhost:%d?latency=200", port))
	add("brume", fmt.Sprintf("srt://%s?streamid=read:origin&passphrase=%s", other.srt, callSecret))
	s := startWith(t, config)

	pids := map[int]bool{}
	for _, name := range []string{"aes128", "aes192", "aes256", "ipv6", "ffmpeg", "brume"} {
		s.waitState(name, "live")
		source := s.source(name)
		require.Equal(t, "connected", source.State, name)
		require.Equal(t, source.Connection, s.stream(name).Publisher.Connection)
		c := s.outbound(source.Connection)
		require.Equal(t, []string{"outbound", "caller", "publish"}, []string{c.Direction, c.Mode, c.Role})
		require.Contains(t, c.Sandbox, "seccomp", name)
		if length := lengths[name]; length > 0 {
			require.Equal(t, length, c.SRT.KeyLength, name)
		}
		pids[c.PID] = true
		require.Equal(t, 1.0, s.metric("brume_source_state", `state="connected"`, `stream="`+name+`"`))
	}
	require.Len(t, pids, 6, "each is a process of its own")
	s.requireSecret()

	out := filepath.Join(t.TempDir(), "out.ts")
	record(t, s.outputs("brume")["hls"], out, 5).wait(t, 60*time.Second)
	requireRun(t, frames(t, file), frames(t, out), 100)
}

// requireRun is requireContiguous of a clip that is sent again and again.
func requireRun(t *testing.T, clip, got []string, least int) {
	t.Helper()
	requireContiguous(t, append(append([]string{}, clip...), clip...), got, least)
}

// TestPush sends a stream to libsrt's own tool, and to another Brume whose pictures are those of the source. A push that
// the API starts outlives the controller.
func TestPush(t *testing.T) {
	t.Parallel()
	file := plainClip(t)
	other := start(t)
	port, received := udpPort(t), filepath.Join(t.TempDir(), "received.ts")
	s := startWith(t, fmt.Sprintf("streams:\n  live:\n    push: [\"srt://127.0.0.1:%d?passphrase=%s\", \"srt://%s?streamid=publish:copy-of-$stream\"]\n", port, callSecret, other.srt))
	require.Equal(t, "waiting", s.push("live-0").State)
	into(t, fmt.Sprintf("srt://127.0.0.1:%d?mode=listener&passphrase=%s", port, callSecret), received)
	s.publish(file, "publish:live")
	s.eventually(30*time.Second, "both targets are connected", func() bool {
		return s.push("live-0").State == "connected" && s.push("live-1").State == "connected"
	})
	c := s.outbound(s.push("live-0").Connection)
	require.Equal(t, []any{"outbound", "caller", "play", 16}, []any{c.Direction, c.Mode, c.Role, c.SRT.KeyLength})
	require.Zero(t, s.stream("live").Viewers.SRT, "a target is no viewer")
	other.waitState("copy-of-live", "live")
	out := filepath.Join(t.TempDir(), "out.ts")
	record(t, other.outputs("copy-of-live")["hls"], out, 5).wait(t, 60*time.Second)
	source := frames(t, file)
	requireContiguous(t, source, frames(t, out), 100)
	s.eventually(30*time.Second, "the tool received it", func() bool {
		info, err := os.Stat(received)
		return err == nil && info.Size() > 300_000
	})

	body, err := json.Marshal(map[string]string{"stream": "live", "url": "srt://" + other.srt + "?streamid=publish:second"})
	require.NoError(t, err)
	r, err := http.Post("http://"+s.api+"/api/v1/pushes", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	var started callView
	require.NoError(t, json.NewDecoder(r.Body).Decode(&started))
	_ = r.Body.Close()
	require.Equal(t, http.StatusCreated, r.StatusCode)
	other.waitState("second", "live")
	before := s.push(started.ID).Connection
	s.kill(s.one(" controller"))
	s.eventually(20*time.Second, "the next controller has them all", func() bool {
		return s.push(started.ID).State == "connected" && s.push("live-0").State == "connected" && s.push("live-1").State == "connected"
	})
	require.Equal(t, before, s.push(started.ID).Connection, "the connection went on")
	require.Equal(t, "live", other.stream("second").State)
	require.Equal(t, http.StatusConflict, s.delete("/api/v1/pushes/live-0"))
	require.Equal(t, http.StatusNoContent, s.delete("/api/v1/pushes/"+started.ID))
	s.eventually(10*time.Second, "it has ended", func() bool { return other.stream("second").State == "offline" })
	require.Equal(t, http.StatusNotFound, s.get("/api/v1/pushes/"+started.ID, nil))
	s.requireSecret()
}

// TestRendezvous meets libsrt's own tool in the middle, in both roles.
func TestRendezvous(t *testing.T) {
	t.Parallel()
	file := plainClip(t)
	in, inPeer, out, outPeer := udpPort(t), udpPort(t), udpPort(t), udpPort(t)
	received := filepath.Join(t.TempDir(), "received.ts")
	loop(t, file, fmt.Sprintf("srt://127.0.0.1:%d?mode=rendezvous&port=%d&passphrase=%s", in, inPeer, callSecret))
	into(t, fmt.Sprintf("srt://127.0.0.1:%d?mode=rendezvous&port=%d", out, outPeer), received)
	s := startWith(t, fmt.Sprintf(`
srt: {rendezvous: [127.0.0.0/8]}
streams:
  met:
    start: always
    source: ["srt://127.0.0.1:%d?mode=rendezvous&localport=%d&passphrase=%s"]
    push: ["srt://127.0.0.1:%d?mode=rendezvous&localport=%d"]
`, inPeer, in, callSecret, outPeer, out))
	s.waitState("met", "live")
	require.Equal(t, "rendezvous", s.outbound(s.source("met").Connection).Mode)
	s.eventually(40*time.Second, "the target received it", func() bool {
		info, err := os.Stat(received)
		return err == nil && info.Size() > 200_000
	})
	require.Equal(t, "rendezvous", s.outbound(s.push("met-0").Connection).Mode)
	s.requireSecret()
}

// TestRendezvousTakesItsTime calls a peer that does not come for longer than a silent process may live: the attempt ends when
// libsrt gives it up, and the next one follows.
func TestRendezvousTakesItsTime(t *testing.T) {
	t.Parallel()
	s := startWith(t, fmt.Sprintf(`
srt: {rendezvous: [127.0.0.0/8]}
streams: {met: {start: always, source: ["srt://127.0.0.1:%d?mode=rendezvous&localport=%d&conntimeo=1300"]}}
`, udpPort(t), udpPort(t)))
	s.eventually(60*time.Second, "the attempt has ended", func() bool { return len(s.source("met").Failures) > 0 })
	require.Equal(t, "timeout", s.source("met").LastError.Reason)
	require.Zero(t, s.metric("brume_process_kills_total", `cause="silent"`))
}

// TestSourceComesBack has a backup where the first source is dead, and a source that dies and comes back: a viewer
// stays. A controller that is killed in the middle of a call tries it again.
func TestSourceComesBack(t *testing.T) {
	t.Parallel()
	file := plainClip(t)
	dead, port := udpPort(t), udpPort(t)
	url := fmt.Sprintf("srt://127.0.0.1:%d?mode=listener", port)
	first := loop(t, file, url)
	s := startWith(t, fmt.Sprintf("resume: 1m\nstreams: {live: {start: always, source: [\"srt://127.0.0.1:%d?conntimeo=500\", \"srt://127.0.0.1:%d\"]}}\n", dead, port))
	s.waitState("live", "live")
	require.Equal(t, 1, s.source("live").Index)
	require.NotZero(t, s.source("live").Failures["timeout"])
	viewer := record(t, s.outputs("live")["srt"], filepath.Join(t.TempDir(), "out.ts"), 600)
	played := func() (id string, bytes uint64) {
		for _, c := range s.connections("stream=live&role=play") {
			id, bytes = c.ID, c.Bytes
		}
		return id, bytes
	}
	s.eventually(20*time.Second, "somebody watches", func() bool { _, n := played(); return n > 50_000 })

	s.kill(s.one(" controller"))
	s.eventually(20*time.Second, "the source went on", func() bool { return s.source("live").State == "connected" && s.stream("live").State == "live" })
	first.end()
	s.waitState("live", "offline")
	s.eventually(20*time.Second, "it is called", func() bool { return s.source("live").State == "connecting" })
	s.kill(s.one(" controller"))
	s.eventually(20*time.Second, "there is another controller", func() bool { return s.source("live").Attempts > 0 })
	id, before := played()
	loop(t, file, url)
	s.waitState("live", "live")
	s.eventually(20*time.Second, "the viewer gets more", func() bool {
		again, now := played()
		return again == id && now > before+50_000
	})
	require.True(t, viewer.running())
}

// TestRefusedCallsAreShown has a peer that refuses: its code is in the API and in the log.
func TestRefusedCallsAreShown(t *testing.T) {
	t.Parallel()
	other := startWith(t, "streams: {secret: {srt: {publish_passphrase: "+callSecret+"}}}\n")
	s := startWith(t, fmt.Sprintf(`
streams:
  unknown: {start: always, source: ["srt://%[1]s?streamid=read:none"]}
  wrong: {start: always, source: ["srt://%[1]s?streamid=publish:secret&passphrase=another-passphrase"]}
  missing: {start: always, source: ["srt://%[1]s?streamid=publish:secret"]}
  name: {start: always, source: ["srt://nonesuch.invalid:9"]}
`, other.srt))
	for name, want := range map[string]struct {
		reason string
		code   int
	}{"unknown": {"rejected", 1404}, "wrong": {"bad_secret", 1010}, "missing": {"no_secret", 1011}, "name": {"resolve", 0}} {
		s.eventually(30*time.Second, name+" has failed", func() bool { return s.source(name).LastError.Reason != "" })
		v := s.source(name)
		require.Equal(t, want.reason, v.LastError.Reason, name)
		require.Equal(t, want.code, v.LastError.Code, name)
		require.Positive(t, s.metric("brume_source_failures_total", `stream="`+name+`"`, `reason="`+want.reason+`"`))
	}
	require.Contains(t, s.source("unknown").LastError.Detail, "no such stream")
	require.Contains(t, s.log.all(), `"code":1404`)
	require.NotContains(t, s.log.all(), "another-passphrase")
	s.requireSecret()
}

// TestOnDemand starts a source by an HLS request and by an SRT player; it ends when nobody watches any more.
func TestOnDemand(t *testing.T) {
	t.Parallel()
	file := plainClip(t)
	origin := start(t)
	origin.publish(file, "publish:base", "-stream_loop", "-1")
	origin.waitState("base", "live")
	s := startWith(t, fmt.Sprintf("resume: 0s\nstreams: {\"pull*\": {stop_after: 1s, source: [\"srt://%s?streamid=read:base&latency=20\"]}}\n", origin.srt))
	require.Equal(t, http.StatusNotFound, s.get("/api/v1/streams/pull+a", nil))
	status, _, _ := s.fetch("/hls/nothing/index.m3u8")
	require.Equal(t, http.StatusNotFound, status)
	require.Empty(t, origin.connections("role=play"))

	status, body, _ := s.fetch("/hls/pull+a/index.m3u8")
	s.eventually(20*time.Second, "the request is answered with a playlist", func() bool {
		if status == http.StatusOK {
			return true
		}
		require.Equal(t, http.StatusServiceUnavailable, status, string(body))
		status, body, _ = s.fetch("/hls/pull+a/index.m3u8")
		return false
	})
	require.Equal(t, "connected", s.source("pull+a").State)
	// A player over SRT keeps it, and begins it.
	out := filepath.Join(t.TempDir(), "out.ts")
	record(t, s.outputs("pull-b")["srt"], out, 4).wait(t, 60*time.Second)
	requireRun(t, frames(t, file), frames(t, out), 60)
	s.eventually(40*time.Second, "nobody is called any more", func() bool { return len(origin.connections("role=play")) == 0 })
	require.Contains(t, s.log.all(), "a source is not needed any more")
}

// TestOnDemandBehindADeadSource gets a stream by its first request, though the first source never answers.
func TestOnDemandBehindADeadSource(t *testing.T) {
	t.Parallel()
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = dead.Close() })
	origin := start(t)
	origin.publish(plainClip(t), "publish:base", "-stream_loop", "-1")
	origin.waitState("base", "live")
	s := startWith(t, fmt.Sprintf("streams: {\"news*\": {source: [\"srt://%s\", \"srt://%s?streamid=read:base&latency=20\"]}}\n", dead.LocalAddr(), origin.srt))
	for _, name := range []string{"news-1", "news-2", "news-3"} { // a machine that stands still says nothing, but not three times
		status, body, _ := s.fetch("/hls/" + name + "/index.m3u8")
		if status != http.StatusOK {
			t.Logf("%s: %d %s", name, status, body)
			continue
		}
		require.Equal(t, 1, s.source(name).Index)
		require.Equal(t, map[string]uint64{"timeout": 1}, s.source(name).Failures)
		return
	}
	t.Fatal("no first request was answered with a playlist")
}

// TestStreamsOwnPorts has a source and a target that listen: the peers call.
func TestStreamsOwnPorts(t *testing.T) {
	t.Parallel()
	file := plainClip(t)
	in, out := udpPort(t), udpPort(t)
	s := startWith(t, fmt.Sprintf("streams: {own: {source: [\"srt://127.0.0.1:%d?mode=listener&passphrase=%s\"], push: [\"srt://127.0.0.1:%d?mode=listener\"]}}\n", in, callSecret, out))
	require.Equal(t, "waiting", s.source("own").State)
	loop(t, file, fmt.Sprintf("srt://127.0.0.1:%d?streamid=whatever&passphrase=%s", in, callSecret))
	s.waitState("own", "live")
	require.Equal(t, "connected", s.source("own").State)
	require.Equal(t, "inbound", s.outbound(s.source("own").Connection).Direction)
	received := filepath.Join(t.TempDir(), "received.ts")
	into(t, fmt.Sprintf("srt://127.0.0.1:%d?mode=caller", out), received)
	s.eventually(30*time.Second, "the target received it", func() bool {
		info, err := os.Stat(received)
		return err == nil && info.Size() > 100_000
	})
	require.Equal(t, "connected", s.push("own-0").State)
	s.requireSecret()
}
