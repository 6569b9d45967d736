package guardian

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// keeper keeps descriptors by name where they outlive this process. Neither method waits.
type keeper interface {
	keep(name string, f *os.File)
	forget(name string)
}

// supervisor is systemd, by its notification protocol (sd_notify(3)): it keeps the descriptors that a service
// gives it, and hands them to the service's next process (sd_listen_fds(3)).
type supervisor struct {
	fd    int
	log   *slog.Logger
	queue chan notice
	done  chan struct{}
}

// notice is one datagram. The file is its own.
type notice struct {
	text string
	file *os.File
}

const (
	// storeVariable is the number of descriptors that systemd keeps for a service. It is set by systemd 254 and
	// later, and by the unit file for the ones before.
	storeVariable = "FDSTORE"
	// noticeTime bounds how long a datagram waits for a systemd that does not read.
	noticeTime = 5 * time.Second
	// noticeQueue is room for what a burst of callers changes.
	noticeQueue = 4096
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
	s := &supervisor{fd: fd, log: log, queue: make(chan notice, noticeQueue), done: make(chan struct{})}
	go s.run()
	return s, nil
}

// keeps tells whether the service has a descriptor store.
func keeps(env []string) bool {
	n, err := strconv.Atoi(lookup(env, storeVariable))
	return err == nil && n > 0
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
var ownVariables = []string{"NOTIFY_SOCKET", storeVariable, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"}

// withoutOwn returns an environment for another process.
func withoutOwn(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(ownVariables, name)
	})
}

// keep implements keeper.
func (s *supervisor) keep(name string, f *os.File) {
	fd := -1
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(from uintptr) { fd, _ = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0) })
	}
	if err != nil || fd < 0 {
		s.log.Error("can't duplicate a descriptor for systemd", "name", name, "error", err)
		return
	}
	// Not polled: systemd would drop a UDP socket at its first error, and a control socket whose other end is closed but
	// not read to its end.
	s.put(notice{"FDSTORE=1\nFDPOLL=0\nFDNAME=" + name, os.NewFile(uintptr(fd), name)})
}

// forget implements keeper.
func (s *supervisor) forget(name string) { s.put(notice{text: "FDSTOREREMOVE=1\nFDNAME=" + name}) }

// tell sends a state, such as READY=1.
func (s *supervisor) tell(state string) { s.put(notice{text: state}) }

func (s *supervisor) put(n notice) {
	select {
	case s.queue <- n:
	default:
		// What is lost here would not survive this process; everything else goes on.
		s.log.Error("systemd does not read; it does not know of all descriptors any more")
		closeAll([]*os.File{n.file})
	}
}

// run sends what is queued, in order.
func (s *supervisor) run() {
	defer close(s.done)
	for n := range s.queue {
		if err := s.send(n); err != nil {
			s.log.Error("systemd did not take a notice", "error", err)
		}
	}
}

func (s *supervisor) send(n notice) error {
	var rights []byte
	if n.file != nil {
		defer n.file.Close()
		rights = unix.UnixRights(int(n.file.Fd()))
	}
	err := unix.Sendmsg(s.fd, []byte(n.text), rights, nil, unix.MSG_NOSIGNAL)
	for err == unix.EINTR {
		err = unix.Sendmsg(s.fd, []byte(n.text), rights, nil, unix.MSG_NOSIGNAL)
	}
	return err
}

// close sends what is queued, and ends.
func (s *supervisor) close() {
	close(s.queue)
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
