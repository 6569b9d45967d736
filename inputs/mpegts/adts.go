package mpegts

import (
	"brume/media"
)

// adts is AAC in ADTS (ISO/IEC 14496-3 1.A.2.2).
type adts struct{}

func (adts) sync() byte { return 0xFF }

func (adts) frame(b []byte, _ bool) (f frame, state int) {
	if b[0] != 0xFF || len(b) > 1 && b[1]&0xF6 != 0xF0 {
		return f, frameBad
	}
	if len(b) < 7 {
		return f, frameShort
	}
	f.head = 7
	if b[1]&1 == 0 { // protection_absent
		f.head = 9
	}
	f.size = int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
	rate := int(b[2] >> 2 & 15)
	// Several raw data blocks in one frame can't be told apart without decoding them.
	if rate >= len(media.SampleRatesAAC) || f.size <= f.head || b[6]&3 != 0 {
		return f, frameBad
	}
	f.rate = media.SampleRatesAAC[rate]
	f.samples = 1024
	f.key = uint64(b[2]&0xFD)<<8 | uint64(b[3]&0xC0) | uint64(b[1]&8) // without private_bit
	return f, frameWhole
}

func (adts) params(b []byte) *params {
	head := 7
	if b[1]&1 == 0 {
		head = 9
	}
	config := media.ADTSConfig(b, head)
	if config == nil {
		return nil
	}
	return &params{media.AAC, config}
}

func (adts) give(a *audio, f frame, b []byte) error { return a.unit(b[f.head:], f.samples) }

// mpegAudio is MPEG-1/2 audio of the layers I to III.
type mpegAudio struct{}

func (mpegAudio) sync() byte { return 0xFF }

func (mpegAudio) frame(b []byte, _ bool) (f frame, state int) {
	if b[0] != 0xFF || len(b) > 1 && b[1]&0xE0 != 0xE0 {
		return f, frameBad
	}
	if len(b) < 4 {
		return f, frameShort
	}
	h, ok := media.ParseMPEGAudioHeader(b)
	if !ok || h.Size < 4 {
		return f, frameBad
	}
	f.size, f.samples, f.rate = h.Size, h.Samples, h.SampleRate
	// The bit rate and the kind of stereo may change from frame to frame.
	f.key = uint64(b[1]&0x1E)<<8 | uint64(b[2]&0x0C) | uint64(h.Channels)
	return f, frameWhole
}

func (mpegAudio) params(b []byte) *params {
	h, _ := media.ParseMPEGAudioHeader(b)
	p := &params{media.MP2, append([]byte(nil), b[:4]...)}
	if h.Layer == 3 {
		p.codec = media.MP3
	}
	return p
}

func (mpegAudio) give(a *audio, f frame, b []byte) error { return a.unit(b, f.samples) }
