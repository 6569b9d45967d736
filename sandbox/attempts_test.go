package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// perform applies the profile and makes one attempt. It prints the report, then what came of it.
func perform(a act) int {
	report, err := Apply(a.Profile, a.Memory)
	if err != nil {
		fmt.Println("apply:", err)
		return 1
	}
	line, _ := json.Marshal(report)
	fmt.Println(string(line))
	fmt.Println(attempts[a.Name](a))
	return 0
}

func errno(n syscall.Errno) string {
	if n == 0 {
		return "ok"
	}
	return unix.ErrnoName(n)
}

func result(err error) string {
	var n syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &n):
		return errno(n)
	default:
		return err.Error()
	}
}

func raw(number uintptr, args ...uintptr) string {
	var a [6]uintptr
	copy(a[:], args)
	_, _, n := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	return errno(n)
}

func cstring(s string) uintptr {
	b := append([]byte(s), 0)
	return uintptr(unsafe.Pointer(&b[0]))
}

// attempts are what a process that was taken over would try.
var attempts = map[string]func(a act) string{
	"nothing": func(act) string { return "ok" },
	"read a file": func(act) string {
		_, err := os.ReadFile("/etc/passwd")
		return result(err)
	},
	"write a file": func(act) string {
		return result(os.WriteFile(filepath.Join(os.TempDir(), "brume-sandbox-test"), []byte("x"), 0o600))
	},
	"list a directory": func(act) string {
		_, err := os.ReadDir("/")
		return result(err)
	},
	"stat a file": func(act) string {
		_, err := os.Stat("/etc/passwd")
		return result(err)
	},
	"read another process": func(a act) string {
		_, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", a.PID))
		return result(err)
	},
	"exec": func(act) string { return raw(unix.SYS_EXECVE, cstring("/bin/true"), 0, 0) },
	"fork": func(act) string { return raw(unix.SYS_CLONE, uintptr(unix.SIGCHLD)) },
	"start a program": func(act) string {
		return result(exec.Command("/bin/true").Run())
	},
	"TCP socket": func(act) string {
		_, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		return result(err)
	},
	"UDP socket": func(act) string {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return result(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return result(err)
		}
		return result(unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}))
	},
	"unix socket": func(act) string {
		_, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		return result(err)
	},
	"listen":         func(act) string { return raw(unix.SYS_LISTEN, 0, 1) },
	"trace":          func(a act) string { return raw(unix.SYS_PTRACE, unix.PTRACE_ATTACH, uintptr(a.PID)) },
	"read memory":    func(a act) string { return raw(unix.SYS_PROCESS_VM_READV, uintptr(a.PID)) },
	"kill another":   func(a act) string { return raw(unix.SYS_KILL, uintptr(a.PID), 0) },
	"tgkill another": func(a act) string { return raw(unix.SYS_TGKILL, uintptr(a.PID), uintptr(a.PID), 0) },
	"fchmod":         func(act) string { return raw(unix.SYS_FCHMOD, 1, 0o777) },
	"mount":          func(act) string { return raw(unix.SYS_MOUNT, cstring("x"), cstring("/"), cstring("tmpfs")) },
	"bpf":            func(act) string { return raw(unix.SYS_BPF) },
	"clone3":         func(act) string { return raw(unix.SYS_CLONE3) },
	"become root":    func(act) string { return raw(unix.SYS_SETRESUID, 0, 0, 0) },
	"make code": func(act) string {
		return raw(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON, ^uintptr(0))
	},
	"environment": func(act) string {
		if n := len(os.Environ()); n != 0 {
			return fmt.Sprintf("%d left", n)
		}
		return "ok"
	},
	"too much memory": func(act) string {
		return raw(unix.SYS_MMAP, 0, 300<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON, ^uintptr(0))
	},
	"memory that is shared": func(act) string {
		return raw(unix.SYS_MMAP, 0, 300<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON, ^uintptr(0))
	},
	"memory like a stack": func(act) string {
		return raw(unix.SYS_MMAP, 0, 300<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_GROWSDOWN, ^uintptr(0))
	},
	"memory that becomes writable": func(act) string {
		p, _, n := syscall.Syscall6(unix.SYS_MMAP, 0, 300<<20, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON, ^uintptr(0), 0)
		if n != 0 {
			return "mmap " + errno(n)
		}
		return raw(unix.SYS_MPROTECT, p, 300<<20, unix.PROT_READ|unix.PROT_WRITE)
	},
	"addresses without end": func(act) string {
		return raw(unix.SYS_MMAP, 0, 64<<30, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE, ^uintptr(0))
	},
	"room for a large buffer": func(act) string {
		return raw(unix.SYS_MMAP, 0, 32<<30, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE, ^uintptr(0))
	},
	"more memory": func(act) string {
		return raw(unix.SYS_MMAP, 0, 500<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON, ^uintptr(0))
	},
	"send to the peer": func(act) string {
		_, err := unix.Write(3, []byte("hello"))
		return result(err)
	},
	"send to another by sendmsg": func(act) string {
		return result(unix.Sendmsg(3, []byte("x"), nil, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 2}}, 0))
	},
	"send to another by sendto": func(act) string {
		return result(unix.Sendto(3, []byte("x"), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 2}}))
	},
	"connect elsewhere": func(act) string {
		return result(unix.Connect(3, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 2}}))
	},
	"bind elsewhere": func(act) string {
		return result(unix.Bind(3, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 2}}))
	},
	"steer the port": func(act) string {
		return result(unix.SetsockoptSockFprog(3, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
			&unix.SockFprog{Len: 1, Filter: &unix.SockFilter{Code: unix.BPF_RET}}))
	},
	"send by other hosts": func(act) string {
		return result(unix.SetsockoptString(3, unix.IPPROTO_IP, unix.IP_OPTIONS, "\x83\x07\x04\x7f\x00\x00\x02\x00"))
	},
	"handle of the other end": func(act) string {
		_, err := unix.GetsockoptInt(3, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
		return result(err)
	},
	"open by path alone": func(act) string {
		_, err := unix.Open("/etc/passwd", unix.O_PATH|unix.O_CLOEXEC, 0)
		return result(err)
	},
	"reopen a memory file to write": func(act) string {
		fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
		if err != nil {
			return "memfd " + result(err)
		}
		_, err = unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDWR|unix.O_CLOEXEC, 0)
		return result(err)
	},
	"read its own memory's file": func(act) string {
		_, err := os.ReadFile("/proc/self/maps")
		return result(err)
	},
	"too many descriptors": func(act) string {
		for range 100 {
			if _, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0); err != nil {
				return result(err)
			}
		}
		return "ok"
	},
	"threads": func(act) string {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				ts := unix.NsecToTimespec(int64(10 * time.Millisecond))
				_ = unix.Nanosleep(&ts, nil)
			})
		}
		all.Wait()
		return "ok"
	},
	"reopen a memory file": func(act) string {
		fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			return "memfd " + result(err)
		}
		if err := unix.Ftruncate(fd, 4096); err != nil {
			return "ftruncate " + result(err)
		}
		if _, err := unix.Pwrite(fd, []byte("hello"), 0); err != nil {
			return "pwrite " + result(err)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE); err != nil {
			return "seal " + result(err)
		}
		b, err := os.ReadFile("/proc/self/fd/" + strconv.Itoa(fd))
		if err == nil && !bytes.HasPrefix(b, []byte("hello")) {
			return "other content"
		}
		return result(err)
	},
	"serve": func(act) string {
		l, err := net.FileListener(os.NewFile(3, "listener"))
		if err != nil {
			return err.Error()
		}
		fmt.Println("ready")
		c, err := l.Accept()
		if err != nil {
			return err.Error()
		}
		file, err := memoryFile([]byte("media"))
		if err != nil {
			return err.Error()
		}
		_, err = c.(*net.TCPConn).ReadFrom(file) // sendfile
		_ = c.Close()
		return result(err)
	},
	"bind beside": func(act) string {
		address, err := unix.Getsockname(3)
		if err != nil {
			return result(err)
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return result(err)
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return result(err)
		}
		return result(unix.Bind(fd, address))
	},
	"wait for its threads to be read": func(act) string {
		_, _ = os.Stdin.Read(make([]byte, 1))
		return "ok"
	},
}

func memoryFile(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "x")
	if _, err := f.Write(content); err != nil {
		return nil, err
	}
	_, err = f.Seek(0, 0)
	return f, err
}
