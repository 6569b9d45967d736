package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
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

// selftest prints a srt.SelfTest and returns the exit status: whether this libsrt, in its sandbox, expects the
// cookie that is predicted for a handed-over caller.
func selftest(w io.Writer) int {
	err := checkCookie()
	result := srt.SelfTest{OK: err == nil, LibSRT: libsrt.Version(), Package: packageVersion}
	if err != nil {
		result.Detail = err.Error()
	}
	if err := json.NewEncoder(w).Encode(result); err != nil || !result.OK {
		return exitInternal
	}
	return exitOrderly
}

// checkCookie plays a caller against libsrt over loopback.
func checkCookie() error {
	own, caller, address, err := loopback()
	if err != nil {
		return fmt.Errorf("make loopback sockets: %w", err)
	}
	if _, err := sandbox.Apply(sandbox.Connection, 0); err != nil {
		return err
	}
	if err := libsrt.Startup(libsrt.LogWarning); err != nil {
		return err
	}
	l, err := libsrt.Listen(own, libsrt.Options{})
	if err != nil {
		return err
	}
	defer l.Close()

	// draft-sharabayko-srt 4.3.1.1: a caller begins with version 4 and the extension field 2.
	request := srt.Handshake{
		Version: 4, Extension: 2, ISN: 1, MTU: 1500, FlowWindow: 8192, Type: srt.TypeInduction, SocketID: 0x2b1e5,
	}
	if _, err := unix.Write(caller, request.Marshal()); err != nil {
		return err
	}
	reply := make([]byte, 1500)
	n, err := unix.Read(caller, reply)
	if err != nil {
		return fmt.Errorf("wait for libsrt's reply: %w", err)
	}
	var h srt.Handshake
	if err := h.Unmarshal(reply[:n]); err != nil {
		return err
	}
	if want := srt.LibCookie(address); h.Type != srt.TypeInduction || h.Cookie != want {
		return fmt.Errorf("libsrt %s makes the cookie %08x, not %08x", libsrt.Version(), h.Cookie, want)
	}
	return nil
}

// loopback makes a UDP socket for libsrt and its caller's, connected to each other, and tells
// the caller's address.
func loopback() (own, caller int, address netip.AddrPort, err error) {
	var fds [2]int
	var names [2]unix.Sockaddr
	for i := range fds {
		if fds[i], err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return -1, -1, address, err
		}
		if err = unix.Bind(fds[i], &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return -1, -1, address, err
		}
		if names[i], err = unix.Getsockname(fds[i]); err != nil {
			return -1, -1, address, err
		}
	}
	timeout := unix.NsecToTimeval(int64(selfTestWait))
	err = errors.Join(unix.Connect(fds[0], names[1]), unix.Connect(fds[1], names[0]),
		unix.SetsockoptTimeval(fds[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	if v4, ok := names[1].(*unix.SockaddrInet4); ok {
		address = netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), uint16(v4.Port))
	}
	return fds[0], fds[1], address, err
}
