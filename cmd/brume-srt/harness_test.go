package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"brume/buffer"
	"brume/control"
	"brume/media"
	"brume/srt"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// built is the program under test, and clip a transport stream of clipFrames video frames with sound.
var built, clip string

const (
	clipFrames = 90
	clipRate   = 30
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "brume-srt")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		panic(err)
	}
	built = filepath.Join(dir, "brume-srt")
	clip = filepath.Join(dir, "clip.ts")
	for _, c := range [][]string{
		{"go", "build", "-o", built, "."},
		{
			"ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=30", "-f", "lavfi", "-i", "sine",
			"-frames:v", fmt.Sprint(clipFrames), "-shortest", "-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-bf", "2",
			"-pix_fmt", "yuv420p", "-c:a", "aac", "-t", fmt.Sprint(clipFrames / clipRate), "-f", "mpegts", clip,
		},
	} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %v\n%s", c, err, out)
			return 1
		}
	}
	return m.Run()
}

// child is a brume-srt with both its sockets in the hands of the test.
type child struct {
	t        *testing.T
	cmd      *exec.Cmd
	control  *control.Conn
	handover *control.Conn
	stderr   *bytes.Buffer
	exited   chan error

	mu       sync.Mutex
	messages []control.Message
	more     chan struct{} // closed and made anew with each message
}

func spawn(t *testing.T) *child {
	t.Helper()
	ours, theirs, err := control.Pair()
	require.NoError(t, err)
	listener, given, err := control.Pair()
	require.NoError(t, err)
	c := &child{
		t: t, control: ours, handover: listener, stderr: new(bytes.Buffer),
		exited: make(chan error, 1), more: make(chan struct{}),
	}
	c.cmd = exec.Command(built)
	// The C library asks for the number of processors as soon as two threads contend for memory.
	c.cmd.Env = []string{"SECRET=of the server", "GLIBC_TUNABLES=glibc.malloc.arena_test=1"}
	c.cmd.ExtraFiles = []*os.File{theirs, given}
	c.cmd.Stderr = c.stderr
	require.NoError(t, c.cmd.Start())
	_ = theirs.Close()
	_ = given.Close()
	go c.receive()
	go func() { c.exited <- c.cmd.Wait() }()
	t.Cleanup(func() {
		_ = c.control.Close()
		_ = c.handover.Close()
		_ = c.cmd.Process.Kill()
	})
	return c
}

func (c *child) receive() {
	for {
		m, _, err := c.control.Recv()
		if errors.Is(err, control.ErrMalformed) {
			continue
		}
		if err != nil {
			return
		}
		c.mu.Lock()
		c.messages = append(c.messages, m)
		close(c.more)
		c.more = make(chan struct{})
		c.mu.Unlock()
	}
}

// find waits for a message of a type that ok likes.
func (c *child) find(kind string, ok func(m control.Message) bool) control.Message {
	c.t.Helper()
	timeout := time.After(15 * time.Second)
	for seen := 0; ; {
		c.mu.Lock()
		more := c.more
		for ; seen < len(c.messages); seen++ {
			if m := c.messages[seen]; m.Type == kind && ok(m) {
				c.mu.Unlock()
				return m
			}
		}
		all := fmt.Sprint(len(c.messages))
		if seen > 0 {
			all += " last " + c.messages[seen-1].Type + string(c.messages[seen-1].Body)
		}
		c.mu.Unlock()
		select {
		case <-more:
		case <-timeout:
			c.t.Fatalf("no %s came; messages: %s", kind, all)
		}
	}
}

func (c *child) has(kind string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.messages {
		if m.Type == kind {
			return true
		}
	}
	return false
}

func get[T any](c *child, kind string, ok func(T) bool) T {
	c.t.Helper()
	var v T
	c.find(kind, func(m control.Message) bool {
		var got T
		require.NoError(c.t, m.Decode(&got))
		if ok != nil && !ok(got) {
			return false
		}
		v = got
		return true
	})
	return v
}

// exit waits for the process and returns its status.
func (c *child) exit(within time.Duration) int {
	c.t.Helper()
	select {
	case <-c.exited:
		return c.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		c.t.Fatalf("still running after %s", within)
		return -1
	}
}

// port is what the listener does, in short: it speaks to one caller and hands it over.
type port struct {
	t       *testing.T
	socket  *net.UDPConn
	address *net.UDPAddr
}

func listen(t *testing.T, network, address string) *port {
	t.Helper()
	lc := net.ListenConfig{Control: reusePort}
	pc, err := lc.ListenPacket(t.Context(), network, net.JoinHostPort(address, "0"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = pc.Close() })
	socket := pc.(*net.UDPConn)
	return &port{t, socket, socket.LocalAddr().(*net.UDPAddr)}
}

func (p *port) url(query string) string { return "srt://" + p.address.String() + query }

