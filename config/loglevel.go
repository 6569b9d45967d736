package config

import (
	"fmt"
	"log/slog"
)

// LogLevel is the least severe level that is logged: debug, info, warn or error.
type LogLevel string

// Level returns the level for slog.
func (l LogLevel) Level() slog.Level {
	switch l {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// MarshalText returns the level's name.
func (l LogLevel) MarshalText() ([]byte, error) { return []byte(l), nil }

// UnmarshalText reads a level's name.
func (l *LogLevel) UnmarshalText(text []byte) error {
	switch LogLevel(text) {
	case "debug", "info", "warn", "error":
		*l = LogLevel(text)
		return nil
	}
	return fmt.Errorf("%q is not a log level; write debug, info, warn or error", text)
}
