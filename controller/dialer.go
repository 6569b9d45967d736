package controller

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"brume/api"
	"brume/config"
	"brume/media"
	"brume/outputs/httpd"
	"brume/scheme"
	"brume/srt"
	"brume/untrusted"
)

// Reasons of failures that no process tells; the others are those of srt.Failed.
const (
	failResolve   = "resolve"    // the host's name can't be resolved
	failSocket    = "socket"     // no socket can be made to the peer
	failForbidden = "forbidden"  // a rendezvous with a peer that the configuration does not name
	failProcess   = "no_process" // no process was ready in time
	failNoMedia   = "no_media"   // a source that connected brought nothing
)

// dialer is what this server calls by itself: the source of a stream, or a target that the stream is pushed to.
type dialer struct {
	id     string
	stream string
	role   media.Role // publish of a source, play of a target
	urls   []*srt.URL

	round    round
	rest     []netip.Addr       // of the present host, not tried yet
	conn     *connection        // that is being made or is there
	cancel   context.CancelFunc // of the resolution that runs
	attempts uint64
	failures map[string]uint64
	last     *callFailure
}

// callFailure is why an attempt failed or a connection ended.
type callFailure struct {
	srt.Failed
	at time.Time
}

// outbound is what the controller keeps of all its callers.
type outbound struct {
	sources map[string]*source // by stream
	pushes  map[string]*push   // by id
	calls   []*pendingCall     // that wait for a process
	parked  []parked           // SRT players that wait for a source
	resolve lookup
	ctx     context.Context // of resolutions
	stop    context.CancelFunc
}

func (o *outbound) init() {
	o.sources, o.pushes = map[string]*source{}, map[string]*push{}
	o.resolve = systemLookup
	o.ctx, o.stop = context.WithCancel(context.Background())
}

// callURLs reads the URLs of a stream. They were checked with the configuration or by the API.
func (c *Controller) callURLs(all []config.URL, stream string) ([]*srt.URL, error) {
	var urls []*srt.URL
	for _, raw := range all {
		s, u, err := raw.Parse(stream)
		if err == nil {
			err = c.Config.SRT.Allows(raw, stream)
		}
		if err != nil {
			return nil, err
		}
		parsed, ok := u.(*srt.URL)
		if !ok || s.Program != scheme.ProgramSRT {
			return nil, fmt.Errorf("%s:// is not served", s.Name)
		}
		urls = append(urls, parsed)
	}
	return urls, nil
}

// url is the one that is called or connected, or that comes next.
func (k *dialer) url() *srt.URL { return k.urls[k.round.at] }

// rests forgets what was. The addresses that are left are of the URL that was tried last, not of the one that comes next.
func (k *dialer) rests(now time.Time) {
	k.rest = nil
	k.round.rest(now)
}

// busy tells whether an attempt or a connection is under way.
func (k *dialer) busy() bool { return k.conn != nil || k.cancel != nil }

// begin begins an attempt. A name is resolved at each, off the controller's lock.
func (c *Controller) begin(k *dialer, now time.Time) {
	k.round.begin(now)
	k.attempts++
	u := k.url()
	if len(k.rest) > 0 {
		c.dial(k, now)
		return
	}
	if a, err := netip.ParseAddr(u.Host); err == nil {
		c.resolved(k, []netip.Addr{a}, nil, now)
		return
	}
	ctx, cancel := context.WithCancel(c.out.ctx)
	k.cancel = cancel
	go func() {
		all, err := c.out.resolve(ctx, u.Host)
		c.mu.Lock()
		defer c.mu.Unlock()
		calledOff := ctx.Err() != nil
		cancel()
		if calledOff || c.stopping {
			return
		}
		k.cancel = nil
		c.resolved(k, all, err, time.Now())
	}()
}

func (c *Controller) resolved(k *dialer, all []netip.Addr, err error, now time.Time) {
	u := k.url()
	if err != nil {
		c.callFails(k, srt.Failed{Reason: failResolve, Detail: err.Error()}, now)
		return
	}
	if u.Mode == srt.ModeRendezvous {
		all = slices.DeleteFunc(all, func(a netip.Addr) bool { return !c.Config.SRT.MayMeet(a) })
		if len(all) == 0 {
			c.callFails(k, srt.Failed{Reason: failForbidden, Detail: "the peer's address is in none of the networks of srt.rendezvous"}, now)
			return
		}
	}
	if k.rest = callOrder(all, u.Local); len(k.rest) == 0 {
		c.callFails(k, srt.Failed{Reason: failResolve, Detail: "the name has no address that can be called"}, now)
		return
	}
	c.dial(k, now)
}

