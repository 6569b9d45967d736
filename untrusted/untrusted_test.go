package untrusted

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	require.Equal(t, "abc", Text("abcd", 3))
	require.Equal(t, "a?", Text("aé", 2), "no half of a character")
	require.Equal(t, "?", Text("\xff\xff", 9))
	require.Equal(t, "a?[31mb?c", Text("a\x1b[31mb\nc", 99), "neither colours nor lines")
	require.Equal(t, "a?b", Text("a\u202eb", 99), "nothing turns the direction of writing")
	require.Empty(t, Text("", 3))
}

func TestLines(t *testing.T) {
	require.Equal(t, "a\n\tb?", Lines("a\n\tb\rc", 5))
}

func TestList(t *testing.T) {
	given := []string{strings.Repeat("x", 200), "a\x00"}
	require.Equal(t, []string{strings.Repeat("x", 100), "a?"}, List(given))
	require.Equal(t, "a\x00", given[1], "the list that was given stays as it was")
	require.Len(t, List(make([]string, 100)), 16)
}
