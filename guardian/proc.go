package guardian

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Began is when a process was started, in ticks after the machine's start: field 22 of proc_pid_stat(5). No other process has
// both the same number and the same beginning. 0 means that nobody is there.
func Began(pid int) uint64 {
	stat, err := os.ReadFile(ProcPath(pid, "stat"))
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

// End ends a process that is not a child of this one, if it is still the one that began then, and returns when it is gone. It
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

// Over reports whether the process of a pidfd ends within a time, 0 for whether it has ended.
func Over(pidfd int, within time.Duration) bool {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for end := time.Now().Add(within); ; {
		n, err := unix.Poll(poll, int(max(time.Until(end).Milliseconds(), 0)))
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// Runnable reports whether any thread of a process runs, waits for a processor or for a disk.
func Runnable(pid int) bool {
	tasks, err := os.ReadDir(ProcPath(pid, "task"))
	if err != nil {
		return false
	}
	for _, t := range tasks {
		if s := state(ProcPath(pid, "task/"+t.Name()+"/stat")); s == 'R' || s == 'D' {
			return true
		}
	}
	return false
}

// State is the letter of proc_pid_stat(5) for what a process does, T for one that a signal has stopped. 0 means that nobody is there.
func State(pid int) byte { return state(ProcPath(pid, "stat")) }

func state(path string) byte {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	return parseState(b)
}

// parseState finds the letter behind the name, which may hold anything.
func parseState(stat []byte) byte {
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 || len(stat) < i+3 {
		return 0
	}
	return stat[i+2]
}

// ProcPath is the path of what proc(5) has under a name of a process.
func ProcPath(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }
