package source

import "encoding/binary"

const (
	hasAdaptation = 0x20
	hasPayload    = 0x10
	hasPCR        = 0x10
	wrap          = 1<<33 - 1
)

// payload is what follows the header and the adaptation field; nil where there is nothing.
func payload(p []byte) []byte {
	at := 4
	if p[3]&hasAdaptation != 0 {
		at += 1 + int(p[4])
	}
	if p[3]&hasPayload == 0 || at >= len(p) {
		return nil
	}
	return p[at:]
}

// stamps are the PTS and DTS (ISO/IEC 13818-1 2.4.3.6) of a PES packet that begins here, 5 bytes each.
func stamps(p []byte) (all [][]byte) {
	b := payload(p)
	if p[1]&0x40 == 0 || len(b) < 19 || b[0] != 0 || b[1] != 0 || b[2] != 1 {
		return nil
	}
	if b[7]&0x80 != 0 {
		all = append(all, b[9:14])
	}
	if b[7]&0xC0 == 0xC0 {
		all = append(all, b[14:19])
	}
	return all
}

func stamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(binary.BigEndian.Uint16(b[1:])>>1)<<15 | int64(binary.BigEndian.Uint16(b[3:])>>1)
}

func setStamp(b []byte, v int64) {
	b[0] = b[0]&0xF1 | byte(v>>30&7)<<1
	binary.BigEndian.PutUint16(b[1:], uint16(v>>15)<<1|1)
	binary.BigEndian.PutUint16(b[3:], uint16(v)<<1|1)
}

// move adds ticks to the PCR, PTS and DTS of a packet.
func move(p []byte, by int64) {
	if p[3]&hasAdaptation != 0 && p[4] >= 7 && p[5]&hasPCR != 0 {
		pcr := (int64(binary.BigEndian.Uint32(p[6:]))<<1 | int64(p[10]>>7)) + by&wrap
		binary.BigEndian.PutUint32(p[6:], uint32(pcr>>1))
		p[10] = p[10]&0x7F | byte(pcr&1)<<7
	}
	for _, s := range stamps(p) {
		setStamp(s, (stamp(s)+by)&wrap)
	}
}

// count gives a packet the next continuity counter of its PID.
func count(p []byte, counters map[uint16]byte) {
	pid := binary.BigEndian.Uint16(p[1:]) & 0x1FFF
	if p[3]&hasPayload != 0 {
		counters[pid]++
	}
	p[3] = p[3]&0xF0 | counters[pid]&15
}
