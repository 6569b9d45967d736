package sandbox

import (
	"encoding/binary"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const testPID = 4711

// judge asks a profile's filter as the kernel does.
func judge(t *testing.T, vm *bpf.VM, auditArch uint32, number int, args ...uint64) uint32 {
	t.Helper()
	// struct seccomp_data; the VM reads words in network order, the kernel in its own.
	data := make([]byte, 64)
	word := func(at int, v uint32) { binary.BigEndian.PutUint32(data[at:], v) }
	word(0, uint32(number))
	word(4, auditArch)
	for i, a := range args {
		word(16+8*i, uint32(a))
		word(20+8*i, uint32(a>>32))
	}
	n, err := vm.Run(data)
	require.NoError(t, err)
	return uint32(n)
}

func filterVM(t *testing.T, p Profile) (*bpf.VM, *arch.Info) {
	t.Helper()
	table, err := arch.GetInfo("")
	require.NoError(t, err)
	program := policyOf(p, testPID).program(table)
	require.LessOrEqual(t, len(program), unix.BPF_MAXINSNS)
	vm, err := bpf.NewVM(program)
	require.NoError(t, err)
	return vm, table
}

const (
	allow  = answerAllow
	refuse = answerRefuse
	absent = answerAbsent
	trap   = answerTrap
	kill   = answerKill
)

func TestPolicyOfEachCall(t *testing.T) {
	const high = 1 << 40 // above the 32 bits that the kernel looks at
	for _, c := range []struct {
		name                 string
		call                 string
		args                 []uint64
		connection, http, ls uint32
	}{
		{"read", "read", nil, allow, allow, allow},
		{"program", "execve", nil, kill, kill, kill},
		{"program by descriptor", "execveat", nil, kill, kill, kill},
		{"trace", "ptrace", nil, kill, kill, kill},
		{"memory of another", "process_vm_writev", nil, kill, kill, kill},
		{"descriptor of another", "pidfd_getfd", nil, kill, kill, kill},
		{"become root", "setresuid", []uint64{0, 0, 0}, kill, kill, kill},
		{"open to read", "openat", []uint64{0, 0, unix.O_RDONLY | unix.O_CLOEXEC}, refuse, allow, refuse},
		{"open to write", "openat", []uint64{0, 0, unix.O_WRONLY}, refuse, refuse, refuse},
		{"open to read and write", "openat", []uint64{0, 0, unix.O_RDWR}, refuse, refuse, refuse},
		{"create", "openat", []uint64{0, 0, unix.O_CREAT}, refuse, refuse, refuse},
		{"open with openat2", "openat2", nil, refuse, refuse, refuse},
		{"stat by path", "newfstatat", nil, refuse, refuse, refuse},
		{"stat by descriptor", "fstat", nil, allow, allow, allow},
		{"change mode", "fchmod", nil, trap, trap, trap},
		{"change mode by path", "fchmodat", nil, trap, trap, trap},
		{"change owner", "fchown", nil, trap, trap, trap},
		{"UDP socket", "socket", []uint64{unix.AF_INET6, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC}, refuse, refuse, allow},
		{"TCP socket", "socket", []uint64{unix.AF_INET, unix.SOCK_STREAM}, refuse, refuse, refuse},
		{"raw socket", "socket", []uint64{unix.AF_INET, unix.SOCK_RAW}, refuse, refuse, refuse},
		{"unix socket", "socket", []uint64{unix.AF_UNIX, unix.SOCK_DGRAM}, refuse, refuse, refuse},
		{"netlink socket", "socket", []uint64{unix.AF_NETLINK, unix.SOCK_DGRAM}, refuse, refuse, refuse},
		{"bind", "bind", nil, trap, trap, allow},
		{"connect", "connect", nil, trap, trap, allow},
		{"listen", "listen", nil, trap, trap, trap},
		{"accept", "accept4", nil, trap, allow, trap},
		{"memory file", "memfd_create", nil, trap, allow, trap},
		{"resize", "ftruncate", nil, trap, allow, trap},
		{"cut the log", "ftruncate", []uint64{2}, trap, refuse, trap},
		{"cut the log, high bits", "ftruncate", []uint64{high | 2}, trap, refuse, trap},
		{"cut a memory file", "ftruncate", []uint64{7}, trap, allow, trap},
		{"write over the log", "pwrite64", []uint64{2}, trap, refuse, trap},
		{"the log by another number", "fcntl", []uint64{2, unix.F_DUPFD_CLOEXEC}, allow, refuse, allow},
		{"open by path alone", "openat", []uint64{0, 0, unix.O_PATH}, refuse, refuse, refuse},
		{"open a directory", "openat", []uint64{0, 0, unix.O_DIRECTORY}, refuse, refuse, refuse},
		{"send to anybody", "sendmsg", nil, trap, trap, allow},
		{"send many to anybody", "sendmmsg", nil, trap, trap, allow},
		{"send with an address", "sendto", []uint64{3, 0, 0, 0, 1, 16}, trap, trap, trap},
		{"send without an address", "sendto", []uint64{3, 0, 0, 0, 0, 0}, trap, trap, trap},
		{"receive", "recvmsg", nil, allow, allow, allow},
		{"do not delay", "setsockopt", []uint64{3, unix.IPPROTO_TCP, unix.TCP_NODELAY}, refuse, allow, refuse},
		{"address of a datagram", "setsockopt", []uint64{3, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO}, refuse, refuse, allow},
		{"receive buffer", "setsockopt", []uint64{3, unix.SOL_SOCKET, unix.SO_RCVBUF}, allow, allow, allow},
		{"receive timeout", "setsockopt", []uint64{3, unix.SOL_SOCKET, unix.SO_RCVTIMEO}, allow, refuse, refuse},
		{"hops", "setsockopt", []uint64{3, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS}, allow, refuse, refuse},
		{"type of service", "setsockopt", []uint64{3, unix.IPPROTO_IP, unix.IP_TOS}, allow, refuse, refuse},
		{"source route", "setsockopt", []uint64{3, unix.IPPROTO_IP, unix.IP_OPTIONS}, refuse, refuse, refuse},
		{"other interface", "setsockopt", []uint64{3, unix.SOL_SOCKET, unix.SO_BINDTODEVICE}, refuse, refuse, refuse},
		{"steer the port", "setsockopt", []uint64{3, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF}, refuse, refuse, refuse},
		{"steer the port by eBPF", "setsockopt", []uint64{3, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_EBPF}, refuse, refuse, refuse},
		{"steer the port, high bits", "setsockopt", []uint64{3, high | unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF}, refuse, refuse, refuse},
		{"steer the port, high bits of the option", "setsockopt", []uint64{3, unix.SOL_SOCKET, high | unix.SO_ATTACH_REUSEPORT_CBPF}, refuse, refuse, refuse},
		{"filter", "setsockopt", []uint64{3, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER}, refuse, refuse, refuse},
		{"option of a level that it has none of", "setsockopt", []uint64{3, unix.IPPROTO_UDP, 1}, refuse, refuse, refuse},
		{"who is at the other end", "getsockopt", []uint64{3, unix.SOL_SOCKET, unix.SO_PEERPIDFD}, refuse, refuse, refuse},
		{"wait for a word", "futex", []uint64{0, 0}, allow, allow, allow},
		{"wake who waits", "futex", []uint64{0, 1 | 128}, allow, allow, allow},
		{"wait by the wall clock", "futex", []uint64{0, 9 | 128 | 256}, allow, allow, allow},
		{"move who waits", "futex", []uint64{0, 3}, refuse, refuse, refuse},
		{"move who waits and compare", "futex", []uint64{0, 4}, refuse, refuse, refuse},
		{"move who waits, high bits", "futex", []uint64{0, high | 4}, refuse, refuse, refuse},
		{"wake and change", "futex", []uint64{0, 5}, refuse, refuse, refuse},
		{"move who waits by the newer call", "futex_requeue", nil, trap, trap, trap},
		{"thread in a namespace", "clone", []uint64{unix.CLONE_THREAD | unix.CLONE_NEWUSER}, refuse, refuse, refuse},
		{"seal", "fcntl", []uint64{4, unix.F_ADD_SEALS, unix.F_SEAL_WRITE}, refuse, allow, allow},
		{"block or not", "fcntl", []uint64{4, unix.F_SETFL, unix.O_RDWR | unix.O_NONBLOCK}, allow, allow, allow},
		{"append", "fcntl", []uint64{4, unix.F_SETFL, unix.O_APPEND}, refuse, refuse, refuse},
		{"signals for input", "fcntl", []uint64{4, unix.F_SETFL, unix.O_ASYNC}, refuse, refuse, refuse},
		{"position of a shared description", "lseek", nil, trap, allow, trap},
		{"give back memory of a file", "fallocate", []uint64{4, unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE}, allow, trap, trap},
		{"fill a file", "fallocate", []uint64{4, 0}, refuse, trap, trap},
		{"write a file at a place", "pwrite64", nil, trap, allow, trap},
		{"shared memory of a file", "mmap", []uint64{0, 4096, unix.PROT_READ, unix.MAP_SHARED}, allow, allow, allow},
		{"shared memory of no file", "mmap", []uint64{0, 4096, unix.PROT_READ, unix.MAP_SHARED | unix.MAP_ANON}, refuse, refuse, refuse},
		{"validated shared memory of no file", "mmap", []uint64{0, 4096, unix.PROT_READ, unix.MAP_SHARED_VALIDATE | unix.MAP_ANON}, refuse, refuse, refuse},
		{"memory like a stack", "mmap", []uint64{0, 4096, unix.PROT_READ, unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_GROWSDOWN}, refuse, refuse, refuse},
		{"memory for a stack", "mmap", []uint64{0, 4096, unix.PROT_READ, unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_STACK | unix.MAP_NORESERVE}, allow, allow, allow},
		{"give back memory", "madvise", []uint64{0, 4096, unix.MADV_DONTNEED}, allow, allow, allow},
		{"punch a mapped file", "madvise", []uint64{0, 4096, unix.MADV_REMOVE}, refuse, refuse, refuse},
		{"push a mapped file out", "madvise", []uint64{0, 4096, unix.MADV_PAGEOUT}, refuse, refuse, refuse},
		{"thread", "clone", []uint64{unix.CLONE_THREAD | unix.CLONE_VM | unix.CLONE_SIGHAND}, allow, allow, allow},
		{"process", "clone", []uint64{uint64(unix.SIGCHLD)}, refuse, refuse, refuse},
		{"process, thread bit out of sight", "clone", []uint64{unix.CLONE_THREAD << 32}, refuse, refuse, refuse},
		{"clone3", "clone3", nil, absent, absent, absent},
		{"signal to itself", "tgkill", []uint64{testPID, testPID, 6}, allow, allow, allow},
		{"signal to another", "tgkill", []uint64{1, 1, 9}, refuse, refuse, refuse},
		{"kill another", "kill", []uint64{testPID + 1, 9}, refuse, refuse, refuse},
		{"kill its group", "kill", []uint64{0, 9}, refuse, refuse, refuse},
		{"kill its group, high bits", "kill", []uint64{high | testPID, 9}, refuse, refuse, refuse},
		{"kill everyone", "kill", []uint64{1<<64 - 1, 9}, refuse, refuse, refuse},
		{"name a thread", "prctl", []uint64{unix.PR_SET_NAME}, allow, allow, allow},
		{"be traceable", "prctl", []uint64{unix.PR_SET_PTRACER}, refuse, refuse, refuse},
		{"be dumpable", "prctl", []uint64{unix.PR_SET_DUMPABLE, 1}, refuse, refuse, refuse},
		{"duplicate", "fcntl", []uint64{4, unix.F_DUPFD_CLOEXEC}, allow, allow, allow},
		{"signal by descriptor", "fcntl", []uint64{4, unix.F_SETOWN, 1}, refuse, refuse, refuse},
		{"signal by descriptor, high bits", "fcntl", []uint64{4, high | unix.F_SETOWN}, refuse, refuse, refuse},
		{"memory", "mmap", []uint64{0, 4096, unix.PROT_READ | unix.PROT_WRITE}, allow, allow, allow},
		{"code", "mmap", []uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC}, refuse, refuse, refuse},
		{"memory to code", "mprotect", []uint64{0, 4096, unix.PROT_EXEC | unix.PROT_WRITE}, refuse, refuse, refuse},
		{"resume a sleep", "restart_syscall", nil, allow, allow, allow},
		{"load filters", "seccomp", nil, trap, trap, trap},
	} {
		t.Run(c.name, func(t *testing.T) {
			for p, want := range map[Profile]uint32{Connection: c.connection, HTTP: c.http, Listener: c.ls} {
				vm, table := filterVM(t, p)
				number, ok := table.SyscallNames[c.call]
				require.True(t, ok, "%s is no system call here", c.call)
				got := judge(t, vm, uint32(table.ID), number, c.args...)
				require.Equalf(t, want, got, "%s: %s", p, c.call)
			}
		})
	}
}

