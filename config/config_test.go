package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/srt"
)

const example = "brume.example.yaml"

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "brume.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestExampleIsDefault(t *testing.T) {
	text, err := os.ReadFile(example)
	require.NoError(t, err)
	c, err := parse(example, text, nil)
	require.NoError(t, err)
	require.Equal(t, Default(), c)
	require.NoError(t, Check(example))
}

// A key that the example forgot would still have its default, so look for each by name.
func TestExampleNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile(example)
	require.NoError(t, err)
	d := decoderOf(t, string(text))
	for _, key := range keysOf(t) {
		require.Contains(t, d.places, key)
	}
	require.Contains(t, string(text), "\nstreams: {}")
}

// The commented entries of the example must be right too.
func TestExampleOfStreams(t *testing.T) {
	text, err := os.ReadFile(example)
	require.NoError(t, err)
	_, tail, ok := strings.Cut(string(text), "# streams:\n")
	require.True(t, ok)
	tail = "streams:\n" + strings.ReplaceAll(strings.ReplaceAll(tail, "streams: {}\n", ""), "# ", "")
	c, err := parse(example, []byte(tail), nil)
	require.NoError(t, err)
	require.Len(t, c.Streams, 4)
	require.Len(t, c.Stream("remote").Source, 2)
	require.Equal(t, StartAlways, c.Stream("remote").Start)
	require.Equal(t, map[Program]StreamName{"2": "sport", "Kids HD": "kids"}, c.Stream("mux").Programs)
	require.Equal(t, Duration(time.Minute), c.Stream("news").Resume)
	require.Equal(t, 256*Size(megabyte), c.Stream("cam-7").Buffer.Size)
}

func TestLoad(t *testing.T) {
	path := write(t, `
srt: {address: "127.0.0.1:9000", stream: 1234, latency: 250ms}
http:
  address: "[::1]:0"
log:
resume: 0s
buffer:
  size: 32MiB
  part_target: 0s
runtime_dir: /tmp/x/../brume
streams:
  live:
  "a*": {resume: 1m, buffer: {window: 90s}}
`)
	c, err := Load(path, []string{"HOME=/home/u", "BRUME_API_ADDRESS=127.0.0.2:0", "BRUME_BUFFER_SIZE=16MB", "BRUME_DATA_DIR=/data"})
	require.NoError(t, err)
	require.Equal(t, Address("127.0.0.1:9000"), c.SRT.Address)
	require.Equal(t, StreamName("1234"), c.SRT.Stream)
	require.Equal(t, Duration(250*time.Millisecond), c.SRT.Latency)
	require.Equal(t, Count(4), c.SRT.Pool)
	require.Equal(t, Address("[::1]:0"), c.HTTP.Address)
	require.Equal(t, Address("127.0.0.2:0"), c.API.Address)
	require.Equal(t, LogLevel("info"), c.Log.Level)
	require.Equal(t, Path("/tmp/brume"), c.RuntimeDir)
	require.Equal(t, Path("/data"), c.DataDir)
	require.Equal(t, 16*Size(megabyte), c.Buffer.Size)
	require.Zero(t, c.Buffer.PartTarget)
	require.Zero(t, c.Resume)

	// An entry begins with the general values, those of the environment included.
	require.Equal(t, StreamConfig{Buffer: c.Buffer, StopAfter: defaultStopAfter}, c.Stream("live"))
	want := StreamConfig{Buffer: c.Buffer, Resume: Duration(time.Minute), StopAfter: defaultStopAfter}
	want.Buffer.Window = Duration(90 * time.Second)
	require.Equal(t, want, c.Stream("abc"))
	require.Equal(t, StreamConfig{Buffer: c.Buffer, StopAfter: defaultStopAfter}, c.Stream("other"))
}

