package buffer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"brume/media"
)

// maxEpoch bounds epoch ids and wall clocks: the year 2200, in Unix nanoseconds.
const maxEpoch = 7_258_118_400_000_000_000

// errNoTable means that there is no table for an epoch.
var errNoTable = errors.New("epoch has no track table")

// wakePause is the shortest time between two returns of Wait, so that a hostile writer can't keep its readers
// busy. Batches of live packets are ten times as far apart.
const wakePause = time.Millisecond

// Reader reads a buffer. All of it may be called from several goroutines at once.
type Reader struct {
	m *mapping

	users  atomic.Int64 // calls that use the mapping; negative once closed
	fence  atomic.Int64
	seen   atomic.Uint32 // State that Info or Wait saw last
	woken  atomic.Int64  // when Wait returned last, nanoseconds since start
	start  time.Time
	newest atomic.Pointer[epochTable]
	mu     sync.Mutex
	tables []*epochTable // of late; tables never change
}

// epochTable is the table of an epoch.
type epochTable struct {
	epoch  uint64
	lead   int
	tracks []media.Track
}

// closedReader is far below what callers can add to.
const closedReader = -1 << 40

// OpenReader maps a buffer read-only. The file stays the caller's, and may be closed at once. Errors: ErrUnsealed,
// ErrCorrupt.
func OpenReader(f *os.File) (*Reader, error) {
	m, err := mapFile(f, unix.PROT_READ)
	if err != nil {
		return nil, err
	}
	return newReader(m), nil
}

func newReader(m *mapping) *Reader {
	r := &Reader{m: m, start: time.Now()}
	r.seen.Store(uint32(r.state()))
	return r
}

// enter keeps the mapping from being unmapped until leave. It must be left in any case.
func (r *Reader) enter() bool { return r.users.Add(1) > 0 }

func (r *Reader) leave() { r.users.Add(-1) }

// barrier makes what follows happen after all reads before: an atomic addition is a full
// barrier, on arm64 too, where loads pass each other otherwise.
func (r *Reader) barrier() { r.fence.Add(1) }

func (r *Reader) state() State {
	return State(min(atomic.LoadUint64(&r.m.h.state), uint64(Closed)+1))
}

// Info describes the buffer. Errors: ErrCorrupt, ErrClosed.
func (r *Reader) Info() (Info, error) {
	defer r.leave()
	if !r.enter() {
		return Info{}, ErrClosed
	}
	o, err := r.m.options()
	if err != nil {
		return Info{}, err
	}
	h := r.m.h
	tail, head, ok := r.m.bounds()
	state := r.state()
	epoch, discontinuity := atomic.LoadUint64(&h.epoch), atomic.LoadUint64(&h.discontinuity)
	heartbeat, target := atomic.LoadUint64(&h.heartbeat), atomic.LoadUint64(&h.targetDuration)
	parts, needed := atomic.LoadUint64(&h.parts), atomic.LoadUint64(&h.needed)
	if !ok || state > Closed || epoch >= maxEpoch || heartbeat >= maxEpoch || discontinuity >= 1<<31 || parts > uint64(partsOff) || !validTarget(o, target) || !validTarget(o, needed) {
		return Info{}, fmt.Errorf("%w: header", ErrCorrupt)
	}
	r.seen.Store(uint32(state))
	i := Info{
		Stream: o.Stream, State: state, Epoch: epoch, Discontinuity: uint32(discontinuity), Tail: tail, Head: head,
		Window: o.Window, SegmentTarget: o.SegmentTarget, SegmentMax: o.SegmentMax, TargetDuration: int(target), Keyframes: int(needed),
	}
	if heartbeat != 0 {
		i.Heartbeat = time.Unix(0, int64(heartbeat))
	}
	if partsMode(parts) != partsOff {
		i.PartTarget = max(o.PartTarget, 0)
	}
	return i, nil
}

