package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"brume/media"
	"brume/scheme"
	"brume/srt"
)

// URL is where a stream is pulled from or pushed to. It is kept as it was written, since the name of a stream may
// belong into it, and shown without its secrets.
type URL string

// Parse reads the URL for a stream.
func (u URL) Parse(stream string) (*scheme.Scheme, scheme.URL, error) {
	return scheme.Parse(string(u), stream)
}

// String hides the secrets.
func (u URL) String() string {
	_, parsed, err := u.Parse("$stream")
	if err != nil {
		return hidden
	}
	return parsed.String()
}

// GoString hides them from %#v.
func (u URL) GoString() string { return strconv.Quote(u.String()) }

// MarshalText hides them from JSON and logs.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText checks and takes a URL. It is tried with a name of the largest size.
func (u *URL) UnmarshalText(text []byte) error {
	if _, _, err := scheme.Parse(string(text), strings.Repeat("x", media.MaxNameSize)); err != nil {
		return err
	}
	*u = URL(text)
	return nil
}

// Start is when a stream's source is called.
type Start string

// The ways to start.
const (
	StartDemand Start = "demand" // when somebody asks for the stream
	StartAlways Start = "always" // with the server
)

// MarshalText returns the name.
func (s Start) MarshalText() ([]byte, error) { return []byte(s), nil }

// UnmarshalText reads a name.
func (s *Start) UnmarshalText(text []byte) error {
	switch Start(text) {
	case StartDemand, StartAlways:
		*s = Start(text)
		return nil
	}
	return fmt.Errorf("%q is neither demand nor always", text)
}

// Bounds of the lists of a stream.
const (
	maxSources = 16
	maxPushes  = 16
)

// callers checks what a stream is pulled from and pushed to.
func (v *checker) callers(p Pattern, s *StreamConfig, c *Config) {
	path := join("streams", string(p))
	key := func(name string) string { return join(path, name) }
	pattern := strings.Contains(string(p), "*")
	v.duration(key("stop_after"), s.StopAfter, 0, 24*time.Hour)
	if len(s.Source) > maxSources {
		v.wrong(fmt.Sprintf("there are more than %d sources", maxSources), key("source"))
	}
	if len(s.Push) > maxPushes {
		v.wrong(fmt.Sprintf("there are more than %d targets", maxPushes), key("push"))
	}
	if s.Start == StartAlways && pattern {
		v.wrong("a pattern names no stream that could start by itself; write demand, or an entry for each stream", key("start"))
	}
	if s.Start != "" && len(s.Source) == 0 {
		v.wrong("there is no source that could start", key("start"))
	}
	for _, list := range []struct {
		name string
		urls []URL
	}{{"source", s.Source}, {"push", s.Push}} {
		for i, u := range list.urls {
			at := join(key(list.name), strconv.Itoa(i))
			if err := c.SRT.Allows(u, string(p)); err != nil {
				v.wrong(err.Error(), at)
			}
			parsed := u.srt(string(p))
			switch {
			case parsed == nil:
			case pattern && (parsed.Mode == srt.ModeListener || parsed.LocalPort != 0):
				v.wrong("a pattern cannot have a port of its own: several streams would share it", at)
			case parsed.Mode != srt.ModeListener:
			case list.name == "source" && len(list.urls) > 1:
				v.wrong("a source that listens is alone: whoever calls it takes the place of backups", at)
			case list.name == "source" && s.Start == StartDemand:
				v.wrong("a source that listens is there all the time; leave start out", key("start"))
			case v.taken[Address(parsed.Address())]:
				v.wrong(fmt.Sprintf("the address %s is another port's already", parsed.Address()), at)
			default:
				v.taken[Address(parsed.Address())] = true
			}
		}
	}
}

func (u URL) srt(stream string) *srt.URL {
	_, parsed, err := u.Parse(stream)
	if err != nil {
		return nil
	}
	s, _ := parsed.(*srt.URL)
	return s
}

// MayMeet tells whether a rendezvous with an address is allowed.
func (s *SRT) MayMeet(a netip.Addr) bool { return len(s.Rendezvous) > 0 && Within(s.Rendezvous, a) }

// Allows tells whether a URL may be used with these settings: a rendezvous has no cookie that would prove its peer's
// address, so that its peers have to be named. The addresses of a host's name are looked at when they are known.
func (s *SRT) Allows(u URL, stream string) error {
	parsed := u.srt(stream)
	if parsed == nil || parsed.Mode != srt.ModeRendezvous {
		return nil
	}
	if len(s.Rendezvous) == 0 {
		return fmt.Errorf("rendezvous is off, since it cannot prove who calls; add the network of the peer to srt.rendezvous, such as rendezvous: [192.0.2.0/24]")
	}
	if a, err := netip.ParseAddr(parsed.Host); err == nil && !s.MayMeet(a) {
		return fmt.Errorf("%s is in none of the networks of srt.rendezvous; add it there", a)
	}
	return nil
}
