package guardian

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseState(t *testing.T) {
	for stat, want := range map[string]byte{
		"1 (sh) S 0 1 1":            'S',
		"1 (a) R (b) T 0 1 1":       'T',
		"1 () ) R) D 0":             'D',
		"":                          0,
		"1 (sh)":                    0,
		"1 (sh) ":                   0,
		"no parenthesis, no letter": 0,
	} {
		require.Equal(t, want, parseState([]byte(stat)), stat)
	}
}
