package controller

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/api"
	"brume/srt"
)

// toldEvents are all events of a controller so far, as a client of the API gets them.
func toldEvents(t *testing.T, c *Controller) (all []api.Event) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what is there already is sent before anything is waited for
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1/api/v1/events", nil)
	r.Header.Set("Last-Event-ID", "none")
	w := httptest.NewRecorder()
	api.New(c, api.Options{}).ServeHTTP(w, r)
	for line := range strings.Lines(w.Body.String()) {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var e api.Event
			require.NoError(t, json.Unmarshal([]byte(data), &e))
			if e.Type != api.EventMissed {
				all = append(all, e)
			}
		}
	}
	return all
}

// kinds are the types of the events with what they are about.
func kinds(all []api.Event) (list []string) {
	for _, e := range all {
		k := string(e.Type)
		if e.Stream != "" {
			k += " " + e.Stream
		}
		if e.Connection != nil {
			k += " " + string(e.Connection.Role)
		}
		if e.End != nil {
			k += " " + e.End.Reason
		}
		if e.Process != nil {
			k += " " + e.Process.Role
		}
		list = append(list, k)
	}
	return list
}

func TestEventsOfAStream(t *testing.T) {
	d := newDesk(t)
	publisher := d.admitted(1, "publish:live")
	d.live(publisher)
	d.monitor(time.Now())
	viewer := d.admitted(2, "read:live")
	d.says(viewer, srt.MsgFailed, srt.Failed{Reason: srt.FailPeer, Detail: "the peer closed the connection"})
	d.ends(viewer, "exit status 0")
	d.ends(publisher, "killed by SIGSEGV")
	again := d.admitted(3, "publish:live")
	d.live(again)
	d.ends(again, "exit status 0")
	s := d.streams["live"]
	d.age(s, time.Now().Add(time.Hour))
	d.age(s, time.Now().Add(2*time.Hour))
	all := toldEvents(t, d.Controller)
	require.Equal(t, []string{
		"connection.connecting live publish", "connection.connected live publish", "stream.starting live", "stream.live live",
		"connection.connecting live play", "connection.connected live play", "connection.ended live play peer_closed",
		"connection.ended live publish crash", "stream.offline live",
		"connection.connecting live publish", "connection.connected live publish", "stream.starting live", "stream.live live",
		"connection.ended live publish other", "stream.offline live", "stream.removed live",
	}, kinds(all))
	require.Equal(t, &api.EventConnection{ID: publisher.p.conn.ID, Peer: "192.0.2.1:1", Role: "publish", Protocol: "srt"}, all[0].Connection)
	require.Equal(t, "the peer closed the connection", all[6].End.Detail)
	ids := map[string]bool{}
	for _, e := range all {
		require.False(t, ids[e.ID])
		ids[e.ID] = true
		require.WithinDuration(t, time.Now(), e.Time, time.Minute)
	}
}

// A wrong passphrase and a missing one are told apart, and neither is in an event.
func TestEventsOfSecrets(t *testing.T) {
	d := newDesk(t)
	for id, reason := range []string{srt.FailSecret, srt.FailUnsecure, "made up"} {
		q := d.idle()
		d.calls(uint64(id+1), "publish:live:user:hunter2:token=hunter2")
		d.says(q, srt.MsgFailed, srt.Failed{Reason: reason, Detail: "bad\x1b\n"})
		d.ends(q, "exit status 0")
	}
	d.calls(9, "#!::r=live,m=publish,s=hunter2,hunter2")
	d.calls(10, "read:nothing?token=hunter2")
	all := toldEvents(t, d.Controller)
	var reasons []string
	for _, e := range all {
		if e.End != nil {
			reasons = append(reasons, e.End.Reason)
			require.Equal(t, "bad??", e.End.Detail)
		}
	}
	require.Equal(t, []string{"bad_secret", "no_secret", "internal"}, reasons)
	b, err := json.Marshal(all)
	require.NoError(t, err)
	require.NotContains(t, string(b), "hunter2")
	refused := all[len(all)-1]
	require.Equal(t, api.EventRefusal{Code: 1404, Cause: "no_publisher", Reason: "nobody publishes the stream nothing", Peer: "192.0.2.1:10", Count: 1}, *refused.Refusal)
	require.Equal(t, "nothing", refused.Stream)
	require.Equal(t, 1400, all[len(all)-2].Refusal.Code)
}

// During a flood callers are counted, and none is lost from the count.
func TestFloodOfRefusals(t *testing.T) {
	d := newDesk(t)
	for id := range uint64(300) {
		d.says(d.listener, srt.MsgRequest, srt.Request{ID: id, Peer: "192.0.2.7:5000", StreamID: "read:none"})
		if id%3 == 0 {
			d.says(d.listener, srt.MsgRequest, srt.Request{ID: id, Peer: "192.0.2.7:5000", StreamID: "#!:?"})
		}
	}
	d.tellMoreRefused(time.Now()) // it is not time yet, unless this machine is slow
	d.tellMoreRefused(time.Now().Add(2 * time.Second))
	counts := map[int]uint64{}
	all := toldEvents(t, d.Controller)
	for _, e := range all {
		require.Equal(t, api.EventCallerRefused, e.Type)
		counts[e.Refusal.Code] += e.Refusal.Count
		if e.Refusal.Count > 1 {
			require.Empty(t, e.Stream, "many callers named many streams")
		}
	}
	require.Equal(t, map[int]uint64{srt.RejectNotFound: 300, srt.RejectBadRequest: 100}, counts)
	require.Less(t, len(all), 150)
	require.Empty(t, d.refusals.more)
}

func TestEventsOfProcesses(t *testing.T) {
	d := newDesk(t)
	d.duties[0].backoff = time.Hour // nothing is started
	web, idle := d.join(roleHTTP), d.idle()
	d.ends(web, "killed by SIGKILL")
	d.ends(idle, "exit status 3")
	all := toldEvents(t, d.Controller)
	require.Equal(t, []string{"process.restarted http", "process.restarted srt"}, kinds(all))
	require.Equal(t, "killed by SIGKILL", all[0].Process.Status)
	d.stopping = true
	d.ends(d.join(roleConnection), "")
	require.Len(t, toldEvents(t, d.Controller), 2, "an end that was wanted is none")
}

// Who was accepted and then turned away is told as a refusal and as an end.
func TestEventsOfATurnedAwayCaller(t *testing.T) {
	d := newDesk(t)
	q := d.admitted(1, "live")
	d.turnAway(q.p.conn, causeConflict, "the stream has a publisher already")
	d.says(q, srt.MsgFailed, srt.Failed{Reason: srt.FailClosed})
	d.ends(q, "exit status 0")
	require.Equal(t, []string{
		"connection.connecting live undecided", "connection.connected live undecided", "caller.refused live undecided", "connection.ended live undecided closed",
	}, kinds(toldEvents(t, d.Controller)))
}

// Who waits in vain for a process gets an end too.
func TestEventsOfACallerWithoutAProcess(t *testing.T) {
	d := newDesk(t)
	d.calls(1, "publish:live")
	d.sweepPool(time.Now().Add(waitingTime + time.Second))
	require.Equal(t, []string{
		"connection.connecting live publish", "caller.refused live", "connection.ended live publish refused",
	}, kinds(toldEvents(t, d.Controller)))
}
