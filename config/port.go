package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/goccy/go-yaml/token"

	"brume/media"
	"brume/near"
	"brume/srt/libsrt/option"
)

// Options are libsrt's socket options by name, in lower case and without SRTO_; see package option.
type Options map[string]string

// Over returns these options laid over others.
func (o Options) Over(others Options) Options {
	all := Options{}
	maps.Copy(all, others)
	maps.Copy(all, o)
	return all
}

// Enforced tells whether libsrt insists that both sides have a passphrase, or neither (SRTO_ENFORCEDENCRYPTION).
func (o Options) Enforced() bool {
	v, err := option.Parse("enforcedencryption", o["enforcedencryption"])
	return err != nil || v.Number != 0
}

// inherit gives the further ports what they leave out. places has the keys that the file sets.
func (s *SRT) inherit(places map[string]*token.Position) {
	for i := range s.Ports {
		p := &s.Ports[i]
		left := func(name string) bool { return places[fmt.Sprintf("srt.ports.%d.%s", i, name)] == nil }
		if left("stream") {
			p.Stream = s.Stream
		}
		if left("mode") {
			p.Mode = s.Mode
		}
		if left("latency") {
			p.Latency = s.Latency
		}
		if left("passphrase") {
			p.Passphrase = s.Passphrase
		}
		if left("options") {
			p.Options = s.Options
		}
		if left("slash") {
			p.Slash = s.Slash
		}
		if left("networks") {
			p.Networks = s.Networks
		}
	}
}

func (v *checker) ports(s *SRT) {
	v.port(&s.Port, "srt")
	taken := map[Address]bool{s.Address: true}
	v.taken = taken
	for i := range s.Ports {
		p := &s.Ports[i]
		path := fmt.Sprintf("srt.ports.%d", i)
		switch {
		case p.Address == "":
			v.wrong("a port needs an address; write one like :8890", join(path, "address"), path)
		case taken[p.Address] && !p.Address.anyPort():
			v.wrong(fmt.Sprintf("the address %s is another port's already", p.Address), join(path, "address"))
		}
		taken[p.Address] = true
		v.port(p, path)
	}
}

func (v *checker) port(p *Port, path string) {
	v.duration(join(path, "latency"), p.Latency, 0, time.Minute)
	v.passphrase(p.Passphrase, join(path, "passphrase"))
	v.options(p.Options, join(path, "options"))
}

func (v *checker) passphrase(s Secret, key string) {
	if s != "" && option.CheckPassphrase(string(s)) != nil {
		v.wrong(fmt.Sprintf("a passphrase has 10 to 79 bytes, and this one has %d", len(s)), key)
	}
}

func (v *checker) options(o Options, path string) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if name == "latency" {
			v.wrong("the latency has a key of its own, beside options", join(path, name))
			continue
		}
		if _, ok := option.Lookup(name); !ok {
			message := "there is no such option of SRT that can be set for a live connection"
			if meant := near.Name(name, option.Names()); meant != "" {
				message += "; did you mean " + meant + "?"
			}
			v.wrong(message, join(path, name))
			continue
		}
		if _, err := option.Parse(name, o[name]); err != nil {
			v.wrong(err.Error(), join(path, name))
		}
	}
}

// Mode is the role that callers may have: publish, play, or any of both.
type Mode string

// The modes.
const (
	ModeAny     Mode = "any"
	ModePublish      = Mode(media.Publish)
	ModePlay         = Mode(media.Play)
)

// MarshalText returns the mode's name.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m), nil }

// UnmarshalText reads a mode's name.
func (m *Mode) UnmarshalText(text []byte) error {
	switch Mode(text) {
	case ModeAny, ModePublish, ModePlay:
		*m = Mode(text)
		return nil
	}
	return fmt.Errorf("%q is none of any, publish and play", text)
}

// Allows reports whether a connection of the role is allowed.
func (m Mode) Allows(role media.Role) bool {
	only := m.Only()
	return only == "" || only == role
}

// Only returns the one role that is allowed, and the empty one where any is. The empty mode is any.
func (m Mode) Only() media.Role {
	if m == ModeAny {
		return ""
	}
	return media.Role(m)
}

// Network is a network or one address.
type Network struct{ netip.Prefix }

// UnmarshalText reads 10.0.0.0/8, 2001:db8::/32, or an address alone.
func (n *Network) UnmarshalText(text []byte) error {
	s := string(text)
	if p, err := netip.ParsePrefix(s); err == nil {
		if p != p.Masked() {
			return fmt.Errorf("%q has bits behind its network; write %s for the network, or the address alone", s, p.Masked())
		}
		n.Prefix = p
		return nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return fmt.Errorf("%q is no network; write one like 10.0.0.0/8 or 2001:db8::/32, or an address", s)
	}
	a = a.Unmap()
	n.Prefix = netip.PrefixFrom(a, a.BitLen())
	return nil
}

// Within tells whether an address is in one of the networks, or there is none.
func Within(networks []Network, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return len(networks) == 0 || slices.ContainsFunc(networks, func(n Network) bool { return n.Contains(a) })
}
