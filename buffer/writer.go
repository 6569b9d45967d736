package buffer

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"brume/media"
)

// Writer writes a buffer. It is for one goroutine, and there must be one in all processes.
type Writer struct {
	m   *mapping
	mem memory

	now     int64 // Unix nanoseconds, 0 before SetTime
	window  int64 // nanoseconds
	cutter  cutter
	clock   wallClock
	space   *space
	epochs  []epochRef // that have a table, oldest first
	table   []byte     // of the epoch to come, encoded
	tracks  []media.Track
	pending bool // BeginEpoch was called and no packet came since
	open    bool // an epoch has begun and not ended
	// inherited: it is the last writer's. It can be ended, not continued: a new publisher has clocks and tracks of its own.
	inherited bool
	finished  bool
	// awaiting: after a pause, the first random access point begins the next epoch. pausedUntil is when packets came again.
	awaiting    bool
	pausedUntil int64

	tail, head    uint64 // head runs ahead of what readers see, tail does not
	published     uint64 // head that readers see
	unseen        int64  // payload bytes above it
	state         State  // that readers see
	epoch         uint64
	floor         uint64 // epoch ids are above it: when the buffer was made, so that no earlier one of the name had them
	discontinuity uint32
	lastWall      int64
	lastDTS       int64

	silences []silence // by track
}

// epochRef is an epoch that has a table.
type epochRef struct {
	id    uint64
	slot  int
	first uint64 // sequence number of its first packet
}

// SegmentMax is that of the buffer's Options.
func (w *Writer) SegmentMax() time.Duration { return media.Duration(w.cutter.max) }

// SetTime tells the wall clock for the calls that follow.
func (w *Writer) SetTime(now time.Time) { w.now = max(now.UnixNano(), 0) }

// BeginEpoch declares the tracks of the packets that follow. The epoch begins with the first of
// them; an epoch without a packet never was. Errors: ErrTracks, ErrTooLarge, ErrFinished, ErrClosed. The tracks
// are copied.
func (w *Writer) BeginEpoch(tracks []media.Track) error {
	if err := w.usable(); err != nil {
		return err
	}
	table, err := appendTable(w.table[:0], tracks)
	if err != nil {
		return err
	}
	w.table = table
	w.tracks = append(w.tracks[:0], tracks...)
	w.pending = true
	return nil
}

func (w *Writer) usable() error {
	switch {
	case w.m == nil:
		return ErrClosed
	case w.finished:
		return ErrFinished
	default:
		return nil
	}
}

// WritePacket copies one access unit into the buffer. Readers see it after Commit. A decoding time
// that is not known is taken to be that of the packet before, a presentation time that of decoding. After a pause of all tracks
// that the running segment can't hold, a new epoch of the same tracks begins at the next random access point. Torn pictures begin
// none: one that comes right after BeginEpoch is left out.
//
// Errors leave the buffer as it was, and the next packet may be written: ErrTooLarge for a payload over a
// quarter of the data area, ErrTime, ErrTracks, ErrNoEpoch, ErrFinished, ErrClosed.
func (w *Writer) WritePacket(p *media.Packet) error {
	if err := w.usable(); err != nil {
		return err
	}
	if !w.pending && (!w.open || w.inherited) {
		return ErrNoEpoch
	}
	if p.Track < 0 || p.Track >= len(w.tracks) {
		return fmt.Errorf("%w: packet of track %d, there are %d", ErrTracks, p.Track, len(w.tracks))
	}
	length := int64(len(p.Payload))
	if length > w.m.maxPayload {
		return fmt.Errorf("%w: payload of %d bytes, %d are possible", ErrTooLarge, length, w.m.maxPayload)
	}
	dts, pts := p.DTS, p.PTS
	if dts == media.NoPTS {
		dts = w.lastDTS
	}
	if pts == media.NoPTS {
		pts = dts
	}
	if dts > maxTicks || dts < -maxTicks || pts > maxTicks || pts < -maxTicks {
		return fmt.Errorf("%w: DTS %d, PTS %d", ErrTime, dts, pts)
	}
	torn := w.torn(p)
	if !torn && w.resumes(p, dts) {
		w.pending = true
	}
	if w.pending && torn || w.awaiting && !w.pending && !torn && w.cutter.timed(p.Track) {
		return nil
	}
	if w.pending {
		if err := w.soundOut(); err != nil {
			return err
		}
		w.beginEpoch(dts)
	} else if w.cutter.timed(p.Track) && !torn { // silence would make the segment's sound longer than the segment
		if err := w.fillSilence(dts); err != nil {
			return err
		}
	}
	if !w.sounds(p.Track, dts) {
		return nil
	}
	at := place{dts, pts}
	return w.append(p.Track, at, p.Payload, func() Flags {
		if torn {
			return Torn
		}
		if p.RandomAccess && p.Resumes {
			w.cutter.lost(p.Track)
		}
		flags := w.cutter.next(p.Track, at, p.RandomAccess)
		if p.RandomAccess && p.Gradual {
			flags |= Gradual
		}
		return flags
	})
}

