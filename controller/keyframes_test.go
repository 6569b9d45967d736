package controller

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKeyframesAreRemembered(t *testing.T) {
	k := keyframes{}
	k.note("live", 10)
	k.note("live", 0)
	require.Equal(t, 10*time.Second, k.of("live"))
	require.Zero(t, k.of("other"))
	for n := range 2 * maxKeyframes {
		k.note(strconv.Itoa(n), 2)
	}
	require.Len(t, k, maxKeyframes, "a bound")
}
