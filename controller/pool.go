package controller

import (
	"slices"
	"time"
)

// Bounds of the pool.
const (
	maxStarting  = 8               // processes being started at once
	maxWaiting   = 1024            // callers that wait for a process
	waitingTime  = 4 * time.Second // a caller gives up about then
	poolPause    = time.Second     // after a process that ended before its hello, or too many that ended idle
	decideTime   = 300             // ms of silence that make a caller without a stated mode a viewer
	handshakeMax = 10 * time.Second
)

// pool are the connection processes without a connection, sandboxed and ready.
type pool struct {
	idle    []*process
	waiting []waiting
	paused  time.Time // no start before
	died    time.Time // when one last ended idle
}

// waiting is an admitted caller for whom no idle process was left.
type waiting struct {
	asked
	conn  *connection
	since time.Time
}

// fillPool starts what is missing.
func (c *Controller) fillPool() {
	if c.stopping || time.Now().Before(c.pool.paused) {
		return
	}
	starting := 0
	for _, p := range c.processes {
		if p.Role == roleConnection && (!p.ready || !p.known) && p.conn == nil {
			starting++
		}
	}
	missing := int(c.Config.SRT.Pool) + len(c.pool.waiting) + len(c.out.calls) - len(c.pool.idle) - starting
	for range min(missing, maxStarting-starting) {
		if _, err := c.spawn(roleConnection); err != nil {
			c.log.Error("can't start a connection process", "error", err)
			c.pausePool()
			return
		}
	}
}

func (c *Controller) pausePool() {
	c.pool.paused = time.Now().Add(poolPause)
	time.AfterFunc(poolPause, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.fillPool()
	})
}

// idleDied forgets a process that ended without a connection. The first is replaced at once, but not one after another.
func (c *Controller) idleDied(p *process) {
	c.leavePool(p)
	now := time.Now()
	if !p.ready || now.Sub(c.pool.died) < poolPause {
		c.pausePool()
	}
	c.pool.died = now
}

// idleChild takes a process that has just said hello into the pool, or gives it to who waits longest.
func (c *Controller) idleChild(p *process) {
	if c.takeCall(p) {
		c.fillPool()
		return
	}
	now := time.Now()
	for len(c.pool.waiting) > 0 {
		w := c.pool.waiting[0]
		c.pool.waiting = c.pool.waiting[1:]
		if !c.stillWaits(&w, now) {
			continue
		}
		if !c.assign(p, w.conn, w.asked) {
			c.pool.waiting = slices.Insert(c.pool.waiting, 0, w)
		}
		c.fillPool()
		return
	}
	c.pool.idle = append(c.pool.idle, p)
	c.fillPool()
}

// place gives an admitted caller a process, now or as soon as one is ready.
func (c *Controller) place(conn *connection, a asked) {
	placed := false
	for n := len(c.pool.idle); n > 0 && !placed; n = len(c.pool.idle) {
		p := c.pool.idle[n-1]
		c.pool.idle = c.pool.idle[:n-1]
		placed = c.assign(p, conn, a)
	}
	if !placed {
		c.pool.waiting = append(c.pool.waiting, waiting{a, conn, time.Now()})
	}
	c.fillPool()
}

func (c *Controller) leavePool(p *process) {
	for i, q := range c.pool.idle {
		if q == p {
			c.pool.idle = append(c.pool.idle[:i], c.pool.idle[i+1:]...)
			return
		}
	}
}

// sweepPool gives up callers that waited too long.
func (c *Controller) sweepPool(now time.Time) {
	all := c.pool.waiting
	c.pool.waiting = nil
	for i := range all {
		if c.stillWaits(&all[i], now) {
			c.pool.waiting = append(c.pool.waiting, all[i])
		}
	}
}

// stillWaits tells whether a caller may still get a process. Who may not is answered and forgotten.
func (c *Controller) stillWaits(w *waiting, now time.Time) bool {
	switch {
	case w.conn.over:
		return false
	case c.processes[w.by.ID] != w.by: // nobody would hand it over
	case !w.conn.closing.IsZero():
		c.refused(w.asked, causeEnded, "the connection was ended before it began")
	case now.Sub(w.since) > waitingTime:
		c.refused(w.asked, causeNoProcess, "no process was ready in time")
	default:
		return true
	}
	c.dropConnection(w.conn)
	return false
}
