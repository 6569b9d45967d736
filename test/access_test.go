package test

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/srt"
)

// theCaller is a caller that tells the code it was rejected with: ffmpeg and srt-live-transmit show libsrt's text alone.
var theCaller = struct {
	sync.Once
	path string
	out  []byte
	err  error
}{}

// rejected calls with libsrt and returns what it was told: "rejected CODE" or "connected".
func rejected(t *testing.T, address, streamID, passphrase, mode string) string {
	t.Helper()
	theCaller.Do(func() {
		theCaller.path = filepath.Join(clips.dir, "caller")
		theCaller.out, theCaller.err = exec.Command("cc", "-Wall", "-O1", "-o", theCaller.path, "testdata/caller.c", "-lsrt").CombinedOutput()
	})
	require.NoError(t, theCaller.err, string(theCaller.out))
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return strings.TrimSpace(run(t, 30*time.Second, theCaller.path, host, port, streamID, passphrase, mode))
}

// tries is what a program that is refused prints before it ends or tries anew. A publisher is told from a player by its stream id.
func tries(t *testing.T, name, address, streamID, passphrase, want string) {
	t.Helper()
	url := "srt://" + address + "?pkt_size=1316&streamid=" + streamID
	if passphrase != "" {
		url += "&passphrase=" + passphrase
	}
	plays := strings.HasPrefix(streamID, "read:")
	var args []string
	switch {
	case name == "ffmpeg" && plays:
		args = []string{"-nostdin", "-i", url, "-f", "null", "-"}
	case name == "ffmpeg":
		args = []string{"-nostdin", "-f", "lavfi", "-i", tone, "-t", "5", "-f", "mpegts", url}
	case plays:
		args = []string{"-loglevel:note", url, "file://con"}
	default:
		args = []string{"-loglevel:note", "file://con", url}
	}
	cmd := exec.Command(name, args...)
	out := &logBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	in, err := cmd.StdinPipe() // srt-live-transmit ends with its input
	require.NoError(t, err)
	defer in.Close()
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), want); time.Sleep(10 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "%s did not say %q but:\n%s", name, want, out)
	}
}

// What libsrt makes of a code, as both programs print it.
const (
	saysApplication = "REJECT reported from HS processing: Application-defined rejection reason"
	saysUnsecure    = "REJECT reported from HS processing: Password required or unexpected"
	saysSecret      = "REJECT reported from HS processing: Incorrect passphrase"
)

func (s *server) pids() []int { return slices.Sorted(maps.Keys(s.processes("brume-srt"))) }

