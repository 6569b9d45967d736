package controller

import (
	"log/slog"
	"math"
	"slices"

	"brume/control"
	"brume/loglimit"
	"brume/untrusted"
)

// Bounds of the log lines that somebody outside may cause.
const (
	linesPerSecond    = 20  // of one source
	allLinesPerSecond = 200 // of all processes together
)

var childLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// childLog passes on a line of a process, bounded.
func (c *Controller) childLog(p *process, m control.Message) error {
	var l control.Log
	if err := m.Decode(&l); err != nil {
		return err
	}
	level, known := childLevels[l.Level]
	if !known {
		level = slog.LevelInfo
	}
	attrs := []any{"text", untrusted.Text(l.Text, 500), "role", p.Role, "pid", p.PID}
	if p.conn != nil {
		attrs = append(attrs, "conn", p.conn.ID, "stream", p.conn.Stream, "peer", p.conn.Peer)
	}
	if l.Count > 1 {
		attrs = append(attrs, "times", l.Count)
	}
	attrs = childAttrs(attrs, l.Attrs)
	c.linesOf(p).Log(c.log, level, "a process says", attrs...)
	return nil
}

// linesOf are the lines that a process may cause, within those of all together.
func (c *Controller) linesOf(p *process) *loglimit.Lines {
	p.lines.PerSecond, p.lines.Shared = linesPerSecond, &c.childLines
	return &p.lines
}

// childAttrs adds the attributes that a process gave its line, bounded. It has no say in those that the line has already.
func childAttrs(attrs []any, all []control.LogAttr) []any {
	taken := []any{slog.TimeKey, slog.LevelKey, slog.MessageKey}
	for i := 0; i < len(attrs); i += 2 {
		taken = append(taken, attrs[i])
	}
	room := control.MaxLogText
	for _, a := range all[:min(len(all), control.MaxLogAttrs)] {
		key := untrusted.Text(a.Key, 32)
		if slices.Contains(taken, any(key)) {
			key = "its_" + key
		}
		switch v := a.Value.(type) {
		case string:
			v = untrusted.Lines(v, room)
			room -= len(v)
			attrs = append(attrs, key, v)
		case float64:
			if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
				attrs = append(attrs, key, int64(v))
			} else {
				attrs = append(attrs, key, v)
			}
		case bool:
			attrs = append(attrs, key, v)
		}
	}
	return attrs
}
