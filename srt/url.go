package srt

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"brume/srt/libsrt/option"
)

// ErrURL means that an srt:// URL can't be used. The text says why and shows no value of it that may be secret.
var ErrURL = errors.New("bad SRT URL")

// MaxURL bounds an srt:// URL, in bytes.
const MaxURL = 2048

// Mode is how a connection comes to be, seen from this side.
type Mode string

// The modes.
const (
	ModeListener   Mode = "listener"   // the peer calls
	ModeCaller     Mode = "caller"     // this side calls
	ModeRendezvous Mode = "rendezvous" // both call each other at the same time
)

// URL is a parsed srt:// URL: where to call or to be called, and how.
type URL struct {
	Mode       Mode
	Host       string     // name or IP address, with a zone where it needs one; empty for a listener on every address
	Port       uint16     // of the peer, or of the listener
	Local      netip.Addr // to send from; the zero value for any
	LocalPort  uint16     // to send from; 0 for any, or the peer's own of a rendezvous
	StreamID   string     // of a caller
	Passphrase string     // 10 to 79 bytes; empty for none
	Options    map[string]string
}

// ParseURL reads an srt:// URL for a stream. In the stream id $stream and ${stream} stand for the stream's name; nowhere
// else, since who asks for a stream must not choose which host is called. All options have libsrt's names and
// units: a latency is in milliseconds.
//
// %XX is unescaped, + is a plus, and # does not begin a fragment. The error is ErrURL.
func ParseURL(raw, stream string) (*URL, error) {
	if len(raw) > MaxURL {
		return nil, badURL("it has more than %d bytes", MaxURL)
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, badURL("blanks and control characters have to be written as %%XX")
	}
	rest, ok := strings.CutPrefix(raw, "srt://")
	if !ok {
		return nil, badURL("it does not begin with srt://")
	}
	authority, query, _ := strings.Cut(rest, "?")
	u := &URL{}
	if err := u.authority(authority); err != nil {
		return nil, err
	}
	if err := u.query(query, stream); err != nil {
		return nil, err
	}
	if u.Mode == "" {
		u.Mode = ModeCaller
		if u.Host == "" {
			u.Mode = ModeListener
		}
	}
	return u, u.check()
}

func badURL(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrURL}, args...)...)
}

func (u *URL) authority(s string) error {
	s = strings.TrimSuffix(s, "/")
	switch {
	case strings.ContainsRune(s, '@'):
		return badURL("there is no user before the host; user and password belong into the stream id")
	case strings.ContainsRune(s, '/'):
		return badURL("there is no path; the stream's name belongs into streamid")
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return badURL("the port is missing; write srt://HOST:PORT")
	}
	host, number := s[:i], s[i+1:]
	if strings.HasPrefix(host, "[") {
		if !strings.HasSuffix(host, "]") {
			return badURL("the bracket of the IPv6 address is not closed")
		}
		// RFC 6874: the % of a zone is escaped in a URL; as it is, is understood too.
		host = strings.Replace(host[1:len(host)-1], "%25", "%", 1)
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return badURL("what is in the brackets is no IPv6 address")
		}
	} else if !validHost(host) {
		return badURL("the host is neither a name nor an address; an IPv6 address needs brackets")
	}
	port, err := parsePort(number)
	if err != nil {
		return badURL("the port is no number from 1 to 65535")
	}
	u.Host, u.Port = host, port
	return nil
}

// validHost takes names of hosts (RFC 1123, and _ since people use it), IPv4 addresses and nothing.
func validHost(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return len(s) <= 253 && !strings.HasPrefix(s, ".") && !strings.HasPrefix(s, "-") && !strings.Contains(s, "..")
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = ErrURL
	}
	return uint16(n), err
}

// check looks at what belongs together.
func (u *URL) check() error {
	a, err := netip.ParseAddr(u.Host)
	isAddress := err == nil
	switch {
	case u.Mode != ModeListener && u.Host == "":
		return badURL("the host is missing; only mode=listener goes without")
	case u.Mode == ModeListener && u.Host != "" && !isAddress:
		return badURL("a listener's host is an address of this machine, or left out")
	case u.Mode == ModeListener && (u.Local.IsValid() || u.LocalPort != 0):
		return badURL("a listener's address and port stand before the ?")
	case u.Mode != ModeCaller && u.StreamID != "":
		return badURL("only a caller has a stream id")
	case u.Mode != ModeListener && isAddress && !Callable(a):
		return badURL("that address can't be called")
	case u.Local.IsValid() && isAddress && u.Local.Is4() != a.Unmap().Is4():
		return badURL("the local address and the host are not both IPv4 or both IPv6")
	}
	return nil
}

// Callable reports whether an address can be a peer's.
func Callable(a netip.Addr) bool {
	return a.IsValid() && !a.Unmap().IsUnspecified() && !a.Unmap().IsMulticast() && a.Unmap() != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// CallTimeout is how long libsrt tries to reach a peer: SRTO_CONNTIMEO, 3 s where it isn't set, and ten times that for
// a rendezvous.
func CallTimeout(m Mode, options map[string]string) time.Duration {
	wait := 3 * time.Second
	if v, err := option.Parse("conntimeo", options["conntimeo"]); err == nil {
		wait = time.Duration(v.Number) * time.Millisecond
	}
	if m == ModeRendezvous {
		wait *= 10
	}
	return wait
}

// Address is host:port.
func (u *URL) Address() string {
	host := u.Host
	if strings.ContainsRune(host, ':') {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(int(u.Port))
}

// String is the URL without its secrets: the passphrase and all of the stream id but the stream's name, the mode and the
// user are stars.
func (u *URL) String() string {
	s := "srt://" + strings.Replace(u.Address(), "%", "%25", 1)
	separator := byte('?')
	add := func(key, value string) {
		s += string(separator) + key + "=" + escape(value)
		separator = '&'
	}
	if u.Mode != ModeCaller {
		add("mode", string(u.Mode))
	}
	if u.Local.IsValid() {
		add("adapter", u.Local.String())
	}
	if u.LocalPort != 0 {
		add("port", strconv.Itoa(int(u.LocalPort)))
	}
	if u.StreamID != "" {
		add("streamid", RedactStreamID(u.StreamID))
	}
	if u.Passphrase != "" {
		add("passphrase", hidden)
	}
	for _, name := range slices.Sorted(maps.Keys(u.Options)) {
		add(name, u.Options[name])
	}
	return s
}

// escape writes a value so that ParseURL reads it back.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || c == '%' || c == '&' {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
