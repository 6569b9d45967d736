package media

// MPEGAudioHeader is the header of an MPEG audio frame (ISO/IEC 11172-3 2.4.1.3,
// ISO/IEC 13818-3 2.4.1, and MPEG-2.5).
type MPEGAudioHeader struct {
	Layer      int // 1 to 3
	SampleRate int // hertz
	Channels   int
	Samples    int // per frame
	Size       int // of the frame with its header, bytes
}

// kbit/s by bitrate_index: layers I, II, III of MPEG-1, then layer I and layers II and III of MPEG-2.
var bitratesMPEGAudio = [5][15]uint16{
	{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
}

// ParseMPEGAudioHeader reads the first 4 bytes of a frame. The free format is refused.
func ParseMPEGAudioHeader(b []byte) (h MPEGAudioHeader, ok bool) {
	if len(b) < 4 || b[0] != 0xFF || b[1]&0xE0 != 0xE0 {
		return h, false
	}
	version, layer := b[1]>>3&3, b[1]>>1&3 // version: 0 is 2.5, 2 is MPEG-2, 3 is MPEG-1
	rate, index := b[2]>>4, b[2]>>2&3
	if version == 1 || layer == 0 || rate == 0 || rate == 15 || index == 3 {
		return h, false
	}
	h.Layer = 4 - int(layer)
	h.SampleRate = [3]int{44100, 48000, 32000}[index]
	row := h.Layer - 1
	switch version {
	case 2:
		h.SampleRate /= 2
	case 0:
		h.SampleRate /= 4
	}
	if version != 3 {
		row = 3 + min(row, 1)
	}
	h.Channels = 2
	if b[3]>>6 == 3 {
		h.Channels = 1
	}
	bits, padding := 1000*int(bitratesMPEGAudio[row][rate]), int(b[2]>>1&1)
	switch {
	case h.Layer == 1:
		h.Samples = 384
		h.Size = (12*bits/h.SampleRate + padding) * 4
	case h.Layer == 3 && version != 3:
		h.Samples = 576
		h.Size = 72*bits/h.SampleRate + padding
	default:
		h.Samples = 1152
		h.Size = 144*bits/h.SampleRate + padding
	}
	return h, true
}
