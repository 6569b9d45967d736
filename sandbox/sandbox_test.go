package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The test binary starts itself with this in its environment to be the sandboxed process.
const actVariable = "BRUME_SANDBOX_TEST"

type act struct {
	Profile Profile
	Name    string
	PID     int    // of the test
	Memory  uint64 // bound, 0 for the profile's
}

func TestMain(m *testing.M) {
	if v := os.Getenv(actVariable); v != "" {
		var a act
		if err := json.Unmarshal([]byte(v), &a); err != nil {
			panic(err)
		}
		os.Exit(perform(a))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "brume-sandbox")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the probe may be another user
		panic(err)
	}
	probeDir = dir
	return m.Run()
}

// outcome is what became of an attempt.
type outcome struct {
	report Report
	said   string // "ok", an error's name, or empty if it did not get that far
	stderr string
	state  *os.ProcessState
}

// probe is the program to start: this one, or one built alike without the race detector.
var probe = sync.OnceValues(func() (string, error) {
	if !raceEnabled {
		return os.Executable()
	}
	path := filepath.Join(probeDir, "sandbox.test")
	out, err := exec.Command("go", "test", "-c", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build without the race detector: %w: %s", err, out)
	}
	return path, nil
})

var probeDir string

func command(t *testing.T, ctx context.Context, a act) *exec.Cmd {
	t.Helper()
	self, err := probe()
	require.NoError(t, err)
	a.PID = os.Getpid()
	v, err := json.Marshal(a)
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = []string{actVariable + "=" + string(v), "TMPDIR=" + t.TempDir()}
	return cmd
}

func try(t *testing.T, p Profile, name string) outcome {
	t.Helper()
	require.Contains(t, attempts, name)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := command(t, ctx, act{Profile: p, Name: name})
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	o := outcome{stderr: stderr.String(), state: cmd.ProcessState}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	require.NoErrorf(t, json.Unmarshal([]byte(lines[0]), &o.report), "%q %q", lines[0], o.stderr)
	if len(lines) > 1 {
		o.said = lines[len(lines)-1]
	}
	return o
}

func (o outcome) signal() syscall.Signal {
	return o.state.Sys().(syscall.WaitStatus).Signal()
}

func TestEverythingIsInForce(t *testing.T) {
	for _, p := range []Profile{Connection, HTTP, Listener} {
		t.Run(p.String(), func(t *testing.T) {
			o := try(t, p, "nothing")
			require.Equal(t, "ok", o.said, o.stderr)
			require.Empty(t, o.report.Missing)
			require.Equal(t, []string{LayerLimits, LayerIdentity, LayerCaps, LayerPrivileges, LayerLandlock, LayerSeccomp}, o.report.Active)
		})
	}
}

func TestRefusedSoftly(t *testing.T) {
	for _, c := range []struct {
		name    string
		profile Profile
		want    string
	}{
		{"read a file", Connection, "EACCES"},
		{"read a file", HTTP, "EACCES"},
		{"read a file", Listener, "EACCES"},
		{"write a file", Connection, "EACCES"},
		{"write a file", HTTP, "EACCES"},
		{"list a directory", Connection, "EACCES"},
		{"list a directory", HTTP, "EACCES"},
		{"stat a file", Connection, "EACCES"},
		{"stat a file", HTTP, "EACCES"},
		{"read another process", Connection, "EACCES"},
		{"read another process", HTTP, "EACCES"},
		{"fork", Connection, "EACCES"},
		{"fork", HTTP, "EACCES"},
		{"fork", Listener, "EACCES"},
		{"TCP socket", Connection, "EACCES"},
		{"TCP socket", HTTP, "EACCES"},
		{"TCP socket", Listener, "EACCES"},
		{"UDP socket", Connection, "EACCES"},
		{"UDP socket", HTTP, "EACCES"},
		{"unix socket", Connection, "EACCES"},
		{"unix socket", Listener, "EACCES"},
		{"kill another", Connection, "EACCES"},
		{"kill another", HTTP, "EACCES"},
		{"tgkill another", Connection, "EACCES"},
		{"make code", Connection, "EACCES"},
		{"clone3", Connection, "ENOSYS"},
		{"too much memory", Connection, "ENOMEM"},
		{"too many descriptors", Connection, "EMFILE"},
		{"memory that becomes writable", Connection, "ENOMEM"},
		{"memory that is shared", Connection, "EACCES"},
		{"memory like a stack", Connection, "EACCES"},
		{"addresses without end", Connection, "ENOMEM"},
		{"unix socket", HTTP, "EACCES"},
		{"tgkill another", HTTP, "EACCES"},
		{"tgkill another", Listener, "EACCES"},
		{"kill another", Listener, "EACCES"},
		{"make code", HTTP, "EACCES"},
		{"make code", Listener, "EACCES"},
		{"read another process", Listener, "EACCES"},
		{"list a directory", Listener, "EACCES"},
		{"write a file", Listener, "EACCES"},
		{"open by path alone", HTTP, "EACCES"},
		{"reopen a memory file to write", HTTP, "EACCES"},
		{"read its own memory's file", HTTP, "EACCES"},
		{"read its own memory's file", Connection, "EACCES"},
	} {
		t.Run(c.profile.String()+"/"+c.name, func(t *testing.T) {
			o := try(t, c.profile, c.name)
			require.Equal(t, c.want, o.said, o.stderr)
		})
	}
}

