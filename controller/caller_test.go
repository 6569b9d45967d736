package controller

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"brume/api"
	"brume/buffer"
	"brume/config"
	"brume/control"
	"brume/media"
	"brume/outputs/httpd"
	"brume/srt"
)

const secret = "correct horse"

// withCallers sets what a stream is pulled from and pushed to.
func (d *desk) withCallers(pattern string, s config.StreamConfig) {
	d.t.Helper()
	s.Buffer, s.Resume = d.Config.Buffer, d.Config.Resume
	d.Config.Streams[config.Pattern(pattern)] = s
	d.loadCallers()
	d.t.Cleanup(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.stopCalls()
	})
}

// called is the process that the next call gets, and what it is told.
func (d *desk) called() (*peer, srt.Configure, []*os.File) {
	d.t.Helper()
	require.NotEmpty(d.t, d.out.calls, "nobody calls")
	q := d.idle()
	var told srt.Configure
	files := q.hearsOf(srt.MsgConfigure, &told)
	return q, told, files
}

// fails lets a call fail.
func (d *desk) fails(q *peer, f srt.Failed) {
	d.says(q, srt.MsgFailed, f)
	d.ends(q, "exit status 0")
}

// after lets time pass in the eyes of what calls.
func (d *desk) after(passed time.Duration) { d.monitor(time.Now().Add(passed)) }

func peerOf(t *testing.T, f *os.File) string {
	t.Helper()
	fd, err := control.Descriptor(f)
	require.NoError(t, err)
	sa, err := unix.Getpeername(fd)
	require.NoError(t, err)
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)).String()
	}
	return ""
}

func TestSource(t *testing.T) {
	d := newDesk(t)
	d.withCallers("live", config.StreamConfig{
		Start: config.StartAlways, SRT: config.StreamSRT{Latency: config.Duration(time.Second), Options: config.Options{"lossmaxttl": "3", "fc": "100"}},
		Source: []config.URL{"srt://127.0.0.1:9?passphrase=correct%20horse&fc=200&streamid=read:$stream", "srt://[::1]:9"},
	})
	d.after(0)
	first, told, files := d.called()
	require.Equal(t, srt.Configure{
		Conn: told.Conn, Stream: "live", Role: media.Publish, Mode: srt.ModeCaller, StreamID: "read:live", Passphrase: secret,
		Options: map[string]string{"latency": "1000", "lossmaxttl": "3", "fc": "200"},
	}, told)
	require.Len(t, files, 1, "a socket, and no buffer")
	require.Equal(t, "127.0.0.1:9", peerOf(t, files[0]))
	source := func() *api.Source {
		s, err := d.Stream("live")
		require.NoError(t, err)
		return s.Source
	}
	require.Equal(t, api.CallConnecting, source().State)
	require.Equal(t, told.Conn, d.guardian.waitRecord(first.p).Conn.ID)

	d.fails(first, srt.Failed{Reason: srt.FailRejected, Detail: "the peer has no such stream", Code: 1404})
	require.Equal(t, api.CallFailed, source().State)
	require.Equal(t, 1, source().Index)
	require.Equal(t, 1404, source().LastError.Code)
	require.Equal(t, map[string]uint64{srt.FailRejected: 1}, source().Failures)
	d.after(0)
	second, told, files := d.called()
	require.Empty(t, told.Passphrase)
	require.Equal(t, "[::1]:9", peerOf(t, files[0]))
	d.fails(second, srt.Failed{Reason: srt.FailTimeout})
	d.after(0)
	require.Empty(t, d.out.calls, "there is a pause after the last")
	require.Zero(t, source().Index)
	require.WithinDuration(t, time.Now().Add(firstPause), *source().NextTry, 500*time.Millisecond)
	d.after(2 * time.Second)
	third, _, _ := d.called()
	d.says(third, srt.MsgConnected, srt.Connected{})
	require.Len(t, third.hearsOf(srt.MsgBuffer, nil), 1)
	require.Same(t, third.p.conn, d.streams["live"].publisher)
	require.Equal(t, api.CallConnected, source().State)
	d.says(third, srt.MsgConnected, srt.Connected{})
	m, _ := third.hears()
	require.Empty(t, m.Type, "a buffer is given once")
	view, err := d.Connection(third.p.conn.ID)
	require.NoError(t, err)
	require.Equal(t, []any{api.Outbound, api.ModeCaller, "127.0.0.1:9"}, []any{view.Direction, view.Mode, view.Peer})
	require.NotContains(t, d.log.String(), secret)
	require.NotContains(t, d.log.String(), "correct")
	require.NotContains(t, source().URLs[0], "correct")

	t.Run("nobody else publishes, even if it is silent", func(t *testing.T) {
		d.live(third)
		d.silent("live")
		require.Equal(t, srt.RejectConflict, d.calls(2, "publish:live").Reject)
	})
	t.Run("it is called again when it ends", func(t *testing.T) {
		d.fails(third, srt.Failed{Reason: srt.FailPeer})
		require.Nil(t, d.streams["live"].publisher)
		require.Equal(t, uint64(1), source().Failures[srt.FailPeer])
		d.after(0)
		require.Len(t, d.out.calls, 1)
	})
}

