package media

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLead(t *testing.T) {
	for _, c := range []struct {
		name   string
		codecs []Codec
		want   int
		among  int // of those that are not H.264
	}{
		{"video first", []Codec{H264, AAC}, 0, 1},
		{"video second", []Codec{AAC, H265}, 1, 1},
		{"two of video", []Codec{H264, H265}, 0, 1},
		{"audio only", []Codec{SCTE35, AAC, MP2}, 1, 1},
		{"data only", []Codec{SCTE35, KLV}, 0, 0},
		{"the stream as it came", []Codec{MPEGTS, SCTE35}, 1, 1},
		{"nothing else", []Codec{MPEGTS}, -1, -1},
		{"none", nil, -1, -1},
		{"none among those", []Codec{H264}, 0, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all []Track
			for _, codec := range c.codecs {
				all = append(all, Track{Codec: codec})
			}
			require.Equal(t, c.want, Lead(all, nil))
			require.Equal(t, c.among, Lead(all, func(i int) bool { return all[i].Codec != H264 }))
		})
	}
}
