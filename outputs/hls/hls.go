// Package hls serves a stream buffer as HLS: fMP4 with low-latency parts, and MPEG-TS.
//
// Playlists and segments follow from the marks in the buffer alone, so that each process that reads it gives out the same
// names and the same bytes. Rules are those of RFC 8216 and, for low latency, draft-pantos-hls-rfc8216bis.
//
// The core (model, snapshot, playlists, builder) has no clock, socket or goroutine. Stream is the shell around it.
package hls

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"brume/buffer"
)

// ErrClosed means that Close was called before.
var ErrClosed = errors.New("stream is closed")

// Defaults of Options.
const (
	DefaultHold         = 5 * time.Second
	DefaultIdle         = 30 * time.Second
	DefaultSegmentBytes = 128 << 20
	DefaultCacheBytes   = 192 << 20
	DefaultCacheFiles   = 512
)

// Options of a Stream. Zero values mean the defaults.
type Options struct {
	// Hold is how long a request for a playlist waits while there is nothing to play.
	Hold time.Duration
	// Idle is how long the buffer is followed after the last request.
	Idle time.Duration
	// SegmentBytes bounds the payload of a segment; a larger one is not served.
	SegmentBytes int64
	// CacheBytes and CacheFiles bound the segments kept in memory. Those being sent come on top.
	CacheBytes int64
	CacheFiles int
	// KeepQuery reports whether playlists carry the query of their request on to all that they name. Nil: they do not.
	KeepQuery func() bool
}

func (o Options) withDefaults() Options {
	if o.Hold <= 0 {
		o.Hold = DefaultHold
	}
	if o.Idle <= 0 {
		o.Idle = DefaultIdle
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.CacheFiles <= 0 {
		o.CacheFiles = DefaultCacheFiles
	}
	return o
}

// wakeup is how often the follower looks whether it is still needed, while nothing comes.
const wakeup = 100 * time.Millisecond

// Stream serves one stream buffer. Its methods may be called from any goroutine.
type Stream struct {
	name   string
	reader *buffer.Reader
	o      Options

	store    *store
	counters *counters
	snap     atomic.Pointer[snapshot]
	lastUse  atomic.Int64 // of any request, nanoseconds since start
	active   atomic.Int64 // requests being served
	start    time.Time

	mu        sync.Mutex // of the follower's start and end
	following bool
	closed    bool
	closing   chan struct{}
	done      sync.WaitGroup

	follow sync.Mutex // of what follows: only one advances
	model  model
	next   uint64 // entry to read
	head   header // as of the last snapshot
}

// NewStream serves the buffer that r reads. The reader stays the caller's, who closes it after the Stream.
func NewStream(name string, r *buffer.Reader, o Options) *Stream {
	o = o.withDefaults()
	return &Stream{
		name: name, reader: r, o: o, start: time.Now(), closing: make(chan struct{}), counters: newCounters(),
		store: newStore(r, o.SegmentBytes, o.CacheBytes, o.CacheFiles),
	}
}

// Name is the stream's.
func (s *Stream) Name() string { return s.name }

// Stats may be called at any time.
func (s *Stream) Stats() Stats {
	st := s.counters.stats(time.Now())
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	st.Segments, st.Cached, st.Files = s.store.built, s.store.bytes, len(s.store.files)
	return st
}

// Close ends requests that wait, with 503, and gives the memory back; segments that are being sent are sent to their end.
func (s *Stream) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	close(s.closing)
	s.mu.Unlock()
	s.done.Wait()
	s.store.close()
	return nil
}

// current returns what playlists are made of now, and sees to it that it is kept up. Nil after Close.
func (s *Stream) current() *snapshot {
	s.lastUse.Store(int64(time.Since(s.start)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if !s.following {
		s.advance()
		s.following = true
		s.done.Add(1)
		go s.run()
	}
	return s.snap.Load()
}

// run follows the buffer until nobody asks any more.
func (s *Stream) run() {
	defer s.done.Done()
	for {
		s.reader.Wait(s.advance(), wakeup)
		s.mu.Lock()
		if idle := time.Since(s.start) - time.Duration(s.lastUse.Load()); s.closed || idle > s.o.Idle && s.active.Load() == 0 {
			s.following = false
			s.store.expire(^uint64(0))
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// advance reads what is new, makes a snapshot if it shows, and wakes who waits for one. It returns how far it has read.
func (s *Stream) advance() uint64 {
	s.follow.Lock()
	defer s.follow.Unlock()
	info, err := s.reader.Info()
	if err != nil {
		s.counters.fault(FaultBuffer, err)
		s.publish(header{}, true)
		return s.next
	}
	if s.next < info.Tail {
		if s.next > 0 || s.model.running != nil {
			s.counters.fault(FaultOvertaken, fmt.Errorf("entries %d to %d were gone before they were read", s.next, info.Tail-1))
			s.model.lost()
		}
		s.next = info.Tail
	}
	changed := s.read(info.Head)
	h := headerOf(&info)
	if n := len(s.model.segments); n > 0 && s.model.segments[0].first < info.Tail {
		s.model.prune(info.Tail)
		s.store.expire(info.Tail)
		changed = true
	}
	was := s.head
	was.tail = h.tail
	s.publish(h, changed || was != h)
	return s.next
}

// read takes in the entries before head, and reports whether a segment or a part began or ended.
func (s *Stream) read(head uint64) (changed bool) {
	for ; s.next < head; s.next++ {
		e, err := s.reader.Entry(s.next)
		if errors.Is(err, buffer.ErrNotYet) || errors.Is(err, buffer.ErrClosed) {
			return changed
		}
		if err == nil {
			before := s.model.mark()
			err = s.model.add(&e, s.reader.Tracks, func() ([]byte, error) { return s.reader.Payload(&e, nil) })
			after := s.model.mark()
			changed = changed || before != after
			if err == nil && after.faults != before.faults {
				s.counters.fault(FaultEntry, errMarks)
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, buffer.ErrOvertaken):
			s.counters.fault(FaultOvertaken, err)
			s.model.lost()
			// The next round goes on at the tail.
			return true
		default:
			s.counters.fault(FaultEntry, err)
			s.model.lost()
			changed = true
		}
	}
	return changed
}

// publish replaces the snapshot.
func (s *Stream) publish(h header, changed bool) {
	old := s.snap.Load()
	if old != nil && !changed {
		return
	}
	s.head = h
	s.snap.Store(s.model.snapshot(h))
	if old != nil {
		close(old.superseded)
	}
}

var _ source = (*buffer.Reader)(nil)
