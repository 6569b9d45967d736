package controller

import (
	"cmp"
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

// Bounds of the log lines that somebody outside may cause.
const (
	linesPerSecond    = 20  // of one source
	allLinesPerSecond = 200 // of all processes together
)

// lines bounds log lines that somebody outside causes. The zero value is ready for use.
type lines struct {
	shared   *lines // a bound over several, or nil
	perSec   float64
	budget   *budget
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
func (l *lines) may() bool {
	if l.budget == nil {
		l.budget = newBudget(cmp.Or(l.perSec, linesPerSecond))
	}
	l.budget.refill()
	if l.budget.left < 1 {
		return false
	}
	l.budget.left--
	return true
}

// budget slows the reading of a process that talks too much, so that it fills its own socket instead of our time.
type budget struct {
	perSecond float64
	left      float64
	last      time.Time
}

func newBudget(perSecond float64) *budget {
	return &budget{perSecond: perSecond, left: perSecond, last: time.Now()}
}

// spend takes one from the budget and tells how long to wait after it.
func (b *budget) spend() time.Duration {
	b.refill()
	b.left--
	return time.Duration(max(-b.left, 0) / b.perSecond * float64(time.Second))
}

func (b *budget) refill() {
	now := time.Now()
	b.left = min(b.perSecond, b.left+now.Sub(b.last).Seconds()*b.perSecond)
	b.last = now
}
