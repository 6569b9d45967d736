package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"brume/buffer"
	"brume/config"
	"brume/control"
	"brume/media"
	"brume/outputs/httpd"
	"brume/srt"
)

// The test binary is its own fakes: a link to it that is named as one of the programs is what that program should be.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "brume-srt":
		unix.Exit(fakeConnection()) // the race detector would take a second for its own end
	case "brume":
		os.Exit(fakeBrume(os.Args[1]))
	}
	os.Exit(m.Run())
}

// Streams whose fake connection processes misbehave.
const (
	streamCrash = "crash" // says something on standard error and ends with status 3 once it is connected
	streamDeaf  = "deaf"  // does not obey
	streamSpin  = "spin"  // keeps a processor busy without media
	streamHung  = "hung"  // says nothing any more, and hears nothing
	streamCrowd = "crowd" // has many threads
)

// Environment of a fake controller.
const (
	envPrograms = "FAKE_PROGRAMS" // folder
	envRuntime  = "FAKE_RUNTIME"  // folder
)

func fakeBrume(name string) int {
	ctl, err := control.Child()
	if err != nil {
		return 1
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	switch role(name) {
	case roleHTTP:
		err = httpd.Run(context.Background(), ctl, log, httpd.Options{})
	case roleListener:
		err = (&fakeListener{ctl: ctl, callers: map[uint64]netip.AddrPort{}}).run()
	default:
		c := testController(os.Getenv(envPrograms), os.Getenv(envRuntime))
		err = c.Run(context.Background(), ctl, log)
	}
	if err != nil {
		log.Error("fake "+name, "error", err)
		return 1
	}
	return 0
}

// testController has the fakes for programs, makes its runtime directory in another one, and listens on free ports.
func testController(programs, runtime string) *Controller {
	cfg := config.Default()
	cfg.SRT.Address, cfg.HTTP.Address, cfg.API.Address = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.RuntimeDir = config.Path(filepath.Join(runtime, "run"))
	cfg.SRT.Pool = 2
	cfg.Buffer.Size = 1 << 20
	return &Controller{Config: cfg, Program: filepath.Join(programs, "brume"), Helper: filepath.Join(programs, "brume-srt")}
}

// fakeListener takes a datagram, a srt.Request in JSON, for a caller, and answers it with the verdict. For an SRT socket
// its callers get a duplicate of the port.
type fakeListener struct {
	ctl     *control.Conn
	socket  *os.File
	conn    net.PacketConn
	callers map[uint64]netip.AddrPort
}

func (l *fakeListener) run() error {
	if err := l.ctl.Send(srt.MsgHello, srt.Hello{}); err != nil {
		return err
	}
	go func() {
		for range time.Tick(time.Second) {
			_ = l.ctl.Send(srt.MsgListenerStats, srt.ListenerStats{})
		}
	}()
	for {
		m, files, err := l.ctl.Recv()
		if err != nil {
			return nil // the controller and its guardian are gone
		}
		switch m.Type {
		case srt.MsgSocket:
			l.socket = files[0]
			if l.conn, err = net.FilePacketConn(files[0]); err != nil {
				return err
			}
			go l.receive()
		case srt.MsgVerdict:
			var v srt.Verdict
			if err := m.Decode(&v); err != nil {
				return err
			}
			l.judge(&v, files)
		}
	}
}

func (l *fakeListener) receive() {
	b := make([]byte, 2048)
	for {
		n, from, err := l.conn.ReadFrom(b)
		if err != nil {
			return
		}
		var r srt.Request
		if json.Unmarshal(b[:n], &r) == nil {
			// Like the true one, it counts for itself; the caller learns its number with the verdict.
			r.ID = uint64(netip.MustParseAddrPort(from.String()).Port())
			r.Peer = from.String()
			_ = l.ctl.Send(srt.MsgRequest, r)
		}
	}
}

func (l *fakeListener) judge(v *srt.Verdict, files []*os.File) {
	if len(files) == 1 {
		if child, err := control.New(files[0]); err == nil {
			_ = child.Send(srt.MsgHandover, srt.Handover{}, l.socket)
			_ = child.Close()
		}
	}
	b, _ := json.Marshal(v)
	_, _ = l.conn.WriteTo(b, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(v.ID)})
}

// fakePeer is a connection process without libsrt. A publisher's writes a unit every 10 ms.
type fakePeer struct {
	ctl       *control.Conn
	configure *srt.Configure
	handed    chan bool
	caller    bool
	writer    *buffer.Writer
	connected bool
	units     int64
}

