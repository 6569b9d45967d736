package mpegts

import (
	"bytes"
	"encoding/binary"
	"time"

	"brume/media"
	"brume/media/ts"
)

const (
	// maxNALs bounds the NAL units of one access unit.
	maxNALs = 8192
	// maxMarks bounds the PES that one access unit is spread over with times of their own.
	maxMarks = 64
	// longPES is the payload from which a PES with a length may be one of several for one
	// unit: PES_packet_length goes up to 65535.
	longPES = 65000
	// keepBytes is the memory that is held in any case, and keepFor for how many units
	// more is held that is not needed: longer than a GOP.
	keepBytes = 1 << 20
	keepFor   = 1000
)

// nal is a NAL unit in the gathered stream.
type nal struct {
	start int32 // of its start code
	at    int32 // of its first byte
	kind  uint8 // nal_unit_type, or dropNAL
}

// dropNAL marks a NAL unit that is not passed on.
const dropNAL = 0xFF

// video finds access units in the PES of an H.264 or H.265 stream. Normally a PES holds
// one unit, but it may hold several, and a unit may be spread over several (ISO/IEC 13818-1 2.14).
type video struct {
	s     *stream
	codec unitCodec

	es    []byte // gathered since the beginning of the unit at hand
	pes   int    // where the payload of the PES at hand begins in es
	size  int    // of that payload as its header says, -1: not told
	scan  int    // es[:scan] was searched for start codes
	nals  []nal  // found there
	from  int    // first of the unit at hand
	done  int    // how many of them were looked at
	pic   int    // first of the picture
	maybe int    // first of those that begin the next unit if another picture follows, -1: none
	over  bool   // there are too many
	skip  bool   // the unit at hand has lost its beginning
	lost  bool   // what came before the next PES is missing
	spans bool   // units were seen that go on in the next PES
	marks []mark
	rate  float64       // see unitInfo, of the last unit
	join  uint64        // of the unit at hand
	came  time.Duration // the same
	out   []byte        // a unit in the form that is passed on
	small int           // units since one that needed the memory that is held
}

func newVideo(s *stream) *video {
	v := &video{s: s, maybe: -1, lost: true, marks: make([]mark, 0, 4)}
	if s.format.codec == media.H264 {
		v.codec = newH264()
	} else {
		v.codec = newH265()
	}
	return v
}

func (v *video) pending() int { return len(v.es) }

func (v *video) begin(t stamp, size int) {
	v.pes, v.size = len(v.es), size
	if len(v.marks) == maxMarks {
		v.marks = v.marks[:maxMarks-1]
	}
	v.marks = append(v.marks, mark{len(v.es), t, v.s.d.joinAt, v.s.d.now})
}

func (v *video) add(p []byte) error {
	v.es = append(v.es, p...)
	return nil
}

// startsUnit tells whether the payload of a PES begins with a new access unit. In doubt it does.
func (v *video) startsUnit(p []byte) bool {
	i := 0
	for i < len(p) && p[i] == 0 {
		i++
	}
	switch {
	case i == len(p):
		return true
	case i < 2 || p[i] != 1:
		return false
	}
	return i+2 >= len(p) || v.codec.starts(p[i+1:])
}

func (v *video) end(how int) error {
	if len(v.es) == 0 {
		if how == endContinued { // its beginning was given on already, or was lost
			v.spans = v.spans || !v.lost
			v.skip = true
			v.s.d.stats.UnitErrors++
		}
		return nil
	}
	v.lost = false
	if how == endLength && (v.spans || v.size > longPES) {
		return nil
	}
	v.spans = v.spans || how == endContinued
	v.search()
	if v.over {
		v.s.d.stats.Oversized++
		v.reset()
		return nil
	}
	if err := v.split(how != endContinued); err != nil {
		return err
	}
	switch {
	case how == endContinued:
	case len(v.nals) == 0:
		v.s.d.stats.UnitErrors++
		v.reset()
		return nil
	case v.nothing():
		v.reset()
		return nil
	case how == endAll, !v.codec.half() && !v.codec.empty():
		err := v.give(len(v.nals))
		v.reset()
		return err
	}
	v.compact()
	return nil
}

// nothing tells that no NAL unit at hand is passed on.
func (v *video) nothing() bool {
	for _, u := range v.nals[v.from:] {
		if u.kind != dropNAL {
			return false
		}
	}
	return true
}

// lose drops what came of the PES at hand; what came before it is whole.
func (v *video) lose(inside bool) error {
	if !inside {
		return nil
	}
	v.s.d.stats.UnitErrors++
	whole := v.pes
	if v.spans || v.scan > whole {
		whole = 0
	}
	v.es = v.es[:whole]
	for len(v.marks) > 0 && v.marks[len(v.marks)-1].off >= whole {
		v.marks = v.marks[:len(v.marks)-1]
	}
	err := v.end(endAll)
	v.reset()
	v.lost = true
	return err
}

