package controller

import (
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/config"
	"brume/control"
	"brume/guardian"
	"brume/media"
	"brume/srt"
	"brume/test/inspect"
)

// No two processes write into one buffer: not where a guardian dies at a bad moment, nor where the next controller is
// configured differently.

// publishing is the record of a publisher.
func publishing(stream string, buffer uint64) *connRecord {
	return &connRecord{ID: "c" + stream, Stream: stream, Buffer: buffer, Role: media.Publish, Since: time.Now()}
}

// TestStoreThatIsBehind: what may have a buffer that the store does not know of is gone before the next one writes.
func TestStoreThatIsBehind(t *testing.T) {
	for _, behind := range []bool{false, true} {
		l := newLegacy(t)
		l.Config.Streams["made"] = config.StreamConfig{Buffer: l.Config.Buffer, Resume: l.Config.Resume, Source: []config.URL{"srt://127.0.0.1:9"}}
		l.loadCallers()
		l.buffer(100, "live", buffer.Live)
		publisher := l.process(1, roleConnection, publishing("live", 100))
		viewer := l.process(2, roleConnection, &connRecord{ID: "v", Stream: "live", Buffer: 100, Role: media.Play, Since: time.Now()})
		call := publishing("made", 0)
		call.Dialer, call.Mode, call.Connected = "source", srt.ModeCaller, &srt.Connected{}
		doubtful := map[string]*peer{
			"idle":      l.process(3, roleConnection, nil),
			"undecided": l.process(4, roleConnection, &connRecord{ID: "u", Stream: "live", Since: time.Now()}),
			"a source":  l.process(5, roleConnection, call),
		}
		l.look(func() {
			l.adopt(l.held, guardian.Stored{Starts: 2, Behind: behind})
			for name, q := range doubtful {
				require.Equal(t, behind, inspect.Ended(t, q.p.PID), name)
			}
			require.False(t, inspect.Ended(t, publisher.p.PID) || inspect.Ended(t, viewer.p.PID))
			require.Equal(t, "clive", l.streams["live"].publisher.ID)
		})
		if !behind {
			continue
		}
		l.eventually("they are forgotten", l.locked(func() bool { return len(l.processes) == 2 && len(l.connections) == 2 }))
		l.look(func() {
			l.tendCalls(time.Now())
			require.Len(t, l.out.calls, 1, "the source is called again")
			l.stopCalls()
		})
	}
}

// TestLostProcess: one whose descriptors did not outlive a guardian is ended by its number, if that is still its own.
func TestLostProcess(t *testing.T) {
	l := newLegacy(t)
	l.buffer(100, "live", buffer.Live)
	start := func() (pid int) {
		cmd := exec.Command("sleep", "60")
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return cmd.Process.Pid
	}
	pid, other := start(), start()
	put := func(id uint64, pid int, began uint64) {
		r := processRecord{ID: id, Role: roleConnection, PID: pid, Began: began, Conn: publishing("live", 100)}
		l.put(kindProcess, r.key(), r)
		l.held[len(l.held)-1].Lost = true
	}
	put(1, pid, guardian.Began(pid))
	put(2, other, guardian.Began(other)+1)
	l.look(func() {
		l.endLost(l.held)
		l.adopt(l.held, guardian.Stored{Starts: 2, Behind: true})
		require.True(t, inspect.Ended(t, pid))
		require.False(t, inspect.Ended(t, other), "its number is another's by now")
		require.Empty(t, l.processes)
		require.Nil(t, l.streams["live"].publisher)
	})
	l.eventually("the store has forgotten them", func() bool { return len(l.guardian.kinds(kindProcess)) == 0 })
}

