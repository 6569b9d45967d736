package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
)

// TestRates writes the same amounts before every look. The rates are right from the first look on, whatever tracks the stream
// has, and bytes_in counts once what came.
func TestRates(t *testing.T) {
	const unit, multiplex = 100, 188
	audio := media.Track{Codec: media.MP2, PID: 257, Config: []byte{0xff, 0xfd, 0xa4, 0x04}}
	for _, c := range []struct {
		name    string
		tracks  []media.Track
		bytesIn int // of one look
	}{
		{"media", []media.Track{audio}, unit},
		{"nothing but the transport stream as it came", []media.Track{{Codec: media.MPEGTS}}, multiplex},
		{"both", []media.Track{audio, {Codec: media.MPEGTS}}, multiplex},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			d.admitted(1, "publish:live")
			s := d.streams["live"]
			w, err := buffer.OpenWriter(s.rw)
			require.NoError(t, err)
			now := time.Now()
			w.SetTime(now)
			require.NoError(t, w.BeginEpoch(c.tracks))
			for n := range 2 * rateWindow {
				now = now.Add(monitorInterval)
				w.SetTime(now)
				for i, track := range c.tracks {
					size := unit
					if track.Codec == media.MPEGTS {
						size = multiplex
					}
					at := int64(n) * 22500
					require.NoError(t, w.WritePacket(&media.Packet{Track: i, DTS: at, PTS: at, RandomAccess: true, Payload: make([]byte, size)}))
				}
				w.Commit()
				s.look(now)
				v := s.view()
				require.EqualValues(t, (n+1)*c.bytesIn, v.BytesIn)
				for _, track := range v.Tracks {
					require.EqualValues(t, unit*8*4, track.Bitrate, "look %d", n)
				}
				if v.Raw {
					require.EqualValues(t, multiplex*8*4, v.RawBitrate, "look %d", n)
				}
			}
			require.NoError(t, w.Close())
		})
	}
}