func fakeConnection() int {
	if len(os.Args) == 2 {
		fmt.Println(`{"libsrt":"1.2.3"}`)
		return 0
	}
	for fd := range 2 {
		var stat unix.Stat_t
		if unix.Fstat(fd, &stat) != nil || stat.Rdev != unix.Mkdev(1, 3) {
			fmt.Fprintln(os.Stderr, "descriptor", fd, "is not the null device")
			return 4
		}
	}
	ctl, err := control.Child()
	if err != nil {
		return 1
	}
	handover, err := control.New(os.NewFile(control.ChildFD+1, "handover"))
	if err != nil {
		return 1
	}
	p := &fakePeer{ctl: ctl, handed: make(chan bool, 1)}
	go func() {
		if m, _, err := handover.Recv(); err == nil && m.Type == srt.MsgHandover {
			p.handed <- true
		}
	}()
	return p.run()
}

func (p *fakePeer) run() int {
	p.hello()
	messages := make(chan control.Message)
	files := make(chan []*os.File, 1)
	go func() {
		defer close(messages)
		for {
			m, f, err := p.ctl.Recv()
			if err != nil {
				return
			}
			files <- f
			messages <- m
		}
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	report := time.NewTicker(time.Second)
	defer report.Stop()
	for {
		select {
		case m, ok := <-messages:
			if !ok {
				return 0
			}
			if end := p.hear(&m, <-files); end {
				return 0
			}
		case <-p.handed:
			p.caller = true
		case now := <-tick.C:
			p.write(now)
		case <-report.C:
			if p.connected {
				_ = p.ctl.Send(srt.MsgStats, srt.ConnStats{Units: uint64(p.units), Bytes: uint64(p.units)})
			}
		}
		if p.caller && p.configure != nil && !p.connected {
			p.connected = true
			_ = p.ctl.Send(srt.MsgConnected, srt.Connected{PeerSRT: "1.5.1", LatencyRcv: 120})
			if p.configure.Role == "" {
				_ = p.ctl.Send(srt.MsgDirection, srt.Direction{Role: media.Publish})
			}
			switch p.configure.Stream {
			case streamCrash:
				fmt.Fprintln(os.Stderr, "it hurts")
				return 3
			case streamSpin:
				go func() {
					for n := new(atomic.Uint64); ; {
						n.Add(1)
					}
				}()
			case streamHung:
				select {}
			case streamCrowd:
				crowd()
			}
		}
	}
}

func (p *fakePeer) hello() { _ = p.ctl.Send(srt.MsgHello, srt.Hello{Sandbox: []string{"fake"}}) }

func (p *fakePeer) hear(m *control.Message, files []*os.File) (end bool) {
	var role media.Role
	switch m.Type {
	case srt.MsgConfigure:
		p.configure = &srt.Configure{}
		_ = m.Decode(p.configure)
		role = p.configure.Role
	case srt.MsgBuffer:
		role = media.Publish
	case srt.MsgReport:
		p.hello()
		if p.connected {
			_ = p.ctl.Send(srt.MsgConnected, srt.Connected{PeerSRT: "1.5.1"})
		}
	case srt.MsgClose:
		if p.configure.Stream == streamDeaf {
			return false
		}
		_ = p.ctl.Send(srt.MsgFailed, srt.Failed{Reason: srt.FailClosed})
		return true
	}
	if role == media.Publish && len(files) == 1 && p.writer == nil {
		p.writer, _ = buffer.OpenWriter(files[0])
	}
	return false
}

func (p *fakePeer) write(now time.Time) {
	if p.writer == nil || !p.connected || p.configure.Stream == streamSpin {
		return
	}
	p.units++
	writeUnit(p.writer, now, p.units)
}

// crowd has more threads than a connection process may have.
func crowd() {
	for range maxThreads {
		go func() {
			runtime.LockOSThread()
			time.Sleep(time.Hour)
		}()
	}
}

// writeUnit writes the nth unit of an audio stream, and begins an epoch with the first.
func writeUnit(w *buffer.Writer, now time.Time, n int64) {
	w.SetTime(now)
	if n == 1 {
		_ = w.BeginEpoch([]media.Track{{Codec: media.AAC, PID: 257, Config: []byte{0x11, 0x90}}})
	}
	_ = w.WritePacket(&media.Packet{DTS: n * 900, PTS: n * 900, RandomAccess: true, Payload: []byte("unit")})
	w.Commit()
}