func TestLoadNoFile(t *testing.T) {
	c, err := Load("", []string{"PATH=/bin"})
	require.NoError(t, err)
	require.NotEmpty(t, c.RuntimeDir)
	require.NotEmpty(t, c.DataDir)
	c.RuntimeDir, c.DataDir = "", ""
	require.Equal(t, Default(), c)
	for _, empty := range []string{"", "\n\n", "# nothing\n", "---\n", "{}", "streams:\n", "srt:\n"} {
		c, err = parse("f", []byte(empty), nil)
		require.NoError(t, err, "%q", empty)
		require.Equal(t, Default(), c, "%q", empty)
	}
}

func TestLoadUnreadable(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	_, err := Load(missing, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorIs(t, Check(missing), os.ErrNotExist)
	_, err = Load(t.TempDir(), nil)
	require.Error(t, err)
	require.ErrorContains(t, Check(write(t, strings.Repeat("#", MaxFileSize+1))), "larger than 256KiB")
}

// Each wrong file is refused with the place of the fault and what to do.
func TestRefused(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"unknown key", "srt:\n  adress: :1\n", "f:2:3: srt.adress: unknown key; did you mean address?"},
		{"unknown key, far off", "http:\n  tls: yes\n", "f:2:3: http.tls: unknown key; the keys here are address"},
		{"unknown top key", "rtmp: {}\n", "f:1:1: rtmp: unknown key; the keys here are access, api, buffer"},
		{"unknown key of a stream", "streams:\n  live:\n    latency: 1s\n", "f:3:5: streams.live.latency: unknown key; the keys here are buffer, program, programs, push, raw, resume, source, srt, start, stop_after"},
		{"no unit", "resume: 10\n", `f:1:9: resume: "10" has no unit; write 10s or 10ms`},
		{"no duration", "resume: soon\n", `f:1:9: resume: "soon" is not a duration; write one like 10s`},
		{"negative", "resume: -1s\n", "f:1:9: resume: a duration cannot be negative"},
		{"out of range", "srt:\n  latency: 61s\n", "f:2:3: srt.latency: 1m1s is out of range; write a duration from 0s to 1m"},
		{"size without unit", "buffer: {size: 64}\n", `f:1:16: buffer.size: "64" has no unit; write one like 64MB`},
		{"size", "buffer: {size: 1.5MB}\n", `"1.5MB" is not a size; write a whole number`},
		{"huge size", "buffer: {size: 99999999999999GB}\n", "is too large"},
		{"small size", "buffer: {size: 1kB}\n", "f:1:10: buffer.size: 1kB is out of range; write a size from 4MiB to 32GiB"},
		{"pool", "srt: {pool: 65}\n", "srt.pool: 65 is out of range; write a number from 1 to 64"},
		{"pool of none", "srt: {pool: 0}\n", "srt.pool: 0 is out of range"},
		{"pool no number", "srt: {pool: 1.5}\n", `f:1:13: srt.pool: "1.5" is not a whole number; write one like 4`},
		{"no port", "http: {address: localhost}\n", `"localhost" is not an address; write one like :8889`},
		{"port", "http: {address: ':70000'}\n", `port "70000" of ":70000" is not a number from 0 to 65535`},
		{"host name", "http: {address: 'example.org:80'}\n", `host "example.org" of "example.org:80" is not an IP address`},
		{"open API", "api:\n  address: :4242\n", "f:2:3: api.address: the API asks nobody for a password, so it must listen on a loopback address"},
		{"log level", "log: {level: loud}\n", `"loud" is not a log level; write debug, info, warn or error`},
		{"log format", "log: {format: xml}\n", `"xml" is not a log format; write auto, text or json`},
		{"relative path", "data_dir: data\n", `"data" is a relative path; write one that begins with /`},
		{"stream name", "srt: {stream: ../etc}\n", `"../etc" cannot be the name of a stream`},
		{"pattern", "streams: {'a/b': {}}\n", `f:1:11: streams: "a/b" cannot fit the name of a stream`},
		{"mode", "srt: {mode: both}\n", `srt.mode: "both" is none of any, publish and play`},
		{"slash", "srt: {slash: keep}\n", `srt.slash: "keep" is not a way to take slashes; write refuse, last or join`},
		{"short passphrase", "srt: {passphrase: 'verysecre'}\n", "f:1:7: srt.passphrase: a passphrase has 10 to 79 bytes, and this one has 9"},
		{"unknown option", "srt: {options: {lossmaxtll: 5}}\n", "f:1:17: srt.options.lossmaxtll: there is no such option of SRT that can be set for a live connection; did you mean lossmaxttl?"},
		{"option's value", "srt: {options: {lossmaxttl: many}}\n", `srt.options.lossmaxttl: wrong value of SRT option lossmaxttl: "many" is no number`},
		{"option with a key of its own", "srt: {options: {latency: 5}}\n", "srt.options.latency: the latency has a key of its own"},
		{"option with keys", "srt: {options: {lossmaxttl: {a: b}}}\n", "srt.options.lossmaxttl: needs one plain value"},
		{"network", "srt: {networks: [10.0.0.1/8]}\n", `srt.networks.0: "10.0.0.1/8" has bits behind its network; write 10.0.0.0/8`},
		{"no network", "srt: {networks: [example.org]}\n", `"example.org" is no network`},
		{"no list", "srt: {networks: 10.0.0.0/8}\n", "f:1:17: srt.networks: needs a list"},
		{"port without an address", "srt:\n  ports:\n  - stream: a\n", "f:3:5: srt.ports.0: a port needs an address"},
		{"port twice", "srt:\n  ports:\n  - address: :8889\n", "f:3:5: srt.ports.0.address: the address :8889 is another port's already"},
		{"port's options", "srt:\n  ports:\n  - {address: ':1', options: {mss: 1}}\n", "srt.ports.0.options.mss: wrong value of SRT option mss"},
		{"user without a password", "access:\n- user: u\n", "f:2:3: access.0.user: a user needs a password"},
		{"password without a user", "access:\n- password: p\n", "access.0.password: a password needs a user"},
		{"user and token", "access:\n- {user: u, password: p, token: t}\n", "access.0.token: an entry has either a user or a token"},
		{"two passwords", "access:\n- {user: u, password: p}\n- {user: u, password: q}\n", "access.1.password: the user has another password in an entry before"},
		{"pattern of access", "access:\n- {streams: ['a b']}\n", `access.0.streams.0: "a b" cannot fit the name of a stream`},
		{"no name", "access:\n- {user: \"a\\tb\", password: p}\n", "a user's name has 1 to 100 bytes and no control characters"},
		{"long secret", "srt: {passphrase: " + strings.Repeat("x", 513) + "}\n", "a secret has 512 bytes at most"},
		{"child's memory", "limits: {child_memory: 64MB}\n", "limits.child_memory: 64MB is out of range; write a size from 128MiB to 8GiB"},
		{"child's time", "limits: {child_cpu: 1ms}\n", "limits.child_cpu: 1ms is out of range"},
		{"stream's passphrase", "streams: {a: {srt: {play_passphrase: short}}}\n", "streams.a.srt.play_passphrase: a passphrase has 10 to 79 bytes"},
		{"stream's options", "streams: {a: {srt: {options: {x: 1}}}}\n", "streams.a.srt.options.x: there is no such option"},
		{"stream's latency", "streams: {a: {srt: {latency: 2m}}}\n", "streams.a.srt.latency: 2m is out of range"},
		{"neither true nor false", "streams: {a: {raw: 1}}\n", `streams.a.raw: "1" is neither true nor false`},
		{"program number", "streams: {a: {program: 65536}}\n", "streams.a.program: 65536 is no program number"},
		{"programs of a pattern", "streams: {'a*': {programs: {1: b}}}\n", "streams.a*.programs: a pattern cannot have programs"},
		{"programs to one stream", "streams: {a: {programs: {1: a}}}\n", "streams.a.programs.1: the stream a has a program already"},
		{"programs to a stream that is to be kept raw", "streams: {a: {raw: true, programs: {1: b}}, b: {raw: true}}\n", "streams.a.programs.1: the stream b gets one program"},
		{"program to no stream", "streams: {a: {programs: {1: '/'}}}\n", `streams.a.programs.1: "/" cannot be the name of a stream`},
		{"source", "streams: {a: {source: ['srt://h:1?latncy=1']}}\n", "f:1:24: streams.a.source.0: bad SRT URL: parameter 1 is unknown; did you mean latency?"},
		{"no source", "streams: {a: {source: ['rtmp://h']}}\n", "streams.a.source.0: bad URL: it has to begin with srt://"},
		{"source that is no list", "streams: {a: {source: 'srt://h:1'}}\n", "streams.a.source: needs a list"},
		{"start", "streams: {a: {source: ['srt://h:1'], start: now}}\n", `streams.a.start: "now" is neither demand nor always`},
		{"start of a pattern", "streams: {'a*': {source: ['srt://h:1'], start: always}}\n", "streams.a*.start: a pattern names no stream that could start by itself"},
		{"start of nothing", "streams: {a: {start: always}}\n", "streams.a.start: there is no source"},
		{"stop", "streams: {a: {source: ['srt://h:1'], stop_after: 25h}}\n", "streams.a.stop_after: 25h is out of range"},
		{"rendezvous", "streams: {a: {push: ['srt://192.0.2.1:1?mode=rendezvous']}}\n", "streams.a.push.0: rendezvous is off, since it cannot prove who calls; add the network of the peer to srt.rendezvous"},
		{"rendezvous elsewhere", "srt: {rendezvous: [10.0.0.0/8]}\nstreams: {a: {push: ['srt://192.0.2.1:1?mode=rendezvous']}}\n", "streams.a.push.0: 192.0.2.1 is in none of the networks of srt.rendezvous"},
		{"port of a pattern", "streams: {'a*': {push: ['srt://:1']}}\n", "streams.a*.push.0: a pattern cannot have a port of its own"},
		{"local port of a pattern", "streams: {'a*': {push: ['srt://h:1?port=5']}}\n", "streams.a*.push.0: a pattern cannot have a port of its own"},
		{"listener with a backup", "streams: {a: {source: ['srt://:1', 'srt://h:1']}}\n", "streams.a.source.0: a source that listens is alone"},
		{"listener on demand", "streams: {a: {source: ['srt://:1'], start: demand}}\n", "streams.a.start: a source that listens is there all the time"},
		{"listener's port", "streams: {a: {push: ['srt://:1', 'srt://:1']}}\n", "streams.a.push.1: the address :1 is another port's already"},
		{"listener on a port", "streams: {a: {push: ['srt://:8889']}}\n", "streams.a.push.0: the address :8889 is another port's already"},
		{"too many sources", "streams: {a: {source: [" + strings.Repeat("'srt://h:1',", 17) + "]}}\n", "streams.a.source: there are more than 16 sources"},
		{"too many targets", "streams: {a: {push: [" + strings.Repeat("'srt://h:1',", 17) + "]}}\n", "streams.a.push: there are more than 16 targets"},
		{"section with a value", "srt: 5\n", "f:1:6: srt: needs keys below it"},
		{"section with a list", "srt: [1]\n", "srt: needs keys below it"},
		{"file with a list", "- a\n- b\n", "f:1:1: needs keys below it"},
		{"leaf with a section", "resume: {a: b}\n", "resume: needs one plain value"},
		{"leaf with a list", "resume: [1s]\n", "resume: needs one plain value"},
		{"leaf with nothing", "resume:\n", "resume: needs one plain value"},
		{"twice", "resume: 1s\nresume: 2s\n", "f:2:1:"},
		{"anchor", "resume: &a 1s\n", "f:1:9: anchors, aliases, tags and directives are not supported; write the value itself"},
		{"alias", "resume: *a\n", "f:1:9: anchors"},
		{"tag", "resume: !!str 1s\n", "f:1:9: anchors"},
		{"directive", "%YAML 1.2\n---\n", "f:1:1: anchors"},
		{"brackets", "srt: " + strings.Repeat("[", 1<<17), "f:1:22: too many brackets"},
		{"lists", strings.Repeat("a:\n-\n", 1<<14), "too many brackets"},
		{"keys of keys", strings.Repeat("? ", 1<<17), "too many brackets"},
		{"merge", "srt:\n  <<: {pool: 1}\n", "f:2:3: srt: a key must be a plain name"},
		{"two documents", "resume: 1s\n---\nresume: 2s\n", "a second document begins here"},
		{"many documents", strings.Repeat("a\n---\n", 1<<15), "f:4:1: a second document begins here"},
		{"no YAML", "srt: {\n", "f:1:6:"},
		{"tab", "srt:\n\tpool: 4\n", "f:2:1:"},
		{"target above max", "buffer: {segment_target: 13s}\n", "a segment_target of 13s is above the segment_max of 12s"},
		{"part above target", "buffer: {part_target: 2s}\n", "a part_target of 2s is above the segment_target of 1s"},
		{"short window", "buffer: {window: 20s}\n", "f:1:10: buffer.window: a window of 20s is too short for a segment_max of 12s: HLS needs six times that; raise window to 1m12s"},
		{"long segments", "buffer: {segment_max: 20s}\n", "f:1:10: buffer.segment_max: a window of 1m12s is too short for a segment_max of 20s"},
		{"stream beside the general value", "streams:\n  live:\n    buffer:\n      segment_max: 30s\n", "f:4:7: streams.live.buffer.segment_max: a window of 1m12s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := parse("f", []byte(tc.text), nil)
			require.ErrorContains(t, err, tc.want)
			require.Nil(t, c)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "f", e.File)
			require.Positive(t, e.Line)
			require.Positive(t, e.Column)
		})
	}
}

