package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"brume/media"
	"brume/srt"
	"brume/srt/libsrt"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// startLibsrt makes this process a caller of its own, for what ffmpeg can't be made to do.
var startLibsrt = sync.OnceValue(func() error { return libsrt.Startup(libsrt.LogError) })

// dial makes a UDP socket from a local port (0 for any) to the listener.
func (p *port) dial(local int) int {
	p.t.Helper()
	require.NoError(p.t, startLibsrt())
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(p.t, err)
	require.NoError(p.t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	require.NoError(p.t, unix.Bind(fd, &unix.SockaddrInet4{Port: local, Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(p.t, unix.Connect(fd, &unix.SockaddrInet4{Port: p.address.Port, Addr: [4]byte{127, 0, 0, 1}}))
	return fd
}

func waitConnected(t *testing.T, c *libsrt.Conn) {
	t.Helper()
	require.Eventually(t, func() bool { return c.State() == libsrt.Connected }, 10*time.Second, time.Millisecond)
}

// A caller repeats itself after 250 ms at the earliest, so that a connection that is made before was made by the
// second INDUCTION reply. The best of a few tries counts, since the machine may be busy.
func TestConnectsAtOnce(t *testing.T) {
	rw, ro, reader := newBuffer(t)
	publishInto(t, rw, reader)
	best, bestFirst := time.Hour, time.Hour
	for range 5 {
		connected, first := viewOnce(t, ro)
		t.Logf("connected after %s, first byte after %s", connected, first)
		best, bestFirst = min(best, connected), min(bestFirst, first)
		if bestFirst < viewLatency+100*time.Millisecond {
			break
		}
	}
	require.Less(t, best, 200*time.Millisecond)
	require.Less(t, bestFirst, viewLatency+200*time.Millisecond)
}

const viewLatency = 20 * time.Millisecond

// viewOnce plays a buffer until the first byte.
func viewOnce(t *testing.T, ro *os.File) (connected, first time.Duration) {
	p := listen(t, "udp4", "127.0.0.1")
	c := spawn(t)
	get[srt.Hello](c, srt.MsgHello, nil)
	values := map[string]string{"latency": fmt.Sprint(viewLatency.Milliseconds())}
	start := time.Now()
	caller, err := libsrt.Connect(p.dial(0), libsrt.Options{StreamID: "live", Values: values})
	require.NoError(t, err)
	defer caller.Close()
	p.hand(c, srt.Configure{Role: media.Play, Options: values}, ro)
	waitConnected(t, caller)
	connected = time.Since(start)
	b := libsrt.NewBatch(16)
	for b.Len() == 0 {
		require.NoError(t, caller.Read(b, time.Second, 0))
		require.Less(t, time.Since(start), 5*time.Second)
	}
	require.Equal(t, byte(0x47), b.Bytes()[0])
	return connected, time.Since(start)
}

// A caller with a port of its own that crashed and comes back finds its old connection in the way:
// the kernel gives its packets to that.
func TestCallerComesBackFromItsPort(t *testing.T) {
	rw, _, _ := newBuffer(t)
	p := listen(t, "udp4", "127.0.0.1")
	c := spawn(t)
	get[srt.Hello](c, srt.MsgHello, nil)
	fd := p.dial(0)
	first, err := libsrt.Connect(fd, libsrt.Options{StreamID: "live"})
	require.NoError(t, err)
	defer first.Close()
	h := p.hand(c, srt.Configure{Role: media.Publish, Options: map[string]string{"peeridletimeo": "60000"}}, rw)
	waitConnected(t, first)
	media, err := os.ReadFile(clip)
	require.NoError(t, err)
	_, err = first.Send(media[:100*1316], 1316, pace)
	require.NoError(t, err)
	get(c, srt.MsgStats, units(1))

	// It vanishes: its socket is now another one, which nobody hears.
	nowhere, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	timeout := unix.NsecToTimeval(int64(10 * time.Millisecond)) // as libsrt has it, whose thread reads on
	require.NoError(t, unix.SetsockoptTimeval(nowhere, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	require.NoError(t, unix.Dup3(nowhere, fd, unix.O_CLOEXEC))
	require.NoError(t, unix.Close(nowhere))
	peer, err := netip.ParseAddrPort(h.Peer)
	require.NoError(t, err)
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		for range 20 { // as an encoder would try
			again, err := libsrt.Connect(p.dial(int(peer.Port())), libsrt.Options{StreamID: "live"})
			if err != nil {
				return
			}
			time.Sleep(200 * time.Millisecond)
			again.Close()
			if c.has(srt.MsgFailed) {
				return
			}
		}
	}()
	f := get[srt.Failed](c, srt.MsgFailed, nil)
	require.Equal(t, srt.FailLost, f.Reason)
	require.Contains(t, f.Detail, "called again")
	require.Zero(t, c.exit(3*time.Second))
}

// A caller that says nothing more has its answer, or is slow; one that repeats itself has lost it. gosrt, which never repeats
// itself, takes a second answer for a second connection.
func TestAnswersAgainWhoRepeatsItself(t *testing.T) {
	t.Parallel()
	rw, _, _ := newBuffer(t)
	p := listen(t, "udp4", "127.0.0.1")
	c := spawn(t)
	get[srt.Hello](c, srt.MsgHello, nil)
	caller, err := net.DialUDP("udp4", nil, p.address)
	require.NoError(t, err)
	defer caller.Close()
	concluding := srt.Handshake{
		Version: 5, Extension: 1, ISN: 9, MTU: 1500, FlowWindow: 8192, Type: srt.TypeConclusion, SocketID: 77, Cookie: 4711,
		Ext: srt.Extensions{HasHSREQ: true, SRTVersion: 0x010501, Flags: 0xbf, LatencyRcv: 120},
	}
	say := func() {
		_, err := caller.Write(concluding.Marshal())
		require.NoError(t, err)
	}
	hear := func(wait time.Duration) *srt.Handshake {
		b := make([]byte, 1500)
		require.NoError(t, caller.SetReadDeadline(time.Now().Add(wait)))
		for {
			n, err := caller.Read(b)
			if err != nil {
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				return nil
			}
			if h := (&srt.Handshake{}); n >= 64 && h.Unmarshal(b[:n]) == nil {
				return h
			}
		}
	}
	say()
	p.hand(c, srt.Configure{Role: media.Publish}, rw)
	first := hear(5 * time.Second)
	require.NotNil(t, first)
	require.Equal(t, srt.TypeInduction, first.Type)
	require.NotEqual(t, concluding.Cookie, first.Cookie)
	require.Nil(t, hear(600*time.Millisecond), "an answer that nobody asked for")

	say()
	again := hear(knockInterval / 2)
	require.NotNil(t, again)
	require.Equal(t, srt.TypeInduction, again.Type)
	require.Equal(t, first.Cookie, again.Cookie)

	concluding.Cookie = first.Cookie
	say()
	last := hear(5 * time.Second)
	require.NotNil(t, last)
	require.Equal(t, srt.TypeConclusion, last.Type)
	get[srt.Connected](c, srt.MsgConnected, nil)
}
