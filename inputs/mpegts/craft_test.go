package mpegts

import (
	"bytes"
	"encoding/binary"
	"slices"

	"brume/media/ts"
)

// The PIDs of crafted streams.
const (
	pidPMT   = 0x100
	pidVideo = 0x101
	pidAudio = 0x102
	pidMore  = 0x103
)

// none says that a PES has no time.
const none = int64(-1)

// crafter writes transport stream packets.
type crafter struct {
	buf []byte
	cc  map[uint16]byte
}

// es is an elementary stream of a crafted PMT.
type es struct {
	kind        byte
	pid         uint16
	descriptors string
}

func craft() *crafter { return &crafter{cc: map[uint16]byte{}} }

// packet writes one packet; af is the adaptation field behind its length, nil for none.
// The payload is at most what fits, and stuffing fills the rest.
func (c *crafter) packet(pid uint16, start bool, af, payload []byte) *crafter {
	p := make([]byte, 4, ts.PacketSize)
	p[0] = ts.SyncByte
	binary.BigEndian.PutUint16(p[1:], pid)
	if start {
		p[1] |= 0x40
	}
	p[3] = c.cc[pid] & 15
	if payload != nil {
		p[3] |= 0x10
		c.cc[pid]++
	}
	if room := ts.PacketSize - 4 - len(payload); af != nil || room > 0 {
		p[3] |= 0x20
		n := max(room-1, 0)
		p = append(p, byte(n))
		if n > 0 {
			if af == nil {
				af = []byte{0}
			}
			p = append(p, af...)
			for len(p) < 5+n {
				p = append(p, 0xFF)
			}
		}
	}
	p = append(p, payload...)
	if len(p) != ts.PacketSize {
		panic("packet of a wrong size")
	}
	c.buf = append(c.buf, p...)
	return c
}

// split writes a payload into as many packets as it takes.
func (c *crafter) split(pid uint16, payload []byte) *crafter {
	for start := true; start || len(payload) > 0; start = false {
		n := min(len(payload), 184)
		c.packet(pid, start, nil, append([]byte{}, payload[:n]...))
		payload = payload[n:]
	}
	return c
}

// section completes a section with its length and checksum.
func section(table byte, extension uint16, version byte, body []byte) []byte {
	b := []byte{table, 0xB0, 0, byte(extension >> 8), byte(extension), 0xC1 | version<<1, 0, 0}
	b = append(b, body...)
	b[1], b[2] = 0xB0|byte((len(b)+1)>>8), byte(len(b)+1)
	return binary.BigEndian.AppendUint32(b, ts.CRC32(b))
}

// table writes a section with a pointer_field.
func (c *crafter) table(pid uint16, section []byte) *crafter {
	return c.split(pid, append([]byte{0}, section...))
}

// pat writes a PAT: program number, PID, and so on.
func (c *crafter) pat(version byte, programs ...uint16) *crafter {
	var b []byte
	for i := 0; i < len(programs); i += 2 {
		b = binary.BigEndian.AppendUint16(b, programs[i])
		b = binary.BigEndian.AppendUint16(b, 0xE000|programs[i+1])
	}
	return c.table(ts.PIDPAT, section(ts.TablePAT, 1, version, b))
}

func pmt(program uint16, version byte, pcr uint16, streams ...es) []byte {
	b := []byte{0xE0 | byte(pcr>>8), byte(pcr), 0xF0, 0}
	for _, s := range streams {
		b = append(b, s.kind, 0xE0|byte(s.pid>>8), byte(s.pid), 0xF0|byte(len(s.descriptors)>>8), byte(len(s.descriptors)))
		b = append(b, s.descriptors...)
	}
	return section(ts.TablePMT, program, version, b)
}

// tables writes a PAT of one program and its PMT.
func (c *crafter) tables(version byte, streams ...es) *crafter {
	c.pat(0, 1, pidPMT)
	return c.table(pidPMT, pmt(1, version, pidVideo, streams...))
}

// pesBytes makes a PES; its length is told if bounded is set.
func pesBytes(id byte, pts, dts int64, bounded bool, payload ...[]byte) []byte {
	h := []byte{0, 0, 1, id, 0, 0, 0x80, 0, 0}
	if pts != none {
		h[7] = 0x80
		t := []byte{0x20, 0, 0, 0, 0}
		putTime(t, pts)
		h = append(h, t...)
		if dts != none && dts != pts {
			h[7], h[9] = 0xC0, h[9]|0x10
			t := []byte{0x10, 0, 0, 0, 0}
			putTime(t, dts)
			h = append(h, t...)
		}
		h[8] = byte(len(h) - 9)
	}
	for _, p := range payload {
		h = append(h, p...)
	}
	if bounded && len(h)-6 < 1<<16 {
		binary.BigEndian.PutUint16(h[4:], uint16(len(h)-6))
	}
	return h
}

// video writes an unbounded PES on the video PID.
func (c *crafter) video(pts, dts int64, payload ...[]byte) *crafter {
	return c.split(pidVideo, pesBytes(ts.StreamIDVideo, pts, dts, false, payload...))
}

// audio writes a PES with its length on an audio PID.
func (c *crafter) audio(pid uint16, pts int64, payload ...[]byte) *crafter {
	return c.split(pid, pesBytes(ts.StreamIDAudio, pts, none, true, payload...))
}

