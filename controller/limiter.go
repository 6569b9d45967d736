package controller

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"brume/rate"
)

// slogLimiter logs what repeats once a second, with the times it came and its last cause.
type slogLimiter struct {
	log *slog.Logger

	mu    sync.Mutex
	last  time.Time
	count uint64
}

func newLimiter(log *slog.Logger) *slogLimiter { return &slogLimiter{log: log} }

func (l *slogLimiter) warn(text string, err error, attrs ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if now := time.Now(); now.Sub(l.last) >= time.Second {
		l.log.Warn(text, append(attrs, "error", err, "times", l.count)...)
		l.last, l.count = now, 0
	}
}

// Bounds of the log lines that somebody outside may cause.
const (
	linesPerSecond    = 20  // of one source
	allLinesPerSecond = 200 // of all processes together
)

// lines bounds log lines that somebody outside causes. The zero value is ready for use.
type lines struct {
	shared   *lines // a bound over several, or nil
	perSec   float64
	budget   rate.Bucket
	unlogged uint64
}

// log writes a line, or counts it where there were too many.
func (l *lines) log(log *slog.Logger, level slog.Level, text string, attrs ...any) {
	if !l.may() || l.shared != nil && !l.shared.may() {
		l.unlogged++
		return
	}
	if l.unlogged > 0 {
		attrs = append(attrs, "unlogged", l.unlogged)
		l.unlogged = 0
	}
	log.Log(context.Background(), level, text, attrs...)
}

// may takes one line from the budget.
func (l *lines) may() bool { return l.budget.Take(cmp.Or(l.perSec, linesPerSecond), time.Now()) }
