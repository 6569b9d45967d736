package ts

import "encoding/binary"

// crcTable is CRC-32/MPEG-2: polynomial 0x04C11DB7, most significant bit first.
var crcTable = makeCRCTable()

func makeCRCTable() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			if c&0x80000000 != 0 {
				c = c<<1 ^ 0x04C11DB7
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}

// CRC32 is the checksum at the end of a section (ISO/IEC 13818-1 annex A). Over a
// whole section, its CRC_32 included, it is 0.
func CRC32(b []byte) uint32 {
	c := uint32(0xFFFFFFFF)
	for _, x := range b {
		c = c<<8 ^ crcTable[byte(c>>24)^x]
	}
	return c
}

// AppendCRC32 completes a section with its CRC_32.
func AppendCRC32(section []byte) []byte {
	return binary.BigEndian.AppendUint32(section, CRC32(section))
}
