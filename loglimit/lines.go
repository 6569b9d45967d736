// Package loglimit bounds the log lines that somebody outside may cause.
package loglimit

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"brume/rate"
)

// Lines bounds the log lines that somebody outside may cause. Lines above the bound are counted, and the next line that is
// written has their number as unlogged. The zero value writes one line a second.
type Lines struct {
	PerSecond float64 // 1 where it is 0
	Shared    *Lines  // a further bound over several, or nil

	mu       sync.Mutex
	budget   rate.Bucket
	unlogged uint64
}

// Log writes a line, or counts it where there were too many.
func (l *Lines) Log(log *slog.Logger, level slog.Level, text string, attrs ...any) {
	l.mu.Lock()
	if !l.may() || l.Shared != nil && !l.Shared.take() {
		l.unlogged++
		l.mu.Unlock()
		return
	}
	unlogged := l.unlogged
	l.unlogged = 0
	l.mu.Unlock()
	if unlogged > 0 {
		attrs = append(attrs, "unlogged", unlogged)
	}
	log.Log(context.Background(), level, text, attrs...)
}

// take takes one line from the budget and reports whether it was there.
func (l *Lines) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.may()
}

// may is take with the mutex held.
func (l *Lines) may() bool { return l.budget.Take(cmp.Or(l.PerSecond, 1), time.Now()) }
