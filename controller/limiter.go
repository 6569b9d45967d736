package controller

import (
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
