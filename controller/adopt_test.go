package controller

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"brume/buffer"
	"brume/control"
	"brume/guardian"
	"brume/media"
	"brume/memfile"
	"brume/outputs/httpd"
	"brume/srt"
)

// legacy is what an earlier controller left in the store.
type legacy struct {
	*desk
	held []guardian.Handed
}

func newLegacy(t *testing.T) *legacy {
	l := &legacy{desk: newDesk(t)}
	delete(l.processes, l.listener.p.ID)
	l.listener.p.close()
	require.NoError(t, l.store.Remove(kindProcess, l.listener.p.key()))
	return l
}

func (l *legacy) put(kind, key string, record any, files ...*os.File) {
	l.t.Helper()
	b, err := json.Marshal(record)
	require.NoError(l.t, err)
	require.NoError(l.t, l.store.Put(kind, key, record, files...))
	l.held = append(l.held, guardian.Handed{Entry: guardian.Entry{Kind: kind, Key: key, Record: b}, Files: files})
}

// buffer leaves a stream's buffer.
func (l *legacy) buffer(id uint64, name string, state buffer.State) {
	l.t.Helper()
	rw, ro, err := buffer.Create(buffer.Options{Stream: name, Size: 1 << 20})
	require.NoError(l.t, err)
	if state != buffer.Empty {
		w, err := buffer.OpenWriter(rw)
		require.NoError(l.t, err)
		writeUnit(w, time.Now(), 1)
		if state >= buffer.Ended {
			require.NoError(l.t, w.EndEpoch())
		}
		if state == buffer.Closed {
			require.NoError(l.t, w.Finish())
		}
		require.NoError(l.t, w.Close())
	}
	r := bufferRecord{ID: id, Stream: name}
	l.put(kindBuffer, r.key(), r, rw, ro)
}

// process leaves a process. What runs is sleep, and the test speaks for it.
func (l *legacy) process(id uint64, r role, conn *connRecord) *peer {
	l.t.Helper()
	cmd := exec.Command("sleep", "60")
	require.NoError(l.t, cmd.Start())
	pidfd, err := unix.PidfdOpen(cmd.Process.Pid, unix.PIDFD_NONBLOCK)
	require.NoError(l.t, err)
	ours, file, err := control.Pair()
	require.NoError(l.t, err)
	theirs, err := control.New(file)
	require.NoError(l.t, err)
	theirs.AcceptFiles()
	files := []*os.File{ours.File(), os.NewFile(uintptr(pidfd), "pidfd")}
	stderr, err := memfile.NewSized("stderr", stderrSize)
	require.NoError(l.t, err)
	files = append(files, stderr)
	if roles[r].handover {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		require.NoError(l.t, err)
		files = append(files, os.NewFile(uintptr(pair[0]), "hand-over"))
		l.t.Cleanup(func() { _ = unix.Close(pair[1]) })
	}
	l.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = theirs.Close()
		l.eventually("its end is seen", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.processes[id] == nil
		})
	})
	record := processRecord{ID: id, Role: r, PID: cmd.Process.Pid, Started: time.Now().Add(-time.Hour), Conn: conn}
	if r == roleListener {
		record.Port = l.ports[0].key
	}
	l.put(kindProcess, record.key(), record, files...)
	return &peer{l.t, &process{processRecord: record}, theirs, nil}
}

// adopted is what the next controller makes of it.
func (l *legacy) adopted() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.adopt(l.held, guardian.Stored{Starts: 2})
}

// locked runs a look at the controller, whose goroutines are at work.
func (l *legacy) locked(look func() bool) func() bool {
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return look()
	}
}

