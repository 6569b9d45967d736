// Package fmp4 writes fragmented MP4 with one track a file, as CMAF has it (ISO/IEC 23000-19): an
// initialization section, and fragments of one moof and one mdat.
package fmp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"brume/media"
)

// ErrMalformed means that a sample's NAL units don't fit its length.
var ErrMalformed = errors.New("malformed access unit")

// Sample is the timing of one access unit in a fragment.
type Sample struct {
	Duration     uint32 // 90 kHz ticks
	CTO          int32  // composition time offset: PTS minus DTS, 90 kHz ticks
	RandomAccess bool   // a sync sample: it can be decoded without any before it (ISO/IEC 14496-12 8.6.2)
}

// Fragment is the timing of a moof and its mdat.
type Fragment struct {
	Sequence uint32 // mfhd sequence_number
	BaseTime uint64 // tfdt baseMediaDecodeTime, 90 kHz ticks
	Samples  []Sample
}

// Sizes of the boxes of a moof with one traf (ISO/IEC 14496-12 8.8).
const (
	mfhdSize   = 16
	tfhdSize   = 16
	tfdtSize   = 20
	trunSize   = 20
	sampleSize = 16
	moofSize   = 8 + mfhdSize + 8 + tfhdSize + tfdtSize + trunSize
	mdatHeader = 8
)

// Flags of a sample (ISO/IEC 14496-12 8.8.3.1).
const (
	flagsSync    = 0x02000000 // depends on no other
	flagsNonSync = 0x01010000 // depends on others, is no sync sample
)

// Append adds the fragment to dst. payload is called for each sample in order; it appends the sample's access unit, in the
// form of its codec, to the slice it is given and returns it. Access unit delimiters and filler of H.264 and H.265 are left out of
// the samples.
//
// After an error dst is returned as it was. The error is payload's own, or ErrMalformed.
func Append(dst []byte, t *media.Track, f *Fragment, payload func(i int, dst []byte) ([]byte, error)) ([]byte, error) {
	start := len(dst)
	header := moofSize + sampleSize*len(f.Samples) + mdatHeader
	dst = grow(dst, header)
	b := dst[start:]
	clear(b)
	trun := writeMoof(b, f)

	drop := droppedTypes(t.Codec)
	for i := range f.Samples {
		at := len(dst)
		next, err := payload(i, dst)
		if err != nil {
			return dst[:start], err // next may be anything
		}
		if len(next) < at {
			return dst[:start], fmt.Errorf("%w: shrunk by its reader", ErrMalformed)
		}
		dst = next
		if drop != nil {
			n, ok := compact(dst[at:], drop)
			if !ok {
				return dst[:start], ErrMalformed
			}
			dst = dst[:at+n]
		}
		if uint64(len(dst)-start) > math.MaxInt32 {
			return dst[:start], fmt.Errorf("%w: fragment over 2 GiB", ErrMalformed)
		}
		writeSample(dst[start+trun+sampleSize*i:], &f.Samples[i], len(dst)-at)
	}
	mdat := dst[start+header-mdatHeader:]
	binary.BigEndian.PutUint32(mdat, uint32(len(mdat)))
	copy(mdat[4:], "mdat")
	return dst, nil
}

func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst[:len(dst)+n]
	}
	return append(dst, make([]byte, n)...)
}

// writeMoof fills in all but the samples and returns where they begin.
func writeMoof(b []byte, f *Fragment) int {
	n := len(f.Samples)
	size := moofSize + sampleSize*n
	at := box(b, 0, size, "moof")
	at = box(b, at, mfhdSize, "mfhd")
	binary.BigEndian.PutUint32(b[at+4:], f.Sequence)
	at += mfhdSize - 8
	at = box(b, at, size-8-mfhdSize, "traf")
	at = box(b, at, tfhdSize, "tfhd")
	binary.BigEndian.PutUint32(b[at:], 0x020000) // default-base-is-moof
	binary.BigEndian.PutUint32(b[at+4:], trackID)
	at += tfhdSize - 8
	at = box(b, at, tfdtSize, "tfdt")
	b[at] = 1 // 64-bit time
	binary.BigEndian.PutUint64(b[at+4:], f.BaseTime)
	at += tfdtSize - 8
	at = box(b, at, trunSize+sampleSize*n, "trun")
	// Version 1 has signed offsets; data offset, sample duration, size, flags and composition offset present.
	binary.BigEndian.PutUint32(b[at:], 0x01000f01)
	binary.BigEndian.PutUint32(b[at+4:], uint32(n))
	binary.BigEndian.PutUint32(b[at+8:], uint32(size+mdatHeader))
	return at + 12
}

// box writes a box header and returns where its body begins.
func box(b []byte, at, size int, kind string) int {
	binary.BigEndian.PutUint32(b[at:], uint32(size))
	copy(b[at+4:], kind)
	return at + 8
}

func writeSample(b []byte, s *Sample, size int) {
	flags := uint32(flagsNonSync)
	if s.RandomAccess {
		flags = flagsSync
	}
	binary.BigEndian.PutUint32(b, s.Duration)
	binary.BigEndian.PutUint32(b[4:], uint32(size))
	binary.BigEndian.PutUint32(b[8:], flags)
	binary.BigEndian.PutUint32(b[12:], uint32(s.CTO))
}

// droppedTypes tells which NAL unit types stay out of a sample: delimiters, ends and filler. Parameter sets stay in, beside those of
// the initialization section: there are players that don't read a second one after a change of the picture's size.
func droppedTypes(c media.Codec) func(header byte) bool {
	switch c {
	case media.H264:
		return func(h byte) bool {
			t := h & 0x1f
			return t >= 9 && t <= 12
		}
	case media.H265:
		return func(h byte) bool {
			t := h >> 1 & 0x3f
			return t >= 35 && t <= 38
		}
	}
	return nil
}

// compact walks length-prefixed NAL units and closes the gaps of those that are dropped. Runs that are kept
// are moved once, and only when something was dropped before them.
func compact(b []byte, drop func(byte) bool) (int, bool) {
	out, run := 0, 0 // what is final; where the run of kept units begins
	at := 0
	for at < len(b) {
		if len(b)-at < 4 {
			return 0, false
		}
		n := int64(binary.BigEndian.Uint32(b[at:]))
		if n > int64(len(b)-at-4) {
			return 0, false
		}
		next := at + 4 + int(n)
		if n == 0 || drop(b[at+4]) {
			out += move(b, out, run, at)
			run = next
		}
		at = next
	}
	return out + move(b, out, run, at), true
}

func move(b []byte, to, from, end int) int {
	if to != from {
		copy(b[to:], b[from:end])
	}
	return end - from
}
