package controller

import (
	"fmt"

	"brume/control"
	"brume/srt"
	"brume/untrusted"
)

func (c *Controller) heardListener(p *process, m control.Message) error {
	switch m.Type {
	case srt.MsgRequest:
		var req srt.Request
		if err := m.Decode(&req); err != nil {
			return err
		}
		c.requested(asked{req: req, by: p})
	case srt.MsgNoHandover:
		var no srt.NoHandover
		if err := m.Decode(&no); err != nil {
			return err
		}
		if q := c.processes[no.Child]; q != nil && q.Role == roleConnection && q.conn != nil && q.conn.Connected == nil && q.conn.Port == p.Port {
			c.putDown(q, faultHandover)
		}
	case srt.MsgRefused:
		var r srt.Refused
		if err := m.Decode(&r); err != nil {
			return err
		}
		c.listenerRefused(&r)
	case srt.MsgListenerStats:
		var stats srt.ListenerStats
		if err := m.Decode(&stats); err != nil {
			return err
		}
		if p.duty != nil {
			p.duty.port.stats = stats
		}
	case srt.MsgHello:
		var hello srt.Hello
		if err := m.Decode(&hello); err != nil {
			return err
		}
		p.ready = true
		c.reportMissing(p.Role, hello.Missing)
	case control.MsgLog:
		return c.childLog(p, m)
	default:
		return fmt.Errorf("%w: unknown type %s", control.ErrMalformed, untrusted.Text(m.Type, 32))
	}
	return nil
}

// reportMissing says once what the kernel lacks for a process's sandbox.
func (c *Controller) reportMissing(r role, missing []string) {
	if len(missing) == 0 || c.reported[r] {
		return
	}
	c.reported[r] = true
	c.log.Warn("the sandbox is weaker than it should be: the kernel lacks a part of it", "role", r, "missing", untrusted.List(missing))
}
