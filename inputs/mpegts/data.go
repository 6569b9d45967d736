package mpegts

import (
	"bytes"
	"encoding/binary"
	"slices"

	"brume/media"
	"brume/media/ts"
)

// maxEarly and maxEarlyUnits bound the data that is held until the clock is known, in bytes and units.
const (
	maxEarly      = 16 << 10
	maxEarlyUnits = 16
)

// spliceSection gives on a splice_info_section (ANSI/SCTE 35 9.6). It has no time of its
// own: it is placed where the program is.
func (s *stream) spliceSection(b []byte) error {
	if b[0] != ts.TableSCTE35 || s.gone {
		return nil
	}
	if ts.CRC32(b) != 0 {
		s.d.stats.CRCErrors++
		return nil
	}
	u := unit{s: s, params: s.lastParams, random: true, payload: b}
	return s.stampedData(&u, stamp{}, false)
}

// stampedData takes a unit of a data track, which never decides on the clock.
func (s *stream) stampedData(u *unit, t stamp, ok bool) error {
	d := s.d
	s.use()
	switch {
	case ok && !d.haveRef:
		d.unwrap(t.dts)
	case !d.haveRef && d.clockOfData():
		d.unwrap(d.pcr)
	case !d.haveRef:
		if len(d.early.units) >= maxEarlyUnits || len(d.early.data)+len(u.payload) > maxEarly {
			d.stats.Oversized++
			return nil
		}
		d.early.push(u)
		return nil
	}
	u.dts = d.ref
	if ok {
		if dts := d.unwrap(t.dts); abs(dts-d.ref) <= 2*maxGap {
			u.dts = dts
		}
	}
	u.pts = u.dts
	return d.pass(u)
}

// clockOfData reports whether PCR alone can tell the time of data. Where there are pictures or sound to come, theirs does:
// PCR is well before them, and what waits for the tracks of an epoch would begin to count there.
func (d *Demuxer) clockOfData() bool {
	return d.havePCR && !slices.ContainsFunc(d.streams, func(s *stream) bool { return s.kind() != media.Data })
}

// giveEarly passes on the data that came before the first time, now that the clock is known.
func (d *Demuxer) giveEarly() error {
	q := d.early
	d.early = queue{}
	for i := range q.units {
		u := &q.units[i]
		u.payload = q.payload(u)
		if err := u.s.stampedData(u, stamp{}, false); err != nil {
			return err
		}
	}
	return nil
}

// klvKey is how the key of each KLV item begins (SMPTE ST 336 6.1).
var klvKey = []byte{0x06, 0x0E, 0x2B, 0x34}

// klv is KLV metadata in PES: a PES is one unit, or metadata AU cells (ISO/IEC 13818-1 2.12.4).
type klv struct {
	s    *stream
	buf  []byte
	unit []byte // of fragments
	open bool   // unit holds the first of them
	stamp
}

func (k *klv) pending() int { return len(k.buf) + len(k.unit) }

func (k *klv) begin(t stamp, _ int) { k.buf, k.stamp = k.buf[:0], t }

func (k *klv) add(p []byte) error {
	k.buf = append(k.buf, p...)
	return nil
}

func (k *klv) lose(inside bool) error {
	if inside || k.open {
		k.s.d.stats.UnitErrors++
		k.buf, k.unit, k.open = k.buf[:0], k.unit[:0], false
	}
	return nil
}

func (k *klv) end(int) error {
	b := k.buf
	k.buf = k.buf[:0]
	if len(b) == 0 {
		return nil
	}
	if !k.s.cells || bytes.HasPrefix(b, klvKey) {
		return k.give(b)
	}
	for len(b) >= 5 {
		n := int(binary.BigEndian.Uint16(b[3:]))
		if n > len(b)-5 {
			break
		}
		cell, fragment := b[5:5+n], b[2]>>6
		b = b[5+n:]
		if err := k.cell(cell, fragment); err != nil {
			return err
		}
	}
	if len(b) > 0 {
		k.s.d.stats.UnitErrors++
	}
	return nil
}

// cell takes a metadata AU cell (table 2-97: cell_fragment_indication).
func (k *klv) cell(b []byte, fragment byte) error {
	const first, last, only = 2, 1, 3
	switch {
	case fragment == only:
		k.open = false
		return k.give(b)
	case fragment == first:
		k.unit, k.open = k.unit[:0], true
	case !k.open:
		k.s.d.stats.UnitErrors++
		return nil
	}
	k.unit = append(k.unit, b...)
	if fragment == last {
		k.open = false
		b, k.unit = k.unit, k.unit[:0]
		return k.give(b)
	}
	return nil
}

func (k *klv) give(b []byte) error {
	if len(b) == 0 {
		k.s.d.stats.UnitErrors++
		return nil
	}
	u := unit{s: k.s, params: k.s.lastParams, random: true, payload: b}
	return k.s.stampedData(&u, k.stamp, k.valid)
}
