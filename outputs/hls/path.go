package hls

import (
	"strconv"
	"strings"

	"brume/media"
	"brume/outputs/fmp4"
	"brume/outputs/mpegts"
)

// Carried tells in which form a codec can be delivered.
type Carried struct {
	FMP4 bool // at index.m3u8
	TS   bool // at ts/index.m3u8
}

// CanCarry tells in which form a codec can be delivered. SCTE-35 counts as carried in fMP4 too: it
// becomes EXT-X-DATERANGE there.
func CanCarry(codec media.Codec) Carried {
	return Carried{FMP4: fmp4.Supports(codec) || codec == media.SCTE35, TS: mpegts.Supports(codec)}
}

// Kind is what a path names.
type Kind string

// The kinds of resources.
const (
	KindMultivariant Kind = "multivariant"
	KindPlaylist     Kind = "playlist" // media playlists
	KindSegment      Kind = "segment"
	KindPart         Kind = "part"
	KindInit         Kind = "init"
	KindOther        Kind = "other" // none of the others: always 404
)

// KindOf tells what a path below /hls/{stream}/ names, whether it exists or not.
func KindOf(path string) Kind { return parsePath(path).kind }

// tsID stands in the place of a rendition's id for the muxed transport stream.
const tsID = "ts"

// target is a parsed path.
type target struct {
	kind    Kind
	id      string // rendition, or tsID; empty for the fMP4 multivariant playlist
	epoch   uint64
	segment uint64
	part    uint32
}

// parsePath takes a path apart. Only the one spelling that playlists use is understood.
func parsePath(path string) target {
	other := target{kind: KindOther}
	if len(path) > 80 {
		return other
	}
	if path == "index.m3u8" {
		return target{kind: KindMultivariant}
	}
	id, name, ok := strings.Cut(path, "/")
	if !ok || id != tsID && !validID(id) {
		return other
	}
	t := target{id: id}
	var numbers, segmentSuffix string
	if id == tsID {
		segmentSuffix = ".ts"
		switch name {
		case "index.m3u8":
			t.kind = KindMultivariant
			return t
		case "media.m3u8":
			t.kind = KindPlaylist
			return t
		}
	} else {
		segmentSuffix = ".m4s"
		if name == "index.m3u8" {
			t.kind = KindPlaylist
			return t
		}
		if numbers, ok = between(name, "init-", ".mp4"); ok {
			if t.epoch, ok = number(numbers, 64); ok {
				t.kind = KindInit
				return t
			}
			return other
		}
		if numbers, ok = between(name, "part-", ".m4s"); ok {
			numbers, part, found := strings.Cut(numbers, ".")
			p, ok := number(part, 32)
			if found && ok && t.numbers(numbers) {
				t.kind, t.part = KindPart, uint32(p)
				return t
			}
			return other
		}
	}
	if numbers, ok = between(name, "seg-", segmentSuffix); ok && t.numbers(numbers) {
		t.kind = KindSegment
		return t
	}
	return other
}

// numbers reads an epoch and a segment number.
func (t *target) numbers(s string) bool {
	epoch, segment, _ := strings.Cut(s, "-")
	var ok1, ok2 bool
	t.epoch, ok1 = number(epoch, 64)
	t.segment, ok2 = number(segment, 64)
	return ok1 && ok2
}

func between(s, prefix, suffix string) (string, bool) {
	s, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(s, suffix)
}

// number reads a number without leading zeros or a sign.
func number(s string, bits int) (uint64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 10, bits)
	return v, err == nil
}

// validID tells whether a rendition could have this id: v or a and its position among the tracks of its kind.
func validID(id string) bool {
	if len(id) < 2 || id[0] != 'v' && id[0] != 'a' {
		return false
	}
	n, ok := number(id[1:], 8)
	return ok && n < media.MaxTracks
}
