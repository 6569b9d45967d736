package listener

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"brume/control"
	"brume/loglimit"
	"brume/srt"
)

// port is one UDP socket of the listener.
type port struct {
	file  *os.File
	local netip.AddrPort // as bound, possibly unspecified
	fd    int
	out   outbox
}

// listener is the shell around the core: sockets and the controller.
type listener struct {
	ctl *control.Conn
	log *slog.Logger

	mu       sync.Mutex
	core     *core
	ports    []*port
	leaving  []leaving
	closed   bool
	wg       sync.WaitGroup
	refusals map[string]*srt.Refused    // that the controller is not told yet, by reason
	lines    map[string]*loglimit.Lines // by the reason that is logged
}

// Run answers the handshakes of a port until its control socket ends or ctx does. The controller sends the port's sockets
// over ctl, and with each caller that it admits the hand-over socket of the child that takes it.
func Run(ctx context.Context, ctl *control.Conn, log *slog.Logger) error {
	l := &listener{ctl: ctl, log: log, core: newCore(), refusals: map[string]*srt.Refused{}, lines: map[string]*loglimit.Lines{}}
	defer l.close()
	stop := context.AfterFunc(ctx, func() { _ = ctl.Close() })
	defer stop()
	done := make(chan struct{})
	defer close(done)
	go l.tick(done)
	for {
		m, files, err := ctl.Recv()
		if errors.Is(err, control.ErrMalformed) {
			log.Error("the controller said something malformed", "error", err)
			continue
		}
		if err != nil {
			// Controller and guardian are gone, or we are told to end.
			if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
				return nil
			}
			return err
		}
		if err := l.hear(m, files); err != nil {
			log.Error("can't do as the controller says", "message", m.Type, "error", err)
		}
	}
}

