package gate

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a server behind a gate. A request for /hold is answered once the test says so.
type site struct {
	t    *testing.T
	gate *Gate
	addr string
	hold chan struct{}
	held chan struct{}
}

func newSite(t *testing.T, most int) *site {
	s := &site{t: t, gate: New(most), hold: make(chan struct{}), held: make(chan struct{}, 100)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = l.Addr().String()
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			s.held <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body)
		}
		if r.URL.Path == "/hold" {
			s.held <- struct{}{}
			<-s.hold
		}
	})}
	s.gate.Watch(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(s.gate.Listener(l)) }()
	t.Cleanup(func() {
		close(s.hold)
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
		require.Eventually(t, func() bool { return s.gate.Counts().Open == 0 }, time.Minute, time.Millisecond)
		s.gate.mu.Lock()
		defer s.gate.mu.Unlock()
		require.Empty(t, s.gate.places)
		require.Zero(t, s.gate.idle.Len())
	})
	return s
}

// visitor is a connection from an address of loopback.
type visitor struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (s *site) visit(from string) *visitor {
	s.t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0)), Timeout: time.Minute}
	before := s.gate.Counts().Accepted
	c, err := d.Dial("tcp", s.addr)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = c.Close() })
	require.NoError(s.t, c.SetDeadline(time.Now().Add(time.Minute)))
	require.Eventually(s.t, func() bool { return s.gate.Counts().Accepted > before }, time.Minute, time.Millisecond)
	return &visitor{s.t, c, bufio.NewReader(c)}
}

func (v *visitor) ask(path string) {
	v.t.Helper()
	_, err := fmt.Fprintf(v, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	require.NoError(v.t, err)
}

func (v *visitor) served() {
	v.t.Helper()
	res, err := http.ReadResponse(v.r, nil)
	require.NoError(v.t, err)
	require.NoError(v.t, res.Body.Close())
	require.Equal(v.t, http.StatusOK, res.StatusCode)
}

// idles waits until so many connections are known to be idle.
func (s *site) idles(n int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		s.gate.mu.Lock()
		defer s.gate.mu.Unlock()
		return s.gate.idle.Len() == n
	}, time.Minute, time.Millisecond)
}

func (v *visitor) closed() {
	v.t.Helper()
	_, err := v.r.ReadByte()
	require.Error(v.t, err)
	require.NotErrorIs(v.t, err, os.ErrDeadlineExceeded, "it is open")
}

// However many hold connections without a request, who comes is served: those who have been idle for longest give way.
func TestIdleConnectionsGiveWay(t *testing.T) {
	const most = 4
	s := newSite(t, most)
	busy := s.visit("127.0.0.9")
	busy.ask("/hold")
	<-s.held
	var idle []*visitor
	for range 3 * most {
		idle = append(idle, s.visit("127.0.0.1"))
		require.LessOrEqual(t, s.gate.Counts().Open, most)
	}
	s.idles(most - 1)
	next := s.visit("127.0.0.2")
	next.ask("/")
	next.served()
	for _, v := range idle[:len(idle)-(most-2)] {
		v.closed()
	}
	last := idle[len(idle)-1]
	last.ask("/")
	last.served()
	s.hold <- struct{}{}
	busy.served()
	c := s.gate.Counts()
	require.Equal(t, Counts{Open: most, Accepted: 3*most + 2, Displaced: 3*most + 2 - most}, c)
}

// Who begins a request and does not end it holds nothing.
func TestUnfinishedRequestsGiveWay(t *testing.T) {
	for _, beginning := range []string{"G", "GET / HTTP/1.1\r\nHost: ", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"} {
		const most = 3
		s := newSite(t, most)
		var slow []*visitor
		for range most {
			v := s.visit("127.0.0.1")
			_, err := io.WriteString(v, beginning)
			require.NoError(t, err)
			if beginning[0] == 'P' {
				<-s.held
			}
			slow = append(slow, v)
		}
		s.idles(most)
		for range 3 {
			next := s.visit("127.0.0.2")
			next.ask("/")
			next.served()
		}
		for _, v := range slow {
			v.closed()
		}
		require.Equal(t, Counts{Open: most, Accepted: 2 * most, Displaced: most}, s.gate.Counts())
	}
}

// Connections that serve requests never give way: who comes then is refused.
func TestBusyConnectionsStay(t *testing.T) {
	const most = 3
	s := newSite(t, most)
	var busy []*visitor
	for range most {
		v := s.visit("127.0.0.1")
		v.ask("/hold")
		<-s.held
		busy = append(busy, v)
	}
	s.visit("127.0.0.1").closed()
	s.visit("127.0.0.2").closed()
	require.Equal(t, Counts{Open: most, Accepted: most + 2, Refused: 2}, s.gate.Counts())
	for range busy {
		s.hold <- struct{}{}
	}
	for _, v := range busy {
		v.served()
	}
	// Idle by now.
	s.idles(most)
	v := s.visit("127.0.0.2")
	v.ask("/")
	v.served()
}

// One address can't take the places of others.
func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	s := newSite(t, 100)
	s.gate.SetPerAddress(2)
	other := s.visit("127.0.0.2")
	for range 50 {
		s.visit("127.0.0.1")
		require.LessOrEqual(t, s.gate.Counts().Open, 3)
	}
	other.ask("/")
	other.served()
	require.Equal(t, Counts{Open: 3, Accepted: 51, Displaced: 48}, s.gate.Counts())
	s.gate.SetPerAddress(0)
	s.visit("127.0.0.1")
	require.Equal(t, 4, s.gate.Counts().Open)
}
