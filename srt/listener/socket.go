package listener

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const receiveBuffer = 4 << 20 // bytes that the kernel is asked to keep for the listener

// Listen opens the UDP sockets of an SRT port: an address is ":8889" for all addresses, or an IP address and a port. All
// addresses take two sockets, one for IPv4 and one for IPv6 where there is IPv6. Port 0 takes any port that is free in both.
func Listen(address string) ([]*os.File, error) {
	if len(address) > 0 && address[0] == ':' {
		return listenAll(address)
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("SRT address %q is no IP address and port: %w", address, err)
	}
	if a.Addr().Zone() != "" {
		LearnZones()
	}
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	f, err := listenOne(a)
	if err != nil {
		return nil, err
	}
	return []*os.File{f}, nil
}

func listenAll(address string) ([]*os.File, error) {
	a, err := netip.ParseAddrPort("0.0.0.0" + address)
	if err != nil {
		return nil, fmt.Errorf("SRT address %q is no port: %w", address, err)
	}
	for try := 0; ; try++ {
		v4, err := listenOne(a)
		if err != nil {
			return nil, err
		}
		port := a.Port()
		if port == 0 {
			local, err := localAddr(v4)
			if err != nil {
				_ = v4.Close()
				return nil, err
			}
			port = local.Port()
		}
		v6, err := listenOne(netip.AddrPortFrom(netip.IPv6Unspecified(), port))
		switch {
		case err == nil:
			return []*os.File{v4, v6}, nil
		case errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL):
			return []*os.File{v4}, nil // no IPv6 here
		}
		_ = v4.Close()
		if a.Port() != 0 || try == 20 {
			return nil, err
		}
	}
}

func listenOne(a netip.AddrPort) (*os.File, error) {
	// Two servers could share a port by SO_REUSEPORT and steal each other's callers: a bind without it shows whether it is free.
	fd, err := udpSocket(a, false)
	if err != nil {
		return nil, err
	}
	if a.Port() == 0 {
		sa, err := unix.Getsockname(fd)
		if err != nil {
			_ = unix.Close(fd)
			return nil, os.NewSyscallError("getsockname", err)
		}
		a = netip.AddrPortFrom(a.Addr(), toAddrPort(sa).Port())
	}
	_ = unix.Close(fd)
	fd, err = udpSocket(a, true)
	if err != nil {
		return nil, err
	}
	// The larger buffer needs a privilege; without it the kernel's own limit holds.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if a.Addr().Is4() {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	} else {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("setsockopt", err)
	}
	return os.NewFile(uintptr(fd), "srt"), nil
}

// udpSocket opens a UDP socket bound to an address, not blocking.
func udpSocket(a netip.AddrPort, share bool) (int, error) {
	family := unix.AF_INET
	if !a.Addr().Is4() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if family == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err == nil && share {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err == nil {
		err = unix.Bind(fd, toSockaddr(a))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

// connectedSocket makes the socket of one caller: bound to the very address that it called and connected to it, so
// that the kernel steers its packets there. What came from others in between is given to foreign.
func connectedSocket(local, peer netip.AddrPort, foreign func(b []byte, from netip.AddrPort)) (*os.File, error) {
	fd, err := udpSocket(local, true)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, toSockaddr(peer)); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	b := make([]byte, 2048)
	for range 1024 {
		n, from, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
		if err != nil {
			break
		}
		if a := toAddrPort(from); a != peer {
			foreign(b[:n], a)
		}
	}
	return os.NewFile(uintptr(fd), "caller"), nil
}

func toSockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: zoneID(a.Addr())}
}

func toAddrPort(sa unix.Sockaddr) netip.AddrPort {
	switch s := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(withZone(netip.AddrFrom16(s.Addr), s.ZoneId), uint16(s.Port))
	}
	return netip.AddrPort{}
}

func localAddr(f *os.File) (netip.AddrPort, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	var sa unix.Sockaddr
	var nameErr error
	if err := raw.Control(func(fd uintptr) { sa, nameErr = unix.Getsockname(int(fd)) }); err != nil {
		return netip.AddrPort{}, err
	}
	return toAddrPort(sa), nameErr
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// batch receives many datagrams with one call, without allocating.
type batch struct {
	msgs  [batchSize]mmsghdr
	iov   [batchSize]unix.Iovec
	data  [batchSize][2048]byte
	names [batchSize]unix.RawSockaddrInet6
	oob   [batchSize][64]byte
}

const batchSize = 32

func (b *batch) receive(fd int) (int, error) {
	for i := range b.msgs {
		b.iov[i].Base = &b.data[i][0]
		b.iov[i].SetLen(len(b.data[i]))
		h := &b.msgs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Namelen = uint32(unsafe.Sizeof(b.names[i]))
		h.Iov = &b.iov[i]
		h.SetIovlen(1)
		h.Control = &b.oob[i][0]
		h.SetControllen(len(b.oob[i]))
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.msgs[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// datagram is the i-th one of a receive: its bytes, its sender and the local address that it came to, whose port is not set.
func (b *batch) datagram(i int) (data []byte, peer netip.AddrPort, local netip.Addr, zone uint32) {
	m := &b.msgs[i]
	data = b.data[i][:min(int(m.n), len(b.data[i]))]
	name := &b.names[i]
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		peer = netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), swap(v4.Port))
	} else {
		peer = netip.AddrPortFrom(withZone(netip.AddrFrom16(name.Addr), name.Scope_id), swap(name.Port))
		zone = name.Scope_id
	}
	local = pktinfo(b.oob[i][:min(int(m.hdr.Controllen), len(b.oob[i]))])
	return data, peer, local, zone
}

func swap(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}

// pktinfo finds the local address of a datagram in its control message.
func pktinfo(oob []byte) netip.Addr {
	if len(oob) < unix.CmsgLen(unix.SizeofInet4Pktinfo) {
		return netip.Addr{}
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	body := oob[unix.CmsgLen(0):]
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(body) >= unix.SizeofInet4Pktinfo:
		return netip.AddrFrom4([4]byte(body[8:12])) // ipi_addr: where the datagram was sent to
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(body) >= unix.SizeofInet6Pktinfo:
		return netip.AddrFrom16([16]byte(body[:16]))
	}
	return netip.Addr{}
}

// appendPktinfo makes the control message that sends a datagram from a local address.
func appendPktinfo(oob []byte, local netip.Addr, zone uint32) []byte {
	if local.Is4() {
		oob = grown(oob, unix.CmsgSpace(unix.SizeofInet4Pktinfo))
		header(oob, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		a := local.As4()
		copy(oob[unix.CmsgLen(0)+4:], a[:]) // ipi_spec_dst
		return oob
	}
	oob = grown(oob, unix.CmsgSpace(unix.SizeofInet6Pktinfo))
	header(oob, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	a := local.As16()
	copy(oob[unix.CmsgLen(0):], a[:])
	binary.NativeEndian.PutUint32(oob[unix.CmsgLen(0)+16:], zone)
	return oob
}

func grown(b []byte, n int) []byte {
	if cap(b) < n {
		b = make([]byte, n)
	}
	b = b[:n]
	clear(b)
	return b
}

func header(oob []byte, level, kind int32, size int) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(size))
}
