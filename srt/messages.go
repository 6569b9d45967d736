package srt

import (
	"time"

	"brume/media"
	"brume/media/ts"
)

// Types of the messages between the controller, the listener and the connection processes.
const (
	// Listener to controller.
	MsgRequest       = "request"        // Request: may this caller come in?
	MsgListenerStats = "listener-stats" // ListenerStats, once a second
	MsgNoHandover    = "no-handover"    // NoHandover: a caller that was let in could not be handed over
	MsgRefused       = "refused"        // Refused: callers that the listener has refused by itself, once a second for each reason

	// Controller to listener.
	MsgSocket  = "socket"  // with the UDP sockets of the port
	MsgLimits  = "limits"  // Limits: what a caller's address may use up
	MsgVerdict = "verdict" // Verdict: the answer to a Request, with the hand-over socket of the child that takes the caller
	MsgGone    = "gone"    // Gone: a child died without a farewell; tell its peer

	// Listener to connection process, on the hand-over socket.
	MsgHandover = "handover" // Handover, with a connected UDP socket

	// Controller to connection process.
	MsgConfigure = "configure" // Configure, with the socket where the child calls, and the buffer of a player that is known to be one
	MsgBuffer    = "buffer"    // Buffer, with the buffer, once the connection is made and its role is known
	MsgClose     = "close"     // end the connection in an orderly way
	MsgReport    = "report"    // ask for a Hello and Stats at once (a new controller does)

	// Connection process to controller.
	MsgHello     = "hello"     // Hello: started and in its sandbox, or asked to report
	MsgConnected = "connected" // Connected: libsrt has accepted the caller
	MsgDirection = "direction" // Direction: the role showed itself
	MsgStats     = "stats"     // ConnStats, once a second while it is connected
	MsgAlive     = "alive"     // once a second while it calls or waits for its caller
	MsgFailed    = "failed"    // Failed: why it ends
	MsgPrograms  = "programs"  // Programs: what the transport stream of a publisher holds
	MsgLeftOut   = "left-out"  // LeftOut: what of a program that is taken is not carried
)

// Request asks the controller about a caller whose address is proven.
type Request struct {
	ID         uint64 `json:"id"`        // of this request, chosen by the listener
	Peer       string `json:"peer"`      // address:port of the caller
	Local      string `json:"local"`     // address:port that it called
	SocketID   uint32 `json:"socket_id"` // the caller's SRT socket
	StreamID   string `json:"stream_id"` // as sent, possibly empty; hostile
	PeerSRT    string `json:"peer_srt"`  // the caller's libsrt version, "1.5.1"
	Encrypted  bool   `json:"encrypted"` // the caller sent key material
	KeyLength  int    `json:"key_length,omitempty"`
	LatencyRcv int    `json:"latency_rcv"` // ms that the caller wants as a receiver
	LatencySnd int    `json:"latency_snd"` // ms that the caller proposes for its peer
}

// Verdict answers a Request.
type Verdict struct {
	ID     uint64 `json:"id"`               // of the Request
	Reject int    `json:"reject,omitempty"` // SRT rejection code (1400 and up), 0 accepts
	Reason string `json:"reason,omitempty"` // for the log
	Child  uint64 `json:"child,omitempty"`  // the idle child that takes it, whose hand-over socket comes along
}

// NoHandover names the child that was to get a caller and did not.
type NoHandover struct {
	Child uint64 `json:"child"`
}

// Refused tells of callers that ask for what no listener serves.
type Refused struct {
	Peer     string `json:"peer"`      // of the last one
	Local    string `json:"local"`     // that it called
	StreamID string `json:"stream_id"` // that it sent; hostile
	Code     int    `json:"code"`      // SRT rejection code
	Reason   string `json:"reason"`    // in a sentence
	Times    uint64 `json:"times"`     // how many there were
}

// Limits bound what one address, an IPv4 address or an IPv6 /64, may use up of a port. 0 means no limit.
type Limits struct {
	Handshakes int `json:"handshakes"` // callers that are judged in a second
	Pending    int `json:"pending"`    // callers that wait for a verdict
}

// Gone names the peer of a connection whose process is dead.
type Gone struct {
	Peer     string `json:"peer"`
	Local    string `json:"local"`
	SocketID uint32 `json:"socket_id"`
}

// Handover is what a child needs to know of the caller whose socket it gets.
type Handover struct {
	Peer     string `json:"peer"`
	Local    string `json:"local"`
	SocketID uint32 `json:"socket_id"` // the caller's SRT socket
	ISN      uint32 `json:"isn"`       // the caller's initial sequence number
	Version  uint32 `json:"version"`   // handshake version, 5
	Cookie   uint32 `json:"cookie"`    // that the caller concluded with
	StreamID []byte `json:"stream_id"` // as sent: the handshake of another of the peer's SRT sockets is not this caller's. nil allows any
}

