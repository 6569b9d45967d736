package ts

import (
	"encoding/binary"
	"math"
)

// JoinSize is the size of a join, in bytes. Packets never are as short.
const JoinSize = 4

// AppendJoin appends a join to dst: the unit of a media.MPEGTS track which says that a receiver can begin so many
// packets of the track before it.
func AppendJoin(dst []byte, packets uint64) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(min(packets, math.MaxUint32)))
}

// Join reads a join. It returns false for packets.
func Join(unit []byte) (packets uint64, ok bool) {
	if len(unit) != JoinSize {
		return 0, false
	}
	return uint64(binary.BigEndian.Uint32(unit)), true
}
