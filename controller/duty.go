package controller

import (
	"fmt"
	"time"
)

// duty is a process that always runs: http, or the listener of a port.
type duty struct {
	role role
	port *port // of a listener

	backoff time.Duration
}

// Backoff of processes that are started again.
const (
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

func (d *duty) String() string {
	if d.port != nil {
		return string(d.role) + " of " + d.port.key
	}
	return string(d.role)
}

// onDuty is the process that does a duty now, or nil.
func (c *Controller) onDuty(d *duty) *process {
	for _, p := range c.processes {
		if p.duty == d {
			return p
		}
	}
	return nil
}

// single is the process of a role that only one has, or nil.
func (c *Controller) single(r role) *process {
	for _, p := range c.processes {
		if p.Role == r {
			return p
		}
	}
	return nil
}

// takeDuty makes an adopted process the one that does its role's duty.
func (c *Controller) takeDuty(p *process) {
	for _, d := range c.duties {
		if d.role == p.Role && d.port == nil {
			p.duty = d
		}
	}
}

func (c *Controller) startDuty(d *duty) error {
	p, err := c.spawn(d.role)
	if err != nil {
		return fmt.Errorf("start the process %s: %w", d, err)
	}
	p.duty = d
	if d.port == nil {
		c.equipHTTP(p)
		return nil
	}
	p.Port = d.port.key
	c.equipListener(p)
	_ = c.record(p) // last: should we die before, the next controller starts another instead of one that has no sockets
	return nil
}

// dutyEnded starts a process again that has ended, unless nobody wants it any more.
func (c *Controller) dutyEnded(p *process, status string) {
	d := p.duty
	if c.stopping || d == nil {
		return
	}
	if time.Since(p.Started) > p.spec.calm || d.backoff == 0 {
		d.backoff = firstBackoff
	}
	c.restarts[string(p.Role)]++
	c.saveServer()
	c.tellRestart(p, status)
	c.sweepPool(time.Now()) // who waited by word of this listener can't be handed over
	c.log.Error("a process has ended; starting another", "role", p.Role, "port", p.Port, "pid", p.PID, "status", status,
		"stderr", p.lastWords(), "in", d.backoff.String())
	time.AfterFunc(d.backoff, func() { c.restartDuty(d) })
	d.backoff = min(d.backoff*3, lastBackoff)
}

func (c *Controller) restartDuty(d *duty) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopping && c.onDuty(d) == nil {
		c.tryStart(d)
	}
}

// tryStart starts a process, now or later.
func (c *Controller) tryStart(d *duty) {
	if err := c.startDuty(d); err != nil {
		c.log.Error("can't start a process", "role", d.role, "error", err)
		time.AfterFunc(lastBackoff, func() { c.restartDuty(d) })
	}
}
