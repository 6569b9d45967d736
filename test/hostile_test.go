package test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// hostileProgram is brume-srt built so that its process behaves as if it had been taken over, when the name of its stream
// says so: see cmd/brume-srt/hostile.go.
var hostileProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(clips.dir, "brume-srt-hostile")
	cmd := exec.Command("make", "-s", "-C", "..", "hostile", "HOSTILE="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make hostile: %w: %s", err, out)
	}
	return path, nil
})

// startHostile runs a server whose connection processes may be taken over, with bystanders.
func startHostile(t *testing.T, env ...string) (*server, *bystanders) {
	t.Helper()
	program, err := hostileProgram()
	require.NoError(t, err)
	s := startProgram(t, program, "", env...)
	return s, newBystanders(s)
}

// lines are the log's lines for which ok holds.
func (s *server) lines(ok func(line map[string]any) bool) (all []map[string]any) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for _, l := range s.log.lines {
		var line map[string]any
		if json.Unmarshal([]byte(l), &line) == nil && ok(line) {
			all = append(all, line)
		}
	}
	return all
}

// told is what a taken-over process reported of an attempt; "" where it has not, or not yet.
func (s *server) told(stream, what string) string {
	for _, l := range s.lines(func(l map[string]any) bool { return l["stream"] == stream && l["msg"] == "a process says" }) {
		if text, ok := strings.CutPrefix(fmt.Sprint(l["text"]), "hostile: "+what+": "); ok && text != "begins" {
			return text
		}
	}
	return ""
}

func (s *server) waitTold(stream, what, want string) {
	s.t.Helper()
	s.eventually(30*time.Second, stream+" tells of "+what, func() bool { return s.told(stream, what) != "" })
	require.Equal(s.t, want, s.told(stream, what))
}

// TestHostileAttempts makes a publisher's and a viewer's process try everything that a process survives.
func TestHostileAttempts(t *testing.T) {
	t.Parallel()
	s, b := startHostile(t)
	join(t, s, "publish:pub-attempts", plainClip(t))
	join(t, s, "publish:view-attempts", plainClip(t))
	s.waitState("view-attempts", "live")
	join(t, s, "read:view-attempts", "")
	s.waitTold("pub-attempts", "all", "done")
	s.waitTold("view-attempts", "all", "done")
	for _, c := range []struct {
		name              string
		publisher, viewer string
	}{
		{"open a file", "EACCES", "EACCES"},
		{"open by path alone", "EACCES", "EACCES"},
		{"make a file", "EACCES", "EACCES"},
		{"list a directory", "EACCES", "EACCES"},
		{"stat a file", "EACCES", "EACCES"},
		{"environment of the parent", "EACCES", "EACCES"},
		{"memory of the parent", "EACCES", "EACCES"},
		{"descriptors of the parent", "EACCES", "EACCES"},
		{"own memory", "EACCES", "EACCES"},
		{"open the buffer anew", "EACCES", "EACCES"},
		{"fork", "EACCES", "EACCES"},
		{"fork by clone3", "ENOSYS", "ENOSYS"},
		{"signal the parent", "EACCES", "EACCES"},
		{"signal a thread of the parent", "EACCES", "EACCES"},
		{"signal everybody", "EACCES", "EACCES"},
		{"signals by descriptor", "EACCES", "EACCES"},
		{"be traced", "EACCES", "EACCES"},
		{"handle of the other end", "EACCES", "EACCES"},
		{"UDP socket", "EACCES", "EACCES"},
		{"TCP socket", "EACCES", "EACCES"},
		{"unix socket", "EACCES", "EACCES"},
		{"netlink socket", "EACCES", "EACCES"},
		{"steer the port", "EACCES", "EACCES"},
		{"send by other hosts", "EACCES", "EACCES"},
		{"send by another interface", "EACCES", "EACCES"},
		{"ioctl", "EACCES", "EACCES"},
		{"seal the buffer", "EACCES", "EACCES"},
		{"append to the buffer", "EACCES", "EACCES"},
		{"fill the buffer", "EACCES", "EACCES"},
		{"move who waits for the buffer", "EACCES", "EACCES"},
		{"push the buffer out of memory", "EACCES", "EACCES"},
		{"punch the buffer's mapping", "EACCES", "EACCES"},
		// What a publisher may do and a viewer may not.
		{"write into the buffer", "ok", "EBADF"},
		{"map the buffer to write", "ok", "EACCES"},
		{"make the buffer's mapping writable", "ok", "EACCES"},
		{"punch the buffer", "ok", "EBADF"},
		{"memory without end", "ENOMEM", "ENOMEM"},
		{"shared memory", "EACCES", "EACCES"},
		{"memory like a stack", "EACCES", "EACCES"},
		{"addresses without end", "ENOMEM", "ENOMEM"},
		{"code", "EACCES", "EACCES"},
		{"descriptors without end", "EMFILE", "EMFILE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.publisher, s.told("pub-attempts", c.name), "of a publisher")
			require.Equal(t, c.viewer, s.told("view-attempts", c.name), "of a viewer")
		})
	}
	require.NoFileExists(t, "/tmp/hostile")
	b.unharmed(t)
}

