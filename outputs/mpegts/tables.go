package mpegts

import (
	"encoding/binary"
	"fmt"

	"brume/media"
	"brume/media/bits"
	"brume/media/ts"
)

// Supports tells whether a codec can be carried.
func Supports(c media.Codec) bool {
	switch c {
	case media.H264, media.H265, media.AAC, media.MP2, media.MP3, media.AC3, media.EAC3, media.Opus, media.SCTE35, media.KLV:
		return true
	}
	return false
}

// newElementary finds how a track is carried.
func newElementary(t *media.Track, index int) (*elementary, error) {
	e := &elementary{track: *t, index: index, streamID: ts.StreamIDPrivate1}
	var err error
	switch t.Codec {
	case media.H264:
		e.streamType, e.streamID, e.header = ts.StreamTypeH264, ts.StreamIDVideo, audH264
		e.headerSets, err = withSets(e.header, t.Config)
	case media.H265:
		e.streamType, e.streamID, e.header = ts.StreamTypeH265, ts.StreamIDVideo, audH265
		e.headerSets, err = withSets(e.header, t.Config)
	case media.AAC:
		e.streamType, e.streamID = ts.StreamTypeADTS, ts.StreamIDAudio
		e.header, err = adts(t.Config)
	case media.MP2, media.MP3:
		e.streamType, e.streamID = ts.StreamTypeMPEG1Audio, ts.StreamIDAudio
		if len(t.Config) > 1 && t.Config[1]&8 == 0 {
			e.streamType = ts.StreamTypeMPEG2Audio // the lower sampling frequencies of ISO/IEC 13818-3
		}
	case media.AC3:
		e.streamType = ts.StreamTypeAC3
	case media.EAC3:
		e.streamType = ts.StreamTypeEAC3
	case media.Opus:
		if len(t.Config) < 2 {
			return nil, fmt.Errorf("%w: no OpusHead", media.ErrConfig)
		}
		e.streamType = ts.StreamTypePrivate
	case media.KLV:
		e.streamType = ts.StreamTypePrivate
	case media.SCTE35:
		e.streamType, e.section = ts.StreamTypeSCTE35, true
	default:
		return nil, fmt.Errorf("%w: %s", ErrNoTracks, t.Codec)
	}
	return e, err
}

// adts makes the header that goes before each frame, its length left open (ISO/IEC 14496-3 1.A.2.2). HE-AAC is
// told by its core, which is how ADTS tells it: decoders find the rest in the frames.
func adts(config []byte) ([]byte, error) {
	r := bits.Reader{Data: config}
	object := r.Read(5)
	rate, channels := r.Read(4), r.Read(4)
	if object == 5 || object == 29 {
		if r.Read(4) == 15 {
			r.Read(24)
		}
		object = r.Read(5)
	}
	if len(config) < 2 || object < 1 || object > 4 || rate > 12 || channels > 7 {
		return nil, fmt.Errorf("%w: no ADTS header can tell it", media.ErrConfig)
	}
	return []byte{0xff, 0xf1, byte(object-1)<<6 | byte(rate)<<2 | byte(channels>>2), byte(channels) << 6, 0, 0, 0xfc}, nil
}

// buildTables makes the packets of PAT and PMT, continuity counters left at 0.
func buildTables(all []*elementary, pcrPID uint16) []byte {
	pat := []byte{0, 1, 0xc1, 0, 0, 0, 1, 0xe0 | pmtPID>>8, pmtPID & 0xff}
	out := tablePacket(nil, ts.PIDPAT, ts.TablePAT, pat)

	pmt := []byte{0, 1, 0xc1, 0, 0, 0xe0 | byte(pcrPID>>8), byte(pcrPID)}
	var program []byte
	for _, e := range all {
		if e.section && program == nil {
			program = registration(ts.FormatCUEI)
		}
	}
	pmt = append(pmt, 0xf0|byte(len(program)>>8), byte(len(program)))
	pmt = append(pmt, program...)
	for _, e := range all {
		d := e.descriptors()
		pmt = append(pmt, e.streamType, 0xe0|byte(e.pid>>8), byte(e.pid), 0xf0|byte(len(d)>>8), byte(len(d)))
		pmt = append(pmt, d...)
	}
	return tablePacket(out, pmtPID, ts.TablePMT, pmt)
}

