package srt

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Errors of the handshake codec.
var (
	// ErrNotHandshake means that a datagram is no SRT handshake.
	ErrNotHandshake = errors.New("not an SRT handshake")
	// ErrMalformed means that a handshake can't be read.
	ErrMalformed = errors.New("malformed SRT handshake")
	// ErrShort means that the buffer is too small for a packet.
	ErrShort = errors.New("buffer is too small for the packet")
)

// Sizes of packets, in bytes.
const (
	headerSize = 16 // of every SRT packet (draft-sharabayko-srt 3)
	cifSize    = 48 // of a handshake without extensions (3.2.1)

	// HandshakeSize is the size of a handshake without extensions.
	HandshakeSize = headerSize + cifSize
	// ShutdownSize is the size of a shutdown packet.
	ShutdownSize = headerSize + 4
	// maxExtensions bounds the extensions of one handshake.
	maxExtensions = 16
	// MaxStreamID is the longest stream id that SRT allows, in bytes (3.2.1.3).
	MaxStreamID = 512
)

// Control packet types, in the first word (3.2).
const (
	controlHandshake = 0x80000000
	controlShutdown  = 0x80050000
)

// HandshakeType says which step of the handshake a packet is (3.2.1, table 4).
type HandshakeType uint32

// The handshake types. Values from 1000 on are rejections.
const (
	TypeWaveahand  HandshakeType = 0
	TypeInduction  HandshakeType = 1
	TypeConclusion HandshakeType = 0xffffffff
	TypeAgreement  HandshakeType = 0xfffffffe
)

// magic in the extension field of an induction reply tells that the listener speaks version 5 (4.3.1.1).
const magic = 0x4a17

// Flags of the extension field of a conclusion.
const (
	flagHSREQ  = 1
	flagKMREQ  = 2
	flagConfig = 4
)

// Extension types (3.2.1, table 5).
const (
	extHSREQ      = 1
	extKMREQ      = 3
	extStreamID   = 5
	extCongestion = 6
	extFilter     = 7
	extGroup      = 8
)

// Flags of the handshake extension message (3.2.1.1.1).
const (
	// FlagStream means that the caller wants buffer (file) mode.
	FlagStream = 0x40
)

// Handshake is an SRT handshake packet. What Unmarshal returns shares no memory with the packet.
type Handshake struct {
	Timestamp  uint32 // microseconds
	Dest       uint32 // SRT socket that it is for; 0 for a listener
	Version    uint32 // 4 or 5
	Encryption uint16 // key length in words of 8 bytes, 0 none advertised
	Extension  uint16 // flags or magic
	ISN        uint32 // initial packet sequence number
	MTU        uint32 // bytes
	FlowWindow uint32 // packets
	Type       HandshakeType
	SocketID   uint32 // the sender's SRT socket
	Cookie     uint32
	PeerIP     [16]byte // as it came

	Ext Extensions // of a conclusion
}

// Extensions are what a conclusion brings along.
type Extensions struct {
	HasHSREQ   bool
	SRTVersion uint32 // 0x010501 is 1.5.1
	Flags      uint32
	LatencyRcv uint16 // ms that the sender wants as a receiver
	LatencySnd uint16 // ms that it proposes for its peer
	HasKMREQ   bool
	KeyLength  int // bytes, from the key material
	Group      bool

	streamID   [MaxStreamID]byte
	streamIDn  int
	congestion [16]byte
	congestn   int
}

// StreamID is the stream id as it came, possibly empty. It allocates.
func (e *Extensions) StreamID() string { return string(e.streamID[:e.streamIDn]) }

// Congestion is the congestion control that the caller asks for; empty means live.
func (e *Extensions) Congestion() string { return string(e.congestion[:e.congestn]) }

// IsHandshake tells a handshake by its first bytes.
func IsHandshake(b []byte) bool {
	return len(b) >= HandshakeSize && binary.BigEndian.Uint32(b) == controlHandshake
}

