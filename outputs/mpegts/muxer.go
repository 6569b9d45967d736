// Package mpegts multiplexes access units into a transport stream (ISO/IEC 13818-1) with one program.
package mpegts

import (
	"errors"
	"fmt"

	"brume/media"
	"brume/media/ts"
)

// Errors of the muxer.
var (
	// ErrMalformed means that a packet's payload is not what its codec says. Nothing of it was written.
	ErrMalformed = errors.New("malformed access unit")
	// ErrNoTracks means that none of the tracks can be carried.
	ErrNoTracks = errors.New("no track is carried in MPEG-TS")
)

// PacketSize is the size of a transport stream packet, in bytes.
const PacketSize = ts.PacketSize

// Times in 90 kHz ticks.
const (
	// tablesEvery leaves room for the time to the next unit, so that PAT and PMT are never more than 500 ms apart.
	tablesEvery = 400 * 90
	pcrEvery    = 40 * 90
	pcrLimit    = 100 * 90 // what the standard allows (2.7.2)
	pcrFill     = 90 * 90  // between the PCRs of a program whose units are further apart
	maxGap      = 10 * media.ClockRate
	// muxDelay is how long before its decoding a unit's first byte is said to arrive: decoders
	// have that time to receive it.
	muxDelay = 200 * 90
)

const (
	pmtPID   = 0x1000
	firstPID = 0x100
)

// elementary is a track with its place in the stream.
type elementary struct {
	track      media.Track
	index      int // in the epoch's tracks
	pid        uint16
	streamType byte
	streamID   byte
	section    bool // carried in sections instead of PES
	cc         byte
	marked     bool // discontinuity_indicator is still to be set
	fresh      bool // nothing of it was written since the beginning, so the first unit of video needs parameter sets
	header     []byte
	pes        [maxPESHeader]byte // scratch
	headerSets []byte             // of video: header, then the parameter sets in Annex B form
}

// Muxer writes packets of one epoch. It allocates nothing in steady state.
type Muxer struct {
	streams    []*elementary // by index of the track; nil for one that is left out
	pcr        *elementary   // the one that carries PCR
	filler     *Filler       // nil: unbounded
	tables     []byte        // PAT and PMT packets
	patCC      byte
	pmtCC      byte
	patMarked  bool
	pmtMarked  bool
	started    bool
	lastTables int64
	lastPCR    int64
	clock      int64 // latest DTS written, what PCR is made from
	scratch    []byte
}

// NewMuxer prepares for an epoch's tracks. Those that can't be carried are left out, and so are their packets.
func NewMuxer(tracks []media.Track) (*Muxer, error) {
	m := &Muxer{streams: make([]*elementary, len(tracks))}
	used := map[uint16]bool{ts.PIDPAT: true, pmtPID: true}
	var kept []*elementary
	for i := range tracks {
		e, err := newElementary(&tracks[i], i)
		if err != nil {
			continue // a track whose parameters can't be read is of no use to a player either
		}
		m.streams[i] = e
		kept = append(kept, e)
	}
	if len(kept) == 0 {
		return nil, ErrNoTracks
	}
	for _, e := range kept {
		// The source's own PIDs are kept where they are usable: receivers may have been set up for them.
		if p := e.track.PID; p >= ts.PIDFirstFree && p < ts.PIDNull && !used[p] {
			e.pid = p
			used[p] = true
		}
	}
	next := uint16(firstPID)
	for _, e := range kept {
		for e.pid == 0 {
			if !used[next] {
				e.pid = next
				used[next] = true
			}
			next++
		}
	}
	m.pcr = m.streams[media.Lead(tracks, func(i int) bool { return m.streams[i] != nil })]
	m.tables = buildTables(kept, m.pcr.pid)
	// A new muxer follows another in the same connection when an epoch begins: its counters start anew, and say so.
	m.Reset()
	return m, nil
}

