// Package ts holds what the MPEG-TS demuxer and muxer share (ISO/IEC 13818-1).
package ts

// Stats counts what a demuxer saw since it began. All are totals. What says how well the transport stream as a whole
// is made stays with the demuxer: Health tells that, of every PID, and there may be several demuxers to one stream.
type Stats struct {
	Bytes            uint64 `json:"bytes"`             // taken in
	Packets          uint64 `json:"packets"`           // transport stream packets
	SyncLosses       uint64 `json:"-"`                 // times the sync byte was lost
	SkippedBytes     uint64 `json:"skipped_bytes"`     // bytes passed over to find it again
	TransportErrors  uint64 `json:"-"`                 // transport_error_indicator set
	ContinuityErrors uint64 `json:"continuity_errors"` // gaps in continuity_counter on the PIDs that are taken apart
	CRCErrors        uint64 `json:"crc_errors"`        // sections with a wrong CRC_32 among those that are taken apart
	TableErrors      uint64 `json:"table_errors"`      // PAT, PMT or SDT that can't be read
	PESErrors        uint64 `json:"pes_errors"`        // PES that can't be read
	UnitErrors       uint64 `json:"unit_errors"`       // access units that can't be read
	Oversized        uint64 `json:"oversized"`         // PES, sections or units over the limit
	UnknownPackets   uint64 `json:"-"`                 // on a PID that no table names
	Scrambled        uint64 `json:"scrambled"`         // packets that are scrambled
	Discontinuities  uint64 `json:"discontinuities"`   // jumps of the clock
	Epochs           uint64 `json:"epochs"`            // epochs begun
	Units            uint64 `json:"units"`             // access units given on
	TornUnits        uint64 `json:"torn_units"`        // of those, pictures that may refer to lost ones
	IgnoredTracks    uint64 `json:"ignored_tracks"`    // PIDs of the last PMT whose codec is not understood
}
