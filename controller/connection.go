package controller

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"brume/api"
	"brume/control"
	"brume/media"
	"brume/place"
	"brume/srt"
	"brume/untrusted"
)

// connRecord is what the store keeps of a connection.
type connRecord struct {
	ID        string         `json:"id"`
	Stream    string         `json:"stream"`
	StreamID  string         `json:"stream_id,omitempty"` // that the caller sent, without its secrets
	Buffer    uint64         `json:"buffer,omitempty"`    // id of the stream's buffer, 0 while the role is unknown
	Role      media.Role     `json:"role"`
	Only      media.Role     `json:"only,omitempty"` // while its role is unknown: the only one that it may show
	Port      string         `json:"port,omitempty"` // key of the port that it came by
	Peer      string         `json:"peer"`
	Local     string         `json:"local"`
	SocketID  uint32         `json:"socket_id"`
	Since     time.Time      `json:"since"`
	Connected *srt.Connected `json:"connected,omitempty"`
	Mode      srt.Mode       `json:"mode,omitempty"`   // of a connection that this server makes
	Dialer    string         `json:"dialer,omitempty"` // which of the stream's dialers makes it
	Index     int            `json:"index,omitempty"`  // which of its URLs
	Mapped    []mappedRecord `json:"mapped,omitempty"` // further streams of a publisher
}

// connection is an admitted caller.
type connection struct {
	connRecord

	proc    *process  // nil until one is ready
	in      *stream   // that it publishes or plays, nil while its role is unknown
	mapped  []*stream // as Mapped
	closing time.Time
	over    bool
	seems   media.Role   // of a connection whose role is unknown: what it has shown
	adopted bool         // an earlier controller may have died before it gave the buffer
	place   netip.Prefix // that it came from; not valid for a connection that this server began
	terms   terms        // until its process has them
	stats   srt.ConnStats
	samples samples
	ended   api.EventEnd // why, once it is known
	endedBy string       // who asked for the end, for the log; empty for the peer, the process or the controller

	dialer    *dialer     // that makes the connection, nil where the peer called
	why       *srt.Failed // it ends
	calledOff bool        // its dialer does not need it any more
}

// undecidedTime is how long a connection may show nothing on a stream that nobody publishes.
const undecidedTime = 10 * time.Second

// closeTime is how long a connection may take to end in an orderly way.
const closeTime = time.Second

func (c *Controller) newConnection(a asked, d decision) *connection {
	id := make([]byte, 6)
	_, _ = rand.Read(id) // never fails
	req := &a.req
	conn := &connection{terms: d.terms, connRecord: connRecord{
		ID: hex.EncodeToString(id), Stream: d.stream, StreamID: shownID(req.StreamID), Role: d.role, Only: d.only, Port: a.by.Port,
		Peer: untrusted.Text(req.Peer, 64), Local: untrusted.Text(req.Local, 64), SocketID: req.SocketID, Since: time.Now(),
	}}
	conn.samples.fresh = true
	conn.settle()
	c.connections[conn.ID] = conn
	c.tellConnection(api.EventConnecting, conn)
	return conn
}

// settle finds out what counts as the place that a caller came from.
func (conn *connection) settle() {
	if peer, err := netip.ParseAddrPort(conn.Peer); err == nil && conn.Port != "" {
		conn.place = place.Of(peer.Addr())
	}
}

// assign makes an idle process the process of a connection and tells the listener to hand the caller over. It
// returns false, and the process is ended, where the process can't take it.
func (c *Controller) assign(p *process, conn *connection, a asked) bool {
	conn.proc, p.conn, p.Conn = p, conn, &conn.connRecord
	configure := srt.Configure{
		Conn: conn.ID, Stream: conn.Stream, Role: conn.Role, DecideMS: decideTime,
		Passphrase: string(conn.terms.passphrase), Options: conn.terms.options,
	}
	var files []*os.File
	if conn.in != nil { // a player; see claim
		files = append(files, conn.in.file(conn.Role))
	}
	if err := c.configure(p, configure, files); err != nil {
		conn.proc, p.conn, p.Conn = nil, nil, nil
		_ = c.store.Remove(kindProcess, p.key()) // before another has this connection
		c.log.Warn("a connection process does not take its caller", "pid", p.PID, "error", err)
		p.kill()
		return false
	}
	conn.terms = terms{}
	if err := c.answer(a, srt.Verdict{Child: p.ID}, p.handover); err != nil {
		c.putDown(p, faultHandover)
	}
	c.log.Debug("an SRT caller gets a process", "conn", conn.ID, "stream", conn.Stream, "peer", conn.Peer, "pid", p.PID)
	return true
}

