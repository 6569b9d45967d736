package controller

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"brume/api"
	"brume/config"
	"brume/media"
	"brume/memfile"
	"brume/srt"
)

func nets(all ...string) (n []config.Network) {
	for _, s := range all {
		n = append(n, config.Network{Prefix: netip.MustParsePrefix(s)})
	}
	return n
}

// TestPortSaysWhatItsCallersMayDo asks the same of ports with different settings.
func TestPortSaysWhatItsCallersMayDo(t *testing.T) {
	d := newDesk(t)
	d.live(d.admitted(1, "publish:on"))
	in := d.opens("in", config.Port{Stream: "cam1", Mode: config.ModePublish})
	out := d.opens("out", config.Port{Stream: "on", Mode: config.ModePlay})
	home := d.opens("home", config.Port{Stream: "live", Mode: config.ModeAny, Networks: nets("10.0.0.0/8", "2001:db8::/32")})
	for _, c := range []struct {
		name   string
		at     *port
		peer   string
		id     string
		cause  cause
		stream string
		role   media.Role
	}{
		{name: "no stream id: the port states stream and mode", at: in, id: "", stream: "cam1", role: media.Publish},
		{name: "a name alone: the port states the mode", at: in, id: "cam7", stream: "cam7", role: media.Publish},
		{name: "publishing to a port to publish", at: in, id: "publish:cam7", stream: "cam7", role: media.Publish},
		{name: "playing from a port to publish", at: in, id: "read:on", cause: causeBadMode},
		{name: "playing from a port to play, unstated", at: out, id: "", stream: "on", role: media.Play},
		{name: "unstated, where there is nothing to play", at: out, id: "cam1", cause: causeNoPublisher},
		{name: "publishing to a port to play", at: out, id: "#!::r=new,m=publish", cause: causeBadMode},
		{name: "both ways", at: d.ports[0], id: "#!::r=new,m=bidirectional", cause: causeBadMode},
		{name: "from a network", at: home, peer: "10.9.9.9:1", id: "publish:x", stream: "x", role: media.Publish},
		{name: "from an IPv6 network", at: home, peer: "[2001:db8::9]:1", id: "publish:x", stream: "x", role: media.Publish},
		{name: "from elsewhere", at: home, id: "publish:x", cause: causeNetwork},
		{name: "from elsewhere, unstated", at: home, id: "x", cause: causeNetwork},
		{name: "from an address that can't be read", at: home, peer: "somewhere", id: "x", cause: causeBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			peer := c.peer
			if peer == "" {
				peer = "192.0.2.1:5000"
			}
			got := d.decide(&srt.Request{Peer: peer, StreamID: c.id}, c.at)
			require.Equal(t, c.cause, got.cause, got.reason)
			if c.cause == "" {
				require.Equal(t, c.stream, got.stream)
				require.Equal(t, c.role, got.role)
			}
		})
	}
}

// TestEachListenerIsAnsweredByItself has two ports, whose listeners number their requests alike.
func TestEachListenerIsAnsweredByItself(t *testing.T) {
	d := newDesk(t)
	second := d.opens("second", config.Port{Stream: "two", Mode: config.ModePublish, Latency: config.Duration(900 * time.Millisecond)})
	other := d.listens(second)
	q := d.idle()
	d.says(other, srt.MsgRequest, srt.Request{ID: 1, Peer: "192.0.2.1:1", Local: "192.0.2.9:9", SocketID: 5})
	var v srt.Verdict
	require.Len(t, other.hearsOf(srt.MsgVerdict, &v), 1)
	require.Equal(t, srt.Verdict{ID: 1, Child: q.p.ID}, v)
	require.Zero(t, d.verdict(), "the first listener did not ask")
	var configure srt.Configure
	q.hearsOf(srt.MsgConfigure, &configure)
	require.Equal(t, "two", configure.Stream)
	require.Equal(t, "900", configure.Options["latency"])

	d.says(other, srt.MsgListenerStats, srt.ListenerStats{Packets: 7})
	require.EqualValues(t, 7, second.stats.Packets)
	require.Zero(t, d.ports[0].stats.Packets)

	d.ends(q, "killed by SIGKILL")
	var gone srt.Gone
	other.hearsOf(srt.MsgGone, &gone)
	require.Equal(t, srt.Gone{Peer: "192.0.2.1:1", Local: "192.0.2.9:9", SocketID: 5}, gone, "the farewell leaves by the port that the caller came by")
	m, _ := d.listener.hears()
	require.Empty(t, m.Type)
}

