package buffer

import (
	"math"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// futex(2) operations. Without FUTEX_PRIVATE_FLAG they reach other processes, and the kernel finds the word by
// file and offset, so that a read-only mapping is enough to wait on it.
const (
	futexWait = 0
	futexWake = 1
)

// sleepOn waits until somebody wakes the word, unless it differs from value. It may return early.
func sleepOn(word *uint32, value uint32, timeout time.Duration) {
	ts := unix.NsecToTimespec(int64(timeout))
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, uintptr(value),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// wake wakes everyone who sleeps on the word.
func wake(word *uint32) {
	_, _, _ = unix.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, math.MaxInt32)
}
