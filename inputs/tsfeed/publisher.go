// Package tsfeed takes a transport stream, as a publisher sends it, into a stream buffer.
package tsfeed

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"brume/buffer"
	"brume/inputs/mpegts"
	"brume/inputs/mpegts/health"
	"brume/media"
	"brume/media/ts"
)

// maxLead is how far a track may run ahead of another one in silence, before it is written
// without waiting for it.
const maxLead = 250 * time.Millisecond

// ErrBuffer means that the stream buffer takes nothing any more.
var ErrBuffer = errors.New("stream buffer is unusable")

// Source is the connection.
type Source interface {
	// Next waits a bounded time for a batch of the transport stream, cut anywhere. It is valid until the next
	// call, and empty when nothing came. An error means that there will be no more.
	Next() (Batch, error)
}

// Batch is a stretch of the transport stream, in the messages that the peer sent.
type Batch struct {
	Bytes    []byte
	Messages []Message // their lengths add up to that of Bytes
}

// Message is one of them.
type Message struct {
	Length int           // bytes
	Source time.Duration // when the peer sent it, on a clock of the connection
}

// Buffer is the stream buffer's writer, buffer.Writer.
type Buffer interface {
	media.Sink
	SegmentMax() time.Duration
	SetTime(now time.Time)
	Commit()
	EndEpoch() error
}

// Stats counts what a publisher did since it began.
type Stats struct {
	Bytes     uint64     // taken in
	Units     uint64     // access units written to the buffer
	Refused   uint64     // access units and epochs that the buffer refused
	LastError error      // why it refused the last one
	Demux     ts.Stats   //
	Health    *ts.Health // of the last half second or so, nil before and of Mapped; not to be changed
	Mapped    []Stats    // of Options.Mapped, in their order
}

// Publisher writes one connection's media into a buffer. Its methods are for one
// goroutine, but for Stats.
type Publisher struct {
	buffer Buffer
	now    func() time.Time

	start  time.Time
	demux  *mpegts.Demuxer
	order  *media.Interleaver
	raw    *passthrough // nil where the transport stream is not kept
	mapped []*Publisher // of further programs
	judge  *judge       // nil for a further program
	fatal  error

	units, refused uint64
	last           error

	mu    sync.Mutex
	stats Stats // as of the last batch
	programs
}

// NewPublisher makes a Publisher. The buffers stay the caller's.
func NewPublisher(b Buffer, now func() time.Time, o Options) *Publisher {
	p := &Publisher{buffer: b, now: now, start: now(), judge: &judge{monitor: health.New()}}
	options := o.Program.demuxer()
	options.VideoWait = b.SegmentMax()
	var sink media.Sink = (*counter)(p)
	if o.Raw {
		p.raw = newPassthrough((*counter)(p))
		sink, options.Raw = p.raw, p.raw.take
	}
	p.order = media.NewInterleaver(sink, media.Ticks(maxLead))
	p.demux = mpegts.NewDemuxer(p.order, options)
	for _, m := range o.Mapped {
		further := NewPublisher(m.Buffer, now, Options{Program: m.Program})
		further.judge = nil // it would see the same
		p.mapped = append(p.mapped, further)
	}
	return p
}

// Run takes batches until the source ends or the buffer is unusable (ErrBuffer), writes what is left
// and closes the epoch. It returns the reason.
func (p *Publisher) Run(s Source) error {
	for {
		batch, err := s.Next()
		if err == nil {
			err = p.Take(batch)
		}
		if err != nil {
			return errors.Join(err, p.End())
		}
	}
}

// Take writes one batch and shows it to the buffer's readers. Errors: ErrBuffer.
func (p *Publisher) Take(batch Batch) error {
	now := p.now()
	p.buffer.SetTime(now)
	p.demux.SetTime(now.Sub(p.start))
	if p.judge != nil {
		p.judge.take(batch, now)
	}
	if p.raw != nil {
		p.raw.tick(now)
	}
	p.swallow(p.demux.Write(batch.Bytes))
	if p.raw != nil {
		p.raw.joinTables(p.demux.Join())
	}
	p.buffer.Commit()
	p.publish(len(batch.Bytes))
	for _, m := range p.mapped {
		if err := m.Take(batch); err != nil && p.fatal == nil {
			p.fatal = err
		}
	}
	return p.fatal
}

// End writes what is still held and closes the epoch, for a publisher that is gone.
func (p *Publisher) End() error {
	p.buffer.SetTime(p.now())
	p.swallow(p.demux.Flush())
	p.swallow(p.order.Flush())
	if p.raw != nil {
		p.raw.flush()
	}
	p.buffer.Commit()
	err := p.buffer.EndEpoch()
	p.publish(0)
	if err != nil && p.fatal == nil {
		err = fmt.Errorf("%w: %w", ErrBuffer, err)
	} else {
		err = nil
	}
	for _, m := range p.mapped {
		err = errors.Join(err, m.End())
	}
	return err
}

// Stats may be called at any time, from any goroutine.
func (p *Publisher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	for _, m := range p.mapped {
		s.Mapped = append(s.Mapped, m.Stats())
	}
	return s
}

func (p *Publisher) publish(bytes int) {
	demux := p.demux.Stats()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notePrograms()
	p.stats.Bytes += uint64(bytes)
	p.stats.Units, p.stats.Refused, p.stats.LastError, p.stats.Demux = p.units, p.refused, p.last, demux
	if p.judge != nil {
		p.stats.Health = p.judge.last
	}
}

// swallow keeps an error that a sink did not count: a packet that the interleaver could not place.
func (p *Publisher) swallow(err error) {
	if err != nil {
		p.refused++
		p.last = err
	}
}

// counter is the sink at the end of the chain. It counts what the buffer refuses and lets the
// rest go on: one unit that is too large is no reason to end a stream.
type counter Publisher

func (c *counter) BeginEpoch(tracks []media.Track) error {
	c.count(c.buffer.BeginEpoch(tracks))
	return nil
}

func (c *counter) WritePacket(p *media.Packet) error {
	if err := c.buffer.WritePacket(p); err != nil {
		c.count(err)
		return nil
	}
	c.units++
	return nil
}

func (c *counter) count(err error) {
	if err == nil {
		return
	}
	c.refused++
	c.last = err
	if c.fatal == nil && (errors.Is(err, buffer.ErrFinished) || errors.Is(err, buffer.ErrClosed) || errors.Is(err, buffer.ErrCorrupt)) {
		c.fatal = fmt.Errorf("%w: %w", ErrBuffer, err)
	}
}