// TestRefusedCallersAreToldWhy has every kind of caller that is not let in, and sees that none of them uses a process up.
func TestRefusedCallersAreToldWhy(t *testing.T) {
	t.Parallel()
	s := startWith(t, `
srt:
  ports:
    - {address: "127.0.0.1:0", mode: publish}
    - {address: "127.0.0.1:0", networks: [10.0.0.0/8]}
    - {address: "127.0.0.1:0", passphrase: "secret of the port"}
access:
  - {user: studio, password: "hidden-password", action: publish, streams: ["cam*", live, shut, locked]}
  - {token: hidden-token, action: play, streams: [live, shut]}
  - {action: any, streams: [open]}
streams:
  shut: {srt: {publish_passphrase: "secret of publishers", play_passphrase: "secret of players"}}
`)
	s.publish(plainClip(t), "publish:live:studio:hidden-password")
	s.waitState("live", "live")
	require.Equal(t, http.StatusNoContent, s.do(http.MethodPut, "/api/v1/streams/locked/lock"))
	s.eventually(20*time.Second, "the pool is full", func() bool { return len(s.pids()) == 5 })
	before := s.pids()
	for _, c := range []struct {
		name       string
		port       int
		id         string
		passphrase string
		code       int
		cause      string
	}{
		{name: "unknown stream", id: "publish:nowhere:studio:hidden-password", code: 1404, cause: "unknown_stream"},
		{name: "nothing to play", id: "read:open", code: 1404, cause: "no_publisher"},
		{name: "wrong password", id: "publish:cam1:studio:hidden-wrong", code: 1401, cause: "bad_credentials"},
		{name: "no credentials", id: "read:live", code: 1401, cause: "bad_credentials"},
		{name: "no credentials, mode not stated", id: "live", code: 1401, cause: "bad_credentials"},
		{name: "not allowed", id: "read:live:studio:hidden-password", code: 1403, cause: "forbidden"},
		{name: "second publisher", id: "publish:live:studio:hidden-password", code: 1409, cause: "conflict"},
		{name: "locked", id: "publish:locked:studio:hidden-password", code: 1423, cause: "locked"},
		{name: "forbidden network", port: 2, id: "publish:open", code: 1403, cause: "network"},
		{name: "bad mode", port: 1, id: "read:live?token=hidden-token", code: 1405, cause: "bad_mode"},
		{name: "both ways", id: "open?mode=bidirectional", code: 1405, cause: "bad_mode"},
		{name: "unreadable", id: "publish:../etc/hidden", code: 1400, cause: "bad_request"},
		{name: "missing passphrase", id: "publish:shut:studio:hidden-password", code: 1011, cause: "no_secret"},
		{name: "missing passphrase of the port", port: 3, id: "publish:open", code: 1011, cause: "no_secret"},
		{name: "passphrase where there is none", id: "publish:open", passphrase: "secret of nobody", code: 1011, cause: "no_secret"},
	} {
		counted := func() float64 {
			return s.metric("brume_srt_rejects_total", fmt.Sprintf(`code="%d"`, c.code), fmt.Sprintf("cause=%q", c.cause))
		}
		had := counted()
		want, says := c.code, saysApplication
		if c.code < 1400 {
			want, says = c.code-1000, saysUnsecure
		}
		require.Equal(t, fmt.Sprint("rejected ", want), rejected(t, s.ports[c.port], c.id, c.passphrase, "live"), c.name)
		for _, program := range []string{"srt-live-transmit", "ffmpeg"} {
			tries(t, program, s.ports[c.port], c.id, c.passphrase, says)
		}
		require.GreaterOrEqual(t, counted()-had, 3.0, c.name)
		s.eventually(20*time.Second, "a line says why: "+c.name, func() bool {
			if strings.Contains(s.log.all(), fmt.Sprintf(`"code":%d,"cause":%q`, c.code, c.cause)) {
				return true
			}
			rejected(t, s.ports[c.port], c.id, c.passphrase, "live") // lines are limited, and those programs try again at once
			return false
		})
	}
	require.Equal(t, before, s.pids(), "nobody was given a process")
	require.NotContains(t, s.log.all(), "hidden")
	require.NotContains(t, s.log.all(), "secret of")
	require.Contains(t, s.log.all(), "hold for SRT only", "nobody may think that HLS is protected")
}

// TestWrongPassphrase needs a process, since libsrt alone can tell. It is gone soon.
func TestWrongPassphrase(t *testing.T) {
	t.Parallel()
	s := startWith(t, `streams: {shut: {srt: {publish_passphrase: "secret of publishers"}}}`)
	events := s.listen("", "")
	s.eventually(10*time.Second, "it listens", func() bool { return events.connections() == 1 })
	ends := func() float64 { return s.metric("brume_connection_ends_total", `reason="bad_secret"`) }
	for i, call := range []func(){
		func() {
			require.Equal(t, "rejected 10", rejected(t, s.srt, "publish:shut", "not the secret", "live"))
		},
		func() { tries(t, "srt-live-transmit", s.srt, "publish:shut", "not the secret", saysSecret) },
		func() { tries(t, "ffmpeg", s.srt, "publish:shut", "not the secret", saysSecret) },
	} {
		s.eventually(20*time.Second, "the pool is full", func() bool { return len(s.pids()) == 4 && s.get("/readyz", nil) == http.StatusOK })
		before := s.pids()
		call()
		s.eventually(2*time.Second, "the process that was used is gone", func() bool {
			left := s.pids()
			return slices.ContainsFunc(before, func(pid int) bool { return !slices.Contains(left, pid) })
		})
		s.eventually(10*time.Second, "it is counted", func() bool { return ends() >= float64(i+1) })
	}
	s.eventually(10*time.Second, "it is told", func() bool {
		return events.index(func(e event) bool { return e.Type == "connection.ended" && e.End.Reason == "bad_secret" }) >= 0
	})
	s.eventually(10*time.Second, "nobody is left", func() bool { return len(s.connections("")) == 0 })
	require.GreaterOrEqual(t, s.metric("brume_srt_rejects_total", `code="1010"`, `cause="bad_secret"`), 3.0)
	require.Zero(t, s.metric("brume_srt_rejects_total", `cause="no_secret"`), "a missing one is told from a wrong one")
	require.Contains(t, s.log.all(), `"code":1010,"cause":"bad_secret"`)
	var refused struct {
		Items []struct {
			Stream, Cause, Reason, Connection string
			Count                             int
		}
	}
	require.Equal(t, http.StatusOK, s.get("/api/v1/refusals?stream=shut&cause=bad_secret", &refused))
	require.Len(t, refused.Items, 1, "one address tries the same again and again")
	require.GreaterOrEqual(t, refused.Items[0].Count, 3)
	require.NotEmpty(t, refused.Items[0].Connection)
	require.NotContains(t, s.log.all(), "the secret")
	require.NotContains(t, s.log.all(), "secret of")
	require.Equal(t, "connected", rejected(t, s.srt, "publish:shut", "secret of publishers", "live"))
}

