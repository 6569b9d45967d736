package controller

import (
	"time"

	"brume/api"
)

// maxKeyframes bounds the names that keyframes remembers.
const maxKeyframes = 4096

// keyframes remembers how far apart the keyframes of streams are that are gone, in seconds by name, so that a name's next
// buffer begins with a target duration that fits.
type keyframes map[string]int

// note keeps what a buffer has shown. Another name goes where there are too many.
func (k keyframes) note(name string, seconds int) {
	if seconds <= 0 {
		return
	}
	if _, known := k[name]; !known && len(k) >= maxKeyframes {
		for other := range k {
			delete(k, other)
			break
		}
	}
	k[name] = seconds
}

func (k keyframes) of(name string) time.Duration { return time.Duration(k[name]) * time.Second }

// tellLongGOP tells once that keyframes are further apart than the target duration allows, and again when the distance grows.
func (c *Controller) tellLongGOP(s *stream) {
	seconds, target := s.info.Keyframes, s.info.TargetDuration
	if target == 0 || seconds <= target || seconds <= s.longGOP {
		return
	}
	s.longGOP = seconds
	c.log.Warn("keyframes are further apart than the stream's target duration; players that join may wait for a picture",
		"stream", s.Stream, "keyframe_seconds", seconds, "target_duration_seconds", target)
	c.events.Emit(&api.Event{
		Type: api.EventLongGOP, Stream: s.Stream, Keyframes: &api.EventKeyframes{Seconds: seconds, TargetDurationSeconds: target},
	})
}
