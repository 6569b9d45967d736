package sandbox

import (
	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// policy is what a profile may call. A call in none of the lists ends the process,
// with its number on standard error.
type policy struct {
	kill   []string // ends the process at once: no healthy code asks for these
	refuse []rule   // answered with EACCES: healthy code tries these and goes on without
	absent []string // answered with ENOSYS: so that the C library takes an older call that can be looked into
	allow  []string // carried out, unless a rule of refuse says no
}

// rule is a system call and when it is meant: always, or when all conditions of any one of the sets hold.
type rule struct {
	name string
	when []seccomp.ArgumentConditions
}

// always makes rules without conditions.
func always(names ...string) []rule {
	rules := make([]rule, len(names))
	for i, n := range names {
		rules[i].name = n
	}
	return rules
}

// except means a call whose argument is none of the values.
func except(name string, argument uint32, values ...uint64) rule {
	var set seccomp.ArgumentConditions
	for _, v := range values {
		set = append(set, seccomp.Condition{Argument: argument, Operation: seccomp.NotEqual, Value: v})
	}
	return rule{name, []seccomp.ArgumentConditions{set}}
}

// bits means a call whose argument has any of the bits set (operation BitsSet) or none of them (BitsNotSet).
func bits(name string, argument uint32, operation seccomp.Operation, value uint64) rule {
	return rule{name, []seccomp.ArgumentConditions{{{Argument: argument, Operation: operation, Value: value}}}}
}

// deadly is never asked for by anything that the server links.
var deadly = []string{
	"execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp",
	"pidfd_open", "pidfd_getfd", "pidfd_send_signal",
	"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
	"mount", "umount2", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "fspick",
	"pivot_root", "chroot", "setns", "unshare",
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
	"name_to_handle_at", "open_by_handle_at", "add_key", "request_key", "keyctl",
	"swapon", "swapoff", "acct", "quotactl", "syslog", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex",
	"iopl", "ioperm", "modify_ldt", "personality", "sethostname", "setdomainname", "vhangup",
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "capset",
}

// common is what the Go runtime, the C library, OpenSSL and libsrt need to live on descriptors that they have.
// A path can't be named with any of them, and no socket made.
var common = []string{
	// Threads and time.
	"futex", "clone", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "exit", "exit_group",
	"gettid", "getpid", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "getcpu",
	// Signals; restart_syscall is what a sleep becomes after SIGSTOP and SIGCONT.
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill", "kill", "restart_syscall",
	// Memory.
	"mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "getrandom",
	// Descriptors. fallocate gives back what left the buffer's window.
	"read", "write", "readv", "writev", "pread64", "close", "fcntl", "fstat", "lseek", "fallocate",
	"recvmsg", "sendmsg", "recvfrom", "sendto", "getsockname", "getpeername", "getsockopt", "setsockopt", "shutdown",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "poll", "ppoll", "select", "pselect6",
	// Who am I.
	"getuid", "geteuid", "getgid", "getegid", "getppid", "getrusage", "uname", "sysinfo", "prctl",
}

// tried is what healthy code tries at times: OpenSSL its configuration with the first key, malloc the number of
// processors when threads contend, logs the time zone, the Go runtime its cgroup, libsrt the name of a
// link-local address's interface.
var tried = []string{
	"open", "openat", "openat2", "creat", "stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2",
	"readlink", "readlinkat", "getcwd", "statfs", "fstatfs", "getdents64", "socket", "ioctl", "prlimit64", "getrlimit", "setrlimit",
}

// bounded are calls that are allowed only with some arguments.
func bounded(pid int) []rule {
	return []rule{
		bits("clone", 0, seccomp.BitsNotSet, unix.CLONE_THREAD), // threads, no processes
		except("kill", 0, uint64(pid)),
		except("tgkill", 0, uint64(pid)),
		// Names of threads and of memory areas.
		except("prctl", 0, unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_SET_VMA),
		// F_SETOWN and F_SETSIG would send signals.
		except("fcntl", 1, unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL,
			unix.F_ADD_SEALS, unix.F_GET_SEALS),
		// No memory becomes code.
		bits("mmap", 2, seccomp.BitsSet, unix.PROT_EXEC),
		bits("mprotect", 2, seccomp.BitsSet, unix.PROT_EXEC),
	}
}

// policyOf builds a profile's policy for the process with this id.
func policyOf(p Profile, pid int) policy {
	pol := policy{
		kill: deadly,
		// clone3's flags are in memory, where a filter can't look.
		absent: []string{"clone3"},
		allow:  append([]string(nil), common...),
		refuse: bounded(pid),
	}
	refused := append([]string(nil), tried...)
	switch p {
	case HTTP:
		pol.allow = append(pol.allow, "accept4", "memfd_create", "ftruncate", "pwrite64", "sendfile", "splice", "pipe2", "openat")
		refused = without(refused, "openat")
		pol.refuse = append(pol.refuse,
			bits("openat", 2, seccomp.BitsSet, unix.O_WRONLY|unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC))
	case Listener:
		pol.allow = append(pol.allow, "socket", "bind", "connect", "recvmmsg", "sendmmsg")
		refused = without(refused, "socket")
		const flags = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
		pol.refuse = append(pol.refuse,
			except("socket", 0, unix.AF_INET, unix.AF_INET6),
			except("socket", 1, unix.SOCK_DGRAM, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC,
				unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, unix.SOCK_DGRAM|flags))
	}
	pol.refuse = append(pol.refuse, always(refused...)...)
	return pol
}

func without(names []string, name string) []string {
	var rest []string
	for _, n := range names {
		if n != name {
			rest = append(rest, n)
		}
	}
	return rest
}
