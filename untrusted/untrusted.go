// Package untrusted makes text that comes from outside fit to be shown: in the log, on a terminal, in an answer of the API.
package untrusted

import (
	"slices"
	"strings"
	"unicode"
)

// Text is at most n bytes of s, all of them printable. No line of the result can pass for one of ours, and no terminal obeys it.
func Text(s string, n int) string { return strings.Map(printable, valid(s, n)) }

// Lines is Text for what may have several lines.
func Lines(s string, n int) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return printable(r)
	}, valid(s, n))
}

// Bounds of a list.
const (
	maxList = 16  // texts
	maxItem = 100 // bytes of each
)

// List is at most 16 texts of at most 100 bytes each.
func List(all []string) []string {
	list := slices.Clone(all[:min(len(all), maxList)])
	for i := range list {
		list[i] = Text(list[i], maxItem)
	}
	return list
}

func valid(s string, n int) string { return strings.ToValidUTF8(s[:min(n, len(s))], "?") }

func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return '?'
	}
	return r
}
