package listener

import (
	"log/slog"
	"net/netip"

	"brume/srt"
)

// refused notes a caller that the core has declined. The reasons are the core's own texts, of which there are few.
func (l *listener) refused(peer, local netip.AddrPort) {
	r := l.refusals[l.core.why]
	if r == nil {
		r = &srt.Refused{}
		l.refusals[l.core.why] = r
	}
	*r = srt.Refused{
		Peer: peer.String(), Local: local.String(), StreamID: l.core.hs.Ext.StreamID(), Code: l.core.code, Reason: l.core.why, Times: r.Times + 1,
	}
}

// tellRefused tells the controller of the callers that were declined.
func (l *listener) tellRefused() {
	for _, r := range l.refusals {
		_ = l.ctl.Send(srt.MsgRefused, r)
	}
	clear(l.refusals)
}

// limiter logs what repeats once a second for each reason: how often it came, and the last one. The reasons are the
// listener's own texts, of which there are few.
type limiter struct {
	log  *slog.Logger
	text string
	seen map[string]*repeated
}

type repeated struct {
	times int
	attrs []any
}

func newLimiter(log *slog.Logger, text string) limiter {
	return limiter{log: log, text: text, seen: map[string]*repeated{}}
}

func (l *limiter) add(reason string, attrs ...any) {
	r := l.seen[reason]
	if r == nil {
		r = &repeated{}
		l.seen[reason] = r
	}
	r.times++
	r.attrs = attrs
}

func (l *limiter) flush() {
	for reason, r := range l.seen {
		l.log.Info(l.text, append(r.attrs, "reason", reason, "times", r.times)...)
	}
	clear(l.seen)
}
