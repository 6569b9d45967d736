package config

import (
	"cmp"
	"fmt"
	"strings"

	"brume/media"
)

// Pattern fits stream names: an exact name, or one in which each * stands for any run of
// characters, none included.
type Pattern string

// UnmarshalText checks and takes a pattern.
func (p *Pattern) UnmarshalText(text []byte) error {
	if !media.ValidName(strings.ReplaceAll(string(text), "*", "x")) {
		return fmt.Errorf("%q cannot fit the name of a stream; use up to %d letters, digits and _ . + -, with * for any run of them",
			text, media.MaxNameSize)
	}
	*p = Pattern(text)
	return nil
}

// Match tells whether the pattern fits the whole name. It takes time in proportion to the
// product of both lengths at most.
func (p Pattern) Match(name string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(name) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && p[i] == name[j]:
			i++
			j++
		case star >= 0:
			// The last star takes one character more.
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(string(p[i:]), "*") == ""
}

// before tells whether p is preferred to q when both fit: it has more literal characters,
// between equals fewer stars, and then it is the first in the alphabet.
func (p Pattern) before(q Pattern) bool {
	stars, others := strings.Count(string(p), "*"), strings.Count(string(q), "*")
	return cmp.Or(
		cmp.Compare(len(q)-others, len(p)-stars),
		cmp.Compare(stars, others),
		cmp.Compare(p, q),
	) < 0
}