func TestEnvironmentRefused(t *testing.T) {
	for _, tc := range []struct{ name, env, want string }{
		{"unknown", "BRUME_FOO=1", "BRUME_FOO: unknown variable; unset it"},
		{"misspelt", "BRUME_SRT_ADRESS=:1", "BRUME_SRT_ADRESS: unknown variable; did you mean BRUME_SRT_ADDRESS?"},
		{"lower case", "BRUME_srt_pool=1", "unknown variable"},
		{"section", "BRUME_SRT=1", "unknown variable"},
		{"streams", "BRUME_STREAMS_LIVE_RESUME=1s", "BRUME_STREAMS_LIVE_RESUME: streams can be set in the file only"},
		{"list", "BRUME_SRT_NETWORKS=::1", "BRUME_SRT_NETWORKS: srt.networks can be set in the file only"},
		{"secret", "BRUME_SRT_PASSPHRASE=verysecre", "BRUME_SRT_PASSPHRASE: a passphrase has 10 to 79 bytes"},
		{"wrong value", "BRUME_RESUME=10", `BRUME_RESUME: "10" has no unit`},
		{"out of range", "BRUME_SRT_POOL=0", "BRUME_SRT_POOL: 0 is out of range"},
		{"open API", "BRUME_API_ADDRESS=0.0.0.0:4242", "BRUME_API_ADDRESS: the API asks nobody for a password"},
		{"empty", "BRUME_HTTP_ADDRESS=", `BRUME_HTTP_ADDRESS: "" is not an address`},
		{"without a value", "BRUME_HTTP_ADDRESS", `BRUME_HTTP_ADDRESS: "" is not an address`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Load("", []string{"HOME=/", tc.env})
			require.ErrorContains(t, err, tc.want)
		})
	}
}