// TestLostSocket: who holds it is ended, so that it can be made again; nobody else is.
func TestLostSocket(t *testing.T) {
	l := newLegacy(t)
	all := map[string]*peer{"http": l.process(1, roleHTTP, nil), "listener": l.process(2, roleListener, nil), "publisher": l.process(3, roleConnection, publishing("live", 100))}
	began := func(i int) {
		var r processRecord
		require.NoError(t, json.Unmarshal(l.held[i].Record, &r))
		r.Began = guardian.Began(r.PID)
		l.held[i].Record, _ = json.Marshal(r)
	}
	for i := range l.held {
		began(i)
	}
	l.put(kindSocket, "srt 192.0.2.1:1", nil)
	l.held[3].Lost = true
	l.endLost(l.held)
	for name, q := range all {
		require.False(t, inspect.Ended(t, q.p.PID), name)
	}
	l.put(kindSocket, "srt "+l.ports[0].key, nil)
	l.held[4].Lost = true
	l.endLost(l.held)
	require.True(t, inspect.Ended(t, all["listener"].p.PID))
	l.put(kindSocket, "http "+string(l.Config.HTTP.Address), nil)
	l.held[5].Lost = true
	l.endLost(l.held)
	require.True(t, inspect.Ended(t, all["http"].p.PID))
	require.False(t, inspect.Ended(t, all["publisher"].p.PID))
	l.adopted()
}

// TestNoWorkBeforeTheStoreKnows: a process joins the pool once it is ready and the guardian has said that it knows it.
func TestNoWorkBeforeTheStoreKnows(t *testing.T) {
	for _, helloFirst := range []bool{true, false} {
		d := newDesk(t)
		q := d.join(roleConnection)
		q.p.ready, q.p.known = false, false
		hello := func() { d.says(q, srt.MsgHello, srt.Hello{}) }
		added := func() {
			b, err := json.Marshal(guardian.Entry{Kind: kindProcess, Key: q.p.key()})
			require.NoError(t, err)
			d.addedTold(control.Message{Type: guardian.MsgAdded, Body: b})
			d.addedTold(control.Message{Type: guardian.MsgAdded, Body: []byte("{}")})
		}
		if !helloFirst {
			hello, added = added, hello
		}
		hello()
		require.Empty(t, d.pool.idle)
		added()
		require.Len(t, d.pool.idle, 1)
		hello()
		added()
		require.Len(t, d.pool.idle, 1)
	}
}

// TestProcessOfAnotherGuardian comes with what outlived that: neither what it wrote last nor its hand-over socket.
func TestProcessOfAnotherGuardian(t *testing.T) {
	l := newLegacy(t)
	l.buffer(100, "live", buffer.Live)
	publisher := l.process(1, roleConnection, publishing("live", 100))
	idle := l.process(2, roleConnection, nil)
	for _, i := range []int{1, 2} {
		closeFiles(l.held[i].Files[2:])
		l.held[i].Files = l.held[i].Files[:2]
	}
	l.adopted()
	l.look(func() {
		require.True(t, inspect.Ended(t, idle.p.PID), "no caller can be handed to it")
		require.Same(t, l.processes[1].conn, l.streams["live"].publisher)
		require.Empty(t, l.processes[1].lastWords())
	})
	require.False(t, inspect.Ended(t, publisher.p.PID))
}

// TestTwoOfOneBuffer: of two the first stays.
func TestTwoOfOneBuffer(t *testing.T) {
	l := newLegacy(t)
	l.buffer(100, "live", buffer.Live)
	l.buffer(101, "sport", buffer.Live)
	first := publishing("live", 100)
	first.Mapped = []mappedRecord{{"9", "sport", 101}}
	a := l.process(1, roleConnection, first)
	b := l.process(2, roleConnection, publishing("sport", 101))
	l.look(func() {
		l.adopt(l.held, guardian.Stored{Starts: 2})
		require.True(t, inspect.Ended(t, b.p.PID))
		require.False(t, inspect.Ended(t, a.p.PID))
		require.Equal(t, "clive", l.streams["sport"].publisher.ID)
	})
}

// TestPublisherThatIsNotWanted holds its streams until it has ended.
func TestPublisherThatIsNotWanted(t *testing.T) {
	t.Run("a source that is not configured any more", func(t *testing.T) {
		l := newLegacy(t)
		l.buffer(100, "live", buffer.Live)
		r := publishing("live", 100)
		r.Dialer, r.Mode = "source", srt.ModeCaller
		l.requireHeld(l.process(1, roleConnection, r), "live")
	})
	t.Run("a mapped stream's buffer is gone", func(t *testing.T) {
		l := newLegacy(t)
		l.buffer(100, "live", buffer.Live)
		l.buffer(102, "kids", buffer.Live)
		r := publishing("live", 100)
		r.Mapped = []mappedRecord{{"9", "sport", 101}, {"10", "kids", 102}}
		l.requireHeld(l.process(1, roleConnection, r), "live", "kids")
	})
	t.Run("the named stream's buffer is gone", func(t *testing.T) {
		l := newLegacy(t)
		l.buffer(101, "sport", buffer.Live)
		r := publishing("live", 100)
		r.Mapped = []mappedRecord{{"9", "sport", 101}}
		l.requireHeld(l.process(1, roleConnection, r), "sport")
	})
}

