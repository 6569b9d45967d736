package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"brume/media/ts"
	"brume/srt"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a backend that holds what a test gives it.
type fake struct {
	info        Info
	ready       error
	streams     []Stream
	connections []Connection
	pushes      []Push
	refused     []Refusal
	snapshot    MetricsSnapshot
	events      *Events
	failure     error // of every operation, when set

	ended, disconnected []string
	locked              map[string]bool
}

func (f *fake) Info() Info                { return f.info }
func (f *fake) Ready() error              { return f.ready }
func (f *fake) Events() *Events           { return f.events }
func (f *fake) Streams() []Stream         { return append([]Stream(nil), f.streams...) }
func (f *fake) Connections() []Connection { return append([]Connection(nil), f.connections...) }
func (f *fake) Refusals() []Refusal       { return append([]Refusal(nil), f.refused...) }
func (f *fake) Metrics() MetricsSnapshot  { return f.snapshot }

func (f *fake) Stream(name string) (Stream, error) {
	for _, s := range f.streams {
		if s.Name == name && f.failure == nil {
			return s, nil
		}
	}
	return Stream{}, errors.Join(f.failure, ErrNotFound)
}

func (f *fake) EndPublisher(name string) error {
	if f.failure != nil {
		return f.failure
	}
	s, err := f.Stream(name)
	if err == nil && s.Publisher == nil {
		err = ErrNoPublisher
	}
	if err == nil {
		f.ended = append(f.ended, name)
	}
	return err
}

func (f *fake) Lock(name string) error {
	if f.failure == nil {
		f.locked[name] = true
	}
	return f.failure
}

func (f *fake) Unlock(name string) error {
	if f.failure == nil {
		delete(f.locked, name)
	}
	return f.failure
}

func (f *fake) Connection(id string) (Connection, error) {
	for _, c := range f.connections {
		if c.ID == id {
			return c, nil
		}
	}
	return Connection{}, ErrNotFound
}

func (f *fake) ConnectionHistory(id string, r Resolution) (ConnectionHistory, error) {
	_, err := f.Connection(id)
	if id == "c3" {
		return ConnectionHistory{ResolutionSeconds: r.Seconds()}, err // nothing of it was heard
	}
	none := float32(math.NaN())
	c := Column{1.5, none}
	return ConnectionHistory{r.Seconds(), Times{1, 2}, c, c, c, c, c, c, c, c, c, Column{none, none}}, err
}

func (f *fake) StreamHistory(name string, r Resolution) (StreamHistory, error) {
	_, err := f.Stream(name)
	c := Column{1e6, 0.1}
	return StreamHistory{r.Seconds(), Times{10, 20}, c, c, c, c, c, c, c}, err
}

func (f *fake) Disconnect(id string) error {
	if f.failure != nil {
		return f.failure
	}
	_, err := f.Connection(id)
	if err == nil {
		f.disconnected = append(f.disconnected, id)
	}
	return err
}

func fakeHealth(at time.Time) *ts.Health {
	fast, slow, sure := 20.0, -30.0, 2.0
	h := &ts.Health{
		PCRs: []ts.HealthPCR{{PID: 256, IntervalMS: 40, JitterUS: 900, DriftPPM: &fast, DriftErrorPPM: &sure}, {PID: 512, IntervalMS: 30, JitterUS: 1200, DriftPPM: &slow}},
		PIDs: []ts.HealthPID{{Kind: ts.KindPAT, Packets: 10}, {PID: 256, Kind: ts.KindVideo, Program: 1, StreamType: ts.StreamTypeH264, Packets: 80}}, PIDsTotal: 12,
	}
	for _, i := range h.Indicators.All() {
		i.OK = true
	}
	h.Indicators.PAT = ts.Indicator{Errors: 4, LastError: &at}
	return h
}

func (f *fake) Pushes() []Push { return append([]Push(nil), f.pushes...) }

func (f *fake) Push(id string) (Push, error) {
	for _, p := range f.pushes {
		if p.ID == id {
			return p, f.failure
		}
	}
	return Push{}, ErrNotFound
}

func (f *fake) StartPush(stream, url string) (Push, error) {
	p := Push{ID: "new", Stream: stream, Call: Call{State: CallWaiting, URL: url, Mode: ModeCaller, Failures: map[string]uint64{}}}
	if f.failure == nil {
		f.pushes = append(f.pushes, p)
	}
	return p, f.failure
}

