package guardian

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// keeper keeps descriptors by name where they outlive this process. Neither method waits.
type keeper interface {
	keep(name string, f *os.File) bool // false: it has no room
	forget(name string)
}

// supervisor is systemd, by its notification protocol (sd_notify(3)): it keeps the descriptors that a service
// gives it, and hands them to the service's next process (sd_listen_fds(3)).
type supervisor struct {
	fd   int
	path string // of systemd's socket
	log  *slog.Logger
	room int  // descriptors that may be kept
	dog  bool // systemd wants to be told that the service lives
	done chan struct{}

	mu     sync.Mutex
	more   *sync.Cond // there is a notice, or no more to come
	queue  []*notice
	closed bool
	kept   map[string]*notice // what systemd keeps once it has read the queue, see remember
	names  int                // what LISTEN_FDNAMES would take of them, bytes
	said   time.Time          // when it was last logged what is wrong
	beat   *notice            // the last WATCHDOG=1
}

// notice is one datagram. The file is its own.
type notice struct {
	text string // empty: it need not be sent any more
	file *os.File
	sent bool
}

func (n *notice) drop() {
	n.text = ""
	if n.file != nil {
		_ = n.file.Close()
	}
}

const (
	// storeVariable is the number of descriptors that systemd keeps for a service. It is set by systemd 254 and
	// later, and by the unit file for the ones before.
	storeVariable = "FDSTORE"
	// dogVariable is set where the unit has WatchdogSec, and dogPIDVariable has the process that is meant (sd_watchdog_enabled(3)).
	dogVariable, dogPIDVariable = "WATCHDOG_USEC", "WATCHDOG_PID"
	// noticeTime bounds how long a datagram waits for a systemd that does not read.
	noticeTime = 5 * time.Second
	// maxNames bounds what systemd hands over in LISTEN_FDNAMES: Linux has no variable of more than 32 pages (execve(2)).
	maxNames = 127 << 10
	// noticePause is between two tries of the same notice.
	noticePause = 20 * time.Millisecond
	// sayAgain is between two complaints.
	sayAgain = time.Minute
	// firstListenFD is SD_LISTEN_FDS_START.
	firstListenFD = 3
	// maxListenFDs bounds what is taken over.
	maxListenFDs = 1 << 16
)

// underSystemd returns the supervisor that env names, nil where there is none.
func underSystemd(env []string, log *slog.Logger) (*supervisor, error) {
	path := lookup(env, "NOTIFY_SOCKET")
	if path == "" {
		return nil, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("speak to systemd: %w", err)
	}
	wait := unix.NsecToTimeval(noticeTime.Nanoseconds())
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait)
	if err == nil {
		// A name that begins with @ is one in the abstract namespace, for the package as for systemd.
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("speak to systemd at its NOTIFY_SOCKET: %w", err)
	}
	s := &supervisor{
		fd: fd, path: path, log: log, room: storeSize(env), dog: watchdog(env, os.Getpid()), done: make(chan struct{}), kept: map[string]*notice{},
	}
	s.more = sync.NewCond(&s.mu)
	go s.run()
	return s, nil
}

// storeSize is how many descriptors systemd keeps for the service.
func storeSize(env []string) int {
	n, err := strconv.Atoi(lookup(env, storeVariable))
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// watchdog reports whether systemd wants to be told that this process lives.
func watchdog(env []string, pid int) bool {
	of := lookup(env, dogPIDVariable)
	return lookup(env, dogVariable) != "" && (of == "" || of == strconv.Itoa(pid))
}

func lookup(env []string, name string) string {
	for _, pair := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// ownVariables are between systemd and this process alone.
var ownVariables = []string{
	"NOTIFY_SOCKET", storeVariable, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", dogVariable, dogPIDVariable,
}

// withoutOwn returns an environment for another process.
func withoutOwn(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(ownVariables, name)
	})
}