// next waits for a caller that proves its address, and makes the socket for it.
func (p *port) next() (srt.Handover, *os.File) {
	p.t.Helper()
	require.NoError(p.t, p.socket.SetReadDeadline(time.Now().Add(10*time.Second)))
	b := make([]byte, 1500)
	for {
		n, from, err := p.socket.ReadFromUDPAddrPort(b)
		require.NoError(p.t, err)
		if n < 64 || binary.BigEndian.Uint32(b) != 0x80000000 {
			continue
		}
		peer := netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		h := srt.Handover{
			Peer:     numbered(p.t, peer).String(),
			Local:    p.address.String(),
			SocketID: binary.BigEndian.Uint32(b[40:]),
			ISN:      binary.BigEndian.Uint32(b[24:]),
			Version:  5,
			Cookie:   4711,
		}
		if binary.BigEndian.Uint32(b[36:]) == 1 { // INDUCTION
			_, err = p.socket.WriteToUDPAddrPort(inductionReply(&h), from)
			require.NoError(p.t, err)
			continue
		}
		d := net.Dialer{LocalAddr: p.address, Control: reusePort}
		conn, err := d.Dial("udp", peer.String())
		require.NoError(p.t, err)
		defer conn.Close()
		f, err := conn.(*net.UDPConn).File()
		require.NoError(p.t, err)
		return h, f
	}
}

// numbered has the number of a link-local address's interface, as the listener writes it.
func numbered(t *testing.T, a netip.AddrPort) netip.AddrPort {
	if a.Addr().Zone() == "" {
		return a
	}
	i, err := net.InterfaceByName(a.Addr().Zone())
	require.NoError(t, err)
	return netip.AddrPortFrom(a.Addr().WithZone(fmt.Sprint(i.Index)), a.Port())
}

// inductionReply is a listener's first answer: version 5, and a magic number in the extension field (4.3.1.1).
func inductionReply(h *srt.Handover) []byte {
	reply := srt.Handshake{
		Dest: h.SocketID, Version: 5, Extension: 0x4a17, ISN: h.ISN, MTU: 1500, FlowWindow: 8192,
		Type: srt.TypeInduction, SocketID: h.SocketID, Cookie: 4711,
	}
	return reply.Marshal()
}

// configured gives a child its configuration and its buffers, as the controller does.
func (c *child) configured(configure srt.Configure, files ...*os.File) {
	c.t.Helper()
	if configure.Role != media.Publish {
		require.NoError(c.t, c.control.Send(srt.MsgConfigure, configure, files...))
		return
	}
	require.NoError(c.t, c.control.Send(srt.MsgConfigure, configure))
	if len(files) > 0 {
		require.NoError(c.t, c.control.Send(srt.MsgBuffer, srt.Buffer{Role: media.Publish}, files...))
	}
}

// hand gives the next caller to a child, and the child its configuration, before or after.
func (p *port) hand(c *child, configure srt.Configure, files ...*os.File) srt.Handover {
	p.t.Helper()
	h, f := p.next()
	defer f.Close()
	require.NoError(p.t, unix.SetNonblock(descriptor(p.t, f), true)) // as the listener's are
	first := p.address.Port%2 == 0
	if first {
		c.configured(configure, files...)
	}
	require.NoError(p.t, c.handover.Send(srt.MsgHandover, h, f))
	if !first {
		c.configured(configure, files...)
	}
	return h
}

func descriptor(t *testing.T, f *os.File) int {
	fd, err := control.Descriptor(f)
	require.NoError(t, err)
	return fd
}

// run starts a program that ends with the test.
func run(t *testing.T, name string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	p := &program{t: t, out: new(bytes.Buffer), cmd: exec.CommandContext(ctx, name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	// A shell's programs end with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	p.cmd.WaitDelay = 2 * time.Second
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *bytes.Buffer
	err  error
	done chan struct{}
}

func (p *program) wait() error {
	select {
	case <-p.done:
		return p.err
	case <-time.After(30 * time.Second):
		p.t.Fatal("still running: ", p.cmd.Args)
		return nil
	}
}

func newBuffer(t *testing.T) (rw, ro *os.File, reader *buffer.Reader) {
	t.Helper()
	rw, ro, err := buffer.Create(buffer.Options{Stream: "live"})
	require.NoError(t, err)
	reader, err = buffer.OpenReader(ro)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = reader.Close()
		_ = rw.Close()
		_ = ro.Close()
	})
	return rw, ro, reader
}

// publishClip sends the clip in real time.
func publishClip(t *testing.T, url string) *program {
	return run(t, "ffmpeg", "-v", "error", "-re", "-i", clip, "-c", "copy", "-f", "mpegts", url)
}

// publishForever sends the clip over and over.
func publishForever(t *testing.T, url string) *program {
	return run(t, "ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", clip, "-c", "copy", "-f", "mpegts", url)
}

// transmitClip sends the clip with libsrt's own tool, which goes on after the end of its input until it is told to stop.
func transmitClip(t *testing.T, url string) *program {
	pid := filepath.Join(t.TempDir(), "pid")
	return run(t, "sh", "-c", "{ ffmpeg -v error -re -i "+clip+" -c copy -f mpegts -; sleep 2; kill -INT $(cat "+pid+"); } | "+
		"sh -c 'echo $$ >"+pid+"; exec srt-live-transmit -q -a no -c 1316 file://con \"$0\"' '"+url+"' || true")
}

// playTo receives into a file.
func playTo(t *testing.T, url, out string) *program {
	return run(t, "ffmpeg", "-v", "warning", "-i", url, "-map", "0", "-c", "copy", "-f", "mpegts", out)
}

// transmitTo does so with libsrt's own tool.
func transmitTo(t *testing.T, url, out string) *program {
	return run(t, "sh", "-c", "exec srt-live-transmit -q -a no '"+url+"' file://con >"+out)
}
