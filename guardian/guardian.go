// Package guardian is the outermost process: it keeps a copy of every descriptor that has to outlive a
// controller, starts the controller, and starts another when it dies or hangs.
package guardian

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"brume/control"
)

// ExitSetup is the exit status of a controller that can't start as it is configured. A restart would not help.
const ExitSetup = 78 // EX_CONFIG of sysexits.h

// ErrSetup means that the first controller ended with ExitSetup, having said why.
var ErrSetup = errors.New("the controller can't start")

// Times of the guardian.
const (
	shutdownTime = 2500 * time.Millisecond // for the controller to end everything
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = time.Second // a dead controller is back within this
	calm         = 10 * time.Second
	lastWords    = time.Second
	tendInterval = time.Second // between two tries of what could not be kept, and two looks at the controller
)

// Guardian starts Argv as the controller, with its control socket on descriptor 3.
type Guardian struct {
	Path string   // program
	Argv []string // its arguments, the name first
	Env  []string
	Log  *slog.Logger

	systemd *supervisor // nil where there is none
	store   *store
	conn    *control.Conn
	silent  bool // conn has said its last
	pid     int
	starts  int
	heir    bool // it has taken over from another guardian
	behind  bool // what was taken over may lack the other's last words
	started time.Time

	tick     time.Duration // tendInterval, less in tests
	unheard  int           // ticks since the controller last answered
	patience int           // how many there may be

	ready bool
	exits chan exit
	words chan word
}

type exit struct {
	pid    int
	status unix.WaitStatus
}

type word struct {
	conn  *control.Conn
	m     control.Message
	files []*os.File
	err   error
}

// Run works until ctx ends or the first controller can't start. No process is left when it returns.
//
// Under systemd with a descriptor store (FDSTORE in the environment) it keeps its own store there too: when this
// process dies, its processes go on, and the next one takes over. Those are no children of that one: where no controller is
// there to end them, they end by themselves when their control sockets close.
func (g *Guardian) Run(ctx context.Context) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of orphans: %w", err)
	}
	g.store = newStore()
	if g.tick == 0 {
		g.tick = tendInterval
	}
	if err := g.meetSystemd(); err != nil {
		return err
	}
	g.exits = make(chan exit, 64)
	g.words = make(chan word, 64)
	stop := make(chan struct{})
	defer close(stop)
	go reap(g.exits, stop)
	defer g.partFromSystemd()
	defer g.store.close()
	defer g.dropConn()
	defer killAll(g.exits)
	err := g.start()
	if err != nil && !g.heir {
		return err // nothing is served yet
	}
	return g.watch(ctx, err)
}

func (g *Guardian) watch(ctx context.Context, err error) error {
	backoff := firstBackoff
	restart := time.NewTimer(0)
	<-restart.C
	retry := func() {
		restart.Reset(backoff)
		backoff = min(backoff*2, lastBackoff)
	}
	if err != nil {
		g.Log.Error("can't start the controller", "error", err)
		retry()
	}
	tend := time.NewTicker(g.tick)
	defer tend.Stop()
	var overdue <-chan time.Time
	done := ctx.Done()
	for {
		select {
		case <-done:
			done = nil
			tend.Stop()
			g.tellSystemd("STOPPING=1")
			overdue = time.After(shutdownTime)
			if g.conn == nil || g.conn.SendWithin(time.Second, MsgShutdown, nil) != nil {
				return nil
			}
		case <-overdue:
			g.Log.Warn("the controller did not end in time; ending everything")
			return nil
		case w := <-g.words:
			g.hear(w)
		case e := <-g.exits:
			if e.pid != g.pid {
				g.tellExit(e)
				continue
			}
			g.pid = 0
			g.dropConn()
			switch {
			case done == nil:
				return nil
			case !g.ready && !g.heir && e.status.ExitStatus() == ExitSetup:
				return ErrSetup
			}
			if time.Since(g.started) > calm {
				backoff = firstBackoff
			}
			g.Log.Error("the controller has died; streams and viewers go on, starting another", "status", describe(e.status), "in", backoff.String())
			retry()
		case <-restart.C:
			if err := g.start(); err != nil {
				g.Log.Error("can't start the controller", "error", err)
				retry()
			}
		case <-tend.C:
			g.store.tend()
			g.beat()
		}
	}
}

