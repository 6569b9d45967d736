package config

import (
	"fmt"
	"strconv"
)

// Count is a whole number, never negative.
type Count int

// String returns the number in decimal.
func (c Count) String() string { return strconv.Itoa(int(c)) }

// MarshalText is String.
func (c Count) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a decimal number.
func (c *Count) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil {
		return fmt.Errorf("%q is not a whole number; write one like 4", text)
	}
	*c = Count(n)
	return nil
}
