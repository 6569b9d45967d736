package buffer

import (
	"errors"
	"sync/atomic"
	"unsafe"
)

// LatestRandomAccess returns the last random access point of the lead track in the newest epoch.
func (r *Reader) LatestRandomAccess() (seq uint64, ok bool) {
	defer r.leave()
	if !r.enter() {
		return 0, false
	}
	tail, head, ok := r.m.bounds()
	if !ok || tail == head {
		return 0, false
	}
	newest, table, err := r.entry(head - 1)
	if err != nil {
		return 0, false
	}
	for seq := head; seq > tail; seq-- {
		e := r.m.glance(seq - 1)
		if e.epoch != newest.Epoch {
			return 0, false
		}
		if e.leads(table) {
			_, _, err := r.entry(seq - 1)
			return seq - 1, err == nil
		}
	}
	return 0, false
}

// NextRandomAccess returns the first random access point of a lead track at or after from.
func (r *Reader) NextRandomAccess(from uint64) (seq uint64, ok bool) {
	defer r.leave()
	if !r.enter() {
		return 0, false
	}
	tail, head, ok := r.m.bounds()
	if !ok {
		return 0, false
	}
	for seq := max(from, tail); seq < head; seq++ {
		g := r.m.glance(seq)
		if Flags(g.flags)&RandomAccess == 0 {
			continue
		}
		table, err := r.table(g.epoch)
		if err == nil && !g.leads(table) {
			continue
		}
		if _, _, err = r.entry(seq); err == nil {
			return seq, true
		}
		if !errors.Is(err, ErrOvertaken) {
			return 0, false
		}
	}
	return 0, false
}

// glance is the part of an entry that a search needs, not checked.
type glance struct {
	epoch uint64
	track uint16
	flags uint16
}

func (m *mapping) glance(seq uint64) glance {
	from := m.record(seq)
	epoch := atomic.LoadUint64(&from.epoch)
	word := atomic.LoadUint64((*uint64)(unsafe.Pointer(&from.discontinuity)))
	marks := (*struct {
		_            uint32
		track, flags uint16
	})(unsafe.Pointer(&word))
	return glance{epoch: epoch, track: marks.track, flags: marks.flags}
}

func (g glance) leads(t *epochTable) bool {
	return Flags(g.flags)&RandomAccess != 0 && g.epoch == t.epoch && int(g.track) == t.lead
}
