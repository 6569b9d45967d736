package httpd

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKeepQuery: whether playlists carry a query is told with the limits, and holds at once.
func TestKeepQuery(t *testing.T) {
	f := start(t)
	for _, keep := range []bool{false, true, false} {
		require.NoError(t, f.ctl.SendWithin(patience, MsgLimits, Limits{KeepQuery: keep}))
		f.add(1, live(t))
		f.counted() // it has heard all that
		r, playlist := f.get(http.MethodGet, "/hls/live/index.m3u8?token=a")
		require.Equal(t, http.StatusOK, r.StatusCode)
		if keep {
			require.Contains(t, playlist, "\na0/index.m3u8?token=a\n")
		} else {
			require.Contains(t, playlist, "\na0/index.m3u8\n")
		}
		require.NoError(t, f.ctl.SendWithin(patience, MsgRemove, Remove{Name: "live", ID: 1}))
	}
}
