package config

import (
	"fmt"
	"strings"
)

// MaxStreamName bounds a stream's name, in bytes.
const MaxStreamName = 100

// StreamName names one stream: 1 to 100 letters, digits and _ . + -, the first a letter or a
// digit. Case matters.
type StreamName string

// MarshalText returns the name.
func (n StreamName) MarshalText() ([]byte, error) { return []byte(n), nil }

// UnmarshalText checks and takes a name.
func (n *StreamName) UnmarshalText(text []byte) error {
	if !validName(string(text), "") {
		return fmt.Errorf("%q cannot be the name of a stream; use 1 to %d letters, digits and _ . + -, the first a letter or a digit",
			text, MaxStreamName)
	}
	*n = StreamName(text)
	return nil
}

// validName tells whether s is a stream's name, with the extra bytes allowed anywhere.
func validName(s, extra string) bool {
	if len(s) == 0 || len(s) > MaxStreamName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte(extra, c) >= 0:
		case i > 0 && strings.IndexByte("_.+-", c) >= 0:
		default:
			return false
		}
	}
	return true
}
