package controller

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"brume/control"
	"brume/guardian"
	"brume/loglimit"
	"brume/rate"
	"brume/srt"
	"brume/untrusted"
)

// role is what a process is for.
type role string

const (
	roleHTTP       role = "http"
	roleListener   role = "srt-listener"
	roleConnection role = "srt"
)

// spec says how the processes of a role are run.
type spec struct {
	helper   bool          // runs brume-srt instead of brume
	handover bool          // has a hand-over socket on descriptor 4
	messages float64       // most control messages a second
	always   bool          // exactly one runs, started again when it ends
	calm     time.Duration // one that ran this long is started again at once
}

// roles is the table of the processes that exist.
var roles = map[role]spec{
	roleHTTP:       {messages: 1000, always: true, calm: 10 * time.Second},
	roleListener:   {messages: 20000, always: true, calm: 10 * time.Second},
	roleConnection: {messages: 50, helper: true, handover: true},
}

// processRecord is what the store keeps of a process.
type processRecord struct {
	ID      uint64      `json:"id"`
	Role    role        `json:"role"`
	PID     int         `json:"pid"`
	Started time.Time   `json:"started"`
	Port    string      `json:"port,omitempty"` // key of a listener's port
	Conn    *connRecord `json:"conn,omitempty"`
	Began   uint64      `json:"began,omitempty"` // see guardian.Began
}

func (r *processRecord) key() string { return strconv.FormatUint(r.ID, 10) }

// process is a running process, started by this controller or an earlier one.
type process struct {
	processRecord

	spec     spec
	ctl      *control.Conn
	pidfd    *os.File
	stderr   *os.File // a memory file of stderrSize with what it said last; nil where an earlier guardian had it
	handover *os.File // the listener's end, nil where it has none
	own      bool     // a child of this process, not of an earlier controller
	ready    bool     // has said hello
	known    bool     // the guardian has it in its store, with its number
	conn     *connection
	duty     *duty          // that it does, nil for one that is not replaced when it ends
	hello    srt.Hello      // of a connection process
	gone     chan struct{}  // closed when it has ended
	mute     bool           // it has closed its control socket
	age      int            // ticks of the monitor since this controller has it
	quiet    int            // ticks since it was last heard
	lines    loglimit.Lines // that it may log
	use      usage          // of processors
	still    int            // ticks in a row that it was seen stopped
	killed   bool           // we ended it by force
	failed   bool           // it said why it ends
}

// Bounds of a process, in ticks of the monitor and not in time: what a controller that was itself stopped did not hear
// is nobody's fault.
const (
	startTicks  = int(10 * time.Second / monitorInterval) // until its hello
	silentTicks = int(10 * time.Second / monitorInterval) // between two words of one that reports every second
	muteTicks   = int(time.Second / monitorInterval)      // between the end of its control socket and its own
)

// lastWordsTime bounds the reading of what a process that has ended had still said.
const lastWordsTime = 250 * time.Millisecond

// files are what the store has of a process beside its control socket. The brief ones are of no use to the next guardian: an
// idle process does not survive it, and what another wrote before it crashes is not worth a place in systemd's store.
func (p *process) files() (lasting, brief []*os.File) {
	brief = append(brief, p.stderr)
	if p.spec.handover {
		brief = append(brief, p.handover)
	}
	return []*os.File{p.pidfd}, brief
}

// take sets the descriptors that the store held.
func (p *process) take(files []*os.File) bool {
	want := 3
	if p.spec.handover {
		want++
	}
	if p.PID == 0 || len(files) != want && len(files) != 2 {
		return false
	}
	ctl, err := control.New(files[0])
	if err != nil {
		return false
	}
	p.ctl, p.pidfd = ctl, files[1]
	if files = files[2:]; len(files) == 0 {
		return true
	}
	p.stderr = files[0]
	if p.spec.handover {
		p.handover = files[1]
	}
	return true
}