func (f *fake) EndPush(id string) error {
	p, err := f.Push(id)
	if err == nil && p.Configured {
		err = fmt.Errorf("%w: it is configured", ErrConflict)
	}
	if err == nil {
		f.ended = append(f.ended, id)
	}
	return err
}

func newFake() *fake {
	start := time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	f := &fake{
		events: NewEvents(start),
		locked: map[string]bool{},
		info: Info{
			Version: "1.2.3", Go: "go1.26", LibSRT: LibSRT{"1.5.1", "1.5.1-1+deb12u1"},
			SRT: []SRTPort{{Address: "[::]:8889", Stream: "live", Mode: "any", Slash: "refuse", LatencyMS: 120, Options: map[string]string{}, Networks: []string{}}}, HTTP: Listener{":8080"}, API: Listener{"127.0.0.1:4242"},
			Processes: []Process{{"guardian", 1}, {"controller", 2}}, Hostname: "host", Started: start,
		},
		streams: []Stream{
			{Name: "off", State: StreamOffline, Source: &Source{
				Start: "demand", URLs: []string{"srt://192.0.2.1:1", "srt://192.0.2.2:1"}, Index: 1,
				Call: Call{State: CallFailed, URL: "srt://192.0.2.2:1", Mode: ModeCaller, Since: start, Attempts: 4, Failures: map[string]uint64{"timeout": 3, "made up": 1}, LastError: &CallError{Reason: "rejected", Detail: "no", Code: 1404, At: start}, NextTry: &start},
			}},
			{
				Name: "live", State: StreamLive, LiveSince: &start, Publisher: &Publisher{"c1", "192.0.2.7:5000", start},
				Tracks: []Track{
					{PID: 256, Kind: "video", Codec: "h264", Codecs: "avc1.64001f", Width: 640, Height: 360, FrameRate: 30, Bitrate: 4e6, HLS: true, HLSTS: true},
					{ID: 1, PID: 257, Kind: "audio", Codec: "aac", Language: "eng", SampleRate: 48000, Channels: 2, HLS: true, HLSTS: true},
					{ID: 2, PID: 258, Kind: "data", Codec: "klv"},
				},
				Buffer:  &Buffer{Seconds: 59.5, Bytes: 3e7, WindowSeconds: 60, SizeBytes: 64e6, SegmentTargetSeconds: 1, SegmentMaxSeconds: 6, PartTargetSeconds: .5, TargetDurationSeconds: 2, Epochs: 1},
				Viewers: Viewers{SRT: 2, HLS: 3}, BytesIn: 1000, BytesOut: 5000,
				Input: &ts.Stats{Packets: 100, ContinuityErrors: 3}, Health: fakeHealth(start), HLS: HLSStats{Requests: 7, Bytes: 4000, PlayerViews: 1, Faults: HLSFaults{Segment: 5}},
			},
		},
		connections: []Connection{
			{
				ID: "c2", Peer: "192.0.2.8:5001", Local: "192.0.2.1:8889", Stream: "live", Role: "play", Protocol: "srt", Direction: Inbound, Mode: ModeListener, PID: 12,
				State: ConnectionConnected, Since: start.Add(time.Minute), Bytes: 50,
				SRT: &SRT{PeerVersion: "1.5.3", LatencyReceiveMS: 120, LatencySendMS: 200, KeyLength: 16, PacketFilter: "fec", Encrypted: true, PayloadSize: 1316, Stats: srt.Stats{RTTMS: 1.5, Total: srt.StatsCount{PktSent: 9}}},
			},
			{
				ID: "c1", Peer: "192.0.2.7:5000", Local: "192.0.2.1:8889", Stream: "live", Role: "publish", Protocol: "srt", Direction: Inbound, Mode: ModeListener, PID: 11,
				State: ConnectionConnected, Since: start, Bytes: 1000, Sandbox: []string{"seccomp"}, SRT: &SRT{}, Input: &ts.Stats{Packets: 100},
			},
			{ID: "c3", Stream: "other", Role: "undecided", Protocol: "srt", Direction: Inbound, Mode: ModeListener, State: ConnectionStarting, Since: start.Add(-time.Minute)},
		},
	}
	f.pushes = []Push{
		{ID: "off-0", Stream: "off", Configured: true, Call: Call{State: CallWaiting, URL: "srt://192.0.2.3:1", Mode: ModeRendezvous, Since: start, Failures: map[string]uint64{}}},
		{ID: "0123456789ab", Stream: "live", Call: Call{State: CallConnected, URL: "srt://192.0.2.3:1", Mode: ModeCaller, Since: start, Connection: "c4", Attempts: 2, Failures: map[string]uint64{"rejected": 1}}},
	}
	f.snapshot = MetricsSnapshot{
		Info: f.info, Streams: f.streams, Connections: f.connections, Pushes: f.pushes,
		Listeners: []ListenerMetrics{{"[::]:8889", srt.ListenerStats{Packets: 9, Rejected: map[string]uint64{"1404": 2, "x": 1, "99999": 3}}}},
		HTTP:      HTTPMetrics{Accepted: 4, Requests: []HTTPRequests{{"segment", "2xx", 5, 600}, {"playlist", "4xx", 1, 10}}},
		Events:    EventMetrics{Told: map[EventType]uint64{EventLive: 3}, Subscribers: 2, Dropped: 1},
		Processes: map[string]int{"http": 1, "srt": 3}, Restarts: map[string]uint64{"http": 2},
		Rejects: map[RejectCause]uint64{{1403, "network"}: 1}, Kills: map[string]uint64{"cpu": 3}, Failures: map[string]uint64{srt.FailTimeout: 1, "made up": 2, "too": 3},
	}
	return f
}

