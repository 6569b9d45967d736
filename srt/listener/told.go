package listener

import (
	"log/slog"
	"net/netip"

	"brume/loglimit"
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

// repeated logs what may come often, at most a line a second for each reason. The reasons are the listener's own texts, of
// which there are few.
func (l *listener) repeated(text, reason string, attrs ...any) {
	lines := l.lines[reason]
	if lines == nil {
		lines = &loglimit.Lines{}
		l.lines[reason] = lines
	}
	lines.Log(l.log, slog.LevelInfo, text, append(attrs, "reason", reason)...)
}
