package controller

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"brume/api"
	"brume/config"
	"brume/control"
	"brume/srt"
	"brume/test/logged"
)

// running is a controller at work with processes of its own, all of them fakes but http.
type running struct {
	*Controller
	t        *testing.T
	guardian *fakeGuardian
	ctl      *control.Conn
	log      *logged.Buffer
	ended    chan error
}

func run(t *testing.T) *running { return runWith(t, func(*config.Config) {}) }

// runWith runs one whose configuration was changed.
func runWith(t *testing.T, change func(*config.Config)) *running {
	t.Helper()
	leak := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leak) })
	r := &running{Controller: testController(programs(t), t.TempDir()), t: t, guardian: newGuardian(t), log: &logged.Buffer{}, ended: make(chan error, 1)}
	change(r.Config)
	ctl, err := control.New(r.guardian.next())
	require.NoError(t, err)
	ctl.AcceptFiles()
	r.ctl = ctl
	go func() {
		r.ended <- r.Run(context.Background(), ctl, slog.New(slog.NewTextHandler(r.log, nil)))
	}()
	t.Cleanup(func() {
		r.guardian.die()
		select {
		case <-r.ended:
		case <-time.After(5 * time.Second):
			t.Error("the controller did not end with its guardian")
		}
		_ = ctl.Close()
		if t.Failed() {
			t.Log(r.log)
		}
	})
	r.eventually("it is up", func() bool {
		r.guardian.mu.Lock()
		defer r.guardian.mu.Unlock()
		return r.guardian.ready
	})
	r.eventually("all processes are up", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.pool.idle) == int(r.Config.SRT.Pool) && !slices.ContainsFunc(r.duties, func(d *duty) bool { return !r.onDuty(d).ready })
	})
	return r
}

func (r *running) eventually(what string, ok func() bool) {
	r.t.Helper()
	eventually(r.t, 20*time.Second, what, ok)
}

// call is a caller at the fake listener's port.
func call(t *testing.T, address, streamID string) srt.Verdict {
	t.Helper()
	c, err := net.Dial("udp", address)
	require.NoError(t, err)
	defer c.Close()
	b, err := json.Marshal(srt.Request{StreamID: streamID})
	require.NoError(t, err)
	_, err = c.Write(b)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	answer := make([]byte, 2048)
	n, err := c.Read(answer)
	require.NoError(t, err)
	var v srt.Verdict
	require.NoError(t, json.Unmarshal(answer[:n], &v))
	return v
}

func (r *running) publishes(name string) {
	r.t.Helper()
	v := call(r.t, r.ports[0].address, "publish:"+name)
	require.NotZero(r.t, v.Child, v.Reason)
	r.eventually(name+" is live", func() bool {
		s, err := r.Stream(name)
		return err == nil && s.State == api.StreamLive
	})
}

// pidfds are of all processes that the store knows.
func (g *fakeGuardian) pidfds(t *testing.T) (all []int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.entries {
		if h.Kind == kindProcess && len(h.Files) > 1 {
			fd, err := control.Descriptor(h.Files[1])
			require.NoError(t, err)
			fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			require.NoError(t, err)
			t.Cleanup(func() { _ = unix.Close(fd) })
			all = append(all, fd)
		}
	}
	return all
}

// requireEnded sees that processes have ended, at once or within some time.
func requireEnded(t *testing.T, pidfds []int, within time.Duration) {
	t.Helper()
	for _, fd := range pidfds {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(within.Milliseconds()))
		require.NoError(t, err)
		require.Equal(t, 1, n, "a process is left")
	}
}

func TestShutdown(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(r *running)
	}{
		{"by the guardian's word", func(r *running) { require.NoError(t, r.guardian.conn.Send("shutdown", nil)) }},
		{"when the guardian dies", func(r *running) { r.guardian.die() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t)
			r.publishes("live")
			r.publishes(streamDeaf)
			require.NotZero(t, call(t, r.ports[0].address, "read:live").Child)
			pidfds := r.guardian.pidfds(t)
			require.GreaterOrEqual(t, len(pidfds), 5)
			r.mu.Lock()
			stopped := r.streams["live"].publisher.proc.PID
			r.mu.Unlock()
			require.NoError(t, unix.Kill(stopped, unix.SIGSTOP))
			files, err := filepath.Glob(filepath.Join(string(r.Config.RuntimeDir), "brume-*.json"))
			require.NoError(t, err)
			require.Len(t, files, 1)

			began := time.Now()
			c.end(r)
			err = <-r.ended
			r.ended <- nil
			require.NoError(t, err)
			require.Less(t, time.Since(began), 3*time.Second)
			requireEnded(t, pidfds, 0)
			require.NoFileExists(t, files[0])
		})
	}
}

