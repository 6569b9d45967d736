// The runtime keeps no files of its cgroup open: there is one processor for Go code anyway.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command brume-srt is one SRT connection. The controller starts it with its control socket on descriptor 3 and its
// hand-over socket on descriptor 4; it puts itself in a sandbox, waits for a caller, and ends with it.
//
// "brume-srt selftest" checks that the linked libsrt can be handed a caller.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"

	"brume/control"
	"brume/sandbox"
	"brume/srt"
	"brume/srt/libsrt"

	"golang.org/x/sys/unix"
)

// handoverFD is the descriptor of the hand-over socket, beside control.ChildFD.
const handoverFD = control.ChildFD + 1

// gcPercent keeps the heap, of which hardly any is in use, from growing to the 4 MB at which Go
// collects for the first time.
const gcPercent = 5

// Exit statuses.
const (
	exitOrderly  = 0
	exitInternal = 1
	exitUsage    = 2
)

func main() {
	// Media takes one goroutine; a second processor would only take memory.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(gcPercent)
	switch {
	case len(os.Args) == 2 && os.Args[1] == "selftest":
		os.Exit(selftest(os.Stdout))
	}
	memory, ok := memoryBound(os.Args[1:])
	if !ok {
		fmt.Fprintln(os.Stderr, "brume-srt is started by brume serve, or as: brume-srt selftest")
		os.Exit(exitUsage)
	}
	// A terminal's signals are for the guardian, which decides what becomes of this process.
	signal.Ignore(unix.SIGINT, unix.SIGHUP)
	p, err := start(memory)
	if err != nil {
		fmt.Fprintln(os.Stderr, "brume-srt:", err)
		os.Exit(exitInternal)
	}
	// Not by way of exit(3): libsrt's threads run on, and its destructors would free what they use.
	os.Exit(p.run())
}

// memoryBound reads the only argument there may be: --memory and the bytes of private memory that the process may
// have. 0 is the sandbox's own bound.
func memoryBound(args []string) (bytes uint64, ok bool) {
	if len(args) == 0 {
		return 0, true
	}
	if len(args) != 2 || args[0] != "--memory" {
		return 0, false
	}
	bytes, err := strconv.ParseUint(args[1], 10, 63)
	return bytes, err == nil && bytes > 0
}

// start gives up all rights before any of libsrt's code runs, and says hello.
func start(memory uint64) (*process, error) {
	for _, fd := range []int{control.ChildFD, handoverFD} {
		// What is not passed on may well be a descriptor of the Go runtime's own.
		if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_SEQPACKET {
			return nil, fmt.Errorf("descriptor %d is no control socket; this program is started by brume serve", fd)
		}
	}
	conn, err := control.Child()
	if err != nil {
		return nil, err
	}
	handover, err := handoverSocket()
	if err != nil {
		return nil, err
	}
	report, err := sandbox.Apply(sandbox.Connection, memory)
	if err != nil {
		return nil, err
	}
	if err := libsrt.Startup(libsrt.LogWarning); err != nil {
		return nil, err
	}
	p := newProcess(conn, handover, srt.Hello{
		PID:     os.Getpid(),
		LibSRT:  libsrt.Version(),
		Sandbox: report.Active,
		Missing: report.Missing,
	})
	debug.FreeOSMemory()
	return p, p.sendHello()
}

func handoverSocket() (*control.Conn, error) {
	if err := unix.SetNonblock(handoverFD, true); err != nil {
		return nil, fmt.Errorf("no hand-over socket on descriptor %d: %w", handoverFD, err)
	}
	unix.CloseOnExec(handoverFD)
	c, err := control.New(os.NewFile(handoverFD, "handover"))
	if err != nil {
		return nil, err
	}
	c.AcceptFiles()
	return c, nil
}
