package config

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/goccy/go-yaml/token"

	"brume/buffer"
)

// checker tells what is wrong with values that are well formed.
type checker struct {
	file   string
	places map[string]*token.Position // where the file sets a key
	set    map[string]string          // the variable that sets a key
	taken  map[Address]bool           // UDP ports that are in use

	problems problems
}

// validate checks ranges, and settings against each other.
func (c *Config) validate(file string, places map[string]*token.Position, set map[string]string) problems {
	v := &checker{file: file, places: places, set: set}
	if !c.API.Address.IsLoopback() {
		v.wrong("the API asks nobody for a password, so it must listen on a loopback address; write 127.0.0.1:4242 or [::1]:4242", "api.address")
	}
	v.ports(&c.SRT)
	v.access(c.Access)
	v.limits(&c.Limits)
	if c.SRT.Pool < 1 || c.SRT.Pool > 64 {
		v.wrong(fmt.Sprintf("%s is out of range; write a number from 1 to 64", c.SRT.Pool), "srt.pool")
	}
	v.stream(c.general(), "")
	patterns := make([]Pattern, 0, len(c.Streams))
	for p := range c.Streams {
		patterns = append(patterns, p)
	}
	slices.Sort(patterns)
	for _, p := range patterns {
		// A fault in the general values has been told.
		if s := c.Streams[p]; !reflect.DeepEqual(s, c.general()) {
			v.stream(s, join("streams", string(p)))
			v.transport(p, &s)
			v.callers(p, &s, c)
		}
	}
	for _, p := range patterns {
		v.mapped(c, p)
	}
	return v.problems
}

func (v *checker) stream(s StreamConfig, path string) {
	key := func(name string) string { return join(path, name) }
	b := s.Buffer
	before := len(v.problems)
	v.duration(key("resume"), s.Resume, 0, time.Hour)
	v.duration(key("buffer.window"), b.Window, time.Second, time.Hour)
	v.duration(key("buffer.segment_target"), b.SegmentTarget, 250*time.Millisecond, time.Minute)
	v.duration(key("buffer.segment_max"), b.SegmentMax, time.Second, time.Minute)
	if b.PartTarget != 0 {
		v.duration(key("buffer.part_target"), b.PartTarget, 100*time.Millisecond, 5*time.Second)
	}
	if b.Size < buffer.MinSize || b.Size > buffer.MaxSize {
		v.wrong(fmt.Sprintf("%s is out of range; write a size from 4MiB to 32GiB", b.Size), key("buffer.size"))
	}
	if len(v.problems) > before {
		return
	}
	if b.SegmentTarget > b.SegmentMax {
		v.wrong(fmt.Sprintf("a segment_target of %s is above the segment_max of %s; lower the one or raise the other", b.SegmentTarget, b.SegmentMax),
			key("buffer.segment_target"), key("buffer.segment_max"))
	}
	if b.PartTarget > b.SegmentTarget {
		v.wrong(fmt.Sprintf("a part_target of %s is above the segment_target of %s; lower the one or raise the other", b.PartTarget, b.SegmentTarget),
			key("buffer.part_target"), key("buffer.segment_target"))
	}
	// RFC 8216 6.2.2: a playlist lists at least three target durations, and what it lists
	// stays available for as long again.
	if need := 6 * b.SegmentMax; b.Window < need {
		v.wrong(fmt.Sprintf("a window of %s is too short for a segment_max of %s: HLS needs six times that; raise window to %s or lower segment_max",
			b.Window, b.SegmentMax, need), key("buffer.window"), key("buffer.segment_max"))
	}
}

func (v *checker) duration(key string, d Duration, least, most time.Duration) {
	if d < Duration(least) || d > Duration(most) {
		v.wrong(fmt.Sprintf("%s is out of range; write a duration from %s to %s", d, Duration(least), Duration(most)), key)
	}
}

// wrong tells a problem at the first of the keys that somebody set.
func (v *checker) wrong(message string, keys ...string) {
	for _, key := range keys {
		// The environment has the last word, so that it is to blame. It never sets streams.
		if name, ok := v.set[key]; ok {
			v.problems = append(v.problems, &Error{Key: name, Message: message})
			return
		}
		if p, ok := v.places[key]; ok {
			v.problems = append(v.problems, &Error{File: v.file, Line: p.Line, Column: p.Column, Key: key, Message: message})
			return
		}
	}
	v.problems = append(v.problems, &Error{File: v.file, Key: keys[0], Message: message})
}
