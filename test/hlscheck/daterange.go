package hlscheck

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"
)

// checkRanges judges the date ranges (RFC 8216 4.3.2.7): each by itself, all that have one ID against each other, wherever and whenever
// they were listed, and that a playlist takes nothing back that it has said of one.
func (c *Checker) checkRanges(r *rendition, p *Playlist) {
	listed := map[string]map[string]string{}
	for _, a := range p.Ranges {
		c.checkRange(r, a)
		c.checkPair(r, a)
		id := a["ID"]
		for _, known := range []map[string]map[string]string{c.ranges, listed} {
			if known[id] == nil {
				known[id] = map[string]string{}
			}
			for name, value := range a {
				if old, ok := known[id][name]; ok && old != value {
					c.fault(r, "daterange", "%s of %s was %s and is %s", name, id, old, value)
				}
				known[id][name] = value
			}
		}
	}
	for id, a := range listed {
		for name, value := range r.ranges[id] {
			if _, ok := a[name]; !ok {
				c.fault(r, "daterange", "%s had %s=%s before", id, name, value)
			}
		}
		r.ranges[id] = a
	}
	if len(p.Ranges) > 0 && !p.dated() {
		c.fault(r, "daterange", "there are date ranges, and no EXT-X-PROGRAM-DATE-TIME")
	}
}

// checkRange judges one tag.
func (c *Checker) checkRange(r *rendition, a map[string]string) {
	id := a["ID"]
	start, err := time.Parse(time.RFC3339Nano, a["START-DATE"])
	if id == "" || err != nil {
		c.fault(r, "daterange", "%v has no ID or no START-DATE", a)
		return
	}
	lasts := -1.0
	for _, name := range []string{"DURATION", "PLANNED-DURATION"} {
		value, told := a[name]
		if !told {
			continue
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil || seconds < 0 {
			c.fault(r, "daterange", "%s of %s is %q", name, id, value)
		} else if name == "DURATION" {
			lasts = seconds
		}
	}
	if value, told := a["END-DATE"]; told {
		end, err := time.Parse(time.RFC3339Nano, value)
		switch {
		case err != nil || end.Before(start):
			c.fault(r, "daterange", "%s begins at %s and ends at %s", id, a["START-DATE"], value)
		case lasts >= 0 && math.Abs(end.Sub(start).Seconds()-lasts) > rounding:
			c.fault(r, "daterange", "%s lasts from %s to %s, and its DURATION is %.3f", id, a["START-DATE"], value, lasts)
		}
	}
	if a["END-ON-NEXT"] != "" && (a["CLASS"] == "" || a["END-DATE"] != "" || lasts >= 0) {
		c.fault(r, "daterange", "%s ends on the next one, and has an end or no class", id)
	}
}

// checkPair judges the splice commands of a range (4.3.2.7.1): hexadecimal sequences, the way out before the way in.
func (c *Checker) checkPair(r *rendition, a map[string]string) {
	for _, name := range []string{"SCTE35-CMD", "SCTE35-OUT", "SCTE35-IN"} {
		value, told := a[name]
		if !told {
			continue
		}
		digits, ok := strings.CutPrefix(value, "0x")
		if _, err := hex.DecodeString(digits); !ok || err != nil || digits == "" {
			c.fault(r, "daterange", "%s of %s is %q", name, a["ID"], value)
		}
	}
	known := c.ranges[a["ID"]]
	if a["SCTE35-OUT"] != "" && known["SCTE35-IN"] != "" && known["SCTE35-OUT"] == "" {
		c.fault(r, "daterange", "SCTE35-OUT of %s comes after its SCTE35-IN", a["ID"])
	}
}

// dated reports whether the playlist has a program date time.
func (p *Playlist) dated() bool {
	if p.Skipped > 0 || !p.Running.Time.IsZero() {
		return true // a delta update leaves it out with the segments before
	}
	for i := range p.Segments {
		if !p.Segments[i].Time.IsZero() {
			return true
		}
	}
	return false
}
