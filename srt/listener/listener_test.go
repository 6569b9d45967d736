package listener

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"brume/control"
	"brume/srt"
	"brume/test/inspect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// fixture is a listener and the controller's side of it.
type fixture struct {
	t    *testing.T
	ctl  *control.Conn
	port uint16
	idle map[uint64]*os.File // the listener's end of children's hand-over sockets
	done chan error
}

// start runs a listener on all addresses.
func start(t *testing.T, address string) *fixture {
	t.Helper()
	ctl, theirs, err := control.Pair()
	require.NoError(t, err)
	conn, err := control.New(theirs)
	require.NoError(t, err)
	conn.AcceptFiles()
	f := &fixture{t: t, ctl: ctl, idle: map[uint64]*os.File{}, done: make(chan error, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	go func() { f.done <- Run(ctx, conn, slog.New(slog.NewTextHandler(io.Discard, nil))) }()
	t.Cleanup(func() {
		defer cancel()
		_ = ctl.Close()
		select {
		case err := <-f.done:
			require.NoError(t, err)
		case <-time.After(patience):
			t.Error("the listener does not end with its control socket")
		}
	})
	files, err := Listen(address)
	require.NoError(t, err)
	a, err := localAddr(files[0])
	require.NoError(t, err)
	f.port = a.Port()
	require.NoError(t, ctl.Send(srt.MsgSocket, nil, files...))
	for _, file := range files {
		require.NoError(t, file.Close())
	}
	return f
}

// hear waits for a message of a type; statistics come in between.
func (f *fixture) hear(kind string, v any) {
	f.t.Helper()
	require.NoError(f.t, f.ctl.SetReadDeadline(time.Now().Add(patience)))
	for {
		m, _, err := f.ctl.Recv()
		require.NoError(f.t, err)
		if m.Type == kind {
			require.NoError(f.t, m.Decode(v))
			return
		}
		require.Equal(f.t, srt.MsgListenerStats, m.Type)
	}
}

// child makes an idle child, which the listener is told of with a verdict, and returns the child's side.
func (f *fixture) child(id uint64) *control.Conn {
	f.t.Helper()
	child, theirs, err := control.Pair()
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = child.Close() })
	child.AcceptFiles()
	require.NoError(f.t, child.SetReadDeadline(time.Now().Add(patience)))
	f.idle[id] = theirs
	return child
}

// admit lets the child take a caller.
func (f *fixture) admit(req srt.Request, child uint64) {
	f.t.Helper()
	theirs := f.idle[child]
	require.NoError(f.t, f.ctl.Send(srt.MsgVerdict, srt.Verdict{ID: req.ID, Child: child}, theirs))
	require.NoError(f.t, theirs.Close())
}

// fakeCaller is an SRT caller that knows handshakes only.
type fakeCaller struct {
	t    *testing.T
	conn *net.UDPConn
	id   uint32
}

func (f *fixture) call(host string) *fakeCaller {
	f.t.Helper()
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), f.port))
	conn, err := net.DialUDP("udp", nil, to)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(f.t, conn.SetDeadline(time.Now().Add(patience)))
	return &fakeCaller{f.t, conn, 4711}
}

func (c *fakeCaller) send(b []byte) {
	c.t.Helper()
	_, err := c.conn.Write(b)
	require.NoError(c.t, err)
}

func (c *fakeCaller) receive() []byte {
	c.t.Helper()
	b := make([]byte, 2048)
	n, err := c.conn.Read(b)
	require.NoError(c.t, err)
	return b[:n]
}

func (c *fakeCaller) handshake() srt.Handshake {
	c.t.Helper()
	var h srt.Handshake
	require.NoError(c.t, h.Unmarshal(c.receive()))
	require.Equal(c.t, c.id, h.Dest)
	return h
}

// conclude goes through the induction and sends a conclusion, which it returns.
func (c *fakeCaller) conclude(streamID string) []byte {
	c.t.Helper()
	c.send(induction(c.id))
	h := c.handshake()
	require.Equal(c.t, srt.TypeInduction, h.Type)
	b := conclusion(c.id, h.Cookie, streamID, nil)
	c.send(b)
	return b
}

// hosts are addresses of the loopback interface: the reply has to come from the one that was called.
func hosts(t *testing.T) []string {
	all := []string{"127.0.0.1", "127.0.0.5"}
	if l, err := net.ListenPacket("udp6", "[::1]:0"); err == nil {
		require.NoError(t, l.Close())
		all = append(all, "::1")
	}
	return all
}

func TestRejectionArrives(t *testing.T) {
	for _, host := range hosts(t) {
		t.Run(host, func(t *testing.T) {
			f := start(t, ":0")
			c := f.call(host)
			b := c.conclude("#!::r=live,m=publish")
			var req srt.Request
			f.hear(srt.MsgRequest, &req)
			require.Equal(t, c.conn.LocalAddr().String(), req.Peer)
			require.Equal(t, c.conn.RemoteAddr().String(), req.Local)
			require.Equal(t, "#!::r=live,m=publish", req.StreamID)
			require.NoError(t, f.ctl.Send(srt.MsgVerdict, srt.Verdict{ID: req.ID, Reject: srt.RejectConflict}))
			require.Equal(t, srt.RejectionType(srt.RejectConflict), c.handshake().Type)
			c.send(b)
			require.Equal(t, srt.RejectionType(srt.RejectConflict), c.handshake().Type, "again to one that missed it")
		})
	}
}

