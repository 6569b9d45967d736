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

// Options chooses what a Demuxer takes from the transport stream.
type Options struct {
	// Program is the program_number to take; 0 takes the first of the PAT.
	Program uint16
}

// Demuxer takes one program out of a transport stream. It is not safe for concurrent use.
type Demuxer struct {
	sink    media.Sink
	program uint16

	stats ts.Stats
	now   time.Duration

	synced bool
	carry  [6 * ts.PacketSize]byte // bytes of the last Write that do not make a packet yet
	kept   int                     // how many

	index [ts.PIDs]uint8 // slot of each PID
	slots []*slot        // the first two are nil: unknown, and known but not of interest
	tables

	streams []*stream // of the PMT, in its order
	clock
	gate
}

// NewDemuxer returns a demuxer that gives the tracks and access units of one program
// to sink. Payloads are valid only during the call of [media.Sink.WritePacket].
func NewDemuxer(sink media.Sink, o Options) *Demuxer {
	d := &Demuxer{sink: sink, program: o.Program}
	d.slots = make([]*slot, slotFirst, slotFirst+8)
	for pid := range ts.PIDFirstFree {
		d.index[pid] = slotIgnored
	}
	d.index[ts.PIDNull] = slotIgnored
	d.addTable(ts.PIDPAT, d.patSection)
	return d
}

// Write takes the next bytes, cut anywhere. Its only errors are those of the sink.
func (d *Demuxer) Write(b []byte) error {
	d.stats.Bytes += uint64(len(b))
	if err := d.tick(); err != nil {
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

// consume takes whole packets from b and returns how many bytes it used. It leaves at
// most two packets and a byte. With final set it does not ask for more to be sure of the sync.
func (d *Demuxer) consume(b []byte, final bool) (used int, err error) {
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
		if err := d.packet((*[ts.PacketSize]byte)(b[i:])); err != nil {
			return i, err
		}
	}
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
