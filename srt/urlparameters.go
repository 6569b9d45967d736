package srt

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"brume/near"
	"brume/srt/libsrt/option"
)

// Keys of a URL beside libsrt's options. The names are those of libsrt's own programs, with a second one each that
// says more.
var urlKeys = map[string]string{
	"mode": "mode", "adapter": "adapter", "localaddr": "adapter", "port": "port", "localport": "port",
	"streamid": "streamid", "passphrase": "passphrase", "transtype": "transtype",
}

var urlModes = map[string]Mode{
	"caller": ModeCaller, "client": ModeCaller, "listener": ModeListener, "server": ModeListener, "rendezvous": ModeRendezvous,
}

func (u *URL) query(query, stream string) error {
	seen := map[string]bool{}
	for i, pair := range strings.Split(query, "&") {
		if pair == "" {
			continue
		}
		written, value, ok := strings.Cut(pair, "=")
		value, err := unescape(value)
		if !ok || err != nil || strings.ContainsRune(value, 0) {
			return badURL("parameter %d is no key=value", i+1)
		}
		key := urlKeys[written]
		if _, known := option.Lookup(written); key == "" && known {
			key = written
		}
		if key == "" {
			return unknownParameter(i+1, written)
		}
		if seen[key] {
			return badURL("%s is there twice", key)
		}
		seen[key] = true
		if err := u.set(key, value, stream); err != nil {
			return err
		}
	}
	return nil
}

// unknownParameter names a parameter only where what is written is a name, and no secret in the place of one.
func unknownParameter(number int, name string) error {
	const size = 24
	plain := len(name) <= size && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	})
	if meant := near.Name(name, URLParameters()); meant != "" {
		return badURL("parameter %d is unknown; did you mean %s?", number, meant)
	}
	if !plain {
		return badURL("parameter %d is unknown", number)
	}
	return badURL("there is no parameter %s; the names are those of libsrt", name)
}

// URLParameters lists the parameters of a URL, sorted.
func URLParameters() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name := range urlKeys {
			if !yield(name) {
				return
			}
		}
		for _, name := range option.Names() {
			if !yield(name) {
				return
			}
		}
	})
}

func (u *URL) set(key, value, stream string) error {
	switch key {
	case "mode":
		if u.Mode = urlModes[value]; u.Mode == "" {
			return badURL("mode is none of caller, listener and rendezvous")
		}
	case "adapter":
		a, err := netip.ParseAddr(value)
		if err != nil {
			return badURL("the local address is no IP address")
		}
		u.Local = a.Unmap()
	case "port":
		port, err := parsePort(value)
		if err != nil {
			return badURL("the local port is no number from 1 to 65535")
		}
		u.LocalPort = port
	case "streamid":
		u.StreamID = expand(value, stream)
		if len(u.StreamID) > MaxStreamID {
			return badURL("the stream id has more than %d bytes", MaxStreamID)
		}
	case "passphrase":
		if len(value) < 10 || len(value) > 79 {
			return badURL("a passphrase has 10 to 79 bytes, and this one has %d", len(value))
		}
		u.Passphrase = value
	case "transtype":
		if value != "live" {
			return badURL("only the live mode of SRT is served")
		}
	default:
		if _, err := option.Parse(key, value); err != nil {
			return badURL("%s %s", key, takes(key))
		}
		if u.Options == nil {
			u.Options = map[string]string{}
		}
		u.Options[key] = value
	}
	return nil
}

// takes tells what an option's value has to be, without the one that it was given.
func takes(key string) string {
	o, _ := option.Lookup(key)
	switch {
	case o.Values != nil:
		return fmt.Sprintf("has to be one of %v", o.Values)
	case o.Kind == option.Bool:
		return "has to be true or false"
	case o.Kind == option.String:
		return fmt.Sprintf("has to be %d to %d bytes", o.Min, o.Max)
	case strings.HasSuffix(key, "latency"):
		return fmt.Sprintf("has to be a number from %d to %d; it is in milliseconds", o.Min, o.Max)
	default:
		return fmt.Sprintf("has to be a number from %d to %d", o.Min, o.Max)
	}
}

// expand puts the stream's name in. No valid name has characters that mean something in a stream id.
func expand(s, stream string) string {
	return strings.NewReplacer("${stream}", stream, "$stream", stream).Replace(s)
}

func unescape(s string) (string, error) {
	if !strings.ContainsRune(s, '%') {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", ErrURL
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", err
		}
		out = append(out, byte(n))
		i += 2
	}
	return string(out), nil
}