// torn reports whether a packet is a picture that must not count for lengths and cuts, see Torn.
func (w *Writer) torn(p *media.Packet) bool {
	return p.Torn && !p.RandomAccess && w.tracks[p.Track].Codec.Kind() == media.Video
}

// append writes an access unit of the running epoch. mark places it in its segment and part.
func (w *Writer) append(track int, at place, payload []byte, mark func() Flags) error {
	length := int64(len(payload))
	pos, err := w.room(length)
	if err != nil {
		return err
	}
	copy(w.m.payload(pos, length), payload)
	flags := mark()
	if track == w.cutter.lead {
		w.clock.step(w.now, at.dts)
	}
	w.lastDTS = at.dts
	w.put(record{dts: at.dts, pts: at.pts, pos: uint64(pos), length: uint32(length), track: uint16(track), flags: uint16(flags)})
	w.unseen += length
	return nil
}

// resumes reports whether a packet begins a new epoch of the same tracks, after a pause that the running segment
// can't hold: the first random access point of the lead track. Packets before it are left out, for as long as a segment may
// last at most. What has no times of its own, data and the multiplex, stays in the epoch before.
func (w *Writer) resumes(p *media.Packet, dts int64) bool {
	if w.pending || !w.cutter.timed(p.Track) {
		return false
	}
	if !w.awaiting {
		if !w.cutter.paused(p.Track, dts) {
			return false
		}
		w.awaiting, w.pausedUntil = true, dts
	}
	random := p.Track == w.cutter.lead && (p.RandomAccess || w.cutter.kinds[p.Track] != media.Video)
	waited := dts - w.pausedUntil
	return random || max(waited, -waited) > w.cutter.max // tracks are not quite in step, so some packets are from before
}

// beginEpoch opens the pending epoch with the decoding time of its first packet.
func (w *Writer) beginEpoch(dts int64) {
	if w.open {
		w.cutter.end()
	}
	if w.epoch != 0 {
		w.discontinuity++
	}
	again := w.awaiting
	w.pending, w.open, w.inherited, w.awaiting = false, true, false, false
	w.epoch = max(uint64(w.now), w.epoch+1, w.floor+1)
	w.cutter.begin(w.tracks)
	w.clock.begin(w.now, w.lastWall, dts)
	w.beginSilence(dts, again)
	w.storeTable()
}

// storeTable writes the table of the epoch that begins into a free slot. Where there is none, the packets of
// the oldest epoch go.
func (w *Writer) storeTable() {
	if len(w.epochs) == tableSlots {
		w.evict(w.epochs[1].first)
	}
	slot := 0
	for w.slotUsed(slot) {
		slot++
	}
	copy(w.m.table(slot), w.table)
	atomic.StoreUint64(&w.m.h.slotLength[slot], uint64(len(w.table)))
	atomic.StoreUint64(&w.m.h.slotEpoch[slot], w.epoch)
	w.epochs = append(w.epochs, epochRef{w.epoch, slot, w.head})
}

func (w *Writer) slotUsed(slot int) bool {
	for _, e := range w.epochs {
		if e.slot == slot {
			return true
		}
	}
	return false
}

// room makes room for a packet in the index and in the data area.
func (w *Writer) room(length int64) (int64, error) {
	if w.head-w.published >= w.m.entries/4 || w.unseen >= w.m.maxPayload {
		w.Commit()
	}
	if w.head-w.tail == w.m.entries {
		w.evict(w.tail + w.m.entries/64)
	}
	for {
		if pos, ok := w.space.place(length, w.head); ok {
			return pos, nil
		}
		if w.space.taken.len() < 2 {
			return 0, fmt.Errorf("%w: no room for %d bytes", ErrTooLarge, length)
		}
		w.evict(w.space.state[w.space.taken.front()].last + 1)
	}
}