// waitRecord is what the store holds of a process once it has heard of its connection.
func (g *fakeGuardian) waitRecord(p *process) (r processRecord) {
	eventually(g.t, 5*time.Second, "the store has the connection", func() bool {
		r = g.record(p)
		return r.Conn != nil
	})
	return r
}

// A publisher may come while the source can't be reached, and the source waits for its end.
func TestSourceWaitsForAPublisher(t *testing.T) {
	d := newDesk(t)
	d.withCallers("live", config.StreamConfig{Start: config.StartAlways, Source: []config.URL{"srt://127.0.0.1:9"}})
	d.after(0)
	call, _, _ := d.called()
	publisher := d.admitted(1, "publish:live")
	d.live(publisher)
	d.says(call, srt.MsgConnected, srt.Connected{})
	call.hearsOf(srt.MsgClose, nil)
	require.Same(t, publisher.p.conn, d.streams["live"].publisher)
	d.fails(call, srt.Failed{Reason: srt.FailClosed})
	d.after(time.Minute)
	require.Empty(t, d.out.calls)
	require.Equal(t, resting, d.out.sources["live"].round.phase)
	require.Empty(t, d.out.sources["live"].failures, "that was no failure")
	d.ends(publisher, "exit status 0")
	d.after(0)
	require.Len(t, d.out.calls, 1)
}

func TestSourceWithoutMedia(t *testing.T) {
	d := newDesk(t)
	d.withCallers("live", config.StreamConfig{Start: config.StartAlways, Source: []config.URL{"srt://127.0.0.1:9", "srt://127.0.0.1:10"}})
	d.after(0)
	call, _, _ := d.called()
	d.says(call, srt.MsgConnected, srt.Connected{})
	d.out.sources["live"].round.since = time.Now().Add(-time.Hour)
	d.tendCalls(time.Now().Add(noMediaTime - time.Second))
	require.True(t, call.p.conn.closing.IsZero())
	d.tendCalls(time.Now().Add(noMediaTime + time.Second))
	call.hearsOf(srt.MsgClose, nil)
	d.fails(call, srt.Failed{Reason: srt.FailClosed})
	s := d.out.sources["live"]
	require.Equal(t, map[string]uint64{failNoMedia: 1}, s.failures)
	require.Equal(t, 1, s.round.at, "the backup has its turn")
	require.Empty(t, d.streams, "a stream that never was is not kept")
}

