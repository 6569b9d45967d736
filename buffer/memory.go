package buffer

import "golang.org/x/sys/unix"

// indexBatch is the most index memory that is given back at a time, in bytes.
const indexBatch = 64 << 10

// memory gives back the memory of what has left the window. Where the system refuses, nothing but memory is
// lost: the file's size is the bound.
type memory struct {
	fd int // the writer's own descriptor of the buffer
	m  *mapping

	indexBatch int64
	indexDone  int64 // index bytes given back, counted from the first entry on
	swept      int64 // when all that is not in use was given back, Unix nanoseconds
}

func newMemory(fd int, m *mapping, tail uint64) memory {
	indexSize := int64(m.entries) * recordSize
	batch := min(indexSize&-indexSize, indexBatch)
	return memory{
		fd: fd, m: m, indexBatch: batch,
		indexDone: int64(tail) * recordSize / batch * batch,
	}
}

// reclaim gives back what the writer does not need. Once per window it does so with all that is not in use: a reader
// that was about to read there when it was given back has made it appear again.
func (s *memory) reclaim(w *Writer) {
	for {
		r, ok := w.space.surplus(s.m.chunks)
		if !ok {
			break
		}
		s.giveBack(r)
	}
	if w.lastWall-s.swept > w.window {
		w.space.unused(s.giveBack)
		s.swept = w.lastWall
	}
	s.reclaimIndex(w.tail, w.head)
}

// reclaimIndex gives back the index memory of entries before tail.
func (s *memory) reclaimIndex(tail, head uint64) {
	size := int64(s.m.entries) * recordSize
	for s.indexDone+s.indexBatch <= int64(tail)*recordSize {
		first := uint64(s.indexDone / recordSize)
		// The slots may have their next entries already.
		if first+s.m.entries >= head {
			s.deallocate(s.m.index+s.indexDone%size, s.indexBatch)
		}
		s.indexDone += s.indexBatch
	}
}

func (s *memory) giveBack(r chunkRange) {
	s.deallocate(s.m.data+int64(r.first)*s.m.chunk, int64(r.count)*s.m.chunk)
}

func (s *memory) deallocate(off, length int64) {
	_ = unix.Fallocate(s.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, length)
}
