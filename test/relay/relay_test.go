package relay

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that sends everything back, and keeps who sent what in which order.
type echo struct {
	conn *net.UDPConn
	mu   sync.Mutex
	got  map[netip.AddrPort][]uint32
	at   map[uint32]time.Time // when a number first came
}

func startEcho(t *testing.T, address string) *echo {
	t.Helper()
	a, err := net.ResolveUDPAddr("udp", address)
	require.NoError(t, err)
	c, err := net.ListenUDP("udp", a)
	require.NoError(t, err)
	require.NoError(t, prepare(c))
	e := &echo{conn: c, got: map[netip.AddrPort][]uint32{}, at: map[uint32]time.Time{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, maxPacket)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			number := binary.BigEndian.Uint32(b)
			e.mu.Lock()
			e.got[from] = append(e.got[from], number)
			if e.at[number].IsZero() {
				e.at[number] = time.Now()
			}
			e.mu.Unlock()
			_, _ = c.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-done })
	return e
}

// all are the numbers that came, in their order, from whatever port.
func (e *echo) all() (numbers []uint32, callers int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.got {
		numbers = append(numbers, n...)
	}
	return numbers, len(e.got)
}

func startRelay(t *testing.T, address, target string, c Config) *Relay {
	t.Helper()
	r, err := Start(address, target, c)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// caller is a socket whose answers are read as they come.
type caller struct {
	net.Conn
	got chan uint32
}

func dial(t *testing.T, address string) *caller {
	t.Helper()
	conn, err := net.Dial("udp", address)
	require.NoError(t, err)
	c := &caller{conn, make(chan uint32, 10_000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, maxPacket)
		for {
			if _, err := conn.Read(b); err != nil {
				return
			}
			c.got <- binary.BigEndian.Uint32(b)
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return c
}

// send sends data packets with these numbers, slowly enough for any socket.
func send(t *testing.T, c net.Conn, from, to uint32) {
	t.Helper()
	for n := from; n < to; n++ {
		_, err := c.Write(data(n, false, 9)[:100])
		require.NoError(t, err)
		if n%50 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// answers waits until so many packets have come back.
func answers(t *testing.T, c *caller, n int) (numbers []uint32) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for len(numbers) < n {
		select {
		case number := <-c.got:
			numbers = append(numbers, number)
		case <-limit:
			require.FailNow(t, "too few came back", "%d of %d", len(numbers), n)
		}
	}
	return numbers
}

func sequence(from, to uint32) (all []uint32) {
	for n := from; n < to; n++ {
		all = append(all, n)
	}
	return all
}

func TestPassesOnBothFamilies(t *testing.T) {
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(host, func(t *testing.T) {
			if probe, err := net.ListenPacket("udp", host); err == nil {
				_ = probe.Close()
			} else {
				t.Logf("not here: %v", err)
				return
			}
			e := startEcho(t, host)
			r := startRelay(t, host, e.conn.LocalAddr().String(), Config{})
			c := dial(t, r.Addr())
			send(t, c, 0, 500)
			require.Equal(t, sequence(0, 500), answers(t, c, 500))
			var up, down Count
			require.Eventually(t, func() bool { // counted once it is sent
				up, down = r.Counts()
				return up.Passed == 500 && down.Passed == 500
			}, 20*time.Second, time.Millisecond)
			want := Count{Packets: 500, First: 500, Passed: 500}
			up.Latest, down.Latest = 0, 0
			require.Equal(t, want, up)
			require.Equal(t, want, down)
		})
	}
}

// TestLossIsCounted compares the counts with what really arrived, and both with a second relay of the same seed.
func TestLossIsCounted(t *testing.T) {
	var before []uint32
	for range 2 {
		e := startEcho(t, "127.0.0.1:0")
		r := startRelay(t, "127.0.0.1:0", e.conn.LocalAddr().String(), Config{Seed: 4, Up: Way{Loss: 0.1}, Down: Way{Loss: 0.2}})
		c := dial(t, r.Addr())
		for sent := uint64(0); sent < 2000; sent += 100 { // what fits into any socket, however late its reader is
			send(t, c, uint32(100+sent), uint32(200+sent))
			require.Eventually(t, func() bool {
				up, down := r.Counts()
				return up.Passed+up.Lost == sent+100 && down.Packets == up.Passed && down.Passed+down.Lost == down.Packets &&
					len(c.got) == int(down.Passed) // the answers are read too
			}, 20*time.Second, time.Millisecond)
		}
		up, down := r.Counts()
		arrived, _ := e.all()
		require.Equal(t, 2000-len(arrived), int(up.LostFirst))
		require.InDelta(t, 200, up.Lost, 70)
		require.InDelta(t, 360, down.Lost, 90)
		require.Equal(t, int(down.Passed), len(answers(t, c, int(down.Passed))))
		// Every loss is a gap but those behind the last that arrived.
		require.Equal(t, up.LostFirst-uint64(2099-arrived[len(arrived)-1]), up.ReceiverLosses)
		if before != nil {
			require.Equal(t, before, arrived, "the same seed loses others")
		}
		before = arrived
	}
}

// TestDelayAndOrder delays by no less than it was told, and jitter alone changes no order.
func TestDelayAndOrder(t *testing.T) {
	e := startEcho(t, "127.0.0.1:0")
	r := startRelay(t, "127.0.0.1:0", e.conn.LocalAddr().String(), Config{Up: Way{Delay: 100 * time.Millisecond, Jitter: 30 * time.Millisecond}, Down: Way{Delay: 200 * time.Millisecond}})
	c := dial(t, r.Addr())
	sent := map[uint32]time.Time{}
	for n := range uint32(200) {
		sent[n] = time.Now()
		send(t, c, n, n+1)
	}
	require.Equal(t, sequence(0, 200), answers(t, c, 200))
	require.GreaterOrEqual(t, time.Since(sent[199]), 300*time.Millisecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	for n, at := range e.at {
		require.GreaterOrEqual(t, at.Sub(sent[n]), 100*time.Millisecond)
		require.Less(t, at.Sub(sent[n]), 5*time.Second)
	}
}

// TestReorderAndDuplicate has packets overtaken and repeated, and none lost.
func TestReorderAndDuplicate(t *testing.T) {
	e := startEcho(t, "127.0.0.1:0")
	r := startRelay(t, "127.0.0.1:0", e.conn.LocalAddr().String(), Config{Seed: 2, Up: Way{Reorder: 0.1, ReorderBy: 50 * time.Millisecond, Duplicate: 0.05}})
	c := dial(t, r.Addr())
	for n := range uint32(600) {
		send(t, c, n, n+1)
		time.Sleep(time.Millisecond)
	}
	var up Count
	require.Eventually(t, func() bool {
		up, _ = r.Counts()
		got, _ := e.all()
		return up.Passed == 600 && len(got) == 600+int(up.Duplicated)
	}, 20*time.Second, time.Millisecond)
	require.InDelta(t, 60, up.HeldBack, 30)
	require.InDelta(t, 30, up.Duplicated, 20)
	got, _ := e.all()
	seen := map[uint32]int{}
	overtaken := uint64(0)
	var highest uint32
	for _, n := range got {
		if seen[n]++; seen[n] == 1 && n < highest {
			overtaken++
		}
		highest = max(highest, n)
	}
	require.Len(t, seen, 600)
	require.Equal(t, overtaken, up.ReceiverLosses, "each that was overtaken is missed once")
	require.LessOrEqual(t, overtaken, up.HeldBack)
	require.Greater(t, overtaken, up.HeldBack/2)
}

// TestCallersAreKeptApart gives each its own port and its own answers.
func TestCallersAreKeptApart(t *testing.T) {
	e := startEcho(t, "127.0.0.1:0")
	r := startRelay(t, "127.0.0.1:0", e.conn.LocalAddr().String(), Config{})
	var wait sync.WaitGroup
	var callers []*caller
	for i := range uint32(30) {
		c := dial(t, r.Addr())
		wait.Go(func() {
			for n := i * 1000; n < i*1000+20; n++ {
				_, _ = c.Write(data(n, false, i)[:100])
			}
		})
		callers = append(callers, c)
	}
	wait.Wait()
	for i, c := range callers {
		from := uint32(i) * 1000
		require.Equal(t, sequence(from, from+20), answers(t, c, 20))
	}
	require.Eventually(t, func() bool { got, callers := e.all(); return len(got) == 600 && callers == 30 }, 20*time.Second, time.Millisecond)
}

// TestPortsChange goes on from another port; what is sent to the old one is lost, and its sender hears nothing of it.
func TestPortsChange(t *testing.T) {
	e := startEcho(t, "127.0.0.1:0")
	r := startRelay(t, "127.0.0.1:0", e.conn.LocalAddr().String(), Config{})
	c := dial(t, r.Addr())
	send(t, c, 0, 10)
	answers(t, c, 10)
	e.mu.Lock()
	var old netip.AddrPort
	for a := range e.got {
		old = a
	}
	e.mu.Unlock()
	require.NoError(t, r.ChangePorts())
	_, err := e.conn.WriteToUDPAddrPort(data(999, false, 9), old)
	require.NoError(t, err)
	send(t, c, 10, 20)
	require.Equal(t, sequence(10, 20), answers(t, c, 10), "999 came from the old port")
	_, callers := e.all()
	require.Equal(t, 2, callers)
}

// TestTooManyCallers are turned away and counted.
func TestTooManyCallers(t *testing.T) {
	e := startEcho(t, "127.0.0.1:0")
	r := startRelay(t, "127.0.0.1:0", e.conn.LocalAddr().String(), Config{})
	c := dial(t, r.Addr())
	send(t, c, 0, 1)
	answers(t, c, 1)
	r.mu.Lock()
	for i := range maxClients - 1 {
		r.clients[netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(i))] = &client{}
	}
	r.mu.Unlock()
	late := dial(t, r.Addr())
	send(t, late, 0, 3)
	require.Eventually(t, func() bool { up, _ := r.Counts(); return up.TooManyCallers == 3 }, 20*time.Second, time.Millisecond)
	send(t, c, 1, 2)
	require.Equal(t, []uint32{1}, answers(t, c, 1))
}

func TestBadConfigIsRefused(t *testing.T) {
	for _, c := range []Config{{Up: Way{Loss: 2}}, {Down: Way{Loss: -1}}} {
		_, err := Start("127.0.0.1:0", "127.0.0.1:1", c)
		require.ErrorIs(t, err, errWay)
	}
	for _, a := range [][2]string{{"nonsense", "127.0.0.1:1"}, {"127.0.0.1:0", "nonsense"}} {
		_, err := Start(a[0], a[1], Config{})
		require.Error(t, err)
	}
}

// TestDelayBeginsWithThePacket has packets wait unread, as on a busy machine: their time runs from when they came.
func TestDelayBeginsWithThePacket(t *testing.T) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, prepare(conn))
	from, err := net.Dial("udp", conn.LocalAddr().String())
	require.NoError(t, err)
	defer from.Close()
	before := time.Now()
	_, err = from.Write([]byte("x"))
	require.NoError(t, err)
	after := time.Now()
	time.Sleep(200 * time.Millisecond)
	_, _, came, err := receive(conn, make([]byte, 10), make([]byte, controlSize))
	require.NoError(t, err)
	require.WithinRange(t, came, before.Add(-10*time.Millisecond), after.Add(10*time.Millisecond))

	s := newSchedule()
	defer s.close()
	sent := make(chan time.Time, 1)
	l := lane{dice: newDice(Way{Delay: 50 * time.Millisecond}, 1, 0, true), send: func([]byte) error { sent <- time.Now(); return nil }}
	l.pass(s, time.Now().Add(-time.Second), []byte("x"))
	<-sent
	require.Eventually(t, func() bool { return l.counts().Passed == 1 }, 10*time.Second, time.Millisecond)
	require.GreaterOrEqual(t, l.counts().Latest, 950*time.Millisecond, "it is told how late it was")
}
