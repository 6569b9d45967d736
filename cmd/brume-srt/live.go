package main

import (
	"errors"
	"os"
	"time"

	"brume/buffer"
	tsinput "brume/inputs/tsfeed"
	"brume/media"
	"brume/media/ts"
	tsoutput "brume/outputs/tsfeed"
	"brume/srt"
	"brume/srt/libsrt"
)

const (
	// gatherTime is how long messages gather before they are read: each batch costs a wake-up here and, by the
	// buffer's futex, in every reader.
	gatherTime = 10 * time.Millisecond
	// readWait is how long a silent connection is waited for in libsrt.
	readWait = 500 * time.Millisecond
	// batchMessages is room for 10 ms at 70 Mbit/s; what is faster is read without gathering.
	batchMessages = 64
	// maxKept bounds what is kept of a publisher until its buffer comes, in bytes. What comes after
	// waits in libsrt.
	maxKept = 4 << 20
	// grantWait is how long the controller may take to answer a role that showed itself. A silent caller of a stream that
	// nobody publishes yet is answered late: encoders may take seconds to begin.
	grantWait = 15 * time.Second
	// decideDefault is the silence that makes a player, where the configuration names none.
	decideDefault = 300 * time.Millisecond
	// silentWait is how long a connection is silent before another one from its address and port ends it.
	silentWait = time.Second
	// drainWait is how long a stream's last packets may take to be acknowledged, and then to be played, before its end
	// closes the connection: a receiver drops what is not due yet.
	drainWait = 3 * time.Second
)

// pace is within what receivers' UDP sockets hold by default (212,992 bytes with the kernel's overhead), at
// up to 170 Mbit/s. What it lets through before the first acknowledgement is what libsrt takes memory for.
var pace = libsrt.Pace{Messages: 32, Pause: 2 * time.Millisecond}

// live is the connection from its hand-over to its end, on a goroutine of its own.
func (p *process) live() *ending {
	var c *libsrt.Conn
	var l *libsrt.Listener
	var end *ending
	if p.calls() {
		c, end = p.call()
	} else {
		c, l, end = p.accept()
	}
	if end != nil {
		return end
	}
	n := c.Negotiated()
	if p.caller != nil {
		n.Peer = p.caller.Peer
	}
	n.Since = time.Now()
	p.mu.Lock()
	p.conn, p.listener, p.connected = c, l, &n
	p.mu.Unlock()
	_ = p.control.Send(srt.MsgConnected, n)

	in := &source{conn: c, listener: l, batch: libsrt.NewBatch(batchMessages), heard: time.Now()}
	if l != nil {
		in.refused = l.Refused()
	}
	g := p.granted
	var kept tsinput.Batch
	switch {
	case g.role == "":
		g, kept, end = p.decide(in)
	case g.role == media.Publish:
		g, kept, end = p.await(in, g.role, kept)
	}
	if end != nil {
		return end
	}
	if g.file == nil {
		return because(srt.FailBuffer, "no buffer came for the role "+string(g.role))
	}
	p.betray(g)
	switch g.role {
	case media.Publish:
		return p.publish(in, g, kept)
	case media.Play:
		return p.play(c, g.file)
	default:
		return because(srt.FailInternal, "unknown role "+string(g.role))
	}
}

// decide finds out what a caller is that did not say: the first packet makes a publisher, silence a player. It
// returns the buffer that the controller gives for that, and what was received meanwhile.
func (p *process) decide(in *source) (g grant, kept tsinput.Batch, end *ending) {
	wait := time.Duration(p.configure.DecideMS) * time.Millisecond
	if wait <= 0 {
		wait = decideDefault
	}
	role := media.Play
	for start := time.Now(); role == media.Play && time.Since(start) < wait; {
		if err := in.conn.Read(in.batch, max(wait-time.Since(start), time.Millisecond), 0); err != nil {
			return grant{}, kept, because(srt.FailPeer, "the peer closed the connection")
		}
		if in.batch.Len() > 0 {
			role = media.Publish
			kept = keep(kept, in.batch)
		}
	}
	if n, err := in.conn.Received(); role == media.Play && err == nil && n > 0 {
		role = media.Publish // with a long latency its first packet is here long before it may be read
	}
	if end := p.show(role); end != nil {
		return grant{}, kept, end
	}
	return p.await(in, role, kept)
}

// await waits for the buffer that a role has a right to, and keeps what comes meanwhile.
func (p *process) await(in *source, role media.Role, received tsinput.Batch) (g grant, kept tsinput.Batch, end *ending) {
	kept = received
	for start := time.Now(); time.Since(start) < grantWait; {
		select {
		case g = <-p.grants:
			return g, kept, nil
		default:
		}
		if len(kept.Bytes) > maxKept || len(kept.Messages) > maxKept/ts.PacketSize {
			time.Sleep(gatherTime)
			continue
		}
		if err := in.conn.Read(in.batch, gatherTime, 0); err != nil {
			return grant{}, kept, because(srt.FailPeer, "the peer closed the connection")
		}
		kept = keep(kept, in.batch)
		if role == media.Play && len(kept.Bytes) > 0 {
			// It was only slow to begin.
			role = media.Publish
			if end := p.show(role); end != nil {
				return grant{}, kept, end
			}
		}
	}
	return grant{}, kept, because(srt.FailBuffer, "no buffer came for the role that the connection has shown")
}

// show tells the controller what the connection seems to be.
func (p *process) show(role media.Role) *ending {
	p.mu.Lock()
	p.direction = role
	p.mu.Unlock()
	if err := p.control.Send(srt.MsgDirection, srt.Direction{Role: role}); err != nil {
		return because(srt.FailInternal, err.Error())
	}
	return nil
}

