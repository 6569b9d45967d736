package controller

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/config"
	"brume/control"
	"brume/media"
	"brume/srt"
)

func TestUndecidedShowsItself(t *testing.T) {
	d := newDesk(t)
	early := d.admitted(1, "live")
	d.says(early, srt.MsgDirection, srt.Direction{Role: media.Play})
	require.Empty(t, d.streams, "a viewer makes no stream")

	publisher := d.admitted(2, "live")
	d.says(publisher, srt.MsgDirection, srt.Direction{Role: media.Publish})
	var b srt.Buffer
	require.Len(t, publisher.hearsOf(srt.MsgBuffer, &b), 1)
	require.Equal(t, media.Publish, b.Role)
	d.monitor(time.Now())
	require.Nil(t, early.p.conn.in, "nothing is live yet")
	d.live(publisher)
	d.monitor(time.Now())
	require.Len(t, early.hearsOf(srt.MsgBuffer, &b), 1)
	require.Equal(t, media.Play, b.Role)
	require.True(t, d.streams["live"].players[early.p.conn])

	second := d.admitted(3, "live")
	for range 5 {
		d.says(second, srt.MsgDirection, srt.Direction{Role: media.Publish})
	}
	second.hearsOf(srt.MsgClose, nil)
	require.EqualValues(t, 1, d.rejects[causeConflict], "a refusal counts once")
	d.says(second, srt.MsgDirection, srt.Direction{Role: media.Play})
	require.Nil(t, second.p.conn.in, "who was turned away stays out")
	require.Same(t, publisher.p.conn, d.streams["live"].publisher)
}

func TestUndecidedForTooLong(t *testing.T) {
	d := newDesk(t)
	q := d.admitted(1, "live")
	now := time.Now()
	d.sweepConnections(now.Add(undecidedTime - time.Second))
	require.True(t, q.p.conn.closing.IsZero())
	d.sweepConnections(now.Add(undecidedTime + time.Second))
	q.hearsOf(srt.MsgClose, nil)
	require.False(t, q.p.killed)
	d.sweepConnections(time.Now().Add(closeTime + time.Second))
	require.True(t, q.p.killed, "who does not end is ended")
}

func TestCallerThatNeverConnects(t *testing.T) {
	d := newDesk(t)
	q := d.idle()
	d.calls(1, "publish:live")
	d.sweepConnections(time.Now().Add(handshakeMax + time.Second))
	require.True(t, q.p.killed)
	d.ends(q, "killed by SIGKILL")
	require.Empty(t, d.connections)
	require.Empty(t, d.streams)
}

func TestEndOfAConnection(t *testing.T) {
	for _, c := range []struct {
		name   string
		said   *srt.Failed
		status string
		reason string // counted
		gone   bool   // the listener says farewell
	}{
		{name: "orderly", said: &srt.Failed{Reason: srt.FailPeer}, status: "exit status 0", reason: srt.FailPeer},
		{name: "crash", status: "killed by SIGSEGV", reason: "crash", gone: true},
		{name: "of an earlier controller", status: "", gone: true},
		{name: "unknown reason", said: &srt.Failed{Reason: strings.Repeat("x", 5000)}, status: "exit status 1", reason: srt.FailInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			q := d.admitted(1, "publish:live")
			if c.said != nil {
				for range 3 {
					d.says(q, srt.MsgFailed, c.said)
				}
			}
			d.ends(q, c.status)
			require.Empty(t, d.connections)
			want := map[string]uint64{}
			if c.reason != "" {
				want[c.reason] = 1
			}
			maps.DeleteFunc(d.failures, func(_ string, n uint64) bool { return n == 0 })
			counted := maps.Clone(d.failures)
			maps.DeleteFunc(counted, func(_ string, n uint64) bool { return n == 0 })
			require.Equal(t, want, counted)
			m, _ := d.listener.hears()
			require.Equal(t, c.gone, m.Type == srt.MsgGone, m.Type)
			d.eventually("the store has forgotten it", func() bool { return len(d.guardian.kinds(kindProcess)) == 1 })
		})
	}
}

func TestViewersWordIsNotTakenForTheStream(t *testing.T) {
	d := newDesk(t)
	publisher := d.admitted(1, "publish:live")
	d.live(publisher)
	viewer := d.admitted(2, "read:live")
	d.says(viewer, srt.MsgFailed, srt.Failed{Reason: srt.FailBuffer})
	d.monitor(time.Now())
	require.False(t, d.streams["live"].corrupt)
	require.True(t, publisher.p.conn.closing.IsZero())
	require.Equal(t, media.Play, d.decide(&srt.Request{Peer: "192.0.2.1:5", StreamID: "read:live"}, d.ports[0]).role)

	d.says(publisher, srt.MsgFailed, srt.Failed{Reason: srt.FailBuffer})
	d.monitor(time.Now())
	require.False(t, publisher.p.conn.closing.IsZero(), "the publisher is ended")
	d.ends(publisher, "exit status 1")
	require.Empty(t, d.streams)
	viewer.hearsOf(srt.MsgClose, nil)
}