// requireHeld takes a publisher over, which is told to end, and lets others in when it has.
func (l *legacy) requireHeld(q *peer, streams ...string) {
	l.t.Helper()
	l.adopted()
	q.hearsOf(srt.MsgClose, nil)
	refused := func(name string) bool {
		return l.decide(&srt.Request{Peer: "192.0.2.1:5", StreamID: "publish:" + name}, l.ports[0]).cause == causeConflict
	}
	l.look(func() {
		for _, name := range streams {
			require.True(l.t, refused(name), name)
			require.Equal(l.t, buffer.Live, l.streams[name].info.State, "its epoch is its own to end")
		}
		l.processes[q.p.ID].kill()
	})
	l.eventually("it has ended", l.locked(func() bool { return len(l.connections) == 0 }))
	l.look(func() {
		for _, name := range streams {
			require.False(l.t, refused(name), name)
			require.Equal(l.t, buffer.Ended, l.streams[name].info.State)
		}
	})
}

// TestNoRightWithoutARecord: where the store does not take it, a process is ended instead of getting a buffer.
func TestNoRightWithoutARecord(t *testing.T) {
	requireNone := func(t *testing.T, q *peer) {
		t.Helper()
		require.True(t, q.p.killed)
		for {
			m, files := q.hears()
			if m.Type == "" {
				return
			}
			require.Empty(t, files, m.Type)
		}
	}
	// left is a controller with a stream whose publisher is away.
	left := func(t *testing.T) *desk {
		d := newDesk(t)
		q := d.admitted(1, "publish:live")
		d.live(q)
		d.ends(q, "exit status 0")
		require.NotNil(t, d.streams["live"])
		return d
	}
	t.Run("a role that was stated", func(t *testing.T) {
		d := left(t)
		q := d.idle()
		d.guardian.die()
		d.asks(1, "publish:live")
		requireNone(t, q)
		require.Len(t, d.pool.waiting, 1, "its caller waits for the next")
	})
	t.Run("a role that was shown", func(t *testing.T) {
		d := left(t)
		q := d.admitted(1, "live")
		d.guardian.die()
		d.says(q, srt.MsgDirection, srt.Direction{Role: media.Publish})
		requireNone(t, q)
	})
	t.Run("a push", func(t *testing.T) {
		d := newDesk(t)
		d.withCallers("live", config.StreamConfig{Push: []config.URL{"srt://127.0.0.1:9"}})
		d.live(d.admitted(1, "publish:live"))
		d.after(0)
		require.Len(t, d.out.calls, 1)
		q := d.join(roleConnection)
		d.guardian.die()
		d.idleChild(q.p)
		requireNone(t, q)
	})
	t.Run("a source", func(t *testing.T) {
		d := left(t)
		d.withCallers("live", config.StreamConfig{Start: config.StartAlways, Source: []config.URL{"srt://127.0.0.1:9"}})
		d.after(0)
		q, _, files := d.called()
		require.Len(t, files, 1)
		d.guardian.die()
		d.says(q, srt.MsgConnected, srt.Connected{})
		requireNone(t, q)
	})
}

// TestAStreamIsOccupiedOnce, whoever asks.
func TestAStreamIsOccupiedOnce(t *testing.T) {
	d := newDesk(t)
	q := d.admitted(1, "publish:live")
	d.silent("live")
	_, err := d.occupy(&connection{}, "live")
	require.Error(t, err)
	require.Same(t, q.p.conn, d.streams["live"].publisher)
}

// TestIdleProcessThatSpeaks is none any more.
func TestIdleProcessThatSpeaks(t *testing.T) {
	d := newDesk(t)
	q := d.idle()
	d.says(q, srt.MsgConnected, srt.Connected{})
	require.True(t, q.p.killed)
}
