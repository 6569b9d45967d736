package buffer

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"brume/media"
)

// lastEpoch bounds what a writer goes on from: the year 2100, in Unix nanoseconds. Together with the halves of the
// other bounds it leaves an honest writer room after a hostile one.
const lastEpoch = 4_102_444_800_000_000_000

// OpenWriter maps a buffer for writing and goes on where its last writer stopped, which may have been killed at any
// moment. The writer must be gone. Errors: ErrUnsealed, ErrFinished, and ErrCorrupt when
// the last writer left what can't be continued; the stream needs a new buffer then. The file stays the caller's.
func OpenWriter(f *os.File) (*Writer, error) {
	m, err := mapFile(f, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return nil, err
	}
	w := &Writer{m: m, space: newSpace(m.geometry)}
	fd, err := duplicate(f)
	if err != nil {
		return nil, errors.Join(err, m.unmap())
	}
	if err := w.restore(); err != nil {
		return nil, errors.Join(err, m.unmap(), unix.Close(fd))
	}
	w.mem = newMemory(fd, m, w.tail)
	// The last writer may have died between the header and the head.
	w.show()
	w.space.unused(w.mem.giveBack)
	return w, nil
}

func duplicate(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("open stream buffer: %w", err)
	}
	var dup int
	var dupErr error
	err = raw.Control(func(fd uintptr) { dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dupErr); err != nil {
		return -1, fmt.Errorf("open stream buffer: %w", err)
	}
	return dup, nil
}

// restore rebuilds the writer's private state from the file.
func (w *Writer) restore() error {
	o, err := w.m.options()
	if err != nil {
		return err
	}
	w.window = int64(o.Window)
	w.cutter.cutterOptions = cutterOptionsOf(o)
	w.cutter.fresh = true
	if err := w.restoreHeader(o); err != nil {
		return err
	}
	if w.finished {
		return ErrFinished
	}
	if err := w.restoreEntries(); err != nil {
		return err
	}
	if err := w.freeSlots(); err != nil {
		return err
	}
	return nil
}

func (w *Writer) restoreHeader(o Options) error {
	h := w.m.h
	var ok bool
	if w.tail, w.head, ok = w.m.bounds(); !ok {
		return fmt.Errorf("%w: window", ErrCorrupt)
	}
	w.published = w.head
	state, parts := atomic.LoadUint64(&h.state), atomic.LoadUint64(&h.parts)
	epoch, discontinuity := atomic.LoadUint64(&h.epoch), atomic.LoadUint64(&h.discontinuity)
	segments, target := atomic.LoadUint64(&h.segment), atomic.LoadUint64(&h.targetDuration)
	needed, created := atomic.LoadUint64(&h.needed), atomic.LoadUint64(&h.created)
	if state > uint64(Closed) || parts > uint64(partsOff) || epoch >= lastEpoch || created >= lastEpoch || discontinuity >= 1<<30 ||
		w.head >= maxSeq/2 || segments >= maxSeq/2 || !validTarget(o, needed) || !validTarget(o, target) {
		return fmt.Errorf("%w: header", ErrCorrupt)
	}
	w.state, w.finished = State(state), State(state) == Closed
	w.epoch, w.floor = epoch, max(created, epoch)
	w.discontinuity = uint32(discontinuity)
	w.cutter.life = life{segments: segments, targetDuration: int(target), parts: partsMode(parts), needed: int(needed)}
	return nil
}

// restoreEntries checks every entry of the window against the one before, as only an honest writer leaves them.
func (w *Writer) restoreEntries() error {
	var last Entry
	var tracks []media.Track
	segmentAt := w.tail
	for seq := w.tail; seq < w.head; seq++ {
		e, err := w.m.checkedEntry(seq)
		if err != nil {
			return err
		}
		if e.Epoch != last.Epoch {
			if tracks, err = w.restoreTable(e.Epoch, seq); err != nil {
				return err
			}
		}
		if e.Epoch >= lastEpoch || e.Segment >= maxSeq/2 || e.Discontinuity >= 1<<30 || e.Track >= len(tracks) || seq > w.tail && !follows(&last, &e) {
			return fmt.Errorf("%w: entry %d", ErrCorrupt, seq)
		}
		if !w.space.restore(e.pos, int64(e.Length), seq) {
			return fmt.Errorf("%w: payload of entry %d", ErrCorrupt, seq)
		}
		if e.Has(SegmentStart) {
			segmentAt = seq
		}
		w.lastWall = max(w.lastWall, e.Wall)
		last = e
	}
	if w.head == w.tail {
		return nil
	}
	w.tracks = tracks
	w.open = !last.Has(EpochEnd)
	w.inherited = w.open
	w.epoch, w.discontinuity, w.lastDTS = last.Epoch, last.Discontinuity, last.DTS
	w.cutter.segments, w.cutter.part = last.Segment, last.Part
	w.resumeCutter(segmentAt)
	return nil
}

// resumeCutter tells the cutter of the segment that was running, so that it can be closed. The next epoch
// begins a new one.
func (w *Writer) resumeCutter(from uint64) {
	newest := w.m.record(w.head - 1)
	w.cutter.begin(w.tracks)
	first := w.m.record(from).entry()
	w.cutter.fresh = first.Has(EpochStart)
	for seq := from; seq < w.head; seq++ {
		e := w.m.record(seq).entry()
		if e.Track < 0 {
			continue
		}
		w.cutter.replay(e.Track, place{e.DTS, e.PTS}, e.Flags, seq == from)
		if e.Track == w.cutter.lead {
			w.clock = wallClock{wall: e.Wall, dts: e.DTS, last: e.DTS}
		}
	}
	if w.clock.wall == 0 {
		w.clock = wallClock{wall: newest.wall, dts: newest.dts, last: newest.dts}
	}
	w.cutter.fresh = !w.open
}

// follows tells whether b may come right after a.
func follows(a, b *Entry) bool {
	if b.Epoch != a.Epoch {
		return b.Epoch > a.Epoch && b.Has(EpochStart|SegmentStart) && b.Discontinuity == a.Discontinuity+1 && b.Segment == a.Segment+1 && b.Part == 0
	}
	if a.Has(EpochEnd) || b.Has(EpochStart) || b.Discontinuity != a.Discontinuity {
		return false
	}
	if b.Has(SegmentStart) {
		return b.Segment == a.Segment+1 && b.Part == 0
	}
	if b.Segment != a.Segment {
		return false
	}
	if b.Has(PartStart) {
		return b.Part == a.Part+1
	}
	return b.Part == a.Part
}

func (w *Writer) restoreTable(epoch, first uint64) ([]media.Track, error) {
	if len(w.epochs) == tableSlots {
		return nil, fmt.Errorf("%w: more epochs than tables", ErrCorrupt)
	}
	tracks, slot, err := w.m.readTable(epoch, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	w.epochs = append(w.epochs, epochRef{epoch, slot, first})
	return tracks, nil
}

// freeSlots frees the tables that no packet needs.
func (w *Writer) freeSlots() error {
	for slot := range tableSlots {
		id := atomic.LoadUint64(&w.m.h.slotEpoch[slot])
		if id >= lastEpoch {
			return fmt.Errorf("%w: epoch %d", ErrCorrupt, id)
		}
		w.floor = max(w.floor, id) // an id is never used again, even if nobody saw it
		if !w.slotUsed(slot) {
			atomic.SwapUint64(&w.m.h.slotEpoch[slot], 0)
		}
	}
	return nil
}

func validTarget(o Options, seconds uint64) bool {
	return seconds <= uint64((o.SegmentMax+999999999)/1e9)
}
