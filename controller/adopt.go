package controller

import (
	"encoding/json"
	"os"
	"strings"
	"time"

	"brume/api"
	"brume/buffer"
	"brume/guardian"
	"brume/media"
	"brume/outputs/httpd"
	"brume/srt"
)

// adopt takes over what an earlier controller left: buffers, then the processes that use them.
func (c *Controller) adopt(held []guardian.Handed, stored guardian.Stored) {
	if stored.Starts == 1 {
		c.server = serverRecord{Started: time.Now()}
		if err := c.store.Put(kindServer, "", c.server); err != nil {
			c.log.Error("the store did not take the server's record", "error", err)
		}
		return
	}
	for i := range held {
		if held[i].Kind == kindServer {
			_ = json.Unmarshal(held[i].Record, &c.server)
		}
	}
	if c.server.Started.IsZero() {
		// The first one did not come as far as that.
		c.server.Started = time.Now()
		_ = c.store.Put(kindServer, "", c.server)
	}
	for r, n := range c.server.Restarts {
		c.restarts[r] = n
	}
	c.restarts["controller"]++
	c.events.Emit(&api.Event{Type: api.EventRestarted, Process: &api.EventProcess{Role: "controller", PID: os.Getpid()}})
	for i := range held {
		if held[i].Kind == kindBuffer {
			c.adoptBuffer(&held[i])
		}
	}
	for i := range held {
		if held[i].Kind == kindPush {
			c.adoptPush(&held[i])
		}
	}
	for i := range held {
		if held[i].Kind == kindProcess {
			c.adoptProcess(&held[i], stored.Behind)
		}
	}
	c.dropSockets(held)
	for _, s := range c.streams {
		s.told = s.state() // no news
		if s.publisher == nil && s.info.State != buffer.Closed {
			c.publisherLeft(s)
		} else if s.publisher == nil {
			s.gone, s.over = time.Now(), time.Now()
		}
	}
	c.saveServer()
	c.log.Info("took over from an earlier controller", "streams", len(c.streams), "connections", len(c.connections), "processes", len(c.processes))
}

// dropSockets closes the listening sockets that the configuration does not name any more. The http process is replaced where
// it has one; a listener ends with its port.
func (c *Controller) dropSockets(held []guardian.Handed) {
	for i := range held {
		h := &held[i]
		if h.Kind != kindSocket || len(h.Files) == 0 {
			continue
		}
		closeFiles(h.Files)
		_ = c.store.Remove(kindSocket, h.Key)
		name, _, _ := strings.Cut(h.Key, " ")
		if p := c.single(roleHTTP); p != nil && name == string(roleHTTP) {
			c.putDown(p, faultSetup)
		}
	}
}

// endLost ends the processes whose descriptors the store has lost, and those that hold a socket that it has lost: it is made
// anew, which its address allows once.
func (c *Controller) endLost(held []guardian.Handed) {
	lostSockets := map[string]bool{}
	for i := range held {
		if held[i].Lost && held[i].Kind == kindSocket {
			lostSockets[held[i].Key] = true
		}
	}
	for i := range held {
		h := &held[i]
		var r processRecord
		if h.Kind != kindProcess || json.Unmarshal(h.Record, &r) != nil {
			continue
		}
		holds := r.Role == roleListener && lostSockets["srt "+r.Port] || r.Role == roleHTTP && lostSockets["http "+string(c.Config.HTTP.Address)]
		if (h.Lost || holds) && !guardian.End(r.PID, r.Began, 0) {
			c.log.Error("a process that was killed does not end", "role", r.Role, "pid", r.PID)
		}
	}
}

