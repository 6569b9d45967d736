package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFigures: a line says the goal and whether it is met. The goal itself is still met.
func TestFigures(t *testing.T) {
	for _, tc := range []struct {
		f    figure
		want string
	}{
		{figure{"a", 1399.6, "ms", atMost(1400)}, "a 1399.60 ms goal: at most 1400, met"},
		{figure{"a", 2, "s", atMost(2)}, "a 2.00 s goal: at most 2, met"},
		{figure{"a", 5.01, "ms", atMost(5)}, "a 5.01 ms goal: at most 5, MISSED"},
		{figure{"a", 1, "", atMost(0)}, "a 1.00 goal: at most 0, MISSED"},
		{figure{"a", 7.5, "ms", atMost(1.5 * 4.3333)}, "a 7.50 ms goal: at most 6.5, MISSED"},
		{figure{"a", 3, "% core", peer}, "a 3.00 % core (for comparison)"},
		{figure{"a", 3, "% core", goal{}}, "a 3.00 % core"},
	} {
		require.Equal(t, tc.want, strings.Join(strings.Fields(tc.f.String()), " "))
	}
}