func TestSourceOnDemand(t *testing.T) {
	d := newDesk(t)
	web := d.join(roleHTTP)
	d.tellDemand(web.p)
	var demand httpd.Demand
	web.hearsOf(httpd.MsgDemand, &demand)
	require.False(t, demand.Sources)
	d.withCallers("base+*", config.StreamConfig{Source: []config.URL{"srt://127.0.0.1:9?streamid=$stream"}, StopAfter: config.Duration(30 * time.Second)})
	d.tellDemand(web.p)
	web.hearsOf(httpd.MsgDemand, &demand)
	require.True(t, demand.Sources)
	d.after(0)
	require.Empty(t, d.out.calls)
	asks := func(name string) (a httpd.Source) {
		d.says(web, httpd.MsgWanted, httpd.Wanted{Name: name})
		web.hearsOf(httpd.MsgSource, &a)
		return a
	}
	require.Equal(t, httpd.Source{Name: "other", State: httpd.SourceNone}, asks("other"))
	require.Equal(t, httpd.Source{Name: "../x", State: httpd.SourceNone}, asks("../x"))
	require.Empty(t, d.out.calls)
	require.Equal(t, httpd.Source{Name: "base+a", State: httpd.SourceStarting}, asks("base+a"))
	require.Equal(t, httpd.Source{Name: "base+a", State: httpd.SourceStarting}, asks("base+a"))
	require.Len(t, d.out.calls, 1, "one call, however many ask")
	require.Equal(t, api.CallConnecting, mustStream(t, d, "base+a").Source.State)

	// An SRT player waits for it too.
	require.Zero(t, d.calls(1, "read:base+a"), "no verdict yet")
	call, told, _ := d.called()
	require.Equal(t, "base+a", told.StreamID)
	d.says(call, srt.MsgConnected, srt.Connected{})
	d.live(call)
	d.after(0)
	player := d.idle()
	require.Equal(t, srt.Verdict{ID: 1, Child: player.p.ID}, d.verdict())
	d.says(player, srt.MsgConnected, srt.Connected{})
	require.Equal(t, 1, d.streams["base+a"].viewers())

	// It goes on while somebody watches, and for some time after that.
	now := time.Now()
	d.streams["base+a"].moved = now.Add(time.Hour) // media comes in all the time
	d.tendCalls(now.Add(10 * time.Minute))
	require.True(t, call.p.conn.closing.IsZero())
	d.ends(player, "exit status 0")
	d.tendCalls(now.Add(10*time.Minute + 29*time.Second))
	require.True(t, call.p.conn.closing.IsZero())
	d.tendCalls(now.Add(10*time.Minute + 31*time.Second))
	call.hearsOf(srt.MsgClose, nil)
	d.fails(call, srt.Failed{Reason: srt.FailClosed})
	s := d.streams["base+a"]
	d.tendCalls(now.Add(11 * time.Minute))
	require.Empty(t, d.out.calls)
	require.Contains(t, d.out.sources, "base+a")
	d.removeStream(s)
	d.tendCalls(now.Add(11 * time.Minute))
	require.Empty(t, d.out.sources, "a name that nobody asks for is forgotten")
}

func mustStream(t *testing.T, d *desk, name string) api.Stream {
	t.Helper()
	s, err := d.Stream(name)
	require.NoError(t, err)
	return s
}

func TestPlayersThatWaitForASource(t *testing.T) {
	d := newDesk(t)
	d.withCallers("*", config.StreamConfig{Source: []config.URL{"srt://127.0.0.1:9"}})
	require.Zero(t, d.calls(1, "read:a"))
	d.sweepParked(time.Now().Add(parkTime - time.Second))
	require.Zero(t, d.verdict())
	d.sweepParked(time.Now().Add(parkTime + time.Second))
	v := d.verdict()
	require.Equal(t, []any{uint64(1), srt.RejectNotFound}, []any{v.ID, v.Reject})
	require.Empty(t, d.out.parked)

	t.Run("one that did not say what it is", func(t *testing.T) {
		d.called()
		q := d.admitted(2, "b")
		require.NotContains(t, d.out.sources, "b", "it may be a publisher")
		d.says(q, srt.MsgDirection, srt.Direction{Role: media.Play})
		require.Contains(t, d.out.sources, "b")
	})
	t.Run("too many", func(t *testing.T) {
		for i := range maxParked {
			d.out.parked = append(d.out.parked, parked{asked: asked{by: d.listener.p, parked: true}, stream: "a", since: time.Now().Add(time.Duration(i) * time.Hour)})
		}
		require.Equal(t, srt.RejectNotFound, d.calls(3, "read:a").Reject)
		d.out.parked = nil
	})
	t.Run("too many names", func(t *testing.T) {
		for i := range maxSources {
			d.out.sources[strings.Repeat("x", i+1)] = &source{}
		}
		require.Equal(t, srt.RejectNotFound, d.calls(4, "read:more").Reject)
		d.out.sources = map[string]*source{}
	})
}

