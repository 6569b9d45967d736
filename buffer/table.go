package buffer

import (
	"encoding/binary"
	"fmt"

	"brume/media"
)

const maxCodecName = 16

// A track table: the number of tracks, then for each codec, language, role and Dolby Vision behind a length byte,
// PID, and the configuration behind a 16-bit length. Little endian, like all of the file.

// appendTable encodes tracks. A language that is not three letters is left out, and so is a role that is not known.
func appendTable(dst []byte, tracks []media.Track) ([]byte, error) {
	if len(tracks) == 0 || len(tracks) > media.MaxTracks {
		return nil, fmt.Errorf("%w: %d of them, 1 to %d are possible", ErrTracks, len(tracks), media.MaxTracks)
	}
	dst = append(dst, byte(len(tracks)))
	for i := range tracks {
		t := &tracks[i]
		if !validCodec(string(t.Codec)) {
			return nil, fmt.Errorf("%w: codec %.32q", ErrTracks, t.Codec)
		}
		if len(t.Config) > media.MaxConfigSize {
			return nil, fmt.Errorf("%w: configuration of %d bytes", ErrTracks, len(t.Config))
		}
		language := t.Language
		if !media.IsLanguage(language) {
			language = ""
		}
		role := t.Role
		if !role.Known() {
			role = ""
		}
		dovi := ""
		if len(t.DolbyVision) == media.DolbyVisionSize {
			dovi = string(t.DolbyVision)
		}
		for _, text := range []string{string(t.Codec), language, string(role), dovi} {
			dst = append(dst, byte(len(text)))
			dst = append(dst, text...)
		}
		dst = binary.LittleEndian.AppendUint16(dst, t.PID)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(t.Config)))
		dst = append(dst, t.Config...)
	}
	if len(dst) > tableSize {
		return nil, fmt.Errorf("%w: track table of %d bytes, %d are possible", ErrTooLarge, len(dst), tableSize)
	}
	return dst, nil
}

// parseTable decodes a private copy of a track table. The tracks share memory with it.
func parseTable(b []byte) ([]media.Track, error) {
	bad := false
	take := func(n int) []byte {
		if bad || n > len(b) {
			bad = true
			return nil
		}
		v := b[:n:n]
		b = b[n:]
		return v
	}
	number := func(size int) int {
		v := take(size)
		switch {
		case v == nil:
			return 0
		case size == 1:
			return int(v[0])
		default:
			return int(binary.LittleEndian.Uint16(v))
		}
	}
	n := number(1)
	if n == 0 || n > media.MaxTracks {
		return nil, fmt.Errorf("%w: table of %d tracks", ErrCorrupt, n)
	}
	tracks := make([]media.Track, n)
	for i := range tracks {
		t := &tracks[i]
		t.Codec = media.Codec(take(number(1)))
		t.Language = string(take(number(1)))
		t.Role = media.TrackRole(take(number(1)))
		if dovi := take(number(1)); len(dovi) > 0 {
			t.DolbyVision = dovi
		}
		t.PID = uint16(number(2))
		size := number(2)
		if config := take(size); size > 0 {
			t.Config = config
		}
		if bad || size > media.MaxConfigSize || !validCodec(string(t.Codec)) || !media.IsLanguage(t.Language) || !t.Role.Known() ||
			len(t.DolbyVision) != 0 && len(t.DolbyVision) != media.DolbyVisionSize {
			return nil, fmt.Errorf("%w: track %d", ErrCorrupt, i)
		}
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last track", ErrCorrupt, len(b))
	}
	return tracks, nil
}

func validCodec(s string) bool {
	if s == "" || len(s) > maxCodecName {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
