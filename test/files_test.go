package test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A server whose ports are full of connections that ask no more, far more than its limit of open files carries, serves
// those who ask, and starts its processes again.
func TestIdleConnectionsTakeNothingFromOthers(t *testing.T) {
	t.Parallel()
	s := startBy(t, []string{"prlimit", "--nofile=512:512"}, "../bin/brume-srt", "")
	s.publish(plainClip(t), "publish:live")
	s.waitPlayable("live")

	var held []net.Conn
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	hold := func() {
		for _, address := range []string{s.api, s.http} {
			for range 700 {
				c, err := net.DialTimeout("tcp", address, 20*time.Second)
				require.NoError(t, err)
				held = append(held, c)
				_, err = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") // and may ask again for minutes
				require.NoError(t, err)
			}
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	get := func(url string) (int, string) {
		r, err := client.Get(url)
		if err != nil {
			return 0, err.Error()
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return 0, err.Error()
		}
		return r.StatusCode, string(b)
	}
	segment := func() string {
		status, playlist := get("http://" + s.http + "/hls/live/ts/media.m3u8")
		if status != http.StatusOK {
			return playlist
		}
		lines := strings.Fields(playlist)
		status, body := get("http://" + s.http + "/hls/live/ts/" + lines[len(lines)-1])
		if status != http.StatusOK {
			return body
		}
		return ""
	}
	for round := range 2 {
		hold()
		status, body := get("http://" + s.api + "/api/v1/streams")
		require.Equal(t, http.StatusOK, status, body)
		status, body = get("http://" + s.api + "/metrics")
		require.Equal(t, http.StatusOK, status, body)
		s.eventually(20*time.Second, "a segment is served", func() bool { return segment() == "" })
		if round == 0 {
			require.NoError(t, syscall.Kill(s.one(" http"), syscall.SIGKILL))
			s.eventually(20*time.Second, "the http process is back", func() bool { return segment() == "" })
		}
	}
	s.eventually(20*time.Second, "it is counted", func() bool { return s.metric("brume_http_connections_displaced_total") > 0 })
	s.publish(plainClip(t), "publish:other")
	s.waitPlayable("other")
}

// A server that could not start its processes says what to raise.
func TestTooFewProcesses(t *testing.T) {
	t.Parallel()
	built, err := filepath.Abs("../bin/brume")
	require.NoError(t, err)
	dir := t.TempDir()
	copyProgram(t, built, filepath.Join(dir, "brume"))
	cmd := exec.Command("prlimit", "--nproc=20:20", filepath.Join(dir, "brume"), "serve")
	if os.Geteuid() == 0 { // whom no such limit holds for
		for _, d := range []string{filepath.Dir(dir), dir} {
			require.NoError(t, os.Chmod(d, 0o755))
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 64747, Gid: 64747}}
	}
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, 78, cmd.ProcessState.ExitCode(), string(out))
	require.Regexp(t, `^brume: can't start: this user may have 20 processes and threads and has \d+, while the server needs 128 more, .* raise the limit by ulimit -u, .*\n$`, string(out))
}
