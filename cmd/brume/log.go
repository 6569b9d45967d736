package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"

	"brume/config"
	"brume/control"
)

// logSettings are handed from process to process on the command line.
type logSettings struct {
	Level  string `name:"log-level" default:"info" hidden:""`
	Format string `name:"log-format" default:"auto" hidden:""`
}

func (l *logSettings) arguments() []string {
	return []string{"--log-level", l.Level, "--log-format", l.Format}
}

// logger makes the process's logger and settles the format, so that all processes use the same.
func (l *logSettings) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return nil, fmt.Errorf("log level %q: %w", l.Level, err)
	}
	if l.Format == string(config.LogAuto) {
		l.Format = string(config.LogJSON)
		if isTerminal(os.Stderr) {
			l.Format = string(config.LogText)
		}
	}
	return slog.New(newHandler(os.Stderr, l.Format, level)), nil
}

// newHandler writes lines to w. What has no value where it is logged, such as the port of a process that has none, is left out.
func newHandler(w io.Writer, format string, level slog.Level) slog.Handler {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if empty(a.Value) {
			return slog.Attr{} // which slog leaves out
		}
		return a
	}}
	if format == string(config.LogText) {
		return slog.NewTextHandler(w, options)
	}
	return slog.NewJSONHandler(w, options)
}

// empty reports whether a value is nil, or a string, list or map without anything in it. Numbers and durations never are.
func empty(v slog.Value) bool {
	if v.Kind() == slog.KindString {
		return v.String() == ""
	}
	if v.Kind() != slog.KindAny {
		return false
	}
	switch r := reflect.ValueOf(v.Any()); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.String, reflect.Slice, reflect.Map:
		return r.Len() == 0
	case reflect.Pointer:
		return r.IsNil()
	default:
		return false
	}
}

// child is the control socket of a process that the controller has started, and a log whose lines go by that.
func (l *logSettings) child() (*control.Conn, *slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return nil, nil, fmt.Errorf("log level %q: %w", l.Level, err)
	}
	ctl, err := control.Child()
	if err != nil {
		return nil, nil, err
	}
	return ctl, slog.New(control.NewLogHandler(ctl, level)), nil
}
