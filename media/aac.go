package media

import (
	"errors"

	"brume/media/bits"
)

// ErrConfig is returned for codec parameters that can't be read.
var ErrConfig = errors.New("codec parameters are not valid")

// maxSampleRate bounds a sample rate, in hertz.
const maxSampleRate = 768000

// SampleRatesAAC is the table of samplingFrequencyIndex (ISO/IEC 14496-3 table 1.18), in hertz.
var SampleRatesAAC = [13]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// AudioSpecificConfig is what is used of one (ISO/IEC 14496-3 1.6.2.1).
type AudioSpecificConfig struct {
	ObjectType   int // of the outermost coding told: 2 AAC LC, 5 SBR (HE-AAC), 29 PS (HE-AAC v2), ...
	SampleRate   int // of the output, hertz; with SBR told, the doubled one
	Channels     int // of the output; 0 where only a program config element tells
	FrameSamples int // per frame, at SampleRate
	Bits         int // length of the configuration, in bits, without the extension that may follow it

	core   int // object type of what SBR and PS are put around
	layout int // channelConfiguration (ISO/IEC 14496-3 table 1.19)
}

// ParseAudioSpecificConfig reads a configuration for the object types that share
// GASpecificConfig, which are those of broadcasting. b is all of it: SBR and PS may be told in an extension at its end
// (syncExtensionType), which decoders that know neither pass over.
func ParseAudioSpecificConfig(b []byte) (c AudioSpecificConfig, err error) {
	if c, err = ReadAudioSpecificConfig(b); err == nil {
		c.extend(&ascReader{bits.Reader{Data: b, Pos: c.Bits}})
	}
	return c, err
}

// extend reads the extension of a configuration.
func (c *AudioSpecificConfig) extend(r *ascReader) {
	if c.ObjectType == 5 || c.ObjectType == 29 || r.Read(11) != 0x2b7 || r.objectType() != 5 || !r.Flag() || r.Over() {
		return
	}
	rate := r.sampleRate()
	if r.Over() || rate < c.SampleRate || rate > 2*c.SampleRate || rate > maxSampleRate {
		return
	}
	c.ObjectType = 5
	c.FrameSamples = c.FrameSamples * rate / c.SampleRate
	c.SampleRate = rate
	if r.Read(11) == 0x548 && r.Flag() && !r.Over() {
		c.ObjectType = 29
		if c.Channels == 1 {
			c.Channels = 2
		}
	}
}

// ReadAudioSpecificConfig is ParseAudioSpecificConfig for a configuration of which only the beginning is known: AudioSpecificConfig.Bits
// says where it ends. Bits beyond it are left alone, an extension too.
func ReadAudioSpecificConfig(b []byte) (c AudioSpecificConfig, err error) {
	r := ascReader{bits.Reader{Data: b}}
	c.ObjectType = r.objectType()
	rate := r.sampleRate()
	channels := int(r.Read(4))
	core, outRate := c.ObjectType, rate
	if c.ObjectType == 5 || c.ObjectType == 29 {
		outRate = r.sampleRate()
		core = r.objectType()
	}
	if c.ObjectType == 29 && channels == 1 {
		c.Channels = 2 // parametric stereo
	} else {
		c.Channels = [16]int{0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8}[channels]
	}
	switch core {
	case 1, 2, 3, 4, 6, 7, 17, 19, 20, 22, 23:
		c.FrameSamples = 1024
		if r.Read(1) == 1 { // frameLengthFlag
			c.FrameSamples = 960
		}
		if core == 23 {
			c.FrameSamples /= 2 // low delay: 512 or 480
		}
		if r.Read(1) == 1 { // dependsOnCoreCoder
			r.Pos += 14
		}
		extension := r.Read(1)
		if channels == 0 {
			c.Channels, _ = r.programConfig()
		}
		if core == 6 || core == 20 {
			r.Pos += 3 // layerNr
		}
		if extension == 1 {
			if core == 22 {
				r.Pos += 5 + 11
			}
			if core == 17 || core == 19 || core == 20 || core == 23 {
				r.Pos += 3
			}
			r.Pos++ // extensionFlag3
		}
		if core >= 17 {
			r.Pos += 2 // epConfig
		}
	default:
		return c, ErrConfig
	}
	if r.Over() || rate < 1 || outRate < 1 || max(rate, outRate) > maxSampleRate {
		return c, ErrConfig
	}
	if outRate > rate {
		c.FrameSamples = c.FrameSamples * outRate / rate
	}
	c.SampleRate, c.Bits, c.core, c.layout = outRate, r.Pos, core, channels
	return c, nil
}

// ascReader reads the parts of an AudioSpecificConfig.
type ascReader struct{ bits.Reader }

func (r *ascReader) objectType() int {
	t := int(r.Read(5))
	if t == 31 {
		t = 32 + int(r.Read(6))
	}
	return t
}

func (r *ascReader) sampleRate() int {
	i := r.Read(4)
	if i == 15 {
		return int(r.Read(24))
	}
	if int(i) < len(SampleRatesAAC) {
		return SampleRatesAAC[i]
	}
	return 0
}

// programConfig reads a program_config_element (ISO/IEC 14496-3 4.4.1.1) and counts its
// channels. body is how many bits it has before its alignment.
func (r *ascReader) programConfig() (channels, body int) {
	start := r.Pos
	r.Pos += 4 + 2 + 4 // element_instance_tag, object_type, sampling_frequency_index
	front, side, back := int(r.Read(4)), int(r.Read(4)), int(r.Read(4))
	lfe, assoc, coupling := int(r.Read(2)), int(r.Read(3)), int(r.Read(4))
	for range 2 { // mono_mixdown, stereo_mixdown
		if r.Read(1) == 1 {
			r.Pos += 4
		}
	}
	if r.Read(1) == 1 { // matrix_mixdown_idx_present
		r.Pos += 3
	}
	for range front + side + back {
		channels += 1 + int(r.Read(1)) // is_cpe
		r.Pos += 4
	}
	r.Pos += 4*lfe + 4*assoc + 5*coupling
	body = r.Pos - start
	r.Pos = (r.Pos + 7) &^ 7
	r.Pos += 8 * int(r.Read(8)) // comment_field_data
	return channels + lfe, body
}

// ADTSConfig makes an AudioSpecificConfig from an ADTS frame whose header has head bytes
// (ISO/IEC 14496-3 1.A.2.2). Where the header does not tell the channels, the program
// config element that begins the frame does; nil is returned if there is none.
func ADTSConfig(frame []byte, head int) []byte {
	if len(frame) < head || head < 7 {
		return nil
	}
	object, rate := uint16(frame[2]>>6)+1, uint16(frame[2]>>2&15)
	channels := uint16(frame[2]&1)<<2 | uint16(frame[3]>>6)
	config := object<<11 | rate<<7 | channels<<3 // and a GASpecificConfig of zeros
	b := []byte{byte(config >> 8), byte(config)}
	if channels != 0 {
		return b
	}
	const idPCE = 5 // id_syn_ele
	r := ascReader{bits.Reader{Data: frame[head:]}}
	if r.Read(3) != idPCE {
		return nil
	}
	start := r.Pos
	_, body := r.programConfig()
	if r.Over() {
		return nil
	}
	// The two bytes before it are whole, so that its alignment is the same again. The comment
	// is left out.
	r.Pos = start
	b = r.AppendBytes(b, (body+7)/8)
	if body%8 != 0 {
		b[len(b)-1] &= 0xFF << (8 - body%8)
	}
	return append(b, 0) // comment_field_bytes
}
