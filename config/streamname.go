package config

import (
	"fmt"

	"brume/media"
)

// StreamName names one stream: 1 to 100 letters, digits and _ . + -, the first a letter or a
// digit. Case matters.
type StreamName string

// MarshalText returns the name.
func (n StreamName) MarshalText() ([]byte, error) { return []byte(n), nil }

// UnmarshalText checks and takes a name.
func (n *StreamName) UnmarshalText(text []byte) error {
	if !media.ValidName(string(text)) {
		return fmt.Errorf("%q cannot be the name of a stream; use 1 to %d letters, digits and _ . + -, the first a letter or a digit",
			text, media.MaxNameSize)
	}
	*n = StreamName(text)
	return nil
}