// do sends a request as a program on this machine would, and returns the answer with its body.
func do(t *testing.T, h http.Handler, method, target string, change ...func(*http.Request)) (*http.Response, []byte) {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:4242"+target, nil)
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res, body
}

func get[T any](t *testing.T, h http.Handler, target string) T {
	t.Helper()
	res, body := do(t, h, http.MethodGet, target)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
	require.Equal(t, "application/json", res.Header.Get("Content-Type"))
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	var v T
	require.NoError(t, json.Unmarshal(body, &v))
	return v
}

func requireProblem(t *testing.T, res *http.Response, body []byte, status int, detail string) {
	t.Helper()
	require.Equal(t, status, res.StatusCode, "%s", body)
	require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
	var p struct {
		Status        int
		Title, Detail string
	}
	require.NoError(t, json.Unmarshal(body, &p), "%s", body)
	require.Equal(t, status, p.Status)
	require.Equal(t, http.StatusText(status), p.Title)
	require.Contains(t, string(body), detail)
}

func TestInfo(t *testing.T) {
	f := newFake()
	h := New(f, Options{Version: "1.2.3"})
	got := get[Info](t, h, "/api/v1/info")
	require.InDelta(t, 3600, got.UptimeSeconds, 5)
	got.UptimeSeconds = 0
	require.Equal(t, f.info, got)

	f.info.SRT, f.info.Processes, f.info.Started = nil, nil, time.Now().Add(time.Hour)
	res, body := do(t, h, http.MethodGet, "/api/v1/info")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, string(body), `"srt":[]`)
	require.Contains(t, string(body), `"processes":[]`)
	require.Contains(t, string(body), `"uptime_seconds":0`)
}

func TestStreams(t *testing.T) {
	f := newFake()
	h := New(f, Options{})
	list := get[List[Stream]](t, h, "/api/v1/streams")
	require.Equal(t, 2, list.Total)
	require.Equal(t, []string{"live", "off"}, []string{list.Items[0].Name, list.Items[1].Name})

	live := get[Stream](t, h, "/api/v1/streams/live")
	require.Equal(t, live.Links, list.Items[0].Links)
	require.InDelta(t, 3600, live.UptimeSeconds, 5)
	require.Equal(t, Viewers{Total: 5, SRT: 2, HLS: 3}, live.Viewers)
	require.Equal(t, Links{
		HLS: "http://127.0.0.1:8080/hls/live/index.m3u8", HLSTS: "http://127.0.0.1:8080/hls/live/ts/index.m3u8",
		Player: "http://127.0.0.1:8080/live.html", SRT: "srt://127.0.0.1:8889?streamid=live",
	}, live.Links)
	want := f.streams[1]
	want.UptimeSeconds, want.Viewers, want.Links, want.Programs, want.LeftOut = live.UptimeSeconds, live.Viewers, live.Links, []Program{}, []LeftOut{}
	require.Equal(t, want, live)

	_, body := do(t, h, http.MethodGet, "/api/v1/streams/off")
	require.Contains(t, string(body), `"tracks":[]`)
	require.NotContains(t, string(body), `"publisher"`)
	require.NotContains(t, string(body), `"buffer":{`)

	f.streams = nil
	_, body = do(t, h, http.MethodGet, "/api/v1/streams")
	require.JSONEq(t, `{"items":[],"total":0}`, string(body))
}

