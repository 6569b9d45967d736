package httpd

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/buffer"
)

// TestUnplayable: playlists of a stream of which nothing can be played are refused with the reason, at once.
func TestUnplayable(t *testing.T) {
	f := start(t)
	const path, why = "/hls/live/index.m3u8", "all is scrambled"
	tell := func(file *os.File, id uint64, why string) {
		require.NoError(t, f.ctl.SendWithin(patience, MsgStream, Stream{Name: "live", ID: id, Unplayable: why}, file))
	}
	rw, ro, err := buffer.Create(buffer.Options{Stream: "live", Size: 4 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { _ = rw.Close(); _ = ro.Close() })
	tell(ro, 1, "")
	f.counted()
	waiting := f.later(path)
	require.Eventually(t, func() bool { return f.counted().Active == 1 }, patience, 10*time.Millisecond)
	require.Empty(t, waiting, "it is held")
	tell(ro, 1, why)
	require.Equal(t, http.StatusUnsupportedMediaType, answered(t, waiting).StatusCode)
	for _, p := range []string{path, "/hls/live/ts/index.m3u8", "/hls/live/v0/index.m3u8"} {
		r, body := f.get("GET", p)
		require.Equal(t, http.StatusUnsupportedMediaType, r.StatusCode)
		require.Equal(t, why+"\n", body)
		require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
		require.Equal(t, "*", r.Header.Get("Access-Control-Allow-Origin"))
	}

	file := live(t)
	tell(file, 2, why)
	f.counted()
	r, _ := f.get("GET", path)
	require.Equal(t, http.StatusUnsupportedMediaType, r.StatusCode)
	tell(file, 2, "")
	f.counted()
	r, _ = f.get("GET", path)
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Zero(t, f.counted().Panics)
}
