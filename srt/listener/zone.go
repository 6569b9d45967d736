package listener

import (
	"net"
	"net/netip"
	"strconv"
	"sync"
)

// zones maps the interfaces of link-local addresses to their names, for people. The listener's sandbox lets it ask for
// none: LearnZones is called before.
var zones sync.Map

// LearnZones learns the names of this host's network interfaces.
func LearnZones() {
	all, err := net.Interfaces()
	if err != nil {
		return // link-local callers are then not served; all others are
	}
	for _, i := range all {
		zones.Store(uint32(i.Index), i.Name)
	}
}

func withZone(a netip.Addr, index uint32) netip.Addr {
	if index == 0 || !a.IsLinkLocalUnicast() {
		return a
	}
	if name, ok := zones.Load(index); ok {
		return a.WithZone(name.(string))
	}
	return a.WithZone(strconv.FormatUint(uint64(index), 10))
}

// numbered has the interface's number in place of its name. libsrt writes a peer's address into its cookie, and in its
// sandbox it can't learn the name.
func numbered(a netip.AddrPort) netip.AddrPort {
	id := zoneID(a.Addr())
	if id == 0 {
		return a
	}
	return netip.AddrPortFrom(a.Addr().WithZone(strconv.FormatUint(uint64(id), 10)), a.Port())
}

func zoneID(a netip.Addr) uint32 {
	if a.Zone() == "" {
		return 0
	}
	if n, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		return uint32(n)
	}
	var id uint32
	zones.Range(func(index, name any) bool {
		if name.(string) == a.Zone() {
			id = index.(uint32)
		}
		return id == 0
	})
	return id
}