// Unmarshal reads a packet without allocating. It returns ErrNotHandshake for other packets and ErrMalformed for
// extensions that can't be read; the fixed part is filled in even then.
func (h *Handshake) Unmarshal(b []byte) error {
	if !IsHandshake(b) {
		return ErrNotHandshake
	}
	h.Timestamp = binary.BigEndian.Uint32(b[8:])
	h.Dest = binary.BigEndian.Uint32(b[12:])
	b = b[headerSize:]
	h.Version = binary.BigEndian.Uint32(b)
	h.Encryption = binary.BigEndian.Uint16(b[4:])
	h.Extension = binary.BigEndian.Uint16(b[6:])
	h.ISN = binary.BigEndian.Uint32(b[8:])
	h.MTU = binary.BigEndian.Uint32(b[12:])
	h.FlowWindow = binary.BigEndian.Uint32(b[16:])
	h.Type = HandshakeType(binary.BigEndian.Uint32(b[20:]))
	h.SocketID = binary.BigEndian.Uint32(b[24:])
	h.Cookie = binary.BigEndian.Uint32(b[28:])
	copy(h.PeerIP[:], b[32:48])
	h.Ext = Extensions{}
	if h.Type != TypeConclusion || h.Version < 5 {
		return nil
	}
	return h.Ext.unmarshal(b[cifSize:])
}