func TestInfoShowsPortsWithoutTheirSecrets(t *testing.T) {
	d := newDesk(t)
	p := d.opens("second", config.Port{
		Stream: "two", Mode: config.ModePlay, Slash: srt.SlashJoin, Latency: config.Duration(time.Second), Passphrase: "hidden secret",
		Options: config.Options{"lossmaxttl": "40"}, Networks: nets("10.0.0.0/8"),
	})
	v := p.view(config.Default())
	require.Equal(t, api.SRTPort{
		Address: "second", Stream: "two", Mode: "play", Slash: "join", LatencyMS: 1000, Passphrase: true,
		Options: map[string]string{"lossmaxttl": "40"}, Networks: []string{"10.0.0.0/8"},
		Callers: "callers may play any stream, with the passphrase of the port, from 10.0.0.0/8; without a stream id it is two",
	}, v)
	b, err := json.Marshal(v)
	require.NoError(t, err)
	require.NotContains(t, string(b), "hidden")
	p.only = true
	require.True(t, p.view(config.Default()).StreamOnly)
}

// TestPortThatLeftTheConfiguration is what a controller makes of the listener of a port that it does not have.
func TestPortThatLeftTheConfiguration(t *testing.T) {
	l := newLegacy(t)
	stays, leaves := l.process(1, roleListener, nil), l.process(2, roleListener, nil)
	record := leaves.p.processRecord
	record.Port = "old"
	b, err := json.Marshal(record)
	require.NoError(t, err)
	l.held[len(l.held)-1].Record = b
	f, err := memfile.NewSized("socket", 4096)
	require.NoError(t, err)
	l.put(kindSocket, "srt old", nil, f)
	l.adopted()
	stays.hearsOf(srt.MsgLimits, nil)
	l.eventually("its listener is ended", l.locked(func() bool { return l.processes[2] == nil }))
	l.locked(func() bool {
		require.Zero(t, l.restarts[string(roleListener)], "it is not started again")
		require.False(t, l.processes[1].killed)
		return true
	})()
	l.eventually("the store has forgotten its socket", func() bool { return len(l.guardian.kinds(kindSocket)) == 0 })
}

func TestPortsOpen(t *testing.T) {
	d := newDesk(t)
	d.ports, d.duties = nil, d.duties[:1]
	d.Config.SRT.Ports = []config.Port{{Address: "127.0.0.1:0", Stream: "a"}, {Address: "127.0.0.1:0", Stream: "b"}, {Address: "[::ffff:127.0.0.1]:0"}}
	require.NoError(t, d.openPorts(nil, true))
	var keys []string
	at := map[string]bool{}
	for _, p := range d.ports {
		keys = append(keys, p.key)
		at[p.address] = true
		t.Cleanup(func() { closeFiles(p.sockets) })
	}
	require.Equal(t, []string{"127.0.0.1:0", "127.0.0.1:0 2", "127.0.0.1:0 3", "[::ffff:127.0.0.1]:0"}, keys)
	require.Len(t, at, 4)
	require.Len(t, d.duties, 5)

	// A port that can't be had is an error that says where it is set, to the first controller alone.
	taken := d.ports[0].address
	d.Config.SRT.Ports = []config.Port{{Address: config.Address(taken)}}
	d.ports, d.duties = nil, d.duties[:1]
	err := d.openPorts(nil, true)
	require.ErrorIs(t, err, unix.EADDRINUSE)
	require.ErrorContains(t, err, "set srt.ports.0.address")
	t.Cleanup(func() { closeFiles(d.ports[0].sockets) })
	first := d.ports
	d.ports, d.duties = nil, d.duties[:1]
	require.NoError(t, d.openPorts(nil, false))
	require.Len(t, d.ports, 1)
	require.Contains(t, d.log.String(), "going on without an SRT port")
	closeFiles(first[0].sockets)
}

