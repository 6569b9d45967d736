package h26x

import (
	"bytes"
	"encoding/hex"
	"strconv"
)

// SEI is what is used of the messages of one SEI NAL unit (ITU-T H.264 annex D, H.265 annex D).
type SEI struct {
	// Recovery reports whether there is a recovery point message (payloadType 6).
	Recovery bool
	// RecoveryCount is after how many pictures the output is right: recovery_frame_cnt of H.264, in frames in decoding
	// order; recovery_poc_cnt of H.265, in pictures in output order, 0 where that is negative.
	RecoveryCount uint32
	// KeyframeInterval is the longest distance of key frames, in frames, that the options of x264 or x265 name. It is set
	// only where the encoder cuts at scene changes, so that key frames come earlier than that, too. 0: not known.
	KeyframeInterval int
}

// The values of payloadType.
const (
	seiUserData      = 5
	seiRecoveryPoint = 6
)

const (
	maxMessages = 32   // of one NAL unit; further ones are of no interest
	maxOptions  = 4096 // bytes of an encoder's options
)

// The uuid_iso_iec_11578 of the messages in which the encoders tell their options.
var (
	uuidX264, _ = hex.DecodeString("dc45e9bde6d948b7962cd820d923eeef")
	uuidX265, _ = hex.DecodeString("2ca2de09b51747dbbb55a4fe7fc2fc4e")
)

// ParseH264SEI reads an SEI NAL unit, header included. What can't be read is left out.
func ParseH264SEI(nal []byte) SEI { return parseSEI(nal, 1) }

// ParseH265SEI reads a prefix SEI NAL unit, header included. What can't be read is left out.
func ParseH265SEI(nal []byte) SEI { return parseSEI(nal, 2) }

func parseSEI(nal []byte, header int) (s SEI) {
	if len(nal) <= header {
		return s
	}
	r := NewReader(nal[header:])
	for range maxMessages {
		kind, size := seiValue(&r), seiValue(&r)
		if r.Err() {
			return s
		}
		payload := r
		switch kind {
		case seiRecoveryPoint:
			n := payload.UE()
			if header == 2 { // se(v): odd codes are positive (ITU-T H.265 9.2.2)
				n = (n + 1) / 2 * (n & 1)
			}
			if !payload.Err() {
				s.Recovery, s.RecoveryCount = true, n
			}
		case seiUserData:
			if n := encoderInterval(&payload, size); n > 0 {
				s.KeyframeInterval = n
			}
		}
		r.Skip(8 * size)
		if r.pos >= len(r.b)-1 { // only the stop bit is left
			return s
		}
	}
	return s
}

// seiValue reads payloadType or payloadSize (ITU-T H.264 7.3.2.3.1).
func seiValue(r *Reader) (v int) {
	for {
		b := int(r.Bits(8))
		v += b
		if b != 0xFF || r.Err() {
			return v
		}
	}
}

// encoderInterval reads the options in a message of x264 or x265.
func encoderInterval(r *Reader, size int) int {
	if size <= len(uuidX264) {
		return 0
	}
	var uuid [16]byte
	for i := range uuid {
		uuid[i] = byte(r.Bits(8))
	}
	if !bytes.Equal(uuid[:], uuidX264) && !bytes.Equal(uuid[:], uuidX265) {
		return 0
	}
	var room [maxOptions]byte
	text := room[:min(size-len(uuid), maxOptions)]
	for i := range text {
		text[i] = byte(r.Bits(8))
	}
	interval, cuts := 0, false
	for field := range bytes.FieldsSeq(text) {
		name, value, _ := bytes.Cut(field, []byte("="))
		switch string(name) {
		case "keyint": // "infinite" of x264 and 2147483647 of x265 are no interval
			if n, err := strconv.Atoi(string(value)); err == nil && n > 0 && n < 1<<20 {
				interval = n
			}
		case "scenecut":
			n, err := strconv.Atoi(string(value))
			cuts = err == nil && n > 0
		}
	}
	if !cuts {
		return 0
	}
	return interval
}