func (p *process) close() {
	if p.ctl != nil {
		_ = p.ctl.Close()
	}
	for _, f := range []*os.File{p.pidfd, p.stderr, p.handover} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// kill ends the process at once. It can't hit another: the pidfd is this process's own.
func (p *process) kill() {
	p.killed = true
	if fd, err := control.Descriptor(p.pidfd); err == nil {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}

// alive tells whether the process has not ended yet. It knows before ended is called.
func (p *process) alive() bool {
	return !p.over(0)
}

// endNow kills the process and returns when it is gone, or does not die.
func (p *process) endNow() {
	p.kill()
	p.over(guardian.EndWait)
}

// over tells whether the process ends within a time.
func (p *process) over(within time.Duration) bool {
	fd, err := control.Descriptor(p.pidfd)
	return err == nil && guardian.Over(fd, within)
}

// attend hears what a process says, and its end, until it ends.
func (c *Controller) attend(p *process) {
	c.processes[p.ID] = p
	p.gone = make(chan struct{})
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		c.hear(p)
	}()
	go func() {
		status, err := p.wait()
		// Why it ended may still be in its socket.
		close(p.gone)
		_ = p.ctl.SetReadDeadline(time.Now().Add(lastWordsTime))
		<-heard
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			c.log.Error("lost sight of a process; ending it", "role", p.Role, "pid", p.PID, "error", err)
			p.kill()
		}
		c.ended(p, status)
	}()
}

// hear takes what a process says, no faster than it may talk, until its socket ends.
func (c *Controller) hear(p *process) {
	// One that talks too much fills its own socket instead of our time.
	var talk rate.Bucket
	reset := false
	for {
		m, _, err := p.ctl.Recv()
		if errors.Is(err, io.EOF) && !reset {
			// unix(7): a process that ends with our words unread resets the socket; its own are still there after that.
			reset = true
			continue
		}
		c.mu.Lock()
		if err != nil && !errors.Is(err, control.ErrMalformed) {
			p.mute = true
			c.mu.Unlock()
			return
		}
		c.heard(p, m, err)
		c.mu.Unlock()
		if pause := talk.Debt(p.spec.messages, time.Now()); pause > 0 {
			select {
			case <-p.gone: // there is no more than its socket holds
			case <-time.After(pause):
			}
		}
	}
}

// sweepProcesses ends processes that should have been heard.
func (c *Controller) sweepProcesses() {
	for _, p := range c.processes {
		p.age++
		p.quiet++
		switch {
		case (!p.ready || !p.known) && p.age > startTicks:
			c.putDown(p, faultStart)
		case p.mute && p.quiet > muteTicks:
			c.putDown(p, faultMute)
		case p.ready && p.quiet > silentTicks && (p.Role != roleConnection || p.conn != nil):
			c.putDown(p, faultSilent)
		case p.ready && p.quiet > hungTicks && p.Role == roleConnection && p.hung():
			c.putDown(p, faultSilent)
		}
	}
}

// putDown ends a process that does not do as it should.
func (c *Controller) putDown(p *process, why fault) {
	if p.killed {
		return
	}
	attrs := []any{"role", p.Role, "pid", p.PID, "cause", why, "reason", faults[why]}
	if conn := p.conn; conn != nil {
		attrs = append(attrs, "conn", conn.ID, "stream", conn.Stream, "peer", conn.Peer)
	}
	c.log.Error("ending a process by force", attrs...)
	c.kills[why]++
	p.kill()
}

// wait returns how the process ended. Of a process that an earlier controller started only the guardian learns that.
func (p *process) wait() (string, error) {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return "", err
	}
	err = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return n > 0 || (err != nil && err != unix.EINTR)
	})
	if err != nil {
		return "", err
	}
	if !p.own {
		return "", nil
	}
	return p.reap(), nil
}

// reap collects a child that has ended or is about to.
func (p *process) reap() string {
	var status unix.WaitStatus
	_, err := unix.Wait4(p.PID, &status, 0, nil)
	for err == unix.EINTR {
		_, err = unix.Wait4(p.PID, &status, 0, nil)
	}
	switch {
	case err != nil:
		return ""
	case status.Signaled():
		return "killed by " + unix.SignalName(status.Signal())
	default:
		return "exit status " + strconv.Itoa(status.ExitStatus())
	}
}

// killedByUs is how a process ends that kill has ended. One that dies slowly may be killed too.
const killedByUs = "killed by SIGKILL"

// lastWords is the beginning of what the process wrote to its standard error, where a crash names its cause.
func (p *process) lastWords() string {
	if p.stderr == nil {
		return ""
	}
	b := make([]byte, stderrSize)
	n, err := p.stderr.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return untrusted.Lines(strings.TrimRight(string(b[:n]), "\x00\n"), 4000)
}
