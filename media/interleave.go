package media

import (
	"errors"
	"fmt"
)

// Limits of an Interleaver.
const (
	maxInterleaveBytes = 16 << 20
	maxInterleaveUnits = 16384
	// maxInterleaveSpan bounds how far a track that does send may lag behind the others. The delay of a transport stream's
	// decoder model is at most 1 s (ISO/IEC 13818-1 2.4.2.6), and a track that lags so far still needs time to send.
	maxInterleaveSpan = 3 * ClockRate / 2
	// maxPatience is the longest silence of a track that sends in bursts. ffmpeg puts up to 1 s of audio into one PES packet.
	maxPatience = 5 * ClockRate / 4
	// lagMemory is how long a lag counts at least; twice that at most.
	lagMemory = 5 * ClockRate
)

// ErrTrack means that a packet names a track that its epoch does not have.
var ErrTrack = errors.New("packet of an unknown track")

// Interleaver puts the packets of all tracks into the order of their decoding times; at the same time video goes
// first, then audio. It holds a packet back until every other video and audio track has come as far. A track that
// sends nothing while the others advance by its patience no longer holds them back, until it sends again; data tracks
// never do.
//
// A track's patience is maxLead, or a quarter more than the track lagged behind the others within the last 5 s, up to 1.25 s:
// audio of which many frames share a PES packet comes in bursts, later than the video that belongs to it. Audio has 1.25 s
// until it has been there for that long.
//
// The order within a track is kept, whatever its times. No packet is held back while others advance by more than 1.5 s,
// nor when 16 MB or 16384 packets are held: the earliest goes on then, so that a track that lags too far behind comes out
// late instead of stopping all.
//
// It is a Sink for one goroutine. Payloads are copied into memory that is used again, unless they can go on at once.
type Interleaver struct {
	next    Sink
	maxLead int64

	lanes   []lane
	front   int64 // latest decoding time among video and audio
	started bool  // front is known
	bytes   int
	units   int
	out     Packet
}

// lane is what is held of one track.
type lane struct {
	kind    Kind
	seen    bool
	last    int64 // decoding time of its last packet
	frontAt int64 // Interleaver.front when that came, or when the epoch began
	began   int64 // Interleaver.front when its first one came, or when the epoch began
	lag     lag
	held    []unit
	first   int // of held, a ring
	count   int
	store   ring
}

type unit struct {
	packet Packet // without payload
	key    int64  // decoding time to sort by
	off    int    // of the payload in lane.store
	length int
}

// NewInterleaver makes an Interleaver in front of a sink. maxLead, in ticks, is the least patience; 250 ms suits live streams.
func NewInterleaver(next Sink, maxLead int64) *Interleaver {
	return &Interleaver{next: next, maxLead: max(maxLead, 0)}
}

// BeginEpoch sends on all that is held and begins a new epoch.
func (i *Interleaver) BeginEpoch(tracks []Track) error {
	err := i.Flush()
	i.started = false
	for len(i.lanes) < len(tracks) {
		i.lanes = append(i.lanes, lane{})
	}
	i.lanes = i.lanes[:len(tracks)]
	for n := range i.lanes {
		l := &i.lanes[n]
		*l = lane{kind: tracks[n].Codec.Kind(), held: l.held, store: l.store}
	}
	if begin := i.next.BeginEpoch(tracks); begin != nil {
		err = begin
	}
	return err
}

// WritePacket takes a packet and sends on what need not wait any longer. The error is the sink's first one;
// the packet it belongs to is gone, all others are kept. Or it is ErrTrack.
func (i *Interleaver) WritePacket(p *Packet) error {
	if p.Track < 0 || p.Track >= len(i.lanes) {
		return fmt.Errorf("%w: %d of %d", ErrTrack, p.Track, len(i.lanes))
	}
	l := &i.lanes[p.Track]
	key := p.DTS
	if key == NoPTS {
		key = i.front
		if l.seen {
			key = l.last
		}
	}
	i.arrive(l, key)
	if l.count == 0 {
		if n := i.earliest(); (n < 0 || !before(&i.lanes[n], i.lanes[n].oldest().key, l, key)) && i.ready(p.Track, key) {
			// What is held may have become free, but not before this one.
			err := i.next.WritePacket(p)
			if later := i.drain(false); err == nil {
				err = later
			}
			return err
		}
	}
	l.push(p, key)
	i.bytes += len(p.Payload)
	i.units++
	return i.drain(false)
}

// Flush sends on all that is held. The error is the sink's first one.
func (i *Interleaver) Flush() error { return i.drain(true) }

// arrive notes how far a track has come.
func (i *Interleaver) arrive(l *lane, key int64) {
	first := !l.seen
	l.last, l.seen = key, true
	if l.kind == Data {
		return
	}
	if !i.started {
		i.started = true
		for n := range i.lanes {
			i.lanes[n].frontAt, i.lanes[n].began = key, key
		}
	}
	// Not simply the latest ever: one wrong time must not count for the rest of the epoch.
	i.front = key
	for n := range i.lanes {
		if o := &i.lanes[n]; o.seen && o.kind != Data {
			i.front = max(i.front, o.last)
		}
	}
	l.frontAt = i.front
	if first {
		l.began = i.front
	}
	l.lag.note(i.front, distance(i.front, key))
}

// patience is for how long a track may send nothing, in ticks of the front.
func (i *Interleaver) patience(l *lane) uint64 {
	if l.kind == Audio && distance(i.front, l.began) <= maxPatience {
		return max(maxPatience, uint64(i.maxLead))
	}
	longest := max(l.lag.now, l.lag.before)
	return max(min(longest+longest/4, maxPatience), uint64(i.maxLead))
}

