package api

import (
	"time"

	"brume/media/ts"
	"brume/srt"
)

// ConnectionState is how far a connection has come.
type ConnectionState string

// The states of a connection.
const (
	ConnectionStarting  ConnectionState = "starting"  // handed to its process, handshake not finished
	ConnectionConnected ConnectionState = "connected" // handshake finished
	ConnectionClosing   ConnectionState = "closing"   // told to end
)

// Connection is one connection that has a process of its own.
type Connection struct {
	ID        string          `json:"id"`
	Peer      string          `json:"peer" doc:"Address and port of the other side" example:"192.0.2.7:50000"`
	Local     string          `json:"local" doc:"Address and port of this side" example:"192.0.2.1:8889"`
	Stream    string          `json:"stream" example:"live"`
	Feeds     []string        `json:"feeds" doc:"Further streams that programs of its transport stream go to, of a publisher"`
	Role      string          `json:"role" enum:"publish,play,undecided" doc:"undecided: it did not say; its first packet or its silence decides"`
	Protocol  string          `json:"protocol" enum:"srt"`
	Direction Direction       `json:"direction" enum:"inbound,outbound" doc:"outbound: the server called"`
	Mode      Mode            `json:"mode" enum:"listener,caller,rendezvous" doc:"How this side came to the connection"`
	PID       int             `json:"pid" doc:"Process that serves it"`
	State     ConnectionState `json:"state" enum:"starting,connected,closing"`
	Since     time.Time       `json:"since" doc:"When it came in"`
	Bytes     uint64          `json:"bytes" doc:"Payload bytes received (publish) or sent (play)"`
	Units     uint64          `json:"units" doc:"Access units written to or read from the buffer"`
	Skipped   uint64          `json:"skipped" doc:"Access units that a viewer was too slow for"`

	// BufferErrors counts entries that the buffer refused or that could not be read.
	BufferErrors uint64 `json:"buffer_errors" doc:"Entries that the buffer refused or that could not be read"`

	Sandbox []string  `json:"sandbox" doc:"Confinement in force for its process" example:"[\"landlock\",\"seccomp\"]"`
	SRT     *SRT      `json:"srt,omitempty" doc:"Absent until the handshake is finished"`
	Input   *ts.Stats `json:"input,omitempty" doc:"What the demultiplexer counted, of a publisher"`
}

// SRT is what was negotiated with an SRT peer, and what libsrt tells of the connection.
type SRT struct {
	PeerVersion      string    `json:"peer_version" doc:"Version of the peer's SRT" example:"1.5.1"`
	LatencyReceiveMS int       `json:"latency_receive_ms" doc:"Latency in force for what this side receives"`
	LatencySendMS    int       `json:"latency_send_ms" doc:"Latency in force for what this side sends"`
	Encrypted        bool      `json:"encrypted" doc:"The media is encrypted with AES (CTR mode)"`
	KeyLength        int       `json:"key_length" enum:"0,16,24,32" doc:"Bytes of the AES key, 0 without encryption"`
	PacketFilter     string    `json:"packet_filter" doc:"Forward error correction in force, empty without"`
	PayloadSize      int       `json:"payload_size" doc:"Most bytes of media in one packet that this side sends"`
	Stats            srt.Stats `json:"stats" doc:"Statistics of libsrt, at most a second old"`
}
