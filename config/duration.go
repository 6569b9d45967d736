package config

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Duration is a span of time, written as 10s, 500ms or 1m30s. It is never negative.
type Duration time.Duration

// String returns the shortest text that UnmarshalText reads back.
func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case t == 0:
		return "0s"
	case t%time.Hour == 0:
		return strconv.FormatInt(int64(t/time.Hour), 10) + "h"
	case t%time.Minute == 0:
		return strconv.FormatInt(int64(t/time.Minute), 10) + "m"
	default:
		return t.String()
	}
}

// MarshalText is String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration. A number without a unit is refused.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	t, err := time.ParseDuration(s)
	if err != nil {
		if _, numErr := strconv.ParseFloat(s, 64); numErr == nil {
			return fmt.Errorf("%q has no unit; write %ss or %sms", s, s, s)
		}
		return fmt.Errorf("%q is not a duration; write one like 10s, 500ms or 1m30s", s)
	}
	if t < 0 {
		return errors.New("a duration cannot be negative")
	}
	*d = Duration(t)
	return nil
}
