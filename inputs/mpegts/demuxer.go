// Package mpegts takes a transport stream (ISO/IEC 13818-1) apart into access units.
//
// It is a pure core: bytes and times come in as arguments, access units leave through
// a [media.Sink]. What is damaged, unknown or hostile is counted, never fatal.
package mpegts

import (
	"bytes"
	"time"

	"brume/media"
	"brume/media/ts"
)

// DefaultVideoWait is the default of Options.VideoWait.
const DefaultVideoWait = 12 * time.Second

// Options chooses what a Demuxer takes from the transport stream.
type Options struct {
	// Program is the program_number to take; 0 leaves it to Service.
	Program uint16
	// Service is the service_name of the program to take, as the SDT tells it; empty takes the first program
	// with audio or video that is not scrambled, or else the first.
	Service string
	// VideoWait is for how long an epoch waits for the first random access point of its video, in time of arrival and in
	// media time. When it is over, the epoch begins with audio alone. 0 stands for DefaultVideoWait.
	VideoWait time.Duration
	// Raw takes the transport stream itself, if it is not nil: whole packets, which are those that the demuxer looks at,
	// before the access units that end in them. They are valid during the call. What is between packets is left out.
	Raw func(packets []byte)
}

// Demuxer takes one program out of a transport stream. It is not safe for concurrent use.
type Demuxer struct {
	sink      media.Sink
	program   uint16
	service   string
	raw       func([]byte)
	maxTracks int
	videoWait time.Duration

	stats ts.Stats
	now   time.Duration

	synced bool
	carry  [6 * ts.PacketSize]byte // bytes of the last Write that do not make a packet yet
	kept   int                     // how many

	index [ts.PIDs]uint8 // slot of each PID
	slots []*slot        // the first two are nil: unknown, and known but not of interest
	programs
	patAt  uint64 // number of the packet in which the PAT began last
	joinAt uint64 // that of the last PAT which the PMT of the program followed
	joined bool   // there was one

	streams []*stream // of the PMT, in its order
	left    leftOut
	clock
	gate
}

// NewDemuxer returns a demuxer that gives the tracks and access units of one program
// to sink. Payloads are valid only during the call of [media.Sink.WritePacket].
func NewDemuxer(sink media.Sink, o Options) *Demuxer {
	d := &Demuxer{sink: sink, program: o.Program, service: o.Service, raw: o.Raw, maxTracks: media.MaxTracks, videoWait: o.VideoWait}
	if d.videoWait <= 0 {
		d.videoWait = DefaultVideoWait
	}
	if o.Raw != nil {
		d.maxTracks-- // that is a track too
	}
	d.slots = make([]*slot, slotFirst, slotFirst+8)
	for pid := range ts.PIDFirstFree {
		d.index[pid] = slotIgnored
	}
	d.index[ts.PIDNull] = slotIgnored
	d.addTable(ts.PIDPAT, d.patSection)
	d.addTable(ts.PIDSDT, d.sdtSection)
	return d
}

// Write takes the next bytes, cut anywhere. Its only errors are those of the sink.
func (d *Demuxer) Write(b []byte) error {
	d.stats.Bytes += uint64(len(b))
	d.reckon()
	if err := d.tick(); err != nil {
		return err
	}
	if err := d.rest(); err != nil {
		return err
	}
	if d.kept > 0 {
		old := d.kept
		n := copy(d.carry[old:], b)
		used, err := d.consume(d.carry[:old+n], false)
		if err != nil {
			return err
		}
		if used < old { // b was too short to go on
			d.kept = copy(d.carry[:], d.carry[used:old+n])
			return nil
		}
		b, d.kept = b[used-old:], 0
	}
	used, err := d.consume(b, false)
	if err != nil {
		return err
	}
	d.kept = copy(d.carry[:], b[used:])
	return nil
}

// rest gives on pictures that nothing follows for now.
func (d *Demuxer) rest() error {
	for _, s := range d.streams {
		if err := s.rest(); err != nil {
			return err
		}
	}
	return nil
}

// Flush says that the input ends here: what is complete is given on, the rest is dropped.
func (d *Demuxer) Flush() error {
	used, err := d.consume(d.carry[:d.kept], true)
	if err != nil {
		return err
	}
	d.stats.SkippedBytes += uint64(d.kept - used)
	d.kept, d.synced = 0, false
	for _, s := range d.streams {
		if err := s.finish(); err != nil {
			return err
		}
	}
	return d.flushGate()
}

// SetTime tells the time at which the bytes of the following Write calls arrived, on a
// clock that never goes back. Only limits on waiting depend on it.
func (d *Demuxer) SetTime(now time.Duration) { d.now = now }

// Stats returns the counters.
func (d *Demuxer) Stats() ts.Stats { return d.stats }

// Join is the number of the packet, counted from the first, from where on a receiver gets the tables of the program;
// false before they have come. Only with Options.Raw.
func (d *Demuxer) Join() (packet uint64, ok bool) { return d.joinAt, d.joined }

// consume takes whole packets from b and returns how many bytes it used. It leaves at
// most two packets and a byte. With final set it does not ask for more to be sure of the sync.
func (d *Demuxer) consume(b []byte, final bool) (used int, err error) {
	given := 0 // b[:given] went to raw or was passed over
	for i := 0; ; i += ts.PacketSize {
		if d.synced && i < len(b) && b[i] != ts.SyncByte {
			d.synced = false
			d.stats.SyncLosses++
		}
		if !d.synced {
			n, found := hunt(b[i:], final)
			d.stats.SkippedBytes += uint64(n)
			i += n
			if !found {
				return i, nil
			}
			d.synced = true
		}
		if len(b)-i < ts.PacketSize {
			return i, nil
		}
		if d.raw != nil && i >= given {
			given = i + run(b[i:])
			d.raw(b[i:given])
		}
		if err := d.packet((*[ts.PacketSize]byte)(b[i:])); err != nil {
			return i, err
		}
	}
}

// run is the length of the packets at the beginning of b, in bytes.
func run(b []byte) (n int) {
	for n+ts.PacketSize <= len(b) && b[n] == ts.SyncByte {
		n += ts.PacketSize
	}
	return n
}

// hunt looks for a sync byte that two more follow at the right distance (ISO/IEC 13818-1
// annex G.1). It returns how many bytes can't begin a packet.
func hunt(b []byte, final bool) (skip int, found bool) {
	for i := 0; ; i++ {
		n := bytes.IndexByte(b[i:], ts.SyncByte)
		if n < 0 {
			return len(b), false
		}
		i += n
		sure := true
		for at := i + ts.PacketSize; at <= i+2*ts.PacketSize; at += ts.PacketSize {
			switch {
			case at < len(b):
				sure = sure && b[at] == ts.SyncByte
			case !final && sure:
				return i, false // more bytes will tell
			}
		}
		if sure && i+ts.PacketSize <= len(b) {
			return i, true
		}
	}
}