func (l *listener) hear(m control.Message, files []*os.File) error {
	switch m.Type {
	case srt.MsgSocket:
		return l.open(files)
	case srt.MsgLimits:
		closeAll(files)
		var limits srt.Limits
		if err := m.Decode(&limits); err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.core.limit(limits)
		return nil
	case srt.MsgVerdict:
		var v srt.Verdict
		if err := m.Decode(&v); err != nil {
			closeAll(files)
			return err
		}
		return l.judge(&v, files)
	case srt.MsgGone:
		closeAll(files)
		var gone srt.Gone
		if err := m.Decode(&gone); err != nil {
			return err
		}
		return l.farewell(&gone)
	}
	closeAll(files)
	return fmt.Errorf("%w: unknown type", control.ErrMalformed)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

func (l *listener) open(files []*os.File) error {
	for i, f := range files {
		local, err := localAddr(f)
		if err != nil {
			closeAll(files[i:])
			return err
		}
		fd, err := control.Descriptor(f)
		if err != nil {
			closeAll(files[i:])
			return err
		}
		p := &port{file: f, local: local, fd: fd}
		l.mu.Lock()
		l.ports = append(l.ports, p)
		l.mu.Unlock()
		l.wg.Go(func() { l.serve(p) })
	}
	return nil
}

// serve receives datagrams until the socket is closed.
func (l *listener) serve(p *port) {
	raw, err := p.file.SyscallConn()
	if err != nil {
		l.log.Error("can't read the SRT port", "error", err)
		return
	}
	b := new(batch)
	for {
		var n int
		var recvErr error
		err := raw.Read(func(fd uintptr) bool {
			n, recvErr = b.receive(int(fd))
			return recvErr != unix.EAGAIN
		})
		if err != nil {
			return // closed
		}
		if recvErr != nil {
			// An ICMP error of an earlier reply, for one; the next call tells of datagrams again.
			continue
		}
		l.take(p, b, n)
	}
}

func (l *listener) take(p *port, b *batch, n int) {
	now := time.Now()
	l.mu.Lock()
	defer l.release()
	if l.closed {
		return
	}
	for i := range n {
		data, peer, local, zone := b.datagram(i)
		if !local.IsValid() {
			local = p.local.Addr()
		}
		l.datagram(p, data, peer, netip.AddrPortFrom(withZone(local, zone), p.local.Port()), now)
	}
}

// datagram lets the core judge one datagram and does what it says.
func (l *listener) datagram(p *port, data []byte, peer, local netip.AddrPort, now time.Time) {
	switch l.core.datagram(data, peer, local, now) {
	case drop:
		l.repeated("an SRT caller is not answered and has to try again", l.core.why, "peer", peer.String())
	case decline:
		l.refused(peer, local)
		fallthrough
	case answer:
		l.send(p, l.core.out, peer, local)
	case ask:
		if err := l.ctl.Send(srt.MsgRequest, &l.core.req); err != nil {
			// Its conclusion, repeated, asks again.
			if key, a := l.core.verdict(&srt.Verdict{ID: l.core.req.ID}, now); a != nil {
				l.core.stats.Handed--
				l.core.stats.Dropped++
				l.core.forget(key)
			}
		}
	}
}

// send sends a datagram from the very address that the peer knows, when the lock is released.
func (l *listener) send(p *port, b []byte, peer, local netip.AddrPort) {
	p.out.add(p.fd, b, peer, local)
}

// release sends what there is to send, and unlocks.
func (l *listener) release() {
	if !l.closed {
		for _, p := range l.ports {
			p.out.send(p.fd)
		}
	}
	l.mu.Unlock()
}

// portFor is the socket that an address belongs to.
func (l *listener) portFor(local netip.AddrPort) *port {
	for _, p := range l.ports {
		if p.local.Addr().Is4() == local.Addr().Is4() && p.local.Port() == local.Port() {
			return p
		}
	}
	return nil
}

// judge carries a verdict out. With it comes the hand-over socket of the child that takes the caller.
func (l *listener) judge(v *srt.Verdict, files []*os.File) error {
	defer closeAll(files)
	l.mu.Lock()
	defer l.release()
	now := time.Now()
	key, a := l.core.verdict(v, now)
	if a == nil {
		return nil // its caller has given up
	}
	p := l.portFor(a.local)
	if v.Reject != 0 {
		if p != nil {
			l.send(p, l.core.out, key.peer, a.local)
		}
		return nil
	}
	if err := l.handOver(p, key, a, files, now); err != nil {
		l.core.forget(key)
		// The controller took the child for busy: its caller has to be forgotten there too, or its next try is refused.
		_ = l.ctl.Send(srt.MsgNoHandover, srt.NoHandover{Child: v.Child})
		l.repeated("can't hand an SRT caller over", "no hand-over", "peer", key.peer.String(), "error", err.Error())
	}
	return nil
}

func (l *listener) handOver(p *port, key caller, a *attempt, child []*os.File, now time.Time) error {
	if len(child) != 1 || p == nil {
		return fmt.Errorf("%d hand-over sockets came instead of 1, or the port is gone", len(child))
	}
	conn, err := control.New(child[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	type packet struct {
		data []byte
		from netip.AddrPort
	}
	var foreign []packet
	file, err := connectedSocket(a.local, key.peer, func(b []byte, from netip.AddrPort) {
		foreign = append(foreign, packet{append([]byte(nil), b...), from})
	})
	if err != nil {
		return err
	}
	defer file.Close()
	err = conn.Send(srt.MsgHandover, srt.Handover{
		Peer: numbered(key.peer).String(), Local: a.local.String(), SocketID: key.socket, ISN: a.hs.ISN, Version: a.hs.Version, Cookie: a.hs.Cookie,
		StreamID: []byte(a.hs.Ext.StreamID()),
	}, file)
	for _, f := range foreign {
		l.core.stats.Foreign++
		l.datagram(p, f.data, f.from, a.local, now)
	}
	return err
}

// leaving is a peer that has been told that its connection is gone. Nothing answers a SHUTDOWN, so that it is told again:
// one that missed it would wait for as long as its own idle timeout. The number of its socket is never used again.
type leaving struct {
	peer, local netip.AddrPort
	socket      uint32
	again       int // times
}

const (
	farewells  = 3    // times that a peer is told, at once and then each second
	maxLeaving = 1024 // peers that are told again
)

// farewell tells a peer that its connection is gone, for a process that could not.
func (l *listener) farewell(gone *srt.Gone) error {
	peer, err := netip.ParseAddrPort(gone.Peer)
	if err != nil {
		return err
	}
	local, err := netip.ParseAddrPort(gone.Local)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.release()
	l.core.forget(caller{peer, gone.SocketID})
	p := leaving{peer, local, gone.SocketID, farewells}
	if l.tell(&p) && len(l.leaving) < maxLeaving {
		l.leaving = append(l.leaving, p)
	}
	return nil
}

// tell sends one farewell, and tells whether there is another to send later.
func (l *listener) tell(g *leaving) bool {
	if p := l.portFor(g.local); p != nil {
		l.send(p, srt.AppendShutdown(nil, g.socket), g.peer, g.local)
	}
	g.again--
	return g.again > 0
}

// tellAgain repeats the farewells.
func (l *listener) tellAgain() {
	rest := l.leaving[:0]
	for _, g := range l.leaving {
		if l.tell(&g) {
			rest = append(rest, g)
		}
	}
	l.leaving = rest
}

// tick tells the statistics once a second, and forgets what is over.
func (l *listener) tick(done <-chan struct{}) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case now := <-t.C:
			l.mu.Lock()
			l.core.expire(now)
			l.tellAgain()
			stats := l.core.snapshot()
			l.tellRefused()
			l.release()
			_ = l.ctl.Send(srt.MsgListenerStats, stats)
		}
	}
}

func (l *listener) close() {
	defer l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true // a port's descriptor may be another file's from here on
	for _, p := range l.ports {
		_ = p.file.Close()
	}
	_ = l.ctl.Close()
}
