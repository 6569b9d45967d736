package main

import (
	"errors"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"brume/control"
	"brume/media"
	"brume/srt"
	"brume/srt/libsrt"
)

const (
	// pairWait is how long the second half of a caller, its socket or its configuration, may take after the first.
	pairWait = 5 * time.Second
	// reportInterval is between two reports of a process that has work. An idle process has no timer.
	reportInterval = time.Second
	// settleReports is after how many of them the media loop's buffers have their size.
	settleReports = 5
	// endWait is how long the media loop may take to write its last units after its connection was closed.
	endWait = 2 * time.Second
)

// ending is why a process ends.
type ending struct {
	srt.Failed
	status int
}

func because(reason, detail string) *ending {
	e := &ending{Failed: srt.Failed{Reason: reason, Detail: detail}}
	if reason == srt.FailInternal {
		e.status = exitInternal
	}
	return e
}

// arrival is a message from the controller or the listener.
type arrival struct {
	control.Message
	files []*os.File
	err   error // the socket is useless from now on
}

func (a *arrival) close() {
	for _, f := range a.files {
		_ = f.Close()
	}
}

// take removes the first file.
func (a *arrival) take() *os.File {
	if len(a.files) == 0 {
		return nil
	}
	f := a.files[0]
	a.files = a.files[1:]
	return f
}

// grant is a buffer and what may be done with it.
type grant struct {
	role media.Role
	file *os.File
	feed *srt.Feed  // of a publisher, may be nil
	more []*os.File // buffers of feed.Mapped
}

// grant makes a grant of what came with a message.
func (a *arrival) grant(role media.Role, feed *srt.Feed) grant {
	g := grant{role: role, file: a.take(), feed: feed}
	for f := a.take(); f != nil; f = a.take() {
		g.more = append(g.more, f)
	}
	return g
}

// process is the connection's life: idle, shaking hands, connected, over. Its fields belong to the goroutine of
// run, but for those under mu.
type process struct {
	control  *control.Conn
	handover *control.Conn
	hello    srt.Hello

	configure *srt.Configure
	caller    *srt.Handover
	socket    *os.File // of the caller, or to call over
	granted   grant    // that came with the configuration: of a player
	given     bool     // a grant came by itself
	started   bool
	over      bool // the media goroutine has returned

	messages chan arrival
	callers  chan arrival
	grants   chan grant   // to the media goroutine
	ended    chan *ending // from it

	reporter

	mu        sync.Mutex
	conn      *libsrt.Conn     // once the caller is accepted
	listener  *libsrt.Listener // which accepted it, and answers when it asks again
	running   counter          // once the role is known
	connected *srt.Connected   // what was told of it
	direction media.Role       // what was told of that, if it was not stated
}

func newProcess(conn, handover *control.Conn, hello srt.Hello) *process {
	return &process{
		control:  conn,
		handover: handover,
		hello:    hello,
		messages: make(chan arrival),
		callers:  make(chan arrival),
		grants:   make(chan grant, 1),
		ended:    make(chan *ending, 1),
	}
}

func (p *process) sendHello() error { return p.control.Send(srt.MsgHello, p.hello) }

// receive gives on what comes over a socket until the socket is useless.
func receive(c *control.Conn, to chan<- arrival) {
	for {
		m, files, err := c.Recv()
		if errors.Is(err, control.ErrMalformed) {
			continue
		}
		to <- arrival{m, files, err}
		if err != nil {
			return
		}
	}
}

// run lives the process's life and returns its exit status.
func (p *process) run() int {
	go receive(p.control, p.messages)
	go receive(p.handover, p.callers)
	var tick <-chan time.Time
	var pair <-chan time.Time
	settled := settleReports
	for {
		var end *ending
		select {
		case a := <-p.messages:
			end = p.message(&a)
			a.close()
		case a := <-p.callers:
			end = p.handed(&a)
			a.close()
		case <-pair:
			end = because(srt.FailTimeout, "the caller's socket or its configuration never came")
		case <-tick:
			p.report()
			if settled--; settled == 0 {
				debug.FreeOSMemory() // what the media loop's buffers outgrew
			}
		case end = <-p.ended:
			p.over = true
		}
		if end != nil {
			return p.finish(end)
		}
		if tick == nil && p.configure != nil {
			ticker := time.NewTicker(reportInterval)
			defer ticker.Stop()
			tick = ticker.C
		}
		switch {
		case p.started:
		case p.configure != nil && (p.caller != nil || p.calls()):
			p.started = true
			pair = nil
			go func() { p.ended <- p.live() }()
		case pair == nil && (p.configure != nil || p.caller != nil):
			pair = time.After(pairWait)
		}
	}
}

// message obeys the controller.
func (p *process) message(a *arrival) *ending {
	if a.err != nil {
		if errors.Is(a.err, io.EOF) {
			return because(srt.FailController, "the controller and the guardian are gone")
		}
		return because(srt.FailInternal, a.err.Error())
	}
	switch a.Type {
	case srt.MsgConfigure:
		var c srt.Configure
		if err := a.Decode(&c); err != nil {
			return because(srt.FailInternal, err.Error())
		}
		if p.configure == nil {
			p.configure = &c
			if p.calls() {
				_ = p.handover.Close() // no listener has a caller for this one
				if p.socket = a.take(); p.socket == nil {
					return because(srt.FailInternal, "there is no socket to call over")
				}
			}
			p.granted = a.grant(c.Role, nil)
		}
	case srt.MsgBuffer:
		var b srt.Buffer
		if err := a.Decode(&b); err != nil {
			return because(srt.FailInternal, err.Error())
		}
		if !p.given { // a new controller may give the same once more
			p.given = true
			p.grants <- a.grant(b.Role, b.Feed)
		}
	case srt.MsgReport:
		_ = p.sendHello()
		p.repeat()
		p.report()
	case srt.MsgClose:
		return because(srt.FailClosed, "")
	}
	return nil
}

// handed takes the caller from the listener.
func (p *process) handed(a *arrival) *ending {
	if a.err != nil {
		if p.caller == nil && !p.calls() {
			return because(srt.FailInternal, "the listener is gone")
		}
		return nil
	}
	if a.Type != srt.MsgHandover || p.caller != nil || p.calls() {
		return nil
	}
	var h srt.Handover
	if err := a.Decode(&h); err != nil {
		return because(srt.FailInternal, err.Error())
	}
	if p.socket = a.take(); p.socket == nil {
		return because(srt.FailInternal, "a caller came without its socket")
	}
	p.caller = &h
	_ = p.handover.Close()
	return nil
}

// finish ends the connection in an orderly way, tells why, and returns the exit status.
func (p *process) finish(end *ending) int {
	p.mu.Lock()
	conn, running := p.conn, p.running
	p.mu.Unlock()
	if conn != nil {
		conn.Close()
		if !p.over {
			if running != nil {
				running.wake()
			}
			select {
			case <-p.ended: // the media loop has written its last units
			case <-time.After(endWait):
			}
		}
		p.report()
		if end.Reason == srt.FailPeer && p.silent() {
			end = because(srt.FailLost, "nothing was heard of the peer for "+time.Since(p.heard).Round(time.Second).String())
		}
	}
	_ = p.control.Send(srt.MsgFailed, end.Failed)
	return end.status
}