// Bounds returns the window: entries exist for tail <= seq < head. Both are 0 when the buffer is corrupt or closed.
func (r *Reader) Bounds() (tail, head uint64) {
	defer r.leave()
	if !r.enter() {
		return 0, 0
	}
	tail, head, _ = r.m.bounds()
	return tail, head
}

// Entry returns the entry of a sequence number. Errors: ErrOvertaken, ErrNotYet, ErrCorrupt, ErrClosed.
func (r *Reader) Entry(seq uint64) (Entry, error) {
	defer r.leave()
	if !r.enter() {
		return Entry{}, ErrClosed
	}
	e, _, err := r.entry(seq)
	return e, err
}

func (r *Reader) entry(seq uint64) (Entry, *epochTable, error) {
	if seq >= atomic.LoadUint64(&r.m.h.head) {
		return Entry{}, nil, ErrNotYet
	}
	if r.overtaken(seq) {
		return Entry{}, nil, ErrOvertaken
	}
	e, err := r.m.checkedEntry(seq)
	if r.overtaken(seq) {
		return Entry{}, nil, ErrOvertaken
	}
	if err != nil {
		return Entry{}, nil, err
	}
	t, err := r.table(e.Epoch)
	if err != nil {
		switch {
		case r.overtaken(seq):
			err = ErrOvertaken
		case errors.Is(err, errNoTable):
			err = fmt.Errorf("%w: entry %d: %w", ErrCorrupt, seq, err)
		}
		return Entry{}, nil, err
	}
	if e.Track >= len(t.tracks) {
		return Entry{}, nil, fmt.Errorf("%w: entry %d is of track %d, its epoch has %d", ErrCorrupt, seq, e.Track, len(t.tracks))
	}
	return e, t, nil
}

// overtaken tells whether a packet has left the window, after all that was read before.
func (r *Reader) overtaken(seq uint64) bool {
	r.barrier()
	return seq < atomic.LoadUint64(&r.m.h.tail)
}

// checkedEntry copies an entry and checks what can be checked of it alone.
func (m *mapping) checkedEntry(seq uint64) (Entry, error) {
	c := m.copyRecord(seq)
	e := c.entry()
	end := e.Has(EpochEnd)
	ok := e.Seq == seq && seq < maxSeq && e.Epoch != 0 && e.Epoch < maxEpoch && e.Segment < maxSeq && e.Part < 1<<30 && e.Discontinuity < 1<<31 &&
		e.Flags&^allFlags == 0 && (!end || e.Flags == EpochEnd && e.Length == 0) && (!e.Has(Torn) || e.Flags == Torn) && end == (e.Track < 0) && e.Track < media.MaxTracks &&
		(!e.Has(EpochStart) || e.Has(SegmentStart)) && (!e.Has(SegmentStart) || e.Part == 0) &&
		e.DTS <= maxTicks && e.DTS >= -maxTicks && e.PTS <= maxTicks && e.PTS >= -maxTicks && e.Wall >= -maxEpoch && e.Wall < maxEpoch &&
		c.pos <= uint64(m.dataSize) && int64(c.length) <= m.maxPayload && e.pos+int64(e.Length) <= m.dataSize
	if !ok {
		return Entry{}, fmt.Errorf("%w: entry %d", ErrCorrupt, seq)
	}
	return e, nil
}

// Payload appends a copy of a packet's payload to dst, which is returned as it was with an error. Errors:
// ErrOvertaken, ErrCorrupt, ErrClosed.
func (r *Reader) Payload(e *Entry, dst []byte) ([]byte, error) {
	defer r.leave()
	if !r.enter() {
		return dst, ErrClosed
	}
	b := r.m.payload(e.pos, int64(e.Length))
	if b == nil {
		return dst, fmt.Errorf("%w: payload of entry %d", ErrCorrupt, e.Seq)
	}
	// To read memory that was given back would allocate it again.
	if r.overtaken(e.Seq) {
		return dst, ErrOvertaken
	}
	n := len(dst)
	dst = append(dst, b...)
	if r.overtaken(e.Seq) {
		return dst[:n], ErrOvertaken
	}
	return dst, nil
}

