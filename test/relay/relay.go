// Package relay is a bad network in a box: it passes UDP packets between callers and a server, and loses, delays, reorders and repeats them as
// it is told, by a seed. It knows SRT's data packets, to tell what a receiver should have noticed.
package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxClients bounds what strangers can make a relay hold: a socket and a goroutine each. Further ones are not served.
const maxClients = 4096

// maxPacket is the largest UDP payload that is passed on whole, in bytes; SRT sends no larger one than an Ethernet frame holds.
const maxPacket = 2048

// controlSize is room for the kernel's time stamp of a packet.
const controlSize = 64

// Config is what a relay does.
type Config struct {
	Seed uint64
	Up   Way // from the callers to the server
	Down Way // from the server to the callers
}

// Both is a network that is the same in both directions.
func Both(seed uint64, w Way) Config { return Config{Seed: seed, Up: w, Down: w} }

// Count is what happened to the packets of one direction.
type Count struct {
	Packets         uint64 `json:"packets"`          // that came
	First           uint64 `json:"first"`            // of them: SRT data packets sent for the first time
	Repeated        uint64 `json:"repeated"`         // SRT data packets sent again
	Lost            uint64 `json:"lost"`             // of all
	LostFirst       uint64 `json:"lost_first"`       // of First
	LostRepeated    uint64 `json:"lost_repeated"`    // of Repeated
	Duplicated      uint64 `json:"duplicated"`       // that were sent on twice
	HeldBack        uint64 `json:"held_back"`        // to be overtaken
	Passed          uint64 `json:"passed"`           // sent on, duplicates not counted
	ReceiverLosses  uint64 `json:"receiver_losses"`  // sequence numbers that a receiver found missing, as libsrt counts its receive loss
	TooManyCallers  uint64 `json:"too_many_callers"` // from callers beyond the most that are served
	ErrorsOfSending uint64 `json:"errors_of_sending"`

	Latest time.Duration `json:"latest_ns"` // the most that a packet was sent on behind its time: what a busy machine made of the network
}

func (c *Count) add(o Count) {
	c.Packets += o.Packets
	c.First += o.First
	c.Repeated += o.Repeated
	c.Lost += o.Lost
	c.LostFirst += o.LostFirst
	c.LostRepeated += o.LostRepeated
	c.Duplicated += o.Duplicated
	c.HeldBack += o.HeldBack
	c.Passed += o.Passed
	c.ReceiverLosses += o.ReceiverLosses
	c.TooManyCallers += o.TooManyCallers
	c.ErrorsOfSending += o.ErrorsOfSending
	c.Latest = max(c.Latest, o.Latest)
}

// Relay passes packets on until it is closed.
type Relay struct {
	config Config
	target *net.UDPAddr

	front    *net.UDPConn
	schedule *schedule
	readers  sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	clients    map[netip.AddrPort]*client
	turnedAway uint64 // packets of callers beyond maxClients
}

// Start listens on an address (port 0 for any) and passes on to another one.
func Start(listen, target string, c Config) (*Relay, error) {
	if err := errors.Join(c.Up.Check(), c.Down.Check()); err != nil {
		return nil, err
	}
	local, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		return nil, fmt.Errorf("address to listen on: %w", err)
	}
	to, err := net.ResolveUDPAddr("udp", target)
	if err != nil {
		return nil, fmt.Errorf("address to pass on to: %w", err)
	}
	front, err := net.ListenUDP("udp", local)
	if err != nil {
		return nil, err
	}
	if err := prepare(front); err != nil {
		_ = front.Close()
		return nil, err
	}
	r := &Relay{config: c, target: to, front: front, schedule: newSchedule(), clients: map[netip.AddrPort]*client{}}
	r.readers.Go(r.read)
	return r, nil
}

// Addr is where it listens.
func (r *Relay) Addr() string { return r.front.LocalAddr().String() }

// Close ends it. Packets that are on their way are lost.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	_ = r.front.Close()
	for _, c := range r.clients {
		c.close()
	}
	r.mu.Unlock()
	r.schedule.close()
	r.readers.Wait()
}

// Counts are those of all callers together.
func (r *Relay) Counts() (up, down Count) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clients {
		up.add(c.up.counts())
		down.add(c.down.counts())
	}
	up.Packets += r.turnedAway
	up.TooManyCallers = r.turnedAway
	return up, down
}