// The environment is to blame for what it set, even where the file set the key too.
func TestEnvironmentBeforeFile(t *testing.T) {
	_, err := parse("f", []byte("srt: {pool: 4}\n"), []string{"BRUME_SRT_POOL=99"})
	require.EqualError(t, err, "BRUME_SRT_POOL: 99 is out of range; write a number from 1 to 64")
	c, err := parse("f", []byte("srt: {pool: 99}\n"), []string{"BRUME_SRT_POOL=4"})
	require.NoError(t, err)
	require.Equal(t, Count(4), c.SRT.Pool)
}

func TestEveryKeyHasAVariable(t *testing.T) {
	text := map[string]string{
		"srt.address": ":1", "http.address": ":1", "http.keep_query": "true", "api.address": "127.0.0.1:1", "srt.stream": "x", "srt.pool": "2",
		"srt.latency": "1s", "runtime_dir": "/r", "data_dir": "/d", "log.level": "warn", "log.format": "json", "buffer.size": "8MB",
		"buffer.window": "50s", "buffer.segment_target": "2s", "buffer.segment_max": "5s", "buffer.part_target": "300ms", "resume": "3s",
		"srt.mode": "play", "srt.slash": "last", "srt.passphrase": "correct horse", "limits.connections": "10", "limits.per_address": "9", "limits.per_stream": "8",
		"limits.http_per_address": "5",
		"limits.handshakes":       "7", "limits.pending": "6", "limits.child_memory": "512MiB", "limits.child_cpu": "20s",
	}
	var env []string
	for _, key := range keysOf(t) {
		require.Contains(t, text, key)
		env = append(env, "BRUME_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))+"="+text[key])
	}
	c, err := Load("", env)
	require.NoError(t, err)
	require.Equal(t, &Config{
		SRT:  SRT{Port: Port{Address: ":1", Stream: "x", Mode: ModePlay, Slash: srt.SlashLast, Latency: Duration(time.Second), Passphrase: "correct horse"}, Pool: 2},
		HTTP: HTTP{":1", true}, API: API{"127.0.0.1:1"},
		RuntimeDir: "/r", DataDir: "/d", Log: Log{"warn", "json"},
		Buffer:  Buffer{Duration(50 * time.Second), 8 * megabyte, Duration(2 * time.Second), Duration(5 * time.Second), Duration(300 * time.Millisecond)},
		Resume:  Duration(3 * time.Second),
		Limits:  Limits{10, 9, 8, 5, 7, 6, 512 * mebibyte, Duration(20 * time.Second)},
		Streams: map[Pattern]StreamConfig{},
	}, c)
}

func TestAllErrorsAtOnce(t *testing.T) {
	_, err := parse("f", []byte("a: 1\nsrt:\n  pool: x\nstreams:\n  '/': {}\nresume: 1\n"), []string{"BRUME_X=1", "BRUME_RESUME=?"})
	require.Error(t, err)
	var places []string
	for line := range strings.Lines(err.Error()) {
		place, _, _ := strings.Cut(line, " ")
		places = append(places, place)
	}
	require.Equal(t, []string{"f:1:1:", "f:3:9:", "f:5:3:", "f:6:9:", "BRUME_X:", "BRUME_RESUME:"}, places)

	_, err = parse("f", []byte(strings.Repeat("? [a]\n: b\n", 3)+"x: 1\n"), nil)
	require.Error(t, err)
	many := &strings.Builder{}
	for i := range 200 {
		many.WriteString("k" + strings.Repeat("x", i) + ": 1\n")
	}
	_, err = parse("f", []byte(many.String()), nil)
	require.Error(t, err)
	require.LessOrEqual(t, strings.Count(err.Error(), "\n"), maxProblems)
}

func TestPlace(t *testing.T) {
	for _, tc := range []struct {
		name          string
		uid           int
		env           []string
		runtime, data Path
	}{
		{"root", 0, []string{"HOME=/root", "XDG_RUNTIME_DIR=/run/user/0"}, "/run/brume", "/var/lib/brume"},
		{"user", 7, []string{"HOME=/home/u"}, "/tmp/brume-7", "/home/u/.local/share/brume"},
		{"user with XDG", 7, []string{"HOME=/home/u", "XDG_RUNTIME_DIR=/run/user/7", "XDG_DATA_HOME=/x"}, "/run/user/7/brume", "/x/brume"},
		{"relative XDG", 7, []string{"HOME=/home/u", "XDG_RUNTIME_DIR=run", "XDG_DATA_HOME=x"}, "/tmp/brume-7", "/home/u/.local/share/brume"},
		{"no environment", 7, nil, "/tmp/brume-7", "/tmp/brume-7/data"},
		{"last one wins", 7, []string{"HOME=/a", "HOME=/b"}, "/tmp/brume-7", "/b/.local/share/brume"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Default()
			c.place(tc.env, tc.uid, "/tmp")
			require.Equal(t, tc.runtime, c.RuntimeDir)
			require.Equal(t, tc.data, c.DataDir)
			c.RuntimeDir, c.DataDir = "/r", "/d"
			c.place(tc.env, tc.uid, "/tmp")
			require.Equal(t, Path("/r"), c.RuntimeDir)
			require.Equal(t, Path("/d"), c.DataDir)
		})
	}
}