// TestHostileCalls makes processes try what no process survives.
func TestHostileCalls(t *testing.T) {
	t.Parallel()
	// Whoever gets a datagram that a process sent elsewhere.
	elsewhere, err := net.ListenPacket("udp4", "127.0.0.9:9")
	if err != nil {
		t.Logf("nobody listens for stray datagrams: %v", err)
	} else {
		defer elsewhere.Close()
	}
	s, b := startHostile(t)
	for _, c := range []struct {
		name   string
		number int // of the call that is denied, 0 where the kernel kills
	}{
		{"sendmsg", unix.SYS_SENDMSG},
		{"sendto", unix.SYS_SENDTO},
		{"sendmmsg", unix.SYS_SENDMMSG},
		{"connect", unix.SYS_CONNECT},
		{"bind", unix.SYS_BIND},
		{"listen", unix.SYS_LISTEN},
		{"accept4", unix.SYS_ACCEPT4},
		{"pwrite64", unix.SYS_PWRITE64},
		{"ftruncate", unix.SYS_FTRUNCATE},
		{"fchmod", unix.SYS_FCHMOD},
		{"fchown", unix.SYS_FCHOWN},
		{"lseek", unix.SYS_LSEEK},
		{"flock", unix.SYS_FLOCK},
		{"memfd_create", unix.SYS_MEMFD_CREATE},
		{"pipe2", unix.SYS_PIPE2},
		{"shmget", unix.SYS_SHMGET},
		{"mq_open", unix.SYS_MQ_OPEN},
		{"tkill", unix.SYS_TKILL},
		{"rt_sigqueueinfo", unix.SYS_RT_SIGQUEUEINFO},
		{"setpriority", unix.SYS_SETPRIORITY},
		{"mlock", unix.SYS_MLOCKALL},
		{"seccomp", unix.SYS_SECCOMP},
		{"futex_requeue", 456},
		{"process_mrelease", unix.SYS_PROCESS_MRELEASE},
		{"execve", 0},
		{"execveat", 0},
		{"ptrace", 0},
		{"process_vm_readv", 0},
		{"pidfd_open", 0},
		{"pidfd_getfd", 0},
		{"setresuid", 0},
		{"unshare", 0},
		{"bpf", 0},
		{"io_uring_setup", 0},
		{"mount", 0},
		{"keyctl", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := "pub-" + c.name
			g := join(t, s, "publish:"+stream, "")
			select {
			case <-g.over:
			case <-time.After(30 * time.Second):
				require.FailNow(t, "its peer was not told that it is over", "it said: %q", s.told(stream, c.name))
			}
			var died []map[string]any
			s.eventually(10*time.Second, "its end is logged", func() bool {
				died = s.lines(func(l map[string]any) bool {
					return l["stream"] == stream && l["msg"] == "an SRT connection process has died"
				})
				return len(died) == 1
			})
			if c.number == 0 {
				require.Equal(t, "killed by SIGSYS", died[0]["status"])
			} else {
				require.Equal(t, "exit status 159", died[0]["status"])
				require.Equal(t, fmt.Sprintf("sandbox: denied system call %d", c.number), died[0]["stderr"])
			}
			require.Empty(t, s.told(stream, c.name), "it went on")
		})
	}
	if elsewhere != nil {
		require.NoError(t, elsewhere.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
		_, from, err := elsewhere.ReadFrom(make([]byte, 100))
		require.Error(t, err, "%v has sent elsewhere", from)
	}
	b.unharmed(t)
}

