package controller

import (
	"errors"
	"syscall"
	"time"

	"brume/buffer"
)

// monitorInterval is how often streams are looked at; rates are measured over rateWindow of these.
const (
	monitorInterval = 250 * time.Millisecond
	rateWindow      = 20
)

// monitor looks at every stream and lets time pass for what waits.
func (c *Controller) monitor(now time.Time) {
	if c.stopping {
		return
	}
	for _, s := range c.streams {
		c.lookAt(s, now)
		c.age(s, now)
		if s.publisher != nil && s.info.State == buffer.Live {
			c.admitEarly(s.Stream)
		}
	}
	c.sampleStreams(now)
	c.tellMoreRefused(now)
	c.sweepPool(now)
	c.tendCalls(now)
	c.sweepConnections(now)
	c.sweepProcesses()
	c.watch(now)
	c.catchUpHTTP()
	c.fillPool()
}

// rates measures what comes in, by reading the buffer's index: no word of the writer is needed for it.
type rates struct {
	next    uint64 // entry to read next
	total   uint64 // payload bytes that came in, each once: in an epoch with the transport stream as it came, that stream alone
	written uint64 // all that was written, the units of the transport stream and the stream itself
	slots   [rateWindow]map[int]uint64
	slot    int
	filled  int           // slots measured
	epoch   uint64        // of the last entry
	raw     int           // track of the transport stream as it came in that epoch, -1 if there is none
	held    int64         // memory of the buffer, bytes
	heldDur time.Duration // media in it
}

func (r *rates) reset(head uint64) { *r = rates{next: head} }

// lookAt looks at a stream and does what can't wait.
func (c *Controller) lookAt(s *stream, now time.Time) {
	s.look(now)
	c.tellStream(s)
	c.tellLongGOP(s)
	if s.Live == nil && s.info.State == buffer.Live {
		s.Live = &now
		if err := c.store.Update(kindBuffer, s.key(), s.bufferRecord); err != nil {
			c.log.Error("the store did not take a stream's record", "stream", s.Stream, "error", err)
		}
	}
	if s.corrupt && s.publisher != nil && s.publisher.closing.IsZero() {
		c.log.Error("the stream's buffer is not sound; ending its publisher", "stream", s.Stream, "conn", s.publisher.ID, "peer", s.publisher.Peer)
		c.closeConnection(s.publisher)
	}
}

// look reads the index entries that came since the last look.
func (s *stream) look(now time.Time) {
	if s.reader == nil {
		return
	}
	info, err := s.reader.Info()
	if err != nil {
		s.corrupt = true
		return
	}
	if info.Head != s.info.Head {
		s.moved = now
	}
	s.info = info
	s.rates.slot = (s.rates.slot + 1) % rateWindow
	s.rates.slots[s.rates.slot] = s.rates.read(s.reader, info)
	if s.rates.written > 0 {
		s.rates.filled = min(s.rates.filled+1, rateWindow)
	}
	s.rates.hold(s.reader, info)
	if stat, err := s.ro.Stat(); err == nil {
		s.rates.held = stat.Sys().(*syscall.Stat_t).Blocks * 512
	}
	s.readTracks()
}

// read adds up the bytes of new entries by track.
func (r *rates) read(reader *buffer.Reader, info buffer.Info) map[int]uint64 {
	bytes := map[int]uint64{}
	if r.next < info.Tail || r.next > info.Head {
		r.next = info.Tail
	}
	for r.next < info.Head {
		e, err := reader.Entry(r.next)
		if errors.Is(err, buffer.ErrOvertaken) {
			tail, _ := reader.Bounds()
			r.next = max(tail, r.next+1)
			continue
		}
		if err != nil {
			r.next = info.Head
			break
		}
		if e.Epoch != r.epoch {
			tracks, _ := reader.Tracks(e.Epoch)
			r.epoch, r.raw = e.Epoch, multiplex(tracks)
		}
		bytes[e.Track] += uint64(e.Length)
		r.written += uint64(e.Length)
		if r.raw < 0 || e.Track == r.raw {
			r.total += uint64(e.Length)
		}
		r.next++
	}
	return bytes
}

// hold measures how much media is in the buffer.
func (r *rates) hold(reader *buffer.Reader, info buffer.Info) {
	r.heldDur = 0
	if info.Head == info.Tail {
		return
	}
	first, err1 := reader.Entry(info.Tail)
	last, err2 := reader.Entry(info.Head - 1)
	if err1 == nil && err2 == nil && last.Wall > first.Wall {
		r.heldDur = time.Duration(last.Wall - first.Wall)
	}
}

// bitrate is what a track brought over the window, in bits a second.
func (r *rates) bitrate(track int) uint64 {
	var sum uint64
	for _, slot := range r.slots {
		sum += slot[track]
	}
	return uint64(float64(sum) * 8 / (float64(max(r.filled, 1)) * monitorInterval.Seconds()))
}