// Each number that the architecture has gets the answer of the list that its name is on.
func TestPolicyOfEveryNumber(t *testing.T) {
	for _, p := range []Profile{Connection, HTTP, Listener} {
		t.Run(p.String(), func(t *testing.T) {
			vm, table := filterVM(t, p)
			pol := policyOf(p, testPID)
			listed := map[string]uint32{}
			for _, n := range pol.allow {
				listed[n] = allow
			}
			conditional := map[string]bool{}
			for _, r := range pol.refuse {
				listed[r.name] = refuse
				conditional[r.name] = len(r.when) > 0
			}
			for _, n := range pol.absent {
				listed[n] = absent
			}
			for _, n := range pol.kill {
				listed[n] = kill
			}
			for number, name := range table.SyscallNumbers {
				want, ok := listed[name]
				switch {
				case conditional[name]:
					continue // TestPolicyOfEachCall
				case !ok:
					want = trap
				}
				require.Equal(t, want, judge(t, vm, uint32(table.ID), number), name)
			}
			// A number that no table knows, and another architecture's call by way of this kernel.
			require.Equal(t, trap, judge(t, vm, uint32(table.ID), 100000))
			require.Equal(t, trap, judge(t, vm, uint32(arch.I386.ID), arch.I386.SyscallNames["read"]))
		})
	}
}

// A name that no architecture knows is a spelling mistake, and would silently be on no list.
func TestPolicyNamesAreKnown(t *testing.T) {
	for _, p := range []Profile{Connection, HTTP, Listener} {
		pol := policyOf(p, testPID)
		names := append(append(append([]string{}, pol.kill...), pol.allow...), pol.absent...)
		for _, r := range pol.refuse {
			names = append(names, r.name)
		}
		for _, n := range names {
			_, amd := arch.X86_64.SyscallNames[n]
			_, arm := arch.AARCH64.SyscallNames[n]
			require.True(t, amd || arm, n)
		}
	}
}

func TestSyscallName(t *testing.T) {
	require.Equal(t, "fchmod", SyscallName(unix.SYS_FCHMOD))
	require.Equal(t, "99999", SyscallName(99999))
}
