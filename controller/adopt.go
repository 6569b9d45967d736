package controller

import (
	"encoding/json"
	"os"
	"strings"
	"time"

	"brume/api"
	"brume/buffer"
	"brume/guardian"
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
			c.adoptProcess(&held[i])
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

func (c *Controller) adoptProcess(h *guardian.Handed) {
	p := &process{}
	err := json.Unmarshal(h.Record, &p.processRecord)
	known := false
	p.spec, known = roles[p.Role]
	if err != nil || !known || !p.take(h.Files) {
		// Its start was cut short. When its control socket closes, it ends by itself.
		closeFiles(h.Files)
		_ = c.store.Remove(kindProcess, h.Key)
		return
	}
	c.lastID = max(c.lastID, p.ID)
	c.attend(p)
	p.ready = true
	switch {
	case p.Role == roleConnection:
		if p.Conn != nil {
			c.adoptConnection(p)
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

func (c *Controller) adoptConnection(p *process) {
	conn := &connection{connRecord: *p.Conn, proc: p, adopted: true}
	conn.settle()
	p.conn, p.Conn = conn, &conn.connRecord
	c.connections[conn.ID] = conn
	if conn.Dialer != "" && !c.adoptCall(conn) {
		c.closeConnection(conn) // the configuration does not name it any more
		return
	}
	s := c.streams[conn.Stream]
	switch {
	case conn.Role == srt.RoleUnknown:
	case conn.dialer != nil && conn.Buffer == 0: // its buffer comes with the connection
	case s == nil || s.ID != conn.Buffer || conn.Role == srt.RolePublish && s.publisher != nil:
		c.closeConnection(conn) // its buffer is no more, or another's
	case conn.Role == srt.RolePublish:
		s.publisher, conn.in = conn, s
		c.adoptMapped(conn)
	case conn.Role == srt.RolePlay:
		s.players[conn], conn.in = true, s
	}
}