func TestEndPublisher(t *testing.T) {
	f := newFake()
	h := New(f, Options{})
	res, body := do(t, h, http.MethodDelete, "/api/v1/streams/live")
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	require.Empty(t, body)
	require.Equal(t, []string{"live"}, f.ended)

	res, body = do(t, h, http.MethodDelete, "/api/v1/streams/off")
	requireProblem(t, res, body, http.StatusConflict, `nobody publishes the stream \"off\"`)
	res, body = do(t, h, http.MethodDelete, "/api/v1/streams/none")
	requireProblem(t, res, body, http.StatusNotFound, `there is no stream \"none\"`)
	require.Len(t, f.ended, 1)
}

func TestLock(t *testing.T) {
	f := newFake()
	h := New(f, Options{})
	for range 2 {
		res, body := do(t, h, http.MethodPut, "/api/v1/streams/later/lock")
		require.Equal(t, http.StatusNoContent, res.StatusCode)
		require.Empty(t, body)
		require.Equal(t, map[string]bool{"later": true}, f.locked)
	}
	res, _ := do(t, h, http.MethodDelete, "/api/v1/streams/later/lock")
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	require.Empty(t, f.locked)
	res, body := do(t, h, http.MethodPost, "/api/v1/streams/later/lock")
	requireProblem(t, res, body, http.StatusMethodNotAllowed, "PUT")
	f.failure = ErrTooMany
	res, body = do(t, h, http.MethodPut, "/api/v1/streams/later/lock")
	requireProblem(t, res, body, http.StatusConflict, "unlock one first")
	f.failure = ErrNotFound
	res, body = do(t, h, http.MethodDelete, "/api/v1/streams/-/lock")
	requireProblem(t, res, body, http.StatusNotFound, "there is no stream")
	f.failure, f.streams[0].Locked = nil, true
	require.True(t, get[Stream](t, h, "/api/v1/streams/off").Locked)
}

func TestConnections(t *testing.T) {
	f := newFake()
	h := New(f, Options{})
	ids := func(query string) (ids []string) {
		for _, c := range get[List[Connection]](t, h, "/api/v1/connections"+query).Items {
			ids = append(ids, c.ID)
		}
		return ids
	}
	require.Equal(t, []string{"c3", "c1", "c2"}, ids(""))
	require.Equal(t, []string{"c2"}, ids("?limit=1&offset=2"))
	require.Equal(t, []string{"c1", "c2"}, ids("?stream=live"))
	require.Equal(t, []string{"c2"}, ids("?stream=live&role=play"))
	require.Equal(t, []string{"c3"}, ids("?role=undecided"))
	require.Empty(t, ids("?stream=other&role=play"))
	require.Equal(t, 2, get[List[Connection]](t, h, "/api/v1/connections?stream=live&limit=1").Total)

	want := f.connections[1]
	want.Feeds = []string{}
	require.Equal(t, want, get[Connection](t, h, "/api/v1/connections/c1"))
	_, body := do(t, h, http.MethodGet, "/api/v1/connections/c3")
	require.Contains(t, string(body), `"sandbox":[]`)
	require.NotContains(t, string(body), `"srt":{`)

	res, body := do(t, h, http.MethodDelete, "/api/v1/connections/c2")
	require.Equal(t, http.StatusNoContent, res.StatusCode, "%s", body)
	require.Equal(t, []string{"c2"}, f.disconnected)
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		res, body = do(t, h, method, "/api/v1/connections/none")
		requireProblem(t, res, body, http.StatusNotFound, `there is no connection \"none\"`)
	}
}

