package fmp4

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"brume/media"
)

var errConfig = errors.New("codec parameters can't be read")

// entry is a sample description (ISO/IEC 14496-12 8.5.2).
type entry struct {
	kind                        string
	displayWidth, displayHeight uint32
	write                       func(w *boxes)
}

func sampleEntry(t *media.Track) (*entry, error) {
	switch t.Codec {
	case media.H264:
		return avc(t.Config)
	case media.H265:
		return hevc(t)
	case media.AAC:
		return aac(t.Config)
	case media.MP2, media.MP3:
		return mpegAudio(t)
	case media.AC3:
		return ac3(t.Config)
	case media.EAC3:
		return eac3(t.Config)
	default:
		return opus(t.Config)
	}
}

// parameterSets splits a Config of H.264 or H.265.
func parameterSets(config []byte) ([][]byte, error) {
	var all [][]byte
	for len(config) > 0 {
		if len(config) < 4 {
			return nil, errConfig
		}
		n := int64(binary.BigEndian.Uint32(config))
		if n < 3 || n > int64(len(config)-4) || n > 0xffff {
			return nil, errConfig
		}
		all = append(all, config[4:4+n])
		config = config[4+n:]
	}
	return all, nil
}

// picture is what both video entries share.
type picture struct {
	width, height       int
	sarWidth, sarHeight uint32
	primaries, transfer uint8
	matrix              uint8
	colour, fullRange   bool
}

// aspects are the sample aspect ratios by their number (Rec. ITU-T H.264 table E-1).
var aspects = [...][2]uint32{
	{1, 1}, {1, 1}, {12, 11}, {10, 11}, {16, 11}, {40, 33}, {24, 11}, {20, 11}, {32, 11}, {80, 33}, {18, 11}, {15, 11}, {64, 33}, {160, 99}, {4, 3}, {3, 2}, {2, 1},
}

func (p *picture) aspect(present bool, idc uint8, w, h uint16) {
	p.sarWidth, p.sarHeight = 1, 1
	switch {
	case !present:
	case idc == 255 && w > 0 && h > 0:
		p.sarWidth, p.sarHeight = uint32(w), uint32(h)
	case int(idc) < len(aspects):
		p.sarWidth, p.sarHeight = aspects[idc][0], aspects[idc][1]
	}
}

func (p *picture) entry(kind string, config func(w *boxes)) *entry {
	e := &entry{kind: kind, displayHeight: uint32(p.height)}
	e.displayWidth = uint32(uint64(p.width) * uint64(p.sarWidth) / uint64(p.sarHeight) & 0xffff)
	e.write = func(w *boxes) {
		w.zero(6)
		w.u16(1) // data_reference_index
		w.zero(16)
		w.u16(uint16(p.width), uint16(p.height))
		w.u32(0x00480000, 0x00480000, 0) // 72 dpi
		w.u16(1)                         // frame_count
		w.zero(32)
		w.u16(24, 0xffff)
		config(w)
		if p.sarWidth != p.sarHeight {
			w.box("pasp", func() { w.u32(p.sarWidth, p.sarHeight) })
		}
		if p.colour {
			w.box("colr", func() {
				w.b = append(w.b, "nclx"...)
				w.u16(uint16(p.primaries), uint16(p.transfer), uint16(p.matrix))
				w.u8(boolBit(p.fullRange, 7))
			})
		}
	}
	return e
}

func boolBit(v bool, bit int) byte {
	if v {
		return 1 << bit
	}
	return 0
}

// avc is an AVCSampleEntry (ISO/IEC 14496-15 5.4.2).
func avc(config []byte) (*entry, error) {
	sets, err := parameterSets(config)
	if err != nil {
		return nil, err
	}
	var all [2][][]byte
	for _, s := range sets {
		switch s[0] & 0x1f {
		case 7:
			all[0] = append(all[0], s)
		case 8:
			all[1] = append(all[1], s)
		}
	}
	if len(all[0]) == 0 || len(all[1]) == 0 || len(all[0]) > 31 || len(all[1]) > 255 || len(all[0][0]) < 4 {
		return nil, errConfig
	}
	first := all[0][0]
	var sps h264.SPS
	if err := sps.Unmarshal(first); err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	p := picture{width: sps.Width(), height: sps.Height(), sarWidth: 1, sarHeight: 1}
	if v := sps.VUI; v != nil {
		p.aspect(v.AspectRatioInfoPresentFlag, v.AspectRatioIdc, v.SarWidth, v.SarHeight)
		p.colour, p.fullRange = v.ColourDescriptionPresentFlag, v.VideoFullRangeFlag
		p.primaries, p.transfer, p.matrix = v.ColourPrimaries, v.TransferCharacteristics, v.MatrixCoefficients
	}
	if p.width <= 0 || p.height <= 0 || p.width > 0xffff || p.height > 0xffff {
		return nil, errConfig
	}
	return p.entry("avc1", func(w *boxes) {
		w.box("avcC", func() {
			w.u8(1, first[1], first[2], first[3], 0xff)
			w.u8(0xe0 | byte(len(all[0])))
			w.sets(all[0])
			w.u8(byte(len(all[1])))
			w.sets(all[1])
			switch first[1] {
			case 66, 77, 88:
			default:
				w.u8(0xfc|byte(sps.ChromaFormatIdc), 0xf8|byte(sps.BitDepthLumaMinus8), 0xf8|byte(sps.BitDepthChromaMinus8), 0)
			}
		})
	}), nil
}