// publish takes the publisher's media into the buffer until one of them ends.
func (p *process) publish(in *source, g grant, kept tsinput.Batch) *ending {
	pub, err := g.publisher()
	if err != nil {
		return because(srt.FailBuffer, err.Error())
	}
	p.setMedia(publisher{pub, g.feed})
	if len(kept.Bytes) > 0 {
		err = pub.Take(kept)
	}
	if err == nil {
		in.heard = time.Now()
		err = pub.Run(in)
	}
	if errors.Is(err, tsinput.ErrBuffer) {
		return because(srt.FailBuffer, err.Error())
	}
	return gone(err)
}

// play sends the buffer to the viewer until one of them ends.
func (p *process) play(c *libsrt.Conn, f *os.File) *ending {
	r, err := buffer.OpenReader(f)
	_ = f.Close()
	if err != nil {
		return because(srt.FailBuffer, err.Error())
	}
	v := tsoutput.NewViewer(r)
	p.setMedia(viewer{v, r})
	err = v.Run(sender{c})
	switch {
	case errors.Is(err, tsoutput.ErrEnd):
		drain(c)
		return because(srt.FailStreamEnd, "the stream has ended")
	case errors.Is(err, tsoutput.ErrBuffer):
		return because(srt.FailBuffer, err.Error())
	}
	return gone(err)
}

func drain(c *libsrt.Conn) {
	start := time.Now()
	for c.Unsent() > 0 && time.Since(start) < drainWait {
		time.Sleep(gatherTime)
	}
	latency := time.Duration(c.Negotiated().LatencySnd)*time.Millisecond + 5*gatherTime
	for due := time.Now().Add(min(latency, drainWait)); time.Now().Before(due) && c.State() == libsrt.Connected; {
		time.Sleep(gatherTime)
	}
}

func (p *process) setMedia(m counter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = m
}

func gone(err error) *ending {
	switch {
	case errors.Is(err, errReplaced):
		return because(srt.FailLost, err.Error())
	case errors.Is(err, libsrt.ErrLost):
		return because(srt.FailPeer, "the peer closed the connection")
	}
	return because(srt.FailInternal, err.Error())
}

// errReplaced means that the peer has lost its connection and tries again from the same address and port.
var errReplaced = errors.New("the peer called again while its connection was silent")

// source is the connection as a publisher's bytes.
type source struct {
	conn     *libsrt.Conn
	listener *libsrt.Listener // nil where this side called
	batch    *libsrt.Batch
	messages []tsinput.Message // of the batch
	heard    time.Time         // when media last came
	refused  int
}

// Next implements inputs/tsfeed.Source.
func (s *source) Next() (tsinput.Batch, error) {
	if err := s.conn.Read(s.batch, readWait, gatherTime); err != nil {
		return tsinput.Batch{}, err
	}
	now := time.Now()
	switch {
	case s.listener == nil: // this side called
	case s.batch.Len() > 0:
		s.heard = now
		s.refused = s.listener.Refused()
	case s.listener.Refused() > s.refused && now.Sub(s.heard) > silentWait:
		return tsinput.Batch{}, errReplaced
	}
	s.messages = messages(s.messages[:0], s.batch)
	return tsinput.Batch{Bytes: s.batch.Bytes(), Messages: s.messages}, nil
}

// keep adds a copy of what was read.
func keep(kept tsinput.Batch, b *libsrt.Batch) tsinput.Batch {
	return tsinput.Batch{Bytes: append(kept.Bytes, b.Bytes()...), Messages: messages(kept.Messages, b)}
}

// messages appends those of a batch.
func messages(to []tsinput.Message, b *libsrt.Batch) []tsinput.Message {
	for i := range b.Len() {
		m := b.Message(i)
		to = append(to, tsinput.Message{Length: m.Length, Source: m.Source})
	}
	return to
}

// sender is the connection as a viewer's.
type sender struct{ conn *libsrt.Conn }

// Send implements outputs/tsfeed.Sender.
func (s sender) Send(b []byte) (int, error) {
	n, err := s.conn.Send(b, tsoutput.MessageSize, pace)
	if errors.Is(err, libsrt.ErrFull) {
		err = nil
	}
	return n, err
}

// Alive implements outputs/tsfeed.Sender.
func (s sender) Alive() error {
	if s.conn.State() == libsrt.Broken {
		return libsrt.ErrLost
	}
	return nil
}

type publisher struct {
	*tsinput.Publisher
	feed *srt.Feed
}

// wake has nothing to do: a read ends with its connection.
func (p publisher) wake() {}

func (p publisher) counts() (srt.ConnStats, error) {
	s := p.Stats()
	c := srt.ConnStats{Bytes: s.Bytes, Demux: &s.Demux, Health: s.Health, Units: s.Units, BufferErr: s.Refused}
	for i := range s.Mapped {
		m := &s.Mapped[i]
		c.Mapped = append(c.Mapped, m.Demux)
		c.Units += m.Units
		c.BufferErr += m.Refused
		if m.LastError != nil {
			s.LastError = m.LastError
		}
	}
	return c, s.LastError
}

type viewer struct {
	*tsoutput.Viewer
	reader *buffer.Reader
}

// wake ends a wait for the buffer.
func (v viewer) wake() { _ = v.reader.Close() }

func (v viewer) counts() (srt.ConnStats, error) {
	s := v.Stats()
	return srt.ConnStats{Bytes: s.Bytes, Skipped: s.Skipped, Units: s.Units, BufferErr: s.Errors}, s.LastError
}
