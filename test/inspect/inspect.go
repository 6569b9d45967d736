// Package inspect asks the kernel about processes, descriptors and addresses, for tests.
package inspect

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// SameFile tells whether two descriptors of this process are of one open file, as duplicates are: KCMP_FILE of kcmp(2).
func SameFile(a, b *os.File) bool {
	const file = 0 // KCMP_FILE
	self := uintptr(os.Getpid())
	order, _, err := unix.Syscall6(unix.SYS_KCMP, self, self, file, a.Fd(), b.Fd(), 0)
	if err != 0 {
		panic(err)
	}
	return order == 0
}

// Ended tells whether a child of this process has ended, which nobody has collected: Z in proc_pid_stat(5).
func Ended(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(stat), ") Z ")
}

// MemoryHas tells whether a process's memory holds a text anywhere.
func MemoryHas(t *testing.T, pid int, text string) bool {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	const step = 1 << 20
	b := make([]byte, step+len(text))
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil || rights[0] != 'r' || strings.Contains(line, "[v") {
			continue
		}
		for at := from; at < to; at += step {
			n, _ := mem.ReadAt(b[:min(int64(len(b)), to-at)], at)
			if bytes.Contains(b[:n], []byte(text)) {
				return true
			}
		}
	}
	return false
}

// LinkLocal is an IPv6 link-local address of this machine with its zone, empty where there is none.
func LinkLocal(t *testing.T) string {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.To4() == nil && n.IP.IsLinkLocalUnicast() {
				return n.IP.String() + "%" + i.Name
			}
		}
	}
	return ""
}