// dial makes the socket to the next address, and gives it to an idle process or the next one that comes up.
func (c *Controller) dial(k *dialer, now time.Time) {
	u := k.url()
	peer := netip.AddrPortFrom(k.rest[0], u.Port)
	k.rest = k.rest[1:]
	s := c.streams[k.stream]
	if k.role == media.Play && !s.playable() {
		k.rests(now) // it has ended meanwhile
		return
	}
	socket, err := callSocket(u, peer)
	if err != nil {
		c.callFails(k, srt.Failed{Reason: failSocket, Detail: fmt.Sprintf("%s: %v", peer, err)}, now)
		return
	}
	local, _ := localAddress(socket)
	id := make([]byte, 6)
	_, _ = rand.Read(id) // never fails
	conn := &connection{dialer: k, connRecord: connRecord{
		ID: hex.EncodeToString(id), Stream: k.stream, Role: k.role, Peer: peer.String(), Local: local, Since: now,
		Mode: u.Mode, Dialer: k.id, Index: k.round.at,
	}}
	k.conn = conn
	c.connections[conn.ID] = conn
	c.tellConnection(api.EventConnecting, conn)
	if k.role == media.Play {
		_ = c.enter(conn, k.role) // nothing can fail: the stream is there
	}
	c.out.calls = append(c.out.calls, &pendingCall{conn, u, socket, now})
	if n := len(c.pool.idle); n > 0 {
		p := c.pool.idle[n-1]
		c.pool.idle = c.pool.idle[:n-1]
		c.takeCall(p)
	}
	c.fillPool()
}

// callOptions are libsrt's: the stream's settings under those of the URL.
func (c *Controller) callOptions(stream string, u *srt.URL) map[string]string {
	s := c.Config.Stream(stream).SRT
	latency := cmp.Or(s.Latency, c.Config.SRT.Latency)
	o := config.Options{"latency": strconv.FormatInt(time.Duration(latency).Milliseconds(), 10)}
	return config.Options(u.Options).Over(s.Options.Over(o))
}

// callConnected lets a connection that this server has made do its work. It may be told again by a process of an earlier
// controller, which may have died in between.
func (c *Controller) callConnected(conn *connection) {
	k := conn.dialer
	if k == nil || conn.closing != (time.Time{}) || c.stopping {
		return
	}
	k.round.up(time.Now())
	if p := c.single(roleHTTP); p != nil && k.role == media.Publish {
		c.tellSource(p, httpd.Source{Name: k.stream, State: httpd.SourceStarting})
	}
	switch {
	case k.role != media.Publish:
	case conn.in != nil && conn.adopted:
		c.grant(conn)
	case conn.in == nil && c.streams[k.stream].holder() != nil:
		c.log.Info("a source gives way: the stream has a publisher", "conn", conn.ID, "stream", k.stream, "peer", conn.Peer)
		c.callOff(k)
	case conn.in == nil && !c.mayMap(k.stream):
		c.log.Info("a source gives way: a stream that one of its programs is mapped to is locked or has a publisher", "conn", conn.ID, "stream", k.stream, "peer", conn.Peer)
		c.callOff(k)
	case conn.in == nil:
		if err := c.enter(conn, k.role); err != nil {
			conn.why = &srt.Failed{Reason: srt.FailBuffer, Detail: "the stream's buffer can't be made"}
			c.log.Error("can't open a stream", "stream", k.stream, "error", err)
			c.closeConnection(conn)
			return
		}
		c.grant(conn)
	}
}

// callOff ends what a caller does, without taking it for a failure.
func (c *Controller) callOff(k *dialer) {
	if k.cancel != nil {
		k.cancel()
		k.cancel = nil
	}
	if k.conn == nil {
		k.rests(time.Now())
		return
	}
	k.rest = nil
	k.conn.calledOff = true
	c.closeConnection(k.conn)
}

