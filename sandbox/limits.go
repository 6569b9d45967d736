package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

const mebibyte = 1 << 20

// limits are resource limits; 0 leaves one as it is.
//
// That on the number of processes counts all threads of a user: it keeps one process that makes threads without
// end from taking the machine's last, and the controller ends that process.
type limits struct {
	data  uint64 // bytes of private writable memory: heaps and the stacks of all threads, not shared memory
	files uint64 // descriptors
	size  uint64 // bytes of a file that it writes or makes
	space uint64 // bytes of addresses beside data: it bounds the page tables, which data does not count
}

// most of a buffer's file, which takes addresses where it is mapped.
const maxBuffer = 32 << 10 * mebibyte

var profileLimits = [...]limits{
	// The Go heap's first arena is 64 MB and each of some ten stacks 8 MB, hardly any of it ever touched.
	Connection: {data: 256 * mebibyte, files: 64, size: 16 * mebibyte, space: maxBuffer + 8<<10*mebibyte},
	HTTP:       {data: 8192 * mebibyte, size: 1024 * mebibyte},
	Listener:   {data: 1024 * mebibyte, files: 4096, size: 16 * mebibyte},
}

// limit sets the profile's limits. Its bound of private memory may be replaced.
func limit(p Profile, data uint64) error {
	l := profileLimits[p]
	if data != 0 {
		l.data = data
	}
	if l.space != 0 {
		l.space += l.data
	}
	for _, r := range []struct {
		name     string
		resource int
		value    uint64
		zero     bool
	}{
		{"core", unix.RLIMIT_CORE, 0, true},
		{"data", unix.RLIMIT_DATA, l.data, false},
		{"nofile", unix.RLIMIT_NOFILE, l.files, false},
		{"fsize", unix.RLIMIT_FSIZE, l.size, false},
		{"as", unix.RLIMIT_AS, l.space, false},
		{"nproc", unix.RLIMIT_NPROC, halfOfAllTasks(), false},
	} {
		if r.value == 0 && !r.zero {
			continue
		}
		var now unix.Rlimit
		if err := unix.Getrlimit(r.resource, &now); err != nil {
			return fmt.Errorf("sandbox: read limit %s: %w", r.name, err)
		}
		value := min(r.value, now.Max) // a stricter one stays
		if err := unix.Setrlimit(r.resource, &unix.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("sandbox: set limit %s to %d: %w", r.name, value, err)
		}
	}
	return nil
}

// halfOfAllTasks is half of the processes and threads that the machine can have, 0 where it does not say.
func halfOfAllTasks() uint64 {
	b, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	return n / 2
}

// becomeNobody gives up root. Who is not root stays who they are.
func becomeNobody() error {
	if unix.Geteuid() != 0 && unix.Getuid() != 0 {
		return nil
	}
	// In a container where only root exists these fail; its capabilities are still dropped.
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("runs as root: setgroups: %w", err)
	}
	if err := syscall.Setresgid(GID, GID, GID); err != nil {
		return fmt.Errorf("runs as root: setresgid: %w", err)
	}
	if err := syscall.Setresuid(UID, UID, UID); err != nil {
		return fmt.Errorf("runs as root: setresuid: %w", err)
	}
	return nil
}

// Give makes a socket belong to the user that sandboxed processes run as. The kernel lets two sockets share a
// port (SO_REUSEPORT) only if they have the same owner, who is whoever made them: a listener that is no longer
// root can't bind beside a socket that root made for it, unless root gave it away. Without root it does nothing.
func Give(socket *os.File) error {
	if unix.Geteuid() != 0 {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var chown error
	if err := raw.Control(func(fd uintptr) { chown = unix.Fchown(int(fd), UID, GID) }); err != nil {
		return err
	}
	if chown != nil {
		return fmt.Errorf("sandbox: give socket away: %w", chown)
	}
	return nil
}

// dropCapabilities leaves no thread with any, whoever started the process.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0)
	if errno != 0 {
		return errors.New("capset: " + errno.Error())
	}
	return nil
}
