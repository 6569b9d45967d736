package relay

import "encoding/binary"

// kind is what a packet is to a receiver that counts losses.
type kind int

const (
	other  kind = iota // control packets, and what is no SRT
	first              // a data packet that is sent for the first time
	repeat             // a data packet that is sent again
	kinds  = 3
)

// packet is what the relay reads of an SRT header.
type packet struct {
	kind     kind
	sequence uint32 // of a data packet, 31 bits
	socket   uint32 // of the receiver
}

// headerSize is that of every SRT packet, in bytes.
const headerSize = 16

// sequenceMask are the bits of a packet sequence number (draft-sharabayko-srt 3.1).
const sequenceMask = 1<<31 - 1

// look tells what a packet is. draft-sharabayko-srt 3.1: the first bit is 0 in a data packet, R is the sixth bit of the second word.
func look(b []byte) packet {
	if len(b) < headerSize {
		return packet{}
	}
	p := packet{socket: binary.BigEndian.Uint32(b[12:])}
	word := binary.BigEndian.Uint32(b)
	switch {
	case word>>31 == 1:
		return p
	case b[4]&0x04 != 0:
		p.kind = repeat
	default:
		p.kind = first
	}
	p.sequence = word
	return p
}

// gaps counts as libsrt's receiver does (CUDT::processData, pktRcvLoss): each sequence number that is passed over when a later one
// comes, whether it comes after all or not. A loss that no later packet shows, and the loss of a packet that was sent again, is none.
type gaps struct {
	socket  uint32
	known   bool
	highest uint32
}

// begin takes the number before the first packet that is sent, lost or not, for the highest received.
func (g *gaps) begin(p packet) {
	if p.kind == other || g.known && g.socket == p.socket {
		return
	}
	*g = gaps{socket: p.socket, known: true, highest: (p.sequence - 1) & sequenceMask}
}

// receive returns how many numbers the packet passed over.
func (g *gaps) receive(p packet) uint64 {
	if p.kind == other || !g.known || g.socket != p.socket {
		return 0
	}
	ahead := (p.sequence - g.highest) & sequenceMask
	if ahead == 0 || ahead > sequenceMask/2 {
		return 0
	}
	g.highest = p.sequence
	return uint64(ahead - 1)
}
