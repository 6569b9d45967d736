package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
	"brume/srt"
)

// TestHealthOfStreams is what the publisher says, and only the publisher.
func TestHealthOfStreams(t *testing.T) {
	d := newDesk(t)
	publisher := d.admitted(1, "publish:live")
	d.live(publisher)
	viewer := d.admitted(2, "read:live")
	require.Nil(t, d.streams["live"].view().Health)

	said := srt.ConnStats{Health: &ts.Health{PIDs: make([]ts.HealthPID, 200)}}
	said.Health.Indicators.PAT = ts.Indicator{Errors: 3}
	slow := -12.5
	said.Health.PCRs = []ts.HealthPCR{{DriftPPM: &slow}}
	d.says(publisher, srt.MsgStats, said)
	h := d.streams["live"].view().Health
	require.EqualValues(t, 3, h.Indicators.PAT.Errors)
	require.Len(t, h.PIDs, ts.MaxHealthPIDs)
	require.Equal(t, -12.5, *h.PCRs[0].DriftPPM, "a clock may be slow")
	soon := time.Now().Add(time.Hour)
	said.Health.Indicators.PAT = ts.Indicator{Errors: 4, LastError: &soon}
	d.says(publisher, srt.MsgStats, said)
	require.Nil(t, d.streams["live"].view().Health.Indicators.PAT.LastError)

	said.Health.Indicators.PAT.Errors = 99
	d.says(viewer, srt.MsgStats, said)
	d.says(publisher, srt.MsgStats, srt.ConnStats{})
	require.EqualValues(t, 4, d.streams["live"].view().Health.Indicators.PAT.Errors)
	require.EqualValues(t, 3, h.Indicators.PAT.Errors, "what was given out stays as it was")
	require.Nil(t, viewer.p.conn.stats.Health)

	d.connectionEnded(publisher.p, "exit status 0")
	require.NotNil(t, d.streams["live"].view().Health, "to be looked at afterwards")
	d.admitted(3, "publish:live")
	require.Nil(t, d.streams["live"].view().Health, "of another publisher")
}
