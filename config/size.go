package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	megabyte = 1_000_000
	mebibyte = 1 << 20
)

// Size is a number of bytes, written as 64MB. kB, MB and GB are powers of 1000; KiB, MiB
// and GiB are powers of 1024. It is never negative.
type Size int64

// Longest suffix first: "B" ends them all.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"GB", 1e9},
	{"MB", megabyte},
	{"kB", 1e3},
	{"B", 1},
}

// String returns the shortest whole number with a unit that UnmarshalText reads back.
func (s Size) String() string {
	best := strconv.FormatInt(int64(s), 10) + "B"
	for _, u := range sizeUnits {
		if s == 0 || int64(s)%u.bytes != 0 {
			continue
		}
		if text := strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix; len(text) < len(best) {
			best = text
		}
	}
	return best
}

// MarshalText is String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a size. A number without a unit is refused.
func (s *Size) UnmarshalText(text []byte) error {
	t := string(text)
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(t, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 {
			break
		}
		if n > math.MaxInt64/u.bytes {
			return fmt.Errorf("%q is too large", t)
		}
		*s = Size(n * u.bytes)
		return nil
	}
	if _, err := strconv.ParseFloat(t, 64); err == nil {
		return fmt.Errorf("%q has no unit; write one like 64MB or 1GB", t)
	}
	return fmt.Errorf("%q is not a size; write a whole number with kB, MB, GB, KiB, MiB or GiB, like 64MB", t)
}
