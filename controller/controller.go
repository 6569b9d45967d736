// Package controller decides: it starts every process, keeps streams and connections, and answers the API. It
// never touches a media byte.
package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"brume/access"
	"brume/api"
	"brume/config"
	"brume/control"
	"brume/gate"
	"brume/guardian"
	"brume/loglimit"
	"brume/outputs/httpd"
	"brume/srt"
)

// Kinds of entries in the guardian's store.
const (
	kindProcess = "process"
	kindBuffer  = "buffer"
	kindSocket  = "socket"
	kindServer  = "server"
)

// ErrSetup means that the server can't start as it is configured.
var ErrSetup = errors.New("can't start")

// Controller runs the server. The fields are set before Run.
type Controller struct {
	Config  *config.Config
	Program string   // path of brume
	Helper  string   // path of brume-srt
	LogArgs []string // arguments that give a brume process this one's log settings
	Version string
	Front   http.Handler // the front page
	// Started is called once the very first controller of this server serves.
	Started func(Addresses)

	log   *slog.Logger
	store *guardian.Client

	mu          sync.Mutex
	server      serverRecord
	lastID      uint64
	sockets     sockets
	ports       []*port
	access      *access.Table
	processes   map[uint64]*process
	streams     map[string]*stream
	connections map[string]*connection
	pool        pool
	web         webState
	libsrt      api.LibSRT
	restarts    map[string]uint64
	rejects     map[cause]uint64
	failures    map[string]uint64
	duties      []*duty
	kills       map[fault]uint64
	watched     int // looks at the processes
	out         outbound
	malformed   loglimit.Lines
	refusals    refusals
	childLines  loglimit.Lines // of all processes together
	runtime     *os.Root       // nil where there is none
	reported    map[role]bool
	stopping    bool
	files       uint64 // limit of open files
	events      *api.Events
	keyframes   keyframes                 // of streams that are gone
	histories   map[string]*streamSamples // by the stream's name
	sampled     int64                     // second in which streams were last looked at
}

// serverRecord is what all controllers of one server share.
type serverRecord struct {
	Started  time.Time         `json:"started"`
	Restarts map[string]uint64 `json:"restarts"`
	Locked   []string          `json:"locked,omitempty"` // streams, sorted
}

// Run serves until the guardian says otherwise or ctx ends, and leaves no process behind then. The control socket is
// the one that the guardian gave this process.
func (c *Controller) Run(ctx context.Context, ctl *control.Conn, log *slog.Logger) error {
	c.init(ctl, log)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	held, stored, err := c.store.Load()
	if err != nil {
		return err
	}
	c.endLost(held)
	if err := c.openRuntime(stored.Starts == 1); err != nil {
		return fmt.Errorf("%w: %w", ErrSetup, err)
	}
	if err := c.openSockets(held, stored.Starts == 1); err != nil {
		return fmt.Errorf("%w: %w", ErrSetup, err)
	}
	c.mu.Lock()
	c.loadCallers()
	c.adopt(held, stored)
	err = c.startAll(ctx, stored.Starts == 1)
	c.mu.Unlock()
	if err != nil {
		c.shutdown()
		return fmt.Errorf("%w: %w", ErrSetup, err)
	}
	return c.serve(ctx, stored)
}

// init makes what the controller keeps.
func (c *Controller) init(ctl *control.Conn, log *slog.Logger) {
	c.log = log
	c.files = openFiles()
	c.store = guardian.NewClient(ctl)
	c.processes = map[uint64]*process{}
	c.streams = map[string]*stream{}
	c.connections = map[string]*connection{}
	c.zeroCounters()
	c.duties = []*duty{{role: roleHTTP}}
	c.access = access.NewTable(c.Config.Access)
	c.events = api.NewEvents(time.Now())
	c.keyframes = keyframes{}
	c.childLines.PerSecond, c.refusals.lines.PerSecond = allLinesPerSecond, linesPerSecond
	c.histories = map[string]*streamSamples{}
	c.reported = map[role]bool{}
	c.out.init()
	c.lastID = uint64(time.Now().UnixNano())
}

// startAll starts what does not run yet. Only the first controller gives up over it: with a later one that would
// end everybody's media.
func (c *Controller) startAll(ctx context.Context, first bool) error {
	if _, err := exec.LookPath(c.Helper); err != nil && first {
		return fmt.Errorf("brume-srt is needed beside brume: %w", err)
	}
	for _, d := range c.duties {
		if c.onDuty(d) != nil {
			continue
		}
		if !first {
			c.tryStart(d)
		} else if err := c.startDuty(d); err != nil {
			return err
		}
	}
	c.fillPool()
	go c.askLibSRT(ctx)
	return nil
}