// put appends a record for the running segment and part.
func (w *Writer) put(r record) {
	r.seq, r.epoch, r.discontinuity = w.head, w.epoch, w.discontinuity
	r.segment, r.part = w.cutter.segments, w.cutter.part
	r.wall = min(max(w.clock.at(r.dts), -maxEpoch), maxEpoch-1)
	*w.m.record(w.head) = r
	w.lastWall = max(w.lastWall, r.wall)
	w.head++
}

// evict moves the tail. Readers see it before anything of what they may be reading is written over.
func (w *Writer) evict(tail uint64) {
	if tail <= w.tail {
		return
	}
	if tail > w.published {
		w.publish()
	}
	w.tail = tail
	atomic.SwapUint64(&w.m.h.tail, tail)
	w.space.release(tail)
	for len(w.epochs) > 1 && w.epochs[1].first <= tail {
		atomic.SwapUint64(&w.m.h.slotEpoch[w.epochs[0].slot], 0)
		w.epochs = append(w.epochs[:0], w.epochs[1:]...)
	}
}

// expire evicts what has left the window. The newest packet stays.
func (w *Writer) expire() {
	if w.head == w.tail {
		return
	}
	newest := w.m.record(w.head - 1).wall
	tail := w.tail
	for tail < w.head-1 && newest-w.m.record(tail).wall > w.window {
		tail++
	}
	w.evict(tail)
}

// Commit shows readers what was written, and that the writer is alive, and wakes those who wait. It gives back the
// memory of what has left the window. Call it once per batch of packets: every wake costs each reader.
func (w *Writer) Commit() {
	if w.m == nil {
		return
	}
	w.expire()
	w.publish()
	w.mem.reclaim(w)
}

// publish shows readers what was written, if there is anything new.
func (w *Writer) publish() {
	atomic.StoreUint64(&w.m.h.heartbeat, uint64(w.now))
	if w.head != w.published || w.stateNow() != w.state {
		w.show()
	}
}

// show writes the header and wakes readers. The head comes last: what belongs to it is there by then.
func (w *Writer) show() {
	h := w.m.h
	w.published, w.state, w.unseen = w.head, w.stateNow(), 0
	atomic.StoreUint64(&h.epoch, w.epoch)
	atomic.StoreUint64(&h.discontinuity, uint64(w.discontinuity))
	atomic.StoreUint64(&h.segment, w.cutter.segments)
	atomic.StoreUint64(&h.targetDuration, uint64(w.cutter.targetDuration))
	atomic.StoreUint64(&h.needed, uint64(w.cutter.needed))
	atomic.StoreUint64(&h.parts, uint64(w.cutter.parts))
	atomic.StoreUint64(&h.state, uint64(w.state))
	atomic.SwapUint64(&h.head, w.head)
	atomic.AddUint32(&h.futex, 1)
	wake(&h.futex)
}

func (w *Writer) stateNow() State {
	switch {
	case w.finished:
		return Closed
	case w.open:
		return Live
	case w.epoch != 0:
		return Ended
	default:
		return Empty
	}
}

// EndEpoch closes the running epoch with a mark and commits. Without one it does nothing. It is for the writer's
// orderly end, and for whoever tidies up after a writer that died.
func (w *Writer) EndEpoch() error {
	if err := w.usable(); err != nil {
		return err
	}
	w.pending = false
	if !w.open {
		return nil
	}
	if err := w.soundOut(); err != nil {
		return err
	}
	pos, err := w.room(0)
	if err != nil {
		return err
	}
	dts, ok := w.cutter.leadEnd()
	if !ok {
		dts = w.lastDTS
	}
	w.cutter.end()
	w.open = false
	w.put(record{dts: dts, pts: dts, pos: uint64(pos), track: noTrack, flags: uint16(EpochEnd)})
	w.Commit()
	return nil
}

// Finish ends the stream for good.
func (w *Writer) Finish() error {
	if err := w.EndEpoch(); err != nil {
		return err
	}
	w.cutter.finish()
	w.finished = true
	w.Commit()
	return nil
}

// Close unmaps the buffer. It neither commits nor ends anything.
func (w *Writer) Close() error {
	if w.m == nil {
		return ErrClosed
	}
	m := w.m
	w.m = nil
	return errors.Join(m.unmap(), unix.Close(w.mem.fd))
}

var _ media.Sink = (*Writer)(nil)
