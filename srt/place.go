package srt

import "net/netip"

// Place is what counts as one place that callers come from: an IPv4 address, or an IPv6 /64, which one host may use up
// freely. It is not valid for an address that is not.
func Place(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the length is right
	return p
}