// ended waits for the end of a taken-over process by force, and that its peer is told of it.
func (s *server) ended(t *testing.T, g *guest, stream, cause string, limit time.Duration) {
	t.Helper()
	var lines []map[string]any
	s.eventually(limit, stream+" is ended", func() bool {
		lines = s.lines(func(l map[string]any) bool {
			return l["stream"] == stream && l["msg"] == "ending a process by force"
		})
		return len(lines) > 0
	})
	require.Equal(t, cause, lines[0]["cause"])
	select {
	case <-g.over:
	case <-time.After(10 * time.Second):
		require.FailNow(t, "its peer was not told that it is over")
	}
	require.GreaterOrEqual(t, s.metric("brume_process_kills_total", `cause="`+cause+`"`), 1.0)
}

// crashed waits for the end of a taken-over process that died by itself.
func (s *server) crashed(t *testing.T, g *guest, stream string, limit time.Duration) map[string]any {
	t.Helper()
	select {
	case <-g.over:
	case <-time.After(limit):
		require.FailNow(t, "its peer was not told that it is over")
	}
	var died []map[string]any
	s.eventually(10*time.Second, "its end is logged", func() bool {
		died = s.lines(func(l map[string]any) bool {
			return l["stream"] == stream && l["msg"] == "an SRT connection process has died"
		})
		return len(died) == 1
	})
	return died[0]
}

// TestHostileResources has processes that spin, leak, multiply, are silent, are stopped, crash.
func TestHostileResources(t *testing.T) {
	t.Parallel()
	s, b := startHostile(t, "BRUME_LIMITS_CHILD_CPU=2s")
	file := plainClip(t)
	t.Run("spins without media", func(t *testing.T) {
		g := join(t, s, "publish:pub-spin", "")
		s.ended(t, g, "pub-spin", "cpu", 60*time.Second)
	})
	t.Run("spins beside its media", func(t *testing.T) {
		g := join(t, s, "publish:pub-spin-media", file)
		s.ended(t, g, "pub-spin-media", "cpu", 60*time.Second)
	})
	t.Run("a viewer spins", func(t *testing.T) {
		join(t, s, "publish:view-spin", file)
		s.waitState("view-spin", "live")
		g := join(t, s, "read:view-spin", "")
		s.ended(t, g, "view-spin", "cpu", 60*time.Second)
		require.Equal(t, "live", s.stream("view-spin").State, "its stream goes on")
	})
	t.Run("leaks", func(t *testing.T) {
		g := join(t, s, "publish:pub-leak", file)
		died := s.crashed(t, g, "pub-leak", 60*time.Second)
		// Whoever asks first when there is no more: Go's heap, the stack of a thread, or libsrt.
		require.Regexp(t, "out of memory|pthread_create failed: Resource temporarily unavailable|bad_alloc", died["stderr"])
	})
	t.Run("has threads without end", func(t *testing.T) {
		g := join(t, s, "publish:pub-threads", file)
		s.ended(t, g, "pub-threads", "threads", 30*time.Second)
	})
	t.Run("neither reads nor reports", func(t *testing.T) {
		g := join(t, s, "publish:pub-silent", file)
		s.ended(t, g, "pub-silent", "silent", 30*time.Second)
	})
	t.Run("is stopped", func(t *testing.T) {
		g := join(t, s, "publish:pub-stop", file)
		s.eventually(20*time.Second, "it is there", func() bool { return len(s.connections("stream=pub-stop")) == 1 })
		pid := s.connections("stream=pub-stop")[0].PID
		s.eventually(20*time.Second, "it is stopped", func() bool { return processState(pid) == "T" || processState(pid) == "" })
		began := time.Now()
		s.ended(t, g, "pub-stop", "stopped", 20*time.Second)
		t.Logf("its peer was told after %v", time.Since(began))
		require.Less(t, time.Since(began), 3*time.Second)
	})
	t.Run("crashes in the middle of a write", func(t *testing.T) {
		g := join(t, s, "publish:pub-crash", file)
		s.waitState("pub-crash", "live")
		died := s.crashed(t, g, "pub-crash", 30*time.Second)
		require.Contains(t, died["stderr"], "SIGSEGV")
		// The stream can be continued, or begun anew where its buffer is not sound.
		again := join(t, s, "publish:view-crash", file)
		s.waitState("view-crash", "live")
		_ = again.conn.Close()
	})
	require.Equal(t, 3.0, s.metric("brume_process_kills_total", `cause="cpu"`))
	b.unharmed(t)
}

