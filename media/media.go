// Package media describes what flows through the server: tracks, codecs and
// access units, with times in ticks of a 90 kHz clock. It imports no sibling.
package media

import "time"

// ClockRate is the resolution of every timestamp, in ticks per second
// (ISO/IEC 13818-1 2.4.3.7).
const ClockRate = 90000

// MaxTracks bounds the tracks of one epoch.
const MaxTracks = 32

// MaxConfigSize bounds Track.Config, in bytes.
const MaxConfigSize = 4096

// NoPTS marks a time that is not known.
const NoPTS = int64(-1 << 63)

// Ticks converts a duration to 90 kHz ticks, rounding down.
func Ticks(d time.Duration) int64 { return int64(d) * 9 / 100000 }

// Duration converts 90 kHz ticks to a duration.
func Duration(ticks int64) time.Duration { return time.Duration(ticks) * 100000 / 9 }

// Kind groups codecs by what a player does with them.
type Kind uint8

// The kinds of track.
const (
	Data Kind = iota
	Video
	Audio
	// Multiplex is the stream as it came, kept beside the tracks that were made of it. Segments, parts and renditions
	// do not depend on it, and an output that does not send it on leaves it out.
	Multiplex
)

func (k Kind) String() string {
	switch k {
	case Video:
		return "video"
	case Audio:
		return "audio"
	case Multiplex:
		return "multiplex"
	default:
		return "data"
	}
}

// Codec names how a track's access units are coded.
type Codec string

// The codecs that are understood. The form of Track.Config and Packet.Payload
// follows each name.
const (
	// H264: Config is the parameter sets (SPS then PPS, by id), each behind a
	// 4-byte big-endian length. Payload is one access unit, each NAL unit behind
	// a 4-byte big-endian length, without access unit delimiters and filler.
	H264 Codec = "h264"
	// H265: as H264, with VPS, SPS, PPS.
	H265 Codec = "h265"
	// AAC: Config is the AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1). Payload is one
	// raw_data_block, without ADTS or LATM.
	AAC Codec = "aac"
	// MP2 is MPEG-1/2 audio layer I or II. Config is the 4-byte header of the first
	// frame; Payload is one frame with its header.
	MP2 Codec = "mp2"
	// MP3 is MPEG-1/2 audio layer III, in the form of MP2.
	MP3 Codec = "mp3"
	// AC3: Config is the first 8 bytes of a syncframe; Payload is one syncframe.
	AC3 Codec = "ac3"
	// EAC3: Config is the first 8 bytes of an independent substream's syncframe and, where it carries objects (Dolby Atmos),
	// their complexity index (ETSI TS 103 420) in one more byte. Payload is one access unit: six blocks of every substream (ETSI TS 102 366 annex E).
	EAC3 Codec = "eac3"
	// Opus: Config is the OpusHead of RFC 7845 5.1 without its magic ("OpusHead").
	// Payload is one Opus packet.
	Opus Codec = "opus"
	// SCTE35: Payload is one splice_info_section, from table_id to CRC_32.
	SCTE35 Codec = "scte35"
	// KLV: Payload is one metadata access unit (SMPTE ST 336), without the
	// metadata AU cell header.
	KLV Codec = "klv"
	// MPEGTS is a transport stream as it came. Payload is whole packets of 188 bytes, as many as came together, or a
	// join (ts.Join): 4 bytes, the big-endian number of packets from the join back to where a receiver can begin.
	MPEGTS Codec = "mpegts"
)

// Kind tells what kind of track a codec makes.
func (c Codec) Kind() Kind {
	switch c {
	case H264, H265:
		return Video
	case AAC, MP2, MP3, AC3, EAC3, Opus:
		return Audio
	case MPEGTS:
		return Multiplex
	default:
		return Data
	}
}

// Track is one elementary stream. It never changes within an epoch.
type Track struct {
	Codec    Codec     `json:"codec"`
	Language string    `json:"language,omitempty"` // ISO 639-2, three letters, or empty
	Role     TrackRole `json:"role,omitempty"`     // of audio
	PID      uint16    `json:"pid,omitempty"`      // packet identifier in the source, 0 where it has none
	Config   []byte    `json:"config,omitempty"`   // see Codec
	// DolbyVision is the beginning of the DOVIDecoderConfigurationRecord of video with Dolby Vision, up to
	// dv_bl_signal_compatibility_id: DolbyVisionSize bytes, or none.
	DolbyVision []byte `json:"dolby_vision,omitempty"`
	// KeyframeDistance is up to how far apart key frames may come, in 90 kHz ticks, where the options that x264 and x265
	// write into their first picture tell it and scene changes make key frames come earlier; 0: not known. Only inputs
	// tell it, and a stream buffer does not keep it.
	KeyframeDistance int64 `json:"-"`
}

// Packet is one access unit.
type Packet struct {
	Track        int   // index into the epoch's tracks
	DTS          int64 // decoding time, 90 kHz ticks, unwrapped to 64 bits
	PTS          int64 // presentation time, 90 kHz ticks, unwrapped to 64 bits
	RandomAccess bool  // a decoder can start here
	// Gradual says of a random access point that the pictures are right only some time after it: the recovery points of
	// intra refresh (recovery_frame_cnt above 0 in ITU-T H.264 D.2.8, recovery_poc_cnt in H.265 D.3.8).
	Gradual bool
	// Torn says of a picture that it may refer to pictures that were lost on the way to the server. It is no random access
	// point. Receivers and recorders conceal what is wrong with it; browsers end with an error.
	Torn bool
	// Resumes says of a random access point that pictures between it and the one before are lost or torn: how far apart the
	// two are is not the encoder's doing.
	Resumes bool
	// Join is the number of the transport stream packet, counted from the first of the input, from where on a receiver
	// gets the program's tables and then this access unit. Only MPEG-TS inputs tell it, of video.
	Join    uint64
	Payload []byte
}

// Sink takes what an input makes of its bytes, in the order in which it came.
//
// A packet's payload belongs to the caller and is valid only during the call.
type Sink interface {
	// BeginEpoch declares the tracks of the packets that follow. It is called before the
	// first packet, and again for each change of tracks or parameters and each jump of the clock.
	BeginEpoch(tracks []Track) error
	// WritePacket takes one access unit of the running epoch.
	WritePacket(p *Packet) error
}
