package controller

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/api"
	"brume/srt"
)

// Whoever refuses a caller, before it has a process or after, the refusal has its code and cause in the metric, the log, the
// event and the list, and no secret in any.
func TestRefusalsAreTheSameEverywhere(t *testing.T) {
	id := func(mode string) string { return "#!::r=live,m=" + mode + ",u=me,s=HUNTER2" }
	shown := func(mode string) string { return "#!::r=live,m=" + mode + ",u=me,s=***" }
	secret := func(reason string) func(*desk) {
		return func(d *desk) {
			q := d.idle()
			d.calls(1, id("publish"))
			d.says(q, srt.MsgFailed, srt.Failed{Reason: reason, Detail: "libsrt's words"})
			d.ends(q, "exit status 0")
			require.NotContains(t, d.log.String(), "SRT connection ends", "a refusal is not an end")
		}
	}
	for _, c := range []struct {
		cause  cause
		code   int
		stream string // that is told
		sent   string // as it is told
		by     func(*desk)
	}{
		{causeNoPublisher, 1404, "live", shown("request"), func(d *desk) { d.calls(1, id("request")) }},
		{causeBadMode, 1405, "", shown("write"), func(d *desk) { d.calls(1, id("write")) }},
		{causeBadRequest, 1400, "", "app/***", func(d *desk) { d.calls(1, "app/live?token=HUNTER2") }},
		{causeBadSecret, 1010, "live", shown("publish"), secret(srt.FailSecret)},
		{causeNoSecret, 1011, "live", shown("publish"), secret(srt.FailUnsecure)},
		{causeConflict, 1409, "live", "live?token=***", func(d *desk) {
			q := d.admitted(1, "live?token=HUNTER2")
			d.turnAway(q.p.conn, causeConflict, "the stream has a publisher already")
		}},
		{causeGroup, 1015, "live", shown("publish"), func(d *desk) {
			d.says(d.listener, srt.MsgRefused, srt.Refused{Peer: "192.0.2.1:1", StreamID: id("publish"), Code: 1015, Reason: "it is a member of a bonded group", Times: 3})
		}},
	} {
		t.Run(string(c.cause), func(t *testing.T) {
			d := newDesk(t)
			c.by(d)
			list := d.Refusals()
			require.Len(t, list, 1)
			r := list[0]
			require.Equal(t, []any{c.code, string(c.cause), c.stream, c.sent, "192.0.2.1:1"}, []any{r.Code, r.Cause, r.Stream, r.StreamID, r.Peer})
			require.NotEmpty(t, r.Reason)
			require.Equal(t, d.rejects[c.cause], r.Count)
			var event *api.Event
			for _, e := range toldEvents(t, d.Controller) {
				if e.Type == api.EventCallerRefused {
					event = &e
				}
			}
			require.NotNil(t, event)
			require.Equal(t, api.EventRefusal{Code: r.Code, Cause: r.Cause, Reason: r.Reason, Peer: r.Peer, Count: r.Count}, *event.Refusal)
			require.Equal(t, c.stream, event.Stream)
			require.Equal(t, r.Connection != "", event.Connection != nil)
			require.Regexp(t, fmt.Sprintf(`msg="refused an SRT caller" peer=192.0.2.1:1 local=\S* stream=%s stream_id=\S+ code=%d cause=%s reason=`, orQuotes(c.stream), c.code, c.cause), d.log.String())
			require.NotContains(t, d.log.String(), "HUNTER2")
		})
	}
}

func orQuotes(s string) string {
	if s == "" {
		return `""`
	}
	return s
}

// The newest refusals are kept, and no more of them than the list says.
func TestNewestRefusals(t *testing.T) {
	d := newDesk(t)
	for i := range keptRefusals + 5 {
		d.asks(uint64(i+1), fmt.Sprintf("read:nothing%d", i+1))
	}
	list := d.Refusals()
	require.Len(t, list, keptRefusals)
	require.Equal(t, fmt.Sprintf("192.0.2.1:%d", keptRefusals+5), list[0].Peer)
	require.Equal(t, "192.0.2.1:6", list[keptRefusals-1].Peer)
}

// One that is refused again and again is one of the list, with the newest of its tries.
func TestRepeatedRefusals(t *testing.T) {
	d := newDesk(t)
	d.asks(1, "read:other")
	for i := range 3 * keptRefusals {
		d.asks(uint64(i+2), "read:nothing")
	}
	d.says(d.listener, srt.MsgRequest, srt.Request{ID: 1 << 20, Peer: "192.0.2.2:7", Local: "192.0.2.9:8889", StreamID: "read:nothing"})
	d.asks(1<<20+1, "write:nothing")
	list := d.Refusals()
	got := make([]string, 0, len(list))
	for _, r := range list {
		got = append(got, fmt.Sprintf("%s %s %s %d", r.Peer, r.StreamID, r.Cause, r.Count))
	}
	require.Equal(t, []string{
		"192.0.2.1:1048577 write:*** bad_request 1", "192.0.2.2:7 read:nothing no_publisher 1",
		"192.0.2.1:601 read:nothing no_publisher 600", "192.0.2.1:1 read:other no_publisher 1",
	}, got)
	require.Equal(t, uint64(602), d.rejects[causeNoPublisher])
}

// A listener may say of its callers what it likes: what is no refusal of its own counts for nothing.
func TestRefusalsThatAListenerMakesUp(t *testing.T) {
	d := newDesk(t)
	d.says(d.listener, srt.MsgRefused, srt.Refused{Code: 1409, Times: 1 << 60})
	d.says(d.listener, srt.MsgRefused, srt.Refused{Code: -1})
	require.Empty(t, d.Refusals())
}