// A name is resolved at each attempt, without the lock, and each of its addresses is called.
func TestCallByName(t *testing.T) {
	d := newDesk(t)
	answer := make(chan []string)
	asked := make(chan string, 10)
	d.out.resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
		asked <- host
		select {
		case all := <-answer:
			var addresses []netip.Addr
			for _, a := range all {
				addresses = append(addresses, netip.MustParseAddr(a))
			}
			if all == nil {
				return nil, errors.New("no such host")
			}
			return addresses, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	d.withCallers("live", config.StreamConfig{Start: config.StartAlways, Source: []config.URL{"srt://h:9", "srt://i:9?mode=rendezvous"}})
	d.Config.SRT.Rendezvous = nil // taken out meanwhile
	require.Empty(t, d.out.sources, "what is not allowed is not called")
	d.Config.SRT.Rendezvous = []config.Network{{Prefix: netip.MustParsePrefix("192.0.2.0/24")}}
	d.loadCallers()
	s := d.out.sources["live"]
	tend := func(after time.Duration) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.tendCalls(time.Now().Add(after))
	}
	waits := func(what string, ok func() bool) {
		t.Helper()
		d.eventually(what, func() bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			return ok()
		})
	}
	tend(0)
	require.Equal(t, "h", <-asked)
	tend(0)
	answer <- []string{"127.0.0.1", "127.0.0.1", "0.0.0.0", "::ffff:127.0.0.2", "::1"}
	for _, want := range []string{"127.0.0.1:9", "[::1]:9", "127.0.0.2:9"} {
		waits("it is called", func() bool { return len(d.out.calls) == 1 })
		call, _, files := d.called()
		require.Equal(t, want, peerOf(t, files[0]))
		d.fails(call, srt.Failed{Reason: srt.FailTimeout})
		tend(0)
	}
	require.Equal(t, "i", <-asked)
	answer <- []string{"127.0.0.1"}
	waits("a rendezvous elsewhere is none", func() bool { return s.failures[failForbidden] == 1 })
	tend(2 * time.Second)
	require.Equal(t, "h", <-asked)
	answer <- nil
	waits("the name is not known", func() bool { return s.failures[failResolve] == 1 })
	require.Contains(t, s.last.Detail, "no such host")

	// It may be called off in the middle of that.
	tend(0)
	require.Equal(t, "i", <-asked)
	d.mu.Lock()
	d.callOff(&s.dialer)
	require.False(t, s.busy())
	d.mu.Unlock()
	require.EqualValues(t, 6, s.attempts)
}

// A call is put down only after libsrt itself would have given up.
func TestCallPatience(t *testing.T) {
	d := newDesk(t)
	d.withCallers("slow", config.StreamConfig{Start: config.StartAlways, Source: []config.URL{"srt://127.0.0.1:9"}, SRT: config.StreamSRT{Options: config.Options{"conntimeo": "20000"}}})
	d.after(0)
	call, _, _ := d.called()
	d.sweepConnections(time.Now().Add(29 * time.Second))
	require.False(t, call.p.killed)
	d.sweepConnections(time.Now().Add(31 * time.Second))
	require.True(t, call.p.killed)
}

// A call takes an idle process, and else the next one that comes up.
func TestCallTakesAnIdleProcess(t *testing.T) {
	d := newDesk(t)
	idle := d.idle()
	d.withCallers("live", config.StreamConfig{Start: config.StartAlways, Source: []config.URL{"srt://127.0.0.1:9"}})
	d.after(0)
	idle.hearsOf(srt.MsgConfigure, nil)
	require.Empty(t, d.pool.idle)
	require.Empty(t, d.out.calls)
	require.NotNil(t, idle.p.conn)
}

func TestCallOrder(t *testing.T) {
	order := func(local string, all ...string) (got []string) {
		var addresses []netip.Addr
		for _, a := range all {
			addresses = append(addresses, netip.MustParseAddr(a))
		}
		l, _ := netip.ParseAddr(local)
		for _, a := range callOrder(addresses, l) {
			got = append(got, a.String())
		}
		return got
	}
	require.Equal(t, []string{"::1", "10.0.0.1", "::2", "::3"}, order("", "::1", "::2", "::3", "10.0.0.1"))
	require.Equal(t, []string{"10.0.0.1", "::1"}, order("", "::ffff:10.0.0.1", "10.0.0.1", "::1", "::", "224.0.0.1", "ff02::1"))
	require.Equal(t, []string{"::1"}, order("::5", "10.0.0.1", "::1"))
	require.Empty(t, order("::5", "10.0.0.1"))
	require.Len(t, order("", "::1", "::2", "::3", "::4", "::5", "::6", "::7", "::8", "::9", "10.0.0.1"), maxAddresses)
}