func TestSetupFailsWithoutTheConnectionProgram(t *testing.T) {
	g := newGuardian(t)
	c := testController(programs(t), t.TempDir())
	c.Helper = "/nonexistent/brume-srt"
	ctl, err := control.New(g.next())
	require.NoError(t, err)
	defer ctl.Close()
	ctl.AcceptFiles()
	err = c.Run(t.Context(), ctl, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, ErrSetup)
	require.ErrorContains(t, err, "brume-srt")
	require.NoError(t, c.sockets.api.Close())
}

func TestProcessThatCrashesIsReported(t *testing.T) {
	r := run(t)
	r.publishes("live")
	for range 3 {
		require.NotZero(t, call(t, r.ports[0].address, "publish:"+streamCrash).Child)
		r.eventually("it is gone", func() bool { return len(r.Connections()) == 1 })
	}
	require.EqualValues(t, 3, r.Metrics().Failures["crash"])
	require.Contains(t, r.log.String(), "it hurts")
	require.Contains(t, r.log.String(), "exit status 3")
	s, err := r.Stream("live")
	require.NoError(t, err)
	require.Equal(t, api.StreamLive, s.State)
	r.eventually("nothing is left of them", func() bool {
		return len(r.guardian.kinds(kindProcess)) == 5 && len(r.guardian.kinds(kindBuffer)) == 1
	})
}

func TestWhyAProcessEndsIsHeard(t *testing.T) {
	r := run(t)
	const rounds = 5
	for range rounds {
		require.NotZero(t, call(t, r.ports[0].address, "any").Child)
		r.eventually("it publishes", func() bool {
			s, err := r.Stream("any")
			return err == nil && s.Publisher != nil
		})
		require.NoError(t, r.EndPublisher("any"))
		r.eventually("it is gone", func() bool { return len(r.Connections()) == 0 })
	}
	require.EqualValues(t, rounds, r.Metrics().Failures[srt.FailClosed])
	require.Equal(t, rounds, strings.Count(r.log.String(), "the API"), "one line for each end")
}

func TestConnectionThatDoesNotObeyIsEnded(t *testing.T) {
	r := run(t)
	r.publishes(streamDeaf)
	all := r.Connections()
	require.Len(t, all, 1)
	require.NoError(t, r.Disconnect(all[0].ID))
	r.eventually("it is gone", func() bool { return len(r.Connections()) == 0 })
	require.Contains(t, r.log.String(), "did not end in time")
	require.ErrorIs(t, r.Disconnect(all[0].ID), api.ErrNotFound)
}

func TestSinglesAreReplaced(t *testing.T) {
	r := run(t)
	r.publishes("live")
	for _, of := range []role{roleHTTP, roleListener} {
		r.mu.Lock()
		old := r.single(of)
		r.mu.Unlock()
		require.NoError(t, unix.Kill(old.PID, unix.SIGKILL))
		r.eventually("another is up", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			p := r.single(of)
			return p != nil && p != old && p.ready
		})
	}
	require.NoError(t, r.Ready())
	require.NotZero(t, call(t, r.ports[0].address, "read:live").Child, "the new listener has the idle processes")
	require.EqualValues(t, 1, r.Metrics().Restarts["http"])
	require.EqualValues(t, 1, r.Metrics().Restarts["srt-listener"])
}

// host is a server whose controller is a process of its own, which can be killed.
type host struct {
	t        *testing.T
	dir      string
	programs string
	guardian *fakeGuardian
	cmd      *exec.Cmd
	api, srt string
}

