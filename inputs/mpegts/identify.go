package mpegts

import (
	"slices"

	"brume/media"
)

const (
	// headersWanted is how many headers have to follow each other, alike, before anything is taken for audio: a sync word with a
	// length that fits occurs in coded audio of another kind, too.
	headersWanted = 3
	// maxSearch is for how many bytes these are waited for: as many frames of the greatest length of ADTS and LOAS.
	maxSearch = headersWanted * (8 << 10)
)

// framing is a way in which audio frames are carried.
type framing struct {
	sync byte
	make func() framer
}

func newADTS() framer      { return adts{} }
func newLATM() framer      { return &latm{} }
func newMPEGAudio() framer { return mpegAudio{} }
func newAC3() framer       { return ac3{} }
func newEAC3() framer      { return eac3{} }

// What may be meant where a PMT says the first of each: encoders name ADTS, LOAS and MPEG audio for each other, and AC-3 and
// E-AC-3.
var (
	framingsADTS = []framing{{0xFF, newADTS}, {0x56, newLATM}, {0xFF, newMPEGAudio}}
	framingsLATM = []framing{{0x56, newLATM}, {0xFF, newADTS}, {0xFF, newMPEGAudio}}
	framingsMPEG = []framing{{0xFF, newMPEGAudio}, {0xFF, newADTS}, {0x56, newLATM}}
	framingsAC3  = []framing{{0x0B, newAC3}, {0x0B, newEAC3}}
	framingsEAC3 = []framing{{0x0B, newEAC3}, {0x0B, newAC3}}
)

// framings are those to try for a stream of audio; nil: what the PMT says can't be mistaken.
func (s *stream) framings() []framing {
	switch {
	case s.codec == media.Opus:
		return nil
	case s.codec == media.AC3:
		return framingsAC3
	case s.codec == media.EAC3:
		return framingsEAC3
	case s.latm:
		return framingsLATM
	case s.codec == media.AAC:
		return framingsADTS
	default:
		return framingsMPEG
	}
}

// identify finds out how the frames look, and where the first one begins. It reports whether it did. What is passed over
// counts as one error.
func (a *audio) identify() bool {
	all := a.s.framings()
	for a.at < len(a.buf) {
		b := a.buf[a.at:]
		undecided := false
		for i := range all {
			if b[0] != all[i].sync {
				continue
			}
			f := all[i].make()
			switch chain(f, b, !a.ended) {
			case frameWhole:
				a.framer, a.passed = f, 0
				return true
			case frameShort:
				undecided = true
			}
		}
		if undecided && len(b) < maxSearch {
			return false
		}
		a.skip(func(b byte) bool { return slices.ContainsFunc(all, func(f framing) bool { return f.sync == b }) })
	}
	return false
}

// chain looks for enough headers that follow each other from the first byte of b. more: further bytes may follow that belong
// to the last frame.
func chain(f framer, b []byte, more bool) (state int) {
	key := uint64(0)
	for n := range headersWanted {
		if len(b) == 0 {
			return frameShort
		}
		h, state := f.frame(b, more)
		switch {
		case state != frameWhole:
			return state
		case h.size > maxAudioFrame || h.rate <= 0 || n > 0 && h.key != key:
			return frameBad
		case h.size > len(b) && n < headersWanted-1:
			return frameShort
		}
		key, b = h.key, b[min(h.size, len(b)):]
	}
	return frameWhole
}
