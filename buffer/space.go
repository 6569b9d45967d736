package buffer

// space decides where payloads lie in the data area, and which memory is given back. It is the
// writer's own business: readers find a payload by its index entry alone.
//
// Memory is taken in chunks. Packets are written one after the other, from a chunk into the one behind it where
// that is free; what has left the window is used again before fresh memory is. So the memory in use
// follows the window, not the size of the file, and a stream that runs evenly touches no new page at all: making
// and giving back a page costs more than filling it ten times. Chunks become free in the order in which they were taken.
type space struct {
	chunk int64
	state []chunkState
	taken queue // chunks in use, oldest first; the last one is being written

	pos, end int64 // where the next payload may lie, and where its chunk ends
	used     int   // chunks in use
	idle     int   // free chunks whose memory is kept for use
}

type chunkState struct {
	last   uint64 // last packet that has bytes here
	used   bool
	memory bool // it may have memory
}

func newSpace(g geometry) *space {
	return &space{chunk: g.chunk, state: make([]chunkState, g.chunks), taken: newQueue(g.chunks)}
}

// place finds room for a payload. It fails when older packets must go first.
func (s *space) place(length int64, seq uint64) (pos int64, ok bool) {
	pos = (s.pos + payAlign - 1) &^ (payAlign - 1)
	if pos+length > s.end {
		if !s.grow(pos, length) {
			return 0, false
		}
		pos = (s.pos + payAlign - 1) &^ (payAlign - 1)
	}
	s.pos = pos + length
	if length > 0 {
		for c := pos / s.chunk; c <= (pos+length-1)/s.chunk; c++ {
			s.state[c].last = seq
		}
	}
	return pos, true
}

// chunkRange is a number of neighbouring chunks.
type chunkRange struct{ first, count int }

// grow takes more chunks: the next ones, so that nothing is lost at the end of the last, unless that costs
// fresh memory and there is some to be used again.
func (s *space) grow(pos, length int64) bool {
	next := int(s.end / s.chunk)
	more := int((pos + length - s.end + s.chunk - 1) / s.chunk)
	all := int((length + s.chunk - 1) / s.chunk)
	behind := s.end > 0 && s.free(next, more, false)
	if behind && s.free(next, more, true) {
		s.take(next, more)
		return true
	}
	if s.idle >= all {
		if first, ok := s.find(all, true); ok {
			s.pos = int64(first) * s.chunk
			s.take(first, all)
			return true
		}
	}
	if behind {
		s.take(next, more)
		return true
	}
	first, ok := s.find(all, false)
	if ok {
		s.pos = int64(first) * s.chunk
		s.take(first, all)
	}
	return ok
}

// free tells whether chunks are free, and if asked for, have memory.
func (s *space) free(first, count int, memory bool) bool {
	if first+count > len(s.state) {
		return false
	}
	for _, c := range s.state[first : first+count] {
		if c.used || memory && !c.memory {
			return false
		}
	}
	return true
}

// find returns the lowest run of free chunks.
func (s *space) find(count int, memory bool) (int, bool) {
	run := 0
	for i, c := range s.state {
		if c.used || memory && !c.memory {
			run = 0
			continue
		}
		if run++; run == count {
			return i - count + 1, true
		}
	}
	return 0, false
}

// take marks chunks as used.
func (s *space) take(first, count int) {
	for i := first; i < first+count; i++ {
		c := &s.state[i]
		if c.memory {
			s.idle--
		}
		c.used, c.memory = true, true
		s.taken.push(i)
	}
	s.used += count
	s.end = int64(first+count) * s.chunk
}

// release frees the chunks whose packets are all older than tail. The one that is being written stays.
func (s *space) release(tail uint64) {
	for s.taken.len() > 1 {
		i := s.taken.front()
		c := &s.state[i]
		if c.last >= tail {
			return
		}
		s.taken.pop()
		c.used = false
		s.used--
		s.idle++
	}
}

// surplus takes the highest run of free chunks with memory that is not needed in reserve, up to limit. Their
// memory is to be given back.
func (s *space) surplus(limit int) (r chunkRange, ok bool) {
	excess := min(s.idle-s.reserve(), limit)
	if excess <= 0 {
		return r, false
	}
	for i := len(s.state) - 1; i >= 0 && r.count < excess; i-- {
		c := &s.state[i]
		if c.used || !c.memory {
			if r.count > 0 {
				break
			}
			continue
		}
		c.memory = false
		s.idle--
		r = chunkRange{i, r.count + 1}
	}
	return r, r.count > 0
}

// reserve is how many free chunks keep their memory, since the stream will need them again.
func (s *space) reserve() int { return max(1, s.used/8) }

// unused yields the runs of free chunks without memory, as far as known.
func (s *space) unused(yield func(chunkRange)) {
	var run chunkRange
	for i := range s.state {
		if c := &s.state[i]; !c.used && !c.memory {
			if run.count == 0 {
				run.first = i
			}
			run.count++
		} else if run.count > 0 {
			yield(run)
			run.count = 0
		}
	}
	if run.count > 0 {
		yield(run)
	}
}

// restore takes note of a payload that an earlier writer left, in the order of sequence numbers. It
// fails where no honest writer would have put it.
func (s *space) restore(pos, length int64, seq uint64) bool {
	if length == 0 {
		return true
	}
	if pos < 0 || pos%payAlign != 0 || pos+length > s.chunk*int64(len(s.state)) {
		return false
	}
	first, last := int(pos/s.chunk), int((pos+length-1)/s.chunk)
	for i := first; i <= last; i++ {
		c := &s.state[i]
		switch {
		case !c.used:
			c.used, c.memory = true, true
			s.taken.push(i)
			s.used++
		case i != first || s.taken.back() != i || pos < s.pos:
			return false
		}
		c.last = seq
	}
	s.pos, s.end = pos+length, int64(last+1)*s.chunk
	return true
}

// queue is a ring of chunk numbers. Each chunk is in it once at most.
type queue struct {
	ring        []int
	first, size int
}

func newQueue(n int) queue { return queue{ring: make([]int, n)} }

func (q *queue) len() int   { return q.size }
func (q *queue) front() int { return q.ring[q.first] }
func (q *queue) back() int  { return q.ring[(q.first+q.size-1)%len(q.ring)] }

func (q *queue) push(v int) {
	q.ring[(q.first+q.size)%len(q.ring)] = v
	q.size++
}

func (q *queue) pop() {
	q.first = (q.first + 1) % len(q.ring)
	q.size--
}