// ChangePorts gives each caller another port towards the server, as a router does that has forgotten a connection.
// What the server sends to the old ones is lost without a word.
func (r *Relay) ChangePorts() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clients {
		if err := r.connect(c); err != nil {
			return err
		}
	}
	return nil
}

// read takes what callers send.
func (r *Relay) read() {
	b, control := make([]byte, maxPacket), make([]byte, controlSize)
	for {
		n, from, came, err := receive(r.front, b, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of an earlier packet, such as a caller that is gone
		}
		if c := r.client(from); c != nil {
			c.up.pass(r.schedule, came, b[:n])
		}
	}
}

// client finds or makes the caller's own half; nil when there are too many.
func (r *Relay) client(from netip.AddrPort) *client {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.clients[from]; c != nil {
		return c
	}
	if r.closed {
		return nil
	}
	if len(r.clients) == maxClients {
		r.turnedAway++
		return nil
	}
	n := len(r.clients)
	c := &client{}
	c.up = lane{dice: newDice(r.config.Up, r.config.Seed, n, true), send: c.sendUp}
	c.down = lane{dice: newDice(r.config.Down, r.config.Seed, n, false), send: func(b []byte) error {
		_, err := r.front.WriteToUDPAddrPort(b, from)
		return err
	}}
	if r.connect(c) != nil {
		r.turnedAway++
		return nil
	}
	r.clients[from] = c
	return c
}

// connect gives a client a new socket towards the server. It is called with the relay's lock held.
func (r *Relay) connect(c *client) error {
	if r.closed {
		return net.ErrClosed
	}
	conn, err := net.DialUDP("udp", nil, r.target)
	if err != nil {
		return err
	}
	if err := prepare(conn); err != nil {
		_ = conn.Close()
		return err
	}
	c.use(conn)
	r.readers.Go(func() {
		b, control := make([]byte, maxPacket), make([]byte, controlSize)
		for {
			n, _, came, err := receive(conn, b, control)
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err == nil && c.uses(conn):
				c.down.pass(r.schedule, came, b[:n])
			}
		}
	})
	return nil
}

// client is one caller, told by its address and port.
type client struct {
	up, down lane

	mu  sync.Mutex
	all []*net.UDPConn // the last one is in use; the others stay open, so that nobody is told that they are gone
}

func (c *client) use(conn *net.UDPConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, conn)
}

func (c *client) uses(conn *net.UDPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[len(c.all)-1] == conn
}

func (c *client) sendUp(b []byte) error {
	c.mu.Lock()
	conn := c.all[len(c.all)-1]
	c.mu.Unlock()
	_, err := conn.Write(b)
	return err
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.all {
		_ = conn.Close()
	}
}

// lane is one direction of one client.
type lane struct {
	dice *dice
	send func([]byte) error

	mu    sync.Mutex
	count Count
	gaps  gaps
	last  time.Time // when the last packet that keeps its place is due
}

func (l *lane) counts() Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// pass decides about a packet and puts a copy of it into the schedule.
func (l *lane) pass(s *schedule, came time.Time, b []byte) {
	p := look(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.dice.throw(p.kind)
	l.gaps.begin(p)
	l.note(p.kind, f)
	if f.lost {
		return
	}
	due := came.Add(f.delay)
	if due.Before(l.last) {
		due = l.last
	}
	if f.held == 0 {
		l.last = due
	}
	body := append([]byte(nil), b...)
	due = due.Add(f.held)
	s.at(due, func() { l.deliver(p, due, f.copies, body) })
}

func (l *lane) note(k kind, f fate) {
	l.count.Packets++
	switch k {
	case first:
		l.count.First++
	case repeat:
		l.count.Repeated++
	}
	switch {
	case f.lost:
		l.count.Lost++
		switch k {
		case first:
			l.count.LostFirst++
		case repeat:
			l.count.LostRepeated++
		}
		return
	case f.held > 0:
		l.count.HeldBack++
	}
	if f.copies > 1 {
		l.count.Duplicated++
	}
}

// deliver sends a packet on. ECONNREFUSED and the like are of an earlier packet and take this one along.
func (l *lane) deliver(p packet, due time.Time, copies int, b []byte) {
	late := time.Since(due)
	for range copies {
		if err := l.send(b); err != nil {
			l.mu.Lock()
			l.count.ErrorsOfSending++
			l.mu.Unlock()
			_ = l.send(b)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count.Passed++
	l.count.Latest = max(l.count.Latest, late)
	l.count.ReceiverLosses += l.gaps.receive(p)
}
