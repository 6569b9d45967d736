package hlscheck

import (
	"encoding/binary"
	"errors"
	"math"
)

// Media is what a segment's boxes or packets say. Times are in seconds on the track's own timeline.
type Media struct {
	Start       float64 // decode time of the first sample
	Duration    float64 // of all samples; 0 for a transport stream, whose last sample has none
	Longest     float64 // sample
	Independent bool    // the first sample of video is a sync sample
	Samples     int
	sound       bool    // a transport stream without video
	wrap        float64 // where Start begins at 0 again
}

var errBoxes = errors.New("the boxes do not fit")

// boxes calls f with the type and the content of each box (ISO/IEC 14496-12 4.2).
func boxes(b []byte, f func(kind string, content []byte) error) error {
	for len(b) > 0 {
		if len(b) < 8 {
			return errBoxes
		}
		n := int(binary.BigEndian.Uint32(b))
		if n < 8 || n > len(b) {
			return errBoxes
		}
		if err := f(string(b[4:8]), b[8:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// timescale finds the mdhd of an initialization section's only track (8.4.2).
func timescale(init []byte) (scale uint32, err error) {
	var walk func(kind string, b []byte) error
	walk = func(kind string, b []byte) error {
		switch kind {
		case "moov", "trak", "mdia":
			return boxes(b, walk)
		case "mdhd":
			at := 12
			if len(b) > 0 && b[0] == 1 {
				at = 20
			}
			if len(b) < at+4 {
				return errBoxes
			}
			scale = binary.BigEndian.Uint32(b[at:])
		}
		return nil
	}
	if err = boxes(init, walk); err == nil && scale == 0 {
		err = errors.New("there is no time scale")
	}
	return scale, err
}

// fragments adds up the fragments of a segment: tfdt and trun (8.8.8, 8.8.12), as Brume writes them, with a duration and flags for each sample.
type fragments struct {
	scale    float64
	m        Media
	next     uint64
	worst    int64     // what lies between two fragments, negative where they overlap
	defaults [2]uint32 // sample duration and flags of the tfhd
}

func (f *fragments) box(kind string, b []byte) error {
	switch kind {
	case "moof", "traf":
		return boxes(b, f.box)
	case "tfhd":
		return f.tfhd(b)
	case "tfdt":
		if len(b) < 12 || b[0] != 1 {
			return errBoxes
		}
		at := binary.BigEndian.Uint64(b[4:])
		if f.m.Samples == 0 {
			f.m.Start = float64(at) / f.scale
		} else {
			if hole := int64(at - f.next); f.worst == 0 || abs(hole) > abs(f.worst) {
				f.worst = hole
			}
		}
		f.next = at
	case "trun":
		return f.trun(b)
	}
	return nil
}

func (f *fragments) tfhd(b []byte) error {
	flags, at := binary.BigEndian.Uint32(append(b[:4:4], 0, 0, 0, 0))&0xffffff, 8
	for _, field := range []struct {
		flag uint32
		size int
		keep int
	}{{1, 8, -1}, {2, 4, -1}, {8, 4, 0}, {0x10, 4, -1}, {0x20, 4, 1}} {
		if flags&field.flag == 0 {
			continue
		}
		if len(b) < at+field.size {
			return errBoxes
		}
		if field.keep >= 0 {
			f.defaults[field.keep] = binary.BigEndian.Uint32(b[at:])
		}
		at += field.size
	}
	return nil
}

func (f *fragments) trun(b []byte) error {
	if len(b) < 8 {
		return errBoxes
	}
	flags, n, at := binary.BigEndian.Uint32(b)&0xffffff, int(binary.BigEndian.Uint32(b[4:])), 8
	next := func(flag uint32, otherwise uint32) (uint32, error) {
		if flags&flag == 0 {
			return otherwise, nil
		}
		if len(b) < at+4 {
			return 0, errBoxes
		}
		at += 4
		return binary.BigEndian.Uint32(b[at-4:]), nil
	}
	_, err1 := next(1, 0)
	first, err2 := next(4, f.defaults[1])
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	for i := range n {
		duration, err1 := next(0x100, f.defaults[0])
		_, err2 := next(0x200, 0)
		sample, err3 := next(0x400, f.defaults[1])
		_, err4 := next(0x800, 0)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return err
		}
		if i == 0 && flags&4 != 0 {
			sample = first
		}
		if f.m.Samples == 0 {
			f.m.Independent = sample&0x10000 == 0 // sample_is_non_sync_sample
		}
		f.m.Samples++
		f.m.Longest = max(f.m.Longest, float64(duration)/f.scale)
		f.m.Duration += float64(duration) / f.scale
		f.next += uint64(duration)
	}
	return nil
}

// Wants says whether the media of a segment were not given yet.
func (c *Checker) Wants(id string, number uint64) bool {
	_, ok := c.rendition(id).media[number]
	return !ok
}

// WantsInit says whether an initialization section was not given yet.
func (c *Checker) WantsInit(id, uri string) bool {
	return uri != "" && c.rendition(id).scales[uri] == 0
}

// Init takes an initialization section.
func (c *Checker) Init(id, uri string, body []byte) {
	r := c.rendition(id)
	c.text = uri
	scale, err := timescale(body)
	if err != nil {
		c.fault(r, "init", "%s: %v", uri, err)
		return
	}
	r.scales[uri] = scale
}

// Segment judges the media of a listed segment.
func (c *Checker) Segment(id string, number uint64, body []byte) {
	r := c.rendition(id)
	g, ok := r.segments[number]
	if !ok {
		return
	}
	var m Media
	if g.Map == "" {
		m = transportStream(body)
		if before := r.media[number-1]; m.sound && before.Samples > 0 && !before.sound && r.segments[number-1].Discontinuity == g.Discontinuity {
			c.fault(r, "gap", "%s has no picture, where the one before has, and is no EXT-X-GAP", g.URI)
		}
	} else {
		scale := r.scales[g.Map]
		if scale == 0 {
			return
		}
		f := &fragments{scale: float64(scale)}
		if err := boxes(body, f.box); err != nil {
			c.fault(r, "boxes", "%s: %v", g.URI, err)
			return
		}
		if hole := float64(f.worst) / f.scale; c.holed(r, hole, f.m.Longest) {
			c.fault(r, "hole", "%s: %+.5f s lie between two fragments", g.URI, hole)
		}
		m = f.m
	}
	if m.Samples == 0 {
		c.fault(r, "boxes", "%s has no sample", g.URI)
		return
	}
	r.media[number], r.longest = m, max(r.longest, m.Longest)
	c.checkIndependent(r)
	c.checkTimes(r, number-1)
	c.checkTimes(r, number)
	c.checkDrift(r, number)
}

// checkTimes compares a segment with what its media say: up to the first sample of the next one within a discontinuity.
func (c *Checker) checkTimes(r *rendition, number uint64) {
	g, m := r.segments[number], r.media[number]
	next, ok := r.segments[number+1]
	after, known := r.media[number+1]
	if m.Samples == 0 || !ok || !known || next.Discontinuity != g.Discontinuity || next.Map != g.Map {
		return
	}
	lasts := m.until(after.Start)
	if c.leads(r) && m.Duration > lasts+rounding {
		c.fault(r, "overlap", "the samples of segment %d have %.5f s, and the next segment begins after %.5f s", number, m.Duration, lasts)
		return
	}
	if r.opensLate(number) || r.opensLate(number+1) {
		return
	}
	frame := max(m.Longest, after.Longest)
	if c.leads(r) && math.Abs(lasts-g.Duration) > frame+rounding {
		c.fault(r, "extinf", "EXTINF of segment %d is %.5f and its media last %.5f, a frame %.5f", number, g.Duration, lasts, frame)
	}
	if m.Duration > 0 && c.holed(r, lasts-m.Duration, frame) {
		c.fault(r, "hole", "the samples of segment %d have %.5f s, and the next segment begins after %.5f s", number, m.Duration, lasts)
	}
}

// opensLate reports whether a segment may begin without a picture, which comes later: the one before was ended by what goes on while the picture
// pauses, which happens a quarter of a second before it would round above the target duration, or some frames earlier where sound is missing.
func (r *rendition) opensLate(number uint64) bool {
	before, ok := r.segments[number-1]
	return ok && r.latest != nil && before.Duration > float64(r.latest.Target)+0.25-3*longestAudio
}

// holed reports whether what lies between two neighbours, negative where they overlap, is a fault: anything in the lead, whose samples last until
// the next one. Audio has the holes of its source, and the jitter of its time stamps.
func (c *Checker) holed(r *rendition, hole, frame float64) bool {
	if c.leads(r) {
		return math.Abs(hole) > rounding
	}
	return hole < -frame-rounding
}

func abs(v int64) int64 { return max(v, -v) }

// until is the time from the first sample of a segment to another decode time.
func (m Media) until(at float64) float64 {
	if m.wrap > 0 {
		return math.Remainder(at-m.Start, m.wrap)
	}
	return at - m.Start
}

// checkDrift compares the media with the EXTINFs since the first segment of the discontinuity whose media are known. The lead's agree to the
// frame. Other tracks are cut where the lead is, by what has arrived until then: they may be early or late by as much as the source
// sends them early or late, which does not add up.
func (c *Checker) checkDrift(r *rendition, number uint64) {
	g, m := r.segments[number], r.media[number]
	from, known := r.media[r.anchor]
	if !known || r.opensLate(number) || r.opensLate(r.anchor) || r.segments[r.anchor].Discontinuity != g.Discontinuity || r.segments[r.anchor].Map != g.Map || number < r.anchor {
		r.anchor = number
		return
	}
	told := 0.0
	for n := r.anchor; n < number; n++ {
		told += r.segments[n].Duration
		if _, ok := r.segments[n]; !ok {
			r.anchor = number
			return
		}
	}
	tolerance := interleaving
	if c.leads(r) {
		tolerance = max(from.Longest, m.Longest) + rounding
	}
	if away := from.until(m.Start) - told; math.Abs(away) > tolerance {
		c.fault(r, "drift", "segment %d begins %+.5f s away from what the EXTINFs since segment %d say", number, away, r.anchor)
		r.anchor = number
	}
}

// checkIndependent sees that what is said to be independent is: EXT-X-INDEPENDENT-SEGMENTS (4.4.2.1) and the first part's INDEPENDENT=YES.
func (c *Checker) checkIndependent(r *rendition) {
	if r.latest == nil {
		return
	}
	for _, g := range r.latest.Segments {
		m, ok := r.media[g.Number]
		if !ok || m.Independent {
			continue
		}
		if c.independent[r.variant] || r.latest.Independent {
			c.fault(r, "independent", "segment %d does not begin with a sync sample, and EXT-X-INDEPENDENT-SEGMENTS is said", g.Number)
		}
		if parts := r.order[g.Number]; len(parts) > 0 && parts[0].Independent && partIndex(parts[0].URI) == 0 {
			c.fault(r, "independent", "%s does not begin with a sync sample, and INDEPENDENT=YES is said", parts[0].URI)
		}
	}
}
