package api

import (
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"brume/media/ts"
	"brume/srt"

	"github.com/stretchr/testify/require"
)

func scrape(t *testing.T, f *fake) string {
	t.Helper()
	res, body := do(t, New(f, Options{}), http.MethodGet, "/metrics")
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
	return string(body)
}

// own returns the lines of the server's own metrics: those of the runtime change all the time.
func own(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "brume_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestMetrics(t *testing.T) {
	text := scrape(t, newFake())
	for _, line := range []string{
		`brume_build_info{goversion="go1.26",libsrt="1.5.1",libsrt_package="1.5.1-1+deb12u1",version="1.2.3"} 1`,
		`brume_streams{state="live"} 1`,
		`brume_streams{state="offline"} 1`,
		`brume_streams{state="starting"} 0`,
		`brume_stream_live{stream="live"} 1`,
		`brume_stream_received_bytes_total{stream="live"} 1000`,
		`brume_stream_sent_bytes_total{stream="live"} 5000`,
		`brume_stream_viewers{protocol="hls",stream="live"} 3`,
		`brume_stream_tracks{kind="audio",stream="live"} 1`,
		`brume_stream_buffer_seconds{stream="live"} 59.5`,
		`brume_stream_ts_continuity_errors_total{stream="live"} 3`,
		`brume_stream_hls_requests_total{stream="live"} 7`,
		`brume_stream_hls_faults_total{cause="segment",stream="live"} 5`,
		`brume_stream_hls_faults_total{cause="entry",stream="live"} 0`,
		`brume_ts_errors_total{indicator="pat",stream="live"} 4`,
		`brume_ts_errors_total{indicator="crc",stream="live"} 0`,
		`brume_ts_ok{indicator="pat",stream="live"} 0`,
		`brume_ts_ok{indicator="crc",stream="live"} 1`,
		`brume_ts_pids{stream="live"} 12`,
		`brume_ts_pcr_interval_seconds{stream="live"} 0.04`,
		`brume_ts_pcr_jitter_seconds{stream="live"} 0.0012`,
		`brume_ts_pcr_drift_ratio{stream="live"} -3e-05`,
		`brume_connections{role="publish"} 1`,
		`brume_connection_bytes_total{connection="c2",role="play",stream="live"} 50`,
		`brume_srt_packets_total{connection="c2",direction="sent",role="play",stream="live"} 9`,
		`brume_srt_rtt_seconds{connection="c2",role="play",stream="live"} 0.0015`,
		`brume_srt_latency_seconds{connection="c2",direction="received",role="play",stream="live"} 0.12`,
		`brume_srt_latency_seconds{connection="c2",direction="sent",role="play",stream="live"} 0.2`,
		`brume_srt_key_length_bytes{connection="c2",role="play",stream="live"} 16`,
		`brume_srt_listener_packets_total{address="[::]:8889"} 9`,
		`brume_srt_listener_rejected_total{address="[::]:8889",code="1404"} 2`,
		`brume_srt_listener_rejected_total{address="[::]:8889",code="other"} 4`,
		`brume_http_requests_total{class="2xx",route="segment"} 5`,
		`brume_http_response_bytes_total{class="2xx",route="segment"} 600`,
		`brume_processes{role="srt"} 3`,
		`brume_process_kills_total{cause="cpu"} 3`,
		`brume_process_restarts_total{role="http"} 2`,
		`brume_srt_rejects_total{cause="network",code="1403"} 1`,
		`brume_connection_ends_total{reason="timeout"} 1`,
		`brume_connection_ends_total{reason="other"} 5`,
		`brume_srt_payload_size_bytes{connection="c2",role="play",stream="live"} 1316`,
		`brume_events_total{type="stream.live"} 3`,
		`brume_event_subscribers 2`,
		`brume_event_subscribers_dropped_total 1`,
		`brume_source_state{state="failed",stream="off"} 1`,
		`brume_source_state{state="connected",stream="off"} 0`,
		`brume_source_index{stream="off"} 1`,
		`brume_source_attempts_total{stream="off"} 4`,
		`brume_source_failures_total{reason="timeout",stream="off"} 3`,
		`brume_source_failures_total{reason="other",stream="off"} 1`,
		`brume_push_state{push="0123456789ab",state="connected",stream="live"} 1`,
		`brume_push_attempts_total{push="0123456789ab",stream="live"} 2`,
		`brume_push_failures_total{push="0123456789ab",reason="rejected",stream="live"} 1`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.Contains(t, text, "\ngo_goroutines ")
	require.Contains(t, text, "\nprocess_open_fds ")
	require.NotContains(t, text, "made up")
	require.NotContains(t, text, "99999")
	require.NotContains(t, text, `stream_buffer_seconds{stream="off"}`)
	require.NotContains(t, text, `srt_rtt_seconds{connection="c3"`)
}

// The names are an interface: dashboards and alerts use them.
func TestMetricNames(t *testing.T) {
	var names []string
	for line := range strings.Lines(scrape(t, newFake())) {
		if kind, ok := strings.CutPrefix(line, "# TYPE brume_"); ok {
			names = append(names, "brume_"+kind)
		}
	}
	slices.Sort(names)
	const golden = "testdata/metrics.txt"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(golden, []byte(strings.Join(names, "")), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), strings.Join(names, ""))
	require.Len(t, names, len(families), "a metric that newFake has no value for")
}

