package guardian

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"brume/control"
)

// The test program is also the guardian, its controllers and what those start: a guardian reaps every child of its
// process, so it can't live in that of the tests.
const (
	roleEnv   = "GUARDIAN_TEST_ROLE"
	playEnv   = "GUARDIAN_TEST_PLAY"
	roleSleep = "sleep"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "guardian":
		os.Exit(guardianMain())
	case "controller":
		os.Exit(controllerMain())
	case roleSleep:
		time.Sleep(time.Minute)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func guardianMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	g := Guardian{
		Path: "/proc/self/exe", Argv: []string{"controller"}, Env: []string{roleEnv + "=controller", playEnv + "=" + os.Getenv(playEnv)},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if slices.Contains(hanging, os.Getenv(playEnv)) {
		g.tick = 100 * time.Millisecond
	}
	for _, name := range ownVariables {
		if v, set := os.LookupEnv(name); set {
			g.Env = append(g.Env, name+"="+v)
		}
	}
	if os.Getenv(playEnv) == "missing" {
		g.Path = "/nowhere/at/all"
	}
	err := g.Run(ctx)
	fmt.Printf("returned setup=%t error=%t conn=%t children=%d\n", errors.Is(err, ErrSetup), err != nil, g.conn != nil, len(children()))
	return 0
}

// sleeper starts a process that outlives its parent, and returns its pid.
func sleeper() int {
	c := exec.Command("/proc/self/exe")
	c.Env = []string{roleEnv + "=" + roleSleep}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		panic(err)
	}
	return c.Process.Pid
}

func controllerMain() int {
	play := os.Getenv(playEnv)
	if play == "setup" {
		return ExitSetup
	}
	conn, err := control.Child()
	if err != nil {
		fmt.Println("no socket:", err)
		return 1
	}
	c := NewClient(conn)
	all, stored, err := c.Load()
	if err != nil {
		fmt.Println("no store:", err)
		return 1
	}
	fmt.Println("start", stored.Starts)
	if stored.Starts == 1 {
		hang(play, c)
	}
	switch play {
	case "setup later":
		if stored.Starts == 2 {
			_ = c.Ready()
		} else if stored.Starts == 3 {
			return ExitSetup
		}
		if stored.Starts < 3 {
			return 1
		}
	case "crashes":
		if stored.Starts < 5 {
			return 3
		}
	case "heir":
		fmt.Println("behind", stored.Behind)
		show(all)
		if stored.Starts == 5 {
			return ExitSetup
		}
		if stored.Starts == 6 {
			_ = c.Ready()
			return 1
		}
	case "store":
		if stored.Starts == 1 {
			fill(c)
		}
		show(all)
	}
	if err := c.Ready(); err != nil {
		return 1
	}
	if play == "tree" || play == "deaf" {
		fmt.Println("sleepers", sleeper(), sleeper())
	}
	fmt.Println("ready")
	for {
		m, err := c.Recv()
		if err != nil {
			return 1
		}
		if m.Type == MsgAlive {
			_ = c.Alive()
			continue
		}
		fmt.Println(m.Type, string(m.Body))
		if m.Type == MsgShutdown && play != "deaf" {
			return 0
		}
	}
}

// hanging are the plays of a controller that hangs.
var hanging = []string{"stopped", "stuck", "stuck early", "spins"}

// hang is the first controller of these plays.
func hang(play string, c *Client) {
	if slices.Contains(hanging, play) && play != "stuck early" {
		_ = c.Ready()
	}
	switch play {
	case "stopped":
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	case "spins":
		for {
			runtime.Gosched()
		}
	case "stuck", "stuck early": // other goroutines go on
		for {
			_, _ = c.Recv()
			_ = c.Update("none", "", nil)
		}
	}
}

// fill puts things into the store, and dies with its last words unread.
func fill(c *Client) {
	file := func(text string) *os.File {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
		if err != nil {
			panic(err)
		}
		f := os.NewFile(uintptr(fd), "test")
		_, _ = f.WriteString(text)
		return f
	}
	_ = c.Put("buffer", "live", map[string]int{"n": 1}, file("first"), file("second"))
	_ = c.Put("buffer", "gone", nil, file("x"))
	_ = c.Put("process", "1", map[string]int{"pid": sleeper()})
	_ = c.Update("buffer", "live", map[string]int{"n": 2})
	_ = c.Remove("buffer", "gone")
	_ = c.Put("last", "words", "heard")
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}

// show tells what was handed over, and ends the adopted process.
func show(all []Handed) {
	for _, h := range all {
		var contents []string
		for _, f := range h.Files {
			b := make([]byte, 100)
			n, _ := f.ReadAt(b, 0)
			contents = append(contents, string(b[:n]))
		}
		if h.Kind == "process" {
			var pid int
			_, _ = fmt.Sscanf(string(h.Record), `{"pid":%d}`, &pid)
			fmt.Println("has", h.Kind, h.Key)
			_ = unix.Kill(pid, unix.SIGTERM)
			continue
		}
		fmt.Println("has", h.Kind, h.Key, string(h.Record), strings.Join(contents, " "))
	}
}

// stage runs a guardian and reads what it and its controllers print.
type stage struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func begin(t *testing.T, play string) *stage {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, "/proc/self/exe")
	c.Env = append(os.Environ(), roleEnv+"=guardian", playEnv+"="+play)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return &stage{t, c, bufio.NewScanner(out)}
}

