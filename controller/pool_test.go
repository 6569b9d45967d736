package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/srt"
)

func TestIdleProcessGetsACaller(t *testing.T) {
	d := newDesk(t)
	q := d.idle()
	d.asks(5, "publish:live")
	var v srt.Verdict
	require.Len(t, d.listener.hearsOf(srt.MsgVerdict, &v), 1, "its hand-over socket")
	require.Equal(t, srt.Verdict{ID: 5, Child: q.p.ID}, v)

	var configure srt.Configure
	require.Empty(t, q.hearsOf(srt.MsgConfigure, &configure))
	require.Equal(t, "live", configure.Stream)
	require.Equal(t, media.Publish, configure.Role)
	require.Empty(t, d.pool.idle)
	recorded := func(buffer uint64) func() bool {
		return func() bool {
			r := d.guardian.record(q.p)
			return r.Conn != nil && r.Conn.ID == configure.Conn && r.Conn.Buffer == buffer
		}
	}
	d.eventually("the store knows what it has become", recorded(0))
	require.Empty(t, d.streams, "it may be a stranger yet")
	d.says(q, srt.MsgConnected, srt.Connected{})
	require.Len(t, q.hearsOf(srt.MsgBuffer, nil), 1)
	d.eventually("the store knows what it may write into", recorded(d.streams["live"].ID))
}

func TestUndecidedCallerGetsNoBuffer(t *testing.T) {
	d := newDesk(t)
	q := d.admitted(1, "live")
	require.Empty(t, q.hearsOf(srt.MsgConfigure, nil))
	require.Empty(t, d.streams)
}

func TestDeadIdleProcessIsPassedOver(t *testing.T) {
	d := newDesk(t)
	alive, dead := d.idle(), d.idle()
	require.NoError(t, dead.ctl.Close())
	require.Equal(t, srt.Verdict{ID: 1, Child: alive.p.ID}, d.calls(1, "publish:live"))
	require.True(t, dead.p.killed)
	require.Nil(t, dead.p.conn)
	d.ended(dead.p, "exit status 1")
	require.Len(t, d.connections, 1)
	d.says(alive, srt.MsgConnected, srt.Connected{})
	require.NotNil(t, d.streams["live"].publisher)
}

func TestCallerWaitsForAProcess(t *testing.T) {
	d := newDesk(t)
	require.Zero(t, d.calls(1, "publish:one"))
	require.Zero(t, d.calls(2, "publish:two"))
	require.Len(t, d.connections, 2)
	q := d.idle()
	require.Equal(t, srt.Verdict{ID: 1, Child: q.p.ID}, d.verdict(), "who waits longest is first")
	require.Len(t, d.pool.waiting, 1)
	require.Empty(t, d.pool.idle)
}

func TestCallerDoesNotWaitForEver(t *testing.T) {
	d := newDesk(t)
	require.Zero(t, d.calls(1, "publish:late"))
	require.Zero(t, d.calls(2, "publish:ended"))
	for id, conn := range d.connections {
		if conn.Stream == "ended" {
			require.NoError(t, d.Disconnect(id))
		}
	}
	d.sweepPool(time.Now())
	require.Equal(t, srt.RejectUnavailable, d.verdict().Reject)
	d.sweepPool(time.Now().Add(waitingTime + time.Second))
	require.Equal(t, srt.RejectOverload, d.verdict().Reject)
	require.Empty(t, d.connections)
	require.Empty(t, d.streams, "they never had one")
	require.Empty(t, d.pool.waiting)
}

// The numbers of requests are a listener's own: what one asked must not be answered to the next.
func TestRequestsOfADeadListenerAreDropped(t *testing.T) {
	d := newDesk(t)
	d.live(d.admitted(1, "publish:silent"))
	require.Zero(t, d.calls(2, "publish:waits"))
	d.silent("silent")
	require.Zero(t, d.calls(3, "publish:silent"))

	d.ends(d.listener, "killed by SIGKILL")
	d.listener = d.join(roleListener)
	require.Len(t, d.connections, 1, "only the silent one is left")
	d.idle()
	require.Zero(t, d.verdict(), "the new listener has not asked for anything")
	require.Len(t, d.pool.idle, 1)
}

func TestPoolIsThrottled(t *testing.T) {
	d := newDesk(t)
	paused := func() bool { return time.Now().Before(d.pool.paused) }
	d.pool.paused = time.Time{}
	d.Helper = "/nonexistent"
	d.Config.SRT.Pool = 0
	ends := func(ready bool) {
		q := d.join(roleConnection)
		q.p.ready = ready
		d.ends(q, "exit status 1")
	}
	ends(true)
	require.False(t, paused(), "the first is replaced at once")
	ends(true)
	require.True(t, paused(), "one after another is not")
	d.pool = pool{}
	ends(false)
	require.True(t, paused(), "what did not come up is not started again at once")
	d.pool = pool{}
	d.Config.SRT.Pool = 1
	d.fillPool()
	require.True(t, paused(), "what can't be started is not tried again at once")
	require.Contains(t, d.log.String(), "can't start a connection process")
}

// The caller repeats itself, so that a process that waits for it in vain is not needed.
func TestCallerOfAListenerThatDoesNotReadIsForgotten(t *testing.T) {
	d := newDesk(t)
	q := d.idle()
	for d.listener.p.ctl.Send("filler", nil) == nil {
		continue
	}
	d.asks(1, "publish:live")
	require.True(t, q.p.killed)
	d.ends(q, "killed by SIGKILL")
	require.Empty(t, d.connections)
	require.Empty(t, d.streams)
}
