package config

import "fmt"

// LogFormat is the form of log lines.
type LogFormat string

// The forms of log lines.
const (
	LogAuto LogFormat = "auto" // text on a terminal, JSON otherwise
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// MarshalText returns the format's name.
func (f LogFormat) MarshalText() ([]byte, error) { return []byte(f), nil }

// UnmarshalText reads a format's name.
func (f *LogFormat) UnmarshalText(text []byte) error {
	switch LogFormat(text) {
	case LogAuto, LogText, LogJSON:
		*f = LogFormat(text)
		return nil
	}
	return fmt.Errorf("%q is not a log format; write auto, text or json", text)
}
