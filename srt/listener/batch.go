package listener

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

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
	// It does not wait, so that the scheduler need not know of it.
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.msgs[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
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

// outbox collects datagrams and sends many with one call, without allocating.
type outbox struct {
	msgs  [batchSize]mmsghdr
	iov   [batchSize]unix.Iovec
	data  [batchSize][maxReply]byte
	names [batchSize]unix.RawSockaddrInet6
	oob   [batchSize][64]byte
	n     int
}

// maxReply bounds what the listener sends: a handshake without extensions is 64 bytes.
const maxReply = 128

// add takes a datagram from a local address to a peer, and first sends what is there where no more fits.
func (o *outbox) add(fd int, b []byte, peer, local netip.AddrPort) {
	if o.n == batchSize {
		o.send(fd)
	}
	i := o.n
	o.n++
	o.iov[i].Base = &o.data[i][0]
	o.iov[i].SetLen(copy(o.data[i][:], b))
	h := &o.msgs[i].hdr
	h.Name = (*byte)(unsafe.Pointer(&o.names[i]))
	h.Namelen = putSockaddr(&o.names[i], peer)
	h.Iov = &o.iov[i]
	h.SetIovlen(1)
	oob := appendPktinfo(o.oob[i][:], local.Addr(), zoneID(local.Addr()))
	h.Control = &oob[0]
	h.SetControllen(len(oob))
}

// send sends all. What can't be sent is as what got lost.
func (o *outbox) send(fd int) {
	for at := 0; at < o.n; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&o.msgs[at])), uintptr(o.n-at), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			n = 1 // the first of these
		}
		at += int(n)
	}
	o.n = 0
}

// putSockaddr writes an address as the kernel has it, and returns its length.
func putSockaddr(name *unix.RawSockaddrInet6, a netip.AddrPort) uint32 {
	if a.Addr().Is4() {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		*v4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swap(a.Port()), Addr: a.Addr().As4()}
		return unix.SizeofSockaddrInet4
	}
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swap(a.Port()), Addr: a.Addr().As16(), Scope_id: zoneID(a.Addr())}
	return unix.SizeofSockaddrInet6
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