// pcr writes a packet with nothing but a PCR.
func (c *crafter) pcr(pid uint16, base int64, jump bool) *crafter {
	af := make([]byte, 7)
	af[0] = 0x10
	if jump {
		af[0] |= 0x80
	}
	binary.BigEndian.PutUint32(af[1:], uint32(base>>1))
	af[5] = byte(base)<<7 | 0x7E
	return c.packet(pid, false, af, nil)
}

// cut removes packet n (negative: from the end).
func (c *crafter) cut(n int) *crafter {
	if n < 0 {
		n += len(c.buf) / ts.PacketSize
	}
	c.buf = slices.Delete(c.buf, n*ts.PacketSize, (n+1)*ts.PacketSize)
	return c
}

// bitWriter writes bits and Exp-Golomb codes.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) bits(v uint32, n int) *bitWriter {
	for n--; n >= 0; n-- {
		if w.n&7 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n>>3] |= byte(v>>n&1) << (7 - w.n&7)
		w.n++
	}
	return w
}

func (w *bitWriter) ue(v ...uint32) *bitWriter {
	for _, x := range v {
		n := 0
		for (x+1)>>(n+1) > 0 {
			n++
		}
		w.bits(0, n).bits(x+1, n+1)
	}
	return w
}

// sps is an H.264 sequence parameter set of the main profile.
func sps(id uint32, width, height uint32, interlaced bool) []byte {
	w := &bitWriter{b: []byte{0x67, 77, 0x40, 30}, n: 32}
	w.ue(id, 0, 2, 1).bits(0, 1) // log2_max_frame_num 4, POC type 2, one reference
	if interlaced {
		w.ue(width/16-1, height/32-1).bits(0b00, 2)
	} else {
		w.ue(width/16-1, height/16-1).bits(1, 1)
	}
	w.bits(0b100, 3).bits(1, 1) // direct_8x8, no cropping, no VUI, stop bit
	return w.b
}

func pps(id, sps uint32) []byte {
	w := &bitWriter{b: []byte{0x68}, n: 8}
	return w.ue(id, sps).bits(0b00, 2).ue(0, 0, 0).bits(0, 3).ue(0, 0, 0).bits(0b001, 3).bits(1, 1).b
}

// Slice types of ITU-T H.264 table 7-6.
const (
	sliceP = 5
	sliceB = 6
	sliceI = 7
)

// slice is a coded slice with n bytes of anything.
func slice(kind byte, firstMB, sliceType, frameNum uint32, n int) []byte {
	w := &bitWriter{b: []byte{kind}, n: 8}
	w.ue(firstMB, sliceType, 0).bits(frameNum, 4)
	return fill(w.b, n)
}

// sliceOf is a slice that refers to a picture parameter set.
func sliceOf(kind byte, sliceType, pps uint32) []byte {
	w := &bitWriter{b: []byte{kind}, n: 8}
	w.ue(0, sliceType, pps).bits(1, 4)
	return fill(w.b, 20)
}

// fieldSlice is one of a field.
func fieldSlice(kind byte, frameNum uint32, bottom bool, n int) []byte {
	w := &bitWriter{b: []byte{kind}, n: 8}
	w.ue(0, sliceP, 0).bits(frameNum, 4).bits(1, 1)
	if bottom {
		w.bits(1, 1)
	} else {
		w.bits(0, 1)
	}
	return fill(w.b, n)
}

func fill(b []byte, n int) []byte {
	for i := range n {
		b = append(b, byte(i*7+n)|0x80)
	}
	return b
}

var aud = []byte{9, 0xF0}

// recoveryPoint is an SEI message.
func recoveryPoint(frames uint32) []byte {
	w := (&bitWriter{}).ue(frames).bits(0b1000, 4).bits(1, 1)
	b := []byte{6, 6, byte(len(w.b))}
	return append(append(b, w.b...), 0x80)
}

// annexB puts start codes before NAL units.
func annexB(nals ...[]byte) (b []byte) {
	for i, n := range nals {
		if i == 0 {
			b = append(b, 0)
		}
		b = append(append(b, 0, 0, 1), n...)
	}
	return b
}

// idr is a whole random access unit of small pictures.
func idr(n int) []byte {
	return annexB(aud, sps(0, 320, 192, false), pps(0, 0), slice(0x65, 0, sliceI, 0, n))
}

// inter is a unit that needs others.
func inter(n int) []byte { return annexB(aud, slice(0x41, 0, sliceP, 1, n)) }

// aac is so many frames of AAC: three are what it takes to be believed.
func aac(n int) []byte { return bytes.Repeat(adtsFrame(2, 20), n) }

// adtsFrame is an AAC frame of 48 kHz; the payload is not.
func adtsFrame(channels byte, n int) []byte {
	size := 7 + n
	b := []byte{0xFF, 0xF1, 0x4C | channels>>2, channels<<6 | byte(size>>11), byte(size >> 3), byte(size<<5) | 0x1F, 0xFC}
	return fill(b, n)
}

// The streams of most crafted PMTs.
var (
	withAudio = []es{{ts.StreamTypeH264, pidVideo, ""}, {ts.StreamTypeADTS, pidAudio, "\x0A\x04eng\x00"}}
	onlyVideo = withAudio[:1:1]
)

// gop writes n units of video from time t on, the first one of random access, at 25 pictures a second.
func (c *crafter) gop(t int64, n int) *crafter {
	for i := range n {
		if i == 0 {
			c.video(t, none, idr(300))
		} else {
			c.video(t+3600*int64(i), none, inter(200))
		}
	}
	return c
}
