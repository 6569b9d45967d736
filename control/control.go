// Package control is the socket between a process and the one that started it:
// SOCK_SEQPACKET, one JSON message a packet, descriptors by SCM_RIGHTS.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// MaxSize bounds a message, in bytes.
const MaxSize = 64 << 10

// MaxFiles bounds the descriptors beside one message: a publisher of many programs gets a buffer for each at once.
const MaxFiles = 20

// ChildFD is the descriptor that a started process finds its control socket on.
const ChildFD = 3

// Errors of a control socket.
var (
	// ErrFull means that the other side does not read; the message was dropped.
	ErrFull = errors.New("control socket is full")
	// ErrTooLarge means that a message is over MaxSize.
	ErrTooLarge = errors.New("control message is too large")
	// ErrMalformed means that a packet was no message. The socket is still good.
	ErrMalformed = errors.New("malformed control message")
)

// Message is one packet of a control socket.
type Message struct {
	Type string          `json:"type"`
	Body json.RawMessage `json:"body,omitempty"`
}

// Decode reads the body into v.
func (m *Message) Decode(v any) error {
	if err := json.Unmarshal(m.Body, v); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, m.Type, err)
	}
	return nil
}

// Conn is one end of a control socket. Any goroutine may send; one receives.
type Conn struct {
	file  *os.File
	raw   syscall.RawConn
	files bool
}

// buffers are shared by all sockets of a process, since most of them are idle.
var buffers = sync.Pool{New: func() any { return new([MaxSize]byte) }}

// Pair makes a control socket. The first end is for the process that stays, the second for
// the one that is started; both are close-on-exec.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make control socket: %w", err)
	}
	ours, err := New(os.NewFile(uintptr(fds[0]), "control"))
	if err != nil {
		_ = unix.Close(fds[1])
		return nil, nil, err
	}
	return ours, os.NewFile(uintptr(fds[1]), "control"), nil
}

// New takes over a file that is one end of a control socket.
func New(file *os.File) (*Conn, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	return &Conn{file: file, raw: raw}, nil
}

// Child opens the control socket that this process was started with, and trusts
// whoever started it to send descriptors.
func Child() (*Conn, error) {
	if err := unix.SetNonblock(ChildFD, true); err != nil {
		return nil, fmt.Errorf("no control socket on descriptor %d; this program is started by brume serve: %w", ChildFD, err)
	}
	unix.CloseOnExec(ChildFD)
	c, err := New(os.NewFile(ChildFD, "control"))
	if err != nil {
		return nil, err
	}
	c.AcceptFiles()
	return c, nil
}

// AcceptFiles lets Recv return descriptors. Without it the kernel discards them.
func (c *Conn) AcceptFiles() { c.files = true }

// File is the socket itself, for handing it on.
func (c *Conn) File() *os.File { return c.file }

// Close closes the socket. A Recv that waits returns os.ErrClosed.
func (c *Conn) Close() error { return c.file.Close() }

// SetReadDeadline bounds how long Recv waits; the zero time means forever.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }

// Send writes a message and never waits: ErrFull means that it was dropped.
// The files stay the caller's.
func (c *Conn) Send(kind string, body any, files ...*os.File) error {
	packet, rights, err := encode(kind, body, files)
	if err != nil {
		return err
	}
	var sendErr error
	err = c.raw.Control(func(fd uintptr) { sendErr = send(fd, packet, rights) })
	return sendResult(kind, err, sendErr)
}

