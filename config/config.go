// Package config reads the server's one YAML file. It is strict: an unknown key or a wrong
// value is refused with its place and a sentence that says what to do. Every key has a default,
// and every key outside the table of streams can be set in the environment.
package config

import (
	"time"

	"brume/srt"
)

// Config is all that can be set. Its yaml tags are the keys of the file, and, joined by
// underscores in upper case behind BRUME_, the names of the environment variables.
type Config struct {
	SRT        SRT      `yaml:"srt"`
	HTTP       HTTP     `yaml:"http"`
	API        API      `yaml:"api"`
	RuntimeDir Path     `yaml:"runtime_dir"` // what may vanish at a reboot; Load never leaves it empty
	DataDir    Path     `yaml:"data_dir"`    // what must stay; Load never leaves it empty
	Log        Log      `yaml:"log"`
	Buffer     Buffer   `yaml:"buffer"`
	Resume     Duration `yaml:"resume"` // how long viewers are kept when the publisher is gone, 0 to 1h
	Limits     Limits   `yaml:"limits"`

	// Access says who may publish and play what. Without an entry everybody may do everything.
	Access []Access `yaml:"access"`

	// Streams holds settings by stream name or pattern, each complete: what an entry of
	// the file leaves out has the general value. Use Config.Stream to look one up.
	Streams map[Pattern]StreamConfig `yaml:"streams"`
}

// SRT is what callers over SRT find: a first port, which the environment can set too, and more of them.
type SRT struct {
	Port `yaml:",inline"`

	Pool  Count  `yaml:"pool"`  // idle connection processes kept ready, 1 to 64
	Ports []Port `yaml:"ports"` // further ports, each complete: what an entry leaves out has the first port's value

	Rendezvous []Network `yaml:"rendezvous"` // that may be called by mode=rendezvous; none where there is none
}

// Port is one UDP port and what holds for its callers.
type Port struct {
	Address    Address    `yaml:"address"`    // UDP address to listen on
	Stream     StreamName `yaml:"stream"`     // stream of a caller that sends no stream id
	Mode       Mode       `yaml:"mode"`       // what its callers may do
	Latency    Duration   `yaml:"latency"`    // lowest receive latency, both ways, 0 to 60s
	Passphrase Secret     `yaml:"passphrase"` // that callers have to know, 10 to 79 bytes; empty for none
	Options    Options    `yaml:"options"`    // of libsrt
	Slash      srt.Slash  `yaml:"slash"`      // what becomes of names with slashes
	Networks   []Network  `yaml:"networks"`   // that callers may come from; all where there is none
}

// AllPorts returns the first port and the others.
func (s *SRT) AllPorts() []Port { return append([]Port{s.Port}, s.Ports...) }

// HTTP is the port of viewers.
type HTTP struct {
	Address   Address `yaml:"address"`    // TCP address to listen on
	KeepQuery Bool    `yaml:"keep_query"` // playlists carry the query of their request on to what they name
}

// API is the port of the API, the metrics and the front page. Nobody has to log in there, so
// that its address must be a loopback one.
type API struct {
	Address Address `yaml:"address"` // TCP address to listen on
}

// Log says how much is logged, and in which form. Logs go to standard error.
type Log struct {
	Level  LogLevel  `yaml:"level"`
	Format LogFormat `yaml:"format"`
}

// Buffer is the shape of a stream's buffer, and so of its HLS playlists.
type Buffer struct {
	Window        Duration `yaml:"window"`         // how much media is kept, up to 1h
	Size          Size     `yaml:"size"`           // most memory of one stream, 4MiB to 32GiB
	SegmentTarget Duration `yaml:"segment_target"` // how long segments are where random access points allow, 250ms to 60s
	SegmentMax    Duration `yaml:"segment_max"`    // no segment is longer, 1s to 60s
	PartTarget    Duration `yaml:"part_target"`    // usual part of low-latency HLS, 100ms to 5s, or 0 for none
}

