package controller

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"brume/buffer"
	"brume/config"
	"brume/control"
	"brume/guardian"
	"brume/srt"
	"brume/test/logged"
)

// fakeGuardian keeps the store of one controller after another.
type fakeGuardian struct {
	t testing.TB

	mu      sync.Mutex
	conn    *control.Conn
	entries map[string]*guardian.Handed
	order   []string
	starts  int
	ready   bool
	readers sync.WaitGroup
}

func newGuardian(t testing.TB) *fakeGuardian {
	g := &fakeGuardian{t: t, entries: map[string]*guardian.Handed{}}
	t.Cleanup(g.die)
	return g
}

// next is the control socket of another controller, which is told the store.
func (g *fakeGuardian) next() *os.File {
	g.t.Helper()
	conn, file, err := control.Pair()
	require.NoError(g.t, err)
	conn.AcceptFiles()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conn, g.ready = conn, false
	g.starts++
	told := make(chan error, 1)
	order, entries := slices.Clone(g.order), map[string]guardian.Handed{}
	for k, h := range g.entries {
		entries[k] = *h
	}
	starts := g.starts
	g.readers.Go(func() {
		for _, id := range order {
			if err := conn.SendWithin(time.Second, guardian.MsgEntry, entries[id].Entry, entries[id].Files...); err != nil {
				told <- err
				return
			}
		}
		told <- conn.SendWithin(time.Second, guardian.MsgStored, guardian.Stored{Starts: starts})
		for {
			m, files, err := conn.Recv()
			if err != nil {
				return
			}
			g.hear(m, files)
		}
	})
	if len(order) < 50 { // fits into the socket
		require.NoError(g.t, <-told)
	}
	return file
}

func (g *fakeGuardian) hear(m control.Message, files []*os.File) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var e guardian.Entry
	_ = m.Decode(&e)
	id := e.Kind + "/" + e.Key
	switch m.Type {
	case guardian.MsgReady:
		g.ready = true
	case guardian.MsgPut:
		if old := g.entries[id]; old != nil {
			closeFiles(old.Files)
		} else {
			g.order = append(g.order, id)
		}
		g.entries[id] = &guardian.Handed{Entry: e, Files: files}
	case guardian.MsgAdd, guardian.MsgUpdate:
		if old := g.entries[id]; old != nil {
			old.Record, old.Files = e.Record, append(old.Files, files...)
			if m.Type == guardian.MsgAdd {
				_ = g.conn.Send(guardian.MsgAdded, e)
			}
		}
	case guardian.MsgRemove:
		if old := g.entries[id]; old != nil {
			closeFiles(old.Files)
			delete(g.entries, id)
			g.order = slices.DeleteFunc(g.order, func(o string) bool { return o == id })
		}
	}
}

// die closes the control socket and all that the store holds.
func (g *fakeGuardian) die() {
	g.mu.Lock()
	if g.conn != nil {
		_ = g.conn.Close()
	}
	g.mu.Unlock()
	g.readers.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.entries {
		closeFiles(h.Files)
	}
	g.entries, g.order = map[string]*guardian.Handed{}, nil
}

// kinds counts what the store holds of a kind.
func (g *fakeGuardian) kinds(kind string) (keys []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.entries {
		if h.Kind == kind {
			keys = append(keys, h.Key)
		}
	}
	return keys
}

// record reads what the store holds of a process.
func (g *fakeGuardian) record(p *process) (r processRecord) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h := g.entries[kindProcess+"/"+p.key()]; h != nil {
		_ = json.Unmarshal(h.Record, &r)
	}
	return r
}

// desk is a controller without processes of its own: those it believes to have are at the other end of
// their control sockets in the test.
type desk struct {
	*Controller
	t        testing.TB
	guardian *fakeGuardian
	listener *peer
	log      *logged.Buffer
}

// peer is the other end of a process.
type peer struct {
	t    testing.TB
	p    *process
	ctl  *control.Conn
	file *os.File
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	if f := flag.Lookup("test.fuzz"); f.Value.String() == "" { // the fuzzer has goroutines of its own
		leak := goleak.IgnoreCurrent()
		t.Cleanup(func() { goleak.VerifyNone(t, leak) })
	}
	g := newGuardian(t)
	d := &desk{Controller: testController("/nonexistent", t.TempDir()), t: t, guardian: g, log: &logged.Buffer{}}
	file := g.next()
	ctl, err := control.New(file)
	require.NoError(t, err)
	ctl.AcceptFiles()
	d.init(ctl, slog.New(slog.NewTextHandler(d.log, nil)))
	_, _, err = d.store.Load()
	require.NoError(t, err)
	d.pool.paused = time.Now().Add(time.Hour) // nothing is started
	d.opens("192.0.2.9:8889", d.Config.SRT.Port)
	d.stopAtEnd(ctl)
	d.listener = d.join(roleListener)
	return d
}

// opens adds an SRT port without sockets.
func (d *desk) opens(address string, settings config.Port) *port {
	p := &port{Port: settings, key: address, address: address}
	d.ports = append(d.ports, p)
	d.duties = append(d.duties, &duty{role: roleListener, port: p})
	return p
}

func (d *desk) stopAtEnd(ctl *control.Conn) {
	d.t.Cleanup(func() {
		d.mu.Lock()
		d.stopping = true
		for _, s := range d.streams {
			d.closeStream(s)
		}
		for _, p := range d.processes {
			p.close()
		}
		_ = ctl.Close()
		d.mu.Unlock()
	})
}

