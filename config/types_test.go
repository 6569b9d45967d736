package config

import (
	"encoding"
	"log/slog"
	"math"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml/token"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// keysOf returns every key outside the table of streams.
func keysOf(t *testing.T) []string {
	t.Helper()
	leaves := map[string]leaf{}
	collect(reflect.ValueOf(Default()).Elem(), "", leaves)
	var keys []string
	for _, l := range leaves {
		keys = append(keys, l.key)
	}
	slices.Sort(keys)
	require.Len(t, keys, 28)
	return keys
}

func decoderOf(t *testing.T, text string) *decoder {
	t.Helper()
	d := &decoder{file: "f", places: map[string]*token.Position{}}
	root := d.parse([]byte(text))
	for _, pair := range d.pairs(root, "") {
		if pair.Key.String() != "streams" {
			d.mapping(pair, reflect.ValueOf(Default()).Elem(), "")
		}
	}
	require.Empty(t, d.problems)
	return d
}

// roundTrip reads back what a value is written as.
func roundTrip[T encoding.TextMarshaler](t *rapid.T, v T, into encoding.TextUnmarshaler) {
	text, err := v.MarshalText()
	require.NoError(t, err)
	require.NoError(t, into.UnmarshalText(text), "%s", text)
	require.Equal(t, v, reflect.ValueOf(into).Elem().Interface(), "%s", text)
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roundTrip(t, Duration(rapid.Int64Min(0).Draw(t, "duration")), new(Duration))
		roundTrip(t, Duration(rapid.Int64Range(0, 3600).Draw(t, "seconds"))*Duration(time.Second), new(Duration))
		roundTrip(t, Size(rapid.Int64Min(0).Draw(t, "size")), new(Size))
		roundTrip(t, Size(rapid.Int64Range(0, 1000).Draw(t, "MB")*megabyte), new(Size))
		roundTrip(t, Count(rapid.IntRange(0, math.MaxInt32).Draw(t, "count")), new(Count))
		roundTrip(t, StreamName(rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}`).Draw(t, "name")), new(StreamName))
		roundTrip(t, rapid.SampledFrom([]LogLevel{"debug", "info", "warn", "error"}).Draw(t, "level"), new(LogLevel))
		roundTrip(t, rapid.SampledFrom([]LogFormat{LogAuto, LogText, LogJSON}).Draw(t, "format"), new(LogFormat))
		roundTrip(t, rapid.SampledFrom([]Address{":0", "1.2.3.4:5", "[::1]:65535", "[fe80::1%eth0]:1"}).Draw(t, "address"), new(Address))
		roundTrip(t, rapid.SampledFrom([]Mode{ModeAny, ModePublish, ModePlay}).Draw(t, "mode"), new(Mode))
		roundTrip(t, Bool(rapid.Bool().Draw(t, "bool")), new(Bool))
		roundTrip(t, rapid.SampledFrom([]Program{"1", "65535", "News HD"}).Draw(t, "program"), new(Program))
		roundTrip(t, rapid.SampledFrom([]Name{"u", "Zoë Æ"}).Draw(t, "user"), new(Name))
		roundTrip(t, rapid.SampledFrom([]Path{"", "/", "/a/b"}).Draw(t, "path"), new(Path))
	})
}

func TestString(t *testing.T) {
	for want, v := range map[string]interface{ String() string }{
		"0s": Duration(0), "10s": Duration(10 * time.Second), "1m": Duration(time.Minute), "2h": Duration(2 * time.Hour), "1m30s": Duration(90 * time.Second), "500ms": Duration(500 * time.Millisecond),
		"0B": Size(0), "64MB": 64 * Size(megabyte), "1MiB": Size(1 << 20), "1GB": Size(1e9), "1001B": Size(1001), "16kB": Size(16000), "16KiB": Size(16384),
		"4": Count(4),
	} {
		require.Equal(t, want, v.String())
	}
}

func TestAddressIsLoopback(t *testing.T) {
	for address, want := range map[Address]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "[fe80::1%lo]:1": false, "x": false,
	} {
		require.Equal(t, want, address.IsLoopback(), address)
	}
}

func TestLevel(t *testing.T) {
	for level, want := range map[LogLevel]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		require.Equal(t, want, level.Level())
	}
}

func TestStreamName(t *testing.T) {
	for name, want := range map[string]bool{
		"live": true, "a": true, "0": true, "A_.+-9": true, strings.Repeat("x", 100): true,
		"": false, "-a": false, ".": false, "..": false, "a/b": false, "a b": false, "a\x00": false, "é": false, "a*": false, strings.Repeat("x", 101): false,
	} {
		var n StreamName
		require.Equal(t, want, n.UnmarshalText([]byte(name)) == nil, "%q", name)
	}
}

func TestPattern(t *testing.T) {
	for pattern, want := range map[string]bool{"*": true, "a*": true, "**": true, "*.x": true, "a": true, "": false, "?": false, "[a]": false, ".x": false, "a/*": false} {
		var p Pattern
		require.Equal(t, want, p.UnmarshalText([]byte(pattern)) == nil, "%q", pattern)
	}
}

// path.Match knows more than *, but agrees on it.
func TestPatternMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringMatching(`[ab*]{0,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[ab]{0,8}`).Draw(t, "name")
		want, err := path.Match(p, name)
		require.NoError(t, err)
		require.Equal(t, want, Pattern(p).Match(name))
	})
	slow := Pattern(strings.Repeat("*a", 50))
	require.False(t, slow.Match(strings.Repeat("a", 99)+"b"))
}
