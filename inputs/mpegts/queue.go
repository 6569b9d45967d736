package mpegts

import (
	"slices"
	"time"

	"brume/media"
	"brume/media/h26x"
)

const (
	// maxQueue bounds what is held, in bytes and units.
	maxQueue      = 8 << 20
	maxQueueUnits = 8192
	// keepQueue is the memory that is kept for the next time, in bytes.
	keepQueue = 256 << 10
)

// unit is an access unit on its way to the sink.
type unit struct {
	s        *stream
	params   *params
	dts, pts int64
	random   bool
	closed   bool // of random access, and no picture behind it needs one before it
	resumes  bool // of random access, see media.Packet
	torn     bool // see media.Packet
	marking  h26x.H264Marking
	gradual  bool          // see media.Packet
	join     uint64        // see media.Packet
	came     time.Duration // when its PES arrived
	timed    bool          // its time was told by a PES, not counted on
	payload  []byte        // valid during the call; not used while the unit is in a queue
	at, size int           // in queue.data
}

// queue holds units with copies of their payloads.
type queue struct {
	units []unit
	data  []byte
}

func (q *queue) push(u *unit) {
	c := *u
	c.payload = nil
	c.at, c.size = len(q.data), len(u.payload)
	q.data = append(q.data, u.payload...)
	q.units = append(q.units, c)
}

func (q *queue) payload(u *unit) []byte { return q.data[u.at : u.at+u.size] }

// trim drops units from before a time, as soon as that is worth the work. Splice commands, which are about what is to
// come, are moved to that time instead.
func (q *queue) trim(before int64) {
	if len(q.units) == 0 || q.units[0].dts >= before-leadInData {
		return
	}
	for i := range q.units {
		if u := &q.units[i]; u.dts < before && u.s.codec == media.SCTE35 {
			u.dts, u.pts = before, before
		}
	}
	size := 0
	q.units = slices.DeleteFunc(q.units, func(u unit) bool { return u.dts < before })
	for i := range q.units {
		u := &q.units[i]
		copy(q.data[size:], q.payload(u))
		u.at = size
		size += u.size
	}
	q.data = q.data[:size]
}

func (q *queue) full() bool { return len(q.data) >= maxQueue || len(q.units) >= maxQueueUnits }

func (q *queue) reset() {
	if cap(q.data) > keepQueue {
		q.data = nil
	}
	clear(q.units)
	q.units, q.data = q.units[:0], q.data[:0]
}
