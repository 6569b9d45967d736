package mpegts

import (
	"brume/media"
	"brume/media/bits"
)

// latm is AAC in LATM and LOAS (ISO/IEC 14496-3 1.7): one program of one layer, as
// ETSI TS 101 154 asks.
type latm struct {
	mux     muxConfig
	known   bool
	config  []byte // AudioSpecificConfig of mux
	scratch [64]byte
	out     []byte
}

// muxConfig is what is used of a StreamMuxConfig (1.7.3.1).
type muxConfig struct {
	version    uint32
	subframes  int
	lengthType uint32 // 0: the length is told with each frame, 1: it is fixed
	length     int    // bytes, of lengthType 1
	otherBits  int
	rate       int
	samples    int
	key        uint64
}

func (*latm) sync() byte { return 0x56 }

func (l *latm) frame(b []byte, _ bool) (f frame, state int) {
	if b[0] != 0x56 || len(b) > 1 && b[1]&0xE0 != 0xE0 {
		return f, frameBad
	}
	if len(b) < 3 {
		return f, frameShort
	}
	f.head = 3
	f.size = 3 + int(b[1]&0x1F)<<8 + int(b[2])
	if f.size <= len(b) {
		r := bits.Reader{Data: b[3:f.size]}
		if !l.head(&r) {
			return f, frameBad
		}
	}
	f.rate, f.samples, f.key = 1, 0, l.mux.key
	if l.known {
		f.rate, f.samples = l.mux.rate, l.mux.samples
	}
	return f, frameWhole
}

// head reads an AudioMuxElement up to the payload and takes over a new configuration.
func (l *latm) head(r *bits.Reader) bool {
	if r.Flag() { // useSameStreamMux
		return true
	}
	var m muxConfig
	m.version = r.Read(1)
	if m.version == 1 {
		if r.Flag() { // audioMuxVersionA
			return false
		}
		latmValue(r) // taraBufferFullness
	}
	same := r.Flag() // allStreamsSameTimeFraming
	m.subframes = 1 + int(r.Read(6))
	programs, layers := r.Read(4), r.Read(3)
	if !same || programs != 0 || layers != 0 {
		return false
	}
	size := -1
	if m.version == 1 {
		size = latmValue(r)
	}
	start := r.Pos
	peek := *r
	config := peek.AppendBytes(l.scratch[:0], len(l.scratch))
	c, err := media.ReadAudioSpecificConfig(config)
	if err != nil || size >= 0 && c.Bits > size {
		return false
	}
	r.Pos = start + max(c.Bits, size)
	if whole := cutBits(config, size); size > c.Bits {
		if e, err := media.ParseAudioSpecificConfig(whole); err == nil && e.ObjectType != c.ObjectType {
			c, c.Bits = e, size // with the extension that says so
		}
	}
	config = cutBits(config, c.Bits)
	m.rate, m.samples, m.key = c.SampleRate, c.FrameSamples, 14695981039346656037
	for _, x := range config { // FNV-1a
		m.key = (m.key ^ uint64(x)) * 1099511628211
	}
	switch m.lengthType = r.Read(3); m.lengthType {
	case 0:
		r.Pos += 8 // latmBufferFullness
	case 1:
		m.length = int(r.Read(9)) + 20
	default:
		return false
	}
	if r.Flag() { // otherDataPresent
		if m.version == 1 {
			m.otherBits = latmValue(r)
		} else {
			for more := true; more && m.otherBits < 1<<16; {
				more = r.Flag()
				m.otherBits = m.otherBits<<8 + int(r.Read(8))
			}
		}
	}
	if r.Flag() { // crcCheckPresent
		r.Pos += 8
	}
	if r.Over() {
		return false
	}
	if !l.known || l.mux.key != m.key {
		l.config = append([]byte(nil), config...)
	}
	l.mux, l.known = m, true
	return true
}

// cutBits returns the first bits of b. The rest of their last byte is made zero.
func cutBits(b []byte, bits int) []byte {
	bits = min(max(bits, 0), 8*len(b))
	b = b[:(bits+7)/8]
	if bits%8 != 0 {
		b[len(b)-1] &= 0xFF << (8 - bits%8)
	}
	return b
}

// latmValue is LatmGetValue (1.7.3.1).
func latmValue(r *bits.Reader) int {
	n := int(r.Read(2)) + 1
	return int(r.Read(8 * n))
}

func (l *latm) params(_ []byte) *params {
	if !l.known {
		return nil
	}
	return &params{media.AAC, l.config}
}

func (l *latm) give(a *audio, f frame, b []byte) error {
	r := bits.Reader{Data: b[f.head:]}
	if !l.head(&r) {
		return nil
	}
	for range l.mux.subframes {
		n := l.mux.length
		if l.mux.lengthType == 0 {
			for n = 0; ; {
				x := int(r.Read(8))
				n += x
				if x != 255 || r.Over() {
					break
				}
			}
		}
		if r.Pos+8*n > 8*len(r.Data) || n == 0 {
			a.s.d.stats.UnitErrors++
			return nil
		}
		l.out = r.AppendBytes(l.out[:0], n)
		if err := a.unit(l.out, l.mux.samples); err != nil {
			return err
		}
	}
	return nil
}