func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		name    string
		profile Profile
	}{
		{"threads", Connection},
		{"threads", HTTP},
		{"threads", Listener},
		{"environment", Connection},
		{"UDP socket", Listener},
		{"reopen a memory file", HTTP},
		{"environment", HTTP},
		{"environment", Listener},
		{"room for a large buffer", Connection},
	} {
		t.Run(c.profile.String()+"/"+c.name, func(t *testing.T) {
			o := try(t, c.profile, c.name)
			require.Equal(t, "ok", o.said, o.stderr)
			require.True(t, o.state.Success(), "%s %s", o.state, o.stderr)
		})
	}
}

func TestKilledAtOnce(t *testing.T) {
	for _, name := range []string{"exec", "trace", "read memory", "mount", "bpf", "become root"} {
		for _, p := range []Profile{Connection, HTTP, Listener} {
			t.Run(p.String()+"/"+name, func(t *testing.T) {
				o := try(t, p, name)
				require.Empty(t, o.said)
				require.Equal(t, unix.SIGSYS, o.signal(), "%s", o.state)
			})
		}
	}
}

func TestStartingAProgramFails(t *testing.T) {
	for _, p := range []Profile{Connection, HTTP, Listener} {
		t.Run(p.String(), func(t *testing.T) {
			o := try(t, p, "start a program")
			require.NotEqual(t, "ok", o.said)
		})
	}
}

func TestDeniedCallIsNamed(t *testing.T) {
	for _, c := range []struct {
		name    string
		profile Profile
		number  int
	}{
		{"fchmod", Connection, unix.SYS_FCHMOD},
		{"fchmod", HTTP, unix.SYS_FCHMOD},
		{"fchmod", Listener, unix.SYS_FCHMOD},
		{"listen", HTTP, unix.SYS_LISTEN},
		{"listen", Listener, unix.SYS_LISTEN},
		{"reopen a memory file", Connection, unix.SYS_MEMFD_CREATE},
		{"connect elsewhere", HTTP, unix.SYS_CONNECT},
		{"bind elsewhere", HTTP, unix.SYS_BIND},
		{"send to another by sendmsg", HTTP, unix.SYS_SENDMSG},
		{"send to another by sendto", HTTP, unix.SYS_SENDTO},
		{"send to another by sendto", Listener, unix.SYS_SENDTO},
	} {
		t.Run(c.profile.String()+"/"+c.name, func(t *testing.T) {
			o := try(t, c.profile, c.name)
			require.Empty(t, o.said)
			require.Equal(t, ExitDenied, o.state.ExitCode(), "%s", o.state)
			require.Equal(t, fmt.Sprintf("sandbox: denied system call %d\n", c.number), o.stderr)
		})
	}
}

