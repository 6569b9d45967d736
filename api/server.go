package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 64 << 10

// Options are what New needs beside the backend.
type Options struct {
	Version string       // of the server, for the OpenAPI document
	Pages   http.Handler // serves / and whatever else is not the API's; nil for none
	Log     *slog.Logger // nil for none
}

// New returns the handler of the API port: /api, /metrics, /healthz, /readyz and the pages.
// It is guarded for a port on which nobody has to log in: requests whose Host is not an
// address or localhost, and writes from pages of other origins, are refused.
func New(b Backend, o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &handlers{backend: b, log: o.Log}
	r := chi.NewRouter()
	r.Use(h.recover, limitBody, headers, guard, middleware.GetHead)
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) { methodNotAllowed(r, w, req) })
	r.NotFound(func(w http.ResponseWriter, req *http.Request) {
		if o.Pages == nil || req.URL.Path == "/api" || strings.HasPrefix(req.URL.Path, "/api/") {
			problem(w, http.StatusNotFound, "there is nothing at the path "+named(req.URL.Path)+"; /api/openapi.json lists those that work")
			return
		}
		o.Pages.ServeHTTP(w, req)
	})
	r.Get("/healthz", h.healthz)
	r.Get("/readyz", h.readyz)
	r.Method(http.MethodGet, "/metrics", newMetrics(b, o.Log))
	document := h.register(humachi.New(r, humaConfig(o.Version)))
	r.Get("/api/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json")
		_, _ = w.Write(document)
	})
	return r
}

// NewServer returns a server for the handler of New with bounds on time and size. The caller
// serves on its listener and shuts it down.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	if log != nil {
		s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	}
	return s
}

func (h *handlers) healthz(w http.ResponseWriter, _ *http.Request) { plain(w, "ok") }

func (h *handlers) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := h.backend.Ready(); err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	plain(w, "ready")
}

func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(text + "\n"))
}

// recover turns a panic into an answer. It is a bug each time, so its place is logged. Path and text are not, since
// both may hold what the client wrote: the route and the kind say enough.
func (h *handlers) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			h.log.Error("API request panicked", "method", r.Method, "route", chi.RouteContext(r.Context()).RoutePattern(), "kind", panicKind(v), "stack", string(debug.Stack()))
			problem(w, http.StatusInternalServerError, "the server failed; its log says why")
		}()
		next.ServeHTTP(w, r)
	})
}

// panicKind is the text of what the Go runtime panics with, which holds numbers alone, and of all else the type.
func panicKind(v any) string {
	if err, ok := v.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", v)
}

func limitBody(next http.Handler) http.Handler { return http.MaxBytesHandler(next, maxBody) }

// headers sets what holds for every answer; pages may replace it.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
