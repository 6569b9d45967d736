// Package test runs the real programs against each other: the server as it is built, ffmpeg, srt-live-transmit,
// Chromium.
package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"brume/srt"

	"github.com/stretchr/testify/require"
)

// server is a running Brume with ports and programs of its own.
type server struct {
	t     *testing.T
	dir   string // its programs are links in here, which tells its processes from others
	cmd   *exec.Cmd
	srt   string   // addresses
	ports []string // of SRT, the first included
	http  string
	api   string
	log   *logBuffer
	exit  chan error

	watched *sync.Map // streams whose playlists are judged, by name
}

// start runs a server with the default configuration on free ports and sees to its end: within 3 s, no process left.
func start(t *testing.T, env ...string) *server {
	t.Helper()
	return startWith(t, "", env...)
}

// startWith is start with a configuration file, in which the three main addresses have no say.
func startWith(t *testing.T, configuration string, env ...string) *server {
	t.Helper()
	return startProgram(t, "../bin/brume-srt", configuration, env...)
}

// startProgram is startWith with another connection program.
func startProgram(t *testing.T, helper, configuration string, env ...string) *server {
	t.Helper()
	return startBy(t, nil, helper, configuration, env...)
}

// startBy is startProgram by way of a command that runs the program in its own place, such as prlimit.
func startBy(t *testing.T, by []string, helper, configuration string, env ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), log: &logBuffer{}, exit: make(chan error, 1), watched: &sync.Map{}}
	for name, path := range map[string]string{"brume": "../bin/brume", "brume-srt": helper} {
		built, err := filepath.Abs(path)
		require.NoError(t, err)
		copyProgram(t, built, filepath.Join(s.dir, name))
	}
	argv := append(slices.Clone(by), filepath.Join(s.dir, "brume"), "serve")
	s.cmd = exec.Command(argv[0], argv[1:]...)
	if configuration != "" {
		s.configure(configuration)
		s.cmd.Args = append(s.cmd.Args, "--config", s.configFile())
	}
	s.cmd.Dir = s.dir
	s.cmd.Env = append(append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "BRUME_") }),
		"BRUME_SRT_ADDRESS=127.0.0.1:0", "BRUME_HTTP_ADDRESS=127.0.0.1:0", "BRUME_API_ADDRESS=127.0.0.1:0",
		"BRUME_RUNTIME_DIR="+filepath.Join(s.dir, "run"), "BRUME_DATA_DIR="+s.dir), env...)
	stderr, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	ready := make(chan map[string]any, 1)
	go s.read(s.cmd, s.exit, stderr, ready)
	t.Cleanup(s.stop)
	select {
	case line := <-ready:
		s.srt, s.http, s.api = line["srt"].(string), line["http"].(string), line["api"].(string)
		for _, p := range line["ports"].([]any) {
			s.ports = append(s.ports, p.(string))
		}
	case err := <-s.exit:
		s.exit <- err
		t.Fatalf("the server ended at once: %v\n%s", err, s.log)
	case <-time.After(30 * time.Second):
		t.Fatalf("the server did not start\n%s", s.log)
	}
	s.eventually(20*time.Second, "the server is ready", func() bool {
		r, err := http.Get("http://" + s.api + "/readyz")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return s
}

func (s *server) configFile() string { return filepath.Join(s.dir, "brume.yaml") }

// configure writes the configuration file, which each controller reads when it starts.
func (s *server) configure(configuration string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.configFile(), []byte(configuration), 0o600))
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	if os.Link(from, to) == nil {
		return
	}
	b, err := os.ReadFile(from)
	require.NoError(t, err, "run make programs first")
	require.NoError(t, os.WriteFile(to, b, 0o755))
}

func (s *server) read(cmd *exec.Cmd, exit chan<- error, r io.Reader, ready chan<- map[string]any) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.log.add(lines.Text())
		var line map[string]any
		if json.Unmarshal(lines.Bytes(), &line) == nil && strings.HasPrefix(fmt.Sprint(line["msg"]), "ready") {
			select {
			case ready <- line:
			default:
			}
		}
	}
	exit <- cmd.Wait()
}

func (s *server) stop() {
	if s.t.Failed() {
		s.t.Logf("the server's log:\n%s", s.log)
	}
	began := time.Now()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exit:
		// On a loaded machine the server's own limit of 3 s may stretch; it must not be the limits of its processes (10 s).
		if took := time.Since(began); took > 6*time.Second {
			s.t.Errorf("the server took %v to end", took)
		}
	case <-time.After(20 * time.Second):
		s.t.Errorf("the server did not end")
		_ = s.cmd.Process.Kill()
		<-s.exit
	}
	if left := s.processes(""); len(left) > 0 {
		s.t.Errorf("processes are left: %v", left)
		for pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if bytes.Contains([]byte(s.log.String()), []byte("panic:")) {
		s.t.Errorf("something panicked:\n%s", s.log)
	}
}

