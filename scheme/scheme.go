// Package scheme is the register of what a stream can be pulled from and pushed to, by the scheme of its URL. It is pure
// Go and apart from the code that moves media, so that configuration, controller and API know every one of them without
// linking it.
package scheme

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"brume/srt"
)

// ErrScheme means that a URL's scheme is none of the register's.
var ErrScheme = errors.New("bad URL")

// URL is a parsed URL, of the type that its scheme's package has.
type URL interface {
	// String is the URL without its secrets, for logs and the API.
	fmt.Stringer
}

// Scheme is one way for media to come in or to go out.
type Scheme struct {
	Name    string // in front of ://
	Program string // that carries the media, each connection in a process of its own
	Source  bool   // a stream can be pulled from it
	Target  bool   // a stream can be pushed to it

	parse func(raw, stream string) (URL, error)
}

// ProgramSRT is the program of the SRT connections.
const ProgramSRT = "brume-srt"

// schemes is the register: one line for each.
var schemes = register(
	Scheme{Name: "srt", Program: ProgramSRT, Source: true, Target: true, parse: parser(srt.ParseURL)},
)

func register(all ...Scheme) map[string]*Scheme {
	m := map[string]*Scheme{}
	for i := range all {
		m[all[i].Name] = &all[i]
	}
	return m
}

// parser keeps a nil pointer from becoming a URL that is not nil.
func parser[U URL](parse func(raw, stream string) (U, error)) func(raw, stream string) (URL, error) {
	return func(raw, stream string) (URL, error) {
		u, err := parse(raw, stream)
		if err != nil {
			return nil, err
		}
		return u, nil
	}
}

// Names lists the schemes, sorted.
func Names() []string { return slices.Sorted(maps.Keys(schemes)) }

// Parse reads the URL of a source or a target of a stream, whose name may be put into it. The error is
// ErrScheme or that of the scheme's own parser; its text shows nothing that may be secret.
func Parse(raw, stream string) (*Scheme, URL, error) {
	name, _, ok := strings.Cut(raw, "://")
	s := schemes[name]
	if !ok || s == nil {
		return nil, nil, fmt.Errorf("%w: it has to begin with %s://", ErrScheme, strings.Join(Names(), ":// or "))
	}
	u, err := s.parse(raw, stream)
	if err != nil {
		return nil, nil, err
	}
	return s, u, nil
}
