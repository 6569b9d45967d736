package tsfeed

import (
	"math"
	"slices"
	"time"

	"brume/media"
	"brume/media/ts"
)

const (
	// maxRaw is the longest unit of the transport stream, in bytes.
	maxRaw = 340 * ts.PacketSize
	// maxAlone is for how long, and maxHeld for how many bytes, the transport stream waits for the first epoch of what is in it.
	// Then it gets an epoch of its own.
	maxAlone = time.Second
	maxHeld  = 8 << 20
	// Joins that no picture makes: not more often than each joinPause, and each joinWait even where no tables come. A
	// picture that is silent for joinSilence leaves it to the tables, too.
	joinPause   = 250 * time.Millisecond
	joinWait    = 2 * time.Second
	joinSilence = 10 * time.Second
)

// passthrough writes the transport stream as it came beside the access units that were made of it: as the last track of
// each epoch, in the order in which it came and without waiting for what is ordered by time. It goes on across epochs.
//
// An access unit is complete long after its first byte, and then waits for the other tracks. So before each picture that can
// be decoded by itself stands a join, which tells how far back the transport stream has the tables and then that picture.
type passthrough struct {
	next *counter
	now  time.Time

	tracks []media.Track // of the epoch that runs or is due, the transport stream last
	due    bool          // the epoch was declared, and no unit of it has come
	track  int           // of the transport stream in the epoch that runs, -1: none runs
	lead   int           // first track of video in the epoch that runs, -1: it has none
	dts    int64         // of the last access unit
	at     time.Time     // when that came

	held   []byte    // packets from before the first epoch
	since  time.Time // when the first of them came
	count  uint64    // packets that came
	join   uint64    // place of the last join, and when it was written
	joined time.Time
	mark   [ts.JoinSize]byte
	unit   media.Packet
}

func newPassthrough(next *counter) *passthrough {
	return &passthrough{next: next, track: -1, lead: -1, join: math.MaxUint64}
}

// BeginEpoch implements media.Sink. The epoch begins with the first unit of it, so that its clock is that of what it holds;
// until then the transport stream goes on in the one before.
func (p *passthrough) BeginEpoch(tracks []media.Track) error {
	p.tracks = append(append(p.tracks[:0], tracks...), media.Track{Codec: media.MPEGTS})
	p.due = true
	return nil
}

// WritePacket implements media.Sink.
func (p *passthrough) WritePacket(u *media.Packet) error {
	if p.due {
		p.begin(u.DTS)
	}
	p.dts, p.at = u.DTS, p.now
	if u.Track == p.lead && u.RandomAccess {
		p.writeJoin(u.Join)
	}
	return p.next.WritePacket(u)
}

// begin opens the epoch that is due, at a time of its clock.
func (p *passthrough) begin(dts int64) {
	_ = p.next.BeginEpoch(p.tracks) // counts its error itself
	p.due = false
	p.track = len(p.tracks) - 1
	p.lead = slices.IndexFunc(p.tracks, func(t media.Track) bool { return t.Codec.Kind() == media.Video })
	p.dts, p.at = dts, p.now
	held := p.held
	p.held = nil
	p.write(held)
}

// take takes packets of the transport stream, as they come.
func (p *passthrough) take(packets []byte) {
	p.count += uint64(len(packets) / ts.PacketSize)
	if p.track >= 0 {
		p.write(packets)
		return
	}
	if len(p.held) == 0 {
		p.since = p.now
	}
	p.held = append(p.held, packets...)
	if len(p.held) >= maxHeld {
		p.alone()
	}
}

// tick tells the time of what comes next.
func (p *passthrough) tick(now time.Time) {
	p.now = now
	if len(p.held) > 0 && now.Sub(p.since) >= maxAlone {
		p.alone()
	}
}

// flush writes what still waits, as nothing follows.
func (p *passthrough) flush() {
	if len(p.held) > 0 {
		p.alone()
	}
}

// alone opens an epoch of nothing but the transport stream, whose clock is that of arrival. One that was declared stays
// due.
func (p *passthrough) alone() {
	due, tracks := p.due, p.tracks
	p.tracks = []media.Track{{Codec: media.MPEGTS}}
	p.begin(0)
	p.due, p.tracks = due, tracks
}

func (p *passthrough) write(packets []byte) {
	for len(packets) > 0 {
		n := min(len(packets), maxRaw)
		p.writeUnit(packets[:n])
		packets = packets[n:]
	}
}

// writeUnit writes one unit with the time that it has in the epoch: that of the last access unit, and what has passed
// since then.
func (p *passthrough) writeUnit(payload []byte) {
	dts := p.dts + media.Ticks(p.now.Sub(p.at))
	p.unit = media.Packet{Track: p.track, DTS: dts, PTS: dts, RandomAccess: true, Payload: payload}
	p.next.writeRaw(&p.unit)
	p.unit.Payload = nil
}

// writeJoin says that a receiver can begin at a packet.
func (p *passthrough) writeJoin(packet uint64) {
	if p.track < 0 || packet > p.count {
		return
	}
	p.join, p.joined = packet, p.now
	p.writeUnit(ts.AppendJoin(p.mark[:0], p.count-packet))
}

// joinTables is told, after each batch, where the tables last came. Where no picture does it, they make the joins.
func (p *passthrough) joinTables(packet uint64, ok bool) {
	passed := p.now.Sub(p.joined)
	if p.track < 0 || p.lead >= 0 && passed < joinSilence || passed < joinPause {
		return
	}
	switch {
	case ok && packet != p.join:
		p.writeJoin(packet)
	case passed >= joinWait:
		p.writeJoin(p.count)
	}
}

// writeRaw writes a unit of the transport stream. Those do not count as access units.
func (c *counter) writeRaw(p *media.Packet) { c.count(c.buffer.WritePacket(p)) }