// TestListenerOfOnePortIsKilled looks at the other port meanwhile, and sees the right one come back.
func TestListenerOfOnePortIsKilled(t *testing.T) {
	r := runWith(t, func(c *config.Config) {
		c.SRT.Ports = []config.Port{{Address: "127.0.0.1:0", Stream: "second", Mode: config.ModePublish}}
	})
	require.NotZero(t, call(t, r.ports[1].address, "").Child)
	r.eventually("it publishes to the port's stream", func() bool {
		s, err := r.Stream("second")
		return err == nil && s.State == api.StreamLive
	})
	r.mu.Lock()
	first, second := r.listenerOf(r.ports[0].key), r.listenerOf(r.ports[1].key)
	r.mu.Unlock()
	require.NotEqual(t, first.PID, second.PID)
	require.NoError(t, unix.Kill(first.PID, unix.SIGKILL))
	require.NotZero(t, call(t, r.ports[1].address, "publish:while").Child, "the other port answers")
	r.eventually("another is up", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		p := r.listenerOf(r.ports[0].key)
		return p != nil && p != first && p.ready
	})
	require.NotZero(t, call(t, r.ports[0].address, "publish:after").Child)
	r.mu.Lock()
	require.Same(t, second, r.listenerOf(r.ports[1].key))
	r.mu.Unlock()
	require.EqualValues(t, 1, r.Metrics().Restarts["srt-listener"])
	require.Len(t, r.Info().SRT, 2)

	files, err := filepath.Glob(filepath.Join(string(r.Config.RuntimeDir), "brume-*.json"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	b, err := os.ReadFile(files[0])
	require.NoError(t, err)
	var state struct {
		SRT   string
		Ports []string
	}
	require.NoError(t, json.Unmarshal(b, &state))
	require.Equal(t, r.ports[0].address, state.SRT)
	require.Equal(t, []string{r.ports[0].address, r.ports[1].address}, state.Ports)
}

// TestLockHoldsOverARestart kills the controller, and asks the next one.
func TestLockHoldsOverARestart(t *testing.T) {
	h := &host{t: t, dir: t.TempDir(), programs: programs(t), guardian: newGuardian(t)}
	h.start()
	t.Cleanup(func() {
		pidfds := h.guardian.pidfds(t)
		h.guardian.die()
		_ = h.cmd.Wait()
		requireEnded(t, pidfds, 5*time.Second)
	})
	require.NotZero(t, call(t, h.srt, "publish:live").Child)
	eventually(t, 10*time.Second, "it publishes", func() bool { return h.get("/api/v1/streams/live", nil) == http.StatusOK })
	require.Equal(t, http.StatusNoContent, h.do(http.MethodPut, "/api/v1/streams/live/lock"))
	require.Equal(t, http.StatusNoContent, h.do(http.MethodPut, "/api/v1/streams/later/lock"))
	h.kill()
	h.start()
	require.Equal(t, srt.RejectLocked, call(t, h.srt, "read:live").Reject)
	require.Equal(t, srt.RejectLocked, call(t, h.srt, "later").Reject)
	var s api.Stream
	require.Equal(t, http.StatusOK, h.get("/api/v1/streams/later", &s))
	require.True(t, s.Locked)
	require.Equal(t, api.StreamOffline, s.State)
	eventually(t, 10*time.Second, "the publisher stays", func() bool {
		return h.get("/api/v1/streams/live", &s) == http.StatusOK && s.State == api.StreamLive && s.Locked
	})
	require.Equal(t, http.StatusNoContent, h.do(http.MethodDelete, "/api/v1/streams/live/lock"))
	require.NotZero(t, call(t, h.srt, "read:live").Child)
}

func (h *host) do(method, path string) int {
	req, err := http.NewRequest(method, "http://"+h.api+path, nil)
	require.NoError(h.t, err)
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(h.t, err)
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestLocks(t *testing.T) {
	d := newDesk(t)
	publisher := d.admitted(1, "publish:live")
	d.live(publisher)
	undecided := d.admitted(2, "live")
	early := d.admitted(3, "later")
	d.says(early, srt.MsgDirection, srt.Direction{Role: media.Play})
	require.ErrorIs(t, d.Lock("../x"), api.ErrNotFound)
	require.ErrorIs(t, d.Unlock(""), api.ErrNotFound)
	require.NoError(t, d.Lock("live"))
	require.NoError(t, d.Lock("live"))
	require.ErrorIs(t, d.EndPublisher("none"), api.ErrNotFound)
	require.NoError(t, d.Lock("none"))
	require.ErrorIs(t, d.EndPublisher("none"), api.ErrNoPublisher, "it is listed")
	require.NoError(t, d.Unlock("none"))
	for _, id := range []string{"read:live", "publish:live", "live", ""} {
		require.Equal(t, causeLocked, d.ask(id).cause, id)
	}
	require.Empty(t, d.ask("publish:other").cause)
	d.monitor(time.Now())
	require.True(t, publisher.p.conn.closing.IsZero(), "who is there stays")
	d.says(undecided, srt.MsgDirection, srt.Direction{Role: media.Play})
	undecided.hearsOf(srt.MsgClose, nil)
	require.EqualValues(t, 1, d.rejects[causeLocked])

	require.NoError(t, d.Lock("later"))
	later := d.admittedTo(4, "later")
	d.live(later)
	d.monitor(time.Now())
	early.hearsOf(srt.MsgClose, nil)

	all := d.Streams()
	require.True(t, all[slices.IndexFunc(all, func(s api.Stream) bool { return s.Name == "live" })].Locked)
	require.NoError(t, d.Unlock("live"))
	require.NoError(t, d.Unlock("never"))
	require.Empty(t, d.ask("read:live").cause)
	for i := range maxLocked {
		err := d.Lock("s" + string(rune('a'+i%26)) + string(rune('a'+i/26)))
		if i == maxLocked-1 {
			require.ErrorIs(t, err, api.ErrTooMany)
		} else {
			require.NoError(t, err)
		}
	}
}

// admittedTo makes a publisher of a stream as it was before the stream was locked.
func (d *desk) admittedTo(id uint64, stream string) *peer {
	d.t.Helper()
	locked := d.server.Locked
	d.server.Locked = nil
	defer func() { d.server.Locked = locked }()
	return d.admitted(id, "publish:"+stream)
}
