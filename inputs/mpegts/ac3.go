package mpegts

import (
	"brume/media"
)

// ac3 is AC-3 (ETSI TS 102 366 4.3).
type ac3 struct{}

// ac3Words is the length of a syncframe in 16-bit words at 48, 44.1 (without padding) and 32 kHz
// by half of frmsizecod (table 4.13).
var ac3Words = [19][3]uint16{
	{64, 69, 96},
	{80, 87, 120},
	{96, 104, 144},
	{112, 121, 168},
	{128, 139, 192},
	{160, 174, 240},
	{192, 208, 288},
	{224, 243, 336},
	{256, 278, 384},
	{320, 348, 480},
	{384, 417, 576},
	{448, 487, 672},
	{512, 557, 768},
	{640, 696, 960},
	{768, 835, 1152},
	{896, 975, 1344},
	{1024, 1114, 1536},
	{1152, 1253, 1728},
	{1280, 1393, 1920},
}

func (ac3) sync() byte { return 0x0B }

func (ac3) frame(b []byte, _ bool) (f frame, state int) {
	if b[0] != 0x0B || len(b) > 1 && b[1] != 0x77 {
		return f, frameBad
	}
	if len(b) < 8 {
		return f, frameShort
	}
	fscod, size := b[4]>>6, b[4]&0x3F
	if fscod == 3 || size >= 38 || b[5]>>3 > 8 { // bsid
		return f, frameBad
	}
	f.size = 2 * int(ac3Words[size>>1][fscod])
	if fscod == 1 {
		f.size += 2 * int(size&1)
	}
	f.rate = [3]int{48000, 44100, 32000}[fscod]
	f.samples = 1536
	f.key = uint64(fscod)<<24 | uint64(b[5])<<16 | uint64(b[6]&0xE0)<<8 | uint64(ac3LFE(b))
	return f, frameWhole
}

// ac3LFE reads acmod and what follows up to lfeon (5.4.2).
func ac3LFE(b []byte) byte {
	acmod := b[6] >> 5
	skip := 3
	if acmod&1 != 0 && acmod != 1 {
		skip += 2 // cmixlev
	}
	if acmod&4 != 0 {
		skip += 2 // surmixlev
	}
	if acmod == 2 {
		skip += 2 // dsurmod
	}
	return b[6] >> (7 - skip) & 1
}

func (ac3) params(b []byte) *params {
	return &params{media.AC3, append([]byte(nil), b[:8]...)}
}

func (ac3) give(a *audio, f frame, b []byte) error { return a.unit(b, f.samples) }

// eac3 is E-AC-3 (ETSI TS 102 366 annex E). A frame is here all syncframes that belong to
// the same six blocks: those of the independent substream 0 and what follows each.
type eac3 struct{}

func (eac3) sync() byte { return 0x0B }

// maxSyncframes bounds those of one access unit.
const maxSyncframes = 64

// eac3Sync is the head of one syncframe.
type eac3Sync struct {
	size   int
	first  bool // substream 0, independent
	blocks int
	rate   int
	key    uint64
}

func parseEAC3(b []byte) (s eac3Sync, state int) {
	if b[0] != 0x0B || len(b) > 1 && b[1] != 0x77 {
		return s, frameBad
	}
	if len(b) < 8 {
		return s, frameShort
	}
	kind, id := b[2]>>6, b[2]>>3&7
	fscod, code := b[4]>>6, b[4]>>4&3
	bsid := b[5] >> 3
	if kind == 3 || bsid <= 10 || bsid > 16 || fscod == 3 && code == 3 {
		return s, frameBad
	}
	s.size = 2 * (int(b[2]&7)<<8 | int(b[3]) + 1)
	s.first = kind != 1 && id == 0
	if fscod == 3 {
		s.rate = [3]int{24000, 22050, 16000}[code]
		s.blocks = 6
	} else {
		s.rate = [3]int{48000, 44100, 32000}[fscod]
		s.blocks = [4]int{1, 2, 3, 6}[code]
	}
	s.key = uint64(s.rate)<<16 | uint64(b[4]&0x0F)<<8 | uint64(bsid) // acmod and lfeon
	return s, frameWhole
}

func (eac3) frame(b []byte, more bool) (f frame, state int) {
	first, state := parseEAC3(b)
	if state != frameWhole {
		return f, state
	}
	if !first.first {
		return f, frameBad
	}
	f.rate, f.samples, f.key = first.rate, 1536, first.key
	f.size = first.size
	blocks := first.blocks
	for range maxSyncframes {
		if f.size > len(b) {
			return f, frameWhole // the caller sees that there are too few bytes
		}
		if f.size == len(b) {
			if more || blocks < 6 {
				f.size++ // the rest, or the next frame, is still to come
			}
			return f, frameWhole
		}
		next, state := parseEAC3(b[f.size:])
		switch {
		case state == frameShort:
			f.size = len(b) + 1
			return f, frameWhole
		case state == frameBad, next.first && blocks >= 6:
			return f, frameWhole
		case next.first:
			blocks += next.blocks
		}
		f.size += next.size
	}
	return f, frameBad
}

func (eac3) params(b []byte) *params {
	p := &params{media.EAC3, append([]byte(nil), b[:8]...)}
	if n := jocComplexity(b); n > 0 {
		p.config = append(p.config, n)
	}
	return p
}

func (e eac3) give(a *audio, f frame, b []byte) error {
	if p := a.params.config; jocComplexity(b) != media.JOCComplexity(p) {
		a.params = e.params(b) // a programme in another form of sound, in frames that look the same
	}
	return a.unit(b, f.samples)
}