// SendWithin is Send that waits up to timeout for room. It is for messages that must not be
// lost, to a process that is trusted to read.
func (c *Conn) SendWithin(timeout time.Duration, kind string, body any, files ...*os.File) error {
	packet, rights, err := encode(kind, body, files)
	if err != nil {
		return err
	}
	if err := c.file.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	var sendErr error
	err = c.raw.Write(func(fd uintptr) bool {
		sendErr = send(fd, packet, rights)
		return sendErr != unix.EAGAIN
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrFull
	}
	return sendResult(kind, err, sendErr)
}

func encode(kind string, body any, files []*os.File) (packet, rights []byte, err error) {
	m := Message{Type: kind}
	if body != nil {
		if m.Body, err = json.Marshal(body); err != nil {
			return nil, nil, fmt.Errorf("encode control message %s: %w", kind, err)
		}
	}
	if packet, err = json.Marshal(m); err != nil {
		return nil, nil, fmt.Errorf("encode control message %s: %w", kind, err)
	}
	if len(packet) > MaxSize {
		return nil, nil, fmt.Errorf("%w: %s has %d bytes", ErrTooLarge, kind, len(packet))
	}
	if len(files) == 0 {
		return packet, nil, nil
	}
	fds := make([]int, len(files))
	for i, f := range files {
		if fds[i], err = Descriptor(f); err != nil {
			return nil, nil, fmt.Errorf("send control message %s: %w", kind, err)
		}
	}
	return packet, unix.UnixRights(fds...), nil
}

// send sends a packet and its rights. Without rights it writes: sendmsg, which can address a socket to anybody, is
// not among the calls of a process that has nothing to hand on. The socket does not block, and the Go runtime ignores
// the SIGPIPE that a write may cause.
func send(fd uintptr, packet, rights []byte) error {
	for {
		var err error
		if len(rights) == 0 {
			_, err = unix.Write(int(fd), packet)
		} else {
			err = unix.Sendmsg(int(fd), packet, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		}
		if err != unix.EINTR {
			return err
		}
	}
}

func sendResult(kind string, err, sendErr error) error {
	switch {
	case err != nil:
		return err
	case sendErr == unix.EAGAIN || sendErr == unix.ENOBUFS:
		return ErrFull
	case sendErr != nil:
		return fmt.Errorf("send control message %s: %w", kind, sendErr)
	}
	return nil
}

// Recv waits for a message. It returns io.EOF when the other end is gone, and ErrMalformed for
// a packet that is no message, after which it may be called again. The files are the caller's to close.
func (c *Conn) Recv() (Message, []*os.File, error) {
	var oob []byte
	if c.files {
		oob = make([]byte, unix.CmsgSpace(4*MaxFiles))
	}
	var n, oobn, flags int
	var recvErr error
	var buf *[MaxSize]byte
	err := c.raw.Read(func(fd uintptr) bool {
		buf = buffers.Get().(*[MaxSize]byte)
		for {
			n, oobn, flags, _, recvErr = unix.Recvmsg(int(fd), buf[:], oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
			if recvErr != unix.EINTR {
				break
			}
		}
		if recvErr == unix.EAGAIN {
			buffers.Put(buf)
			buf = nil
			return false
		}
		return true
	})
	if buf != nil {
		defer buffers.Put(buf)
	}
	if err != nil {
		return Message{}, nil, err
	}
	if recvErr == unix.ECONNRESET {
		return Message{}, nil, io.EOF
	}
	if recvErr != nil {
		return Message{}, nil, fmt.Errorf("receive control message: %w", recvErr)
	}
	files := parseFiles(oob[:oobn])
	if n == 0 {
		closeAll(files)
		return Message{}, nil, io.EOF
	}
	if flags&unix.MSG_TRUNC != 0 {
		closeAll(files)
		return Message{}, nil, fmt.Errorf("%w: over %d bytes", ErrMalformed, MaxSize)
	}
	if c.files && flags&unix.MSG_CTRUNC != 0 {
		closeAll(files)
		return Message{}, nil, fmt.Errorf("%w: descriptors are missing; is the limit on open files too low?", ErrMalformed)
	}
	m, err := Parse(buf[:n])
	if err != nil {
		closeAll(files)
		return Message{}, nil, err
	}
	return m, files, nil
}

// Parse reads one packet.
func Parse(packet []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(packet, &m); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if m.Type == "" || len(m.Type) > 32 {
		return Message{}, fmt.Errorf("%w: no type", ErrMalformed)
	}
	return m, nil
}

// Descriptor is a file's number. Unlike File.Fd it leaves the file's mode alone; it is
// valid while the file is open.
func Descriptor(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	n := -1
	if err := raw.Control(func(fd uintptr) { n = int(fd) }); err != nil {
		return -1, err
	}
	return n, nil
}

func parseFiles(oob []byte) []*os.File {
	if len(oob) == 0 {
		return nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
