package main

import (
	"fmt"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"brume/controller"
)

// minTasks is how many processes and threads there must be room for: some 60 are there before anybody connects, and a
// connection has some ten. The Go runtime answers a thread that it can't have with a dump of all stacks.
const minTasks = 128

// system is where the limits are read.
type system struct {
	proc, cgroups string // /proc, /sys/fs/cgroup
	nproc         uint64 // the user's limit
}

// enoughTasks returns an error that says what to raise where the server could not start its processes.
func enoughTasks() error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &l); err != nil {
		return fmt.Errorf("read the limit of processes: %w", err)
	}
	s := system{"/proc", "/sys/fs/cgroup", l.Cur}
	if err := s.enoughTasks(); err != nil {
		return fmt.Errorf("%w: %w", controller.ErrSetup, err)
	}
	return nil
}

func (s system) enoughTasks() error {
	own := s.status("self")
	if used := s.tasksOf(own); s.bounds(own) && s.nproc < used+minTasks {
		return fmt.Errorf("this user may have %d processes and threads and has %d, while the server needs %d more, and ten for each connection: "+
			"raise the limit by ulimit -u, or by LimitNPROC= in a systemd unit", s.nproc, used, minTasks)
	}
	b, err := os.ReadFile(s.proc + "/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(b)) {
		// Version 2 of cgroups, cgroups(7). Version 1 has other lines.
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		for ok {
			limit, used := s.number(group, "pids.max"), s.number(group, "pids.current")
			if limit < used+minTasks {
				return fmt.Errorf("this service or container may have %d processes and threads and has %d, while the server needs %d more, and ten for each "+
					"connection: raise TasksMax= in the systemd unit, or the container's limit of pids (%s)", limit, used, minTasks, path.Join(s.cgroups, group, "pids.max"))
			}
			if ok = group != "" && group != "."; ok {
				group = path.Dir(group)
			}
		}
	}
	return nil
}

// number reads a file of a cgroup. A limit that is not set is the highest number.
func (s system) number(group, name string) uint64 {
	b, err := os.ReadFile(path.Join(s.cgroups, group, name))
	n, err2 := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	switch {
	case err == nil && err2 == nil:
		return n
	case name == "pids.max":
		return math.MaxUint64
	}
	return 0
}

// status is proc_pid_status(5), of which the first value of each field counts: the real user of Uid.
func (s system) status(pid string) map[string]string {
	b, err := os.ReadFile(path.Join(s.proc, pid, "status"))
	if err != nil {
		return nil
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, values, _ := strings.Cut(line, ":")
		if f := strings.Fields(values); len(f) > 0 {
			fields[name] = f[0]
		}
	}
	return fields
}

// bounds reports whether RLIMIT_NPROC holds for a process: getrlimit(2) excepts root and two capabilities.
func (s system) bounds(own map[string]string) bool {
	capabilities, err := strconv.ParseUint(own["CapEff"], 16, 64)
	return err == nil && own["Uid"] != "0" && capabilities&(1<<unix.CAP_SYS_RESOURCE|1<<unix.CAP_SYS_ADMIN) == 0
}

// tasksOf counts the threads of a process's user.
func (s system) tasksOf(own map[string]string) (n uint64) {
	entries, err := os.ReadDir(s.proc)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		if p := s.status(e.Name()); p["Uid"] == own["Uid"] {
			threads, _ := strconv.ParseUint(p["Threads"], 10, 32)
			n += threads
		}
	}
	return n
}
