package httpd

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// later gets something in the background.
func (f *fixture) later(path string) <-chan *http.Response {
	c := make(chan *http.Response, 1)
	go func() {
		r, text := f.get("GET", path)
		r.Body = io.NopCloser(strings.NewReader(text))
		c <- r
	}()
	return c
}

func answered(t *testing.T, c <-chan *http.Response) *http.Response {
	t.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(2 * patience):
		t.Fatal("not answered")
		return nil
	}
}

func requireText(t *testing.T, want string, r *http.Response) {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, want, string(b))
}

// A request for a stream that begins on demand waits for it.
func TestDemand(t *testing.T) {
	f := start(t)
	const path = "/hls/live/index.m3u8"
	r, _ := f.get("GET", path)
	require.Equal(t, http.StatusNotFound, r.StatusCode, "nothing begins on demand here")
	require.NoError(t, f.ctl.Send(MsgDemand, Demand{Sources: true}))
	f.counted()
	var w Wanted

	none := f.later("/hls/other/index.m3u8")
	f.hear(MsgWanted, &w)
	require.Equal(t, "other", w.Name)
	require.NoError(t, f.ctl.Send(MsgSource, Source{Name: "other", State: SourceNone}))
	require.Equal(t, http.StatusNotFound, answered(t, none).StatusCode)

	first, second := f.later(path), f.later("/hls/live/ts/index.m3u8")
	f.hear(MsgWanted, &w)
	require.Equal(t, "live", w.Name)
	require.NoError(t, f.ctl.Send(MsgSource, Source{Name: "live", State: SourceStarting}))
	require.NoError(t, f.ctl.Send(MsgSource, Source{Name: "other", State: SourceNone}))
	time.Sleep(20 * time.Millisecond)
	require.Empty(t, first, "it is held")
	f.add(1, live(t))
	require.Equal(t, http.StatusOK, answered(t, first).StatusCode)
	require.Equal(t, http.StatusOK, answered(t, second).StatusCode)

	// The playlists of a stream that was live say why its source has failed since then.
	for _, source := range []Source{{Name: "live", State: SourceFailed, Why: "the source is away"}, {Name: "live", State: SourceStarting}} {
		require.NoError(t, f.ctl.Send(MsgSource, source))
		f.counted()
		r, _ = f.get("GET", path)
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Equal(t, source.Why, r.Header.Get("Brume-Source"))
		require.Contains(t, r.Header.Get("Access-Control-Expose-Headers"), "Brume-Source", "pages of other sites may read the header")
	}

	// Neither a segment nor a name that no stream can have is asked for.
	for _, path := range []string{"/hls/gone/v0/seg-1-1.m4s", "/hls/..%2f/index.m3u8", "/hls/" + strings.Repeat("x", 101) + "/index.m3u8"} {
		r, _ = f.get("GET", path)
		require.Equal(t, http.StatusNotFound, r.StatusCode, path)
	}

	// Nobody waits on for a source that can't be reached, but it may be reached a second later.
	failed := f.later("/hls/failed/index.m3u8")
	f.hear(MsgWanted, &w)
	require.NoError(t, f.ctl.Send(MsgSource, Source{Name: "failed", State: SourceStarting}))
	require.NoError(t, f.ctl.Send(MsgSource, Source{Name: "failed", State: SourceFailed, Why: "the source is away"}))
	r = answered(t, failed)
	require.Equal(t, http.StatusServiceUnavailable, r.StatusCode)
	require.Equal(t, "1", r.Header.Get("Retry-After"))
	requireText(t, "the source is away\n", r)

	began := time.Now()
	slow := f.later("/hls/slow/index.m3u8")
	f.hear(MsgWanted, &w)
	require.Equal(t, "slow", w.Name)
	require.NoError(t, f.ctl.Send(MsgSource, Source{Name: "slow", State: SourceStarting, Why: "the source failed before"}))
	r = answered(t, slow)
	require.Equal(t, http.StatusServiceUnavailable, r.StatusCode)
	requireText(t, "the source failed before\n", r)
	require.Equal(t, "1", r.Header.Get("Retry-After"))
	require.GreaterOrEqual(t, time.Since(began), Hold)

	require.NoError(t, f.ctl.Send(MsgDemand, Demand{}))
	f.counted()
	r, _ = f.get("GET", "/hls/slow/index.m3u8")
	require.Equal(t, http.StatusNotFound, r.StatusCode)
}

// A stream that many wait for is asked for now and then, and a flood of names is bounded.
func TestDemandIsBounded(t *testing.T) {
	d := demand{}
	now := time.Unix(1e9, 0)
	spent := 0
	for range 10 * WantedRate {
		if d.asks.Take(WantedRate, now) {
			spent++
		}
	}
	require.Equal(t, WantedRate, spent)
	require.True(t, d.asks.Take(WantedRate, now.Add(time.Second)))

	f := start(t)
	require.NoError(t, f.ctl.Send(MsgDemand, Demand{Sources: true}))
	f.counted()
	first := f.later("/hls/live/index.m3u8")
	var w Wanted
	f.hear(MsgWanted, &w)
	time.Sleep(askAgain + 10*time.Millisecond)
	second := f.later("/hls/live/index.m3u8")
	f.hear(MsgWanted, &w)
	require.Equal(t, "live", w.Name)
	require.NoError(t, f.ctl.Send(MsgSource, Source{Name: "live", State: SourceNone}))
	require.Equal(t, http.StatusNotFound, answered(t, first).StatusCode)
	require.Equal(t, http.StatusNotFound, answered(t, second).StatusCode)

	s := &server{demand: demand{sources: true, wanted: map[string]*wish{}, held: MaxHeld}}
	end, why := s.wait(t.Context(), "live")
	require.Equal(t, starting, end)
	require.Empty(t, why)
}
