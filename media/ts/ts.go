package ts

// The sizes of a transport stream packet (ISO/IEC 13818-1 2.4.3.2), in bytes.
const (
	PacketSize = 188
	SyncByte   = 0x47
)

// The packet identifiers with a fixed meaning (ISO/IEC 13818-1 table 2-3).
const (
	PIDPAT  = 0x0000
	PIDSDT  = 0x0011 // ETSI EN 300 468 table 1
	PIDNull = 0x1FFF
	// PIDFirstFree is the first that a program may use; those below carry tables
	// that ISO/IEC 13818-1, ETSI EN 300 468 or ATSC A/65 define.
	PIDFirstFree = 0x0020
	// PIDs is how many there are.
	PIDs = 0x2000
)

// The table identifiers that are read here (ISO/IEC 13818-1 table 2-31, ETSI EN 300 468 table 2, ANSI/SCTE 35 9.6).
const (
	TablePAT    = 0x00
	TablePMT    = 0x02
	TableSDT    = 0x42 // of this transport stream
	TableSCTE35 = 0xFC
)

// The values of stream_type (ISO/IEC 13818-1 table 2-34, ATSC A/53 part 3, ANSI/SCTE 35 8.1).
const (
	StreamTypeMPEG1Audio = 0x03
	StreamTypeMPEG2Audio = 0x04
	StreamTypePrivate    = 0x06 // PES with private data; descriptors tell the codec
	StreamTypeADTS       = 0x0F
	StreamTypeLATM       = 0x11
	StreamTypeMetadata   = 0x15 // metadata in PES
	StreamTypeH264       = 0x1B
	StreamTypeH265       = 0x24
	StreamTypeAC3        = 0x81
	StreamTypeSCTE35     = 0x86
	StreamTypeEAC3       = 0x87
)

// The values of descriptor_tag (ISO/IEC 13818-1 table 2-45, ETSI EN 300 468 table 12).
const (
	DescriptorRegistration = 0x05
	DescriptorCA           = 0x09
	DescriptorISO639       = 0x0A
	DescriptorMetadata     = 0x26
	DescriptorService      = 0x48
	DescriptorAC3          = 0x6A
	DescriptorEAC3         = 0x7A
	DescriptorExtension    = 0x7F
	DescriptorDolbyVision  = 0xB0 // Dolby Vision streams within the MPEG-2 transport stream format, DOVI_video_stream_descriptor
)

// The values of descriptor_tag_extension (ETSI EN 300 468 table 109, and of Opus).
const (
	ExtensionSupplementaryAudio = 0x06
	ExtensionOpus               = 0x80
)

// The values of format_identifier in a registration or metadata descriptor.
const (
	FormatAC3    = 0x41432D33 // "AC-3"
	FormatBluRay = 0x48444D56 // "HDMV"
	FormatCUEI   = 0x43554549 // "CUEI", SCTE 35
	FormatEAC3   = 0x45414333 // "EAC3"
	FormatHEVC   = 0x48455643 // "HEVC"
	FormatKLVA   = 0x4B4C5641 // "KLVA"
	FormatOpus   = 0x4F707573 // "Opus"
)

// The values of stream_id in a PES header (ISO/IEC 13818-1 table 2-22).
const (
	StreamIDPrivate1 = 0xBD
	StreamIDPadding  = 0xBE
	StreamIDPrivate2 = 0xBF
	StreamIDAudio    = 0xC0
	StreamIDVideo    = 0xE0
	StreamIDMetadata = 0xFC
)

// Wrap is where a 33-bit timestamp starts again at 0, in 90 kHz ticks.
const Wrap = int64(1) << 33

// Distance is a - b on the circle of 33 bits, in the shorter direction, in ticks.
func Distance(a, b int64) int64 {
	d := (a - b) & (Wrap - 1)
	if d >= Wrap/2 {
		d -= Wrap
	}
	return d
}

// MaxSectionSize is the longest section there is, header included, in bytes
// (ISO/IEC 13818-1 2.4.4.11: section_length at most 4093).
const MaxSectionSize = 4096
