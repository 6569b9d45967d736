package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// restrictCalls loads the profile's filters on all threads. The first error tells
// what is missing, the second that something failed which is there.
func restrictCalls(p Profile) (missing, err error) {
	table, err := arch.GetInfo("")
	if err != nil || !seccomp.Supported() {
		return fmt.Errorf("the kernel or this architecture has none"), nil
	}
	if err := catchDenied(); err != nil {
		return err, nil
	}
	if err := load(policyOf(p, os.Getpid()).program(table)); err != nil {
		return nil, fmt.Errorf("sandbox: seccomp: %w", err)
	}
	return nil, nil
}

// load installs a filter for all threads (seccomp(2)).
func load(program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	switch {
	case errno != 0:
		return errno
	case thread != 0:
		return fmt.Errorf("thread %d has filters of its own", thread)
	default:
		return nil
	}
}

// SyscallName names a system call of this architecture, for the number that a process
// left behind which ended with ExitDenied. An unknown one is its number.
func SyscallName(number int) string {
	if table, err := arch.GetInfo(""); err == nil {
		if name, ok := table.SyscallNumbers[number]; ok {
			return name
		}
	}
	return strconv.Itoa(number)
}