// processState is the state of a process as in proc_pid_stat(5), empty where it is gone.
func processState(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

// TestHostileMessages has processes that tell the controller what it must not believe.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	s, b := startHostile(t)
	file := plainClip(t)
	end := func(stream string) {
		all := s.connections("stream=" + stream)
		require.Len(t, all, 1)
		require.Equal(t, http.StatusNoContent, s.delete("/api/v1/connections/"+all[0].ID))
	}
	t.Run("lies", func(t *testing.T) {
		g := join(t, s, "publish:pub-lies", file)
		s.waitState("pub-lies", "live")
		s.eventually(20*time.Second, "its numbers have come", func() bool {
			all := s.connections("stream=pub-lies")
			return len(all) == 1 && all[0].Bytes >= 1<<52
		})
		c := s.connections("stream=pub-lies")[0]
		require.NotEqual(t, 1, c.PID, "who it is")
		require.Contains(t, s.processes("brume-srt"), c.PID)
		require.Equal(t, "publish", c.Role, "what it may do")
		require.Equal(t, g.conn.LocalAddr().String(), c.Peer, "whom it speaks to")
		require.NotZero(t, s.metric("brume_srt_packets_total"), "the metrics can be read")
		require.Less(t, s.stream("steady").Viewers.SRT, 2)
		end("pub-lies")
		<-g.over
	})
	t.Run("floods", func(t *testing.T) {
		g := join(t, s, "publish:pub-flood", file)
		s.waitState("pub-flood", "live")
		time.Sleep(4 * time.Second) // the flood
		lines := s.lines(func(l map[string]any) bool { return l["stream"] == "pub-flood" && l["msg"] == "a process says" })
		require.NotEmpty(t, lines)
		require.Less(t, len(lines), 400, "log lines of one process")
		for _, l := range lines {
			require.LessOrEqual(t, len(fmt.Sprint(l["text"])), 500)
		}
		all := s.connections("stream=pub-flood")
		require.Len(t, all, 1)
		require.Equal(t, "publish", all[0].Role)
		require.Equal(t, 1, s.stream("steady").Viewers.SRT)
		_, err := dial(t, s.srt, "publish:steady")
		require.Error(t, err, "the stream has a publisher; nobody else's word changes that")
		end("pub-flood")
		select {
		case <-g.over:
		case <-time.After(20 * time.Second):
			require.FailNow(t, "it could not be ended")
		}
	})
	t.Run("floods and blocks", func(t *testing.T) {
		g := join(t, s, "publish:pub-blocking", file)
		s.waitState("pub-blocking", "live")
		time.Sleep(2 * time.Second)
		end("pub-blocking")
		select {
		case <-g.over:
		case <-time.After(20 * time.Second):
			require.FailNow(t, "it could not be ended")
		}
	})
	t.Run("never ends", func(t *testing.T) {
		g := join(t, s, "publish:pub-never-end", file)
		s.eventually(20*time.Second, "it is connected", func() bool {
			all := s.connections("stream=pub-never-end")
			return len(all) == 1 && all[0].State == "connected"
		})
		end("pub-never-end")
		s.ended(t, g, "pub-never-end", "close", 20*time.Second)
	})
	t.Run("says that it ends", func(t *testing.T) {
		g := join(t, s, "publish:pub-false-end", file)
		s.eventually(20*time.Second, "it is connected", func() bool {
			all := s.connections("stream=pub-false-end")
			return len(all) == 1 && all[0].State == "connected"
		})
		end("pub-false-end")
		s.ended(t, g, "pub-false-end", "close", 20*time.Second)
	})
	for name, stream := range map[string]string{"closes its control socket": "pub-close", "says nothing at all": "pub-empty"} {
		t.Run(name, func(t *testing.T) {
			g := join(t, s, "publish:"+stream, file)
			s.ended(t, g, stream, "mute", 30*time.Second)
		})
	}
	b.unharmed(t)
}

