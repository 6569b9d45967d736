package config

import (
	"errors"
	"strings"
)

// Secret is a text that is never shown: it prints, marshals and logs as stars.
type Secret string

// hidden stands for any secret.
const hidden = "***"

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides it from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides it from JSON and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes it as it is. An error does not show it.
func (s *Secret) UnmarshalText(text []byte) error {
	if len(text) > 512 {
		return errors.New("a secret has 512 bytes at most")
	}
	if strings.ContainsRune(string(text), 0) {
		return errors.New("a secret cannot hold a NUL character")
	}
	*s = Secret(text)
	return nil
}

// Name is a user's name: 1 to 100 bytes, none of them a control character.
type Name string

// MarshalText returns the name.
func (n Name) MarshalText() ([]byte, error) { return []byte(n), nil }

// UnmarshalText checks and takes a name.
func (n *Name) UnmarshalText(text []byte) error {
	control := func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }
	if len(text) == 0 || len(text) > 100 || strings.ContainsFunc(string(text), control) {
		return errors.New("a user's name has 1 to 100 bytes and no control characters")
	}
	*n = Name(text)
	return nil
}
