package controller

import (
	"encoding/json"
	"time"

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
	for r, n := range c.server.Restarts {
		c.restarts[r] = n
	}
	c.restarts["controller"]++
	for i := range held {
		if held[i].Kind == kindBuffer {
			c.adoptBuffer(&held[i])
		}
	}
	for i := range held {
		if held[i].Kind == kindProcess {
			c.adoptProcess(&held[i])
		}
	}
	for i := range held {
		if held[i].Kind == kindSocket && len(held[i].Files) > 0 {
			// The configuration has changed: nothing listens there any more.
			closeFiles(held[i].Files)
			_ = c.store.Remove(kindSocket, held[i].Key)
		}
	}
	for _, s := range c.streams {
		if s.publisher == nil && s.info.State != buffer.Closed {
			c.publisherLeft(s)
		} else if s.publisher == nil {
			s.gone, s.over = time.Now(), time.Now()
		}
	}
	c.saveServer()
	c.log.Info("took over from an earlier controller", "streams", len(c.streams), "connections", len(c.connections), "processes", len(c.processes))
}

func (c *Controller) adoptBuffer(h *guardian.Handed) {
	var r bufferRecord
	if err := json.Unmarshal(h.Record, &r); err != nil || len(h.Files) != 2 {
		closeFiles(h.Files)
		_ = c.store.Remove(kindBuffer, h.Key)
		return
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
	p := &process{ready: true}
	err := json.Unmarshal(h.Record, &p.processRecord)
	p.spec = roles[p.Role]
	if err != nil || !p.take(h.Files) {
		// Its start was cut short. When its control socket closes, it ends by itself.
		closeFiles(h.Files)
		_ = c.store.Remove(kindProcess, h.Key)
		return
	}
	c.lastID = max(c.lastID, p.ID)
	switch {
	case p.Conn != nil:
		c.adoptConnection(p)
		_ = p.ctl.Send(srt.MsgReport, nil)
	case p.Role == roleConnection:
		c.pool.idle = append(c.pool.idle, p)
	case p.Role == roleHTTP:
		c.equipHTTP(p)
		_ = p.ctl.Send(httpd.MsgReport, nil)
	}
	c.attend(p)
}

func (c *Controller) adoptConnection(p *process) {
	conn := &connection{connRecord: *p.Conn, proc: p}
	conn.hello.PID = p.PID
	p.conn, p.Conn = conn, &conn.connRecord
	c.connections[conn.ID] = conn
	s := c.streams[conn.Stream]
	switch {
	case s == nil:
		if conn.Role != srt.RoleUnknown {
			c.closeConnection(conn)
		}
	case conn.Role == srt.RolePublish:
		s.publisher, conn.in = conn, s
	case conn.Role == srt.RolePlay:
		s.players[conn], conn.in = true, s
	}
}
