package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"brume/control"
	"brume/media"
	"brume/srt"
	"brume/srt/libsrt"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// socketTo is a connected UDP socket as the controller makes it, from a local port (0 for any).
func socketTo(t *testing.T, port, local int) *os.File {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	f := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { _ = f.Close() })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Port: local, Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}))
	return f
}

// freePort was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// calling starts a child that calls a port.
func calling(t *testing.T, configure srt.Configure, port, local int, files ...*os.File) *child {
	t.Helper()
	c := spawn(t)
	get[srt.Hello](c, srt.MsgHello, nil)
	require.NoError(t, c.control.Send(srt.MsgConfigure, configure, append([]*os.File{socketTo(t, port, local)}, files...)...))
	return c
}

// A pulled source: the buffer comes once the connection is made, and what came before is not lost.
func TestPull(t *testing.T) {
	for _, keyLength := range []int{0, 16, 24, 32} {
		t.Run(fmt.Sprint(keyLength), func(t *testing.T) {
			port := freePort(t)
			query := "?mode=listener"
			configure := srt.Configure{Mode: srt.ModeCaller, Role: media.Publish, StreamID: "read:x", Options: map[string]string{"latency": "60"}}
			if keyLength > 0 {
				configure.Passphrase = "correct horse"
				query += fmt.Sprintf("&passphrase=correct horse&pbkeylen=%d", keyLength)
			}
			transmitClip(t, fmt.Sprintf("srt://127.0.0.1:%d%s", port, query))
			c := calling(t, configure, port, 0)
			connected := get[srt.Connected](c, srt.MsgConnected, nil)
			require.Equal(t, keyLength, connected.KeyLength)
			require.Empty(t, connected.Peer)
			rw, _, reader := newBuffer(t)
			require.NoError(t, c.control.Send(srt.MsgBuffer, srt.Buffer{Role: media.Publish}, rw))
			get(c, srt.MsgStats, units(1))
			require.Eventually(t, func() bool { i, err := reader.Info(); return err == nil && i.Head > 0 }, 10*time.Second, 10*time.Millisecond)
			require.NoError(t, c.control.Send(srt.MsgClose, nil))
			require.Equal(t, srt.FailClosed, get[srt.Failed](c, srt.MsgFailed, nil).Reason)
			require.Zero(t, c.exit(5*time.Second))
		})
	}
}

// A push target that listens.
func TestPush(t *testing.T) {
	rw, ro, reader := newBuffer(t)
	publishInto(t, rw, reader)
	port, out := freePort(t), filepath.Join(t.TempDir(), "out.ts")
	transmitTo(t, fmt.Sprintf("srt://127.0.0.1:%d?mode=listener", port), out)
	c := spawn(t)
	get[srt.Hello](c, srt.MsgHello, nil)
	socket := socketTo(t, port, 0)
	require.NoError(t, c.control.Send(srt.MsgConfigure, srt.Configure{Mode: srt.ModeCaller, Role: media.Play}, socket, ro))
	get[srt.Connected](c, srt.MsgConnected, nil)
	flags, err := unix.FcntlInt(uintptr(descriptor(t, socket)), unix.F_GETFL, 0) // of both sides' descriptors
	require.NoError(t, err)
	require.Zero(t, flags&unix.O_NONBLOCK, "libsrt's receiving thread would spin")
	require.Eventually(t, func() bool { s, err := os.Stat(out); return err == nil && s.Size() > 10000 }, 15*time.Second, 10*time.Millisecond)
}

// Both sides call each other, in both roles.
func TestRendezvous(t *testing.T) {
	t.Run("pull", func(t *testing.T) {
		port, local := freePort(t), freePort(t)
		transmitClip(t, fmt.Sprintf("srt://127.0.0.1:%d?mode=rendezvous&port=%d", local, port))
		c := calling(t, srt.Configure{Mode: srt.ModeRendezvous, Role: media.Publish}, port, local)
		get[srt.Connected](c, srt.MsgConnected, nil)
		rw, _, _ := newBuffer(t)
		require.NoError(t, c.control.Send(srt.MsgBuffer, srt.Buffer{Role: media.Publish}, rw))
		get(c, srt.MsgStats, units(1))
	})
	t.Run("push", func(t *testing.T) {
		rw, ro, reader := newBuffer(t)
		publishInto(t, rw, reader)
		port, local, out := freePort(t), freePort(t), filepath.Join(t.TempDir(), "out.ts")
		c := calling(t, srt.Configure{Mode: srt.ModeRendezvous, Role: media.Play}, port, local, ro)
		transmitTo(t, fmt.Sprintf("srt://127.0.0.1:%d?mode=rendezvous&port=%d", local, port), out)
		get[srt.Connected](c, srt.MsgConnected, nil)
		require.Eventually(t, func() bool { s, err := os.Stat(out); return err == nil && s.Size() > 10000 }, 15*time.Second, 10*time.Millisecond)
	})
}