func (g *Guardian) start() error {
	conn, file, err := control.Pair()
	if err != nil {
		return err
	}
	defer file.Close()
	fd, err := control.Descriptor(file)
	if err != nil {
		return err
	}
	pid, err := syscall.ForkExec(g.Path, g.Argv, &syscall.ProcAttr{
		Env:   withoutOwn(g.Env),
		Files: []uintptr{0, 1, 2, uintptr(fd)},
		// A group of its own keeps the terminal's interrupt away: the guardian ends the rest in order.
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		_ = conn.Close()
		return fmt.Errorf("start the controller %s: %w", g.Path, err)
	}
	g.starts++
	g.store.runs(mark{pid, Began(pid), g.starts})
	g.pid, g.conn, g.silent, g.started = pid, conn, false, time.Now()
	g.unheard, g.patience = 0, startTicks
	conn.AcceptFiles()
	if err := g.store.tell(conn, g.starts, g.behind); err != nil {
		g.Log.Error("the controller did not take the store over; ending it", "error", err)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	go listen(conn, g.words)
	return nil
}

func listen(conn *control.Conn, words chan<- word) {
	for {
		m, files, err := conn.Recv()
		words <- word{conn, m, files, err}
		if err != nil && !errors.Is(err, control.ErrMalformed) {
			return
		}
	}
}

func (g *Guardian) hear(w word) {
	switch {
	case errors.Is(w.err, control.ErrMalformed):
		g.Log.Error("the controller said something malformed", "error", w.err)
	case w.err != nil:
		g.silent = true
	case w.m.Type == MsgReady:
		g.ready, g.behind = true, false
		g.unheard, g.patience = 0, hungTicks
		g.tellSystemd("READY=1")
	case w.m.Type == MsgAlive:
		g.alive()
	default:
		if err := g.store.apply(w.m, w.files); err != nil {
			g.Log.Error("the store refused an entry", "error", err)
		} else if w.m.Type == MsgAdd {
			g.added(w)
		}
	}
}

// added tells the controller that a process is known here, before which it gets no work.
func (g *Guardian) added(w word) {
	var e Entry
	if err := w.m.Decode(&e); err != nil || w.conn != g.conn {
		return
	}
	if err := w.conn.Send(MsgAdded, Entry{Kind: e.Kind, Key: e.Key}); err != nil {
		g.Log.Debug("the controller does not hear that its process is known", "key", e.Key, "error", err)
	}
}

// dropConn hears what a dead controller had still said, and closes its socket. A process that the controller was just
// starting may hold the other end for a moment; it is not waited for long.
func (g *Guardian) dropConn() {
	if g.conn == nil {
		return
	}
	_ = g.conn.SetReadDeadline(time.Now().Add(lastWords))
	for !g.silent {
		g.hear(<-g.words)
	}
	_ = g.conn.Close()
	g.conn = nil
}

func (g *Guardian) tellExit(e exit) {
	if g.conn == nil {
		return
	}
	if err := g.conn.Send(MsgExited, Exited{PID: e.pid, Status: describe(e.status)}); err != nil {
		g.Log.Debug("the controller was not told of an exit", "pid", e.pid, "error", err)
	}
}

// reap collects every child and orphan.
func reap(exits chan<- exit, stop <-chan struct{}) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond): // no child now
			}
		default:
			select {
			case exits <- exit{pid, status}:
			case <-stop:
				return
			}
		}
	}
}

// killAll ends whatever is still below this process. Killing a parent hands its children to us,
// so it goes on until none is left.
func killAll(exits <-chan exit) {
	deadline := time.After(2 * time.Second)
	for {
		pids := children()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		select {
		case <-exits:
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			return
		}
	}
}

// children are the pids of this process's own children, adopted ones included.
func children() []int {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	var pids []int
	for _, task := range tasks {
		b, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func describe(s unix.WaitStatus) string {
	if s.Signaled() {
		return "killed by " + unix.SignalName(s.Signal())
	}
	return "exit status " + strconv.Itoa(s.ExitStatus())
}
