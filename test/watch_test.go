package test

import (
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"brume/test/hlscheck"
)

// watchEvery is how often the playlists of a watched stream are asked for. A later look sees fewer versions, and no other rules.
const watchEvery = 300 * time.Millisecond

// watchLargest is the largest segment whose boxes are looked at.
const watchLargest = 4 << 20

// pending are rules that the server does not hold yet.
var pending []string

// watcher follows the playlists of one stream while its test runs, fMP4 and MPEG-TS, and gives them and what they list to a checker.
type watcher struct {
	base    string
	client  http.Client
	checker *hlscheck.Checker
	quit    chan struct{}
	done    sync.WaitGroup
	rounds  int
	// fresh is until when a playlist is new enough to ask for a delta update of it: no older than half of CAN-SKIP-UNTIL (draft-pantos-hls-rfc8216bis 6.3.7)
	fresh map[string]time.Time
}

// watch follows a stream until the test ends, which then fails for every rule that a playlist broke.
func (s *server) watch(stream string) {
	if _, known := s.watched.LoadOrStore(stream, true); known {
		return
	}
	w := &watcher{
		base: "http://" + s.http + "/hls/" + stream + "/", checker: hlscheck.New(), quit: make(chan struct{}), fresh: map[string]time.Time{},
		client: http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}},
	}
	w.done.Go(w.run)
	s.t.Cleanup(func() { w.end(s.t) })
}

func (w *watcher) end(t *testing.T) {
	t.Helper()
	close(w.quit)
	w.done.Wait()
	w.client.CloseIdleConnections()
	for _, f := range w.checker.Faults {
		if slices.Contains(pending, f.Rule) {
			continue
		}
		t.Errorf("a playlist of %s breaks a rule: %s", w.base, f)
	}
}

func (w *watcher) run() {
	for {
		select {
		case <-w.quit:
			return
		case <-time.After(watchEvery):
			w.look("")
			w.look("ts/")
			w.rounds++
		}
	}
}

// get fetches something; it is empty where the server is away or refuses.
func (w *watcher) get(uri string) (status int, body string) {
	r, err := w.client.Get(w.base + uri)
	if err != nil {
		return 0, ""
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, watchLargest+1))
	if err != nil {
		return 0, ""
	}
	return r.StatusCode, string(b)
}

// look takes one round through a variant's playlists.
func (w *watcher) look(variant string) {
	status, text := w.get(variant + "index.m3u8")
	if status != http.StatusOK {
		if status != 0 {
			w.checker.Forget(variant)
		}
		return
	}
	for _, uri := range w.checker.Multivariant(variant, text) {
		id := variant + strings.TrimSuffix(strings.TrimSuffix(uri, ".m3u8"), "/index")
		query := ""
		asked := time.Now()
		if w.rounds%4 == 3 && w.checker.Knows(id) && asked.Before(w.fresh[id]) {
			query = "?_HLS_skip=YES"
		}
		status, text := w.get(variant + uri + query)
		if status != http.StatusOK {
			continue
		}
		if p := w.checker.Playlist(id, text); p != nil {
			w.fresh[id] = asked.Add(time.Duration(p.SkipUntil / 2 * float64(time.Second)))
			w.media(id, variant+path.Dir(uri)+"/", p)
		}
	}
}

// media fetches what is new in a playlist.
func (w *watcher) media(id, folder string, p *hlscheck.Playlist) {
	for _, g := range p.Segments {
		if g.Gap || !w.checker.Wants(id, g.Number) {
			continue
		}
		if w.checker.WantsInit(id, g.Map) {
			status, body := w.get(folder + g.Map)
			if status != http.StatusOK {
				continue
			}
			w.checker.Init(id, g.Map, []byte(body))
		}
		status, body := w.get(folder + g.URI)
		if status == http.StatusOK && len(body) <= watchLargest {
			w.checker.Segment(id, g.Number, []byte(body))
		}
		select {
		case <-w.quit:
			return
		default:
		}
	}
}