func TestWhatAProcessSaysIsBounded(t *testing.T) {
	d := newDesk(t)
	q := d.admitted(1, "publish:live")
	long := strings.Repeat("é", 10000)
	d.says(q, srt.MsgHello, srt.Hello{PID: 1, LibSRT: long, Sandbox: make([]string, 5000), Missing: []string{long}})
	require.Equal(t, q.p.PID, q.p.hello.PID, "the kernel's word counts")
	require.LessOrEqual(t, len(q.p.hello.LibSRT), 40)
	require.LessOrEqual(t, len(q.p.hello.Sandbox), 16)
	require.LessOrEqual(t, len(q.p.hello.Missing[0]), 110)

	q.p.conn.Connected = nil
	d.says(q, srt.MsgConnected, srt.Connected{Peer: long, PeerSRT: long, Filter: long, LatencyRcv: 120})
	d.says(q, srt.MsgConnected, srt.Connected{LatencyRcv: 999})
	require.Equal(t, 120, q.p.conn.Connected.LatencyRcv, "it connects once")
	d.eventually("the record fits the store", func() bool {
		r := d.guardian.record(q.p)
		return r.Conn != nil && r.Conn.Connected != nil && r.Conn.Connected.Peer == q.p.conn.Peer
	})

	start := time.Now()
	for range 500 {
		d.says(q, control.MsgLog, control.Log{Level: "ERROR+1000", Text: long})
	}
	allowed := float64(linesPerSecond) * (1 + time.Since(start).Seconds())
	require.LessOrEqual(t, strings.Count(d.log.String(), "a process says"), int(allowed))
	require.Less(t, len(d.log.String()), 2000*int(allowed))
}

func TestMessagesOfOtherRolesAreMalformed(t *testing.T) {
	d := newDesk(t)
	idle, connected := d.idle(), d.admitted(1, "publish:live")
	for _, kind := range []string{srt.MsgRequest, srt.MsgListenerStats, srt.MsgVerdict, srt.MsgBuffer, srt.MsgConfigure, "put", "shutdown", "streams"} {
		require.ErrorIs(t, d.heardConnection(connected.p, control.Message{Type: kind, Body: []byte("{}")}), control.ErrMalformed, kind)
	}
	for _, kind := range []string{srt.MsgConnected, srt.MsgDirection, srt.MsgStats, srt.MsgAlive, srt.MsgFailed} {
		require.ErrorIs(t, d.heardConnection(idle.p, control.Message{Type: kind, Body: []byte("{}")}), control.ErrMalformed, kind)
	}
	require.ErrorIs(t, d.heardListener(d.listener.p, control.Message{Type: srt.MsgDirection, Body: []byte("{}")}), control.ErrMalformed)
	require.ErrorIs(t, d.heardHTTP(d.join(roleHTTP).p, control.Message{Type: srt.MsgRequest, Body: []byte("{}")}), control.ErrMalformed)
}

func TestSilentProcessesAreEnded(t *testing.T) {
	d := newDesk(t)
	talks, silent, idle, mute, starting := d.admitted(1, "publish:a"), d.admitted(2, "publish:b"), d.idle(), d.idle(), d.join(roleConnection)
	http := d.join(roleHTTP)
	starting.p.ready = false
	mute.p.mute = true
	for range silentTicks + 2 {
		d.says(talks, srt.MsgStats, srt.ConnStats{})
		d.says(d.listener, srt.MsgListenerStats, srt.ListenerStats{})
		d.says(starting, control.MsgLog, control.Log{})
		d.sweepProcesses()
	}
	require.False(t, talks.p.killed)
	require.False(t, d.listener.p.killed)
	require.False(t, idle.p.killed, "an idle process has nothing to say")
	require.True(t, silent.p.killed)
	require.True(t, http.p.killed)
	require.True(t, mute.p.killed)
	require.True(t, starting.p.killed)
}

// An idle process has nothing to say. When it gets work its time begins: what it was silent before does not count.
func TestLongIdleProcessHasTimeForItsWork(t *testing.T) {
	for name, work := range map[string]func(d *desk, q *peer){
		"a caller": func(d *desk, q *peer) { require.Equal(t, q.p.ID, d.calls(1, "publish:a").Child) },
		"a call": func(d *desk, q *peer) {
			d.withCallers("a", config.StreamConfig{Start: config.StartAlways, Source: []config.URL{"srt://127.0.0.1:9"}})
			d.tendCalls(time.Now())
			require.NotNil(t, q.p.conn)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			q := d.idle()
			sweep := func(ticks int, alive bool) {
				for range ticks {
					d.says(d.listener, srt.MsgListenerStats, srt.ListenerStats{})
					if alive {
						d.says(q, srt.MsgAlive, nil)
					}
					d.sweepProcesses()
				}
			}
			sweep(silentTicks+2, false)
			work(d, q)
			sweep(1, false)
			require.False(t, q.p.killed, "its handshake has just begun")
			sweep(2*silentTicks, true)
			require.False(t, q.p.killed, "it says that it is alive")
			sweep(silentTicks+1, false)
			require.True(t, q.p.killed, "it says nothing any more")
		})
	}
}
