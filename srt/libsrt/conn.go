package libsrt

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"brume/srt"

	"github.com/haivision/srtgo"
)

// MaxPayload is the size of the largest message of a live connection, in bytes: an Ethernet frame without the
// headers of IP, UDP and SRT (SRT_LIVE_MAX_PLSIZE).
const MaxPayload = 1456

// Message is one message of a Batch.
type Message struct {
	Source   time.Duration // when its sender took it, on libsrt's monotonic clock
	Length   int           // bytes
	Sequence int32         // of its packet
}

// Batch is memory for Conn.Read, made once and used again.
type Batch struct {
	buf     []byte
	records []C.brume_record
	n       int
	used    int
}

// NewBatch makes room for this many messages of the largest size. Pages that are never
// filled take no memory.
func NewBatch(messages int) *Batch {
	return &Batch{buf: make([]byte, messages*MaxPayload), records: make([]C.brume_record, messages)}
}

// Len is the number of messages that were read.
func (b *Batch) Len() int { return b.n }

// Message describes the i-th message.
func (b *Batch) Message(i int) Message {
	r := &b.records[i]
	return Message{
		Source:   time.Duration(r.source_time) * time.Microsecond,
		Length:   int(r.length),
		Sequence: int32(r.sequence),
	}
}

// Bytes are all messages that were read, one behind the other, until the next Read.
func (b *Batch) Bytes() []byte { return b.buf[:b.used] }

// full tells that there may be more to read at once.
func (b *Batch) full() bool { return b.n == len(b.records) || len(b.buf)-b.used < MaxPayload }

// Conn is an SRT connection. Read and Send are each for one goroutine; the others may be
// called from any.
type Conn struct {
	socket C.SRTSOCKET
	owner  *srtgo.SrtSocket // of a caller; nil for an accepted socket, which srtgo can't wrap
	epoll  C.int

	lost      time.Time   // when Read first found it so
	connected atomic.Bool // a caller once was

	mu     sync.Mutex
	closed bool
	total  srt.StatsCount // of all intervals
}

func newConn(s C.SRTSOCKET, owner *srtgo.SrtSocket) (*Conn, error) {
	c := &Conn{socket: s, owner: owner}
	var code C.int
	if c.epoll = C.brume_watch(s, &code); c.epoll < 0 {
		c.Close()
		return nil, failure("watch the connection", code)
	}
	return c, nil
}

// Read reads a batch in one call into C: it waits up to wait for a first message if there is none, and
// lets messages gather for the time of gather (microseconds count), 0 for not at all. It returns without an error and with an empty
// batch when none came. What a peer sent before it closed the connection is read to its end. After a full batch the next call does not gather, so that a fast sender is kept up with.
func (c *Conn) Read(b *Batch, wait, gather time.Duration) error {
	if b.full() {
		gather = 0
	}
	b.n, b.used = 0, 0
	var code C.int
	n := int(C.brume_read(c.socket, c.epoll, C.int(wait.Milliseconds()), C.int(gather.Microseconds()),
		(*C.char)(unsafe.Pointer(&b.buf[0])), C.int(len(b.buf)), MaxPayload, &b.records[0], C.int(len(b.records)), &code))
	runtime.KeepAlive(b)
	if n < 0 {
		if code == C.SRT_ECONNLOST && c.more() {
			return nil
		}
		return failure("read", code)
	}
	b.n = n
	for i := range n {
		b.used += int(b.records[i].length)
	}
	return nil
}

// afterLoss is how much longer than its latency a connection that its peer has closed is read.
const afterLoss = 100 * time.Millisecond