// A connection process has a socket that is connected to its peer, and can turn it to nobody else.
func TestSendsToThePeerOnly(t *testing.T) {
	for _, c := range []struct {
		name   string
		want   string // errno
		denied int    // or the number of the system call that ends the process
	}{
		{"send to the peer", "ok", 0},
		{"send to another by sendmsg", "", unix.SYS_SENDMSG},
		{"send to another by sendto", "", unix.SYS_SENDTO},
		{"connect elsewhere", "", unix.SYS_CONNECT},
		{"bind elsewhere", "", unix.SYS_BIND},
		{"steer the port", "EACCES", 0},
		{"send by other hosts", "EACCES", 0},
		{"handle of the other end", "EACCES", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			require.NoError(t, err)
			defer peer.Close()
			conn, err := net.DialUDP("udp4", nil, peer.LocalAddr().(*net.UDPAddr))
			require.NoError(t, err)
			defer conn.Close()
			file, err := conn.File()
			require.NoError(t, err)
			defer file.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := command(t, ctx, act{Profile: Connection, Name: c.name})
			cmd.ExtraFiles = []*os.File{file}
			var out, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &stderr
			_ = cmd.Run()
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if c.denied != 0 {
				require.Len(t, lines, 1, "it went on")
				require.Equal(t, fmt.Sprintf("sandbox: denied system call %d\n", c.denied), stderr.String())
				return
			}
			require.Equal(t, c.want, lines[len(lines)-1], stderr.String())
			if c.want != "ok" {
				return
			}
			require.NoError(t, peer.SetReadDeadline(time.Now().Add(10*time.Second)))
			b := make([]byte, 100)
			n, err := peer.Read(b)
			require.NoError(t, err)
			require.Equal(t, "hello", string(b[:n]))
		})
	}
}

// The bound of private memory is the configured one, also where that is above the profile's own.
func TestMemoryBound(t *testing.T) {
	for _, c := range []struct {
		memory uint64
		name   string
		want   string
	}{
		{0, "more memory", "ENOMEM"},
		{1 << 30, "more memory", "ok"},
		{1 << 30, "addresses without end", "ENOMEM"},
		{600 << 20, "too much memory", "ok"},
		{200 << 20, "too much memory", "ENOMEM"},
	} {
		t.Run(fmt.Sprint(c.memory>>20, " MiB ", c.name), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			out, err := command(t, ctx, act{Profile: Connection, Name: c.name, Memory: c.memory}).CombinedOutput()
			require.NoError(t, err, "%s", out)
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			require.Equal(t, c.want, lines[len(lines)-1])
		})
	}
}

func TestServesOnAListeningSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	defer file.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := command(t, ctx, act{Profile: HTTP, Name: "serve"})
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		continue
	}
	c, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	var got bytes.Buffer
	_, err = got.ReadFrom(c)
	require.NoError(t, err)
	require.Equal(t, "media", got.String())
	require.True(t, lines.Scan())
	require.Equal(t, "ok", lines.Text())
	require.NoError(t, cmd.Wait())
}

// What srt's listener does for each caller, beside a socket that the controller made.
func TestListenerBindsBesideASocketThatItWasGiven(t *testing.T) {
	for _, c := range []struct {
		name string
		give bool
		want string
	}{
		{"given", true, "ok"},
		{"still root's", false, "EADDRINUSE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			file := os.NewFile(uintptr(fd), "udp")
			defer file.Close()
			require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
			require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
			if c.give {
				require.NoError(t, Give(file))
			} else if os.Geteuid() != 0 {
				c.want = "ok" // the same user from the start
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := command(t, ctx, act{Profile: Listener, Name: "bind beside"})
			cmd.ExtraFiles = []*os.File{file}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			require.Equal(t, c.want, lines[len(lines)-1])
		})
	}
}

// Each thread of the process, not only the one that called, has lost its rights.
func TestEveryThreadIsRestricted(t *testing.T) {
	for _, p := range []Profile{Connection, HTTP, Listener} {
		t.Run(p.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := command(t, ctx, act{Profile: p, Name: "wait for its threads to be read"})
			in, err := cmd.StdinPipe()
			require.NoError(t, err)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			require.True(t, bufio.NewScanner(out).Scan(), "no report")

			tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", cmd.Process.Pid))
			require.NoError(t, err)
			require.Greater(t, len(tasks), 1)
			for _, task := range tasks {
				status := readStatus(t, task)
				require.Equal(t, "1", status["NoNewPrivs"], task)
				require.Equal(t, "2", status["Seccomp"], task)
				require.Equal(t, "1", status["Seccomp_filters"], task)
				require.Equal(t, "0000000000000000", status["CapEff"], task)
				require.Equal(t, "0000000000000000", status["CapPrm"], task)
				require.Equal(t, "0000000000000000", status["CapAmb"], task)
				if os.Geteuid() == 0 {
					require.Equal(t, []string{"65534", "65534", "65534", "65534"}, strings.Fields(status["Uid"]), task)
					require.Equal(t, []string{"65534", "65534", "65534", "65534"}, strings.Fields(status["Gid"]), task)
					require.Empty(t, status["Groups"], task)
				}
			}
			require.NoError(t, in.Close())
			require.NoError(t, cmd.Wait())
		})
	}
}

func readStatus(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	fields := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}
