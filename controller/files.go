package controller

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Descriptors that this process holds, and the guardian too.
const (
	filesOfProcess = 4  // control socket, pidfd, standard error, hand-over socket
	filesOfStream  = 2  // the buffer, to write and to read
	filesOfPort    = 2  // an SRT port's sockets
	filesOfServer  = 64 // of the processes that always run, HTTP and API sockets, the Go runtime, and to start a process
)

// maxAPIConnections bounds the TCP connections at the API port.
const maxAPIConnections = 256

// errFiles means that the limit of open files has been reached. What is left is for the processes without which nobody is served.
var errFiles = errors.New("too many open files; raise the limit (LimitNOFILE= in the systemd unit, or ulimit -n)")

// openFiles is the limit of open files of this process, and of the guardian. The Go runtime has raised the soft limit to the hard
// one.
func openFiles() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1024 // what Linux starts with; the call can't fail
	}
	return limit.Cur
}

// apiConnections bounds the connections at the API port by the limit of open files.
func apiConnections(files uint64) int { return int(min(maxAPIConnections, files/8)) }

// filesLeft is how many descriptors there are for more processes of connections and their streams, beside those in reserve. It
// counts what there is instead of trying: when a descriptor can't be had any more, it is too late.
func (c *Controller) filesLeft() int64 {
	files := min(c.files, 1<<40)
	held := filesOfServer + apiConnections(files) + filesOfProcess*len(c.processes) + filesOfStream*len(c.streams) + filesOfPort*len(c.ports)
	return int64(files) - int64(held)
}