func TestRefusals(t *testing.T) {
	f := newFake()
	h := New(f, Options{})
	require.Equal(t, List[Refusal]{Items: []Refusal{}}, get[List[Refusal]](t, h, "/api/v1/refusals"))
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	f.refused = []Refusal{
		{Time: at.Add(2 * time.Second), Peer: "192.0.2.7:3", Local: "192.0.2.1:8889", StreamID: "app/***", Code: 1400, Cause: "bad_request", Reason: "a sentence", Count: 1},
		{Time: at.Add(time.Second), Peer: "192.0.2.7:2", Stream: "live", StreamID: "publish:live", Code: 1409, Cause: "conflict", Reason: "a sentence", Count: 1},
		{Time: at, Peer: "192.0.2.7:1", Stream: "live", StreamID: "publish:live:me:***", Code: 1010, Cause: "bad_secret", Reason: "a sentence", Count: 2, Connection: "c1"},
	}
	require.Equal(t, List[Refusal]{f.refused, 3}, get[List[Refusal]](t, h, "/api/v1/refusals"))
	require.Equal(t, List[Refusal]{f.refused[1:2], 3}, get[List[Refusal]](t, h, "/api/v1/refusals?limit=1&offset=1"))
	require.Equal(t, List[Refusal]{f.refused[1:], 2}, get[List[Refusal]](t, h, "/api/v1/refusals?stream=live"))
	require.Equal(t, List[Refusal]{f.refused[2:], 1}, get[List[Refusal]](t, h, "/api/v1/refusals?stream=live&cause=bad_secret"))
	require.Empty(t, get[List[Refusal]](t, h, "/api/v1/refusals?stream=other").Items)
	res, body := do(t, h, http.MethodGet, "/api/v1/refusals?peer=x")
	requireProblem(t, res, body, http.StatusUnprocessableEntity, "unknown query parameter")
}

// What an operation is not made for is refused, and never answered with everything.
func TestRefused(t *testing.T) {
	h := New(newFake(), Options{Pages: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("page")) })})
	for _, tc := range []struct {
		name, method, target string
		status               int
		detail               string
	}{
		{"limit of none", "GET", "/api/v1/streams?limit=0", 422, "query.limit"},
		{"limit too high", "GET", "/api/v1/streams?limit=1001", 422, "query.limit"},
		{"limit no number", "GET", "/api/v1/connections?limit=x", 422, "query.limit"},
		{"negative offset", "GET", "/api/v1/streams?offset=-1", 422, "query.offset"},
		{"huge offset", "GET", "/api/v1/streams?offset=99999999999999999999", 422, "query.offset"},
		{"unknown role", "GET", "/api/v1/connections?role=watch", 422, "query.role"},
		{"unknown parameter", "GET", "/api/v1/connections?steam=live", 422, "query.steam"},
		{"unknown parameter of a stream", "GET", "/api/v1/streams/live?x", 422, "query.x"},
		{"broken query", "GET", "/api/v1/streams?limit=%zz", 422, "a % without two hexadecimal digits"},
		{"unknown stream", "GET", "/api/v1/streams/none", 404, "there is no stream"},
		{"stream with a slash", "GET", "/api/v1/streams/..%2Flive", 404, `there is no stream \"../live\"`},
		{"unknown route", "GET", "/api/v1/nothing", 404, "there is nothing at"},
		{"unknown version", "GET", "/api/v2/streams", 404, "there is nothing at"},
		{"top", "GET", "/api", 404, "there is nothing at"},
		{"documentation page", "GET", "/api/docs", 404, "there is nothing at"},
		{"trailing slash", "GET", "/api/v1/streams/", 404, "there is no"},
		{"write to a list", "POST", "/api/v1/streams", 405, "POST is not possible here; try GET, HEAD"},
		{"write to a stream", "PUT", "/api/v1/streams/live", 405, "try GET, HEAD, DELETE"},
		{"write to the metrics", "POST", "/metrics", 405, "try GET"},
		{"delete info", "DELETE", "/api/v1/info", 405, "try GET"},
		{"options", "OPTIONS", "/api/v1/info", 405, "try GET"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, body := do(t, h, tc.method, tc.target)
			requireProblem(t, res, body, tc.status, tc.detail)
			if tc.status == 405 {
				require.Contains(t, res.Header.Get("Allow"), "GET, HEAD")
				require.Contains(t, string(body), "try "+res.Header.Get("Allow"))
			}
		})
	}
}

// The cause of a failure is for the log.
func TestFailure(t *testing.T) {
	f := newFake()
	f.failure = errors.New("secret cause")
	h := New(f, Options{})
	for _, target := range []string{"/api/v1/streams/live", "/api/v1/connections/c1"} {
		res, body := do(t, h, http.MethodDelete, target)
		requireProblem(t, res, body, http.StatusInternalServerError, "the server failed")
		require.NotContains(t, string(body), "secret")
	}
}

