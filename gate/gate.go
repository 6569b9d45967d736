// Package gate bounds the connections that an HTTP server has open, in all and by address.
//
// Where there is no room, the connection that has been idle for longest gives way: a browser that has its connection closed
// between two requests makes another one, while somebody who holds connections without using them can keep nobody out.
package gate

import (
	"container/list"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"brume/place"
)

// Gate bounds the connections of one server, over any number of listeners. Use New.
type Gate struct {
	mu         sync.Mutex
	most       int
	perAddress int
	open       int
	places     map[netip.Prefix]*origin
	idle       list.List // of *conn that serve no whole request, the longest idle first
	counts     Counts
}

// Counts are totals, except Open.
type Counts struct {
	Open      int    // now
	Accepted  uint64 // all that came
	Refused   uint64 // closed at once, since there were too many and none was idle
	Displaced uint64 // idle ones closed to make room for others
}

// origin is where connections come from: see place.Of.
type origin struct {
	key  netip.Prefix
	open int
	idle list.List // like that of the gate
}

// New returns a gate for at most this many connections. The count for one address is not bounded yet.
func New(most int) *Gate { return &Gate{most: most, places: map[netip.Prefix]*origin{}} }

// SetPerAddress bounds the connections of one IPv4 address or IPv6 /64; 0 for no bound. Those that are open stay.
func (g *Gate) SetPerAddress(most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.perAddress = most
}

// Counts returns what the gate has counted.
func (g *Gate) Counts() Counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.counts
	c.Open = g.open
	return c
}

// Watch lets the gate know which connections of a server are idle: those that don't have a whole request for it. Call it before
// the server serves, once its Handler is set.
func (g *Gate) Watch(s *http.Server) {
	type key struct{}
	s.ConnContext = func(ctx context.Context, nc net.Conn) context.Context { return context.WithValue(ctx, key{}, nc) }
	handler := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(key{}).(*conn)
		if !ok {
			handler.ServeHTTP(w, r)
			return
		}
		g.set(c.busy)
		defer g.set(c.rest)
		if r.Body != http.NoBody {
			r.Body = &body{r.Body, c}
		}
		handler.ServeHTTP(w, r)
	})
}

func (g *Gate) set(state func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	state()
}

// body is that of a request. While it has yet to come its connection is idle.
type body struct {
	io.ReadCloser
	conn *conn
}

func (b *body) Read(p []byte) (int, error) {
	b.conn.gate.set(b.conn.rest)
	defer b.conn.gate.set(b.conn.busy)
	return b.ReadCloser.Read(p)
}

// Listener returns a listener for TCP whose connections pass the gate.
func (g *Gate) Listener(l net.Listener) net.Listener { return &listener{l, g} }

type listener struct {
	net.Listener
	gate *Gate
}

// Accept returns the next connection that there is room for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{TCPConn: nc.(*net.TCPConn), gate: l.gate}
		gone, ok := l.gate.admit(c)
		if gone != nil {
			_ = gone.TCPConn.Close()
		}
		if ok {
			return c, nil
		}
		_ = nc.Close()
	}
}

// admit takes a connection, or not. Another one may have to be closed for it.
func (g *Gate) admit(c *conn) (gone *conn, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.Accepted++
	address, _ := c.RemoteAddr().(*net.TCPAddr)
	key := place.Of(address.AddrPort().Addr())
	p := g.places[key]
	switch {
	case p != nil && g.perAddress > 0 && p.open >= g.perAddress:
		gone = first(&p.idle)
	case g.open >= g.most:
		gone = first(&g.idle)
	default:
		ok = true
	}
	if gone != nil {
		gone.leave()
		g.counts.Displaced++
		ok = true
	}
	if !ok {
		g.counts.Refused++
		return nil, false
	}
	if p = g.places[key]; p == nil { // the one that left may have been the last of its origin
		p = &origin{key: key}
		g.places[key] = p
	}
	c.from = p
	p.open++
	g.open++
	c.rest() // until its first request is there
	return gone, true
}

func first(l *list.List) *conn {
	if e := l.Front(); e != nil {
		return e.Value.(*conn)
	}
	return nil
}

// conn gives its place back when it is closed. It embeds the TCP connection itself, so that files still go out by sendfile.
// Its fields are the gate's.
type conn struct {
	*net.TCPConn
	gate *Gate
	from *origin
	left bool

	inAll, inPlace *list.Element // among the idle ones; nil while it serves a request
}

// Close closes the connection.
func (c *conn) Close() error {
	c.gate.mu.Lock()
	c.leave()
	c.gate.mu.Unlock()
	return c.TCPConn.Close()
}

func (c *conn) rest() {
	if c.left || c.inAll != nil {
		return
	}
	c.inAll, c.inPlace = c.gate.idle.PushBack(c), c.from.idle.PushBack(c)
}

func (c *conn) busy() {
	if c.inAll == nil {
		return
	}
	c.gate.idle.Remove(c.inAll)
	c.from.idle.Remove(c.inPlace)
	c.inAll, c.inPlace = nil, nil
}

func (c *conn) leave() {
	if c.left {
		return
	}
	c.busy()
	c.left = true
	c.gate.open--
	if c.from.open--; c.from.open == 0 {
		delete(c.gate.places, c.from.key)
	}
}
