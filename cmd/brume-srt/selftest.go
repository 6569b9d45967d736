package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"brume/sandbox"
	"brume/srt"
	"brume/srt/libsrt"

	"golang.org/x/sys/unix"
)

// packageVersion is the version of the distribution's package that libsrt was linked from, set with
// -ldflags "-X main.packageVersion=...": the package carries security fixes under an old libsrt version.
var packageVersion string

// selfTestWait bounds the wait for libsrt's reply.
const selfTestWait = 150 * time.Millisecond

// selftest prints a srt.SelfTest and returns the exit status: whether this libsrt, in its sandbox, accepts a caller that
// is handed over in the middle of its handshake.
func selftest(w io.Writer) int {
	err := tryHandover()
	result := srt.SelfTest{OK: err == nil, LibSRT: libsrt.Version(), Package: packageVersion}
	if err != nil {
		result.Detail = err.Error()
	}
	if err := json.NewEncoder(w).Encode(result); err != nil || !result.OK {
		return exitInternal
	}
	return exitOrderly
}

// tryHandover plays a caller against libsrt over loopback.
func tryHandover() error {
	own, caller, err := loopback()
	if err != nil {
		return fmt.Errorf("make loopback sockets: %w", err)
	}
	if _, err := sandbox.Apply(sandbox.Connection, 0); err != nil {
		return err
	}
	if err := libsrt.Startup(libsrt.LogWarning); err != nil {
		return err
	}
	l, err := libsrt.Listen(own, nil, libsrt.Options{})
	if err != nil {
		return err
	}
	defer l.Close()
	const socket, isn = 0x2b1e5, 1
	l.Knock(srt.Knock(&srt.Handover{SocketID: socket, ISN: isn}), 0)
	reply, err := readHandshake(caller)
	if err != nil {
		return fmt.Errorf("libsrt %s does not answer an induction: %w", libsrt.Version(), err)
	}
	if reply.Type != srt.TypeInduction || reply.Dest != socket {
		return fmt.Errorf("libsrt %s answers an induction by a handshake of type %d", libsrt.Version(), reply.Type)
	}
	conclusion := srt.Handshake{
		Version: 5, Extension: 1, ISN: isn, MTU: 1500, FlowWindow: 8192, Type: srt.TypeConclusion, SocketID: socket, Cookie: reply.Cookie,
		Ext: srt.Extensions{HasHSREQ: true, SRTVersion: 0x010501, Flags: 0xbf, LatencyRcv: 120},
	}
	if _, err := unix.Write(caller, conclusion.Marshal()); err != nil {
		return err
	}
	c, err := l.Accept(selfTestWait)
	if err != nil {
		return err
	}
	if c == nil {
		return fmt.Errorf("libsrt %s did not accept a caller that was handed over", libsrt.Version())
	}
	c.Close()
	return nil
}

func readHandshake(fd int) (h srt.Handshake, err error) {
	b := make([]byte, 1500)
	n, err := unix.Read(fd, b)
	if err != nil {
		return h, err
	}
	return h, h.Unmarshal(b[:n])
}

// loopback makes a UDP socket for libsrt and its caller's, connected to each other.
func loopback() (own, caller int, err error) {
	var fds [2]int
	var names [2]unix.Sockaddr
	for i := range fds {
		if fds[i], err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return -1, -1, err
		}
		if err = unix.Bind(fds[i], &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return -1, -1, err
		}
		if names[i], err = unix.Getsockname(fds[i]); err != nil {
			return -1, -1, err
		}
	}
	timeout := unix.NsecToTimeval(int64(selfTestWait))
	err = errors.Join(unix.Connect(fds[0], names[1]), unix.Connect(fds[1], names[0]),
		unix.SetsockoptTimeval(fds[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	return fds[0], fds[1], err
}
