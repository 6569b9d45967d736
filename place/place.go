// Package place says what counts as one place that callers come from, for bounds by address. It is pure.
package place

import "net/netip"

// Of returns the place of an address: an IPv4 address, or an IPv6 /64, which one host may use up freely. It is not valid for an
// address that is not.
func Of(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the length is right
	return p
}
