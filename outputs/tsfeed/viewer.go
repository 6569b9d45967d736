// Package tsfeed sends a stream buffer to a viewer as a transport stream.
package tsfeed

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"brume/buffer"
	"brume/media"
	"brume/outputs/mpegts"
)

// MessageSize is the size of a message, in bytes: seven transport stream packets, as receivers expect.
const MessageSize = 7 * 188

const (
	batchSize   = 64 << 10              // of the transport stream made at once, in bytes; one unit may exceed it
	lastWait    = 20 * time.Millisecond // how long the rest that fills no message waits for more
	idleWait    = time.Second           // how long an idle stream is waited for before the connection is looked at
	fullPause   = 5 * time.Millisecond  // between two looks at a full send buffer
	maxCorrupt  = 1000                  // entries that can't be read in a row, before the buffer is given up
	maxSearched = 4096                  // entries looked at without a look at the connection
)

// Why Run ends, apart from the sender's own error.
var (
	ErrEnd    = errors.New("the stream has ended")
	ErrBuffer = errors.New("stream buffer is unusable")
)

// Sender is the connection.
type Sender interface {
	// Send takes whole messages of MessageSize, the last one may be shorter, and returns the bytes that it took: fewer
	// than p has when it is full. It blocks for some milliseconds at most. An error means that the connection is over.
	Send(p []byte) (int, error)
	// Alive tells whether the connection is still there, for a time in which nothing is sent.
	Alive() error
}

// Stats counts what a viewer did since it began.
type Stats struct {
	Bytes     uint64 // sent
	Units     uint64 // access units sent
	Skipped   uint64 // access units that left the buffer before they could be sent
	Errors    uint64 // entries that could not be read or sent
	LastError error  // of the last one
}

// Viewer sends one stream to one connection. Its methods are for one goroutine, but for Stats.
type Viewer struct {
	reader *buffer.Reader

	raw     int           // track of the transport stream as it came, which is sent then; -1: the epoch has none
	cut     int           // bytes of its next unit that are not sent
	muxer   *mpegts.Muxer // nil while the epoch has nothing that can be sent
	filler  mpegts.Filler
	epoch   uint64
	lead    int    // track whose random access points are waited for
	waiting bool   // for a random access point
	placed  bool   // next is where to go on
	next    uint64 // entry to send
	out     []byte // transport stream that is not sent yet
	payload []byte
	corrupt int // in a row
	counted Stats

	mu    sync.Mutex
	stats Stats // as of the last batch
}

// NewViewer makes a Viewer. The reader stays the caller's.
func NewViewer(r *buffer.Reader) *Viewer { return &Viewer{reader: r, raw: -1} }

// Stats may be called at any time, from any goroutine.
func (v *Viewer) Stats() Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stats
}

// Run sends from the latest random access point on, until the connection or the stream is over. It returns
// ErrEnd, ErrBuffer, or the sender's error.
func (v *Viewer) Run(s Sender) error {
	idle := false
	for {
		_, head := v.reader.Bounds()
		fillErr := v.fill()
		if fillErr != nil && !errors.Is(fillErr, ErrEnd) {
			return fillErr
		}
		sent, full, err := v.send(s, idle || fillErr != nil)
		v.publish()
		switch {
		case err != nil:
			return err
		case full:
			time.Sleep(fullPause)
			continue
		case fillErr != nil:
			return fillErr
		case sent:
			idle = false
			continue
		case !v.placed || v.next >= head:
			idle = v.wait(head)
		}
		if err := s.Alive(); err != nil {
			return err
		}
	}
}

// wait waits until there is more than was seen, and tells whether none came.
func (v *Viewer) wait(head uint64) (idle bool) {
	timeout := idleWait
	if len(v.out) > 0 {
		timeout = lastWait
	}
	v.reader.Wait(head, timeout)
	_, now := v.reader.Bounds()
	return now == head
}

// send sends whole messages, and with all set the rest too.
func (v *Viewer) send(s Sender, all bool) (sent, full bool, err error) {
	ready := len(v.out)
	if !all {
		ready -= ready % MessageSize
	}
	if ready == 0 {
		return false, false, nil
	}
	n, err := s.Send(v.out[:ready])
	v.counted.Bytes += uint64(n)
	v.out = v.out[:copy(v.out, v.out[n:])]
	return n > 0, err == nil && n < ready, err
}