// TestPassphrasesAndOptionsOfAStream publishes and plays with a passphrase each, and looks at what was agreed.
func TestPassphrasesAndOptionsOfAStream(t *testing.T) {
	t.Parallel()
	s := startWith(t, `
srt: {passphrase: "secret of the port", options: {lossmaxttl: 10}}
streams:
  "cam-*":
    srt: {publish_passphrase: "secret of publishers", play_passphrase: "secret of players", latency: 400ms, options: {pbkeylen: 32}}
`)
	file := plainClip(t)
	s.publish(file, "publish:cam-1&passphrase=secret of publishers&pbkeylen=32")
	s.waitState("cam-1", "live")
	s.publish(file, "other&passphrase=secret of the port") // mode not stated: one passphrase for both
	s.waitState("other", "live")
	out := filepath.Join(t.TempDir(), "out.ts")
	r := record(t, s.outputs("cam-1")["srt"]+"&passphrase=secret of players", out, 4)
	r.wait(t, 60*time.Second)
	requireContiguous(t, frames(t, file), frames(t, out), 80)
	require.Equal(t, "rejected 10", rejected(t, s.srt, "read:cam-1", "secret of publishers", "live"))
	require.Equal(t, "rejected 1405", rejected(t, s.srt, "cam-1", "secret of players", "live"), "which one is meant has to be stated")
	for stream, want := range map[string][2]int{"cam-1": {400, 32}, "other": {120, 16}} {
		var list struct {
			Items []struct {
				SRT struct {
					Latency   int `json:"latency_receive_ms"`
					KeyLength int `json:"key_length"`
				} `json:"srt"`
			} `json:"items"`
		}
		s.get("/api/v1/connections?role=publish&stream="+stream, &list)
		require.Len(t, list.Items, 1)
		require.Equal(t, want, [2]int{list.Items[0].SRT.Latency, list.Items[0].SRT.KeyLength}, stream)
	}
}

// TestFullServer lets no more in than the limits allow.
func TestFullServer(t *testing.T) {
	t.Parallel()
	s := startWith(t, "limits: {connections: 3, per_stream: 2}")
	s.publish(plainClip(t), "publish:live")
	s.waitState("live", "live")
	viewer := record(t, s.outputs("live")["srt"], filepath.Join(t.TempDir(), "out.ts"), 600)
	s.eventually(20*time.Second, "a viewer is in", func() bool { return len(s.connections("role=play")) == 1 })
	s.eventually(20*time.Second, "the pool is full", func() bool { return len(s.pids()) == 6 })
	before := s.pids()
	require.Equal(t, "rejected 1402", rejected(t, s.srt, "read:live", "", "live"))
	require.Equal(t, before, s.pids())
	s.publish(plainClip(t), "publish:more")
	s.waitState("more", "live")
	s.eventually(20*time.Second, "the pool is full", func() bool { return len(s.pids()) == 7 })
	before = s.pids()
	require.Equal(t, "rejected 1402", rejected(t, s.srt, "publish:third", "", "live"))
	for _, program := range []string{"srt-live-transmit", "ffmpeg"} {
		tries(t, program, s.srt, "publish:third", "", saysApplication)
	}
	require.Equal(t, before, s.pids(), "nobody was given a process")
	require.EqualValues(t, 1, s.metric("brume_srt_rejects_total", `cause="limit_stream"`))
	require.GreaterOrEqual(t, s.metric("brume_srt_rejects_total", `cause="limit_connections"`), 3.0)
	viewer.end()
	s.eventually(20*time.Second, "there is room again", func() bool { return len(s.connections("")) == 2 })
	require.Equal(t, "connected", rejected(t, s.srt, "publish:third", "", "live"))
}

