package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Path is an absolute path of a directory; empty stands for the default place.
type Path string

// MarshalText returns the path.
func (p Path) MarshalText() ([]byte, error) { return []byte(p), nil }

// UnmarshalText checks and takes a path. A relative one is refused: the server's processes
// are not started where its operator stands.
func (p *Path) UnmarshalText(text []byte) error {
	s := string(text)
	if strings.ContainsRune(s, 0) {
		return errors.New("a path cannot hold a NUL character")
	}
	if s != "" && !filepath.IsAbs(s) {
		return fmt.Errorf("%q is a relative path; write one that begins with /", s)
	}
	if s != "" {
		s = filepath.Clean(s)
	}
	*p = Path(s)
	return nil
}