func TestCallSocket(t *testing.T) {
	name := func(f *os.File, err error) netip.AddrPort {
		t.Helper()
		require.NoError(t, err)
		defer f.Close()
		s, err := localAddress(f)
		require.NoError(t, err)
		return netip.MustParseAddrPort(s)
	}
	peer := netip.MustParseAddrPort("127.0.0.1:39999")
	require.Equal(t, netip.MustParseAddrPort("127.0.0.1:39999"), name(callSocket(&srt.URL{Mode: srt.ModeRendezvous}, peer)))
	require.Equal(t, netip.MustParseAddrPort("127.0.0.3:39998"), name(callSocket(&srt.URL{Local: netip.MustParseAddr("127.0.0.3"), LocalPort: 39998}, peer)))
	require.Equal(t, "::1", name(callSocket(&srt.URL{}, netip.MustParseAddrPort("[::1]:39999"))).Addr().String())
	_, err := callSocket(&srt.URL{Local: netip.MustParseAddr("192.0.2.1")}, peer)
	require.ErrorContains(t, err, "send from 192.0.2.1:0")
	_, err = callSocket(&srt.URL{}, netip.MustParseAddrPort("[fe80::1%nonesuch]:39999"))
	require.ErrorContains(t, err, "no such network interface")
}

// What an earlier controller called goes on: a connection that is made, one that is being made, one whose buffer was
// not given yet, and a push that the API started. What the configuration does not name any more ends.
func TestAdoptCalls(t *testing.T) {
	l := newLegacy(t)
	l.Config.Streams["s"] = config.StreamConfig{Buffer: l.Config.Buffer, Resume: l.Config.Resume, Source: []config.URL{"srt://127.0.0.1:8", "srt://127.0.0.1:9"}}
	l.Config.Streams["made"] = l.Config.Streams["s"]
	l.Config.Streams["half"] = l.Config.Streams["s"]
	l.loadCallers()
	l.buffer(1, "s", buffer.Live)
	l.put(kindPush, "p1", pushRecord{ID: "p1", Stream: "s", URL: "srt://127.0.0.1:10?passphrase=correct%20horse"})
	record := func(stream, dialer string, role media.Role, buffer uint64, connected bool, index int) *connRecord {
		r := &connRecord{ID: stream + dialer, Stream: stream, Role: role, Buffer: buffer, Mode: srt.ModeCaller, Dialer: dialer, Index: index, Since: time.Now()}
		if connected {
			r.Connected = &srt.Connected{}
		}
		return r
	}
	source := l.process(11, roleConnection, record("s", "source", media.Publish, 1, true, 1))
	push := l.process(12, roleConnection, record("s", "p1", media.Play, 1, true, 0))
	making := l.process(13, roleConnection, record("made", "source", media.Publish, 0, false, 0))
	half := l.process(14, roleConnection, record("half", "source", media.Publish, 0, true, 0))
	stranger := l.process(15, roleConnection, record("t", "source", media.Publish, 0, false, 0))
	index := l.process(16, roleConnection, record("s", "p2", media.Play, 1, true, 0))
	l.adopted()

	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range []*peer{stranger, index} {
		q.hearsOf(srt.MsgClose, nil)
	}
	for q, want := range map[*peer]phase{source: connected, push: connected, making: connecting, half: connected} {
		conn := l.processes[q.p.ID].conn
		require.True(t, conn.closing.IsZero())
		require.NotNil(t, conn.dialer)
		require.Same(t, conn, conn.dialer.conn)
		require.Equal(t, want, conn.dialer.round.phase)
		q.hearsOf(srt.MsgReport, nil)
	}
	require.Equal(t, "s"+"source", l.streams["s"].publisher.ID)
	require.Equal(t, 1, l.out.sources["s"].round.at)
	l.tendCalls(time.Now())
	require.Empty(t, l.out.calls, "nothing is called twice")

	// The one that was connected and had no buffer yet gets it when it reports, as the one that connects now.
	for _, q := range []*peer{half, making} {
		p := l.processes[q.p.ID]
		l.heard(p, control.Message{Type: srt.MsgConnected, Body: []byte("{}")}, nil)
		require.Len(t, q.hearsOf(srt.MsgBuffer, nil), 1)
		require.Same(t, p.conn, l.streams[p.conn.Stream].publisher)
	}
}

