package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a running Brume of this benchmark's own.
type server struct {
	cmd            *exec.Cmd
	srt, http, api string
}

func (b *bench) start(env ...string) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "server-")
	if err != nil {
		return nil, err
	}
	s := &server{cmd: exec.Command("bin/brume", "serve")}
	s.cmd.Env = append([]string{
		"BRUME_SRT_ADDRESS=127.0.0.1:0", "BRUME_HTTP_ADDRESS=127.0.0.1:0", "BRUME_API_ADDRESS=127.0.0.1:0",
		"BRUME_RUNTIME_DIR=" + dir, "BRUME_DATA_DIR=" + dir, "BRUME_LOG_LEVEL=warn",
	}, env...)
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("run make programs first: %w", err)
	}
	state := filepath.Join(dir, "brume-"+strconv.Itoa(s.cmd.Process.Pid)+".json")
	for range 200 {
		time.Sleep(50 * time.Millisecond)
		raw, err := os.ReadFile(state)
		if err != nil {
			continue
		}
		var at map[string]any
		if json.Unmarshal(raw, &at) == nil {
			s.srt, s.http, s.api = at["srt"].(string), at["http"].(string), at["api"].(string)
			time.Sleep(time.Second) // the pool fills
			return s, nil
		}
	}
	s.stop()
	return nil, errors.New("the server did not start")
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// tree is a process and all below it, by pid with the command line.
func tree(root int) map[int]string {
	parents := map[int]int{}
	lines := map[int]string{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		fields := stat(pid)
		if len(fields) < 2 {
			continue
		}
		parents[pid], _ = strconv.Atoi(fields[1])
		raw, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		lines[pid] = strings.ReplaceAll(string(raw), "\x00", " ")
	}
	found := map[int]string{}
	for pid, line := range lines {
		for p := pid; p > 1; p = parents[p] {
			if p == root {
				found[pid] = line
				break
			}
		}
	}
	return found
}

// stat are the fields of /proc/PID/stat from the state on.
func stat(pid int) []string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
}

// cpu is what the server's processes have used, those that it has waited for included.
func (s *server) cpu() time.Duration {
	var ticks int
	for pid := range tree(s.cmd.Process.Pid) {
		fields := stat(pid)
		for i := 11; i < 15 && i < len(fields); i++ {
			n, _ := strconv.Atoi(fields[i])
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// own is the memory that a process has to itself, in bytes: Pss_Anon and Pss_File of smaps_rollup.
func own(pid int) (int, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	sum := 0
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && (fields[0] == "Pss_Anon:" || fields[0] == "Pss_File:") {
			n, _ := strconv.Atoi(fields[1])
			sum += n << 10
		}
	}
	return sum, nil
}

// publish sends the clip in real time, over and over.
func (b *bench) publish(s *server, stream string) (*exec.Cmd, error) {
	return publishTo("srt://"+s.srt+"?pkt_size=1316&streamid=publish:"+stream, b.clip)
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
