package hlscheck

import (
	"math"
	"strconv"
	"strings"
)

// partIndex is the place of a part in its segment, as Brume's names have it (part-E-N.P.m4s); -1 where a name is another.
func partIndex(uri string) int {
	name, ok := strings.CutSuffix(uri, ".m4s")
	if !ok {
		return -1
	}
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '.')+1:])
	if err != nil {
		return -1
	}
	return n
}

// checkParts judges the parts of a playlist: 4.4.4.9 of rfc8216bis, and the floor and the ceiling of their durations.
func (c *Checker) checkParts(r *rendition, p *Playlist) {
	c.checkPartsGoOn(r, p)
	for _, g := range append(p.Segments[:len(p.Segments):len(p.Segments)], p.Running) {
		if len(g.Parts) == 0 {
			continue
		}
		if p.PartTarget == 0 {
			c.fault(r, "part", "segment %d has parts, and there is no EXT-X-PART-INF", g.Number)
			return
		}
		c.checkPartDurations(r, p, g)
		c.checkPartHistory(r, g)
		if g.URI != "" {
			c.checkPartSum(r, p, g)
		}
	}
}

// checkPartsGoOn sees that no segment without parts lies between parts: hls.js goes from part to part, and never loads it.
func (c *Checker) checkPartsGoOn(r *rendition, p *Playlist) {
	listed, hole := false, ""
	for _, g := range append(p.Segments[:len(p.Segments):len(p.Segments)], p.Running) {
		switch {
		case len(g.Parts) > 0:
			if hole != "" {
				c.fault(r, "part-hole", "%s has no parts and lies between segments that have", hole)
			}
			listed, hole = true, ""
		case listed && !g.Gap && g.URI != "":
			hole = g.URI
		}
	}
}

func (c *Checker) checkPartDurations(r *rendition, p *Playlist, g Segment) {
	for i, part := range g.Parts {
		if part.Duration > p.PartTarget+rounding/10 {
			c.fault(r, "part-long", "%s has %.5f s, and PART-TARGET is %.5f", part.URI, part.Duration, p.PartTarget)
		}
		if i+1 < len(g.Parts) && part.Duration < partFloor*p.PartTarget-rounding/10 {
			c.fault(r, "part-short", "%s has %.5f s, which is less than 85 %% of PART-TARGET %.5f, and another part of its segment follows", part.URI, part.Duration, p.PartTarget)
		}
	}
}

// checkPartHistory sees that parts never change, and that a segment's parts are listed as they came.
func (c *Checker) checkPartHistory(r *rendition, g Segment) {
	for i, part := range g.Parts {
		if old, ok := r.parts[part.URI]; ok && old != part {
			c.fault(r, "changed", "a part was %+v and is %+v", old, part)
		}
		r.parts[part.URI] = part
		if i > 0 && partIndex(part.URI) <= partIndex(g.Parts[i-1].URI) {
			c.fault(r, "part", "%s follows %s", part.URI, g.Parts[i-1].URI)
		}
	}
	known := r.order[g.Number]
	if len(g.Parts) < len(known) {
		c.fault(r, "changed", "segment %d had %d parts and has %d", g.Number, len(known), len(g.Parts))
		return
	}
	for i, part := range known {
		if g.Parts[i].URI != part.URI {
			c.fault(r, "changed", "part %d of segment %d was %s and is %s", i, g.Number, part.URI, g.Parts[i].URI)
		}
	}
	r.order[g.Number] = g.Parts
}

// checkPartSum compares a complete segment with its parts. A part longer than PART-TARGET is not listed, which leaves a hole at least that long.
// The parts of other renditions than the lead are compared with what the segment holds, which is not to the frame what lies between two marks.
func (c *Checker) checkPartSum(r *rendition, p *Playlist, g Segment) {
	if r.opensLate(g.Number) {
		return
	}
	sum := 0.0
	for i, part := range g.Parts {
		if partIndex(part.URI) > i {
			return // one before it is not listed
		}
		sum += part.Duration
	}
	lasts, tolerance := g.Duration, r.frame(g.Number)+rounding
	if !c.leads(r) {
		m, ok := r.media[g.Number]
		if !ok {
			return
		}
		lasts, tolerance = m.Duration, float64(len(g.Parts))*rounding
	}
	hole := lasts - sum
	if !c.leads(r) && hole > 0 {
		return // the list ends before a part that is too short, because the source lost something
	}
	if hole < p.PartTarget-rounding && math.Abs(hole) > tolerance {
		c.fault(r, "part-sum", "the parts of segment %d have %.5f s and the segment has %.5f", g.Number, sum, lasts)
	}
}

// frame is the longest sample of a segment where its media are known, else what a frame has at most in a stream with parts.
func (r *rendition) frame(number uint64) float64 {
	if m, ok := r.media[number]; ok {
		return m.Longest
	}
	return 0.05
}