// lag remembers how far a track came behind the front at most.
type lag struct {
	since       int64  // front when now began
	now, before uint64 // the most since then, and in the time before
}

func (l *lag) note(front int64, behind uint64) {
	if passed := distance(front, l.since); passed > lagMemory || front < l.since {
		l.before, l.now, l.since = l.now, 0, front
		if passed > 2*lagMemory {
			l.before = 0
		}
	}
	if behind <= maxInterleaveSpan { // for one that is further behind waiting is of no use
		l.now = max(l.now, behind)
	}
}

// drain sends on what is ready, or all.
func (i *Interleaver) drain(all bool) (err error) {
	for {
		n := i.earliest()
		if n < 0 {
			return err
		}
		l := &i.lanes[n]
		u := l.oldest()
		if !all && !i.ready(n, u.key) {
			return err
		}
		i.out = u.packet
		i.out.Payload = l.store.buf[u.off : u.off+u.length]
		i.bytes -= u.length
		i.units--
		if e := i.next.WritePacket(&i.out); err == nil {
			err = e
		}
		l.pop()
	}
}

// earliest returns the lane whose oldest packet comes first, -1 if nothing is held.
func (i *Interleaver) earliest() int {
	found := -1
	for n := range i.lanes {
		l := &i.lanes[n]
		if l.count > 0 && (found < 0 || before(l, l.oldest().key, &i.lanes[found], i.lanes[found].oldest().key)) {
			found = n
		}
	}
	return found
}

// before reports whether a packet of lane a goes before one of lane b.
func before(a *lane, keyA int64, b *lane, keyB int64) bool {
	if keyA != keyB {
		return keyA < keyB
	}
	return rank(a.kind) < rank(b.kind)
}

func rank(k Kind) int {
	switch k {
	case Video:
		return 0
	case Audio:
		return 1
	default:
		return 2
	}
}

// ready reports whether the earliest packet, which is of the given track, may go on.
func (i *Interleaver) ready(track int, key int64) bool {
	if !i.started || i.bytes > maxInterleaveBytes || i.units > maxInterleaveUnits || distance(i.front, key) > maxInterleaveSpan {
		return true
	}
	for n := range i.lanes {
		l := &i.lanes[n]
		if n == track || l.kind == Data || l.count > 0 {
			continue
		}
		if (!l.seen || l.last < key) && distance(i.front, l.frontAt) <= i.patience(l) {
			return false
		}
	}
	return true
}

// distance is how far a is after b, 0 if it is not. It does not overflow.
func distance(a, b int64) uint64 {
	if a <= b {
		return 0
	}
	return uint64(a) - uint64(b)
}

func (l *lane) oldest() *unit { return &l.held[l.first] }

func (l *lane) push(p *Packet, key int64) {
	if l.count == len(l.held) {
		held := make([]unit, max(16, 2*l.count))
		for n := range l.count {
			held[n] = l.held[(l.first+n)%l.count]
		}
		l.held, l.first = held, 0
	}
	if !l.store.fits(len(p.Payload)) {
		l.grow(len(p.Payload))
	}
	u := &l.held[(l.first+l.count)%len(l.held)]
	*u = unit{packet: *p, key: key, off: l.store.put(p.Payload), length: len(p.Payload)}
	u.packet.Payload = nil
	l.count++
}

func (l *lane) pop() {
	l.first = (l.first + 1) % len(l.held)
	l.count--
	if l.count == 0 {
		l.store.clear()
		return
	}
	l.store.tail = l.oldest().off
}

// grow moves the payloads to a larger ring.
func (l *lane) grow(length int) {
	held := 0
	for n := range l.count {
		held += l.held[(l.first+n)%len(l.held)].length
	}
	bigger := ring{buf: make([]byte, max(4096, 2*(held+length)))}
	for n := range l.count {
		u := &l.held[(l.first+n)%len(l.held)]
		u.off = bigger.put(l.store.buf[u.off : u.off+u.length])
	}
	l.store = bigger
}

// ring holds payloads in the order in which they came, each in one piece.
type ring struct {
	buf        []byte
	head, tail int // where the next one goes, where the oldest one is
	peak, idle int // most that was in use, and how often it became empty, since peak began
}

// Memory that one burst took is given back when the ring was at most a quarter full for a while.
const (
	ringKeep   = 1 << 20
	ringChecks = 256
)

// place says where a payload of a given length can go. Behind the end, head never reaches tail, since that
// would look like an empty ring.
func (r *ring) place(length int) (off int, ok bool) {
	if r.head >= r.tail {
		if length <= len(r.buf)-r.head {
			return r.head, true
		}
		return 0, length < r.tail
	}
	return r.head, length < r.tail-r.head
}

func (r *ring) fits(length int) bool {
	_, ok := r.place(length)
	return ok
}

func (r *ring) put(b []byte) int {
	off, _ := r.place(len(b))
	r.head = off + copy(r.buf[off:], b)
	used := r.head - r.tail
	if used < 0 {
		used += len(r.buf)
	}
	r.peak = max(r.peak, used)
	return off
}

// clear empties the ring.
func (r *ring) clear() {
	r.head, r.tail = 0, 0
	if r.idle++; r.idle < ringChecks {
		return
	}
	if len(r.buf) > ringKeep && r.peak < len(r.buf)/4 {
		r.buf = nil
	}
	r.idle, r.peak = 0, 0
}