// Reset begins a segment that can be played by itself: the next packet is preceded by PAT and PMT, continuity counters
// begin at 0, the first packet of each PID has its discontinuity_indicator set, and the first unit of video has its parameter sets, random
// access point or not.
func (m *Muxer) Reset() {
	m.started = false
	m.patCC, m.pmtCC = 0, 0
	m.patMarked, m.pmtMarked = true, true
	for _, e := range m.streams {
		if e != nil {
			e.cc, e.marked, e.fresh = 0, true, true
		}
	}
}

// WritePacket appends whole transport stream packets to dst: tables and PCR where they are due, then the unit. A packet of a track
// that is left out adds nothing. After ErrMalformed dst is as it was.
func (m *Muxer) WritePacket(dst []byte, p *media.Packet) ([]byte, error) {
	if p.Track < 0 || p.Track >= len(m.streams) {
		return dst, fmt.Errorf("%w: track %d of %d", ErrMalformed, p.Track, len(m.streams))
	}
	e := m.streams[p.Track]
	if e == nil {
		return dst, nil
	}
	u, err := m.unit(e, p)
	if err != nil {
		return dst, err
	}
	if !m.started || p.DTS > m.clock || m.clock-p.DTS > media.ClockRate {
		m.clock = p.DTS
	}
	lead := e == m.pcr
	fresh := !m.started || (lead && p.RandomAccess && e.track.Codec.Kind() == media.Video)
	if m.started {
		dst = m.keepUp(dst)
	}
	m.started = true
	if fresh || abs(m.clock-m.lastTables) >= tablesEvery {
		dst = m.writeTables(dst)
		m.lastTables = m.clock
	}
	pcr := int64(-1)
	if fresh || abs(m.clock-m.lastPCR) >= pcrEvery {
		pcr = pcrAt(m.clock)
		m.lastPCR = m.clock
	}
	if pcr >= 0 && (!lead || e.section) {
		dst = m.pcr.writePCR(dst, pcr)
		pcr = -1
	}
	if e.section {
		return e.writeSection(dst, u.body), nil
	}
	e.fresh = false
	return e.writePES(dst, p, &u, pcr), nil
}

// pcrAt is the program clock's base when a unit with this DTS begins to arrive, 33 bits.
func pcrAt(dts int64) int64 { return (dts - muxDelay) & (ts.Wrap - 1) }

func abs(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}

// unit finds what a packet's access unit is in the PES. It copies nothing.
func (m *Muxer) unit(e *elementary, p *media.Packet) (unit, error) {
	u := unit{body: p.Payload, next: len(p.Payload)}
	if len(p.Payload) == 0 {
		return u, fmt.Errorf("%w: empty", ErrMalformed)
	}
	switch e.track.Codec {
	case media.H264, media.H265:
		return annexB(e, p)
	case media.AAC:
		n := len(p.Payload) + len(e.header)
		if n > 0x1fff {
			return u, fmt.Errorf("%w: AAC frame of %d bytes", ErrMalformed, len(p.Payload))
		}
		h := e.header
		h[3] = h[3]&0xfc | byte(n>>11)
		h[4] = byte(n >> 3)
		h[5] = byte(n)<<5 | 0x1f
		u.head = h
	case media.Opus:
		// The control header: its prefix, then the size in bytes of 255 at most.
		h := append(m.scratch[:0], 0x7f, 0xe0)
		n := min(len(p.Payload), maxPES)
		for ; n >= 255; n -= 255 {
			h = append(h, 255)
		}
		m.scratch = append(h, byte(n))
		u.head = m.scratch
	case media.SCTE35:
		if len(p.Payload) < 3 || len(p.Payload) > ts.MaxSectionSize {
			return u, fmt.Errorf("%w: section of %d bytes", ErrMalformed, len(p.Payload))
		}
	}
	if len(u.head)+len(u.body) > maxPES {
		return u, fmt.Errorf("%w: %s unit of %d bytes, more than a PES packet takes", ErrMalformed, e.track.Codec, len(p.Payload))
	}
	return u, nil
}