func TestStream(t *testing.T) {
	c := Default()
	for i, p := range []Pattern{"*", "a*", "*b", "a*b", "ab", "*ab*", "b*", "x*z", "*xz"} {
		c.Streams[p] = StreamConfig{Resume: Duration(i + 1)}
	}
	for name, want := range map[string]int{
		"ab": 5, "aab": 4, "a": 2, "b": 3, "c": 1, "cabc": 6, "ac": 2, "cb": 3, "axb": 4, "bc": 7, "AB": 1,
		"bb":  3, // *b and b* have as many literals; the first in the alphabet applies
		"xxz": 9, // so too *xz and x*z
	} {
		require.Equal(t, Duration(want), c.Stream(name).Resume, name)
	}
}

// An entry that hides a pattern's passphrases leaves its streams open, which nobody wants without knowing.
func TestWarnsOfHiddenPassphrases(t *testing.T) {
	c, err := parse("brume.yaml", []byte(`
streams:
  "*": {srt: {play_passphrase: "of all of them"}}
  "cam-*": {srt: {publish_passphrase: "of the cameras", play_passphrase: "of who watches"}}
  "cam-a-*": {srt: {publish_passphrase: "of these cameras"}}
  cam-1: {raw: true}
  cam-2: {srt: {publish_passphrase: "of camera two", play_passphrase: "of its viewers"}}
  stage: {resume: 1m}
  "*-x": {}
`), nil)
	require.NoError(t, err)
	var got []string
	for _, w := range c.Warnings() {
		got = append(got, w[:strings.Index(w, " does not")])
	}
	require.Equal(t, []string{
		"streams.*-x: the play_passphrase of the pattern *",
		"streams.cam-1: the publish_passphrase of the pattern cam-*",
		"streams.cam-1: the play_passphrase of the pattern cam-*",
		"streams.cam-a-*: the play_passphrase of the pattern cam-*",
		"streams.stage: the play_passphrase of the pattern *",
	}, got)
	require.Empty(t, Default().Warnings())
}

