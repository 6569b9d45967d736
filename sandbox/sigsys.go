//go:build amd64 || arm64

package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelAction is struct kernel_sigaction of both architectures.
type kernelAction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	saSiginfo  = 0x4
	saOnStack  = 0x08000000
	saRestorer = 0x04000000
)

// catchDenied installs the handler of denied system calls. The Go runtime's own says nothing of the number, and
// the one that restricts all threads at once in cgo programs (psx) uses the same signal, so that this
// comes after it.
func catchDenied() error {
	entry := denyEntry()
	// The handler never returns, so that any address does as the restorer which amd64 insists on.
	action := kernelAction{handler: entry, flags: saSiginfo | saOnStack | saRestorer, restorer: entry}
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGSYS), uintptr(unsafe.Pointer(&action)), 0,
		unsafe.Sizeof(action.mask), 0, 0)
	if errno != 0 {
		return fmt.Errorf("rt_sigaction: %w", errno)
	}
	return nil
}

// deny is the signal handler, in C's calling convention: (number, *siginfo, *ucontext). It writes
// siginfo.si_syscall to standard error and ends the process with ExitDenied. It may run on a thread that
// Go knows nothing of.
//
//lint:ignore U1000 the kernel calls it
func deny()

// denyEntry is deny's address.
func denyEntry() uintptr
