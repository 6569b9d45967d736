package libsrt

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"bytes"
	"errors"
	"time"
	"unsafe"

	"github.com/haivision/srtgo"
	"golang.org/x/sys/unix"
)

// Listener waits for the one caller that a connected UDP socket belongs to.
type Listener struct {
	socket *srtgo.SrtSocket // its finalizer closes it, so that it must stay reachable
	gate   *C.brume_gate    // never freed: libsrt's threads may hold it
	epoll  C.int
}

// Listen takes over a connected UDP socket: fd is libsrt's from now on, also after an error. Nothing that arrives
// before Listen returns is answered, so that whoever made the socket keeps its queue empty, and the
// caller is made to repeat itself after it; see Knock.
//
// One handshake is let in, that of the first caller with this stream id, whether it knows the passphrase or not: the peer's port may have
// several SRT sockets. nil stands for any.
func Listen(fd int, streamID []byte, o Options) (*Listener, error) {
	s, err := newSocket(o)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	l := &Listener{socket: s, gate: (*C.brume_gate)(C.calloc(1, C.sizeof_brume_gate))}
	if streamID != nil {
		l.gate.named = 1
		id, _, _ := bytes.Cut(streamID, []byte{0}) // libsrt gives it out as a string of C
		for i, b := range id[:min(len(id), len(l.gate.id)-1)] {
			l.gate.id[i] = C.char(b)
		}
	}
	var code C.int
	if C.brume_listen(C.SRTSOCKET(s.GetSocket()), C.int(fd), l.gate, &l.epoll, &code) != 0 {
		s.Close()
		return nil, failure("listen on a given socket", code)
	}
	return l, nil
}

// Knock lets libsrt believe that the peer has sent this datagram, 64 bytes at most, and answer it. It is for the time
// before the caller is accepted, and for the process's newest listener. stale is the cookie that the caller concluded its
// handshake with before.
func (l *Listener) Knock(datagram []byte, stale uint32) {
	C.brume_knock((*C.char)(unsafe.Pointer(&datagram[0])), C.size_t(len(datagram)), C.uint32_t(stale))
}

// Repeats counts the handshakes that came with the stale cookie of Knock: the answer has not reached the caller.
func (l *Listener) Repeats() int { return int(C.brume_knock_repeats()) }

// Accept waits for the caller, up to a time of which milliseconds count. It returns nil if nobody came. Whoever else
// comes is refused, but the listener answers on: a caller that lost the last reply of its handshake asks again.
func (l *Listener) Accept(wait time.Duration) (*Conn, error) {
	var code C.int
	s := C.brume_accept(C.SRTSOCKET(l.socket.GetSocket()), l.epoll, C.int(wait.Milliseconds()), &code)
	switch {
	case s < 0:
		return nil, failure("accept", code)
	case s == 0:
		return nil, nil
	}
	C.brume_knock_shut()
	return newConn(s, nil)
}

// Handshakes counts the callers that were let in when they finished their side of the handshake, 1 at most. One that is not
// then accepted failed libsrt's own checks: its passphrase, its version, its packet filter.
func (l *Listener) Handshakes() int { return int(C.brume_gate_load(&l.gate.handshakes)) }

// Rejected is the code with which libsrt rejected the last caller, 0 if it rejected none: 1000 and one of its
// reasons (SRT_REJ_BADSECRET, ...). It is read from libsrt's log, since a listener is told nowhere else; a
// libsrt with another wording leaves it 0, and Handshakes tells that somebody failed.
func (l *Listener) Rejected() int { return int(C.brume_log_rejected()) }

// The codes of Rejected that are told apart.
const (
	RejectedBadSecret = 1000 + C.SRT_REJ_BADSECRET // wrong passphrase
	RejectedUnsecure  = 1000 + C.SRT_REJ_UNSECURE  // one side has a passphrase, the other has none
	RejectedTimeout   = 1000 + C.SRT_REJ_TIMEOUT   // no answer
	RejectedUnknown   = 1000 + C.SRT_REJ_UNKNOWN   // libsrt does not say
)

// RejectText says what a code means.
func RejectText(code int) string {
	if code >= 1000 && code < 1000+C.SRT_REJ_E_SIZE {
		code -= 1000
	}
	return C.GoString(C.srt_rejectreason_str(C.int(code)))
}

// Refused counts the callers from the same address and port that were not let in. One that comes after the accepted one
// may be the same, which has lost its connection and tries anew.
func (l *Listener) Refused() int { return int(C.brume_gate_load(&l.gate.refused)) }

// Close closes the listener and the socket that it took over, once its connection is closed too.
func (l *Listener) Close() {
	if l.epoll >= 0 {
		C.srt_epoll_release(l.epoll)
		l.epoll = -1
	}
	l.socket.Close()
}

// Connect takes over a UDP socket that is connected to a listener, or to another caller for a rendezvous, and starts to
// call it: the connection is made when State says so. fd is libsrt's from now on, also after an error.
func Connect(fd int, o Options) (*Conn, error) {
	s, err := newSocket(o)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	var code C.int
	if C.brume_connect(C.SRTSOCKET(s.GetSocket()), C.int(fd), &code) != 0 {
		s.Close()
		return nil, failure("connect", code)
	}
	return newConn(C.SRTSOCKET(s.GetSocket()), s)
}