func TestPanic(t *testing.T) {
	h := New(newFake(), Options{Pages: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		panic("secret")
	})})
	res, body := do(t, h, http.MethodGet, "/")
	requireProblem(t, res, body, http.StatusInternalServerError, "the server failed")
	require.NotContains(t, string(body), "secret")
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { do(t, h, http.MethodGet, "/abort") })
}

func TestPushes(t *testing.T) {
	f := newFake()
	h := New(f, Options{})
	list := get[List[Push]](t, h, "/api/v1/pushes")
	require.Equal(t, 2, list.Total)
	require.Equal(t, []Push{f.pushes[1], f.pushes[0]}, list.Items)
	require.Equal(t, 1, get[List[Push]](t, h, "/api/v1/pushes?stream=off").Total)
	require.Equal(t, f.pushes[0], get[Push](t, h, "/api/v1/pushes/off-0"))

	post := func(body string) (*http.Response, []byte) {
		return do(t, h, http.MethodPost, "/api/v1/pushes", func(r *http.Request) {
			r.Header.Set("Content-Type", "application/json")
			r.Body = io.NopCloser(strings.NewReader(body))
		})
	}
	res, body := post(`{"stream":"live","url":"srt://h:1"}`)
	require.Equal(t, http.StatusCreated, res.StatusCode, "%s", body)
	require.Equal(t, "/api/v1/pushes/new", res.Header.Get("Location"))
	var p Push
	require.NoError(t, json.Unmarshal(body, &p))
	require.Equal(t, "srt://h:1", p.URL)
	for _, bad := range []string{`{}`, `{"stream":"live"}`, `[]`, `{"stream":"live","url":5}`, `{"stream":"live","url":"x","more":1}`, `{"stream":"live","url":"` + strings.Repeat("x", 2049) + `"}`} {
		res, _ = post(bad)
		require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode, bad)
	}
	require.Len(t, f.pushes, 3)

	res, body = do(t, h, http.MethodDelete, "/api/v1/pushes/new")
	require.Equal(t, http.StatusNoContent, res.StatusCode, "%s", body)
	require.Equal(t, []string{"new"}, f.ended)
	res, body = do(t, h, http.MethodDelete, "/api/v1/pushes/off-0")
	requireProblem(t, res, body, http.StatusConflict, "it is configured")
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		res, body = do(t, h, method, "/api/v1/pushes/none")
		requireProblem(t, res, body, http.StatusNotFound, `there is no push`)
	}
	f.failure = fmt.Errorf("%w: no such host", ErrInvalid)
	res, body = post(`{"stream":"live","url":"srt://h:1"}`)
	requireProblem(t, res, body, http.StatusUnprocessableEntity, `"no such host"`)
	f.failure = errors.New("secret cause")
	res, body = post(`{"stream":"live","url":"srt://h:1"}`)
	requireProblem(t, res, body, http.StatusInternalServerError, "the server failed")
	require.NotContains(t, string(body), "secret")
}

func TestHealth(t *testing.T) {
	f := newFake()
	h := New(f, Options{})
	for target, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		res, body := do(t, h, http.MethodGet, target)
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, want, string(body))
		res, _ = do(t, h, http.MethodHead, target)
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	f.ready = errors.New("the SRT listener is not up")
	res, body := do(t, h, http.MethodGet, "/readyz")
	requireProblem(t, res, body, http.StatusServiceUnavailable, "the SRT listener is not up")
	res, _ = do(t, h, http.MethodGet, "/healthz")
	require.Equal(t, http.StatusOK, res.StatusCode)
}

func TestPages(t *testing.T) {
	var paths []string
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = w.Write([]byte("page"))
	})
	h := New(newFake(), Options{Pages: pages})
	for _, target := range []string{"/", "/assets/x.js", "/apiary"} {
		res, body := do(t, h, http.MethodGet, target)
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, "page", string(body))
		require.Equal(t, "max-age=60", res.Header.Get("Cache-Control"))
		require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	}
	require.Equal(t, []string{"/", "/assets/x.js", "/apiary"}, paths)

	res, body := do(t, New(newFake(), Options{}), http.MethodGet, "/")
	requireProblem(t, res, body, http.StatusNotFound, "there is nothing at")
}

func TestBodyLimit(t *testing.T) {
	var read int64
	h := New(newFake(), Options{Pages: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		read, _ = io.Copy(io.Discard, r.Body)
	})})
	do(t, h, http.MethodPost, "/", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", 1<<20))) })
	require.Equal(t, int64(maxBody), read)
}
