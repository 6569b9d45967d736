package test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lossy is a way to a server on which every nth data packet towards it is lost. It is for one caller.
func lossy(t *testing.T, server string, nth int) string {
	t.Helper()
	front, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	back, err := net.Dial("udp", server)
	require.NoError(t, err)
	var mu sync.Mutex
	var caller net.Addr
	var both sync.WaitGroup
	both.Go(func() {
		b := make([]byte, 2048)
		for data := 0; ; {
			n, from, err := front.ReadFrom(b)
			if err != nil {
				return
			}
			mu.Lock()
			caller = from
			mu.Unlock()
			if n > 0 && b[0]&0x80 == 0 { // no control packet
				if data++; data%nth == 0 {
					continue
				}
			}
			_, _ = back.Write(b[:n])
		}
	})
	both.Go(func() {
		b := make([]byte, 2048)
		for {
			n, err := back.Read(b)
			if err != nil {
				return
			}
			mu.Lock()
			_, _ = front.WriteTo(b[:n], caller)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_, _ = front.Close(), back.Close()
		both.Wait()
	})
	return front.LocalAddr().String()
}

// column is one of a history; a gap is nil.
type column []*float64

func (c column) sum() (sum float64, values int) {
	for _, v := range c {
		if v != nil {
			sum += *v
			values++
		}
	}
	return sum, values
}

// history reads one, and sees that every column has a value or a gap for each time, and that no time is missing.
func (s *server) history(path string) (times []int64, columns map[string]column) {
	s.t.Helper()
	var raw map[string]json.RawMessage
	if s.get(path, &raw) != http.StatusOK {
		return nil, nil
	}
	var resolution int64
	require.NoError(s.t, json.Unmarshal(raw["resolution_seconds"], &resolution))
	require.NoError(s.t, json.Unmarshal(raw["time"], &times))
	delete(raw, "resolution_seconds")
	delete(raw, "time")
	columns = map[string]column{}
	for name, text := range raw {
		var c column
		require.NoError(s.t, json.Unmarshal(text, &c), name)
		require.Len(s.t, c, len(times), name)
		columns[name] = c
	}
	for i := 1; i < len(times); i++ {
		require.Equal(s.t, times[i-1]+resolution, times[i])
	}
	return times, columns
}

type event struct {
	ID         string `json:"id"`
	Type       string `json:"type"`
	Stream     string `json:"stream"`
	Connection struct {
		ID   string `json:"id"`
		Role string `json:"role"`
	} `json:"connection"`
	End struct {
		Reason string `json:"reason"`
	} `json:"end"`
	Refusal struct {
		Code int `json:"code"`
	} `json:"refusal"`
	Process struct {
		Role string `json:"role"`
	} `json:"process"`
}

// listener is a client of the events as a browser is one: it connects again by itself, and says what it knows.
type listener struct {
	mu    sync.Mutex
	all   []event
	last  string
	began int // connections
}

func (s *server) listen(query, last string) *listener {
	l := &listener{last: last}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			l.read(ctx, "http://"+s.api+"/api/v1/events?"+query)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	s.t.Cleanup(func() {
		cancel()
		<-done
	})
	return l
}

func (l *listener) read(ctx context.Context, url string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	if l.last != "" {
		r.Header.Set("Last-Event-ID", l.last)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer res.Body.Close()
	l.mu.Lock()
	l.began++
	l.mu.Unlock()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			l.last = id
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var e event
			if json.Unmarshal([]byte(data), &e) == nil {
				l.mu.Lock()
				l.all = append(l.all, e)
				l.mu.Unlock()
			}
		}
	}
}

func (l *listener) events() []event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

func (l *listener) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.began
}

// index is where the first event is that a test looks for, or -1.
func (l *listener) index(is func(event) bool) int { return slices.IndexFunc(l.events(), is) }

func types(all []event) (types []string) {
	for _, e := range all {
		types = append(types, e.Type)
	}
	return types
}