func TestPorts(t *testing.T) {
	c, err := parse("f", []byte(`
srt:
  latency: 300ms
  passphrase: correct horse
  options: {lossmaxttl: 40}
  slash: join
  networks: [10.0.0.0/8, "::1"]
  ports:
  - address: ":9001"
  - {address: "127.0.0.1:0", stream: cam, mode: publish, latency: 0s, passphrase: "", options: {}, slash: last, networks: []}
  - {address: "127.0.0.1:0"}
`), []string{"BRUME_SRT_LATENCY=1s"})
	require.NoError(t, err)
	first := c.SRT.Port
	require.Equal(t, Duration(time.Second), first.Latency)
	require.Equal(t, Options{"lossmaxttl": "40"}, first.Options)
	require.Equal(t, srt.SlashJoin, first.Slash)
	ports := c.SRT.AllPorts()
	require.Len(t, ports, 4)
	want := first
	want.Address = ":9001"
	require.Equal(t, want, ports[1])
	require.Equal(t, Port{Address: "127.0.0.1:0", Stream: "cam", Mode: ModePublish, Slash: srt.SlashLast}, ports[2])

	require.True(t, Within(first.Networks, netip.MustParseAddr("::ffff:10.1.2.3")))
	require.True(t, Within(first.Networks, netip.MustParseAddr("::1")))
	require.False(t, Within(first.Networks, netip.MustParseAddr("::2")))
	require.True(t, Within(nil, netip.MustParseAddr("fe80::1%eth0")))
	require.Equal(t, Options{"a": "2", "b": "1"}, Options{"a": "2"}.Over(Options{"a": "1", "b": "1"}))
	require.True(t, ModeAny.Allows(media.Publish) && ModeAny.Allows(media.Play) && ModePublish.Allows(media.Publish) && ModePlay.Allows(media.Play))
	require.False(t, ModePublish.Allows(media.Play) || ModePlay.Allows(media.Publish))
}

