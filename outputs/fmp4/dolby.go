package fmp4

import (
	"encoding/binary"

	"brume/media"
)

var (
	ac3Rates    = [...]int{48000, 44100, 32000}
	ac3Channels = [...]int{2, 1, 2, 3, 3, 4, 4, 5}
)

// bits reads big-endian bit fields; past the end it reads zeros.
type bits struct {
	b  []byte
	at int
}

func (r *bits) get(n int) uint32 {
	var v uint32
	for range n {
		v <<= 1
		if i := r.at >> 3; i < len(r.b) {
			v |= uint32(r.b[i]>>(7-r.at&7)) & 1
		}
		r.at++
	}
	return v
}

// ac3 is an AC3SampleEntry (ETSI TS 102 366 F.3).
func ac3(config []byte) (*entry, error) {
	if len(config) < 8 || config[0] != 0x0b || config[1] != 0x77 {
		return nil, errConfig
	}
	r := bits{b: config, at: 32}
	fscod, frmsizecod := r.get(2), r.get(6)
	bsid, bsmod, acmod := r.get(5), r.get(3), r.get(3)
	if acmod&1 != 0 && acmod != 1 {
		r.get(2)
	}
	if acmod&4 != 0 {
		r.get(2)
	}
	if acmod == 2 {
		r.get(2)
	}
	lfe := r.get(1)
	if fscod > 2 || frmsizecod > 37 || bsid > 10 {
		return nil, errConfig
	}
	return sound("ac-3", ac3Channels[acmod]+int(lfe), ac3Rates[fscod], func(w *boxes) {
		w.box("dac3", func() {
			v := fscod<<22 | bsid<<17 | bsmod<<14 | acmod<<11 | lfe<<10 | frmsizecod>>1<<5
			w.u8(byte(v>>16), byte(v>>8), byte(v))
		})
	}), nil
}

// eac3 is an EC3SampleEntry (ETSI TS 102 366 F.5) with one independent substream.
func eac3(config []byte) (*entry, error) {
	if len(config) < 8 || config[0] != 0x0b || config[1] != 0x77 {
		return nil, errConfig
	}
	r := bits{b: config, at: 16}
	r.get(5) // strmtyp, substreamid
	frmsiz := r.get(11)
	fscod, blocks := r.get(2), r.get(2)
	acmod, lfe, bsid := r.get(3), r.get(1), r.get(5)
	rate, perFrame := 0, uint32(6)
	if fscod == 3 {
		if blocks == 3 {
			return nil, errConfig
		}
		rate = ac3Rates[blocks] / 2
	} else {
		rate = ac3Rates[fscod]
		perFrame = [...]uint32{1, 2, 3, 6}[blocks]
	}
	if bsid < 11 || bsid > 16 {
		return nil, errConfig
	}
	kbps := (frmsiz + 1) * 2 * 8 * uint32(rate) / (perFrame * 256) / 1000
	return sound("ec-3", ac3Channels[acmod]+int(lfe), rate, func(w *boxes) {
		w.box("dec3", func() {
			w.u16(uint16(min(kbps, 0x1fff) << 3)) // data_rate, num_ind_sub 0
			v := fscod<<22 | bsid<<17 | acmod<<9 | lfe<<8
			w.u8(byte(v>>16), byte(v>>8), byte(v)&0xe0)
			if n := media.JOCComplexity(config); n > 0 {
				w.u8(1, n) // flag_ec3_extension_type_a, complexity_index_type_a (ETSI TS 103 420 C.3.1)
			}
		})
	}), nil
}

// opus is an OpusSampleEntry: the OpusHead with its numbers in network order (Opus in ISOBMFF 4.3.2).
func opus(head []byte) (*entry, error) {
	if len(head) < 11 || head[1] == 0 || (head[10] != 0 && len(head) < 13+int(head[1])) {
		return nil, errConfig
	}
	channels := int(head[1])
	return sound("Opus", channels, 48000, func(w *boxes) {
		w.box("dOps", func() {
			w.u8(0, head[1])
			w.u16(binary.LittleEndian.Uint16(head[2:]))
			w.u32(binary.LittleEndian.Uint32(head[4:]))
			w.u16(binary.LittleEndian.Uint16(head[8:]))
			w.u8(head[10])
			if head[10] != 0 {
				w.b = append(w.b, head[11:13+channels]...)
			}
		})
	}), nil
}