// Configure tells an idle child what its connection is.
type Configure struct {
	Conn       string            `json:"conn"` // the connection's id
	Stream     string            `json:"stream"`
	Role       media.Role        `json:"role"`
	Passphrase string            `json:"passphrase,omitempty"`
	Options    map[string]string `json:"options,omitempty"` // by libsrt's names, in lower case without SRTO_
	DecideMS   int               `json:"decide_ms"`         // silence after which an unknown role is play
	// Mode is caller or rendezvous where the child calls: the first descriptor of the message is then a socket that is
	// connected to the peer.
	Mode     Mode   `json:"mode,omitempty"`
	StreamID string `json:"stream_id,omitempty"` // to ask the peer for
}

// Buffer gives a child its buffer: a publisher when its connection is made, so that a caller has proven its passphrase, and
// whoever did not state its role when it has shown it.
type Buffer struct {
	Role media.Role `json:"role"`
	Feed *Feed      `json:"feed,omitempty"` // of a publisher
}

// Hello reports a connection process.
type Hello struct {
	PID     int      `json:"pid"`
	LibSRT  string   `json:"libsrt"`            // version, "1.5.1"
	Sandbox []string `json:"sandbox,omitempty"` // what is in force: "landlock", "seccomp", "rlimits"
	Missing []string `json:"missing,omitempty"` // what the kernel lacks
}

// Connected tells what was negotiated.
type Connected struct {
	Peer       string    `json:"peer"`
	PeerSRT    string    `json:"peer_srt"`     // the peer's libsrt version
	LatencyRcv int       `json:"latency_rcv"`  // ms, in force for what we receive
	LatencySnd int       `json:"latency_snd"`  // ms, in force for what we send
	KeyLength  int       `json:"key_length"`   // bytes, 0 without encryption
	Filter     string    `json:"filter"`       // packet filter, empty without
	Payload    int       `json:"payload_size"` // most bytes of media in one packet that we send
	Since      time.Time `json:"connected_at"` // when it was accepted
}

// Direction tells the role that a connection without a stated mode has shown.
type Direction struct {
	Role media.Role `json:"role"`
}

// ConnStats is what a connection process counts.
type ConnStats struct {
	SRT       Stats     `json:"srt"`
	Bytes     uint64    `json:"bytes"`             // payload taken in or sent
	Demux     *ts.Stats `json:"demux,omitempty"`   // of a publisher
	Skipped   uint64    `json:"skipped,omitempty"` // units that a viewer was too slow for
	Units     uint64    `json:"units"`             // access units written to or read from the buffer
	BufferErr uint64    `json:"buffer_errors"`     // entries that the buffer refused or that could not be read

	// Mapped is as Demux, of Feed.Mapped in its order.
	Mapped []ts.Stats `json:"mapped,omitempty"`
	Health *ts.Health `json:"health,omitempty"` // of a publisher's transport stream
}

// Failed tells why a connection process ends.
type Failed struct {
	Reason string `json:"reason"`         // one word for metrics: see the Fail constants
	Detail string `json:"detail"`         // for the log
	Code   int    `json:"code,omitempty"` // SRT rejection code, where there is one
}

// Reasons of Failed.
const (
	FailTimeout    = "timeout"     // the caller never finished its handshake
	FailSecret     = "bad_secret"  // wrong passphrase
	FailUnsecure   = "no_secret"   // one side has a passphrase, the other has none
	FailRejected   = "rejected"    // the peer that was called refused the connection; the code says why
	FailPeer       = "peer_closed" // the peer ended the connection
	FailLost       = "peer_lost"   // the peer fell silent
	FailClosed     = "closed"      // on the controller's word
	FailBuffer     = "buffer"      // the stream buffer is unusable
	FailStreamEnd  = "stream_end"  // the stream that was played has ended
	FailController = "controller"  // controller and guardian are gone
	FailInternal   = "internal"    // anything else; the detail says what
	FailCrash      = "crash"       // it could not tell: the controller says so of a process that died
)

// ListenerStats counts what a listener saw since it began. All are totals.
type ListenerStats struct {
	Packets     uint64            `json:"packets"`
	Inductions  uint64            `json:"inductions"`
	Conclusions uint64            `json:"conclusions"` // with a valid cookie
	BadCookies  uint64            `json:"bad_cookies"` // answered with a fresh induction reply
	Malformed   uint64            `json:"malformed"`   // datagrams that are no handshake, or a broken one
	Duplicates  uint64            `json:"duplicates"`  // repeated conclusions of a caller being served
	Foreign     uint64            `json:"foreign"`     // packets drained from a fresh socket and dispatched again
	Handed      uint64            `json:"handed"`      // callers handed to a child
	Dropped     uint64            `json:"dropped"`     // conclusions dropped since no controller answered
	TooFast     uint64            `json:"too_fast"`    // conclusions dropped over Limits.Handshakes
	TooMany     uint64            `json:"too_many"`    // conclusions dropped over Limits.Pending, or the listener's own bound for all addresses
	Rejected    map[string]uint64 `json:"rejected"`    // by rejection code
}