// unmarshal reads the blocks of type, length in words, content (3.2.1).
func (e *Extensions) unmarshal(b []byte) error {
	for n := 0; len(b) > 0; n++ {
		if len(b) < 4 || n == maxExtensions {
			return fmt.Errorf("%w: extension %d is cut short or one too many", ErrMalformed, n)
		}
		kind := binary.BigEndian.Uint16(b)
		size := 4 * int(binary.BigEndian.Uint16(b[2:]))
		b = b[4:]
		if size > len(b) {
			return fmt.Errorf("%w: extension of type %d says it has %d bytes, %d are there", ErrMalformed, kind, size, len(b))
		}
		if err := e.block(kind, b[:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

func (e *Extensions) block(kind uint16, b []byte) error {
	switch kind {
	case extHSREQ:
		if len(b) < 12 {
			return fmt.Errorf("%w: handshake extension of %d bytes", ErrMalformed, len(b))
		}
		e.HasHSREQ = true
		e.SRTVersion = binary.BigEndian.Uint32(b)
		e.Flags = binary.BigEndian.Uint32(b[4:])
		e.LatencyRcv = binary.BigEndian.Uint16(b[8:])
		e.LatencySnd = binary.BigEndian.Uint16(b[10:])
	case extKMREQ:
		// Key material: length of the key in words at the end of its header (3.2.2).
		if len(b) < 16 {
			return fmt.Errorf("%w: key material of %d bytes", ErrMalformed, len(b))
		}
		e.HasKMREQ = true
		e.KeyLength = 4 * int(b[15])
	case extStreamID:
		n, ok := readString(e.streamID[:], b)
		if !ok {
			return fmt.Errorf("%w: stream id of %d bytes, %d are allowed", ErrMalformed, len(b), MaxStreamID)
		}
		e.streamIDn = n
	case extCongestion:
		n, ok := readString(e.congestion[:], b)
		if !ok {
			return fmt.Errorf("%w: congestion control of %d bytes", ErrMalformed, len(b))
		}
		e.congestn = n
	case extGroup:
		e.Group = true
	}
	return nil
}

// readString undoes the order of a string on the wire: each word of 4 bytes is reversed, zeros fill the last (3.2.1.3),
// and some callers send words of nothing else.
func readString(dst, b []byte) (int, bool) {
	if len(b) > len(dst) {
		return 0, false
	}
	for i := 0; i+4 <= len(b); i += 4 {
		dst[i], dst[i+1], dst[i+2], dst[i+3] = b[i+3], b[i+2], b[i+1], b[i]
	}
	n := len(b) &^ 3
	for n > 0 && dst[n-1] == 0 {
		n--
	}
	return n, true
}

func appendString(dst []byte, kind uint16, s string) []byte {
	words := (len(s) + 3) / 4
	dst = binary.BigEndian.AppendUint16(dst, kind)
	dst = binary.BigEndian.AppendUint16(dst, uint16(words))
	at := len(dst)
	dst = append(dst, make([]byte, 4*words)...)
	for i := range len(s) {
		dst[at+i&^3+3-i&3] = s[i]
	}
	return dst
}

// MarshalSize is the size of the packet without extensions.
func (h *Handshake) MarshalSize() int { return HandshakeSize }

// MarshalTo writes the packet without extensions and returns its size.
func (h *Handshake) MarshalTo(b []byte) (int, error) {
	if len(b) < HandshakeSize {
		return 0, ErrShort
	}
	binary.BigEndian.PutUint32(b, controlHandshake)
	binary.BigEndian.PutUint32(b[4:], 0)
	binary.BigEndian.PutUint32(b[8:], h.Timestamp)
	binary.BigEndian.PutUint32(b[12:], h.Dest)
	b = b[headerSize:]
	binary.BigEndian.PutUint32(b, h.Version)
	binary.BigEndian.PutUint16(b[4:], h.Encryption)
	binary.BigEndian.PutUint16(b[6:], h.Extension)
	binary.BigEndian.PutUint32(b[8:], h.ISN)
	binary.BigEndian.PutUint32(b[12:], h.MTU)
	binary.BigEndian.PutUint32(b[16:], h.FlowWindow)
	binary.BigEndian.PutUint32(b[20:], uint32(h.Type))
	binary.BigEndian.PutUint32(b[24:], h.SocketID)
	binary.BigEndian.PutUint32(b[28:], h.Cookie)
	copy(b[32:48], h.PeerIP[:])
	return HandshakeSize, nil
}

// Marshal returns the packet: with the extensions of a conclusion, as a caller sends it.
func (h *Handshake) Marshal() []byte {
	b := make([]byte, HandshakeSize, HandshakeSize+64)
	_, _ = h.MarshalTo(b) // the size is right
	if h.Type != TypeConclusion {
		return b
	}
	e := &h.Ext
	if e.HasHSREQ {
		b = binary.BigEndian.AppendUint32(b, extHSREQ<<16|3)
		b = binary.BigEndian.AppendUint32(b, e.SRTVersion)
		b = binary.BigEndian.AppendUint32(b, e.Flags)
		b = binary.BigEndian.AppendUint32(b, uint32(e.LatencyRcv)<<16|uint32(e.LatencySnd))
	}
	if e.streamIDn > 0 {
		b = appendString(b, extStreamID, e.StreamID())
	}
	if e.congestn > 0 {
		b = appendString(b, extCongestion, e.Congestion())
	}
	return b
}

// SetStreamID sets the stream id of a conclusion; what is over MaxStreamID is cut.
func (e *Extensions) SetStreamID(s string) { e.streamIDn = copy(e.streamID[:], s) }

// Reply is the answer to h in the given step, or with a rejection code as its type: to the caller's socket, its own fields echoed.
func (h *Handshake) Reply(t HandshakeType) Handshake {
	r := *h
	r.Dest, r.Type = h.SocketID, t
	r.Version, r.Encryption, r.Extension = 5, 0, 0
	if t == TypeInduction {
		r.Extension = magic
	}
	return r
}

// AppendShutdown appends a shutdown packet for an SRT socket (3.2.7).
func AppendShutdown(b []byte, socketID uint32) []byte {
	b = binary.BigEndian.AppendUint32(b, controlShutdown)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, socketID)
	return append(b, 0, 0, 0, 0)
}

// VersionString writes a version of SRT as people do: "1.5.1".
func VersionString(v uint32) string {
	return fmt.Sprintf("%d.%d.%d", v>>16&0xff, v>>8&0xff, v&0xff)
}
