package fmp4

import (
	"encoding/binary"
	"errors"
	"fmt"

	"brume/media"
)

// ErrUnsupported means that a track's codec has no place in the file.
var ErrUnsupported = errors.New("codec is not carried in fMP4")

// trackID is the only track's.
const trackID = 1

// Supports tells whether a codec can be carried.
func Supports(c media.Codec) bool {
	switch c {
	case media.H264, media.H265, media.AAC, media.MP2, media.MP3, media.AC3, media.EAC3, media.Opus:
		return true
	}
	return false
}

// boxes builds nested boxes.
type boxes struct{ b []byte }

func (w *boxes) box(kind string, body func()) {
	at := len(w.b)
	w.u32(0)
	w.b = append(w.b, kind...)
	body()
	binary.BigEndian.PutUint32(w.b[at:], uint32(len(w.b)-at))
}

// full is a box with version and flags.
func (w *boxes) full(kind string, version byte, flags uint32, body func()) {
	w.box(kind, func() {
		w.u32(uint32(version)<<24 | flags)
		body()
	})
}

func (w *boxes) u8(v ...byte)    { w.b = append(w.b, v...) }
func (w *boxes) u16(v ...uint16) { w.b = appendEach(w.b, v, binary.BigEndian.AppendUint16) }
func (w *boxes) u32(v ...uint32) { w.b = appendEach(w.b, v, binary.BigEndian.AppendUint32) }
func (w *boxes) zero(n int)      { w.b = append(w.b, make([]byte, n)...) }

func appendEach[T any](b []byte, values []T, add func([]byte, T) []byte) []byte {
	for _, v := range values {
		b = add(b, v)
	}
	return b
}

// Init returns the initialization section of a file with this one track: ftyp and moov. The same track always gives the same bytes.
// It fails with ErrUnsupported, or when Track.Config can't be read.
func Init(t *media.Track) ([]byte, error) {
	if !Supports(t.Codec) {
		return nil, fmt.Errorf("%w: %s", ErrUnsupported, t.Codec)
	}
	e, err := sampleEntry(t)
	if err != nil {
		return nil, fmt.Errorf("describe the %s track: %w", t.Codec, err)
	}
	w := &boxes{}
	w.box("ftyp", func() {
		w.b = append(w.b, "iso6"...)
		w.u32(0)
		w.b = append(w.b, "iso6cmfcmp41"+t.Brand()...)
	})
	w.box("moov", func() {
		w.full("mvhd", 0, 0, func() {
			w.u32(0, 0, media.ClockRate, 0)
			w.u32(0x00010000) // rate
			w.u16(0x0100, 0)  // volume
			w.zero(8)
			w.matrix()
			w.zero(24)
			w.u32(trackID + 1)
		})
		w.box("trak", func() { w.trak(t, e) })
		w.box("mvex", func() {
			w.full("trex", 0, 0, func() { w.u32(trackID, 1, 0, 0, 0) })
		})
	})
	return w.b, nil
}

func (w *boxes) matrix() { w.u32(0x00010000, 0, 0, 0, 0x00010000, 0, 0, 0, 0x40000000) }

func (w *boxes) trak(t *media.Track, e *entry) {
	video := t.Codec.Kind() == media.Video
	w.full("tkhd", 0, 7, func() {
		w.u32(0, 0, trackID, 0, 0)
		w.zero(8)
		w.u16(0, 0)
		if video {
			w.u16(0, 0)
		} else {
			w.u16(0x0100, 0)
		}
		w.matrix()
		w.u32(e.displayWidth<<16, e.displayHeight<<16)
	})
	w.box("mdia", func() {
		w.full("mdhd", 0, 0, func() {
			w.u32(0, 0, media.ClockRate, 0)
			w.u16(language(t.Language), 0)
		})
		handler, name := "soun", "sound\x00"
		if video {
			handler, name = "vide", "video\x00"
		}
		w.full("hdlr", 0, 0, func() {
			w.u32(0)
			w.b = append(w.b, handler...)
			w.zero(12)
			w.b = append(w.b, name...)
		})
		w.box("minf", func() {
			if video {
				w.full("vmhd", 0, 1, func() { w.zero(8) })
			} else {
				w.full("smhd", 0, 0, func() { w.zero(4) })
			}
			w.box("dinf", func() {
				w.full("dref", 0, 0, func() {
					w.u32(1)
					w.full("url ", 0, 1, func() {})
				})
			})
			w.box("stbl", func() {
				w.full("stsd", 0, 0, func() {
					w.u32(1)
					w.box(e.kind, func() { e.write(w) })
				})
				w.full("stts", 0, 0, func() { w.u32(0) })
				w.full("stsc", 0, 0, func() { w.u32(0) })
				w.full("stsz", 0, 0, func() { w.u32(0, 0) })
				w.full("stco", 0, 0, func() { w.u32(0) })
			})
		})
	})
}

// language packs three letters into 15 bits (ISO/IEC 14496-12 8.4.2.3).
func language(s string) uint16 {
	if s == "" || !media.IsLanguage(s) {
		s = "und"
	}
	var v uint16
	for i := range 3 {
		v = v<<5 | uint16(s[i]-0x60)
	}
	return v
}