func (c *Controller) serve(ctx context.Context, stored guardian.Stored) error {
	server := api.NewServer(api.New(c, api.Options{Version: c.Version, Pages: c.Front, Log: c.log}), c.log)
	served := make(chan error, 1)
	doors := gate.New(apiConnections(openFiles()))
	doors.Watch(server)
	go func() { served <- server.Serve(doors.Listener(c.sockets.api)) }()
	defer server.Close()
	words := make(chan control.Message)
	go c.hearGuardian(ctx, words)
	if err := c.store.Ready(); err != nil {
		return err
	}
	c.writeStateFile()
	if c.Started != nil && stored.Starts == 1 {
		c.Started(c.addresses())
	}
	tick := time.NewTicker(monitorInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			c.shutdown()
			return nil
		case err := <-served:
			return fmt.Errorf("the API has stopped: %w", err)
		case <-tick.C:
			c.mu.Lock()
			c.monitor(time.Now())
			c.mu.Unlock()
		case m, ok := <-words:
			if !ok && stored.Kept {
				// Its store is not: the next guardian's controller takes everything over.
				c.log.Warn("the guardian is gone; leaving everything to the next one")
				c.removeStateFile()
				return nil
			}
			if !ok {
				// The guardian is gone, and the store with it: nothing would survive us now.
				c.log.Error("the guardian is gone; ending everything")
				c.shutdown()
				return nil
			}
			switch m.Type {
			case guardian.MsgShutdown:
				c.shutdown()
				return nil
			case guardian.MsgAlive:
				if err := c.store.Alive(); err != nil {
					c.log.Debug("the guardian does not hear that this controller lives", "error", err)
				}
			case guardian.MsgAdded:
				c.addedTold(m)
			case guardian.MsgExited:
				c.exitTold(m)
			}
		}
	}
}

func (c *Controller) hearGuardian(ctx context.Context, words chan<- control.Message) {
	defer close(words)
	for {
		m, err := c.store.Recv()
		if err != nil {
			return
		}
		select {
		case words <- m:
		case <-ctx.Done():
			return
		}
	}
}

// addedTold lets a process work of which the guardian knows: should that die, the next one finds it.
func (c *Controller) addedTold(m control.Message) {
	var e guardian.Entry
	if m.Decode(&e) != nil || e.Kind != kindProcess {
		return
	}
	id, _ := strconv.ParseUint(e.Key, 10, 64)
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.processes[id]; p != nil && !p.known {
		p.known = true
		c.joinPool(p)
	}
}

func (c *Controller) exitTold(m control.Message) {
	var e guardian.Exited
	if m.Decode(&e) == nil {
		c.log.Debug("a process of an earlier controller has ended", "pid", e.PID, "status", e.Status)
	}
}

// shutdown ends every process: connections in an orderly way, then whatever is left by force.
func (c *Controller) shutdown() {
	c.mu.Lock()
	c.stopping = true
	c.events.Close("the server is shutting down")
	c.stopCalls()
	for _, p := range c.processes {
		switch {
		case p.Role == roleHTTP:
			_ = p.ctl.Send(httpd.MsgClose, nil)
		case p.conn != nil:
			_ = p.ctl.Send(srt.MsgClose, nil)
		case p.Role == roleConnection:
			p.kill()
		}
	}
	c.mu.Unlock()
	c.waitFor(1500*time.Millisecond, func() bool {
		for _, p := range c.processes {
			if p.Role != roleListener {
				return false
			}
		}
		return true
	})
	c.mu.Lock()
	for _, p := range c.processes {
		p.kill()
	}
	c.mu.Unlock()
	c.waitFor(500*time.Millisecond, func() bool { return len(c.processes) == 0 })
	c.removeStateFile()
}

func (c *Controller) waitFor(limit time.Duration, done func() bool) {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		c.mu.Lock()
		ok := done()
		c.mu.Unlock()
		if ok {
			return
		}
	}
}

// heard takes one message of a process. Whatever it says, it changes only what belongs to that process.
func (c *Controller) heard(p *process, m control.Message, err error) {
	if c.processes[p.ID] != p {
		return
	}
	p.quiet = 0
	if err == nil {
		switch p.Role {
		case roleHTTP:
			err = c.heardHTTP(p, m)
		case roleListener:
			err = c.heardListener(p, m)
		case roleConnection:
			err = c.heardConnection(p, m)
		}
	}
	if err != nil {
		c.malformed.Log(c.log, slog.LevelWarn, "a process said something malformed", "error", err, "role", p.Role, "pid", p.PID)
	}
}

// ended forgets a process that is gone and does what its role asks for.
func (c *Controller) ended(p *process, status string) {
	delete(c.processes, p.ID)
	_ = c.store.Remove(kindProcess, p.key())
	defer p.close()
	if p.Role == roleConnection {
		c.connectionEnded(p, status)
		return
	}
	c.dutyEnded(p, status)
}

func (c *Controller) saveServer() {
	c.server.Restarts = c.restarts
	if err := c.store.Update(kindServer, "", c.server); err != nil {
		c.log.Error("the store did not take the server's record", "error", err)
	}
}

// sockets are what the server listens on, but for its SRT ports.
type sockets struct {
	http        []*os.File
	api         net.Listener
	httpAddress string
}

// zeroCounters begins every counter at 0, so that Prometheus sees its first increase.
func (c *Controller) zeroCounters() {
	c.restarts = map[string]uint64{"controller": 0}
	for r := range roles {
		c.restarts[string(r)] = 0
	}
	c.rejects = map[cause]uint64{}
	for why := range codes {
		c.rejects[why] = 0
	}
	c.failures = map[string]uint64{srt.FailCrash: 0}
	for reason := range failReasons {
		c.failures[reason] = 0
	}
	c.kills = map[fault]uint64{}
	for why := range faults {
		c.kills[why] = 0
	}
}
