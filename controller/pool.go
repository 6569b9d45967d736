package controller

import (
	"time"

	"brume/srt"
)

// Bounds of the pool.
const (
	maxStarting  = 8               // processes being started at once
	maxWaiting   = 1024            // callers that wait for a process
	waitingTime  = 4 * time.Second // a caller gives up about then
	startTime    = 5 * time.Second // for a process to say hello
	poolPause    = time.Second     // after a process that ended before its hello
	decideTime   = 300             // ms of silence that make a caller without a stated mode a viewer
	handshakeMax = 10 * time.Second
)

// pool are the connection processes without a connection, sandboxed and ready.
type pool struct {
	idle    []*process
	waiting []waiting
	paused  time.Time // no start before
}

// waiting is an admitted caller for whom no idle process was left.
type waiting struct {
	req   srt.Request
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
		if p.Role == roleConnection && !p.ready && p.conn == nil {
			starting++
		}
	}
	missing := int(c.Config.SRT.Pool) + len(c.pool.waiting) - len(c.pool.idle) - starting
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

// idleChild takes a process that has just said hello into the pool, or gives it to who waits longest.
func (c *Controller) idleChild(p *process) {
	c.introduce(p)
	for len(c.pool.waiting) > 0 {
		w := c.pool.waiting[0]
		c.pool.waiting = c.pool.waiting[1:]
		if w.conn.over || time.Since(w.since) > waitingTime {
			c.dropConnection(w.conn)
			continue
		}
		c.assign(p, w.conn, w.req)
		c.fillPool()
		return
	}
	c.pool.idle = append(c.pool.idle, p)
	c.fillPool()
}

// place gives an admitted caller a process, now or as soon as one is ready.
func (c *Controller) place(conn *connection, req srt.Request) {
	if n := len(c.pool.idle); n > 0 {
		p := c.pool.idle[n-1]
		c.pool.idle = c.pool.idle[:n-1]
		c.assign(p, conn, req)
	} else {
		c.pool.waiting = append(c.pool.waiting, waiting{req, conn, time.Now()})
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

// sweepPool gives up callers that waited too long and processes that never came up.
func (c *Controller) sweepPool(now time.Time) {
	kept := c.pool.waiting[:0]
	for _, w := range c.pool.waiting {
		if w.conn.over || now.Sub(w.since) > waitingTime {
			c.dropConnection(w.conn)
		} else {
			kept = append(kept, w)
		}
	}
	c.pool.waiting = kept
	for _, p := range c.processes {
		if p.Role == roleConnection && !p.ready && now.Sub(p.Started) > startTime {
			p.kill()
		}
	}
}
