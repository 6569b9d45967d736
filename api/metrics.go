package api

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsHandler serves the backend's snapshot, and the Go runtime and process of the
// controller. Whatever of it is unusable is left out and logged; the rest is served.
func metricsHandler(b Backend, log *slog.Logger) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collector{b},
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: 4,
	})
}

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