// A secret does not come out by accident, not even where it is refused.
func TestSecretsAreNotShown(t *testing.T) {
	const text = "srt: {passphrase: %[1]s}\naccess:\n- {user: u, password: %[1]s}\n- {token: %[1]s}\nstreams: {a: {srt: {publish_passphrase: %[1]s}, source: ['srt://h:1?passphrase=%[1]s&streamid=x?t=%[1]s'], push: ['srt://h:1?passphrase=%[1]s']}}\n"
	c, err := parse("f", fmt.Appendf(nil, text, "verysecret"), nil)
	require.NoError(t, err)
	require.Equal(t, "verysecret", string(c.Stream("a").SRT.PublishPassphrase))
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c.SRT), fmt.Sprintf("%#v", c.Access), fmt.Sprintf("%q", c.Access[0].Password), fmt.Sprintf("%#v", c.Streams)} {
		require.NotContains(t, shown, "verysecret")
	}
	b, err := json.Marshal(c)
	require.NoError(t, err)
	require.NotContains(t, string(b), "verysecret")
	for _, wrong := range []string{"secret123", "'secret123\u0000'", "[secret123]", "{secret123: 1}", "secret123" + strings.Repeat("x", 600)} {
		_, err := parse("f", fmt.Appendf(nil, text, wrong), []string{"BRUME_SRT_PASSPHRASE=secret123"})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret123")
	}
}

