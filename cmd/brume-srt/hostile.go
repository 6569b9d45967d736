//go:build hostile

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"brume/control"
	"brume/media"

	"golang.org/x/sys/unix"
)

// With the build tag hostile, a connection process behaves as if a stranger had taken it over, once it has its buffer:
// a publisher of the stream pub-NAME or a viewer of view-NAME does what NAME says. All other connections are as
// they should be. test/hostile_test.go builds it, and sees what comes of it.

// captive is the process in a stranger's hands, with all that it holds.
type captive struct {
	*process
	grant
	buffer  int // descriptors
	udp     int
	control int
}

// betray acts, and then lets the connection go on, unless the deed has no end.
func (p *process) betray(g grant) {
	prefix := "pub-"
	if g.role == media.Play {
		prefix = "view-"
	}
	name, meant := strings.CutPrefix(p.configure.Stream, prefix)
	if !meant {
		return
	}
	// The file itself is closed when the connection goes on.
	fd, _ := control.Descriptor(g.file)
	fd, _ = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	c := &captive{process: p, grant: g, buffer: fd, udp: datagramSocket(), control: control.ChildFD}
	switch {
	case name == "attempts":
		go c.attempt()
	case deeds[name] != nil:
		deeds[name](c)
	case deadly[name] != nil:
		go func() {
			c.tell(name, "begins")
			time.Sleep(100 * time.Millisecond) // so that the line is heard of
			err := deadly[name](c)
			c.tell(name, outcome(err)) // it should not have come so far
		}()
	}
}

// tell reports what came of an attempt by a log line.
func (c *captive) tell(what, result string) { c.log("info", "hostile: "+what+": "+result, 1) }

// attempt makes all attempts that a process survives, slowly enough for each line to be heard.
func (c *captive) attempt() {
	for _, a := range attempts {
		c.tell(a.name, outcome(a.try(c)))
		time.Sleep(80 * time.Millisecond)
	}
	c.tell("all", "done")
}

// outcome names an error.
func outcome(err error) string {
	var n unix.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &n):
		return unix.ErrnoName(n)
	default:
		return fmt.Sprintf("%T %v", err, err)
	}
}

// raw makes a system call.
func raw(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, n := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); n != 0 {
		return n
	}
	return nil
}

// datagramSocket finds the connection's socket among all descriptors.
func datagramSocket() int {
	for fd := 3; fd < 64; fd++ {
		if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && kind == unix.SOCK_DGRAM {
			return fd
		}
	}
	return -1
}
