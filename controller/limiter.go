package controller

import (
	"context"
	"log/slog"
	"sync"
	"time"
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

// linesPerSecond bounds the log lines that one source of them may cause.
const linesPerSecond = 20

// lines bounds log lines that somebody outside causes. The zero value is ready for use.
type lines struct {
	budget   *budget
	unlogged uint64
}

// log writes a line, or counts it where there were too many.
func (l *lines) log(log *slog.Logger, level slog.Level, text string, attrs ...any) {
	if l.budget == nil {
		l.budget = newBudget(linesPerSecond)
	}
	l.budget.refill()
	if l.budget.left < 1 {
		l.unlogged++
		return
	}
	l.budget.left--
	if l.unlogged > 0 {
		attrs = append(attrs, "unlogged", l.unlogged)
		l.unlogged = 0
	}
	log.Log(context.Background(), level, text, attrs...)
}
