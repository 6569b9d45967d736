package api

import (
	"bytes"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes bounds how many answers of /metrics are on their way at once. Each holds its text in memory, and a reader
// that takes nothing keeps it until its write times out.
const maxScrapes = 16

// metrics serves the backend's snapshot, and the Go runtime and process of the controller. The text is made first and sent
// afterwards, so that whoever reads slowly or not at all keeps nobody else waiting.
type metrics struct {
	text http.Handler

	making sync.Mutex // one text is made at a time

	mu      sync.Mutex
	sending []*http.ResponseController // answers on their way, the oldest first
}

// newMetrics returns the handler of /metrics. Whatever of the snapshot is unusable is left out and logged; the rest is
// served.
func newMetrics(b Backend, log *slog.Logger) *metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collector{b},
	)
	return &metrics{text: promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError,
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	})}
}

// ServeHTTP implements http.Handler.
func (m *metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text := answer{header: w.Header(), status: http.StatusOK}
	m.making.Lock()
	gone := r.Context().Err() != nil
	if !gone {
		m.text.ServeHTTP(&text, r)
	}
	m.making.Unlock()
	if gone {
		return
	}
	c := http.NewResponseController(w)
	m.begin(c)
	defer m.end(c)
	w.Header().Set("Content-Length", strconv.Itoa(text.body.Len()))
	w.WriteHeader(text.status)
	_, _ = w.Write(text.body.Bytes())
}

// begin counts an answer that is about to be sent. One too many ends the oldest: a scrape takes milliseconds, so that is
// one whose reader has stalled.
func (m *metrics) begin(c *http.ResponseController) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sending) >= maxScrapes {
		_ = m.sending[0].SetWriteDeadline(time.Unix(1, 0))
		m.sending = slices.Delete(m.sending, 0, 1)
	}
	m.sending = append(m.sending, c)
}

func (m *metrics) end(c *http.ResponseController) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sending = slices.DeleteFunc(m.sending, func(other *http.ResponseController) bool { return other == c })
}

// answer is an answer in memory. Its header is that of the answer that it becomes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

// collector shows a backend's snapshot to Prometheus.
type collector struct{ backend Backend }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range families {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.backend.Metrics()
	e := emitter{ch}
	e.server(&s)
	for i := range s.Streams {
		e.stream(&s.Streams[i])
	}
	for i := range s.Connections {
		e.connection(&s.Connections[i])
	}
	for i := range s.Pushes {
		e.push(&s.Pushes[i])
	}
	for i := range s.Listeners {
		e.listener(&s.Listeners[i])
	}
	e.http(&s.HTTP)
	e.events(&s.Events)
}

// family is one metric name. Its labels are values of fixed sets, names of streams that are
// there now, addresses of listeners and ids of connections that are there now.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// families holds all that were made, in the order of their declaration.
var families []*family

func counter(name, help string, labels ...string) *family {
	return newFamily(prometheus.CounterValue, name, help, labels)
}

func gauge(name, help string, labels ...string) *family {
	return newFamily(prometheus.GaugeValue, name, help, labels)
}

func newFamily(kind prometheus.ValueType, name, help string, labels []string) *family {
	f := &family{desc: prometheus.NewDesc("brume_"+name, help, labels, nil), kind: kind}
	families = append(families, f)
	return f
}

// emitter sends samples to Prometheus.
type emitter struct{ ch chan<- prometheus.Metric }

func (e emitter) add(f *family, value float64, labels ...string) {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\uFFFD")
	}
	m, err := prometheus.NewConstMetric(f.desc, f.kind, value, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(f.desc, err)
	}
	e.ch <- m
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