// A URL that listens is a port of the stream's own: whatever a caller asks for, it gets that stream, in that role.
func TestPortsOfStreams(t *testing.T) {
	d := newDesk(t)
	d.withCallers("in", config.StreamConfig{Source: []config.URL{"srt://127.0.0.1:7001?mode=listener&passphrase=correct%20horse&fc=99"}})
	d.withCallers("out", config.StreamConfig{
		Push: []config.URL{"srt://127.0.0.1:9", "srt://127.0.0.1:7002?mode=listener&latency=700"},
		SRT:  config.StreamSRT{PlayPassphrase: "another secret", Options: config.Options{"fc": "50"}},
	})
	ports := d.urlPorts()
	require.Equal(t, []urlPort{
		{config.Port{Address: "127.0.0.1:7001", Stream: "in", Mode: config.ModePublish, Latency: d.Config.SRT.Latency, Passphrase: secret, Options: config.Options{"fc": "99"}}, "streams.in.source.0 in the configuration"},
		{config.Port{Address: "127.0.0.1:7002", Stream: "out", Mode: config.ModePlay, Latency: config.Duration(700 * time.Millisecond), Options: config.Options{"fc": "50"}}, "streams.out.push.1 in the configuration"},
	}, ports)
	var at []*port
	for _, p := range ports {
		at = append(at, d.opens(string(p.Address), p.Port))
		at[len(at)-1].only = true
	}
	ask := func(at *port, streamID string, encrypted bool) decision {
		return d.decide(&srt.Request{Peer: "192.0.2.1:5", StreamID: streamID, Encrypted: encrypted}, at)
	}
	for _, id := range []string{"", "anything", "in", "publish:x", "uplive/x?y:z"} {
		got := ask(at[0], id, true)
		require.Empty(t, got.cause, id)
		require.Equal(t, []any{"in", media.Publish, config.Secret(secret), "99"}, []any{got.stream, got.role, got.terms.passphrase, got.terms.options["fc"]})
	}
	require.Equal(t, causeNoSecret, ask(at[0], "", false).cause)
	require.Equal(t, causeBadMode, ask(at[0], "read:in", true).cause)
	require.Equal(t, causeNoPublisher, ask(at[1], "", false).cause)
	publisher := d.admitted(1, "publish:out")
	d.live(publisher)
	require.Empty(t, ask(at[1], "whatever", false).cause, "the passphrase of the stream is that of the other ports")

	d.after(0)
	require.Len(t, d.out.calls, 1, "only the target that is called")
	require.Equal(t, api.CallWaiting, mustStream(t, d, "in").Source.State)
	require.Equal(t, api.ModeListener, mustStream(t, d, "in").Source.Mode)
	require.False(t, d.demand("in", time.Now()))
	d.connections["x"] = &connection{connRecord: connRecord{ID: "x", Port: "127.0.0.1:7002", Connected: &srt.Connected{}}}
	push, err := d.Push("out-1")
	require.NoError(t, err)
	require.Equal(t, []any{api.CallConnected, "x"}, []any{push.State, push.Connection})
	_, err = d.StartPush("out", "srt://:7003?mode=listener")
	require.ErrorIs(t, err, api.ErrInvalid)
	require.ErrorContains(t, err, "configuration")
}

// A source is not called while a stream that one of its programs is mapped to has a publisher, and gives way to one that came meanwhile.
func TestSourceOfSeveralStreams(t *testing.T) {
	d := newDesk(t)
	d.withCallers("mux", config.StreamConfig{
		Start: config.StartAlways, Source: []config.URL{"srt://127.0.0.1:9"}, Programs: map[config.Program]config.StreamName{"2": "sport"},
	})
	d.after(0)
	call, _, _ := d.called()
	sport := d.admitted(1, "publish:sport")
	d.says(call, srt.MsgConnected, srt.Connected{})
	call.hearsOf(srt.MsgClose, nil)
	require.Same(t, sport.p.conn, d.streams["sport"].publisher)
	require.Nil(t, d.streams["mux"])
	d.fails(call, srt.Failed{Reason: srt.FailClosed})
	d.after(time.Minute)
	require.False(t, d.out.sources["mux"].busy())
	d.ends(sport, "exit status 0")
	d.after(2 * time.Minute)
	require.True(t, d.out.sources["mux"].busy())
}

// What was resolved for one URL is not called with the next one's settings.
func TestAddressesOfAnotherURL(t *testing.T) {
	k := &dialer{rest: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, round: round{size: 2, at: 1}}
	k.rests(time.Now())
	require.Empty(t, k.rest)
	require.Zero(t, k.round.at)
}

