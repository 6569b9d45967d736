// Package option checks libsrt's socket options by name and value. It is pure Go, so that a configuration can
// be checked where libsrt is not linked.
package option

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Errors of a check, wrapped with the option's name.
var (
	// ErrUnknown means that there is no such option, or that it can't be set for a
	// live connection (the socket, the stream id and the mode are not its to choose).
	ErrUnknown = errors.New("unknown SRT option")
	// ErrValue means that the value is not one that libsrt takes.
	ErrValue = errors.New("wrong value of SRT option")
)

// Kind is how libsrt reads an option's value.
type Kind uint8

// The kinds.
const (
	Int    Kind = iota // 32 bits
	Int64              // 64 bits
	Bool               // "0", "1", "false", "true", "no", "yes", "off", "on"
	String             // as it is
)

// Option is one of libsrt's socket options.
type Option struct {
	Name     string // libsrt's, in lower case without SRTO_
	Kind     Kind
	Min, Max int64 // of Int and Int64; the length of a String, in bytes
	// Values are the only ones allowed, where it is not nil.
	Values []int64
}

// second in milliseconds.
const second = 1000

// maxLatency is more than any link needs, in milliseconds.
const maxLatency = 60 * second

// maxBuffer keeps both of libsrt's buffers within a connection process's memory (RLIMIT_DATA), in bytes: 5 s at
// 50 Mbit/s.
const maxBuffer = 1 << 25

// table is sorted by name. The ranges are libsrt's own where it has one (docs/API/API-socket-options.md), and
// otherwise what a connection process can carry.
var table = []Option{
	{Name: "conntimeo", Kind: Int, Min: 0, Max: 60 * second},
	{Name: "drifttracer", Kind: Bool},
	{Name: "enforcedencryption", Kind: Bool},
	{Name: "fc", Kind: Int, Min: 32, Max: 1 << 16},
	{Name: "inputbw", Kind: Int64, Min: 0, Max: math.MaxInt64},
	{Name: "iptos", Kind: Int, Min: 0, Max: 255},
	{Name: "ipttl", Kind: Int, Min: 1, Max: 255},
	{Name: "kmpreannounce", Kind: Int, Min: 0, Max: 1<<23 - 1},
	{Name: "kmrefreshrate", Kind: Int, Min: 0, Max: math.MaxInt32},
	{Name: "latency", Kind: Int, Min: 0, Max: maxLatency},
	{Name: "lossmaxttl", Kind: Int, Min: 0, Max: 1 << 16},
	{Name: "maxbw", Kind: Int64, Min: -1, Max: math.MaxInt64},
	{Name: "mininputbw", Kind: Int64, Min: 0, Max: math.MaxInt64},
	{Name: "minversion", Kind: Int, Min: 0, Max: 0xffffff},
	{Name: "mss", Kind: Int, Min: 76, Max: 1500},
	{Name: "nakreport", Kind: Bool},
	{Name: "oheadbw", Kind: Int, Min: 5, Max: 100},
	{Name: "packetfilter", Kind: String, Min: 1, Max: 511},
	{Name: "payloadsize", Kind: Int, Min: 1316, Max: 1456},
	{Name: "pbkeylen", Kind: Int, Values: []int64{0, 16, 24, 32}},
	{Name: "peeridletimeo", Kind: Int, Min: second, Max: 3600 * second},
	{Name: "peerlatency", Kind: Int, Min: 0, Max: maxLatency},
	{Name: "rcvbuf", Kind: Int, Min: 32 * 1456, Max: maxBuffer},
	{Name: "rcvlatency", Kind: Int, Min: 0, Max: maxLatency},
	{Name: "retransmitalgo", Kind: Int, Values: []int64{0, 1}},
	{Name: "sndbuf", Kind: Int, Min: 32 * 1456, Max: maxBuffer},
	{Name: "snddropdelay", Kind: Int, Min: -1, Max: maxLatency},
	{Name: "tlpktdrop", Kind: Bool},
	{Name: "tsbpdmode", Kind: Bool},
	{Name: "udp_rcvbuf", Kind: Int, Min: 1 << 12, Max: 1 << 27},
	{Name: "udp_sndbuf", Kind: Int, Min: 1 << 12, Max: 1 << 27},
}

// Lookup finds an option by name.
func Lookup(name string) (Option, bool) {
	i, ok := slices.BinarySearchFunc(table, name, func(o Option, n string) int { return strings.Compare(o.Name, n) })
	if !ok {
		return Option{}, false
	}
	return table[i], true
}

// Names lists all options, sorted.
func Names() []string {
	names := make([]string, len(table))
	for i, o := range table {
		names[i] = o.Name
	}
	return names
}

// Value is a checked value.
type Value struct {
	Option
	Number int64  // of Int, Int64, and Bool as 0 or 1
	Text   string // of String
}

// Parse checks one option.
func Parse(name, value string) (Value, error) {
	o, ok := Lookup(name)
	if !ok {
		return Value{}, fmt.Errorf("%w %q", ErrUnknown, name)
	}
	v := Value{Option: o}
	switch o.Kind {
	case String:
		if n := int64(len(value)); n < o.Min || n > o.Max || strings.ContainsRune(value, 0) {
			return Value{}, fmt.Errorf("%w %s: %d to %d bytes", ErrValue, name, o.Min, o.Max)
		}
		v.Text = value
		return v, nil
	case Bool:
		switch strings.ToLower(value) {
		case "1", "true", "yes", "on":
			v.Number = 1
		case "0", "false", "no", "off":
		default:
			return Value{}, fmt.Errorf("%w %s: %q is neither true nor false", ErrValue, name, value)
		}
		return v, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return Value{}, fmt.Errorf("%w %s: %q is no number", ErrValue, name, value)
	case o.Values != nil && !slices.Contains(o.Values, n):
		return Value{}, fmt.Errorf("%w %s: %d is none of %v", ErrValue, name, n, o.Values)
	case o.Values == nil && (n < o.Min || n > o.Max):
		return Value{}, fmt.Errorf("%w %s: %d is not in %d to %d", ErrValue, name, n, o.Min, o.Max)
	}
	v.Number = n
	return v, nil
}

// ParseAll checks options by name and returns them in the order in which libsrt takes them: by name, but for
// the key refresh rate, which bounds the announcement of a key before it.
func ParseAll(options map[string]string) ([]Value, error) {
	var all []Value
	var errs []error
	names := slices.Sorted(maps.Keys(options))
	if i := slices.Index(names, "kmrefreshrate"); i > 0 && names[i-1] == "kmpreannounce" {
		names[i-1], names[i] = names[i], names[i-1]
	}
	for _, name := range names {
		v, err := Parse(name, options[name])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, v)
	}
	return all, errors.Join(errs...)
}

// CheckPassphrase checks a passphrase's length: 10 to 79 bytes, or none.
func CheckPassphrase(p string) error {
	if p != "" && (len(p) < 10 || len(p) > 79) {
		return fmt.Errorf("%w passphrase: %d bytes, not 10 to 79", ErrValue, len(p))
	}
	return nil
}