func registration(format uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{ts.DescriptorRegistration, 4}, format)
}

func (e *elementary) descriptors() []byte {
	var d []byte
	switch e.track.Codec {
	case media.AC3:
		d = registration(ts.FormatAC3)
	case media.EAC3:
		d = registration(ts.FormatEAC3)
	case media.H265:
		d = registration(ts.FormatHEVC)
		if e.track.HasDolbyVision() {
			d = append(append(d, ts.DescriptorDolbyVision, media.DolbyVisionSize), e.track.DolbyVision...)
		}
	case media.KLV:
		d = registration(ts.FormatKLVA)
	case media.Opus:
		d = append(registration(ts.FormatOpus), ts.DescriptorExtension, 2, ts.ExtensionOpus, e.track.Config[1])
	}
	l := e.track.Language
	if len(l) != 3 && e.track.Role != "" {
		l = "und"
	}
	if len(l) == 3 {
		d = append(d, ts.DescriptorISO639, 4, l[0], l[1], l[2], roles[e.track.Role].audioType)
	}
	if r := roles[e.track.Role]; r.supplementary != 0 {
		d = append(d, ts.DescriptorExtension, 2, ts.ExtensionSupplementaryAudio, r.supplementary)
	}
	return d
}

// roles are the audio_type of each (ISO/IEC 13818-1 table 2-60), and what stands in its supplementary_audio_descriptor: mix_type,
// editorial_classification and a reserved bit (ETSI EN 300 468 6.4.11).
var roles = map[media.TrackRole]struct{ audioType, supplementary byte }{
	media.TrackDescription: {3, 0x80 | 1<<2 | 2}, media.TrackNarration: {3, 1<<2 | 2}, media.TrackHearing: {2, 0x80 | 2<<2 | 2},
	media.TrackSubtitles: {0, 0x80 | 3<<2 | 2},
}

// tablePacket appends a section in packets: as many as it takes, which for 32 tracks may be more than one.
func tablePacket(dst []byte, pid uint16, table byte, body []byte) []byte {
	n := len(body) + 4
	// Receivers take a table for new by its version only: one made from the content tells two epochs apart.
	body[2] |= byte(ts.CRC32(body)&31) << 1
	section := append([]byte{0, table, 0xb0 | byte(n>>8), byte(n)}, body...)
	section = binary.BigEndian.AppendUint32(section, ts.CRC32(section[1:]))
	for first := true; len(section) > 0; first = false {
		at := len(dst)
		dst = extend(dst, PacketSize)
		b := dst[at:]
		b[0], b[1], b[2], b[3] = ts.SyncByte, byte(pid>>8), byte(pid), 0x10
		end := PacketSize
		if first {
			b[1] |= 0x40
			end -= 2 // for the adaptation field that marks a discontinuity
		}
		k := copy(b[4:end], section)
		section = section[k:]
		fill(b[4+k:])
	}
	return dst
}

// writeTables appends PAT and PMT.
func (m *Muxer) writeTables(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, m.tables...)
	for b := dst[at:]; len(b) > 0; b = b[PacketSize:] {
		cc, marked := &m.pmtCC, &m.pmtMarked
		if b[1]&0x1f == 0 && b[2] == ts.PIDPAT {
			cc, marked = &m.patCC, &m.patMarked
		}
		b[3] |= *cc
		*cc = (*cc + 1) & 15
		if *marked {
			copy(b[6:PacketSize], b[4:PacketSize-2])
			b[3] |= 0x20
			b[4], b[5] = 1, 0x80
			*marked = false
		}
	}
	return dst
}