// TestHistoryGrows publishes through a lossy way and looks at the graphs' data of publisher, viewer and stream.
func TestHistoryGrows(t *testing.T) {
	t.Parallel()
	s := start(t)
	direct := s.srt
	s.srt = lossy(t, direct, 25)
	s.publish(plainClip(t), "publish:live")
	s.srt = direct
	s.waitPlayable("live")
	record(t, s.outputs("live")["srt"], filepath.Join(t.TempDir(), "out.ts"), 600)
	s.eventually(20*time.Second, "a viewer", func() bool { return len(s.connections("role=play")) == 1 })
	publisher, viewer := s.connections("role=publish")[0].ID, s.connections("role=play")[0].ID

	total := func() (lost float64) {
		var c struct {
			SRT struct {
				Stats struct {
					Total map[string]float64 `json:"total"`
				} `json:"stats"`
			} `json:"srt"`
		}
		require.Equal(t, http.StatusOK, s.get("/api/v1/connections/"+publisher, &c))
		return c.SRT.Stats.Total["pkt_rcv_loss"]
	}
	s.eventually(30*time.Second, "losses are counted", func() bool { return total() > 10 })
	before := total()
	path := "/api/v1/connections/" + publisher + "/history"
	first, _ := s.history(path)
	s.eventually(30*time.Second, "the history grows", func() bool {
		times, _ := s.history(path + "?resolution=1s")
		return len(times) >= len(first)+5
	})
	times, h := s.history(path)
	require.InDelta(t, time.Now().Unix(), times[len(times)-1], 5)
	lost, values := h["lost_packets"].sum()
	require.Greater(t, 2*values, len(times), "most seconds have a report")
	require.GreaterOrEqual(t, lost, before, "what was lost is in the history, gaps or not")
	require.LessOrEqual(t, lost, total())
	repaired, _ := h["retransmitted_packets"].sum()
	require.Positive(t, repaired)
	packets, _ := h["packets"].sum()
	require.InDelta(t, 0.04, lost/packets, 0.02, "one in 25")
	rate, n := h["rate_mbps"].sum()
	require.InDelta(t, 0.6, rate/float64(n), 0.4)
	_, values = h["flight_packets"].sum()
	require.Zero(t, values, "a publisher has none in flight")
	_, values = h["undecrypted_packets"].sum()
	require.Positive(t, values)
	require.Len(t, h, 10)

	_, h = s.history("/api/v1/connections/" + viewer + "/history")
	rate, n = h["rate_mbps"].sum()
	require.Positive(t, rate)
	require.Positive(t, n)
	_, values = h["belated_packets"].sum()
	require.Zero(t, values, "a viewer sends nothing that could be late")
	_, h = s.history("/api/v1/streams/live/history")
	bits, n := h["in_mbps"].sum()
	require.InDelta(t, 0.5, bits/float64(n), 0.4)
	viewers, _ := h["viewers_srt"].sum()
	require.Positive(t, viewers)
	lost, _ = h["lost_packets"].sum()
	require.GreaterOrEqual(t, lost, before)
	s.eventually(30*time.Second, "ten seconds are over", func() bool {
		times, h := s.history(path + "?resolution=10s")
		sum, _ := h["lost_packets"].sum()
		return len(times) > 0 && sum > 0
	})
	require.Equal(t, http.StatusNotFound, s.get("/api/v1/connections/none/history", nil))
	require.Equal(t, http.StatusNotFound, s.get("/api/v1/streams/none/history", nil))
	require.Equal(t, http.StatusUnprocessableEntity, s.get(path+"?resolution=1m", nil))
}

// TestEventsArrive follows a stream's life, is cut off, and follows on.
func TestEventsArrive(t *testing.T) {
	t.Parallel()
	s := start(t)
	all := s.listen("", "")
	s.eventually(10*time.Second, "it listens", func() bool { return all.connections() == 1 })
	file := plainClip(t)
	publisher := s.publish(file, "publish:live")
	s.waitPlayable("live")
	s.eventually(10*time.Second, "the stream's beginning is told", func() bool { return len(all.events()) >= 4 })
	require.Equal(t, []string{"connection.connecting", "connection.connected", "stream.starting", "stream.live"}, types(all.events())[:4])
	id := s.connections("role=publish")[0].ID
	for _, i := range []int{0, 1} {
		require.Equal(t, id, all.events()[i].Connection.ID)
		require.Equal(t, "publish", all.events()[i].Connection.Role)
	}

	// Refused before a process is used: for what is not there, and for a passphrase that the server does not have.
	_, err := dial(t, s.srt, "read:none")
	require.Error(t, err)
	s.eventually(10*time.Second, "a refusal", func() bool {
		return all.index(func(e event) bool { return e.Type == "caller.refused" && e.Stream == "none" && e.Refusal.Code == 1404 }) > 0
	})
	s.publish(file, "publish:locked&passphrase=hunter2hunter2")
	s.eventually(20*time.Second, "another", func() bool {
		return all.index(func(e event) bool {
			return e.Type == "caller.refused" && e.Stream == "locked" && e.Refusal.Code == 1011
		}) > 0
	})
	require.NotContains(t, s.log.String(), "hunter2")

	// Who knows the first event is told the others.
	known := all.events()
	again := s.listen("", known[0].ID)
	s.eventually(10*time.Second, "the others are told", func() bool { return len(again.events()) >= len(known)-1 })
	require.Equal(t, known[1:], again.events()[:len(known)-1])
	one := s.listen("stream=live&types=stream.live,stream.offline", known[0].ID)
	s.eventually(10*time.Second, "a choice of them", func() bool { return len(one.events()) >= 1 })

	s.kill(s.one(" controller"))
	s.eventually(20*time.Second, "it listens to the next controller", func() bool {
		return all.index(func(e event) bool { return e.Type == "process.restarted" && e.Process.Role == "controller" }) > 0
	})
	missed := all.index(func(e event) bool { return e.Type == "events.missed" })
	require.Positive(t, missed, "it is told that it may have missed some")
	require.Equal(t, "process.restarted", all.events()[missed+1].Type)
	s.eventually(20*time.Second, "the connection is known again", func() bool { return s.stream("live").State == "live" })
	publisher.end()
	s.eventually(20*time.Second, "the stream's end is told", func() bool {
		return all.index(func(e event) bool { return e.Type == "stream.offline" && e.Stream == "live" }) > missed
	})
	ended := all.index(func(e event) bool { return e.Type == "connection.ended" && e.Connection.ID == id })
	require.Greater(t, ended, missed)
	require.Greater(t, all.index(func(e event) bool { return e.Type == "stream.offline" && e.Stream == "live" }), ended)
	s.eventually(10*time.Second, "the choice too", func() bool { return one.index(func(e event) bool { return e.Type == "stream.offline" }) > 0 })
	require.Equal(t, []string{"stream.live", "events.missed", "stream.offline"}, types(one.events()))
	ids := map[string]bool{}
	for _, e := range all.events() {
		require.False(t, ids[e.ID], "%s came twice", e.ID)
		ids[e.ID] = true
	}
	require.Positive(t, s.metric("brume_events_total", `type="connection.ended"`))
	require.EqualValues(t, 3, s.metric("brume_event_subscribers"))
}
