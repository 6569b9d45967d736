package sandbox

import (
	"maps"
	"math"
	"slices"

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
// A path can't be named with any of them, no socket made, and nothing sent to anybody but a socket's peer.
var common = []string{
	// Threads and time.
	"futex", "clone", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "exit", "exit_group",
	"gettid", "getpid", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "getcpu",
	// Signals; restart_syscall is what a sleep becomes after SIGSTOP and SIGCONT.
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill", "kill", "restart_syscall",
	// Memory.
	"mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "getrandom",
	// Descriptors.
	"read", "write", "writev", "pread64", "close", "fcntl", "fstat", "recvmsg", "getsockname", "getpeername", "getsockopt", "setsockopt",
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

// futexOps are waiting and waking, alone or with a mask, by either clock. The others move those who wait to another
// word (FUTEX_REQUEUE), which takes a viewer nothing but the read-only mapping that it shares with all others: they
// would sleep on where no writer wakes them.
var futexOps = func() (ops []uint64) {
	const wait, wake, waitBitset, wakeBitset, private, realtime = 0, 1, 9, 10, 128, 256
	for _, op := range []uint64{wait, wake, waitBitset, wakeBitset, waitBitset | realtime} {
		ops = append(ops, op, op|private)
	}
	return ops
}()

// newNamespaces are the flags of clone that make a namespace.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID |
	unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP

// madvise(2): what newer C libraries make the guard pages of stacks with.
const (
	madvGuardInstall = 102
	madvGuardRemove  = 103
)

// bounded are calls that are allowed only with some arguments.
func bounded(pid int) []rule {
	return []rule{
		bits("clone", 0, seccomp.BitsNotSet, unix.CLONE_THREAD), // threads, no processes
		bits("clone", 0, seccomp.BitsSet, newNamespaces),
		except("futex", 1, futexOps...),
		except("kill", 0, uint64(pid)),
		except("tgkill", 0, uint64(pid)),
		// Names of threads and of memory areas.
		except("prctl", 0, unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_SET_VMA),
		// F_SETOWN and F_SETSIG would send signals. A description may be shared with other processes: no more of it
		// is changed than whether it blocks.
		except("fcntl", 1, unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL,
			unix.F_ADD_SEALS, unix.F_GET_SEALS),
		both("fcntl",
			seccomp.Condition{Argument: 1, Operation: seccomp.Equal, Value: unix.F_SETFL},
			seccomp.Condition{Argument: 2, Operation: seccomp.BitsSet, Value: unix.O_APPEND | unix.O_ASYNC | unix.O_DIRECT | unix.O_NOATIME}),
		// No memory becomes code.
		bits("mmap", 2, seccomp.BitsSet, unix.PROT_EXEC),
		bits("mprotect", 2, seccomp.BitsSet, unix.PROT_EXEC),
		// RLIMIT_DATA counts neither memory that is shared and of no file nor what grows like a stack.
		both("mmap",
			seccomp.Condition{Argument: 3, Operation: seccomp.BitsSet, Value: unix.MAP_SHARED},
			seccomp.Condition{Argument: 3, Operation: seccomp.BitsSet, Value: unix.MAP_ANONYMOUS}),
		bits("mmap", 3, seccomp.BitsSet, unix.MAP_GROWSDOWN|unix.MAP_HUGETLB),
		bits("mprotect", 2, seccomp.BitsSet, unix.PROT_GROWSDOWN|unix.PROT_GROWSUP),
		// The others would write to a buffer's file or push it out of memory.
		except("madvise", 2, unix.MADV_DONTNEED, unix.MADV_FREE, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_COLLAPSE,
			madvGuardInstall, madvGuardRemove),
	}
}

// connectionBounds are those of a connection process.
func connectionBounds() []rule {
	return []rule{
		// Seals are for those who make memory files.
		both("fcntl", seccomp.Condition{Argument: 1, Operation: seccomp.Equal, Value: unix.F_ADD_SEALS}),
		// What left the buffer's window is given back, and nothing else.
		except("fallocate", 1, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE),
	}
}

// optionsOf are the options of sockets that a profile sets and reads. Others would send by way of other hosts or
// interfaces (IP_OPTIONS, SO_BINDTODEVICE), choose who gets the datagrams of the whole port
// (SO_ATTACH_REUSEPORT_CBPF), load filters, or be a handle of the process at the other end (SO_PEERPIDFD).
func optionsOf(p Profile) []rule {
	var set, get map[uint64][]uint64
	switch p {
	case Connection:
		set = map[uint64][]uint64{
			unix.SOL_SOCKET:   {unix.SO_RCVBUF, unix.SO_SNDBUF, unix.SO_RCVTIMEO, unix.SO_SNDTIMEO},
			unix.IPPROTO_IP:   {unix.IP_TTL, unix.IP_TOS},
			unix.IPPROTO_IPV6: {unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS},
		}
		get = map[uint64][]uint64{
			unix.SOL_SOCKET:   {unix.SO_TYPE, unix.SO_ERROR, unix.SO_RCVBUF, unix.SO_SNDBUF},
			unix.IPPROTO_IP:   {unix.IP_TTL, unix.IP_TOS},
			unix.IPPROTO_IPV6: {unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS, unix.IPV6_V6ONLY},
		}
	case HTTP:
		set = map[uint64][]uint64{
			unix.SOL_SOCKET:  {unix.SO_KEEPALIVE, unix.SO_LINGER, unix.SO_REUSEADDR, unix.SO_BROADCAST, unix.SO_RCVBUF, unix.SO_SNDBUF},
			unix.IPPROTO_TCP: {unix.TCP_NODELAY, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT},
		}
		get = map[uint64][]uint64{unix.SOL_SOCKET: {unix.SO_TYPE, unix.SO_ERROR, unix.SO_PROTOCOL, unix.SO_DOMAIN}}
	case Listener:
		set = map[uint64][]uint64{
			unix.SOL_SOCKET:   {unix.SO_RCVBUF, unix.SO_SNDBUF, unix.SO_RCVBUFFORCE, unix.SO_REUSEADDR, unix.SO_REUSEPORT, unix.SO_BROADCAST},
			unix.IPPROTO_IP:   {unix.IP_PKTINFO},
			unix.IPPROTO_IPV6: {unix.IPV6_RECVPKTINFO, unix.IPV6_V6ONLY},
		}
		get = map[uint64][]uint64{unix.SOL_SOCKET: {unix.SO_TYPE, unix.SO_ERROR, unix.SO_PROTOCOL, unix.SO_DOMAIN}}
	}
	return append(onlyOptions("setsockopt", set), onlyOptions("getsockopt", get)...)
}

// untouchedLog keeps standard error, which may be a file of the operator's, from being cut or written over.
func untouchedLog() (rules []rule) {
	log := seccomp.Condition{Argument: 0, Operation: seccomp.Equal, Value: 2}
	for _, call := range []string{"ftruncate", "pwrite64", "lseek"} {
		rules = append(rules, both(call, log))
	}
	// Not by another number either, or one whose upper half the kernel does not look at.
	for _, call := range []string{"ftruncate", "pwrite64", "lseek", "fcntl"} {
		rules = append(rules, bits(call, 0, seccomp.BitsSet, math.MaxUint32<<32))
	}
	for _, operation := range []uint64{unix.F_DUPFD, unix.F_DUPFD_CLOEXEC} {
		rules = append(rules, both("fcntl", log, seccomp.Condition{Argument: 1, Operation: seccomp.Equal, Value: operation}))
	}
	return rules
}

// both means a call for which all conditions hold.
func both(name string, conditions ...seccomp.Condition) rule {
	return rule{name, []seccomp.ArgumentConditions{conditions}}
}

// onlyOptions refuses the options of sockets that are not listed by their level.
func onlyOptions(call string, levels map[uint64][]uint64) []rule {
	other := rule{name: call, when: []seccomp.ArgumentConditions{nil}}
	rules := make([]rule, 0, len(levels)+1)
	for _, level := range slices.Sorted(maps.Keys(levels)) {
		other.when[0] = append(other.when[0], seccomp.Condition{Argument: 1, Operation: seccomp.NotEqual, Value: level})
		set := seccomp.ArgumentConditions{{Argument: 1, Operation: seccomp.Equal, Value: level}}
		for _, option := range levels[level] {
			set = append(set, seccomp.Condition{Argument: 2, Operation: seccomp.NotEqual, Value: option})
		}
		rules = append(rules, rule{call, []seccomp.ArgumentConditions{set}})
	}
	return append(rules, other)
}

// policyOf builds a profile's policy for the process with this id.
func policyOf(p Profile, pid int) policy {
	pol := policy{
		kill: deadly,
		// clone3's flags are in memory, where a filter can't look.
		absent: []string{"clone3"},
		allow:  slices.Clone(common),
		refuse: append(bounded(pid), optionsOf(p)...),
	}
	refused := slices.Clone(tried)
	switch p {
	case Connection:
		pol.allow = append(pol.allow, "fallocate")
		pol.refuse = append(pol.refuse, connectionBounds()...)
	case HTTP:
		pol.allow = append(pol.allow, "accept4", "shutdown", "getpeername", "memfd_create", "ftruncate", "lseek", "pwrite64", "sendfile", "openat")
		refused = without(refused, "openat")
		pol.refuse = append(pol.refuse, untouchedLog()...)
		// Its own memory files, through /proc/self/fd: Landlock leaves no other, and O_PATH would go round it.
		pol.refuse = append(pol.refuse, bits("openat", 2, seccomp.BitsSet, math.MaxUint32&^unix.O_CLOEXEC))
	case Listener:
		pol.allow = append(pol.allow, "socket", "bind", "connect", "getpeername", "sendmsg", "sendmmsg", "recvfrom", "recvmmsg")
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
