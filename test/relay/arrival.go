package relay

import (
	"net"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketBuffer is asked for, for a burst of packets; what overflows is lost beside all counting.
const socketBuffer = 4 << 20

// prepare makes room and has the kernel note when each packet came, so that a delay begins with the packet and not with the moment in which
// a busy machine gets round to reading it.
func prepare(c *net.UDPConn) error {
	_ = c.SetReadBuffer(socketBuffer) // as far as the system lets it
	_ = c.SetWriteBuffer(socketBuffer)
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) }); err != nil {
		return err
	}
	return set
}

// receive reads one packet and tells when it came.
func receive(c *net.UDPConn, b, control []byte) (n int, from netip.AddrPort, came time.Time, err error) {
	n, size, _, from, err := c.ReadMsgUDPAddrPort(b, control)
	if err != nil {
		return 0, from, time.Time{}, err
	}
	return n, from, time.Now().Add(-age(control[:size])), nil
}

// age is how long ago a packet came, 0 where the kernel does not say. The clock of the wall may have been set meanwhile.
func age(control []byte) time.Duration {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SO_TIMESTAMPNS || len(m.Data) < int(unsafe.Sizeof(unix.Timespec{})) {
			continue
		}
		stamp := *(*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
		return min(max(time.Since(time.Unix(stamp.Unix())), 0), MaxDelay)
	}
	return 0
}