func TestCallRefused(t *testing.T) {
	t.Run("nobody there", func(t *testing.T) {
		c := calling(t, srt.Configure{Mode: srt.ModeCaller, Role: media.Publish, Options: map[string]string{"conntimeo": "300"}}, freePort(t), 0)
		f := get[srt.Failed](c, srt.MsgFailed, nil)
		require.Equal(t, srt.FailTimeout, f.Reason)
		require.Zero(t, c.exit(5*time.Second))
	})
	t.Run("it says that it is alive meanwhile", func(t *testing.T) {
		c := calling(t, srt.Configure{Mode: srt.ModeRendezvous, Role: media.Publish}, freePort(t), freePort(t))
		c.find(srt.MsgAlive, func(control.Message) bool { return true })
		require.False(t, c.has(srt.MsgFailed))
	})
	t.Run("wrong passphrase", func(t *testing.T) {
		port := freePort(t)
		transmitClip(t, fmt.Sprintf("srt://127.0.0.1:%d?mode=listener&passphrase=correct horse", port))
		time.Sleep(100 * time.Millisecond)
		f := get[srt.Failed](calling(t, srt.Configure{Mode: srt.ModeCaller, Role: media.Publish, Passphrase: "battery staple"}, port, 0), srt.MsgFailed, nil)
		require.Equal(t, srt.FailSecret, f.Reason)
		require.Equal(t, libsrt.RejectedBadSecret, f.Code)
	})
	t.Run("no socket", func(t *testing.T) {
		c := spawn(t)
		get[srt.Hello](c, srt.MsgHello, nil)
		require.NoError(t, c.control.Send(srt.MsgConfigure, srt.Configure{Mode: srt.ModeCaller, Role: media.Publish}))
		require.Equal(t, srt.FailInternal, get[srt.Failed](c, srt.MsgFailed, nil).Reason)
	})
	t.Run("by the peer's word", func(t *testing.T) {
		p := listen(t, "udp4", "127.0.0.1")
		c := calling(t, srt.Configure{Mode: srt.ModeCaller, Role: media.Publish, StreamID: "read:none"}, p.address.Port, 0)
		h, id := p.reject(srt.RejectNotFound)
		require.NotZero(t, h.SocketID)
		require.Equal(t, "read:none", id)
		f := get[srt.Failed](c, srt.MsgFailed, nil)
		require.Equal(t, srt.Failed{Reason: srt.FailRejected, Detail: "the peer has no such stream", Code: srt.RejectNotFound}, f)
	})
	t.Run("for whom nobody has a buffer", func(t *testing.T) {
		port := freePort(t)
		transmitClip(t, fmt.Sprintf("srt://127.0.0.1:%d?mode=listener", port))
		c := calling(t, srt.Configure{Mode: srt.ModeCaller, Role: media.Publish}, port, 0)
		get[srt.Connected](c, srt.MsgConnected, nil)
		require.NoError(t, c.control.Send(srt.MsgReport, nil))
		get[srt.Hello](c, srt.MsgHello, nil)
		require.NoError(t, c.control.Send(srt.MsgClose, nil))
		require.Zero(t, c.exit(5*time.Second))
	})
}

// reject answers the next caller with a code, and tells what it asked for.
func (p *port) reject(code int) (h srt.Handover, streamID string) {
	p.t.Helper()
	require.NoError(p.t, p.socket.SetReadDeadline(time.Now().Add(10*time.Second)))
	b := make([]byte, 1500)
	for {
		n, from, err := p.socket.ReadFromUDPAddrPort(b)
		require.NoError(p.t, err)
		var hs srt.Handshake
		if !srt.IsHandshake(b[:n]) || hs.Unmarshal(b[:n]) != nil {
			continue
		}
		peer := netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		h = srt.Handover{Peer: peer.String(), Local: p.address.String(), SocketID: hs.SocketID, ISN: hs.ISN, Version: 5}
		var reply []byte
		if hs.Type == srt.TypeInduction {
			reply = inductionReply(&h)
		} else {
			r := hs.Reply(srt.RejectionType(code))
			r.Extension, r.Encryption = hs.Extension, hs.Encryption
			reply = r.Marshal()
			streamID = hs.Ext.StreamID()
		}
		_, err = p.socket.WriteToUDPAddrPort(reply, from)
		require.NoError(p.t, err)
		if hs.Type != srt.TypeInduction {
			return h, streamID
		}
	}
}