// StreamConfig is what holds for one stream.
type StreamConfig struct {
	Buffer Buffer    `yaml:"buffer"`
	Resume Duration  `yaml:"resume"` // as Config.Resume
	SRT    StreamSRT `yaml:"srt"`
	Raw    Bool      `yaml:"raw"` // keep the transport stream as it came, and send that to SRT players

	// Program is the one of a transport stream with several that is taken; empty for the first.
	Program Program `yaml:"program"`
	// Programs are the streams that further programs of the same transport stream go to.
	Programs map[Program]StreamName `yaml:"programs"`

	Source    []URL    `yaml:"source"`     // that the stream is pulled from: the first that works, the others are its backups
	Start     Start    `yaml:"start"`      // when the source is called; empty for demand
	StopAfter Duration `yaml:"stop_after"` // how long a source that was asked for goes on without viewers, 0 to 24h
	Push      []URL    `yaml:"push"`       // that the stream is pushed to while it is live
}

// StreamSRT is what holds for a stream's connections over SRT, in place of what holds for the port.
type StreamSRT struct {
	PublishPassphrase Secret   `yaml:"publish_passphrase"` // of publishers; empty for the port's
	PlayPassphrase    Secret   `yaml:"play_passphrase"`    // of players; empty for the port's
	Latency           Duration `yaml:"latency"`            // 0 for the port's
	Options           Options  `yaml:"options"`            // of libsrt, laid over the port's
}

// Access lets those who know a user's password or a token, or everybody where neither is set, do something.
type Access struct {
	User     Name      `yaml:"user"`
	Password Secret    `yaml:"password"` // of User
	Token    Secret    `yaml:"token"`    // a secret without a user
	Action   Mode      `yaml:"action"`   // publish, play or any
	Streams  []Pattern `yaml:"streams"`  // all where there is none
	Networks []Network `yaml:"networks"` // all where there is none
}

// Limits bound what strangers can use up. 0 means no limit, but for the last two.
type Limits struct {
	Connections    Count    `yaml:"connections"`      // over SRT, in all
	PerAddress     Count    `yaml:"per_address"`      // over SRT, of one IPv4 address or IPv6 /64
	PerStream      Count    `yaml:"per_stream"`       // over SRT, of one stream
	HTTPPerAddress Count    `yaml:"http_per_address"` // TCP connections at the HTTP port, of one IPv4 address or IPv6 /64
	Handshakes     Count    `yaml:"handshakes"`       // callers that are judged in a second, of one address
	Pending        Count    `yaml:"pending"`          // callers of one address that wait for an answer
	ChildMemory    Size     `yaml:"child_memory"`     // private memory of a connection process, 128MiB to 8GiB
	ChildCPU       Duration `yaml:"child_cpu"`        // processor time that a connection process may use up without media, 1s to 1h
}

// Default returns the value of every key that nobody set. RuntimeDir and DataDir are empty
// in it: Load fills them in, since they depend on the user and the environment.
func Default() *Config {
	return &Config{
		SRT: SRT{
			Port: Port{
				Address: ":8889",
				Stream:  "live",
				Mode:    ModeAny,
				Slash:   srt.SlashRefuse,
				Latency: Duration(120 * time.Millisecond),
			},
			Pool: 4,
		},
		HTTP: HTTP{Address: ":8080"},
		API:  API{Address: "127.0.0.1:4242"},
		Log:  Log{Level: "info", Format: LogAuto},
		Buffer: Buffer{
			Window:        Duration(72 * time.Second),
			Size:          64 * megabyte,
			SegmentTarget: Duration(time.Second),
			SegmentMax:    Duration(12 * time.Second),
			PartTarget:    Duration(500 * time.Millisecond),
		},
		Resume: Duration(10 * time.Second),
		Limits: Limits{
			Connections:    2000,
			PerAddress:     500,
			HTTPPerAddress: 1000,
			Handshakes:     200,
			Pending:        128,
			ChildMemory:    256 * mebibyte,
			ChildCPU:       Duration(10 * time.Second),
		},
		Streams: map[Pattern]StreamConfig{},
	}
}

// Stream returns what holds for the stream of that name: its own entry, else that of the
// pattern with the most literal characters that fits, else the general values. Exactly one
// entry applies; entries are not laid over each other.
func (c *Config) Stream(name string) StreamConfig {
	if s, ok := c.Streams[Pattern(name)]; ok {
		return s
	}
	if p, ok := c.hidden(Pattern(name)); ok {
		return c.Streams[p]
	}
	return c.general()
}

// defaultStopAfter is long enough for a viewer who changes the player or reloads the page.
const defaultStopAfter = Duration(30 * time.Second)

func (c *Config) general() StreamConfig {
	return StreamConfig{Buffer: c.Buffer, Resume: c.Resume, StopAfter: defaultStopAfter}
}