func TestHandOver(t *testing.T) {
	for _, host := range hosts(t) {
		t.Run(host, func(t *testing.T) {
			f := start(t, ":0")
			child := f.child(3)
			c := f.call(host)
			b := c.conclude("live")
			var req srt.Request
			f.hear(srt.MsgRequest, &req)
			f.admit(req, 3)

			m, files, err := child.Recv()
			require.NoError(t, err)
			require.Equal(t, srt.MsgHandover, m.Type)
			var h srt.Handover
			require.NoError(t, m.Decode(&h))
			var concluded srt.Handshake
			require.NoError(t, concluded.Unmarshal(b))
			require.Equal(t, srt.Handover{
				Peer: c.conn.LocalAddr().String(), Local: c.conn.RemoteAddr().String(), SocketID: c.id, ISN: 9, Version: 5, Cookie: concluded.Cookie,
				StreamID: []byte("live"),
			}, h)
			require.Len(t, files, 1)
			defer files[0].Close()
			sockname, peername := names(t, files[0])
			require.Equal(t, c.conn.RemoteAddr().String(), sockname.String())
			require.Equal(t, c.conn.LocalAddr().String(), peername.String())

			// What the caller sends goes to that socket now, and what the socket sends comes to the caller.
			c.send(b)
			conn, err := net.FileConn(files[0])
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
			got := make([]byte, 2048)
			n, err := conn.Read(got)
			require.NoError(t, err)
			require.Equal(t, b, got[:n])
			_, err = conn.Write([]byte("from the child"))
			require.NoError(t, err)
			require.Equal(t, "from the child", string(c.receive()))

			// Others are still answered by the listener.
			f.call(host).conclude("live")
			f.hear(srt.MsgRequest, &req)

			_, _, err = child.Recv()
			require.ErrorIs(t, err, io.EOF, "a hand-over socket is used once")
		})
	}
}

func names(t *testing.T, f *os.File) (sockname, peername netip.AddrPort) {
	t.Helper()
	fd, err := control.Descriptor(f)
	require.NoError(t, err)
	a, err := unix.Getsockname(fd)
	require.NoError(t, err)
	b, err := unix.Getpeername(fd)
	require.NoError(t, err)
	return toAddrPort(a), toAddrPort(b)
}

func TestGoneIsToldThePeer(t *testing.T) {
	for _, host := range hosts(t) {
		t.Run(host, func(t *testing.T) {
			f := start(t, ":0")
			child := f.child(3)
			c := f.call(host)
			b := c.conclude("live")
			var req srt.Request
			f.hear(srt.MsgRequest, &req)
			f.admit(req, 3)
			_, files, err := child.Recv()
			require.NoError(t, err)
			require.NoError(t, files[0].Close())
			require.NoError(t, f.ctl.Send(srt.MsgGone, srt.Gone{Peer: req.Peer, Local: req.Local, SocketID: req.SocketID}))
			for range farewells { // a lost one is made good
				require.Equal(t, srt.AppendShutdown(nil, c.id), c.receive())
			}
			c.send(b)
			f.hear(srt.MsgRequest, &req) // it is no duplicate
			require.Equal(t, uint64(2), req.ID)
		})
	}
}

// TestNoChild has a verdict come without the child's hand-over socket: the controller hears of it, and the caller may try again.
func TestNoChild(t *testing.T) {
	f := start(t, "127.0.0.1:0")
	c := f.call("127.0.0.1")
	b := c.conclude("live")
	var req srt.Request
	f.hear(srt.MsgRequest, &req)
	first := req.ID
	require.NoError(t, f.ctl.Send(srt.MsgVerdict, srt.Verdict{ID: req.ID, Child: 99}))
	// The verdict and the datagram come to different goroutines; a caller repeats itself anyway.
	require.Eventually(t, func() bool {
		c.send(b)
		_ = f.ctl.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		m, _, err := f.ctl.Recv()
		return err == nil && m.Type == srt.MsgRequest && m.Decode(&req) == nil && req.ID > first
	}, patience, 10*time.Millisecond)
}

