package hls

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"brume/buffer"
)

// withoutFiles calls f while no descriptor is left.
func withoutFiles(t *testing.T, f func()) {
	t.Helper()
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	next, err := os.Open(os.DevNull) // takes the lowest free number
	require.NoError(t, err)
	defer next.Close()
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next.Fd()), Max: before.Max}))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) }()
	_, err = os.Open(os.DevNull)
	require.ErrorIs(t, err, unix.EMFILE)
	f()
}

// A server without descriptors is no fault of the stream: its segments are there again when it has some.
func TestSegmentsWithoutDescriptors(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	s := f.stream(Options{})
	f.begin(videoTrack)
	f.synthetic(0, 200)
	var segments []string
	for line := range strings.Lines(body(t, get(t, s, "ts/media.m3u8"))) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			segments = append(segments, "ts/"+line)
		}
	}
	require.GreaterOrEqual(t, len(segments), 3)

	withoutFiles(t, func() {
		r := get(t, s, segments[0])
		require.Equal(t, http.StatusServiceUnavailable, r.StatusCode, body(t, r))
		require.Equal(t, "1", r.Header.Get("Retry-After"))
		require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	})
	r := get(t, s, segments[0])
	require.Equal(t, http.StatusOK, r.StatusCode)
	want := body(t, r)

	// What is kept is sent, and gives way to what is not.
	withoutFiles(t, func() {
		require.Equal(t, want, body(t, get(t, s, segments[0])))
		require.Equal(t, http.StatusOK, get(t, s, segments[1]).StatusCode)
		require.Equal(t, http.StatusOK, get(t, s, segments[2]).StatusCode)
	})
	require.Equal(t, want, body(t, get(t, s, segments[0])))
	requireNoFault(t, s)
}