// callEnded decides what comes after a connection that this server made or tried to make.
func (c *Controller) callEnded(conn *connection) {
	k := conn.dialer
	if k == nil || k.conn != conn {
		return
	}
	now := time.Now()
	why := srt.Failed{Reason: srt.FailCrash, Detail: "its process has died"}
	if conn.why != nil {
		why = *conn.why
	}
	attempt := c.isFailedAttempt(conn, why)
	k.conn = nil
	switch {
	case c.stopping:
	case attempt:
		c.callFails(k, why, now, "conn", conn.ID, "peer", conn.Peer, "by", conn.endedBy)
	case conn.calledOff || why.Reason == srt.FailStreamEnd:
		k.rests(now)
	case why.Reason == failNoMedia: // however long it lasted, the next one has its turn
		k.rest = nil
		k.count(why, now)
		k.round.fail(now, mathrand.Float64())
		c.tellPlight(k, now)
	default:
		k.rest = nil
		k.count(why, now)
		k.round.down(now, mathrand.Float64())
		c.tellPlight(k, now)
	}
}

// isFailedAttempt reports whether a connection that ends is a call that was never answered, and that nobody has called off.
func (c *Controller) isFailedAttempt(conn *connection, why srt.Failed) bool {
	k := conn.dialer
	return k != nil && k.conn == conn && conn.Connected == nil && !c.stopping && !conn.calledOff && why.Reason != srt.FailStreamEnd
}

// callFails notes an attempt that failed, and logs it with what is known of its connection. The next one is begun by the monitor.
func (c *Controller) callFails(k *dialer, why srt.Failed, now time.Time, of ...any) {
	u := k.url()
	k.count(why, now)
	if len(k.rest) > 0 {
		k.round.enter(failed, now)
		k.round.next = now
	} else {
		k.round.fail(now, mathrand.Float64())
	}
	attrs := append(of, "stream", k.stream, "role", k.role, "url", u.String(), "reason", why.Reason, "detail", k.last.Detail)
	if why.Code != 0 {
		attrs = append(attrs, "code", why.Code)
	}
	if pause := k.round.next.Sub(now); pause > 0 {
		attrs = append(attrs, "again_in", pause.Round(time.Millisecond).String())
	}
	c.tellPlight(k, now)
	c.log.Log(c.out.ctx, slog.LevelWarn, "an SRT call has failed", attrs...)
}

func (k *dialer) count(why srt.Failed, now time.Time) {
	why.Detail = untrusted.Text(why.Detail, 500)
	k.last = &callFailure{why, now}
	if k.failures == nil {
		k.failures = map[string]uint64{}
	}
	k.failures[why.Reason]++
}

// tendCalls lets time pass for all that calls.
func (c *Controller) tendCalls(now time.Time) {
	for name, s := range c.out.sources {
		c.tendSource(name, s, now)
	}
	c.tendPushes(now)
	waiting := c.out.calls
	c.out.calls = nil
	for _, o := range waiting {
		if c.stillCalls(o, now) {
			c.out.calls = append(c.out.calls, o)
		}
	}
	c.sweepParked(now)
}

// stopCalls ends what has no process yet.
func (c *Controller) stopCalls() {
	c.out.stop()
	for _, o := range c.out.calls {
		_ = o.socket.Close()
	}
	c.out.calls = nil
}

// adoptCall gives a connection back to its caller, or tells that it has none any more.
func (c *Controller) adoptCall(conn *connection) bool {
	var k *dialer
	if conn.Role == media.Publish {
		if s := c.source(conn.Stream); s != nil {
			s.ask(time.Now())
			k = &s.dialer
		}
	} else {
		c.addPushes(conn.Stream)
		if p := c.out.pushes[conn.Dialer]; p != nil {
			k = &p.dialer
		}
	}
	if k == nil || k.id != conn.Dialer || k.conn != nil || conn.Index < 0 || conn.Index >= len(k.urls) {
		return false
	}
	k.conn, conn.dialer = conn, k
	k.round.at = conn.Index
	k.round.begin(time.Now())
	if conn.Connected != nil {
		k.round.up(time.Now())
	}
	return true
}
