package controller

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"brume/api"
	"brume/loglimit"
	"brume/rate"
	"brume/srt"
	"brume/untrusted"
)

const (
	// refusalEvents bounds the events in a second that callers can cause who are refused. The others are counted by cause.
	refusalEvents = 10
	// keptRefusals is how many the API lists, and maxCount how many callers one of them may stand for: a listener may claim any number.
	keptRefusals = 200
	maxCount     = 1 << 20
)

// refusals are what is told of callers that were refused.
type refusals struct {
	lines  loglimit.Lines
	budget rate.Bucket
	more   map[string]*api.EventRefusal // not told yet, by cause
	since  time.Time                    // when the first of more came
	newest []api.Refusal                // the last keptRefusals, the oldest first
}

// noteRefusal counts, logs, tells and lists callers that were refused for a cause. Every refusal comes by here.
func (c *Controller) noteRefusal(why cause, r api.Refusal, e *api.EventConnection) {
	r.Time, r.Cause, r.Code, r.Count = time.Now(), string(why), why.code(), max(1, r.Count)
	c.rejects[why] += r.Count
	attrs := []any{"peer", r.Peer, "local", r.Local, "stream", r.Stream, "stream_id", r.StreamID, "code", r.Code, "cause", r.Cause, "reason", r.Reason}
	if r.Connection != "" {
		attrs = append(attrs, "conn", r.Connection)
	}
	if r.Count > 1 {
		attrs = append(attrs, "count", r.Count)
	}
	c.refusals.lines.Log(c.log, slog.LevelInfo, "refused an SRT caller", attrs...)
	c.refusals.keep(r)
	c.tellRefused(&r, e)
}

// keep puts a refusal into the list, in place of the one that it repeats: a program that tries again and again must not hide the others.
func (r *refusals) keep(n api.Refusal) {
	for i := range r.newest {
		if old := &r.newest[i]; again(&n, old) {
			n.Count = min(n.Count+old.Count, maxCount)
			r.newest = slices.Delete(r.newest, i, i+1)
			break
		}
	}
	if len(r.newest) == keptRefusals {
		r.newest = slices.Delete(r.newest, 0, 1)
	}
	r.newest = append(r.newest, n)
}

// again reports whether a caller was refused for the same as before: what it asked for, at which port, and the address that it called from
// are the same. Its port is not, as a rule.
func again(n, old *api.Refusal) bool {
	return n.Cause == old.Cause && n.StreamID == old.StreamID && n.Local == old.Local && addressOf(n.Peer) == addressOf(old.Peer)
}

// addressOf is an address without its port.
func addressOf(peer string) string { return peer[:max(0, strings.LastIndexByte(peer, ':'))] }

// refusalOf is what is known of a caller that was judged by its request. slash is how its port takes slashes.
func refusalOf(req *srt.Request, slash srt.Slash, reason string) api.Refusal {
	r := api.Refusal{Peer: untrusted.Text(req.Peer, 64), Local: untrusted.Text(req.Local, 64), StreamID: shownID(req.StreamID), Reason: untrusted.Text(reason, 200)}
	if id, err := srt.ParseStreamID(req.StreamID, slash); err == nil {
		r.Stream = id.Name
	}
	return r
}

// refused answers a caller that is not admitted.
func (c *Controller) refused(a asked, why cause, reason string) {
	c.noteRefusal(why, refusalOf(&a.req, a.slash(), reason), nil)
	// One that does not hear it asks again, and is answered then.
	_ = c.answer(a, srt.Verdict{Reject: why.code(), Reason: reason})
}

// refusal is what is known of a caller that has a process.
func (conn *connection) refusal(reason string) api.Refusal {
	return api.Refusal{
		Peer: conn.Peer, Local: conn.Local, Stream: conn.Stream, StreamID: conn.StreamID, Reason: untrusted.Text(reason, 200), Connection: conn.ID,
	}
}

// turnAway ends a connection that was accepted before it could be judged.
func (c *Controller) turnAway(conn *connection, why cause, reason string) {
	c.noteRefusal(why, conn.refusal(reason), conn.event())
	c.closeConnection(conn)
}

// secrets are the refusals of libsrt itself, and secretReasons what the operator is told of them.
var (
	secrets       = map[string]cause{srt.FailSecret: causeBadSecret, srt.FailUnsecure: causeNoSecret}
	secretReasons = map[cause]string{
		causeBadSecret: "the caller's passphrase is another one than the port's or the stream's",
		causeNoSecret:  "one side has a passphrase and the other has none",
	}
)

// unserved are the causes of a listener, by its codes.
var unserved = map[int]cause{
	srt.RejectVersion: causeVersion, srt.RejectMessageAPI: causeBufferMode, srt.RejectCongestion: causeFileMode, srt.RejectGroup: causeGroup,
	srt.RejectBadRequest: causeBadHandshake,
}

// listenerRefused takes the word of a listener about callers that it has refused by itself.
func (c *Controller) listenerRefused(r *srt.Refused) {
	why, ok := unserved[r.Code]
	if !ok {
		return
	}
	n := refusalOf(&srt.Request{Peer: r.Peer, Local: r.Local, StreamID: r.StreamID}, srt.SlashRefuse, r.Reason)
	n.Count = min(r.Times, maxCount)
	c.noteRefusal(why, n, nil)
}

// tellRefused tells that a caller was refused. The connection is nil unless the caller had a process.
func (c *Controller) tellRefused(n *api.Refusal, conn *api.EventConnection) {
	r := &c.refusals
	e := api.EventRefusal{Code: n.Code, Cause: n.Cause, Reason: n.Reason, Peer: n.Peer, Count: n.Count}
	if r.budget.Take(refusalEvents, time.Now()) {
		c.events.Emit(&api.Event{Type: api.EventCallerRefused, Stream: n.Stream, Refusal: &e, Connection: conn})
		return
	}
	if len(r.more) == 0 {
		r.more, r.since = map[string]*api.EventRefusal{}, time.Now()
	}
	if old := r.more[n.Cause]; old != nil {
		e.Count += old.Count
	}
	r.more[n.Cause] = &e
}

// tellMoreRefused tells, once in a second and by cause, how many were refused beyond those that were told.
func (c *Controller) tellMoreRefused(now time.Time) {
	r := &c.refusals
	if len(r.more) == 0 || now.Sub(r.since) < time.Second {
		return
	}
	for _, e := range r.more {
		c.events.Emit(&api.Event{Type: api.EventCallerRefused, Refusal: e})
	}
	r.more = nil
}

// Refusals are the newest refusals, the newest first.
func (c *Controller) Refusals() []api.Refusal {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.refusals.newest)
	slices.Reverse(all)
	return all
}

// shownID is a stream id for the log and the API: bounded, printable and without what may be secret in it.
func shownID(id string) string { return untrusted.Text(srt.ShowStreamID(id), 200) }
