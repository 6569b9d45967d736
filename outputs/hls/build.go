package hls

import (
	"errors"
	"fmt"
	"math"

	"brume/buffer"
	"brume/media"
	"brume/outputs/fmp4"
	"brume/outputs/mpegts"
)

var (
	errTooLarge = errors.New("segment is too large")
	errChanged  = errors.New("stream buffer changed under its reader")
)

// source is what segments are built from: a buffer.Reader.
type source interface {
	Entry(seq uint64) (buffer.Entry, error)
	Payload(e *buffer.Entry, dst []byte) ([]byte, error)
}

// builder turns a segment into bytes. It is for one goroutine at a time, and keeps its memory for the next.
type builder struct {
	source source
	limit  int64 // bytes of payload in a segment

	entries []buffer.Entry
	samples []fmp4.Sample
	payload []byte
}

// entry reads an entry again, which must be where the model saw it.
func (b *builder) entry(seq uint64, g *segment) (buffer.Entry, error) {
	e, err := b.source.Entry(seq)
	if err == nil && (e.Epoch != g.epoch.id || e.Segment != g.number || e.Track < 0 || e.Track >= len(g.epoch.tracks)) {
		err = errChanged
	}
	return e, err
}

// fragment appends one part of an fMP4 rendition: a moof and its mdat.
func (b *builder) fragment(dst []byte, g *segment, l *lane, p *part) ([]byte, error) {
	b.entries, b.samples = b.entries[:0], b.samples[:0]
	var size int64
	for seq := p.first; seq < p.end; seq++ {
		e, err := b.entry(seq, g)
		if err != nil {
			return dst, err
		}
		if e.Part != p.number {
			return dst, errChanged
		}
		if e.Track != l.track || e.Has(buffer.Torn) {
			continue
		}
		if size += int64(e.Length); size > b.limit {
			return dst, errTooLarge
		}
		b.entries = append(b.entries, e)
	}
	if len(b.entries) == 0 {
		return dst, errChanged
	}
	at, line := p.start, p.line
	for i := range b.entries {
		e, next := &b.entries[i], p.stop
		line.pass(e, at)
		if i+1 < len(b.entries) {
			n := &b.entries[i+1]
			next = n.DTS
			if l.lead {
				next = max(next, line.next(n)) // as the model has it
			}
		}
		b.samples = append(b.samples, fmp4.Sample{
			Duration:     uint32(min(max(next-at, 0), math.MaxInt32)),
			CTO:          int32(min(max(shown(e, at)-at, math.MinInt32), math.MaxInt32)),
			RandomAccess: e.Independent(),
		})
		at = next
	}
	f := fmp4.Fragment{
		// Grows from part to part, whoever counts: 255 parts and 16 million segments go by before it wraps.
		Sequence: uint32(g.number)<<8 | min(p.number, 0xff),
		BaseTime: uint64(max(p.start, 0)),
		Samples:  b.samples,
	}
	dst, err := fmp4.Append(dst, &g.epoch.tracks[l.track], &f, func(i int, dst []byte) ([]byte, error) {
		return b.source.Payload(&b.entries[i], dst)
	})
	if err != nil {
		return dst, fmt.Errorf("fragment: %w", err)
	}
	return dst, nil
}

// transportStream gives a complete segment as MPEG-TS to write, in pieces.
func (b *builder) transportStream(dst []byte, g *segment, write func([]byte) error) ([]byte, error) {
	m, err := mpegts.NewMuxer(g.epoch.tracks)
	if err != nil {
		return dst, err
	}
	m.Reset()
	var size int64
	for seq := g.first; seq < g.end; seq++ {
		e, err := b.entry(seq, g)
		if err != nil {
			return dst, err
		}
		if g.epoch.tracks[e.Track].Codec.Kind() == media.Multiplex || e.Has(buffer.Torn) {
			continue
		}
		if size += int64(e.Length); size > b.limit {
			return dst, errTooLarge
		}
		if b.payload, err = b.source.Payload(&e, b.payload[:0]); err != nil {
			return dst, err
		}
		p := media.Packet{Track: e.Track, DTS: e.DTS, PTS: e.PTS, RandomAccess: e.Has(buffer.RandomAccess), Payload: b.payload}
		out, err := m.WritePacket(dst, &p)
		if errors.Is(err, mpegts.ErrMalformed) {
			continue // one unit that makes no sense is left out
		}
		if err != nil {
			return dst, err
		}
		if dst = out; len(dst) >= flushSize {
			if err := write(dst); err != nil {
				return dst, err
			}
			dst = dst[:0]
		}
	}
	return dst, write(dst)
}
