package listener

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"

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
