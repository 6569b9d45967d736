package hls

import (
	"container/list"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"brume/memfile"
)

const (
	flushSize   = 1 << 20 // bytes of transport stream written at once
	keepScratch = 8 << 20 // memory of builders that is kept, in bytes
)

// fileKey names a segment in one rendition.
type fileKey struct {
	id             string
	epoch, segment uint64
}

// extent is a range of a file.
type extent struct{ offset, size int64 }

// file is a segment in one rendition, as far as it is built. Parts are ranges of it.
type file struct {
	key   fileKey
	first uint64 // sequence number of its first entry
	users int
	place *list.Element // in store.recent; nil once evicted

	memory   *os.File
	size     int64
	parts    []extent // of the parts built so far, in order
	complete bool     // and sealed
	failed   error
}

// store keeps the segments that were asked for, each once for all viewers.
//
// Only one is built at a time, so that memory stays bounded; who asks for what is being built waits for it.
type store struct {
	maxBytes int64
	maxFiles int

	building sync.Mutex
	builder  builder
	scratch  []byte

	mu     sync.Mutex
	files  map[fileKey]*file
	recent list.List // of *file, the last used in front
	bytes  int64
	built  uint64
}

func newStore(src source, segmentBytes, maxBytes int64, maxFiles int) *store {
	return &store{maxBytes: maxBytes, maxFiles: maxFiles, builder: builder{source: src, limit: segmentBytes}, files: map[fileKey]*file{}}
}

// acquire returns the file of a segment, with its parts up to the given index, or all of it when index is negative. It must
// be released. With an error nothing is to be released.
func (s *store) acquire(g *segment, id string, index int) (*file, extent, error) {
	k := fileKey{id, g.epoch.id, g.number}
	f := s.use(k, g.first)
	if x, err, ok := s.ready(f, index); ok {
		return s.result(f, x, err)
	}
	s.building.Lock()
	x, err, ok := s.ready(f, index)
	if !ok {
		if err = s.build(f, g, index); err != nil {
			s.fail(f, err)
		} else {
			x, err, _ = s.ready(f, index)
		}
	}
	s.building.Unlock()
	return s.result(f, x, err)
}

func (s *store) result(f *file, x extent, err error) (*file, extent, error) {
	if err != nil {
		s.release(f)
		return nil, extent{}, err
	}
	return f, x, nil
}

// use finds or makes the entry of a file and counts a user.
func (s *store) use(k fileKey, first uint64) *file {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[k]
	if f == nil {
		f = &file{key: k, first: first}
		f.place = s.recent.PushFront(f)
		s.files[k] = f
	} else {
		s.recent.MoveToFront(f.place)
	}
	f.users++
	return f
}

// ready tells whether what is wanted was built, or failed for good.
func (s *store) ready(f *file, index int) (extent, error, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case f.failed != nil:
		return extent{}, f.failed, true
	case index < 0 && f.complete:
		return extent{0, f.size}, nil, true
	case index >= 0 && index < len(f.parts):
		return f.parts[index], nil, true
	default:
		return extent{}, nil, false
	}
}

// build adds what is missing. Only who holds building gets here, so what a file has is read without mu.
func (s *store) build(f *file, g *segment, index int) error {
	if f.memory == nil {
		m, err := memfile.New("brume-segment")
		if short(err) && s.makeRoom(f) {
			m, err = memfile.New("brume-segment")
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		f.memory = m
		s.mu.Unlock()
	}
	defer func() {
		if cap(s.scratch) > keepScratch {
			s.scratch = nil
		}
		if cap(s.builder.payload) > keepScratch {
			s.builder.payload = nil
		}
	}()
	var err error
	if f.key.id == tsID {
		s.scratch, err = s.builder.transportStream(s.scratch[:0], g, func(b []byte) error { return s.append(f, b, false) })
	} else {
		err = s.buildParts(f, g, index)
	}
	if err != nil {
		return err
	}
	if index < 0 {
		return s.finish(f)
	}
	return nil
}

func (s *store) buildParts(f *file, g *segment, index int) error {
	i := g.epoch.lane(f.key.id)
	if i < 0 {
		return errChanged
	}
	parts := g.spans[i].parts
	if index >= 0 {
		parts = parts[:min(index+1, len(parts))]
	}
	for len(f.parts) < len(parts) {
		var err error
		if s.scratch, err = s.builder.fragment(s.scratch[:0], g, &g.epoch.lanes[i], &parts[len(f.parts)]); err != nil {
			return err
		}
		if err := s.append(f, s.scratch, true); err != nil {
			return err
		}
	}
	if len(f.parts) == 0 || index >= len(f.parts) {
		return errChanged
	}
	return nil
}

// append writes behind what is there. Nobody reads that before it is counted.
func (s *store) append(f *file, b []byte, isPart bool) error {
	if f.size+int64(len(b)) > 4*s.builder.limit {
		return errTooLarge
	}
	if _, err := f.memory.WriteAt(b, f.size); err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if isPart {
		f.parts = append(f.parts, extent{f.size, int64(len(b))})
	}
	f.size += int64(len(b))
	if f.place != nil {
		s.bytes += int64(len(b))
		s.trim(f)
	}
	return nil
}

// finish seals the file: what was listed once never changes.
func (s *store) finish(f *file) error {
	if err := memfile.Seal(f.memory, memfile.Complete); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.complete = true
	s.built++
	return nil
}

// fail keeps others who wait from trying the same again; the next request after them does.
func (s *store) fail(f *file, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.failed = err
	s.evict(f)
}

// release gives back what acquire returned.
func (s *store) release(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.users--
	s.closeUnused(f)
	s.trim(nil)
}

// trim keeps to the bounds. What is in use goes too, but its memory stays until its users are done.
func (s *store) trim(keep *file) {
	for s.bytes > s.maxBytes || len(s.files) > s.maxFiles {
		last := s.recent.Back()
		if last == nil || last.Value.(*file) == keep {
			return
		}
		s.evict(last.Value.(*file))
	}
}

// makeRoom forgets half of the files, those that have not been used for longest, and keeps the one that is being built. It
// reports whether there were any.
func (s *store) makeRoom(keep *file) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	some := false
	for n := (len(s.files) + 1) / 2; n > 0; n-- {
		last := s.recent.Back().Value.(*file)
		if last == keep {
			break
		}
		s.evict(last)
		some = true
	}
	return some
}

// short reports whether an error is the lack of a descriptor or of memory, which passes, and no fault of the stream.
func short(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

// evict forgets a file.
func (s *store) evict(f *file) {
	if f.place == nil {
		return
	}
	s.recent.Remove(f.place)
	f.place = nil
	delete(s.files, f.key)
	s.bytes -= f.size
	s.closeUnused(f)
}

func (s *store) closeUnused(f *file) {
	if f.users == 0 && f.place == nil && f.memory != nil {
		_ = f.memory.Close() // memory: nothing can be lost
		f.memory = nil
	}
}

// expire evicts the segments that begin before an entry.
func (s *store) expire(tail uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if f.first < tail {
			s.evict(f)
		}
	}
}

// close evicts everything, and keeps no file from now on.
func (s *store) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxFiles, s.maxBytes = 0, 0
	s.trim(nil)
}
