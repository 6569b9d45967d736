package mpegts

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
)

// FuzzMuxer writes what the input says: for each unit a track, a step of the clock, flags, a length and the payload. What comes
// out has to be a whole stream with counters that run on.
func FuzzMuxer(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 10, 1, 9, 0, 0, 0, 5, 0x65, 1, 2, 3, 4, 1, 10, 0, 3, 1, 2, 3})
	f.Add([]byte{0, 10, 1, 9, 0, 0, 0, 6, 0x65, 1, 2, 3, 4, 4, 255, 2, 4, 0xfc, 0x30, 1, 0})
	f.Add([]byte{3, 10, 3, 200, 1, 2, 5, 200, 4, 0, 2, 255, 0, 1})
	tracks := []media.Track{h264Track, aacTrack, h265Track, opusTrack, scte35Track, klvTrack, {Codec: "vp9"}}
	f.Fuzz(func(t *testing.T, in []byte) {
		m := newMuxer(t, tracks...)
		var out []byte
		dts, begin := int64(-50000), 0
		for n := 0; len(in) >= 4 && n < 64; n++ {
			p := media.Packet{Track: int(in[0]) % (len(tracks) + 1), RandomAccess: in[2]&1 != 0}
			dts += int64(int8(in[1])) * 900
			if in[2]&8 != 0 && len(in) >= 12 {
				dts = int64(binary.BigEndian.Uint64(in[4:]))
			}
			p.DTS, p.PTS = dts, dts+int64(in[2]>>4)*1800
			size := int(in[3])
			if in[2]&4 != 0 {
				size *= 300
			}
			in = in[4:]
			if k := min(size, len(in)); k < size {
				p.Payload = make([]byte, size) // zeros behind what is there
				copy(p.Payload, in[:k])
				in = in[k:]
			} else {
				p.Payload, in = in[:size], in[size:]
			}
			if p.RandomAccess && p.Track == 0 {
				checkContinuity(t, parsePackets(t, out[begin:]), true)
				begin = len(out)
				m.Reset()
			}
			before := len(out)
			var err error
			out, err = m.WritePacket(out, &p)
			if err != nil {
				require.True(t, errors.Is(err, ErrMalformed))
				require.Len(t, out, before)
			}
		}
		all := parsePackets(t, out[begin:])
		checkContinuity(t, all, true)
		for pid := uint16(firstPID); pid < firstPID+6; pid++ {
			if pid != firstPID+4 {
				parsePES(t, all, pid)
			}
		}
	})
}