func (h *host) start() {
	h.t.Helper()
	file := h.guardian.next()
	h.cmd = exec.Command(filepath.Join(h.programs, "brume"), "controller")
	h.cmd.Env = []string{envPrograms + "=" + h.programs, envRuntime + "=" + h.dir}
	h.cmd.ExtraFiles = []*os.File{file}
	h.cmd.Stderr = os.Stderr
	require.NoError(h.t, h.cmd.Start())
	require.NoError(h.t, file.Close())
	eventually(h.t, 20*time.Second, "the controller is up", func() bool {
		h.guardian.mu.Lock()
		defer h.guardian.mu.Unlock()
		return h.guardian.ready
	})
	var b []byte
	eventually(h.t, 5*time.Second, "it tells where it listens", func() bool {
		files, _ := filepath.Glob(filepath.Join(h.dir, "run", "brume-*.json"))
		if len(files) == 1 {
			b, _ = os.ReadFile(files[0])
		}
		return json.Valid(b)
	})
	var state struct{ API, SRT string }
	require.NoError(h.t, json.Unmarshal(b, &state))
	h.api, h.srt = state.API, state.SRT
	eventually(h.t, 20*time.Second, "it is ready", func() bool { return h.get("/readyz", nil) == http.StatusOK })
}

// kill kills the controller and waits until the guardian has heard its last word.
func (h *host) kill() {
	require.NoError(h.t, h.cmd.Process.Kill())
	_ = h.cmd.Wait()
	h.guardian.readers.Wait()
}

func (h *host) get(path string, v any) int {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + h.api + path)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if v != nil {
		b, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, json.Unmarshal(b, v)); err != nil {
			return 0
		}
	}
	return resp.StatusCode
}

func (h *host) connections() (pids map[int]string) {
	var list struct{ Items []api.Connection }
	h.get("/api/v1/connections", &list)
	pids = map[int]string{}
	for _, c := range list.Items {
		if c.State == api.ConnectionConnected {
			pids[c.PID] = c.ID
		}
	}
	return pids
}

// TestControllerIsKilled kills one controller after another, at any moment, while callers come in: each next one knows
// everybody, and nothing is left over in the end.
func TestControllerIsKilled(t *testing.T) {
	h := &host{t: t, dir: t.TempDir(), programs: programs(t), guardian: newGuardian(t)}
	h.start()
	t.Cleanup(func() {
		pidfds := h.guardian.pidfds(t)
		h.guardian.die()
		_ = h.cmd.Wait()
		requireEnded(t, pidfds, 5*time.Second)
	})
	require.NotZero(t, call(t, h.srt, "publish:live").Child)
	eventually(t, 10*time.Second, "it publishes", func() bool { return h.get("/api/v1/streams/live", nil) == http.StatusOK })
	require.NotZero(t, call(t, h.srt, "read:live").Child)
	require.NotZero(t, call(t, h.srt, "shown").Child)
	var before map[int]string
	eventually(t, 10*time.Second, "all are connected", func() bool {
		before = h.connections()
		return len(before) == 3
	})
	for round := range 6 {
		// More callers, whom the controller may or may not know when it dies.
		done := make(chan bool)
		go func() {
			defer close(done)
			c, err := net.Dial("udp", h.srt)
			if err != nil {
				return
			}
			defer c.Close()
			for range 10 {
				_, _ = c.Write([]byte(`{"stream_id":"storm"}`))
				time.Sleep(time.Millisecond)
			}
		}()
		time.Sleep(time.Duration(round) * 3 * time.Millisecond)
		h.kill()
		<-done
		h.start()
		eventually(t, 10*time.Second, "the next one knows all", func() bool {
			now := h.connections()
			for pid, id := range before {
				if now[pid] != id {
					return false
				}
			}
			return true
		})
	}
	for _, name := range []string{"live", "shown"} {
		var s api.Stream
		require.Equal(t, http.StatusOK, h.get("/api/v1/streams/"+name, &s))
		require.Equal(t, api.StreamLive, s.State)
	}
	require.NotZero(t, call(t, h.srt, "read:live").Child, "callers still come in")
	eventually(t, 20*time.Second, "what came half is gone", func() bool {
		var list struct{ Items []api.Connection }
		h.get("/api/v1/connections", &list)
		for _, c := range list.Items {
			if c.State != api.ConnectionConnected || c.Role == "undecided" {
				return false
			}
		}
		return true
	})
}