// processes are the server's own, by pid with their command line, those whose command line contains word.
func (s *server) processes(word string) map[int]string {
	found := map[int]string{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		exe, err := os.Readlink("/proc/" + e.Name() + "/exe")
		if err != nil {
			// A process in its sandbox runs as somebody else; its command line still tells its program.
			exe = ""
		}
		b, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		line := strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
		if (strings.HasPrefix(exe, s.dir+"/") || strings.HasPrefix(line, s.dir+"/")) && strings.Contains(line, word) {
			found[pid] = line
		}
	}
	return found
}

// pid is what the API says of the only process of a role.
func (s *server) pid(role string) int {
	s.t.Helper()
	var info struct {
		Processes []struct {
			Role string
			PID  int
		}
	}
	require.Equal(s.t, http.StatusOK, s.get("/api/v1/info", &info))
	found := 0
	for _, p := range info.Processes {
		if p.Role == role {
			require.Zero(s.t, found, "two processes are %s", role)
			found = p.PID
		}
	}
	require.Equal(s.t, s.one(" "+role), found)
	return found
}

// one is the pid of the only process whose command line contains word.
func (s *server) one(word string) int {
	s.t.Helper()
	all := s.processes(word)
	require.Len(s.t, all, 1, word)
	for pid := range all {
		return pid
	}
	return 0
}

func (s *server) kill(pid int) {
	s.t.Helper()
	require.NoError(s.t, syscall.Kill(pid, syscall.SIGKILL))
}

// eventually waits for something that must come true.
func (s *server) eventually(limit time.Duration, what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			require.FailNow(s.t, "did not come true within "+limit.String()+": "+what)
		}
	}
}

// get asks the API.
func (s *server) get(path string, into any) int {
	s.t.Helper()
	r, err := http.Get("http://" + s.api + path)
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return 0
	}
	if into != nil && r.StatusCode == http.StatusOK {
		require.NoError(s.t, json.Unmarshal(b, into), string(b))
	}
	return r.StatusCode
}

func (s *server) delete(path string) int { return s.do(http.MethodDelete, path) }

func (s *server) do(method, path string) int {
	s.t.Helper()
	req, err := http.NewRequest(method, "http://"+s.api+path, nil)
	require.NoError(s.t, err)
	r, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	_ = r.Body.Close()
	return r.StatusCode
}

// fetch gets something from the http process.
func (s *server) fetch(path string) (int, []byte, http.Header) {
	s.t.Helper()
	r, err := http.Get("http://" + s.http + path)
	if err != nil {
		return 0, nil, nil
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, nil
	}
	return r.StatusCode, b, r.Header
}

type streamView struct {
	Name      string `json:"name"`
	State     string `json:"state"`
	WaitsFor  string `json:"waits_for"`
	Publisher *struct {
		Connection string `json:"connection"`
	} `json:"publisher"`
	Viewers struct {
		SRT int `json:"srt"`
		HLS int `json:"hls"`
	} `json:"viewers"`
	Tracks []struct {
		Codec    string `json:"codec"`
		Kind     string `json:"kind"`
		Language string `json:"language"`
		Width    int    `json:"width"`
		Height   int    `json:"height"`
		Bitrate  uint64 `json:"bitrate"`
		HLS      bool   `json:"hls"`
		HLSTS    bool   `json:"hls_ts"`
	} `json:"tracks"`
	Input map[string]uint64 `json:"input"`
}

type connectionView struct {
	ID      string `json:"id"`
	Peer    string `json:"peer"`
	Stream  string `json:"stream"`
	Role    string `json:"role"`
	State   string `json:"state"`
	PID     int    `json:"pid"`
	Bytes   uint64 `json:"bytes"`
	Skipped uint64 `json:"skipped"`
	SRT     struct {
		KeyLength int       `json:"key_length"`
		Stats     srt.Stats `json:"stats"`
	} `json:"srt"`
}

func (s *server) stream(name string) streamView {
	s.t.Helper()
	var v streamView
	s.get("/api/v1/streams/"+name, &v)
	return v
}

func (s *server) connections(query string) []connectionView {
	s.t.Helper()
	var list struct {
		Items []connectionView `json:"items"`
		Total int              `json:"total"`
	}
	s.get("/api/v1/connections?limit=1000&"+query, &list)
	return list.Items
}

func (s *server) waitState(name, state string) {
	s.t.Helper()
	s.eventually(30*time.Second, name+" is "+state, func() bool { return s.stream(name).State == state })
}

// metric is the sum of a metric's series whose labels contain all of the given texts.
func (s *server) metric(name string, labels ...string) float64 {
	s.t.Helper()
	r, err := http.Get("http://" + s.api + "/metrics")
	require.NoError(s.t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(s.t, err)
	var sum float64
lines:
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(line, l) {
				continue lines
			}
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		require.NoError(s.t, err)
		sum += v
	}
	return sum
}

// logBuffer keeps what a program said.
type logBuffer struct {
	mu    sync.Mutex
	lines []string
}

func (l *logBuffer) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.add(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(0, len(l.lines)-200):], "\n")
}

// all is everything that was said.
func (l *logBuffer) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}
