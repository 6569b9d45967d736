package httpd

import (
	"net"
	"sync/atomic"
	"time"
)

// writePatience is how long a client may leave a write waiting before its connection is closed. It reads nothing then, while
// its part of our memory is full.
const writePatience = 20 * time.Second

// bodyPatience is how long the body of a request may take, which is thrown away.
const bodyPatience = time.Second

// gate bounds the open connections.
type gate struct {
	now               atomic.Int64
	accepted, refused counter
}

func newGate() *gate { return &gate{} }

func (g *gate) open() int { return int(g.now.Load()) }

func (g *gate) listener(l net.Listener) net.Listener { return &gatedListener{l, g} }

type gatedListener struct {
	net.Listener
	gate *gate
}

// Accept returns the next connection that there is room for.
func (l *gatedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.gate.accepted.add(1)
		if l.gate.now.Add(1) > MaxConnections {
			l.gate.now.Add(-1)
			l.gate.refused.add(1)
			_ = c.Close()
			continue
		}
		return &gatedConn{TCPConn: c.(*net.TCPConn), gate: l.gate}, nil
	}
}

// gatedConn gives its place back when it is closed. It embeds the TCP connection itself, so that files still go out by sendfile.
type gatedConn struct {
	*net.TCPConn
	gate   *gate
	closed atomic.Bool
}

// Close closes the connection.
func (c *gatedConn) Close() error {
	if !c.closed.Swap(true) {
		c.gate.now.Add(-1)
	}
	return c.TCPConn.Close()
}
