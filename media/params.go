package media

import (
	"encoding/binary"
	"fmt"
	"iter"
	mathbits "math/bits"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/eac3"

	"brume/media/h26x"
)

// Params is what a track's Config tells about it.
type Params struct {
	Width         int     // of the displayed picture, pixels
	Height        int     // pixels
	FrameRate     float64 // pictures per second (of interlaced H.264, frames); 0 where it is not told
	Interlaced    bool    // fields may occur
	VideoRange    string  // "PQ" or "HLG" (RFC 8216bis 4.4.6.2), "SDR", or empty where it is not told
	SampleRate    int     // hertz
	Channels      int     // 0 where it is not told
	Objects       int     // of E-AC-3: complexity index of the objects beside the channels (Dolby Atmos), 1 to 16; 0: it has none
	FrameDuration int64   // of an audio frame, 90 kHz ticks rounded down; 0 where it varies
	CodecString   string  // RFC 6381; empty for data
	Supplemental  string  // for those who know it: codec and brand of Dolby Vision, "dvh1.08.07/db4h"; empty where there is none
}

// Params reads the track's Config. Its content is taken as hostile; ErrConfig is
// returned for what can't be read. It allocates, and is meant for the set-up of a track.
func (t *Track) Params() (Params, error) {
	if len(t.Config) > MaxConfigSize {
		return Params{}, ErrConfig
	}
	switch t.Codec {
	case H264:
		return paramsH264(t.Config)
	case H265:
		p, err := paramsH265(t.Config)
		if err == nil {
			p.Supplemental, _ = t.doviNames()
		}
		return p, err
	case AAC:
		return paramsAAC(t.Config)
	case MP2, MP3:
		return paramsMPEGAudio(t.Config)
	case AC3:
		return paramsAC3(t.Config)
	case EAC3:
		return paramsEAC3(t.Config)
	case Opus:
		return paramsOpus(t.Config)
	case SCTE35, KLV, MPEGTS:
		return Params{}, nil
	default:
		return Params{}, fmt.Errorf("%w: codec %q is not known", ErrConfig, t.Codec)
	}
}

// NALUnits yields the units of the length-prefixed form that Config and Payload of H264
// and H265 have. A length that runs over the end ends it.
func NALUnits(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(b) >= 4 {
			n := binary.BigEndian.Uint32(b)
			if uint64(n) > uint64(len(b)-4) || !yield(b[4:4+n]) {
				return
			}
			b = b[4+n:]
		}
	}
}

func paramsH264(config []byte) (Params, error) {
	for nal := range NALUnits(config) {
		if len(nal) == 0 || nal[0]&0x1F != h26x.H264SPS {
			continue
		}
		s, err := h26x.ParseH264SPS(nal)
		if err != nil {
			return Params{}, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		return Params{
			Width: s.Width, Height: s.Height, FrameRate: s.FrameRate, Interlaced: s.Interlaced, VideoRange: videoRange(s.Transfer),
			// RFC 6381 3.3: profile_idc, constraint flags and level_idc in hexadecimal.
			CodecString: fmt.Sprintf("avc1.%02X%02X%02X", s.Profile, s.Constraints, s.Level),
		}, nil
	}
	return Params{}, fmt.Errorf("%w: no sequence parameter set", ErrConfig)
}

func paramsH265(config []byte) (Params, error) {
	for nal := range NALUnits(config) {
		if len(nal) == 0 || nal[0]>>1&0x3F != h26x.H265SPS {
			continue
		}
		s, err := h26x.ParseH265SPS(nal)
		if err != nil {
			return Params{}, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		return Params{
			Width: s.Width, Height: s.Height, FrameRate: s.FrameRate, Interlaced: s.Interlaced, VideoRange: videoRange(s.Transfer),
			CodecString: codecStringH265(&s),
		}, nil
	}
	return Params{}, fmt.Errorf("%w: no sequence parameter set", ErrConfig)
}

// videoRange names what transfer_characteristics say (ITU-T H.273 table 3).
func videoRange(transfer uint8) string {
	switch transfer {
	case 16:
		return "PQ"
	case 18:
		return "HLG"
	case 0, 2, 3: // reserved, unspecified
		return ""
	default:
		return "SDR"
	}
}

// codecStringH265 follows ISO/IEC 14496-15 annex E.3.
func codecStringH265(s *h26x.H265SPSInfo) string {
	space, tier := "", 'L'
	if s.Space > 0 {
		space = string(rune('A' + s.Space - 1))
	}
	if s.HighTier {
		tier = 'H'
	}
	str := fmt.Sprintf("hvc1.%s%d.%X.%c%d", space, s.Profile, mathbits.Reverse32(s.Compatibility), tier, s.Level)
	last := len(s.Constraints)
	for last > 0 && s.Constraints[last-1] == 0 {
		last--
	}
	for _, c := range s.Constraints[:last] {
		str += fmt.Sprintf(".%X", c)
	}
	return str
}

func paramsAAC(config []byte) (Params, error) {
	c, err := ParseAudioSpecificConfig(config)
	if err != nil {
		return Params{}, err
	}
	return audioParams(c.SampleRate, c.Channels, c.FrameSamples, fmt.Sprintf("mp4a.40.%d", c.ObjectType))
}

func paramsMPEGAudio(config []byte) (Params, error) {
	h, ok := ParseMPEGAudioHeader(config)
	if !ok {
		return Params{}, ErrConfig
	}
	// ISO/IEC 14496-3 table 1.17: object types 32 to 34 are layers I to III.
	return audioParams(h.SampleRate, h.Channels, h.Samples, fmt.Sprintf("mp4a.40.%d", 31+h.Layer))
}

func paramsAC3(config []byte) (Params, error) {
	var sync ac3.SyncInfo
	var bsi ac3.BSI
	if len(config) < 8 {
		return Params{}, ErrConfig
	}
	if err := sync.Unmarshal(config); err != nil {
		return Params{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := bsi.Unmarshal(config[5:]); err != nil {
		return Params{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return audioParams(sync.SampleRate(), bsi.ChannelCount(), 1536, "ac-3")
}

func paramsEAC3(config []byte) (Params, error) {
	var sync eac3.SyncInfo
	if err := sync.Unmarshal(config); err != nil {
		return Params{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	p, err := audioParams(sync.SampleRate(), sync.ChannelCount(), 1536, "ec-3")
	p.Objects = int(JOCComplexity(config))
	return p, err
}

// JOCComplexity is the complexity index in a Config of EAC3, 0 where it has none.
func JOCComplexity(config []byte) byte {
	if len(config) < 9 || config[8] > 16 {
		return 0
	}
	return config[8]
}

func paramsOpus(config []byte) (Params, error) {
	// RFC 7845 5.1 behind the magic: version, channel count, pre-skip, input rate, gain, mapping family.
	if len(config) < 11 || config[0]>>4 != 0 || config[1] == 0 {
		return Params{}, ErrConfig
	}
	return Params{SampleRate: 48000, Channels: int(config[1]), CodecString: "opus"}, nil
}

func audioParams(rate, channels, samples int, codec string) (Params, error) {
	if rate < 1 || rate > maxSampleRate {
		return Params{}, ErrConfig
	}
	return Params{
		SampleRate: rate, Channels: channels,
		FrameDuration: int64(samples) * ClockRate / int64(rate),
		CodecString:   codec,
	}, nil
}
