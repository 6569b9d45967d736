package controller

import (
	"time"

	"golang.org/x/sys/unix"

	"brume/control"
	"brume/guardian"
)

// The watch on connection processes judges them by what the kernel tells of them and by what the controller itself sees
// of their stream. What a process says about itself counts for nothing: it may be a stranger's by now.

// fault is why a process was ended by force. It is a label of a metric.
type fault string

// The faults.
const (
	faultStart    fault = "start"
	faultMute     fault = "mute"
	faultSilent   fault = "silent"
	faultStopped  fault = "stopped"
	faultCPU      fault = "cpu"
	faultThreads  fault = "threads"
	faultClose    fault = "close"
	faultCaller   fault = "caller"
	faultHandover fault = "handover"
	faultBuffer   fault = "buffer"
	faultSetup    fault = "setup"
)

// faults are all of them, in words for the log.
var faults = map[fault]string{
	faultStart:    "it did not come up",
	faultMute:     "it has closed its control socket",
	faultSilent:   "nothing is heard of it",
	faultStopped:  "it is stopped",
	faultCPU:      "it uses up processor time without media",
	faultThreads:  "it has too many threads",
	faultClose:    "its connection did not end in time",
	faultCaller:   "its caller did not connect in time",
	faultHandover: "its caller could not be handed over",
	faultBuffer:   "it does not take its buffer",
	faultSetup:    "the configuration does not have its address any more",
}

// Bounds of a connection process.
const (
	// maxThreads is some four times what a healthy one has.
	maxThreads = 64
	// stoppedTicks are looks in a row that find a process stopped: whoever continues a whole server, from a terminal,
	// continues the controller a moment before the others.
	stoppedTicks = 2
	// hungTicks is how long a connected process, which reports every second, may be silent though it does not wait for a
	// processor; silentTicks is for those that do.
	hungTicks = int(3 * time.Second / monitorInterval)
	// useTicks is between two looks at the processor time.
	useTicks = int(time.Second / monitorInterval)
)

// What a connection process may use of a processor: a share for whatever it does without media, such as answering a
// peer that sends nothing useful, and a time for each byte of media of its stream. Both are some ten times what
// libsrt, the demultiplexer and the multiplexer take (docs/performance.md). Media earns no more than one processor,
// since a publisher that was taken over writes into its stream what it likes.
const (
	freeShare    = 0.3
	mediaTime    = 200 * time.Nanosecond // a byte
	maxLookSpan  = 4 * time.Second       // after a longer one the controller was stopped itself
	busyShare    = 0.5                   // of a processor: who has that does not wait for one
	clockOfGroup = 2                     // CPUCLOCK_SCHED of linux/posix-timers_types.h: all threads of a process
)

// usage is what is known of a process's use of processors.
type usage struct {
	at    time.Time
	cpu   time.Duration // since it began
	media uint64        // bytes of its stream so far

	share  float64       // of a processor, over the last look
	wasted time.Duration // processor time without media
}

// look takes a reading and tells how much processor time has gone without media.
func (u *usage) look(now time.Time, cpu time.Duration, media uint64) time.Duration {
	span, used, brought := now.Sub(u.at), cpu-u.cpu, media-u.media
	first := u.at.IsZero()
	if media < u.media {
		brought = 0 // another buffer
	}
	u.at, u.cpu, u.media = now, cpu, media
	if first || span <= 0 || span > maxLookSpan {
		u.share = 0
		return u.wasted
	}
	u.share = used.Seconds() / span.Seconds()
	free := time.Duration(freeShare * float64(span))
	earned := min(time.Duration(min(brought, 1<<40))*mediaTime, span)
	if allowed := max(free, earned); used <= allowed {
		u.wasted = max(0, u.wasted-(allowed-used))
	} else {
		u.wasted += used - earned
	}
	return u.wasted
}

// watch ends connection processes that take what is not theirs.
func (c *Controller) watch(now time.Time) {
	c.watched++
	for _, p := range c.processes {
		if p.Role != roleConnection || p.killed {
			continue
		}
		if !p.stopped() {
			p.still = 0
		} else if p.still++; p.still >= stoppedTicks {
			c.putDown(p, faultStopped)
			continue
		}
		if threads(p.PID) > maxThreads {
			c.putDown(p, faultThreads)
			continue
		}
		if c.watched%useTicks != 0 {
			continue
		}
		cpu, ok := cpuTime(p.PID)
		if ok && p.use.look(now, cpu, p.media()) > time.Duration(c.Config.Limits.ChildCPU) {
			c.putDown(p, faultCPU)
		}
	}
}

// media counts the bytes that came into the streams that a process publishes or plays, as the controller reads them.
func (p *process) media() (sum uint64) {
	if p.conn == nil {
		return 0
	}
	if p.conn.in != nil {
		sum = p.conn.in.rates.written
	}
	for _, s := range p.conn.mapped {
		sum += s.rates.written
	}
	return sum
}

// hung tells of a silent process whether it ought to have been heard: it does not wait for a processor.
func (p *process) hung() bool {
	return p.conn != nil && p.conn.Connected != nil && (p.use.share > busyShare || !guardian.Runnable(p.PID))
}

// stopped tells whether a signal has stopped the process.
func (p *process) stopped() bool {
	if !p.own {
		// Of another's child only its status tells.
		return guardian.State(p.PID) == 'T'
	}
	fd, err := control.Descriptor(p.pidfd)
	if err != nil {
		return false
	}
	var info unix.Siginfo
	err = unix.Waitid(unix.P_PIDFD, fd, &info, unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo == int32(unix.SIGCHLD)
}

// cpuTime is what all threads of a process have had of the processors. It costs one system call and opens nothing.
func cpuTime(pid int) (time.Duration, bool) {
	var t unix.Timespec
	// clock_getcpuclockid(3): the clock of a process is made of its id.
	if err := unix.ClockGettime(int32(^pid)<<3|clockOfGroup, &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}

// threads is how many a process has: each is a folder, and has a link to the one that holds them.
func threads(pid int) int {
	var s unix.Stat_t
	if err := unix.Stat(guardian.ProcPath(pid, "task"), &s); err != nil {
		return 0
	}
	return int(s.Nlink) - 2
}
