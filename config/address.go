package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// Address is a host and a port to listen on. The host is an IP address, or empty for every
// address of the machine; port 0 takes a free one.
type Address string

// IsLoopback tells whether only this machine can reach the address.
func (a Address) IsLoopback() bool {
	host, _, err := net.SplitHostPort(string(a))
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// MarshalText returns the address as it was written.
func (a Address) MarshalText() ([]byte, error) { return []byte(a), nil }

// UnmarshalText reads an address. Host names are refused, since what they stand for can change.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not an address; write one like :8889, 127.0.0.1:8889 or [::1]:8889", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q of %q is not a number from 0 to 65535", port, s)
	}
	if host != "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("host %q of %q is not an IP address; write one, or leave it out to listen on all", host, s)
		}
	}
	*a = Address(s)
	return nil
}

// anyPort tells whether the system chooses the port.
func (a Address) anyPort() bool {
	_, port, _ := net.SplitHostPort(string(a))
	return port == "0"
}