func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool (Debian package prometheus) is not installed: lint not checked")
		return
	}
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(t, newFake()))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
}

// Every figure that is counted is shown: changing it changes what is scraped.
func TestEveryFigureIsShown(t *testing.T) {
	f := newFake()
	in, conn := &ts.Stats{}, &SRT{}
	f.snapshot.Streams = []Stream{{Name: "a", Input: in, Buffer: &Buffer{}}}
	f.snapshot.Connections = []Connection{{ID: "c", SRT: conn}}
	f.snapshot.Listeners = []ListenerMetrics{{Address: "l"}}
	f.snapshot.HTTP = HTTPMetrics{}
	f.snapshot.Events = EventMetrics{}
	for _, target := range []struct {
		name string
		v    any
		skip []string
	}{
		{"ts.Stats", in, []string{"SyncLosses", "TransportErrors", "UnknownPackets"}},
		{"srt.Stats", &conn.Stats, []string{"Interval", "Total"}},
		{"srt.StatsCount", &conn.Stats.Total, nil},
		{"srt.ListenerStats", &f.snapshot.Listeners[0].ListenerStats, []string{"Rejected"}},
		{"HTTPMetrics", &f.snapshot.HTTP, []string{"Requests"}},
		{"HLSStats", &f.snapshot.Streams[0].HLS, []string{"Faults"}},
		{"HLSFaults", &f.snapshot.Streams[0].HLS.Faults, nil},
		{"SRT", conn, []string{"PeerVersion", "PacketFilter", "Stats", "Encrypted"}}, // the key's length tells the last
		{"EventMetrics", &f.snapshot.Events, []string{"Told"}},
	} {
		before := own(scrape(t, f))
		v := reflect.ValueOf(target.v).Elem()
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if slices.Contains(target.skip, name) {
				continue
			}
			field := v.Field(i)
			switch {
			case field.CanInt():
				field.SetInt(1000)
			case field.CanUint():
				field.SetUint(1000)
			case field.CanFloat():
				field.SetFloat(1000)
			default:
				t.Fatalf("%s.%s is not a number", target.name, name)
			}
			require.NotEqual(t, before, own(scrape(t, f)), "%s.%s is not shown", target.name, name)
			field.SetZero()
		}
		require.Equal(t, before, own(scrape(t, f)))
	}
}

// What a child or a caller made up must not take the other figures along.
func TestMetricsOfHostileValues(t *testing.T) {
	f := newFake()
	f.snapshot.Streams = append(f.snapshot.Streams, Stream{Name: "a\xff\"\n"}, Stream{Name: "live"})
	f.snapshot.Connections = append(f.snapshot.Connections, f.snapshot.Connections[0])
	f.snapshot.Failures = map[string]uint64{"other": 1, "x\xff": 2}
	for i := range 1000 {
		f.snapshot.Failures[strings.Repeat("y", i+1)] = 1
	}
	text := scrape(t, f)
	require.Contains(t, text, `brume_connection_ends_total{reason="other"} 1003`)
	require.Contains(t, text, "brume_stream_live{stream=\"a\uFFFD\\\"\\n\"} 0\n")
	require.Contains(t, text, `brume_stream_received_bytes_total{stream="live"} 1000`)
}

func TestIsRejectCode(t *testing.T) {
	for text, want := range map[string]bool{"1000": true, "1404": true, "2000": true, "2999": true, "999": false, "3000": false, "01404": false, "+1404": false, "": false, "x": false} {
		require.Equal(t, want, isRejectCode(text), text)
	}
	require.Contains(t, endReasons, srt.FailLost)
}

// docs/metrics.md has every metric, with its type and meaning, and no other; and the rules and queries of the docs use no
// metric that does not exist.
func TestMetricsAreInTheDocs(t *testing.T) {
	text := scrape(t, newFake())
	want, got := map[string]string{}, map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# HELP (brume_\w+) (.*)\n# TYPE \S+ (\w+)$`).FindAllStringSubmatch(text, -1) {
		want[m[1]] = m[3] + ": " + m[2]
	}
	for _, page := range []string{"../docs/metrics.md", "../docs/ts-health.md"} {
		b, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile("(?m)^\\| `(brume_\\w+)` \\| (\\w+) \\|(?:.*\\|)? (.+) \\|$").FindAllStringSubmatch(string(b), -1) {
			got[m[1]] = m[2] + ": " + m[3]
		}
		for _, block := range regexp.MustCompile("(?ms)^```(?:yaml|promql)$(.*?)^```$").FindAllString(string(b), -1) {
			for _, name := range regexp.MustCompile(`brume_\w+`).FindAllString(block, -1) {
				require.Contains(t, want, name, page)
			}
		}
	}
	require.NotEmpty(t, want)
	require.Equal(t, want, got)
}
