package controller

import (
	"log/slog"
	"strings"
	"time"
	"unicode"

	"brume/srt"
)

// silence after which a publisher's old connection gives way to a new one.
const silence = time.Second

// decision is what the controller makes of a caller.
type decision struct {
	reject int // SRT rejection code, 0 admits
	reason string
	stream string
	role   srt.Role
}

func refuse(code int, reason string) decision { return decision{reject: code, reason: reason} }

// decide judges a caller by what its handshake says. Everything about who may do what is here.
func (c *Controller) decide(req *srt.Request) decision {
	if c.stopping {
		return refuse(srt.RejectUnavailable, "the server is shutting down")
	}
	id, err := srt.ParseStreamID(req.StreamID)
	if err != nil {
		return refuse(srt.RejectBadRequest, err.Error())
	}
	name := id.Name
	if name == "" {
		name = string(c.Config.SRT.Stream)
	}
	if len(c.pool.waiting) >= maxWaiting {
		return refuse(srt.RejectOverload, "too many callers are waiting for a process")
	}
	d := decision{stream: name, role: id.Role}
	s := c.streams[name]
	switch id.Role {
	case srt.RolePlay:
		if !s.playable() {
			return refuse(srt.RejectNotFound, "nobody publishes the stream "+name)
		}
	case srt.RolePublish:
		if s.taken(time.Now()) {
			return refuse(srt.RejectConflict, "the stream "+name+" has a publisher already")
		}
	}
	return d
}

// asked is a caller's request and the listener that it came from, whose numbers mean nothing to another.
type asked struct {
	req srt.Request
	by  *process
}

// answer gives a verdict to the listener that asked for it.
func (c *Controller) answer(a asked, v srt.Verdict) {
	if c.processes[a.by.ID] == a.by {
		v.ID = a.req.ID
		_ = a.by.ctl.Send(srt.MsgVerdict, v)
	}
}

// refused counts and answers a caller that is not admitted.
func (c *Controller) refused(a asked, code int, reason string) {
	c.rejects[code]++
	c.tellRefused(nil, clip(a.req.Peer, 64), streamOf(a.req.StreamID), code, reason)
	c.refusals.log(c.log, slog.LevelInfo, "refused an SRT caller", "peer", clip(a.req.Peer, 64), "stream_id", loggable(a.req.StreamID), "code", code, "reason", reason)
	c.answer(a, srt.Verdict{Reject: code, Reason: reason})
}

// requested answers the listener about a caller.
func (c *Controller) requested(a asked) {
	if c.processes[a.by.ID] != a.by {
		return // nobody would hand the caller over
	}
	req := &a.req
	d := c.decide(req)
	if d.reject != 0 {
		c.refused(a, d.reject, d.reason)
		return
	}
	if d.role == srt.RolePublish {
		if old := c.streams[d.stream].holder(); old != nil {
			c.log.Info("a publisher has come back; its silent connection gives way", "stream", d.stream, "conn", old.ID, "peer", clip(req.Peer, 64))
			c.streams[d.stream].takeover = &a
			old.proc.kill()
			return
		}
	}
	conn := c.newConnection(req, d)
	if d.role != srt.RoleUnknown {
		if err := c.enter(conn, d.role); err != nil {
			c.log.Error("can't open a stream", "stream", d.stream, "error", err)
			c.dropConnection(conn)
			c.refused(a, srt.RejectOverload, "the stream's buffer can't be made")
			return
		}
	}
	c.place(conn, a)
}

// loggable is a stream id without what may be secret in it, for the log.
func loggable(id string) string {
	if i := strings.IndexByte(id, '?'); i >= 0 {
		id = id[:i]
	}
	if parsed, err := srt.ParseStreamID(id); err == nil {
		return parsed.Name
	}
	return "(unreadable)"
}

// clip bounds what somebody outside wrote, and leaves of it what can be shown: no line of it can pass for one of ours, and
// no terminal obeys it.
func clip(s string, n int) string { return strings.Map(printable, valid(s, n)) }

// clipLines is the same for what has several lines.
func clipLines(s string, n int) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return printable(r)
	}, valid(s, n))
}

func valid(s string, n int) string { return strings.ToValidUTF8(s[:min(n, len(s))], "?") }

func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return '?'
	}
	return r
}