// Tracks returns the tracks of an epoch, for reading only. They are known as long as a packet of the epoch
// is in the window. Errors: ErrOvertaken, ErrCorrupt, ErrClosed.
func (r *Reader) Tracks(epoch uint64) ([]media.Track, error) {
	defer r.leave()
	if !r.enter() {
		return nil, ErrClosed
	}
	t, err := r.table(epoch)
	switch {
	case errors.Is(err, errNoTable):
		return nil, fmt.Errorf("%w: %w", ErrOvertaken, err)
	case err != nil:
		return nil, err
	}
	return t.tracks, nil
}

func (r *Reader) table(epoch uint64) (*epochTable, error) {
	if t := r.newest.Load(); t != nil && t.epoch == epoch {
		return t, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.tables, func(t *epochTable) bool { return t.epoch == epoch })
	if i >= 0 {
		r.newest.Store(r.tables[i])
		return r.tables[i], nil
	}
	tracks, _, err := r.m.readTable(epoch, r.barrier)
	if err != nil {
		return nil, err
	}
	if len(r.tables) == tableSlots {
		r.tables = slices.Delete(r.tables, 0, 1)
	}
	t := &epochTable{epoch: epoch, lead: leadTrack(tracks), tracks: tracks}
	r.tables = append(r.tables, t)
	r.newest.Store(t)
	return t, nil
}

// readTable copies and decodes the table of an epoch, and tells its slot.
func (m *mapping) readTable(epoch uint64, barrier func()) ([]media.Track, int, error) {
	if epoch == 0 {
		return nil, 0, errNoTable
	}
	for slot := range tableSlots {
		if atomic.LoadUint64(&m.h.slotEpoch[slot]) != epoch {
			continue
		}
		n := atomic.LoadUint64(&m.h.slotLength[slot])
		if n > tableSize {
			return nil, 0, fmt.Errorf("%w: table of %d bytes", ErrCorrupt, n)
		}
		b := append(make([]byte, 0, n), m.table(slot)[:n]...)
		if barrier != nil {
			barrier()
		}
		if atomic.LoadUint64(&m.h.slotEpoch[slot]) != epoch {
			break
		}
		tracks, err := parseTable(b)
		return tracks, slot, err
	}
	return nil, 0, errNoTable
}

// Wait returns when the head is past the given value, when the state is not the one that Info or Wait saw last, or
// after the timeout. It returns at most once in a millisecond.
func (r *Reader) Wait(head uint64, timeout time.Duration) {
	defer r.leave()
	if !r.enter() {
		return
	}
	deadline := time.Since(r.start) + min(timeout, time.Hour)
	seen := r.seen.Load()
	word := &r.m.h.futex
	defer func() { r.woken.Store(int64(time.Since(r.start))) }()
	for spurious := 0; r.users.Load() > 0; spurious++ {
		value := atomic.LoadUint32(word)
		now := time.Since(r.start)
		state := uint32(r.state())
		if atomic.LoadUint64(&r.m.h.head) > head || state != seen {
			if pause := time.Duration(r.woken.Load()) + wakePause - now; pause > 0 && r.woken.Load() != 0 {
				time.Sleep(min(pause, wakePause))
			}
			r.seen.Store(state)
			return
		}
		if now >= deadline {
			return
		}
		if spurious > 16 {
			time.Sleep(wakePause)
		}
		sleepOn(word, value, deadline-now)
	}
}

// Close unmaps the buffer, after calls that are running have returned; Wait is woken.
func (r *Reader) Close() error {
	if !r.close() {
		return ErrClosed
	}
	for r.users.Load() != closedReader {
		wake(&r.m.h.futex)
		time.Sleep(wakePause)
	}
	return r.m.unmap()
}

func (r *Reader) close() bool {
	for {
		n := r.users.Load()
		if n < 0 {
			return false
		}
		if r.users.CompareAndSwap(n, n+closedReader) {
			return true
		}
	}
}