// TestSourceThatFails lets requests wait while any of its addresses may still answer, and no longer.
func TestSourceThatFails(t *testing.T) {
	d := newDesk(t)
	web := d.join(roleHTTP)
	d.withCallers("live", config.StreamConfig{Source: []config.URL{"srt://127.0.0.1:9", "srt://127.0.0.1:10"}, StopAfter: config.Duration(30 * time.Second)})
	var told httpd.Source
	d.says(web, httpd.MsgWanted, httpd.Wanted{Name: "live"})
	web.hearsOf(httpd.MsgSource, &told)
	require.Equal(t, httpd.Source{Name: "live", State: httpd.SourceStarting}, told)
	call, _, _ := d.called()
	d.fails(call, srt.Failed{Reason: srt.FailTimeout})
	m, _ := web.hears()
	require.Empty(t, m.Type, "the next address may answer")
	d.after(0)
	call, _, _ = d.called()
	d.fails(call, srt.Failed{Reason: srt.FailTimeout})
	web.hearsOf(httpd.MsgSource, &told)
	const why = "the source of this stream can't be reached: the connection timed out"
	require.Equal(t, httpd.Source{Name: "live", State: httpd.SourceFailed, Why: why}, told)
	require.Equal(t, 2, strings.Count(d.log.String(), "an SRT call has failed"), "one line for each attempt")
	require.NotContains(t, d.log.String(), "SRT connection ends", "there was none")

	asks := func() (a httpd.Source) {
		d.says(web, httpd.MsgWanted, httpd.Wanted{Name: "live"})
		web.hearsOf(httpd.MsgSource, &a)
		return a
	}
	r := &d.out.sources["live"].round
	r.next = time.Now().Add(httpd.Hold - time.Second)
	require.Equal(t, httpd.Source{Name: "live", State: httpd.SourceStarting, Why: why}, asks(), "it is called again before they give up")
	r.next = time.Now().Add(httpd.Hold + time.Second)
	require.Equal(t, httpd.Source{Name: "live", State: httpd.SourceFailed, Why: why}, asks())
	r.next = time.Now()
	require.Equal(t, httpd.Source{Name: "live", State: httpd.SourceStarting, Why: why}, asks(), "it is being called, and has not answered yet")
	call, _, _ = d.called()
	d.says(call, srt.MsgConnected, srt.Connected{})
	told = httpd.Source{}
	web.hearsOf(httpd.MsgSource, &told)
	require.Equal(t, httpd.Source{Name: "live", State: httpd.SourceStarting}, told, "nothing is wrong any more")
	require.Equal(t, httpd.Source{Name: "live", State: httpd.SourceStarting}, asks())
	d.fails(call, srt.Failed{Reason: srt.FailLost})
	d.after(0)
	call, _, _ = d.called()
	d.says(call, srt.MsgConnected, srt.Connected{})
	d.fails(call, srt.Failed{Reason: srt.FailLost})
	require.Eventually(t, func() bool {
		told = httpd.Source{}
		web.hearsOf(httpd.MsgSource, &told)
		return told.State == httpd.SourceFailed
	}, 5*time.Second, time.Millisecond, "neither has lasted")
	require.Equal(t, "the source of this stream fell silent", told.Why)
}

// TestPlightOfASource has a sentence for viewers for each reason that there is. None repeats what peer or system say.
func TestPlightOfASource(t *testing.T) {
	const secret = "srt://192.0.2.7:9000?passphrase=correct-horse"
	reasons := []string{
		srt.FailTimeout, srt.FailRejected, srt.FailSecret, srt.FailUnsecure, srt.FailPeer, srt.FailLost, srt.FailClosed, srt.FailBuffer, srt.FailController,
		srt.FailInternal, srt.FailCrash, failResolve, failSocket, failForbidden, failProcess, failNoMedia, secret,
	}
	told := map[string]string{}
	for _, reason := range reasons {
		k := dialer{round: round{size: 1}}
		k.count(srt.Failed{Reason: reason, Detail: secret, Code: 1404}, time.Now())
		require.Empty(t, k.plight(), "it has not failed yet")
		k.round.fail(time.Now(), 0)
		told[reason] = k.plight()
		require.Contains(t, told[reason], "the source of this stream ")
		require.NotContains(t, told[reason], "192.0.2.7")
		require.NotContains(t, told[reason], "correct")
	}
	require.Equal(t, "the source of this stream refuses the connection (code 1404)", told[srt.FailRejected])
	require.Equal(t, "the source of this stream failed; the server's log says why", told[srt.FailCrash])
	for reason := range plights {
		require.Contains(t, reasons, reason)
	}
}
