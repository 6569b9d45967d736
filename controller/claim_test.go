package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/guardian"
	"brume/media"
	"brume/srt"
)

// A caller has proven nothing before its process says that it is connected: libsrt holds it against the passphrase.

// unfinished makes a process with a caller whose handshake is not finished.
func (d *desk) unfinished(id uint64, streamID string) *peer {
	d.t.Helper()
	q := d.idle()
	require.Equal(d.t, srt.Verdict{ID: id, Child: q.p.ID}, d.calls(id, streamID))
	return q
}

// published lets a caller finish its handshake, and show its role where it did not state that.
func (d *desk) published(q *peer) {
	d.t.Helper()
	d.says(q, srt.MsgConnected, srt.Connected{})
	d.says(q, srt.MsgDirection, srt.Direction{Role: media.Publish})
}

// bothWays runs a test for a publisher that states its role and for one that shows it.
func bothWays(t *testing.T, test func(t *testing.T, d *desk, caller string)) {
	t.Run("stated", func(t *testing.T) { test(t, newDesk(t), "publish:live") })
	t.Run("shown", func(t *testing.T) { test(t, newDesk(t), "live") })
}

func TestTakeover(t *testing.T) {
	bothWays(t, func(t *testing.T, d *desk, caller string) {
		old := d.admitted(1, "publish:live")
		d.live(old)
		d.silent("live")
		next, late := d.unfinished(2, caller), d.unfinished(3, caller)
		require.False(t, old.p.killed, "who calls has proven nothing")
		d.published(next)
		require.True(t, old.p.killed)
		require.Empty(t, next.granted(), "the old one may write until it is gone")
		d.published(next)
		d.published(late)
		late.hearsOf(srt.MsgClose, nil)
		require.True(t, next.p.conn.closing.IsZero())
		require.Equal(t, srt.RejectConflict, d.calls(4, "publish:live").Reject, "one takes over, not two")
		id := d.streams["live"].ID
		d.ends(old, "killed by SIGKILL")
		require.Same(t, next.p.conn, d.streams["live"].publisher)
		require.Equal(t, id, d.streams["live"].ID)
		require.Equal(t, media.Publish, next.p.conn.Role)
		require.Equal(t, []string{srt.MsgBuffer}, next.granted())
		require.Empty(t, late.granted())
	})
}

// granted are the messages with descriptors that a process has heard.
func (q *peer) granted() (kinds []string) {
	for {
		m, files := q.hears()
		if m.Type == "" {
			return kinds
		}
		if len(files) > 0 {
			kinds = append(kinds, m.Type)
		}
	}
}

// A stranger does not know the passphrase. It neither ends a publisher that has stalled nor keeps another one out.
func TestStrangersChangeNothing(t *testing.T) {
	bothWays(t, func(t *testing.T, d *desk, caller string) {
		var strangers []*peer
		for id := range uint64(3) {
			strangers = append(strangers, d.unfinished(id+10, caller))
		}
		require.Empty(t, d.streams)
		publisher := d.admitted(1, "publish:live")
		require.Equal(t, []string{srt.MsgBuffer}, publisher.granted())
		d.live(publisher)
		d.silent("live")
		strangers = append(strangers, d.unfinished(20, caller))
		for _, q := range strangers {
			d.says(q, srt.MsgDirection, srt.Direction{Role: media.Publish}) // nothing is shown before the connection is made
			require.Empty(t, q.granted())
			d.says(q, srt.MsgFailed, srt.Failed{Reason: srt.FailSecret})
			d.ends(q, "exit status 0")
		}
		require.False(t, publisher.p.killed)
		require.Same(t, publisher.p.conn, d.streams["live"].publisher)
		require.True(t, d.streams["live"].gone.IsZero())
	})
}

func TestTheFirstToFinishIsThePublisher(t *testing.T) {
	bothWays(t, func(t *testing.T, d *desk, caller string) {
		slow, quick := d.unfinished(1, caller), d.unfinished(2, caller)
		d.published(quick)
		require.Same(t, quick.p.conn, d.streams["live"].publisher)
		d.published(slow)
		slow.hearsOf(srt.MsgClose, nil)
		require.Equal(t, "conflict", d.Refusals()[0].Cause)
		require.Same(t, quick.p.conn, d.streams["live"].publisher)
		require.Empty(t, slow.granted())
	})
}

// Who goes on before the next one is connected stays.
func TestPublisherThatOnlyPaused(t *testing.T) {
	bothWays(t, func(t *testing.T, d *desk, caller string) {
		old := d.admitted(1, "publish:live")
		d.live(old)
		d.silent("live")
		next := d.unfinished(2, caller)
		d.streams["live"].moved = time.Now()
		d.published(next)
		next.hearsOf(srt.MsgClose, nil)
		require.False(t, old.p.killed)
	})
}

// What has changed since the request counts.
func TestPublisherIsJudgedAgain(t *testing.T) {
	bothWays(t, func(t *testing.T, d *desk, caller string) {
		q := d.unfinished(1, caller)
		require.NoError(t, d.Lock("live"))
		d.published(q)
		q.hearsOf(srt.MsgClose, nil)
		require.Equal(t, "locked", d.Refusals()[0].Cause)
		require.Empty(t, d.streams)
		d.published(q) // it says so again to the next controller
		require.Len(t, d.Refusals(), 1)
	})
}

// One that was to take over and has gone keeps nobody out.
func TestSuccessorThatIsGone(t *testing.T) {
	d := newDesk(t)
	old := d.admitted(1, "publish:live")
	d.live(old)
	d.silent("live")
	next := d.admitted(2, "publish:live")
	d.ends(next, "exit status 0")
	third := d.admitted(3, "publish:live")
	require.True(t, third.p.conn.closing.IsZero())
	d.ends(old, "killed by SIGKILL")
	require.Same(t, third.p.conn, d.streams["live"].publisher)
}

// A controller may die at any moment of a publisher's beginning. The next one lets it in, once, and gives it the buffer again
// where that may have been lost.
func TestAdoptedBeginnings(t *testing.T) {
	for _, connected := range []*srt.Connected{nil, {}} {
		l := newLegacy(t)
		l.buffer(100, "live", buffer.Ended)
		q := l.process(1, roleConnection, &connRecord{ID: "p", Stream: "live", Role: media.Publish, Since: time.Now(), Connected: connected})
		l.adopted()
		q.hearsOf(srt.MsgReport, nil)
		l.look(func() { require.Nil(t, l.streams["live"].publisher) })
		for range 2 {
			require.NoError(t, q.ctl.Send(srt.MsgConnected, srt.Connected{}))
		}
		l.eventually("it publishes", l.locked(func() bool { return l.streams["live"].publisher != nil }))
		require.Equal(t, []string{srt.MsgBuffer}, q.granted())
		l.eventually("the store knows", func() bool {
			r := l.guardian.record(q.p)
			return r.Conn != nil && r.Conn.Buffer == 100
		})
	}
	l := newLegacy(t)
	l.buffer(100, "live", buffer.Live)
	q := l.process(1, roleConnection, publishing("live", 0))
	l.look(func() {
		l.adopt(l.held, guardian.Stored{Starts: 2, Behind: true})
		require.Empty(t, q.granted())
	})
	l.eventually("one that may have a buffer of which the store does not know is ended", l.locked(func() bool { return len(l.connections) == 0 }))
}