// look does the same once.
func (l *legacy) look(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

func TestAdoptConnections(t *testing.T) {
	l := newLegacy(t)
	l.buffer(100, "live", buffer.Live)
	l.buffer(101, "other", buffer.Live)
	publisher := l.process(1, roleConnection, &connRecord{ID: "p", Stream: "live", Buffer: 100, Role: media.Publish, Since: time.Now()})
	viewer := l.process(2, roleConnection, &connRecord{ID: "v", Stream: "live", Buffer: 100, Role: media.Play, Since: time.Now()})
	stale := l.process(3, roleConnection, &connRecord{ID: "s", Stream: "live", Buffer: 99, Role: media.Play, Since: time.Now()})
	lost := l.process(4, roleConnection, &connRecord{ID: "l", Stream: "gone", Buffer: 98, Role: media.Publish, Since: time.Now()})
	second := l.process(5, roleConnection, &connRecord{ID: "2", Stream: "live", Buffer: 100, Role: media.Publish, Since: time.Now()})
	undecided := l.process(6, roleConnection, &connRecord{ID: "u", Stream: "live", Since: time.Now()})
	l.adopted()

	require.Len(t, l.Connections(), 6)
	s := l.streams["live"]
	require.Equal(t, "p", s.publisher.ID)
	require.Len(t, s.players, 1)
	for name, q := range map[string]*peer{"stale": stale, "lost": lost, "second": second} {
		m, _ := q.hears()
		require.Equal(t, srt.MsgClose, m.Type, name)
	}
	for _, q := range []*peer{publisher, viewer, undecided} {
		m, _ := q.hears()
		require.Equal(t, srt.MsgReport, m.Type)
	}
	// What they repeat makes them whole. The publisher's buffer may have been lost on its way, so that it gets it again, once.
	require.NoError(t, publisher.ctl.Send(srt.MsgConnected, srt.Connected{LatencyRcv: 250}))
	for range 3 {
		require.NoError(t, publisher.ctl.Send(srt.MsgDirection, srt.Direction{Role: media.Publish}))
	}
	require.NoError(t, undecided.ctl.Send(srt.MsgConnected, srt.Connected{}))
	require.NoError(t, undecided.ctl.Send(srt.MsgDirection, srt.Direction{Role: media.Play}))
	l.eventually("the undecided one is in", l.locked(func() bool { return len(s.players) == 2 }))
	l.eventually("the publisher is connected", l.locked(func() bool { return s.publisher.Connected != nil && !s.publisher.adopted }))
	require.Len(t, publisher.hearsOf(srt.MsgBuffer, nil), 1)
	m, _ := publisher.hears()
	require.Empty(t, m.Type)

	// The other stream had a publisher that did not survive: its epoch is ended, and it is kept for the resume time.
	require.Equal(t, buffer.Ended, l.streams["other"].info.State)
	require.False(t, l.streams["other"].gone.IsZero())
	require.EqualValues(t, 1, l.restarts["controller"])
}

func TestAdoptIdleProcess(t *testing.T) {
	l := newLegacy(t)
	listener := l.process(1, roleListener, nil)
	idle := l.process(2, roleConnection, nil)
	l.adopted()
	require.Empty(t, l.pool.idle, "it may have died with the controller")
	m, _ := idle.hears()
	require.Equal(t, srt.MsgReport, m.Type)
	require.NoError(t, idle.ctl.Send(srt.MsgHello, srt.Hello{}))
	require.NoError(t, idle.ctl.Send(srt.MsgHello, srt.Hello{}))
	l.eventually("it is in the pool", l.locked(func() bool { return len(l.pool.idle) == 1 }))
	var limits srt.Limits
	listener.hearsOf(srt.MsgLimits, &limits)
	require.Equal(t, srt.Limits{Handshakes: 200, Pending: 128}, limits)
	m, _ = listener.hears()
	require.Empty(t, m.Type)
	l.mu.Lock()
	l.sweepProcesses()
	killed := l.processes[2].killed
	l.mu.Unlock()
	require.False(t, killed, "its age does not count against it")
}

func TestAdoptStreams(t *testing.T) {
	l := newLegacy(t)
	l.buffer(1, "empty", buffer.Empty)
	l.buffer(2, "ended", buffer.Ended)
	l.buffer(3, "over", buffer.Closed)
	l.buffer(4, "twice", buffer.Ended)
	l.buffer(5, "twice", buffer.Ended)
	l.adopted()
	require.Len(t, l.streams, 3)
	require.True(t, l.streams["ended"].playable())
	require.False(t, l.streams["over"].playable())
	require.EqualValues(t, 5, l.streams["twice"].ID)
	require.GreaterOrEqual(t, l.lastID, uint64(5))
	require.Equal(t, []string{"process.restarted controller", "stream.removed twice", "stream.removed empty"}, kinds(toldEvents(t, l.Controller)), "the rest is as it was")
	l.mu.Lock()
	l.monitor(time.Now().Add(time.Duration(l.Config.Resume) + time.Second))
	l.monitor(time.Now().Add(time.Hour))
	l.monitor(time.Now().Add(2 * time.Hour))
	l.mu.Unlock()
	require.Empty(t, l.streams)
	l.eventually("no buffer is left in the store", func() bool { return len(l.guardian.kinds(kindBuffer)) == 0 })
}

func TestAdoptLeftovers(t *testing.T) {
	l := newLegacy(t)
	ours, file, err := control.Pair()
	require.NoError(t, err)
	child, err := control.New(file)
	require.NoError(t, err)
	defer child.Close()
	l.put(kindProcess, "7", processRecord{ID: 7, Role: roleConnection}, ours.File()) // killed between Put and fork
	files := func(n int) (all []*os.File) {
		for range n {
			f, err := memfile.NewSized("junk", 4096)
			require.NoError(t, err)
			all = append(all, f)
		}
		return all
	}
	l.put(kindProcess, "8", "junk", files(2)...)
	l.put(kindProcess, "9", processRecord{ID: 9, Role: "of a later version", PID: 1}, files(2)...)
	l.put(kindProcess, "10", processRecord{ID: 10, Role: roleConnection, PID: 1}, files(2)...)
	l.put(kindBuffer, "11", bufferRecord{ID: 11, Stream: "no-files"})
	l.put(kindBuffer, "12", bufferRecord{ID: 12, Stream: "junk"}, files(2)...)
	l.put(kindServer, "", "junk")
	l.adopted()
	require.Empty(t, l.processes)
	require.Empty(t, l.streams)
	require.False(t, l.server.Started.IsZero())
	l.eventually("the store has forgotten them", func() bool {
		return len(l.guardian.kinds(kindProcess)) == 0 && len(l.guardian.kinds(kindBuffer)) == 0
	})
	require.NoError(t, child.SetReadDeadline(time.Now().Add(time.Second)))
	_, _, err = child.Recv()
	require.ErrorIs(t, err, io.EOF, "what was started sees that nobody wants it")
}

func TestAdoptAfterAChangeOfAddress(t *testing.T) {
	l := newLegacy(t)
	http := l.process(1, roleHTTP, nil)
	listener := l.process(2, roleListener, nil)
	old, err := listenTCP("127.0.0.1:0")
	require.NoError(t, err)
	l.put(kindSocket, "http 127.0.0.1:1", nil, old...)
	l.adopted()
	http.hearsOf(httpd.MsgReport, nil)
	l.eventually("the http process is replaced", l.locked(func() bool { return l.processes[1] == nil }))
	require.True(t, l.locked(func() bool { return l.processes[2] != nil && !l.processes[2].killed })())
	listener.hearsOf(srt.MsgLimits, nil)
	m, _ := listener.hears()
	require.Empty(t, m.Type)
	require.Empty(t, l.guardian.kinds(kindSocket))
}

// A publisher that died with the controller does not keep its encoder out.
func TestAdoptDeadPublisher(t *testing.T) {
	l := newLegacy(t)
	l.process(1, roleListener, nil)
	l.buffer(100, "live", buffer.Live)
	dead := l.process(2, roleConnection, &connRecord{ID: "p", Stream: "live", Buffer: 100, Role: media.Publish, Since: time.Now()})
	require.NoError(t, unix.Kill(dead.p.PID, unix.SIGKILL))
	fd, err := control.Descriptor(l.held[len(l.held)-1].Files[1])
	require.NoError(t, err)
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000)
	require.NoError(t, err)
	l.locked(func() bool {
		l.adopt(l.held, guardian.Stored{Starts: 2})
		require.NotNil(t, l.streams["live"].publisher)
		require.Empty(t, l.decide(&srt.Request{Peer: "192.0.2.1:5", StreamID: "publish:live"}, l.ports[0]).cause)
		return true
	})()
	l.eventually("it is forgotten", l.locked(func() bool { return len(l.connections) == 0 }))
}

// What a process said before it ended counts, even where it had said too much.
func TestLastWords(t *testing.T) {
	l := newLegacy(t)
	l.buffer(100, "live", buffer.Live)
	q := l.process(1, roleConnection, &connRecord{ID: "p", Stream: "live", Buffer: 100, Role: media.Publish, Since: time.Now()})
	l.adopted()
	for range int(2 * roles[roleConnection].messages) {
		require.NoError(t, q.ctl.SendWithin(5*time.Second, srt.MsgStats, srt.ConnStats{}))
	}
	require.NoError(t, q.ctl.SendWithin(5*time.Second, srt.MsgFailed, srt.Failed{Reason: srt.FailLost}))
	require.NoError(t, q.ctl.Close())
	began := time.Now() // our report was not read
	require.NoError(t, unix.Kill(q.p.PID, unix.SIGKILL))
	l.eventually("it is forgotten", l.locked(func() bool { return len(l.connections) == 0 }))
	require.Less(t, time.Since(began), time.Second)
	require.EqualValues(t, 1, l.failures[srt.FailLost], l.log.String())
}