func (v *Viewer) publish() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stats = v.counted
}

// fill turns entries into a transport stream until there is a batch or no entry. It returns ErrEnd
// when there never will be another.
func (v *Viewer) fill() error {
	if !v.placed && !v.placeRaw() {
		if v.next, v.placed = v.reader.LatestRandomAccess(); !v.placed {
			return v.over()
		}
		v.waiting = true
	}
	v.filler.SetTime(time.Now())
	for range maxSearched {
		if len(v.out) >= batchSize {
			return nil
		}
		e, err := v.reader.Entry(v.next)
		switch {
		case err == nil:
			err = v.entry(&e)
		case errors.Is(err, buffer.ErrNotYet):
			return v.over()
		}
		switch {
		case err == nil:
			v.next++
			v.corrupt = 0
		case errors.Is(err, buffer.ErrOvertaken):
			v.skip()
		default:
			v.counted.Errors++
			v.counted.LastError = err
			v.next++
			if v.corrupt++; v.corrupt > maxCorrupt || errors.Is(err, buffer.ErrClosed) {
				return fmt.Errorf("%w: %w", ErrBuffer, err)
			}
		}
	}
	return nil
}

// over tells whether the stream has ended for good and everything is read.
func (v *Viewer) over() error {
	info, err := v.reader.Info()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrBuffer, err)
	case info.State == buffer.Closed && (!v.placed || v.next >= info.Head):
		return ErrEnd
	}
	return nil
}

// skip goes on at the next random access point, since the writer has overtaken this viewer.
func (v *Viewer) skip() {
	from := v.next
	if v.placeRaw() {
		v.counted.Skipped += max(v.next, from) - from
		return
	}
	tail, head := v.reader.Bounds()
	next, ok := v.reader.NextRandomAccess(tail)
	if !ok {
		next = head
	}
	v.next = max(next, from)
	v.counted.Skipped += v.next - from
	v.restart()
}

// restart makes the next packet begin anew: the decoder knows nothing of what was left out.
func (v *Viewer) restart() {
	v.waiting = true
	if v.muxer != nil {
		v.muxer.Reset()
	}
}

// entry appends one entry's packets to the output.
func (v *Viewer) entry(e *buffer.Entry) error {
	if e.Has(buffer.EpochEnd) {
		return nil
	}
	if e.Epoch != v.epoch {
		if err := v.begin(e.Epoch); err != nil {
			return err
		}
	}
	if v.raw >= 0 {
		return v.rawUnit(e)
	}
	if v.muxer == nil || v.waiting && !(e.Track == v.lead && e.Has(buffer.RandomAccess)) {
		return nil
	}
	payload, err := v.reader.Payload(e, v.payload[:0])
	if err != nil {
		return err
	}
	v.payload = payload
	v.waiting = false
	out, err := v.muxer.WritePacket(v.out, &media.Packet{
		Track:        e.Track,
		DTS:          e.DTS,
		PTS:          e.PTS,
		RandomAccess: e.Has(buffer.RandomAccess),
		Payload:      payload,
	})
	if err != nil {
		return err
	}
	v.out = out
	v.counted.Units++
	return nil
}

// begin takes up an epoch: a transport stream with other tables, or another clock.
func (v *Viewer) begin(epoch uint64) error {
	tracks, err := v.reader.Tracks(epoch)
	if err != nil {
		return err
	}
	v.epoch = epoch
	if v.raw = rawTrack(tracks); v.raw >= 0 {
		return nil
	}
	v.lead = media.Lead(tracks, func(i int) bool { return mpegts.Supports(tracks[i].Codec) })
	v.muxer, err = mpegts.NewMuxer(tracks)
	if err != nil {
		v.muxer = nil // the other epochs may do
		v.counted.Errors++
		v.counted.LastError = err
		return nil
	}
	v.muxer.Bound(&v.filler)
	v.restart()
	return nil
}
