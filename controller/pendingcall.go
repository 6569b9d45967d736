package controller

import (
	"os"
	"time"

	"brume/srt"
)

// pendingCall is a connected socket that waits for a process to call over it.
type pendingCall struct {
	conn   *connection
	url    *srt.URL
	socket *os.File
	since  time.Time
}

// takeCall gives a process that has just come up the call that waits longest, if there is one.
func (c *Controller) takeCall(p *process) bool {
	for len(c.out.calls) > 0 {
		o := c.out.calls[0]
		c.out.calls = c.out.calls[1:]
		if !c.stillCalls(o, time.Now()) {
			continue
		}
		c.hand(p, o)
		return true
	}
	return false
}

// stillCalls reports whether a call may still get a process. It forgets one that may not.
func (c *Controller) stillCalls(o *pendingCall, now time.Time) bool {
	switch {
	case o.conn.over:
	case !o.conn.closing.IsZero():
		c.dropConnection(o.conn)
	case now.Sub(o.since) > handshakeMax:
		o.conn.why = &srt.Failed{Reason: failProcess, Detail: "no process was ready in time"}
		c.dropConnection(o.conn)
	default:
		return true
	}
	_ = o.socket.Close()
	return false
}

// hand makes an idle process the process of a call. Its record comes first: before it has any right.
func (c *Controller) hand(p *process, o *pendingCall) {
	conn := o.conn
	conn.proc, p.conn, p.Conn = p, conn, &conn.connRecord
	conn.Since = time.Now()
	configure := srt.Configure{
		Conn: conn.ID, Stream: conn.Stream, Role: conn.Role, Mode: o.url.Mode, StreamID: o.url.StreamID,
		Passphrase: o.url.Passphrase, Options: c.callOptions(conn.Stream, o.url),
	}
	files := []*os.File{o.socket}
	if conn.in != nil {
		files = append(files, conn.in.file(conn.Role))
	}
	err := c.configure(p, configure, files)
	_ = o.socket.Close()
	if err != nil {
		conn.why = &srt.Failed{Reason: failProcess, Detail: "a process did not take the call"}
		c.log.Warn("a connection process does not take its call", "pid", p.PID, "error", err)
		p.kill()
		return
	}
	c.log.Debug("calling over SRT", "conn", conn.ID, "stream", conn.Stream, "role", conn.Role, "url", o.url.String(), "peer", conn.Peer, "pid", p.PID)
}
