package controller

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"brume/control"
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
	stderr   bool          // its standard error is kept, bounded, for a crash report; else it is ours
	messages float64       // most control messages a second
	always   bool          // exactly one runs, started again when it ends
	calm     time.Duration // one that ran this long is started again at once
}

// roles is the table of the processes that exist.
var roles = map[role]spec{
	roleHTTP:       {messages: 1000, always: true, calm: 10 * time.Second},
	roleListener:   {messages: 20000, always: true, calm: 10 * time.Second},
	roleConnection: {messages: 50, helper: true, handover: true, stderr: true},
}

// stderrSize bounds what is kept of a process's standard error.
const stderrSize = 16 << 10

// processRecord is what the store keeps of a process.
type processRecord struct {
	ID      uint64      `json:"id"`
	Role    role        `json:"role"`
	PID     int         `json:"pid"`
	Started time.Time   `json:"started"`
	Conn    *connRecord `json:"conn,omitempty"`
}

func (r *processRecord) key() string { return strconv.FormatUint(r.ID, 10) }

// process is a running process, started by this controller or an earlier one.
type process struct {
	processRecord

	spec     spec
	ctl      *control.Conn
	pidfd    *os.File
	stderr   *os.File // what it said last, nil where it has ours
	handover *os.File // the listener's end, nil where it has none
	own      bool     // a child of this process, not of an earlier controller
	ready    bool     // has said hello
	conn     *connection
	killed   bool // we ended it by force
	failed   bool // it said why it ends
}

// spawn starts a process and puts it into the store: the control socket before the start, so that no
// process is ever running that a next controller could not find.
func (c *Controller) spawn(r role) (*process, error) {
	s := roles[r]
	c.lastID++
	p := &process{processRecord: processRecord{ID: c.lastID, Role: r, Started: time.Now()}, spec: s, own: true}
	ctl, file, err := control.Pair()
	if err != nil {
		return nil, err
	}
	p.ctl = ctl
	defer file.Close()
	fds := []*os.File{file}
	stderr := os.Stderr
	if s.stderr {
		if p.stderr, err = boundedFile("stderr", stderrSize); err != nil {
			p.close()
			return nil, err
		}
		stderr = p.stderr
	}
	if s.handover {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			p.close()
			return nil, fmt.Errorf("make hand-over socket: %w", err)
		}
		p.handover = os.NewFile(uintptr(pair[0]), "hand-over")
		theirs := os.NewFile(uintptr(pair[1]), "hand-over")
		defer theirs.Close()
		fds = append(fds, theirs)
	}
	if err := c.store.Put(kindProcess, p.key(), p.processRecord, ctl.File()); err != nil {
		p.close()
		return nil, err
	}
	if err := p.fork(c.command(r), stderr, fds); err != nil {
		_ = c.store.Remove(kindProcess, p.key())
		p.close()
		return nil, err
	}
	if err := c.store.Put(kindProcess, p.key(), p.processRecord, p.files()...); err != nil {
		c.log.Error("a process is not in the store and would not outlive this controller", "role", r, "pid", p.PID, "error", err)
	}
	c.attend(p)
	return p, nil
}

// command is the program of a role with its arguments. Nothing secret is among them.
func (c *Controller) command(r role) []string {
	if roles[r].helper {
		return []string{c.Helper}
	}
	return append([]string{c.Program, string(r)}, c.LogArgs...)
}

func (p *process) fork(argv []string, stderr *os.File, files []*os.File) error {
	fds := []uintptr{0, 1}
	for _, f := range append([]*os.File{stderr}, files...) {
		fd, err := control.Descriptor(f)
		if err != nil {
			return err
		}
		fds = append(fds, uintptr(fd))
	}
	pidfd := -1
	// No environment: a child gets nothing that it was not handed.
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Env: []string{}, Files: fds, Sys: &syscall.SysProcAttr{PidFD: &pidfd}})
	if err != nil {
		return fmt.Errorf("start %s: %w", argv[0], err)
	}
	if pidfd < 0 {
		_ = unix.Kill(pid, unix.SIGKILL)
		return errors.New("this kernel has no pidfd; Linux 5.10 or newer is needed")
	}
	p.PID = pid
	// Not blocking, so that the runtime waits for it without a thread.
	if err := unix.SetNonblock(pidfd, true); err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	p.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	return nil
}

// files are the descriptors in the order of the store.
func (p *process) files() []*os.File {
	all := []*os.File{p.ctl.File(), p.pidfd}
	if p.spec.stderr {
		all = append(all, p.stderr)
	}
	if p.spec.handover {
		all = append(all, p.handover)
	}
	return all
}

// take sets the descriptors that the store held.
func (p *process) take(files []*os.File) bool {
	want := 2
	if p.spec.stderr {
		want++
	}
	if p.spec.handover {
		want++
	}
	if p.PID == 0 || len(files) != want {
		return false
	}
	ctl, err := control.New(files[0])
	if err != nil {
		return false
	}
	p.ctl, p.pidfd = ctl, files[1]
	files = files[2:]
	if p.spec.stderr {
		p.stderr, files = files[0], files[1:]
	}
	if p.spec.handover {
		p.handover = files[0]
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

// attend hears what a process says, and its end, until it ends.
func (c *Controller) attend(p *process) {
	c.processes[p.ID] = p
	go func() {
		budget := newBudget(p.spec.messages)
		for {
			m, _, err := p.ctl.Recv()
			if err != nil && !errors.Is(err, control.ErrMalformed) {
				return
			}
			c.mu.Lock()
			c.heard(p, m, err)
			c.mu.Unlock()
			budget.spend()
		}
	}()
	go func() {
		status, err := p.wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			c.log.Error("lost sight of a process; ending it", "role", p.Role, "pid", p.PID, "error", err)
			p.kill()
		}
		c.ended(p, status)
	}()
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
	var status unix.WaitStatus
	for {
		_, err = unix.Wait4(p.PID, &status, 0, nil)
		if err != unix.EINTR {
			break
		}
	}
	switch {
	case err != nil:
		return "", nil
	case status.Signaled():
		return "killed by " + unix.SignalName(status.Signal()), nil
	default:
		return "exit status " + strconv.Itoa(status.ExitStatus()), nil
	}
}

// lastWords is the end of what the process wrote to its standard error.
func (p *process) lastWords() string {
	if p.stderr == nil {
		return ""
	}
	b := make([]byte, stderrSize)
	n, err := p.stderr.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	text := strings.ToValidUTF8(strings.TrimRight(string(b[:n]), "\x00\n"), "?")
	return text[:min(len(text), 4000)]
}

// boundedFile makes a memory file that can't grow beyond size.
func boundedFile(name string, size int64) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := unix.Ftruncate(fd, size); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("size memory file: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("seal memory file: %w", err)
	}
	return f, nil
}

// budget slows the reading of a process that talks too much, so that it fills its own socket instead of our time.
type budget struct {
	perSecond float64
	left      float64
	last      time.Time
}

func newBudget(perSecond float64) *budget {
	return &budget{perSecond: perSecond, left: perSecond, last: time.Now()}
}

func (b *budget) spend() {
	now := time.Now()
	b.left = min(b.perSecond, b.left+now.Sub(b.last).Seconds()*b.perSecond)
	b.last = now
	if b.left--; b.left < 0 {
		time.Sleep(time.Duration(-b.left / b.perSecond * float64(time.Second)))
	}
}
