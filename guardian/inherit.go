package guardian

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// meetSystemd speaks to systemd, where it started this process, and takes over what it kept of one before.
func (g *Guardian) meetSystemd() error {
	var err error
	if g.systemd, err = underSystemd(g.Env, g.Log); err != nil || g.systemd == nil || g.systemd.room == 0 {
		return err
	}
	files, err := inherited(g.Env, os.Getpid())
	if err != nil {
		return err
	}
	g.systemd.inherit(files)
	before, err := g.store.keepIn(g.systemd, files)
	if err != nil {
		g.Log.Error("the store is not kept as it should be", "error", err)
	}
	if before != nil {
		if !End(before.PID, before.Began, lastWords) { // it ends by itself when it can
			g.Log.Error("the controller of the guardian before does not end", "pid", before.PID)
		}
		g.starts = before.Starts
	}
	if len(g.store.entries) > 0 {
		g.starts = max(g.starts, 1) // the next controller is not the first
		g.heir, g.behind = true, true
		g.Log.Warn("the guardian before this one has died; taking its processes over")
	}
	return nil
}

func (g *Guardian) partFromSystemd() {
	if g.systemd != nil {
		g.systemd.close()
	}
}

func (g *Guardian) tellSystemd(state string) {
	if g.systemd != nil {
		g.systemd.tell(state)
	}
}

// Began is when a process was started, in ticks after the machine's start: field 22 of proc_pid_stat(5). No other process has
// both the same number and the same beginning. 0 means that nobody is there.
func Began(pid int) uint64 {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // behind the name, which may hold anything, from field 3
	if len(fields) < 20 {
		return 0
	}
	n, _ := strconv.ParseUint(string(fields[19]), 10, 64)
	return n
}

// EndWait is how long a process may take to be gone that was killed.
const EndWait = time.Second

// End ends a process that is no child of this one's, if it is still the one that began then, and returns when it is gone. It
// has the given time to end by itself. It returns false where it is still there a second after it was killed.
func End(pid int, began uint64, grace time.Duration) bool {
	if pid <= 0 || began == 0 {
		return true
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	if Began(pid) != began {
		return true // the number is another's by now
	}
	if Over(fd, grace) {
		return true
	}
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	return Over(fd, EndWait)
}

// Over tells whether the process of a pidfd ends within a time, 0 for whether it has ended.
func Over(pidfd int, within time.Duration) bool {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for end := time.Now().Add(within); ; {
		n, err := unix.Poll(poll, int(max(time.Until(end).Milliseconds(), 0)))
		if err != unix.EINTR {
			return n > 0
		}
	}
}
