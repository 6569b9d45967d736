package mpegts

import (
	"encoding/binary"

	"brume/media"
)

// opus is Opus behind a control header (Opus in MPEG-TS, as registered for
// format_identifier "Opus").
type opus struct {
	config []byte
}

// opusSamples is the duration of a frame by config (RFC 6716 table 2), in samples of 48 kHz.
var opusSamples = [32]uint16{
	480, 960, 1920, 2880, 480, 960, 1920, 2880, 480, 960, 1920, 2880, 480, 960, 480, 960,
	120, 240, 480, 960, 120, 240, 480, 960, 120, 240, 480, 960, 120, 240, 480, 960,
}

// opusMapping is streams, coupled streams and channel mapping for 3 channels and more
// (RFC 7845 5.1.1.2, in the order in which encoders make their streams).
var opusMapping = [...]string{
	3: "\x02\x01\x00\x02\x01",
	4: "\x02\x02\x00\x01\x02\x03",
	5: "\x03\x02\x00\x04\x01\x02\x03",
	6: "\x04\x02\x00\x04\x01\x02\x03\x05",
	7: "\x04\x03\x00\x04\x01\x02\x03\x05\x06",
	8: "\x05\x03\x00\x06\x01\x02\x03\x04\x05\x07",
}

// opusConfig makes an OpusHead without magic (RFC 7845 5.1) from channel_config_code. It
// returns nil for a code that is not understood.
func opusConfig(code uint8) []byte {
	if code > 8 {
		return nil
	}
	channels, family, mapping := code, byte(0), ""
	switch {
	case code == 0: // dual mono
		channels, family, mapping = 2, 255, "\x01\x01\x00\x01"
	case code > 2:
		family, mapping = 1, opusMapping[code]
	}
	b := []byte{1, channels, 0, 0} // version, channels, pre-skip
	b = binary.LittleEndian.AppendUint32(b, 48000)
	b = append(b, 0, 0, family)
	return append(b, mapping...)
}

func (*opus) sync() byte { return 0x7F }

func (*opus) frame(b []byte, _ bool) (f frame, state int) {
	if b[0] != 0x7F || len(b) > 1 && b[1]&0xE0 != 0xE0 {
		return f, frameBad
	}
	if len(b) < 3 {
		return f, frameShort
	}
	n, size := 2, 0
	for {
		if n >= len(b) {
			return f, frameShort
		}
		x := int(b[n])
		n++
		size += x
		if size > maxAudioFrame {
			return f, frameBad
		}
		if x != 255 {
			break
		}
	}
	for flag := byte(0x10); flag >= 0x08; flag >>= 1 { // start_trim_flag, end_trim_flag
		if b[1]&flag != 0 {
			n += 2
		}
	}
	if b[1]&0x04 != 0 { // control_extension_flag
		if n >= len(b) {
			return f, frameShort
		}
		n += 1 + int(b[n])
	}
	if size == 0 {
		return f, frameBad
	}
	f.head, f.size, f.rate = n, n+size, 48000
	if f.size > len(b) {
		return f, frameWhole
	}
	f.samples = opusDuration(b[n:f.size])
	if f.samples == 0 {
		return f, frameBad
	}
	return f, frameWhole
}

// opusDuration is the samples of a packet by its first bytes (RFC 6716 3.1, 3.2), 0 if it is damaged.
func opusDuration(b []byte) int {
	n := 0
	switch b[0] & 3 {
	case 0:
		n = 1
	case 1, 2:
		n = 2
	default:
		if len(b) > 1 {
			n = int(b[1] & 63)
		}
	}
	n *= int(opusSamples[b[0]>>3])
	if n > 5760 { // 120 ms
		return 0
	}
	return n
}

func (o *opus) params(_ []byte) *params { return &params{media.Opus, o.config} }

func (o *opus) give(a *audio, f frame, b []byte) error { return a.unit(b[f.head:], f.samples) }