// configure gives a process its work and the right to what it takes, once the store knows of that. An idle process has nothing to
// say, so that its silence counts from here.
func (c *Controller) configure(p *process, work srt.Configure, files []*os.File) error {
	p.quiet = 0
	if err := c.record(p); err != nil {
		return err
	}
	return p.ctl.Send(srt.MsgConfigure, work, files...)
}

// file is the descriptor of the buffer that a role has a right to.
func (s *stream) file(role media.Role) *os.File {
	if role == media.Publish {
		return s.rw
	}
	return s.ro
}

// record stores what a process has become. Where the store does not take it, a next controller would know no better than
// before: the process must not get the right to write that it was about to get.
func (c *Controller) record(p *process) error {
	err := c.store.Update(kindProcess, p.key(), p.processRecord)
	if err != nil {
		c.log.Error("the store did not take a process's record", "pid", p.PID, "error", err)
	}
	return err
}

func (c *Controller) heardConnection(p *process, m control.Message) error {
	if m.Type == srt.MsgHello {
		var hello srt.Hello
		if err := m.Decode(&hello); err != nil {
			return err
		}
		c.saidHello(p, hello)
		return nil
	}
	conn := p.conn
	if m.Type == control.MsgLog {
		return c.childLog(p, m)
	}
	if conn == nil {
		p.kill() // it is not what it was started as
		return fmt.Errorf("%w: %s from an idle process", control.ErrMalformed, untrusted.Text(m.Type, 32))
	}
	switch m.Type {
	case srt.MsgConnected:
		var connected srt.Connected
		if err := m.Decode(&connected); err != nil {
			return err
		}
		c.connected(conn, connected)
	case srt.MsgDirection:
		var d srt.Direction
		if err := m.Decode(&d); err != nil {
			return err
		}
		c.directed(conn, d.Role)
	case srt.MsgStats:
		var stats srt.ConnStats
		if err := m.Decode(&stats); err != nil {
			return err
		}
		stats.Bound()
		conn.stats = stats
		c.sample(conn, time.Now())
		if conn.in != nil && conn.in.publisher == conn && stats.Demux != nil {
			conn.in.input = stats.Demux
		}
		conn.mappedStats()
		conn.judged(time.Now())
	case srt.MsgPrograms:
		return c.heardPrograms(conn, m)
	case srt.MsgLeftOut:
		return c.heardLeftOut(p, m)
	case srt.MsgAlive: // that it was heard is all
	case srt.MsgFailed:
		var failed srt.Failed
		if err := m.Decode(&failed); err != nil {
			return err
		}
		c.connectionFailed(p, failed)
	default:
		return fmt.Errorf("%w: unknown type %s", control.ErrMalformed, untrusted.Text(m.Type, 32))
	}
	return nil
}

func (c *Controller) saidHello(p *process, hello srt.Hello) {
	p.hello = srt.Hello{PID: p.PID, LibSRT: untrusted.Text(hello.LibSRT, 32), Sandbox: untrusted.List(hello.Sandbox), Missing: untrusted.List(hello.Missing)}
	c.reportMissing(p.Role, p.hello.Missing)
	if p.ready {
		return
	}
	p.ready = true
	c.joinPool(p)
}

// joinPool lets a process wait for a caller that is ready for one and known to the guardian.
func (c *Controller) joinPool(p *process) {
	if p.Role == roleConnection && p.ready && p.known && p.conn == nil {
		c.idleChild(p)
	}
}

func (c *Controller) connected(conn *connection, connected srt.Connected) {
	switch {
	case conn.dialer != nil:
		defer c.callConnected(conn)
	case conn.Role == media.Publish:
		defer c.claim(conn)
	}
	if conn.Connected != nil {
		return // told before, to an earlier controller
	}
	connected.Bound()
	connected.Peer = conn.Peer
	connected.PeerSRT, connected.Filter = untrusted.Text(connected.PeerSRT, 32), untrusted.Text(connected.Filter, 128)
	conn.Connected = &connected
	_ = c.record(conn.proc) // it would be told again
	c.tellConnection(api.EventConnected, conn)
	c.log.Info("SRT connected", "conn", conn.ID, "stream", conn.Stream, "role", conn.Role.String(), "peer", conn.Peer,
		"peer_version", connected.PeerSRT, "latency_receive_ms", connected.LatencyRcv, "latency_send_ms", connected.LatencySnd, "key_length", connected.KeyLength)
	if c.crowded(conn) {
		c.turnAway(conn, causePerStream, crowdedReason)
	}
}

// closeConnection begins to end a connection; sweepConnections sees that it does.
func (c *Controller) closeConnection(conn *connection) {
	if !conn.closing.IsZero() {
		return
	}
	conn.closing = time.Now()
	if conn.proc == nil {
		return
	}
	if err := conn.proc.ctl.Send(srt.MsgClose, nil); err != nil {
		conn.proc.kill()
	}
}