func (w *boxes) sets(all [][]byte) {
	for _, s := range all {
		w.u16(uint16(len(s)))
		w.b = append(w.b, s...)
	}
}

// hevc is an HEVCSampleEntry (ISO/IEC 14496-15 8.4.1).
func hevc(t *media.Track) (*entry, error) {
	sets, err := parameterSets(t.Config)
	if err != nil {
		return nil, err
	}
	var all [3][][]byte // VPS, SPS, PPS
	for _, s := range sets {
		if t := int(s[0]>>1&0x3f) - 32; t >= 0 && t < 3 {
			all[t] = append(all[t], s)
		}
	}
	if len(all[0]) == 0 || len(all[1]) == 0 || len(all[2]) == 0 {
		return nil, errConfig
	}
	var sps h265.SPS
	if err := sps.Unmarshal(all[1][0]); err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	raw := h264.EmulationPreventionRemove(all[1][0])
	if len(raw) < 15 {
		return nil, errConfig
	}
	p := picture{width: sps.Width(), height: sps.Height(), sarWidth: 1, sarHeight: 1}
	if v := sps.VUI; v != nil {
		p.aspect(v.AspectRatioInfoPresentFlag, v.AspectRatioIdc, v.SarWidth, v.SarHeight)
		p.colour, p.fullRange = v.ColourDescriptionPresentFlag, v.VideoFullRangeFlag
		p.primaries, p.transfer, p.matrix = v.ColourPrimaries, v.TransferCharacteristics, v.MatrixCoefficients
	}
	if p.width <= 0 || p.height <= 0 || p.width > 0xffff || p.height > 0xffff {
		return nil, errConfig
	}
	return p.entry("hvc1", func(w *boxes) {
		w.box("hvcC", func() {
			w.u8(1)
			w.b = append(w.b, raw[3:15]...) // general profile, compatibility, constraints, level: they stand in the SPS as here
			w.u16(0xf000)                   // min_spatial_segmentation_idc
			w.u8(0xfc, 0xfc|byte(sps.ChromaFormatIdc), 0xf8|byte(sps.BitDepthLumaMinus8), 0xf8|byte(sps.BitDepthChromaMinus8))
			w.u16(0) // avgFrameRate
			w.u8((sps.MaxSubLayersMinus1+1)<<3|boolBit(sps.TemporalIDNestingFlag, 2)|3, 3)
			for i, s := range all {
				w.u8(0x80 | byte(32+i)) // array_completeness
				w.u16(uint16(len(s)))
				w.sets(s)
			}
		})
		if t.HasDolbyVision() {
			w.box("dvvC", func() { // DOVIDecoderConfigurationRecord of profiles above 7
				w.b = append(w.b, t.DolbyVision...)
				w.zero(24 - len(t.DolbyVision))
			})
		}
	}), nil
}

// sound is an AudioSampleEntry (ISO/IEC 14496-12 12.2.3).
func sound(kind string, channels, rate int, config func(w *boxes)) *entry {
	if rate > 0xffff {
		rate = 0 // does not fit; the codec's own box tells it
	}
	return &entry{kind: kind, write: func(w *boxes) {
		w.zero(6)
		w.u16(1)
		w.zero(8)
		w.u16(uint16(channels), 16)
		w.u32(0, uint32(rate)<<16)
		config(w)
	}}
}

// esds is an ES_Descriptor (ISO/IEC 14496-1 7.2.6.5, 14496-14 3.1.2).
func (w *boxes) esds(objectType byte, specific []byte) {
	w.full("esds", 0, 0, func() {
		info := 0
		if len(specific) > 0 {
			info = 5 + len(specific)
		}
		w.descriptor(3, 3+5+13+info+5+1)
		w.u16(trackID)
		w.u8(0)
		w.descriptor(4, 13+info)
		w.u8(objectType, 0x15) // audio stream
		w.zero(11)             // buffer size and bit rates are not known
		if info > 0 {
			w.descriptor(5, len(specific))
			w.b = append(w.b, specific...)
		}
		w.descriptor(6, 1)
		w.u8(2)
	})
}

// descriptor writes a tag with a length of four bytes.
func (w *boxes) descriptor(tag byte, n int) {
	w.u8(tag, 0x80|byte(n>>21), 0x80|byte(n>>14), 0x80|byte(n>>7), byte(n&0x7f))
}

func aac(config []byte) (*entry, error) {
	c, err := media.ParseAudioSpecificConfig(config)
	if err != nil {
		return nil, err
	}
	rate := c.SampleRate
	if c.ObjectType == 5 || c.ObjectType == 29 {
		rate /= 2 // the core's (ISO/IEC 23000-19 10.3)
	}
	return sound("mp4a", c.Channels, rate, func(w *boxes) { w.esds(0x40, config) }), nil
}

// mpegAudio reads the rate and channels of a frame header (ISO/IEC 11172-3 2.4.2.3).
func mpegAudio(t *media.Track) (*entry, error) {
	p, err := t.Params()
	if err != nil {
		return nil, err
	}
	objectType := byte(0x6b) // ISO/IEC 11172-3
	if t.Config[1]&8 == 0 {
		objectType = 0x69 // ISO/IEC 13818-3: the lower sampling frequencies
	}
	return sound("mp4a", p.Channels, p.SampleRate, func(w *boxes) { w.esds(objectType, nil) }), nil
}
