package control

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
)

// MsgLog is the type of a message with a Log, from any process to the one that started it.
const MsgLog = "log"

// Bounds of a Log.
const (
	MaxLogText  = 4000 // bytes of its text, and of all attributes that are texts
	MaxLogAttrs = 16
)

// Log is a line for the operator.
type Log struct {
	Level string    `json:"level"` // debug, info, warn, error
	Text  string    `json:"text"`
	Count uint64    `json:"count,omitempty"` // times it came since it was last reported
	Attrs []LogAttr `json:"attrs,omitempty"`
}

// LogAttr is an attribute of a line.
type LogAttr struct {
	Key   string `json:"key"`
	Value any    `json:"value"` // a text, a number or a boolean
}

// LogHandler is a slog.Handler that sends each line by a control socket. A process that has no log of its own can't spoil the
// operator's, neither by what it writes nor by its limit for the size of a file. It never blocks: lines for which the socket has
// no room are counted, and the next one has their number as unlogged.
type LogHandler struct {
	conn  *Conn
	level slog.Leveler
	lost  *atomic.Uint64
	attrs []LogAttr
}

// NewLogHandler returns a handler for lines of a level or above.
func NewLogHandler(conn *Conn, level slog.Leveler) *LogHandler {
	return &LogHandler{conn: conn, level: level, lost: new(atomic.Uint64)}
}

// Enabled implements slog.Handler.
func (h *LogHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// Handle implements slog.Handler. The error is ErrFull or that of a socket whose other end is gone.
func (h *LogHandler) Handle(_ context.Context, r slog.Record) error {
	line := Log{Level: strings.ToLower(r.Level.String()), Text: short(r.Message), Attrs: slices.Clone(h.attrs)}
	r.Attrs(func(a slog.Attr) bool {
		line.Attrs = append(line.Attrs, logAttr(a))
		return true
	})
	lost := h.lost.Swap(0)
	if lost > 0 {
		line.Attrs = append([]LogAttr{{"unlogged", lost}}, line.Attrs...)
	}
	line.Attrs = line.Attrs[:min(len(line.Attrs), MaxLogAttrs)]
	err := h.conn.Send(MsgLog, line)
	if err != nil {
		h.lost.Add(lost + 1)
	}
	return err
}

// WithAttrs implements slog.Handler.
func (h *LogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		next.attrs = append(next.attrs, logAttr(a))
	}
	return &next
}

// WithGroup implements slog.Handler. Lines of processes have no groups: what is in one stands beside the rest.
func (h *LogHandler) WithGroup(string) slog.Handler { return h }

func logAttr(a slog.Attr) LogAttr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindInt64, slog.KindUint64, slog.KindBool:
		return LogAttr{a.Key, v.Any()}
	default:
		return LogAttr{a.Key, short(v.String())}
	}
}

func short(s string) string { return s[:min(len(s), MaxLogText)] }
