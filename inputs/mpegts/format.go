package mpegts

import (
	"brume/media"
	"brume/media/ts"
)

// format is how an elementary stream is carried, as the PMT tells it.
type format struct {
	codec    media.Codec // of MPEG audio, MP2 until the first frame tells the layer
	latm     bool        // AAC in LOAS (ISO/IEC 14496-3 1.7) instead of ADTS
	cells    bool        // KLV in metadata AU cells (ISO/IEC 13818-1 2.12.4)
	opus     uint8       // channel_config_code
	language string
	role     media.TrackRole
	dovi     [media.DolbyVisionSize]byte // see media.Track, zeros: none
}

// is reports whether the stream carries this element in the same way.
func (s *stream) is(e element) bool {
	f := s.format
	f.language, f.role = e.language, e.role
	return s.pid == e.pid && f == e.format
}

// classify finds the codec of an element. ok is false for what is not understood.
func classify(e *ts.Element, m *ts.PMT) (f format, ok bool) {
	program := m.Descriptors.Format()
	defer func() {
		if f.language = e.Descriptors.Language(); f.codec.Kind() == media.Audio {
			f.role, f.language = audioRole(e.Descriptors)
		}
	}()
	switch e.Type {
	case ts.StreamTypeH264:
		f.codec = media.H264
	case ts.StreamTypeH265:
		f.codec, f.dovi = media.H265, dolbyVision(e.Descriptors)
	case ts.StreamTypeADTS:
		f.codec = media.AAC
	case ts.StreamTypeLATM:
		f.codec, f.latm = media.AAC, true
	case ts.StreamTypeMPEG1Audio, ts.StreamTypeMPEG2Audio:
		f.codec = media.MP2
	case ts.StreamTypeAC3:
		f.codec = media.AC3
	case ts.StreamTypeEAC3:
		f.codec = media.EAC3
	case ts.StreamTypeSCTE35:
		// Blu-ray uses the same value for an audio codec.
		if program == ts.FormatBluRay {
			return f, false
		}
		f.codec = media.SCTE35
	case ts.StreamTypeMetadata:
		if id := e.Descriptors.MetadataFormat(); id != ts.FormatKLVA && e.Descriptors.Format() != ts.FormatKLVA {
			return f, false
		}
		f.codec, f.cells = media.KLV, true
	case ts.StreamTypePrivate:
		return classifyPrivate(e.Descriptors, f)
	default:
		return f, false
	}
	return f, true
}

// dolbyVision reads the DOVI_video_stream_descriptor of one layer that is played without Dolby Vision, too. Its tag is one that
// anybody may use, so that it has to look like one.
func dolbyVision(d ts.Descriptors) (c [media.DolbyVisionSize]byte) {
	for tag, b := range d.All() {
		if tag != ts.DescriptorDolbyVision || len(b) < len(c) {
			continue
		}
		t := media.Track{Codec: media.H265, DolbyVision: b[:len(c)]}
		if t.HasDolbyVision() {
			copy(c[:], b)
			c[4] &= 0xF0
			return c
		}
	}
	return c
}

// classifyPrivate finds the codec of private data by its descriptors (ETSI TS 101 154
// annexes, ETSI EN 300 468 annex D, SMPTE RP 217).
func classifyPrivate(d ts.Descriptors, f format) (format, bool) {
	switch d.Format() {
	case ts.FormatAC3:
		f.codec = media.AC3
	case ts.FormatEAC3:
		f.codec = media.EAC3
	case ts.FormatHEVC:
		f.codec = media.H265
	case ts.FormatKLVA:
		f.codec = media.KLV
	case ts.FormatOpus:
		f.codec, f.opus = media.Opus, 2
	}
	for tag, b := range d.All() {
		switch {
		case tag == ts.DescriptorAC3:
			f.codec = media.AC3
		case tag == ts.DescriptorEAC3:
			f.codec = media.EAC3
		case tag == ts.DescriptorExtension && len(b) >= 2 && b[0] == ts.ExtensionOpus && f.codec == media.Opus:
			f.opus = b[1]
		}
	}
	if f.codec == media.Opus && opusConfig(f.opus) == nil {
		return f, false
	}
	return f, f.codec != ""
}
