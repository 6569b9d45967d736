package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Error is one thing wrong with the configuration. The errors of Load are joined: errors.As
// finds the first.
type Error struct {
	File    string // of the key; empty when an environment variable is at fault
	Line    int    // from 1; 0 when unknown
	Column  int    // from 1; 0 when unknown
	Key     string // such as srt.address, or the environment variable; empty where there is none
	Message string // what is wrong, and what to do
}

// Error returns file:line:column, the key and the sentence.
func (e *Error) Error() string {
	s := e.Message
	if e.Key != "" {
		s = e.Key + ": " + s
	}
	switch {
	case e.File == "":
		return s
	case e.Line == 0:
		return e.File + ": " + s
	default:
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, s)
	}
}

// problems gathers what is wrong, so that an operator learns of everything at once.
type problems []*Error

// join returns the problems in the order of the file, those of the environment last.
func (p problems) join() error {
	slices.SortStableFunc(p, func(a, b *Error) int {
		if (a.File == "") != (b.File == "") {
			return cmp.Compare(b.File, a.File)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := make([]error, len(p))
	for i, e := range p {
		errs[i] = e
	}
	return errors.Join(errs...)
}