// expect reads the next lines.
func (s *stage) expect(lines ...string) {
	s.t.Helper()
	for _, want := range lines {
		require.True(s.t, s.lines.Scan(), "waiting for %q", want)
		require.Equal(s.t, want, strings.TrimSpace(s.lines.Text()))
	}
}

func (s *stage) terminate() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
}

func TestStoreOutlivesTheController(t *testing.T) {
	s := begin(t, "store")
	s.expect("start 1", "start 2", `has buffer live {"n":2} first second`, "has process 1", `has last words "heard"`, "ready")
	require.True(t, s.lines.Scan())
	require.Regexp(t, `^exited {"pid":\d+,"status":"killed by SIGTERM"}$`, s.lines.Text(), "the exit of an adopted process is told")
	s.terminate()
	s.expect("shutdown", "returned setup=false error=false conn=false children=0")
}

func TestControllerThatCantStart(t *testing.T) {
	begin(t, "setup").expect("returned setup=true error=true conn=false children=0")
	begin(t, "missing").expect("returned setup=false error=true conn=false children=0")
}

// TestLaterSetupError has a controller fail for its configuration after one was ready: it is tried again.
func TestLaterSetupError(t *testing.T) {
	s := begin(t, "setup later")
	s.expect("start 1", "start 2", "start 3", "start 4", "ready")
	s.terminate()
	s.expect("shutdown", "returned setup=false error=false conn=false children=0")
}

func TestBackoff(t *testing.T) {
	began := time.Now()
	s := begin(t, "crashes")
	s.expect("start 1", "start 2", "start 3", "start 4", "start 5", "ready")
	require.GreaterOrEqual(t, time.Since(began), firstBackoff*(1+2+4+8))
	s.terminate()
	s.expect("shutdown", "returned setup=false error=false conn=false children=0")
}

// TestAControllerThatHangs is replaced, whatever it hangs in, and one that answers is left alone.
func TestAControllerThatHangs(t *testing.T) {
	for _, play := range hanging {
		t.Run(play, func(t *testing.T) {
			t.Parallel()
			s := begin(t, play)
			s.expect("start 1", "start 2", "ready")
			s.terminate()
			s.expect("shutdown", "returned setup=false error=false conn=false children=0")
		})
	}
}

// TestSilence is how many ticks of it end a controller.
func TestSilence(t *testing.T) {
	silent := func(g *Guardian) (ticks int) {
		conn, file, err := control.Pair()
		require.NoError(t, err)
		defer file.Close()
		defer conn.Close()
		g.conn, g.Log = conn, slog.New(slog.DiscardHandler)
		for ended := false; !ended; ticks++ {
			before := g.unheard
			g.beat()
			ended = g.unheard < before
		}
		return ticks
	}
	sleeper, spinner := program(t, "sleep", "60"), program(t, "sh", "-c", "while :; do :; done")
	require.Eventually(t, func() bool { return !Runnable(sleeper.Process.Pid) && Runnable(spinner.Process.Pid) }, 20*time.Second, time.Millisecond)
	require.Equal(t, hungTicks+1, silent(&Guardian{pid: sleeper.Process.Pid, patience: hungTicks}))
	require.Equal(t, 3*hungTicks+1, silent(&Guardian{pid: spinner.Process.Pid, patience: hungTicks}), "it may be that the machine is loaded")
	for _, c := range []*exec.Cmd{sleeper, spinner} {
		require.Error(t, c.Wait())
		require.Equal(t, "killed by SIGKILL", describe(unix.WaitStatus(c.ProcessState.Sys().(syscall.WaitStatus))))
	}
	g := &Guardian{patience: hungTicks}
	for range 5 * hungTicks {
		g.beat()
		g.alive()
	}
	require.Zero(t, g.unheard)
}

func TestNothingIsLeft(t *testing.T) {
	for _, play := range []string{"tree", "deaf"} {
		t.Run(play, func(t *testing.T) {
			s := begin(t, play)
			s.expect("start 1")
			require.True(t, s.lines.Scan())
			var a, b int
			_, err := fmt.Sscanf(s.lines.Text(), "sleepers %d %d", &a, &b)
			require.NoError(t, err)
			s.expect("ready")
			began := time.Now()
			s.terminate()
			s.expect("shutdown", "returned setup=false error=false conn=false children=0")
			require.Less(t, time.Since(began), shutdownTime+3*time.Second)
			if play == "deaf" {
				require.GreaterOrEqual(t, time.Since(began), shutdownTime)
			}
			for _, pid := range []int{a, b} {
				require.ErrorIs(t, unix.Kill(pid, 0), unix.ESRCH)
			}
			require.NoError(t, s.cmd.Wait())
		})
	}
}

// TestTerminatedWhileNoControllerRuns ends at once.
func TestTerminatedWhileNoControllerRuns(t *testing.T) {
	s := begin(t, "crashes")
	s.expect("start 1", "start 2", "start 3", "start 4") // 400 ms until the next
	s.terminate()
	require.True(t, s.lines.Scan())
	if s.lines.Text() != "shutdown" && !strings.HasPrefix(s.lines.Text(), "returned") { // it was faster
		s.expect("ready", "shutdown")
		require.True(t, s.lines.Scan())
	}
	require.Equal(t, "returned setup=false error=false conn=false children=0", s.lines.Text())
}

func TestDescribe(t *testing.T) {
	require.Equal(t, "exit status 78", describe(unix.WaitStatus(78<<8)))
	require.Equal(t, "killed by SIGKILL", describe(unix.WaitStatus(9)))
}