// TestHostileContents has a publisher whose buffer holds what no writer writes, and changes while it is read.
func TestHostileContents(t *testing.T) {
	t.Parallel()
	s, b := startHostile(t)
	file := plainClip(t)
	http := s.one(" http")
	g := join(t, s, "publish:pub-contents", file)
	s.waitState("pub-contents", "live")
	viewer := join(t, s, "read:pub-contents", "")
	s.eventually(60*time.Second, "everything was written", func() bool {
		for _, path := range []string{
			"/hls/pub-contents/index.m3u8", "/hls/pub-contents/v0/index.m3u8", "/hls/pub-contents/a0/index.m3u8", "/hls/pub-contents/ts/index.m3u8",
			"/hls/pub-contents/v0/init.mp4", "/pub-contents.html",
		} {
			began := time.Now()
			status, body, _ := s.fetch(path)
			require.NotZero(t, status, path)
			require.Less(t, time.Since(began), 20*time.Second, path)
			for _, name := range segmentName.FindAllString(string(body), 3) {
				_, _, _ = s.fetch(strings.TrimSuffix(path, "index.m3u8") + name)
			}
		}
		s.stream("pub-contents")
		// The stream may be given up before its publisher is through.
		select {
		case <-g.over:
			return true
		default:
			return s.told("pub-contents", "contents") == "done"
		}
	})
	require.Equal(t, http, s.one(" http"), "the http process is the same")
	require.Zero(t, s.metric("brume_http_panics_total"))
	_ = g.conn.Close()
	_ = viewer.conn.Close()
	s.eventually(30*time.Second, "all connections of it are gone", func() bool { return len(s.connections("stream=pub-contents")) == 0 })

	// A viewer that wakes all others without end, and a process that sends its own peer garbage.
	join(t, s, "publish:view-wake", file)
	s.waitState("view-wake", "live")
	join(t, s, "read:view-wake", "")
	s.waitTold("view-wake", "wake", "done")
	join(t, s, "publish:pub-garbage-out", file)
	s.waitTold("pub-garbage-out", "garbage-out", "done")
	b.unharmed(t)
}

// TestNothingHostileIsShipped sees that the program as it is built has no trace of all that.
func TestNothingHostileIsShipped(t *testing.T) {
	t.Parallel()
	program, err := hostileProgram()
	require.NoError(t, err)
	for path, want := range map[string]bool{"../bin/brume-srt": false, program: true} {
		b, err := os.ReadFile(path)
		require.NoError(t, err, "run make programs first")
		for _, trace := range []string{"hostile", "captive", "steer the port", "spin-media"} {
			require.Equal(t, want, strings.Contains(string(b), trace), "%q in %s", trace, path)
		}
	}
}