func TestCallers(t *testing.T) {
	c, err := parse("f", []byte(`
srt: {rendezvous: ["::1", 127.0.0.0/8]}
streams:
  "base+*":
    source: ["srt://h:1?streamid=read:$stream", "srt://127.0.0.1:5?mode=rendezvous"]
    stop_after: 0s
  a: {source: ["srt://h:1"], start: demand, push: ["srt://h:2", "srt://h:3"]}
`), nil)
	require.NoError(t, err)
	s := c.Stream("base+x")
	require.Zero(t, s.StopAfter)
	require.Empty(t, s.Start)
	_, u, err := s.Source[0].Parse("base+x")
	require.NoError(t, err)
	require.Equal(t, "srt://h:1?streamid=read:base+x", u.String())
	require.Equal(t, "srt://h:1?streamid=***", s.Source[0].String())
	require.Equal(t, defaultStopAfter, c.Stream("a").StopAfter)
	require.Len(t, c.Stream("a").Push, 2)
	require.Empty(t, c.Stream("b").Source)
	require.False(t, (&SRT{}).MayMeet(netip.MustParseAddr("::1")))
	require.True(t, c.SRT.MayMeet(netip.MustParseAddr("::ffff:127.0.0.1")))
	require.Error(t, c.SRT.Allows("srt://[::2]:1?mode=rendezvous", "a"))
	require.NoError(t, c.SRT.Allows("srt://name:1?mode=rendezvous", "a"))
}