// rawCaller knows handshakes only.
type rawCaller struct {
	t      *testing.T
	conn   net.Conn
	cookie uint32
}

func newRawCaller(t *testing.T, address string) *rawCaller {
	t.Helper()
	conn, err := net.Dial("udp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	c := &rawCaller{t: t, conn: conn}
	induction := srt.Handshake{Version: 4, Extension: 2, MTU: 1500, FlowWindow: 8192, Type: srt.TypeInduction, SocketID: 1}
	c.send(induction.Marshal())
	h := c.hear()
	require.Equal(t, srt.TypeInduction, h.Type)
	c.cookie = h.Cookie
	return c
}

func (c *rawCaller) send(b []byte) {
	c.t.Helper()
	_, err := c.conn.Write(b)
	require.NoError(c.t, err)
}

func (c *rawCaller) hear() (h srt.Handshake) {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	b := make([]byte, 2048)
	n, err := c.conn.Read(b)
	require.NoError(c.t, err)
	require.NoError(c.t, h.Unmarshal(b[:n]))
	return h
}

// conclusion is one of a live caller for a stream.
func (c *rawCaller) conclusion(socket uint32, streamID string) srt.Handshake {
	h := srt.Handshake{
		Version: 5, Extension: 5, MTU: 1500, FlowWindow: 8192, Type: srt.TypeConclusion, SocketID: socket, Cookie: c.cookie,
		Ext: srt.Extensions{HasHSREQ: true, SRTVersion: 0x010501, Flags: 0xbf, LatencyRcv: 120, LatencySnd: 120},
	}
	h.Ext.SetStreamID(streamID)
	return h
}

// TestWhatCantBeServedSaysSo has callers in other modes, of libsrt where it has them, of old versions and of groups. Debian's libsrt is
// built without groups, and none speaks version 4 any more, so that those two are handshakes made here.
func TestWhatCantBeServedSaysSo(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.eventually(20*time.Second, "the pool is full", func() bool { return len(s.pids()) == 4 })
	before := s.pids()
	require.Equal(t, "rejected 13", rejected(t, s.srt, "publish:x", "", "file"))
	require.Equal(t, "rejected 12", rejected(t, s.srt, "publish:x", "", "buffer"))
	tries(t, "srt-live-transmit", s.srt, "publish:x&transtype=file", "", "Congestion controller type collision")
	tries(t, "srt-live-transmit", s.srt, "publish:x&messageapi=0", "", "MessageAPI/StreamAPI collision")

	old := newRawCaller(t, s.srt)
	h := old.conclusion(2, "")
	h.Version, h.Ext = 4, srt.Extensions{}
	old.send(h.Marshal())
	require.Equal(t, srt.RejectionType(srt.RejectVersion), old.hear().Type)

	member := newRawCaller(t, s.srt)
	h = member.conclusion(2, "publish:x")
	group := []byte{0, 8, 0, 2, 0x40, 0, 0, 1, 1, 0, 0, 0} // extension of type 8: a group's id, broadcast
	member.send(append(h.Marshal(), group...))
	require.Equal(t, srt.RejectionType(srt.RejectGroup), member.hear().Type)

	for code, reason := range map[string]string{"1008": "version 4", "1012": "buffer mode", "1013": "file mode", "1015": "bonded group"} {
		s.eventually(10*time.Second, code+" is counted", func() bool { return s.metric("brume_srt_listener_rejected_total", `code="`+code+`"`) >= 1 })
		s.eventually(10*time.Second, "a line says why", func() bool { return strings.Contains(s.log.all(), reason) })
	}
	require.Equal(t, before, s.pids(), "nobody was given a process")
}

// TestHandshakesOfOneAddressAreLimited has one address call without end; others, and it later, come in.
func TestHandshakesOfOneAddressAreLimited(t *testing.T) {
	t.Parallel()
	s := startWith(t, "limits: {handshakes: 5}")
	c := newRawCaller(t, s.srt)
	for i := range uint32(200) {
		h := c.conclusion(10+i, "read:nothing")
		c.send(h.Marshal())
	}
	s.eventually(20*time.Second, "most are dropped", func() bool {
		return s.metric("brume_srt_listener_dropped_total", `cause="handshakes"`) >= 100
	})
	require.Less(t, s.metric("brume_srt_rejects_total", `cause="no_publisher"`), 60.0)
	s.eventually(10*time.Second, "a line says so", func() bool { return strings.Contains(s.log.all(), "limits.handshakes") })
	require.Equal(t, "connected", rejected(t, s.srt, "publish:later", "", "live"))
}

// udpInodes are the sockets that are bound to a port of this machine.
func udpInodes(t *testing.T, address string) (all []string) {
	t.Helper()
	a, err := net.ResolveUDPAddr("udp", address)
	require.NoError(t, err)
	for _, table := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		b, _ := os.ReadFile(table)
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			if len(fields) > 9 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", a.Port)) {
				all = append(all, "socket:["+fields[9]+"]")
			}
		}
	}
	return all
}