func TestUnservedCallerIsToldAtOnce(t *testing.T) {
	f := start(t, "127.0.0.1:0")
	c := f.call("127.0.0.1")
	c.send(induction(c.id))
	h := c.handshake()
	c.send(conclusion(c.id, h.Cookie, "", func(h *srt.Handshake) { h.Version = 4; h.Ext = srt.Extensions{} }))
	require.Equal(t, srt.RejectionType(srt.RejectVersion), c.handshake().Type)
	var r srt.Refused
	f.hear(srt.MsgRefused, &r)
	require.Equal(t, c.conn.LocalAddr().String(), r.Peer)
	require.Equal(t, []any{srt.RejectVersion, uint64(1), ""}, []any{r.Code, r.Times, r.StreamID})
	require.NotEmpty(t, r.Reason)
	var s srt.ListenerStats
	f.hear(srt.MsgListenerStats, &s)
	require.Equal(t, uint64(2), s.Packets)
	require.Equal(t, map[string]uint64{"1008": 1}, s.Rejected)
}

// TestHostileDatagrams sends what is no handshake, and looks that the listener still answers.
func TestHostileDatagrams(t *testing.T) {
	f := start(t, "127.0.0.1:0")
	c := f.call("127.0.0.1")
	c.send(nil)
	c.send(make([]byte, 3000)) // larger than what is received at once
	c.send(append([]byte{0x80}, make([]byte, 1500)...))
	for n := range 64 {
		c.send(induction(c.id)[:n])
	}
	c.conclude("live")
	var req srt.Request
	f.hear(srt.MsgRequest, &req)
}

// TestWordsThatMakeNoSense has a controller of another version, or a broken one.
func TestWordsThatMakeNoSense(t *testing.T) {
	f := start(t, "127.0.0.1:0")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	for _, kind := range []string{"what", srt.MsgLimits, srt.MsgVerdict, srt.MsgGone, srt.MsgSocket} {
		require.NoError(t, f.ctl.SendWithin(patience, kind, "no object", w, w))
		require.NoError(t, f.ctl.SendWithin(patience, kind, nil))
	}
	require.NoError(t, f.ctl.SendWithin(patience, srt.MsgGone, srt.Gone{Peer: "nobody", Local: "nowhere"}))
	require.NoError(t, f.ctl.SendWithin(patience, srt.MsgVerdict, srt.Verdict{ID: 1 << 60}))
	f.call("127.0.0.1").conclude("live")
	var req srt.Request
	f.hear(srt.MsgRequest, &req)
	require.NoError(t, w.Close())
	require.NoError(t, r.SetReadDeadline(time.Now().Add(patience)))
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "descriptors that came along are closed")
}

// TestDeadChild has the child die before its caller is handed over.
func TestDeadChild(t *testing.T) {
	f := start(t, "127.0.0.1:0")
	require.NoError(t, f.child(1).Close())
	f.call("127.0.0.1").conclude("live")
	var req srt.Request
	f.hear(srt.MsgRequest, &req)
	f.admit(req, 1)
	var no srt.NoHandover
	f.hear(srt.MsgNoHandover, &no)
	require.EqualValues(t, 1, no.Child)
}

// TestLimitsAreObeyed tells a listener its limits, which hold from the next caller on.
func TestLimitsAreObeyed(t *testing.T) {
	f := start(t, "127.0.0.1:0")
	require.NoError(t, f.ctl.Send(srt.MsgLimits, srt.Limits{Pending: 1}))
	// The message and the datagrams come to different goroutines: statistics tell when it holds.
	var req srt.Request
	var s srt.ListenerStats
	require.Eventually(t, func() bool {
		f.call("127.0.0.1").conclude("live")
		_ = f.ctl.SetReadDeadline(time.Now().Add(3 * time.Second))
		m, _, err := f.ctl.Recv()
		if err == nil && m.Type == srt.MsgRequest && m.Decode(&req) == nil {
			return false
		}
		return err == nil && m.Decode(&s) == nil && s.TooMany > 0
	}, patience, time.Millisecond)
}

func TestListen(t *testing.T) {
	for _, bad := range []string{"", "8889", "localhost:8889", ":", ":70000", "1.2.3.4", "[::1]"} {
		_, err := Listen(bad)
		require.Error(t, err, bad)
	}
	mapped, err := Listen("[::ffff:127.0.0.1]:0")
	require.NoError(t, err, "an IPv4 address, written otherwise")
	require.NoError(t, mapped[0].Close())
	linkLocal(t)
	files, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	require.Len(t, files, 1)
	defer files[0].Close()
	a, err := localAddr(files[0])
	require.NoError(t, err)
	require.NotZero(t, a.Port())
	_, err = Listen(a.String())
	require.ErrorIs(t, err, unix.EADDRINUSE, "a second server does not share the port")
	_, err = Listen("192.0.2.1:0")
	require.ErrorIs(t, err, unix.EADDRNOTAVAIL)
}

// linkLocal listens on an address that needs its interface's name, where there is one.
func linkLocal(t *testing.T) {
	t.Helper()
	address := inspect.LinkLocal(t)
	if address == "" {
		t.Log("no interface has a link-local address")
		return
	}
	at := netip.MustParseAddr(address)
	files, err := Listen(netip.AddrPortFrom(at, 0).String())
	require.NoError(t, err)
	local, err := localAddr(files[0])
	require.NoError(t, err)
	require.Equal(t, at, local.Addr())
	require.NoError(t, files[0].Close())
}