func (v *video) reset() {
	v.small++
	if len(v.es) > cap(v.es)/8 {
		v.small = 0
	}
	if v.small > keepFor && cap(v.es) > keepBytes {
		v.es, v.out = nil, nil // a burst is over
	}
	v.es, v.nals, v.marks = v.es[:0], v.nals[:0], v.marks[:0]
	v.pes, v.scan, v.from, v.done, v.pic, v.maybe = 0, 0, 0, 0, 0, -1
	v.over, v.skip = false, false
	v.codec.close()
}

// search finds start codes (ITU-T H.264 annex B). It looks for their last byte, as a run
// of zeros is more common in coded video than a one.
func (v *video) search() {
	b := v.es
	i := max(v.scan, 2)
	for i < len(b) {
		n := bytes.IndexByte(b[i:], 1)
		if n < 0 {
			break
		}
		i += n
		if b[i-1] == 0 && b[i-2] == 0 {
			if len(v.nals) == maxNALs {
				v.over = true
				break
			}
			v.nals = append(v.nals, nal{start: int32(i - 2), at: int32(i + 1)})
		}
		i++
	}
	v.scan = len(b)
}

// bytes returns NAL unit i without the zeros behind it.
func (v *video) bytes(i int) []byte {
	end := len(v.es)
	if i+1 < len(v.nals) {
		end = int(v.nals[i+1].start)
	}
	at := int(v.nals[i].at)
	for end > at && v.es[end-1] == 0 {
		end--
	}
	return v.es[at:end]
}

// split looks at the NAL units that are new and gives on the units that are complete.
// whole: the last one is, too.
func (v *video) split(whole bool) error {
	n := len(v.nals)
	if !whole {
		n--
	}
	for v.done < n {
		i := v.done
		v.done++
		u := &v.nals[i]
		if u.kind == dropNAL {
			continue
		}
		b := v.bytes(i)
		if len(b) == 0 {
			v.s.d.stats.UnitErrors++
			u.kind = dropNAL
			continue
		}
		u.kind = v.codec.kind(b[0])
		switch m := v.codec.look(u.kind, b); m {
		case picture:
			v.pic = i
		case before, delimiter:
			if v.maybe < 0 {
				v.maybe = i
			}
			if m == delimiter {
				u.kind = dropNAL
			}
		case second:
			if v.oneFrame(i) {
				v.maybe = -1
				continue
			}
			if err := v.next(i); err != nil {
				return err
			}
		case boundary:
			if err := v.next(i); err != nil {
				return err
			}
		case drop:
			u.kind = dropNAL
		case bad:
			v.s.d.stats.UnitErrors++
			u.kind = dropNAL
		}
	}
	return nil
}

// next gives on the unit at hand, as the picture that begins with NAL unit i belongs to another one.
func (v *video) next(i int) error {
	if v.maybe >= 0 {
		i = v.maybe
	}
	err := v.give(i)
	v.done = i // those that came before the picture count for its unit
	return err
}

// give gives on the unit at hand, which ends before NAL unit n, and goes on with the next.
func (v *video) give(n int) error {
	t, ok := v.time()
	info := v.codec.close()
	v.rate = info.rate
	if info.interval > 0 {
		v.s.interval = info.interval
	}
	switch {
	case info.random && info.params != nil:
		v.s.lacks = ""
	case info.random:
		v.s.lacks = ts.WaitParameters
	case v.s.lacks == "":
		v.s.lacks = ts.WaitKeyframe
	}
	skip := v.skip
	from := v.from
	v.from, v.pic, v.maybe, v.skip = n, n, -1, false
	if skip || n == from || info.params == nil {
		return nil
	}
	v.rewrite(from, n)
	if len(v.out) == 0 {
		return nil
	}
	u := unit{
		s: v.s, params: info.params, random: info.random, closed: info.closed, gradual: info.gradual,
		marking: info.marking, join: v.join, came: v.came, payload: v.out,
	}
	return v.s.stamped(&u, t, ok, &info)
}

// compact removes what was given on from what is gathered.
func (v *video) compact() {
	if v.from == 0 {
		return
	}
	cut := int(v.nals[v.from].start)
	v.es = v.es[:copy(v.es, v.es[cut:])]
	v.nals = v.nals[:copy(v.nals, v.nals[v.from:])]
	for i := range v.nals {
		v.nals[i].start -= int32(cut)
		v.nals[i].at -= int32(cut)
	}
	for i := range v.marks {
		v.marks[i].off -= cut
	}
	v.scan -= cut
	v.pes = max(0, v.pes-cut)
	v.done -= v.from
	v.pic = max(0, v.pic-v.from)
	v.maybe = max(-1, v.maybe-v.from)
	v.from = 0
}

// rewrite puts NAL units into out, each behind its length.
func (v *video) rewrite(from, to int) {
	v.out = v.out[:0]
	for i := from; i < to; i++ {
		if v.nals[i].kind == dropNAL {
			continue
		}
		b := v.bytes(i)
		v.out = binary.BigEndian.AppendUint32(v.out, uint32(len(b)))
		v.out = append(v.out, b...)
	}
}