func (c *Controller) sweepConnections(now time.Time) {
	for _, conn := range c.connections {
		switch {
		case conn.proc == nil:
		case !conn.closing.IsZero() && now.Sub(conn.closing) > closeTime:
			c.putDown(conn.proc, faultClose)
		case conn.Role == "" && conn.closing.IsZero() && now.Sub(conn.Since) > undecidedTime:
			c.turnAway(conn, causeNoPublisher, "nobody publishes the stream, and it does not either")
		case conn.Connected == nil && now.Sub(conn.Since) > c.patience(conn):
			c.putDown(conn.proc, faultCaller)
		}
	}
}

// patience is how long a connection may take to be made.
func (c *Controller) patience(conn *connection) time.Duration {
	if conn.dialer == nil {
		return handshakeMax
	}
	u := conn.dialer.urls[conn.Index]
	return srt.CallTimeout(u.Mode, c.callOptions(conn.Stream, u)) + handshakeMax
}

// failReasons bounds what a process may put into a metric.
var failReasons = map[string]bool{
	srt.FailTimeout: true, srt.FailSecret: true, srt.FailUnsecure: true, srt.FailRejected: true, srt.FailPeer: true, srt.FailLost: true, srt.FailClosed: true,
	srt.FailBuffer: true, srt.FailStreamEnd: true, srt.FailController: true, srt.FailInternal: true,
}

func (c *Controller) connectionFailed(p *process, failed srt.Failed) {
	if p.failed {
		return
	}
	p.failed = true
	conn := p.conn
	if !failReasons[failed.Reason] {
		failed.Reason = srt.FailInternal
	}
	c.failures[failed.Reason]++
	if conn.why == nil {
		conn.why = &failed
	}
	conn.ended = api.EventEnd{Reason: failed.Reason, Detail: untrusted.Text(failed.Detail, 200)}
	if why, ok := secrets[failed.Reason]; ok && conn.Connected == nil && conn.dialer == nil {
		c.noteRefusal(why, conn.refusal(secretReasons[why]), conn.event()) // libsrt has refused it
		return
	}
	if c.isFailedAttempt(conn, *conn.why) {
		return // callFails logs the whole attempt
	}
	level := slog.LevelInfo
	if failed.Reason == srt.FailInternal || failed.Reason == srt.FailBuffer {
		level = slog.LevelError
	}
	c.log.Log(context.Background(), level, "SRT connection ends", "conn", conn.ID, "stream", conn.Stream, "role", conn.Role.String(), "peer", conn.Peer,
		"by", conn.endedBy, "reason", failed.Reason, "detail", untrusted.Text(failed.Detail, 500))
	if failed.Reason == srt.FailBuffer {
		for _, s := range conn.published() {
			s.corrupt = true // a viewer's word is none on what others see
		}
	}
}

// connectionEnded cleans up after a connection process that is gone.
func (c *Controller) connectionEnded(p *process, status string) {
	conn := p.conn
	if conn == nil {
		if !c.stopping {
			c.log.Warn("an idle connection process has ended", "pid", p.PID, "status", status, "stderr", p.lastWords())
			c.restarts[string(roleConnection)]++
			c.tellRestart(p, status)
		}
		c.idleDied(p)
		c.fillPool()
		return
	}
	if !p.failed {
		if status != "" && status != "exit status 0" && !(p.killed && status == killedByUs) {
			c.failures[srt.FailCrash]++
			conn.ended.Reason = srt.FailCrash
			c.log.Error("an SRT connection process has died", "conn", conn.ID, "stream", conn.Stream, "role", conn.Role.String(), "peer", conn.Peer,
				"pid", p.PID, "status", status, "stderr", p.lastWords())
		} else {
			c.log.Info("SRT connection ended", "conn", conn.ID, "stream", conn.Stream, "role", conn.Role.String(), "peer", conn.Peer,
				"by", conn.endedBy, "status", status)
		}
	}
	if l := c.listenerOf(conn.Port); l != nil && (!p.failed || p.killed) {
		// It had no time for a farewell, or only said so: with one its peer reconnects at once.
		_ = l.ctl.Send(srt.MsgGone, srt.Gone{Peer: conn.Peer, Local: conn.Local, SocketID: conn.SocketID})
	}
	c.dropConnection(conn)
	c.fillPool()
}

// dropConnection forgets a connection and lets its stream know.
func (c *Controller) dropConnection(conn *connection) {
	if conn.over {
		return
	}
	conn.over = true
	delete(c.connections, conn.ID)
	c.tellEnded(conn)
	defer c.callEnded(conn)
	if s := conn.in; s != nil && conn.Role == media.Play {
		delete(s.players, conn)
		s.bytesOut += conn.stats.Bytes
	}
	// The named stream comes last: who waits for it may publish the others too.
	all := conn.published()
	for i := range all {
		c.publisherLeft(all[len(all)-1-i])
	}
}
