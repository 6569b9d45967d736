package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"brume/srt"
)

const (
	// resolveWait is how long a name may take to be resolved.
	resolveWait = 5 * time.Second
	// maxAddresses bounds what is tried of one name.
	maxAddresses = 8
)

// lookup resolves a host's name.
type lookup func(ctx context.Context, host string) ([]netip.Addr, error)

func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveWait)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// callOrder brings addresses into the order in which they are called: IPv4 and IPv6 in turn, each in the resolver's order,
// so that a network that lacks one of them costs one attempt and not many. A local address leaves only its own kind.
func callOrder(all []netip.Addr, local netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, a := range all {
		a = a.Unmap()
		if seen[a] || !srt.Callable(a) || local.IsValid() && local.Is4() != a.Is4() {
			continue
		}
		seen[a] = true
		if len(first) == 0 || first[0].Is4() == a.Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	var order []netip.Addr
	for i := 0; len(order) < maxAddresses && (i < len(first) || i < len(second)); i++ {
		if i < len(first) {
			order = append(order, first[i])
		}
		if i < len(second) {
			order = append(order, second[i])
		}
	}
	return order[:min(len(order), maxAddresses)]
}

// callSocket makes a UDP socket that is connected to a peer, and bound where the URL says so. A rendezvous is met from
// the peer's own port number, unless another one is given.
func callSocket(u *srt.URL, peer netip.AddrPort) (*os.File, error) {
	family := unix.AF_INET
	if peer.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "call")
	local := netip.AddrPortFrom(u.Local, u.LocalPort)
	if !local.Addr().IsValid() {
		local = netip.AddrPortFrom(netip.IPv4Unspecified(), u.LocalPort)
		if family == unix.AF_INET6 {
			local = netip.AddrPortFrom(netip.IPv6Unspecified(), u.LocalPort)
		}
	}
	if u.Mode == srt.ModeRendezvous && local.Port() == 0 {
		local = netip.AddrPortFrom(local.Addr(), peer.Port())
	}
	to, err := sockaddr(peer)
	if err == nil {
		var from unix.Sockaddr
		if from, err = sockaddr(local); err == nil {
			err = unix.Bind(fd, from)
		}
		if err != nil {
			err = fmt.Errorf("send from %s: %w", local, err)
		}
	}
	if err == nil {
		err = unix.Connect(fd, to)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func sockaddr(a netip.AddrPort) (unix.Sockaddr, error) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, nil
	}
	s := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if zone := a.Addr().Zone(); zone != "" {
		if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			s.ZoneId = uint32(n)
		} else if i, err := net.InterfaceByName(zone); err == nil {
			s.ZoneId = uint32(i.Index)
		} else {
			return nil, errors.New("there is no such network interface as the address names")
		}
	}
	return s, nil
}