// join adds a process that has said hello. Nobody but the test hears it.
func (d *desk) join(r role) *peer {
	d.t.Helper()
	d.lastID++
	ours, file, err := control.Pair()
	require.NoError(d.t, err)
	theirs, err := control.New(file)
	require.NoError(d.t, err)
	theirs.AcceptFiles()
	p := &process{processRecord: processRecord{ID: d.lastID, Role: r, PID: 1 << 22, Started: time.Now()}, spec: roles[r], ctl: ours, ready: true, known: true}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(d.t, err)
	p.handover = os.NewFile(uintptr(pair[0]), "hand-over")
	switch r {
	case roleHTTP:
		p.duty = d.duties[0]
	case roleListener:
		p.duty = d.duties[1]
		p.Port = p.duty.port.key
	}
	d.processes[p.ID] = p
	require.NoError(d.t, d.store.Put(kindProcess, p.key(), p.processRecord, ours.File()))
	q := &peer{d.t, p, theirs, os.NewFile(uintptr(pair[1]), "hand-over")}
	d.t.Cleanup(func() {
		_ = theirs.Close()
		_ = q.file.Close()
	})
	return q
}

// idle adds an idle connection process.
func (d *desk) idle() *peer {
	d.t.Helper()
	q := d.join(roleConnection)
	d.idleChild(q.p)
	return q
}

// says lets the controller hear a message.
func (d *desk) says(q *peer, kind string, body any) {
	d.t.Helper()
	b, err := json.Marshal(body)
	require.NoError(d.t, err)
	d.heard(q.p, control.Message{Type: kind, Body: b}, nil)
}

// ends lets a process end.
func (d *desk) ends(q *peer, status string) {
	_ = q.ctl.Close()
	d.ended(q.p, status)
}

// hears returns the next message to a process, or none. What was sent is in the socket by then, and poll(2) looks there
// before it looks at the time: a read deadline may be over on a loaded machine before the read has begun.
func (q *peer) hears() (control.Message, []*os.File) {
	q.t.Helper()
	fd, err := control.Descriptor(q.ctl.File())
	require.NoError(q.t, err)
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 1)
	for err == unix.EINTR {
		n, err = unix.Poll(poll, 1)
	}
	require.NoError(q.t, err)
	if n == 0 {
		return control.Message{}, nil
	}
	m, files, err := q.ctl.Recv()
	if err != nil {
		return control.Message{}, nil
	}
	q.t.Cleanup(func() { closeFiles(files) })
	return m, files
}

// hearsOf passes over other messages.
func (q *peer) hearsOf(kind string, body any) []*os.File {
	q.t.Helper()
	for {
		m, files := q.hears()
		require.NotEmpty(q.t, m.Type, "there was no message %s", kind)
		if m.Type == kind {
			if body != nil {
				require.NoError(q.t, m.Decode(body))
			}
			return files
		}
	}
}

// calls lets the listener ask about a caller, and returns its verdict, which has no number where there was none.
func (d *desk) calls(id uint64, streamID string) srt.Verdict {
	d.t.Helper()
	d.asks(id, streamID)
	return d.verdict()
}

// asks lets the listener ask about a caller.
func (d *desk) asks(id uint64, streamID string) {
	d.t.Helper()
	d.says(d.listener, srt.MsgRequest, srt.Request{ID: id, Peer: fmt.Sprintf("192.0.2.1:%d", id), Local: "192.0.2.9:8889", StreamID: streamID})
}

// listens makes a listener process the one of another port.
func (d *desk) listens(at *port) *peer {
	d.t.Helper()
	q := d.join(roleListener)
	i := slices.IndexFunc(d.duties, func(x *duty) bool { return x.port == at })
	q.p.duty, q.p.Port = d.duties[i], at.key
	return q
}

// verdict is the next one that the listener hears, if any.
func (d *desk) verdict() (v srt.Verdict) {
	d.t.Helper()
	for {
		m, _ := d.listener.hears()
		if m.Type == srt.MsgVerdict {
			require.NoError(d.t, m.Decode(&v))
		}
		if m.Type == "" || m.Type == srt.MsgVerdict {
			return v
		}
	}
}

// admitted makes a process with a connection, as if it came in now, and its stream where it publishes.
func (d *desk) admitted(id uint64, streamID string) *peer {
	d.t.Helper()
	q := d.idle()
	v := d.calls(id, streamID)
	require.Equal(d.t, srt.Verdict{ID: id, Child: q.p.ID}, v)
	d.says(q, srt.MsgConnected, srt.Connected{})
	return q
}

// live writes into the buffer of a publisher and lets the controller see it.
func (d *desk) live(q *peer) {
	d.t.Helper()
	s := q.p.conn.in
	w, err := buffer.OpenWriter(s.rw)
	require.NoError(d.t, err)
	writeUnit(w, time.Now(), 1)
	require.NoError(d.t, w.Close())
	d.lookAt(s, time.Now())
	require.Equal(d.t, buffer.Live, s.info.State)
}

// silent makes a stream's publisher silent for long enough to give way.
func (d *desk) silent(name string) {
	s := d.streams[name]
	d.lookAt(s, time.Now())
	s.moved = time.Now().Add(-2 * silence)
}

func (d *desk) eventually(what string, ok func() bool) {
	d.t.Helper()
	eventually(d.t, 5*time.Second, what, ok)
}

func eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// programs makes a folder with links to this test binary in the names of the programs.
func programs(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	for _, name := range []string{"brume", "brume-srt"} {
		require.NoError(t, os.Symlink(self, filepath.Join(dir, name)))
	}
	return dir
}