func (c *Controller) adoptBuffer(h *guardian.Handed) {
	var r bufferRecord
	if err := json.Unmarshal(h.Record, &r); err != nil || len(h.Files) != 2 {
		closeFiles(h.Files)
		_ = c.store.Remove(kindBuffer, h.Key)
		return
	}
	if old := c.streams[r.Stream]; old != nil {
		c.removeStream(old)
	}
	s, err := c.newStream(r, h.Files[0], h.Files[1])
	if err != nil {
		c.log.Error("can't take a stream over", "stream", r.Stream, "error", err)
		_ = c.store.Remove(kindBuffer, h.Key)
		return
	}
	s.moved = time.Now()
	c.lastID = max(c.lastID, r.ID)
}

// adoptProcess takes over what runs. Where the store may be behind, a connection process that has no buffer in it may have
// got one since: it is gone on return, before anybody else writes.
func (c *Controller) adoptProcess(h *guardian.Handed, behind bool) {
	p := &process{}
	err := json.Unmarshal(h.Record, &p.processRecord)
	known := false
	p.spec, known = roles[p.Role]
	if err != nil || !known || !p.take(h.Files) {
		// Its start was cut short, and it has no work: when its control socket closes, it ends by itself. Or the store has lost
		// it, see endLost.
		closeFiles(h.Files)
		_ = c.store.Remove(kindProcess, h.Key)
		return
	}
	if p.Role == roleConnection && p.Conn == nil && (behind || p.handover == nil) {
		p.endNow()
		p.close()
		_ = c.store.Remove(kindProcess, h.Key)
		return
	}
	c.lastID = max(c.lastID, p.ID)
	c.attend(p)
	p.ready, p.known = true, true
	switch {
	case p.Role == roleConnection:
		if p.Conn != nil {
			c.adoptConnection(p, behind)
		} else {
			// Its hello brings it into the pool.
			p.ready = false
		}
		_ = p.ctl.Send(srt.MsgReport, nil)
	case p.Role == roleListener:
		c.adoptListener(p)
	case p.Role == roleHTTP:
		c.takeDuty(p)
		c.equipHTTP(p)
		_ = p.ctl.Send(httpd.MsgReport, nil)
	}
}

func (c *Controller) adoptConnection(p *process, behind bool) {
	conn := &connection{connRecord: *p.Conn, proc: p, adopted: true}
	conn.settle()
	p.conn, p.Conn = conn, &conn.connRecord
	c.connections[conn.ID] = conn
	wanted := conn.Dialer == "" || c.adoptCall(conn) // the configuration may not name it any more
	switch whole := c.adoptStreams(conn); {
	case behind && conn.Buffer == 0:
		c.log.Warn("ending a connection that may have a buffer of which the store does not know", "conn", conn.ID, "stream", conn.Stream, "peer", conn.Peer)
		conn.calledOff = true // a call is made again
		p.endNow()
	case !whole || !wanted:
		c.closeConnection(conn)
	}
}

// adoptStreams gives a connection back what it plays or publishes, and tells whether that is all there. A publisher that is to
// be ended keeps what it may still write into.
func (c *Controller) adoptStreams(conn *connection) bool {
	if conn.Buffer == 0 && (conn.Role != media.Play || conn.dialer != nil) {
		return true // its buffer comes with its role, or when it is connected
	}
	if conn.Role == media.Publish {
		conn.in = c.adoptPublished(conn, conn.Stream, conn.Buffer)
		return c.adoptMapped(conn) && conn.in != nil
	}
	s := c.streams[conn.Stream]
	if s == nil || s.ID != conn.Buffer {
		return false
	}
	s.players[conn], conn.in = true, s
	return true
}

// adoptPublished makes a connection the publisher of a stream again. It returns nil where the buffer is no more. Of two that
// may write into the same the first stays, and the other is gone on return.
func (c *Controller) adoptPublished(conn *connection, name string, buffer uint64) *stream {
	s := c.streams[name]
	if s == nil || s.ID != buffer {
		return nil
	}
	if s.publisher != nil {
		conn.proc.endNow()
		return nil
	}
	s.publisher = conn
	return s
}
