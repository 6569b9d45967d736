package ts

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHealthIsBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	past, future, good := now.Add(-time.Hour), time.Unix(1<<40, 0), now.Add(-time.Second)
	h := &Health{PCRs: make([]HealthPCR, 100), PIDs: make([]HealthPID, 1000), PIDsTotal: -5}
	h.PIDs[1].Kind, h.PIDs[2].Kind = KindAudio, "<script>"
	h.PIDs[1].Packets, h.Indicators.CRC.Errors = 1<<63, 1<<63
	drift, off, below := -1e300, 1e300, -5.5
	h.PCRs[0] = HealthPCR{IntervalMS: -1, JitterUS: 1e300, DriftPPM: &drift, DriftErrorPPM: &off}
	h.PCRs[1].DriftPPM = &below
	h.Indicators.PAT.LastError, h.Indicators.PMT.LastError, h.Indicators.PTS.LastError = &past, &future, &good
	h.Bound(now.Add(-time.Minute), now)
	require.Len(t, h.PCRs, MaxHealthPCRs)
	require.Len(t, h.PIDs, MaxHealthPIDs)
	require.Equal(t, MaxHealthPIDs, cap(h.PIDs), "the rest is not kept")
	require.Equal(t, MaxHealthPIDs, h.PIDsTotal)
	require.Equal(t, KindAudio, h.PIDs[1].Kind)
	require.EqualValues(t, 1<<53, h.PIDs[1].Packets)
	require.EqualValues(t, 1<<53, h.Indicators.CRC.Errors)
	require.Equal(t, []float64{0, 1e12, -1e12, 1e12}, []float64{h.PCRs[0].IntervalMS, h.PCRs[0].JitterUS, *h.PCRs[0].DriftPPM, *h.PCRs[0].DriftErrorPPM})
	require.Equal(t, -5.5, *h.PCRs[1].DriftPPM)
	require.Equal(t, KindData, h.PIDs[2].Kind)
	require.Nil(t, h.Indicators.PAT.LastError)
	require.Nil(t, h.Indicators.PMT.LastError)
	require.Equal(t, &good, h.Indicators.PTS.LastError)

	h = &Health{PIDsTotal: 1 << 40}
	h.Bound(past, now)
	require.Equal(t, PIDs, h.PIDsTotal)
	require.NotNil(t, h.PCRs)
	require.NotNil(t, h.PIDs)
}
