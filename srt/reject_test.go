package srt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The values are libsrt's: a caller gets its own reasons back as 1000 less, and those of an application too
// (URQ_FAILURE_TYPES in its sources, SRT_REJX_ in access_control.h).
func TestRejectionsOnTheWire(t *testing.T) {
	for code, wire := range map[int]HandshakeType{
		RejectVersion: 1008, RejectBadSecret: 1010, RejectUnsecure: 1011, RejectGroup: 1015,
		RejectBadRequest: 2400, RejectNotFound: 2404, RejectLocked: 2423, RejectUnavailable: 2503, 2000: 3000,
	} {
		require.Equal(t, wire, RejectionType(code))
	}
}
