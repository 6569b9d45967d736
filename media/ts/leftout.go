package ts

import "slices"

// LeftOut is an elementary stream of a program that is not carried.
type LeftOut struct {
	PID        uint16        `json:"pid"`
	StreamType uint8         `json:"stream_type"` // of the PMT (ISO/IEC 13818-1 table 2-34)
	Type       string        `json:"type"`        // what the PMT says that it is, see Element.Name
	Language   string        `json:"language,omitempty"`
	Reason     LeftOutReason `json:"reason"`
}

// MaxLeftOut bounds what is told of one program.
const MaxLeftOut = 64

// LeftOutReason is why an elementary stream is not carried.
type LeftOutReason string

// The reasons.
const (
	LeftOutType       LeftOutReason = "type"       // its type is not supported
	LeftOutPID        LeftOutReason = "pid"        // its PID is reserved, or the program names it twice
	LeftOutTooMany    LeftOutReason = "too_many"   // the program has more than can be carried
	LeftOutScrambled  LeftOutReason = "scrambled"  // its packets are scrambled
	LeftOutSilent     LeftOutReason = "silent"     // no packet of it has come
	LeftOutKeyframe   LeftOutReason = "keyframe"   // no picture has come at which a decoder could begin
	LeftOutParameters LeftOutReason = "parameters" // its parameter sets have not come
	LeftOutUnreadable LeftOutReason = "unreadable" // what comes is not what the PMT says
)

// LeftOutReasons are all of them.
var LeftOutReasons = []LeftOutReason{
	LeftOutType, LeftOutPID, LeftOutTooMany, LeftOutScrambled, LeftOutSilent, LeftOutKeyframe, LeftOutParameters, LeftOutUnreadable,
}

// leftOutTexts say the same of an elementary stream.
var leftOutTexts = map[LeftOutReason]string{
	LeftOutType: "is not supported", LeftOutPID: "has a PID that it may not have", LeftOutTooMany: "is one too many", LeftOutScrambled: "is scrambled",
	LeftOutSilent: "does not come", LeftOutKeyframe: "has no keyframe", LeftOutParameters: "has no parameter sets", LeftOutUnreadable: "can't be read",
}

// Known reports whether it is one of the reasons.
func (r LeftOutReason) Known() bool { return leftOutTexts[r] != "" }

// Text is the reason as the end of a sentence that begins with the elementary stream: "is scrambled".
func (r LeftOutReason) Text() string { return leftOutTexts[r] }

// IsElementName reports whether s has the form of what Element.Name returns.
func IsElementName(s string) bool {
	return len(s) > 0 && len(s) <= 24 && !slices.ContainsFunc([]byte(s), func(c byte) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_'
	})
}

// typeNames are names of stream_type (ISO/IEC 13818-1 table 2-34, and what ATSC and others use of 0x80 to 0xFF).
var typeNames = map[uint8]string{
	0x01: "mpeg1video", 0x02: "mpeg2video", 0x03: "mpeg_audio", 0x04: "mpeg_audio", 0x05: "private_sections", 0x06: "private",
	0x07: "mheg", 0x08: "dsmcc", 0x0A: "dsmcc", 0x0B: "dsmcc", 0x0C: "dsmcc", 0x0D: "dsmcc", 0x0F: "aac", 0x10: "mpeg4video",
	0x11: "aac_latm", 0x15: "metadata", 0x1B: "h264", 0x1C: "mpeg4audio", 0x1F: "svc", 0x20: "mvc", 0x21: "jpeg2000", 0x24: "h265",
	0x2D: "mpegh_audio", 0x2E: "mpegh_audio", 0x32: "jpegxs", 0x33: "h266", 0x42: "avs", 0x81: "ac3", 0x82: "dts", 0x83: "truehd", 0x84: "eac3",
	0x85: "dts", 0x86: "scte35", 0x87: "eac3", 0x8A: "dts", 0x90: "pgs", 0xD1: "dirac", 0xD2: "avs2", 0xD4: "avs3", 0xEA: "vc1",
}

// formatNames are names of format_identifier in the descriptors of a stream.
var formatNames = map[uint32]string{
	FormatAC3: "ac3", FormatEAC3: "eac3", FormatHEVC: "h265", FormatKLVA: "klv", FormatOpus: "opus", 0x41432D34: "ac4", 0x41563031: "av1",
	0x42535344: "smpte302m", 0x44545331: "dts", 0x44545332: "dts", 0x44545333: "dts", 0x56432D31: "vc1", 0x64726163: "dirac",
	0x49443320: "id3", 0x444F5649: "dolby_vision", 0x56565620: "h266", 0x56414E43: "anc",
}

// descriptorNames are names of what a descriptor of private data says (ETSI EN 300 468 table 12).
var descriptorNames = map[uint8]string{
	0x45: "vbi", 0x46: "vbi_teletext", 0x56: "teletext", 0x59: "dvb_subtitles", 0x6A: "ac3", 0x6F: "application", 0x7A: "eac3", 0x7B: "dts", 0x7C: "aac",
}

// Name is what the PMT says that a stream is, in lower case letters, digits and underscores: "mpeg2video", "teletext". It is "unknown"
// where the table says nothing that has a name here.
func (e *Element) Name() string {
	if e.Type == StreamTypePrivate || e.Type == 0x05 {
		for tag, b := range e.Descriptors.All() {
			if name, ok := descriptorNames[tag]; ok {
				return name
			}
			if tag == DescriptorExtension && len(b) > 0 {
				switch b[0] {
				case 0x0E, 0x0F:
					return "dts"
				case 0x15:
					return "ac4"
				case 0x20:
					return "ttml"
				}
			}
		}
	}
	if name, ok := formatNames[e.Descriptors.Format()]; ok {
		return name
	}
	if name, ok := typeNames[e.Type]; ok {
		return name
	}
	return "unknown"
}
