// Package config reads the server's one YAML file. It is strict: an unknown key or a wrong
// value is refused with its place and a sentence that says what to do. Every key has a default,
// and every key outside the table of streams can be set in the environment.
package config

import "time"

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

	// Streams holds settings by stream name or pattern, each complete: what an entry of
	// the file leaves out has the general value. Use Config.Stream to look one up.
	Streams map[Pattern]StreamConfig `yaml:"streams"`
}

// SRT is what callers over SRT find.
type SRT struct {
	Address Address    `yaml:"address"` // UDP address to listen on
	Stream  StreamName `yaml:"stream"`  // stream of a caller that sends no stream id
	Latency Duration   `yaml:"latency"` // lowest receive latency, both ways, 0 to 60s
	Pool    Count      `yaml:"pool"`    // idle connection processes kept ready, 1 to 64
}

// HTTP is the port of viewers.
type HTTP struct {
	Address Address `yaml:"address"` // TCP address to listen on
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
	SegmentTarget Duration `yaml:"segment_target"` // a segment ends at the first random access point after it, 250ms to 60s
	SegmentMax    Duration `yaml:"segment_max"`    // no segment is longer, 1s to 60s
	PartTarget    Duration `yaml:"part_target"`    // longest part of low-latency HLS, 100ms to 5s, or 0 for none
}

// StreamConfig is what holds for one stream.
type StreamConfig struct {
	Buffer Buffer   `yaml:"buffer"`
	Resume Duration `yaml:"resume"` // as Config.Resume
}

// Default returns the value of every key that nobody set. RuntimeDir and DataDir are empty
// in it: Load fills them in, since they depend on the user and the environment.
func Default() *Config {
	return &Config{
		SRT: SRT{
			Address: ":8889",
			Stream:  "live",
			Latency: Duration(120 * time.Millisecond),
			Pool:    4,
		},
		HTTP: HTTP{Address: ":8080"},
		API:  API{Address: "127.0.0.1:4242"},
		Log:  Log{Level: "info", Format: LogAuto},
		Buffer: Buffer{
			Window:        Duration(60 * time.Second),
			Size:          64 * megabyte,
			SegmentTarget: Duration(time.Second),
			SegmentMax:    Duration(6 * time.Second),
			PartTarget:    Duration(500 * time.Millisecond),
		},
		Resume:  Duration(10 * time.Second),
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
	best, found := Pattern(""), false
	for p := range c.Streams {
		if p.Match(name) && (!found || p.before(best)) {
			best, found = p, true
		}
	}
	if found {
		return c.Streams[best]
	}
	return c.general()
}

func (c *Config) general() StreamConfig {
	return StreamConfig{Buffer: c.Buffer, Resume: c.Resume}
}
