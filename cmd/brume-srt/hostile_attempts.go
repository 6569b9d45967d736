//go:build hostile

package main

import (
	"errors"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attempts are what a process survives: the answer is an error.
var attempts = []struct {
	name string
	try  func(c *captive) error
}{
	// Files.
	{"open a file", func(*captive) error { return open("/etc/passwd", unix.O_RDONLY) }},
	{"open by path alone", func(*captive) error { return open("/etc/passwd", unix.O_PATH) }},
	{"make a file", func(*captive) error { return open("/tmp/hostile", unix.O_CREAT|unix.O_WRONLY) }},
	{"list a directory", func(*captive) error { return open("/", unix.O_DIRECTORY) }},
	{"stat a file", func(*captive) error { _, err := os.Stat("/etc/passwd"); return err }},
	{"environment of the parent", func(*captive) error { return open(ofParent("environ"), unix.O_RDONLY) }},
	{"memory of the parent", func(*captive) error { return open(ofParent("mem"), unix.O_RDWR) }},
	{"descriptors of the parent", func(*captive) error { return open(ofParent("fd/5"), unix.O_RDWR) }},
	{"own memory", func(*captive) error { return open("/proc/self/mem", unix.O_RDWR) }},
	{"open the buffer anew", func(c *captive) error { return open("/proc/self/fd/"+strconv.Itoa(c.buffer), unix.O_RDWR) }},
	// Processes.
	{"fork", func(*captive) error { return raw(unix.SYS_CLONE, uintptr(unix.SIGCHLD)) }},
	{"fork by clone3", func(*captive) error { return raw(unix.SYS_CLONE3) }},
	{"signal the parent", func(*captive) error { return unix.Kill(os.Getppid(), unix.SIGKILL) }},
	{"signal a thread of the parent", func(*captive) error { return unix.Tgkill(os.Getppid(), os.Getppid(), unix.SIGKILL) }},
	{"signal everybody", func(*captive) error { return unix.Kill(-1, unix.SIGKILL) }},
	{"signals by descriptor", func(c *captive) error { return fcntl(c.control, unix.F_SETOWN, os.Getppid()) }},
	{"be traced", func(*captive) error { return unix.Prctl(unix.PR_SET_PTRACER, ^uintptr(0), 0, 0, 0) }},
	{"handle of the other end", func(c *captive) error {
		_, err := unix.GetsockoptInt(c.control, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
		return err
	}},
	// Sockets.
	{"UDP socket", func(*captive) error { return socket(unix.AF_INET, unix.SOCK_DGRAM) }},
	{"TCP socket", func(*captive) error { return socket(unix.AF_INET6, unix.SOCK_STREAM) }},
	{"unix socket", func(*captive) error { return socket(unix.AF_UNIX, unix.SOCK_SEQPACKET) }},
	{"netlink socket", func(*captive) error { return socket(unix.AF_NETLINK, unix.SOCK_RAW) }},
	{"steer the port", func(c *captive) error {
		return unix.SetsockoptSockFprog(c.udp, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
			&unix.SockFprog{Len: 1, Filter: &unix.SockFilter{Code: unix.BPF_RET}})
	}},
	{"send by other hosts", func(c *captive) error {
		return unix.SetsockoptString(c.udp, unix.IPPROTO_IP, unix.IP_OPTIONS, "\x83\x07\x04\x7f\x00\x00\x02\x00")
	}},
	{"send by another interface", func(c *captive) error { return unix.BindToDevice(c.udp, "lo") }},
	{"ioctl", func(c *captive) error { return raw(unix.SYS_IOCTL, uintptr(c.udp), unix.SIOCGIFCONF) }},
	// The buffer.
	{"seal the buffer", func(c *captive) error { return fcntl(c.buffer, unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE) }},
	{"append to the buffer", func(c *captive) error { return fcntl(c.buffer, unix.F_SETFL, unix.O_APPEND) }},
	{"fill the buffer", func(c *captive) error { return unix.Fallocate(c.buffer, 0, 0, 1<<20) }},
	{"move who waits for the buffer", func(c *captive) error {
		m, err := unix.Mmap(c.buffer, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return errors.New("can't map the buffer")
		}
		const requeue = 3 // FUTEX_REQUEUE
		var mine uint32
		return raw(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&m[0])), requeue, 0, 1<<20, uintptr(unsafe.Pointer(&mine)))
	}},
	{"push the buffer out of memory", func(c *captive) error { return advise(c, unix.MADV_PAGEOUT) }},
	{"punch the buffer's mapping", func(c *captive) error { return advise(c, unix.MADV_REMOVE) }},
	{"write into the buffer", func(c *captive) error {
		_, err := unix.Write(c.buffer, []byte("B")) // which its first byte is anyway
		return err
	}},
	{"map the buffer to write", func(c *captive) error {
		_, err := unix.Mmap(c.buffer, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		return err
	}},
	{"make the buffer's mapping writable", func(c *captive) error {
		m, err := unix.Mmap(c.buffer, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return errors.New("can't map the buffer")
		}
		return unix.Mprotect(m, unix.PROT_READ|unix.PROT_WRITE)
	}},
	{"punch the buffer", func(c *captive) error {
		return unix.Fallocate(c.buffer, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 1<<20, 4096) // the last table
	}},
	// Memory.
	{"memory without end", func(*captive) error { return memory(1<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE) }},
	{"shared memory", func(*captive) error { return memory(1<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED) }},
	{"memory like a stack", func(*captive) error {
		return memory(1<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_GROWSDOWN)
	}},
	{"addresses without end", func(*captive) error { return memory(1<<40, unix.PROT_READ, unix.MAP_PRIVATE) }},
	{"code", func(*captive) error { return memory(4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE) }},
	{"descriptors without end", func(c *captive) error {
		var got []int
		defer func() {
			for _, fd := range got {
				_ = unix.Close(fd)
			}
		}()
		for range 1000 {
			fd, err := unix.FcntlInt(uintptr(c.udp), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				return err
			}
			got = append(got, fd)
		}
		return nil
	}},
}

// deadly are what ends a process that tries it.
var deadly = map[string]func(c *captive) error{
	"sendmsg": func(c *captive) error {
		return unix.Sendmsg(c.udp, []byte("x"), nil, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 9}}, 0)
	},
	"sendto": func(c *captive) error {
		return unix.Sendto(c.udp, []byte("x"), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 9}})
	},
	"sendmmsg": func(c *captive) error { return raw(unix.SYS_SENDMMSG, uintptr(c.udp)) },
	"connect": func(c *captive) error {
		return unix.Connect(c.udp, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 9}})
	},
	"bind":         func(c *captive) error { return unix.Bind(c.udp, &unix.SockaddrInet4{}) },
	"listen":       func(c *captive) error { return unix.Listen(c.udp, 1) },
	"accept4":      func(c *captive) error { return raw(unix.SYS_ACCEPT4, uintptr(c.udp)) },
	"pwrite64":     func(c *captive) error { _, err := unix.Pwrite(c.buffer, []byte("x"), 0); return err },
	"ftruncate":    func(c *captive) error { return unix.Ftruncate(c.buffer, 0) },
	"fchmod":       func(c *captive) error { return unix.Fchmod(c.buffer, 0o777) },
	"fchown":       func(c *captive) error { return unix.Fchown(c.buffer, 0, 0) },
	"lseek":        func(c *captive) error { return raw(unix.SYS_LSEEK, uintptr(c.buffer), 100, 0) },
	"flock":        func(c *captive) error { return unix.Flock(c.buffer, unix.LOCK_EX) },
	"memfd_create": func(c *captive) error { _, err := unix.MemfdCreate("x", 0); return err },
	"pipe2":        func(c *captive) error { return unix.Pipe2(make([]int, 2), 0) },
	"shmget":       func(c *captive) error { return raw(unix.SYS_SHMGET, 0, 4096, 0o1666) },
	"mq_open": func(c *captive) error {
		return raw(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(&name[0])), unix.O_CREAT|unix.O_RDWR, 0o666)
	},
	"tkill": func(c *captive) error { return raw(unix.SYS_TKILL, uintptr(os.Getppid()), 0) },
	"rt_sigqueueinfo": func(c *captive) error {
		return raw(unix.SYS_RT_SIGQUEUEINFO, uintptr(os.Getppid()), uintptr(unix.SIGKILL))
	},
	"setpriority":      func(c *captive) error { return raw(unix.SYS_SETPRIORITY, 0, 0, ^uintptr(4)) },
	"mlock":            func(c *captive) error { return raw(unix.SYS_MLOCKALL, unix.MCL_FUTURE) },
	"seccomp":          func(c *captive) error { return raw(unix.SYS_SECCOMP, 1, 0, 0) },
	"futex_requeue":    func(c *captive) error { return raw(456) },
	"process_mrelease": func(c *captive) error { return raw(unix.SYS_PROCESS_MRELEASE, uintptr(c.control)) },

	"execve":           func(c *captive) error { return unix.Exec("/bin/true", []string{"true"}, nil) },
	"execveat":         func(c *captive) error { return raw(unix.SYS_EXECVEAT, uintptr(c.buffer)) },
	"ptrace":           func(c *captive) error { return unix.PtraceAttach(os.Getppid()) },
	"process_vm_readv": func(c *captive) error { return raw(unix.SYS_PROCESS_VM_READV, uintptr(os.Getppid())) },
	"pidfd_open":       func(c *captive) error { _, err := unix.PidfdOpen(os.Getppid(), 0); return err },
	"pidfd_getfd":      func(c *captive) error { return raw(unix.SYS_PIDFD_GETFD, uintptr(c.control), 5) },
	"setresuid":        func(c *captive) error { return raw(unix.SYS_SETRESUID, 0, 0, 0) },
	"unshare":          func(c *captive) error { return raw(unix.SYS_UNSHARE, unix.CLONE_NEWUSER) },
	"bpf":              func(c *captive) error { return raw(unix.SYS_BPF) },
	"io_uring_setup":   func(c *captive) error { return raw(unix.SYS_IO_URING_SETUP, 1) },
	"mount":            func(c *captive) error { return unix.Mount("x", "/", "tmpfs", 0, "") },
	"keyctl":           func(c *captive) error { return raw(unix.SYS_KEYCTL) },
}

var name = []byte("hostile\x00")

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

func ofParent(file string) string { return "/proc/" + strconv.Itoa(os.Getppid()) + "/" + file }

func socket(family, kind int) error {
	_, err := unix.Socket(family, kind, 0)
	return err
}

func fcntl(fd, what, value int) error {
	_, err := unix.FcntlInt(uintptr(fd), what, value)
	return err
}

func advise(c *captive, advice int) error {
	m, err := unix.Mmap(c.buffer, 0, 1<<20, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return errors.New("can't map the buffer")
	}
	return unix.Madvise(m, advice)
}

func memory(size int, prot, flags uintptr) error {
	p, _, n := unix.Syscall6(unix.SYS_MMAP, 0, uintptr(size), prot, flags|unix.MAP_ANON, ^uintptr(0), 0)
	if n != 0 {
		return n
	}
	_, _, _ = unix.Syscall(unix.SYS_MUNMAP, p, uintptr(size), 0)
	return nil
}
