package api

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A real server on a real port: many clients at once, a request that is too large, and an end
// that leaves nothing behind (goleak looks).
func TestServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := NewServer(New(newFake(), Options{}), slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	base := "http://" + l.Addr().String()
	transport := &http.Transport{}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}

	var wg sync.WaitGroup
	for _, target := range []string{"/api/v1/info", "/api/v1/streams", "/api/v1/connections", "/api/openapi.json", "/metrics", "/healthz", "/readyz"} {
		for range 4 {
			wg.Go(func() {
				res, err := client.Get(base + target)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = res.Body.Close() }()
				if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
					t.Error(target, res.Status, err)
				}
			})
		}
	}
	wg.Wait()

	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, _ = fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: %0*d\r\n\r\n", 1<<16, 0)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, res.StatusCode)
	require.NoError(t, res.Body.Close())
	require.NoError(t, c.Close())

	transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, s.Shutdown(ctx))
	require.ErrorIs(t, <-done, http.ErrServerClosed)
}

func TestServerHasBounds(t *testing.T) {
	s := NewServer(http.NotFoundHandler(), nil)
	for name, d := range map[string]time.Duration{"header": s.ReadHeaderTimeout, "read": s.ReadTimeout, "write": s.WriteTimeout, "idle": s.IdleTimeout} {
		require.Positive(t, d, name)
		require.LessOrEqual(t, d, 2*time.Minute, name)
	}
}

// small makes the buffers of a listener's sockets small, so that a reader stalls after a few kilobytes.
type small struct{ net.Listener }

func (s small) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err == nil {
		_ = c.(*net.TCPConn).SetWriteBuffer(4096)
	}
	return c, err
}

// Readers of the metrics that stall, however many, keep nobody from them, and hold no more memory than is promised. Those
// that go away in the middle are no reason to log anything.
func TestStalledScrapesAreInNobodysWay(t *testing.T) {
	f := newFake()
	for i := range 500 {
		c := f.connections[0]
		c.ID = fmt.Sprintf("many%d", i)
		f.snapshot.Connections = append(f.snapshot.Connections, c)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var log bytes.Buffer
	s := NewServer(New(f, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}), nil)
	done := make(chan error, 1)
	go func() { done <- s.Serve(small{l}) }()

	type stalled struct {
		net.Conn
		res *http.Response
	}
	const tooMany = 4
	var readers []stalled
	for range maxScrapes + tooMany {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
		require.NoError(t, c.(*net.TCPConn).SetReadBuffer(4096))
		_, err = fmt.Fprint(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode)
		readers = append(readers, stalled{c, res})
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	res, err := client.Get("http://" + l.Addr().String() + "/metrics")
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, string(body), `"many499"`)

	var wg sync.WaitGroup
	for i, r := range readers[:tooMany] {
		wg.Go(func() {
			if _, err := io.Copy(io.Discard, r.res.Body); err == nil {
				t.Errorf("reader %d was one too many and got everything", i)
			}
		})
	}
	wg.Wait()
	for _, r := range readers {
		require.NoError(t, r.Close())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, s.Shutdown(ctx))
	require.ErrorIs(t, <-done, http.ErrServerClosed)
	require.Empty(t, log.String())
}