// keep implements keeper.
func (s *supervisor) keep(name string, f *os.File) bool {
	fd := -1
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(from uintptr) { fd, _ = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0) })
	}
	if err != nil || fd < 0 {
		s.log.Error("can't duplicate a descriptor for systemd", "name", name, "error", err)
		return false
	}
	file := os.NewFile(uintptr(fd), name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= s.room || s.names+len(name)+1 > maxNames {
		_ = file.Close()
		if s.complains() {
			s.log.Error("systemd keeps no more descriptors: the newest connections and streams would not outlive a death of the guardian; raise FileDescriptorStoreMax and FDSTORE in the unit",
				"kept", len(s.kept), "room", s.room, "names", s.names, "names_max", maxNames)
		}
		return false
	}
	// Not polled: systemd would drop a UDP socket at its first error, and a control socket whose other end is closed but
	// not read to its end.
	s.remember(name, s.put("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, file))
	return true
}

// remember counts what systemd keeps once it has read the notice, which is nil where it has.
func (s *supervisor) remember(name string, n *notice) {
	s.kept[name] = n
	s.names += len(name) + 1
}

// inherit counts what systemd kept of a process before this one.
func (s *supervisor) inherit(files map[string]*os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range files {
		s.remember(name, nil)
	}
}

// complains reports whether it is time to say again what is wrong.
func (s *supervisor) complains() bool {
	if time.Since(s.said) < sayAgain {
		return false
	}
	s.said = time.Now()
	return true
}

// forget implements keeper. What systemd has not been told yet it need not hear.
func (s *supervisor) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, known := s.kept[name]
	if known {
		delete(s.kept, name)
		s.names -= len(name) + 1
	}
	if n != nil && !n.sent {
		n.drop()
		return
	}
	s.put("FDSTOREREMOVE=1\nFDNAME="+name, nil)
}

// tell sends a state, such as READY=1.
func (s *supervisor) tell(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(state, nil)
}

// alive tells systemd that the service lives, where it wants to know. A systemd that does not read has one such notice
// waiting for it.
func (s *supervisor) alive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dog && (s.beat == nil || s.beat.sent) {
		s.beat = s.put("WATCHDOG=1", nil)
	}
}

func (s *supervisor) put(text string, f *os.File) *notice {
	n := &notice{text: text, file: f}
	s.queue = append(s.queue, n)
	s.more.Signal()
	return n
}

// run sends what is queued, in order.
func (s *supervisor) run() {
	defer close(s.done)
	for {
		s.mu.Lock()
		for len(s.queue) == 0 && !s.closed {
			s.more.Wait()
		}
		if len(s.queue) == 0 {
			s.mu.Unlock()
			return
		}
		n := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		n.sent = true
		s.mu.Unlock()
		if n.text != "" {
			s.send(n)
		}
	}
}

// send waits for a systemd that does not read, so that it misses nothing, but not at the end.
func (s *supervisor) send(n *notice) {
	defer n.drop()
	var rights []byte
	if n.file != nil {
		rights = unix.UnixRights(int(n.file.Fd()))
	}
	for {
		err := unix.Sendmsg(s.fd, []byte(n.text), rights, nil, unix.MSG_NOSIGNAL)
		switch err {
		case nil:
			return
		case unix.EINTR:
			continue
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.ETOOMANYREFS, unix.ECONNREFUSED, unix.ENOTCONN:
			// There may be room later, unix(7), or another socket.
			if s.goesOn(err) {
				time.Sleep(noticePause)
				if err == unix.ECONNREFUSED || err == unix.ENOTCONN {
					_ = unix.Connect(s.fd, &unix.SockaddrUnix{Name: s.path})
				}
				continue
			}
		default:
			s.log.Error("systemd does not take a notice", "error", err)
		}
		return
	}
}

// goesOn reports whether a notice is tried again. Where no more are to come, what is queued is dropped with it.
func (s *supervisor) goesOn(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.complains() {
		s.log.Error("systemd does not read its notices: what is new would not outlive a death of the guardian", "error", err, "waiting", len(s.queue))
	}
	if !s.closed {
		return true
	}
	for _, n := range s.queue {
		n.drop()
	}
	s.queue = nil
	return false
}

// close sends what is queued, and ends.
func (s *supervisor) close() {
	s.mu.Lock()
	s.closed = true
	s.more.Signal()
	s.mu.Unlock()
	<-s.done
	_ = unix.Close(s.fd)
}

// inherited takes over what systemd kept of a process before this one, by name. It is called once, before other
// descriptors are opened by number.
func inherited(env []string, pid int) (map[string]*os.File, error) {
	if lookup(env, "LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil
	}
	n, err := strconv.Atoi(lookup(env, "LISTEN_FDS"))
	if err != nil || n < 0 || n > maxListenFDs {
		return nil, errors.New("systemd's LISTEN_FDS is no number of descriptors")
	}
	names := strings.Split(lookup(env, "LISTEN_FDNAMES"), ":")
	files := map[string]*os.File{}
	for i := range n {
		fd := firstListenFD + i
		unix.CloseOnExec(fd)
		name := ""
		if i < len(names) {
			name = names[i]
		}
		f := os.NewFile(uintptr(fd), name)
		if old := files[name]; old != nil || name == "" {
			_ = f.Close()
			continue
		}
		files[name] = f
	}
	return files, nil
}