// more tells whether a connection that is lost still holds packets whose time has not come. libsrt calls it lost
// at once, and gives them out when they are due.
func (c *Conn) more() bool {
	if c.isClosed() {
		return false
	}
	if c.lost.IsZero() {
		c.lost = time.Now()
	}
	latency := time.Duration(c.int(C.SRTO_RCVLATENCY)) * time.Millisecond
	if time.Since(c.lost) > latency+afterLoss || c.int(C.SRTO_RCVDATA) == 0 {
		return false
	}
	time.Sleep(time.Millisecond) // the caller may not gather
	return true
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Pace keeps what is sent at once within what a receiver's UDP socket holds.
type Pace struct {
	Messages int           // sent in one go
	Pause    time.Duration // after them
}

// Send cuts p into messages of size bytes, the last one shorter, and sends them in one call into C. It returns the bytes
// that libsrt took, which are whole messages; with ErrFull they are fewer than p has.
func (c *Conn) Send(p []byte, size int, pace Pace) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var code C.int
	n := int(C.brume_send(c.socket, (*C.char)(unsafe.Pointer(&p[0])), C.int(len(p)), C.int(size),
		C.int(pace.Messages), C.int(pace.Pause.Microseconds()), &code))
	switch {
	case n < 0:
		return 0, failure("send", code)
	case n < len(p) && code == C.SRT_EASYNCSND:
		return n, ErrFull
	case n < len(p):
		return n, failure("send", code)
	}
	return n, nil
}

// Unsent is what the peer has not acknowledged yet, in bytes.
func (c *Conn) Unsent() int {
	var blocks, bytes C.size_t
	if C.srt_getsndbuffer(c.socket, &blocks, &bytes) < 0 {
		return 0
	}
	return int(bytes)
}

// State tells how a connection is doing.
type State int

// States.
const (
	Connecting State = iota
	Connected
	Broken // closed by either side, or refused
)

// State asks libsrt.
func (c *Conn) State() State {
	switch C.srt_getsockstate(c.socket) {
	case C.SRTS_CONNECTED:
		c.connected.Store(true)
		return Connected
	case C.SRTS_INIT, C.SRTS_OPENED, C.SRTS_CONNECTING:
		return Connecting
	case C.SRTS_BROKEN:
		// Between the peer's last reply and its being connected libsrt calls a caller broken for a moment.
		if c.owner != nil && !c.connected.Load() && C.srt_getrejectreason(c.socket) == C.SRT_REJ_UNKNOWN {
			return Connecting
		}
	}
	return Broken
}

// RejectReason is the code with which a caller was refused: below 1000 libsrt's own
// (SRT_REJ_...), from 1000 the listener's. Text says what libsrt makes of it.
func (c *Conn) RejectReason() (code int, text string) {
	r := C.srt_getrejectreason(c.socket)
	return int(r), C.GoString(C.srt_rejectreason_str(r))
}

func (c *Conn) int(option C.int) int {
	var v, code C.int
	length := C.int(unsafe.Sizeof(v))
	if C.brume_get(c.socket, option, unsafe.Pointer(&v), &length, &code) != 0 {
		return 0
	}
	return int(v)
}

func (c *Conn) text(option C.int) string {
	var buf [513]byte // a stream id may have 512
	var code C.int
	length := C.int(len(buf))
	if C.brume_get(c.socket, option, unsafe.Pointer(&buf[0]), &length, &code) != 0 || length < 0 || int(length) > len(buf) {
		return ""
	}
	return string(buf[:length])
}

// Negotiated tells what both sides agreed on; Peer stays empty.
func (c *Conn) Negotiated() srt.Connected {
	n := srt.Connected{
		PeerSRT:    versionString(uint32(c.int(C.SRTO_PEERVERSION))),
		LatencyRcv: c.int(C.SRTO_RCVLATENCY),
		LatencySnd: c.int(C.SRTO_PEERLATENCY),
		Filter:     c.text(C.SRTO_PACKETFILTER),
		Payload:    c.int(C.SRTO_PAYLOADSIZE),
	}
	if c.int(C.SRTO_RCVKMSTATE) == C.SRT_KM_S_SECURED || c.int(C.SRTO_SNDKMSTATE) == C.SRT_KM_S_SECURED {
		n.KeyLength = c.int(C.SRTO_PBKEYLEN)
	}
	return n
}

// StreamID is what the caller sent.
func (c *Conn) StreamID() string { return c.text(C.SRTO_STREAMID) }

// Close tells the peer and ends the connection; a Read or Send that runs returns ErrLost. What was not
// acknowledged is lost. It may be called twice.
func (c *Conn) Close() {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if closed {
		return
	}
	if c.owner != nil {
		c.owner.Close()
	} else {
		C.srt_close(c.socket)
	}
}

// String names the connection by libsrt's number.
func (c *Conn) String() string { return fmt.Sprintf("srt socket %d", int(c.socket)) }
