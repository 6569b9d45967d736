package tsfeed

import (
	"errors"
	"fmt"
	"slices"

	"brume/buffer"
	"brume/media"
	"brume/media/ts"
)

// errUnit means that a unit is no number of whole packets.
var errUnit = errors.New("unit of a transport stream that is not made of whole packets")

// rawTrack is the track of the transport stream as it came, -1 if there is none.
func rawTrack(tracks []media.Track) int {
	return slices.IndexFunc(tracks, func(t media.Track) bool { return t.Codec == media.MPEGTS })
}

// rawUnit appends a unit of the transport stream as it came to the output.
func (v *Viewer) rawUnit(e *buffer.Entry) error {
	if e.Track != v.raw || e.Length == ts.JoinSize {
		return nil
	}
	cut := min(v.cut, e.Length)
	v.cut = 0
	if e.Length%ts.PacketSize != 0 {
		return fmt.Errorf("%w: %d bytes", errUnit, e.Length)
	}
	at := len(v.out)
	out, err := v.reader.Payload(e, v.out)
	if err != nil {
		return err
	}
	v.out = slices.Delete(out, at, at+cut)
	v.counted.Units++
	return nil
}

// placeRaw finds where to begin, or to go on after packets were lost, in a transport stream that is sent as it came: where the
// newest join says, else at the newest unit. It returns false where the newest epoch has none, or no unit yet.
func (v *Viewer) placeRaw() bool {
	w := backwards{reader: v.reader}
	w.tail, w.seq = v.reader.Bounds()
	newest := true
	for {
		e, ok := w.next()
		if !ok || newest && w.track < 0 {
			return false
		}
		newest = false
		if e.Track == w.track {
			v.placeAt(&w, e)
			return true
		}
	}
}

// placeAt looks for the newest join from the newest unit on, which is e.
func (v *Viewer) placeAt(w *backwards, e buffer.Entry) {
	v.next, v.cut, v.placed, v.waiting = e.Seq, 0, true, true
	for more := true; more && !e.Has(buffer.EpochEnd); e, more = w.next() {
		if e.Track != w.track || e.Length != ts.JoinSize {
			continue
		}
		unit, err := v.reader.Payload(&e, nil)
		if packets, ok := ts.Join(unit); ok && err == nil {
			v.next, v.cut = w.back(e.Seq, packets)
			return
		}
	}
}

// back goes so many packets back from the entry of a join, and returns the unit where that is, and the bytes of it before
// the place. It goes no farther than what the buffer still has of the same publisher.
func (w *backwards) back(join, packets uint64) (seq uint64, cut int) {
	seq = join
	for packets > 0 {
		e, ok := w.next()
		if !ok || e.Has(buffer.EpochEnd) {
			break
		}
		if e.Track != w.track || e.Length == ts.JoinSize {
			continue
		}
		seq = e.Seq
		n := uint64(e.Length / ts.PacketSize)
		if n >= packets {
			return seq, int(n-packets) * ts.PacketSize
		}
		packets -= n
	}
	return seq, 0
}

// backwards goes through a buffer from its head to its tail.
type backwards struct {
	reader    *buffer.Reader
	tail, seq uint64 // next is seq-1
	epoch     uint64 // of the last entry
	track     int    // of its transport stream, -1: it has none
}

// next returns the entry before. Those that can't be read are left out; it ends where they have left the buffer.
func (w *backwards) next() (buffer.Entry, bool) {
	for w.seq > w.tail {
		w.seq--
		e, err := w.reader.Entry(w.seq)
		switch {
		case errors.Is(err, buffer.ErrOvertaken), errors.Is(err, buffer.ErrClosed):
			return e, false
		case err != nil:
			continue
		}
		if e.Epoch != w.epoch || w.epoch == 0 {
			tracks, err := w.reader.Tracks(e.Epoch)
			if err != nil {
				return e, false
			}
			w.epoch, w.track = e.Epoch, rawTrack(tracks)
		}
		return e, true
	}
	return buffer.Entry{}, false
}
