package test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clips are made once for all tests.
var clips = struct {
	sync.Mutex
	dir  string
	done map[string]bool
}{done: map[string]bool{}}

func TestMain(m *testing.M) {
	// Most tests wait for media in real time and need little CPU; those that need much don't run beside others.
	if os.Getenv(callerVariable) != "" {
		os.Exit(callLibsrt(os.Args[1:]))
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "5"); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "brume-clips-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	clips.dir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// A test picture and tone; every frame differs from every other.
const (
	picture = "testsrc2=s=320x180:r=30"
	tone    = "sine=f=440:r=48000"
)

// clip makes a transport stream with ffmpeg, seconds long, with the arguments behind its inputs.
func clip(t *testing.T, name string, seconds int, args string) string {
	t.Helper()
	clips.Lock()
	defer clips.Unlock()
	path := filepath.Join(clips.dir, name+".ts")
	if clips.done[name] {
		return path
	}
	line := fmt.Sprintf("-f lavfi -i %s -f lavfi -i %s -t %d %s -f mpegts", picture, tone, seconds, args)
	run(t, 3*time.Minute, "ffmpeg", append(append([]string{"-nostdin", "-v", "error", "-y"}, strings.Fields(line)...), path)...)
	clips.done[name] = true
	return path
}

// plainClip has B-frames, a GOP of one second and AAC.
func plainClip(t *testing.T) string {
	t.Helper()
	return clip(t, "plain", 60, "-c:v libx264 -preset veryfast -g 30 -bf 2 -pix_fmt yuv420p -b:v 400k -c:a aac")
}

// run executes a program to its end and returns what it printed.
func run(t *testing.T, limit time.Duration, name string, args ...string) string {
	t.Helper()
	return runIn(t, "", limit, name, args...)
}

// runIn executes a program in a directory.
func runIn(t *testing.T, dir string, limit time.Duration, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	err := cmd.Run()
	require.NoError(t, err, "%s %s\n%s%s", name, strings.Join(args, " "), out.String(), errs.String())
	return out.String()
}

// program is a peer that runs beside the test and is ended with it.
type program struct {
	cmd  *exec.Cmd
	out  logBuffer
	done chan struct{}
	err  error
}

func launch(t *testing.T, name string, args ...string) *program {
	t.Helper()
	return launchCommand(t, exec.Command(name, args...))
}

// launchCommand is for a program whose input or output is the test's.
func launchCommand(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	name := filepath.Base(cmd.Path)
	p := &program{cmd: cmd, done: make(chan struct{})}
	p.cmd.Stderr = &p.out
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	p.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	require.NoError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.end()
		if t.Failed() && p.out.String() != "" {
			t.Logf("%s said:\n%s", name, p.out.String())
		}
	})
	return p
}

func (p *program) end() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *program) wait(t *testing.T, limit time.Duration) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		require.FailNow(t, "a peer did not end", p.out.String())
	}
}

func (p *program) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// publish sends a clip in real time.
func (s *server) publish(file, streamID string, args ...string) *program {
	s.t.Helper()
	line := append([]string{"-nostdin", "-v", "error", "-re"}, args...)
	line = append(line, "-i", file, "-map", "0", "-c", "copy", "-f", "mpegts", "-flush_packets", "0",
		"srt://"+s.srt+"?pkt_size=1316&streamid="+streamID)
	return launch(s.t, "ffmpeg", line...)
}

// record plays a URL into a file for some seconds of media, stream copy.
func record(t *testing.T, url, file string, seconds int) *program {
	t.Helper()
	return launch(t, "ffmpeg", "-nostdin", "-v", "warning", "-y", "-i", url, "-map", "0", "-c", "copy", "-t", fmt.Sprint(seconds), file)
}

// frames are the hashes of the decoded pictures of a file or URL.
func frames(t *testing.T, input string, args ...string) []string {
	t.Helper()
	line := append([]string{"-nostdin", "-v", "error"}, args...)
	line = append(line, "-i", input, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-")
	out := run(t, 2*time.Minute, "ffmpeg", line...)
	var all []string
	for l := range strings.Lines(out) {
		if strings.HasPrefix(l, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSpace(l), ",")
		all = append(all, strings.TrimSpace(fields[len(fields)-1]))
	}
	return all
}

// requireContiguous sees that got is an unbroken run of the frames of want.
//
// The last few are left out: a recording ends between pictures in decoding order, so that some of those shown before its last one are missing.
func requireContiguous(t *testing.T, want, got []string, least int) {
	t.Helper()
	require.Empty(t, broken(want, got, least))
}

// broken tells what is wrong with a run of frames, and nothing when nothing is.
func broken(want, got []string, least int) string {
	got = got[:max(0, len(got)-4)]
	if len(got) < max(1, least) {
		return fmt.Sprintf("only %d frames arrived, and %d should have", len(got), least)
	}
	first := slices.Index(want, got[0])
	if first < 0 {
		return "the first frame is none of the source's"
	}
	for i, f := range got {
		if first+i >= len(want) {
			return "more frames than the source has"
		}
		if f != want[first+i] {
			return fmt.Sprintf("frame %d of %d is missing or broken: source frame %d expected, got source frame %d", i, len(got), first+i, slices.Index(want, f))
		}
	}
	return ""
}

// requireClean plays an input with ffmpeg and sees that there is no error and no backward timestamp.
func requireClean(t *testing.T, input string, seconds int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "warning", "-i", input, "-map", "0", "-c", "copy", "-t", fmt.Sprint(seconds), "-f", "null", "-")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NotContains(t, strings.ToLower(string(out)), "non-monoton", input)
	require.NotContains(t, strings.ToLower(string(out)), "error", input)
	require.NotContains(t, strings.ToLower(string(out)), "corrupt", input)
}

// pause stops a peer without ending it.
func pause(t *testing.T, p *program) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
}
