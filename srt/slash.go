package srt

import (
	"fmt"
	"slices"
	"strings"
)

// Slash is what becomes of a stream's name with slashes, such as other servers' app/stream.
type Slash string

// The ways to take slashes.
const (
	SlashRefuse Slash = "refuse" // such a name is refused; so does the empty value
	SlashLast   Slash = "last"   // the last part is the stream's name
	SlashJoin   Slash = "join"   // all parts are, with + in the place of the slashes
)

// MarshalText returns the way's name.
func (w Slash) MarshalText() ([]byte, error) { return []byte(w), nil }

// UnmarshalText reads a way's name.
func (w *Slash) UnmarshalText(text []byte) error {
	switch Slash(text) {
	case SlashRefuse, SlashLast, SlashJoin:
		*w = Slash(text)
		return nil
	}
	return fmt.Errorf("%q is not a way to take slashes; write refuse, last or join", text)
}

// name returns a stream's name without slashes. The error is ErrStreamID.
func (w Slash) name(s string) (string, error) {
	s = strings.TrimPrefix(s, "/")
	if !strings.Contains(s, "/") {
		return s, nil
	}
	parts := strings.Split(s, "/")
	switch {
	case w != SlashLast && w != SlashJoin:
		return "", fmt.Errorf("%w: the name has a slash; with srt.slash in the configuration its last part is taken, or all parts are joined", ErrStreamID)
	case slices.Contains(parts, ""):
		return "", fmt.Errorf("%w: there is nothing before, between or behind the slashes of the name", ErrStreamID)
	case w == SlashLast:
		return parts[len(parts)-1], nil
	default:
		return strings.Join(parts, "+"), nil
	}
}