// listenerOn is the listener process of a port.
func (s *server) listenerOn(address string) int {
	s.t.Helper()
	inodes := udpInodes(s.t, address)
	for pid := range s.processes(" srt-listener") {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, fd := range fds {
			if target, err := os.Readlink(fd); err == nil && slices.Contains(inodes, target) {
				return pid
			}
		}
	}
	require.FailNow(s.t, "no listener has the port "+address)
	return 0
}

// TestPorts has several, kills the listener of one, and changes the configuration under a running server.
func TestPorts(t *testing.T) {
	t.Parallel()
	const configuration = `
srt:
  ports:
    - {address: "127.0.0.1:0", stream: cam1, mode: publish, latency: 300ms}
    - {address: "127.0.0.5:0", stream: cam2}
`
	s := startWith(t, configuration)
	require.Len(t, s.ports, 3)
	require.Len(t, s.processes(" srt-listener"), 3)
	file := plainClip(t)
	main := s.ports[0]
	publish := func(port int, id string) *program {
		s.srt = s.ports[port]
		defer func() { s.srt = main }()
		return s.publish(file, id)
	}
	cams := []*program{publish(1, ""), publish(2, "publish:"), publish(0, "publish:live")}
	for _, name := range []string{"cam1", "cam2", "live"} {
		s.waitState(name, "live")
	}
	var info struct {
		SRT []struct {
			Address, Stream, Mode string
			Latency               int `json:"latency_ms"`
		} `json:"srt"`
	}
	s.get("/api/v1/info", &info)
	require.Len(t, info.SRT, 3)
	require.Equal(t, "cam1 publish 300", fmt.Sprint(info.SRT[1].Stream, " ", info.SRT[1].Mode, " ", info.SRT[1].Latency))
	for _, address := range s.ports {
		s.eventually(10*time.Second, "its listener has told what it counted", func() bool {
			return s.metric("brume_srt_listener_handed_total", fmt.Sprintf("address=%q", address)) >= 1
		})
	}

	others := []int{s.listenerOn(s.ports[0]), s.listenerOn(s.ports[2])}
	s.kill(s.listenerOn(s.ports[1]))
	require.Equal(t, "rejected 1404", rejected(t, s.ports[2], "read:nothing", "", "live"))
	require.Equal(t, "rejected 1405", rejected(t, s.ports[1], "read:live", "", "live"), "it is back on the same port")
	require.Equal(t, others, []int{s.listenerOn(s.ports[0]), s.listenerOn(s.ports[2])})
	require.EqualValues(t, 1, s.metric("brume_process_restarts_total", `role="srt-listener"`))

	// The next controller has one port less and one more. Who came by the one that is gone stays.
	gone := s.listenerOn(s.ports[2])
	s.configure(strings.ReplaceAll(configuration, `"127.0.0.5:0", stream: cam2`, `"127.0.0.6:0", stream: cam3`))
	s.kill(s.one(" controller"))
	s.eventually(20*time.Second, "the listener of the port that is gone has ended", func() bool { return s.processes(" srt-listener")[gone] == "" })
	s.eventually(20*time.Second, "the new port is there", func() bool {
		return s.get("/api/v1/info", &info) == http.StatusOK && len(info.SRT) == 3 && info.SRT[2].Stream == "cam3" && s.get("/readyz", nil) == http.StatusOK
	})
	require.Equal(t, s.ports[:2], []string{info.SRT[0].Address, info.SRT[1].Address}, "the others are as they were")
	s.ports[2] = info.SRT[2].Address
	cams = append(cams, publish(2, ""))
	s.waitState("cam3", "live")
	for _, name := range []string{"cam1", "cam2", "live"} {
		s.waitState(name, "live")
	}
	for _, p := range cams {
		require.True(t, p.running())
	}
}
