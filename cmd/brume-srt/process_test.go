package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"brume/buffer"
	"brume/control"
	"brume/inputs/mpegts"
	"brume/media"
	"brume/media/ts"
	"brume/srt"
	"brume/test/inspect"

	"github.com/stretchr/testify/require"
)

// stats that show this many access units.
func units(n uint64) func(srt.ConnStats) bool {
	return func(s srt.ConnStats) bool { return s.Units >= n }
}

func TestHello(t *testing.T) {
	c := spawn(t)
	h := get[srt.Hello](c, srt.MsgHello, nil)
	require.Equal(t, c.cmd.Process.Pid, h.PID)
	require.Regexp(t, `^1\.\d+\.\d+$`, h.LibSRT)
	require.Empty(t, h.Missing)
	require.Equal(t, []string{"rlimits", "identity", "capabilities", "no_new_privs", "landlock", "seccomp"}, h.Sandbox)

	// Each thread, libsrt's own included, is sandboxed before a caller is handed over.
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", h.PID))
	require.NoError(t, err)
	require.Greater(t, len(tasks), 2)
	for _, task := range tasks {
		status, err := os.ReadFile(task + "/status")
		require.NoError(t, err)
		require.Contains(t, string(status), "NoNewPrivs:\t1", task)
		require.Contains(t, string(status), "Seccomp:\t2", task)
		require.Contains(t, string(status), "CapEff:\t0000000000000000", task)
	}
	require.NoError(t, c.control.Send(srt.MsgClose, nil))
	require.Zero(t, c.exit(3*time.Second))
	require.Empty(t, c.stderr.String())
}

func TestPublish(t *testing.T) {
	const secret = "correct horse battery"
	for _, k := range []struct {
		name      string
		network   string
		address   string
		query     string
		configure srt.Configure
		keyLength int
		tool      func(t *testing.T, url string) *program
	}{
		{"plain", "udp4", "127.0.0.1", "", srt.Configure{Role: media.Publish}, 0, publishClip},
		{"IPv6", "udp6", "::1", "", srt.Configure{Role: media.Publish}, 0, publishClip},
		{"AES-128", "udp4", "127.0.0.1", "&passphrase=" + secret, srt.Configure{Role: media.Publish, Passphrase: secret}, 16, publishClip},
		{"AES-256", "udp4", "127.0.0.1", "&pbkeylen=32&passphrase=" + secret, srt.Configure{Role: media.Publish, Passphrase: secret}, 32, publishClip},
		{"options", "udp4", "127.0.0.1", "", srt.Configure{Role: media.Publish, Options: map[string]string{"rcvlatency": "321"}}, 0, publishClip},
		{"no stated mode", "udp4", "127.0.0.1", "", srt.Configure{DecideMS: 2000}, 0, publishClip},
		{"packet filter", "udp4", "127.0.0.1", "&packetfilter=fec,cols:10,rows:5", srt.Configure{Role: media.Publish, Options: map[string]string{"packetfilter": "fec,cols:10,rows:5"}}, 0, transmitClip},
		// Whatever libsrt sets on the UDP socket.
		{"options of the socket", "udp4", "127.0.0.1", "", srt.Configure{Role: media.Publish, Options: map[string]string{
			"iptos": "184", "ipttl": "33", "udp_rcvbuf": "300000", "udp_sndbuf": "300000", "mss": "1400",
		}}, 0, publishClip},
		{"options of the IPv6 socket", "udp6", "::1", "", srt.Configure{Role: media.Publish, Options: map[string]string{"iptos": "184", "ipttl": "33"}}, 0, publishClip},
		{"srt-live-transmit", "udp4", "127.0.0.1", "", srt.Configure{Role: media.Publish}, 0, transmitClip},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			rw, _, reader := newBuffer(t)
			p := listen(t, k.network, k.address)
			c := spawn(t)
			k.configure.Conn, k.configure.Stream = "1", "live"
			caller := k.tool(t, p.url("?streamid=live"+k.query))
			var files []*os.File
			if k.configure.Role != "" {
				files = append(files, rw)
			}
			h := p.hand(c, k.configure, files...)
			connected := get[srt.Connected](c, srt.MsgConnected, nil)
			require.Equal(t, h.Peer, connected.Peer)
			require.Equal(t, k.keyLength, connected.KeyLength)
			require.NotEmpty(t, connected.PeerSRT)
			if want := k.configure.Options["rcvlatency"]; want != "" {
				require.Equal(t, want, fmt.Sprint(connected.LatencyRcv))
			}
			if k.configure.Role == "" {
				require.Equal(t, media.Publish, get[srt.Direction](c, srt.MsgDirection, nil).Role)
				time.Sleep(200 * time.Millisecond) // what comes meanwhile must be kept
				require.NoError(t, c.control.Send(srt.MsgBuffer, srt.Buffer{Role: media.Publish}, rw))
			}
			s := get(c, srt.MsgStats, func(s srt.ConnStats) bool { return s.Units >= 50 && measured(s.Health) })
			require.Positive(t, s.SRT.Total.PktRecv)
			require.NotNil(t, s.Demux)
			require.Zero(t, s.Demux.ContinuityErrors)
			requireHealthy(t, s.Health)

			require.NoError(t, caller.wait(), caller.out.String())
			f := get[srt.Failed](c, srt.MsgFailed, nil)
			require.Equal(t, srt.FailPeer, f.Reason, f.Detail)
			require.Zero(t, c.exit(3*time.Second), c.stderr.String())
			require.Empty(t, c.stderr.String())
			cpu := c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime()
			require.Less(t, cpu, time.Second, "libsrt's thread spins on a socket that does not block")
			requireClip(t, reader)
		})
	}
}

// measured tells whether a clock was compared with the times of the source for a second.
func measured(h *ts.Health) bool { return h != nil && len(h.PCRs) == 1 && h.PCRs[0].JitterUS > 0 }

// requireHealthy looks at what no pause of the sender's machine makes wrong.
func requireHealthy(t *testing.T, h *ts.Health) {
	t.Helper()
	for name, i := range h.Indicators.All() {
		switch name {
		case "pat", "pmt", "pid", "pts", "pcr_repetition", "si_repetition":
		default:
			require.Zero(t, i.Errors, name)
		}
	}
	require.Less(t, h.PCRs[0].JitterUS, 2e6, "against the times of the source")
}

// atLeast is how much of the clip comes over: ffmpeg closes its connection without waiting for what it wrote last.
const atLeast = clipFrames - 15

// videoOf collects the payloads of a clip's video.
type videoOf struct {
	tracks []media.Track
	frames [][]byte
}

func (v *videoOf) BeginEpoch(tracks []media.Track) error {
	v.tracks = tracks
	return nil
}

func (v *videoOf) WritePacket(p *media.Packet) error {
	if v.tracks[p.Track].Codec.Kind() == media.Video {
		v.frames = append(v.frames, bytes.Clone(p.Payload))
	}
	return nil
}

// requireClip checks that a buffer whose epoch is closed holds the clip's frames from the first one on, without a gap.
func requireClip(t *testing.T, reader *buffer.Reader) {
	t.Helper()
	var want videoOf
	b, err := os.ReadFile(clip)
	require.NoError(t, err)
	d := mpegts.NewDemuxer(&want, mpegts.Options{})
	require.NoError(t, d.Write(b))
	require.NoError(t, d.Flush())
	require.Len(t, want.frames, clipFrames)

	tail, head := reader.Bounds()
	frames := 0
	var last buffer.Entry
	for seq := tail; seq < head; seq++ {
		e, err := reader.Entry(seq)
		require.NoError(t, err)
		last = e
		tracks, err := reader.Tracks(e.Epoch)
		require.NoError(t, err)
		if e.Track < 0 || tracks[e.Track].Codec != media.H264 {
			continue
		}
		payload, err := reader.Payload(&e, nil)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want.frames[frames], payload), "frame %d", frames)
		frames++
	}
	require.GreaterOrEqual(t, frames, atLeast)
	require.True(t, last.Has(buffer.EpochEnd))
}

// pictures are hashes of the decoded video of a file.
func pictures(t *testing.T, file string) []string {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", file, "-map", "0:v", "-f", "framemd5", "-").Output()
	require.NoError(t, err)
	var hashes []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") {
			hashes = append(hashes, strings.TrimSpace(line[strings.LastIndex(line, ",")+1:]))
		}
	}
	return hashes
}

func TestWrongPassphrase(t *testing.T) {
	const secret = "correct horse battery"
	for _, k := range []struct {
		name, query, passphrase, want string
	}{
		{"wrong", "&passphrase=battery+horse+staple", secret, srt.FailSecret},
		{"missing", "", secret, srt.FailUnsecure},
		{"unwanted", "&passphrase=" + secret, "", srt.FailUnsecure},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			rw, _, _ := newBuffer(t)
			p := listen(t, "udp4", "127.0.0.1")
			c := spawn(t)
			caller := publishClip(t, p.url("?streamid=live"+k.query))
			p.hand(c, srt.Configure{Role: media.Publish, Passphrase: k.passphrase}, rw)
			start := time.Now()
			f := get[srt.Failed](c, srt.MsgFailed, nil)
			require.Less(t, time.Since(start), 2*time.Second)
			require.Equal(t, k.want, f.Reason, f.Detail)
			require.Zero(t, c.exit(2*time.Second))
			require.False(t, c.has(srt.MsgConnected))
			require.Error(t, caller.wait())
		})
	}
}

// play starts a publisher's and a viewer's process on one buffer, and returns the viewer's port.
func publishInto(t *testing.T, rw *os.File, reader *buffer.Reader) *child {
	t.Helper()
	p := listen(t, "udp4", "127.0.0.1")
	c := spawn(t)
	publishClip(t, p.url("?streamid=live"))
	p.hand(c, srt.Configure{Role: media.Publish}, rw)
	require.Eventually(t, func() bool {
		_, ok := reader.LatestRandomAccess()
		return ok
	}, 10*time.Second, 10*time.Millisecond)
	return c
}

func TestPlay(t *testing.T) {
	for _, k := range []struct {
		name      string
		query     string
		configure srt.Configure
		tool      func(t *testing.T, url, out string) *program
	}{
		{"plain", "", srt.Configure{Role: media.Play}, playTo},
		{"AES", "&passphrase=correct horse", srt.Configure{Role: media.Play, Passphrase: "correct horse"}, playTo},
		{"no stated mode", "", srt.Configure{DecideMS: 100}, playTo},
		{"srt-live-transmit", "", srt.Configure{Role: media.Play}, transmitTo},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			rw, ro, reader := newBuffer(t)
			publishInto(t, rw, reader)
			p := listen(t, "udp4", "127.0.0.1")
			c := spawn(t)
			out := filepath.Join(t.TempDir(), "out.ts")
			player := k.tool(t, p.url("?streamid=live"+k.query), out)
			var files []*os.File
			if k.configure.Role != "" {
				files = append(files, ro)
			}
			p.hand(c, k.configure, files...)
			get[srt.Connected](c, srt.MsgConnected, nil)
			if k.configure.Role == "" {
				require.Equal(t, media.Play, get[srt.Direction](c, srt.MsgDirection, nil).Role)
				require.NoError(t, c.control.Send(srt.MsgBuffer, srt.Buffer{Role: media.Play}, ro))
			}
			require.Eventually(t, func() bool {
				info, err := reader.Info()
				return err == nil && info.State == buffer.Ended
			}, 15*time.Second, 20*time.Millisecond)
			s := get(c, srt.MsgStats, units(30))
			require.Positive(t, s.SRT.Total.PktSentUnique)
			require.Zero(t, s.Skipped)
			require.Zero(t, s.BufferErr)

			w, err := buffer.OpenWriter(rw)
			require.NoError(t, err)
			require.NoError(t, w.Finish())
			f := get[srt.Failed](c, srt.MsgFailed, nil)
			require.Equal(t, srt.FailStreamEnd, f.Reason)
			require.Zero(t, c.exit(3*time.Second))
			_ = player.wait()
			require.NotContains(t, player.out.String(), "on-monoton")

			got := pictures(t, out)
			got = got[:len(got)-3] // where the publisher was cut off, B-frames may be missing before the last picture
			require.GreaterOrEqual(t, len(got), 10)
			all := pictures(t, clip)
			first := slices.Index(all, got[0])
			require.GreaterOrEqual(t, first, 0)
			require.Equal(t, all[first:first+len(got)], got, "pictures are missing")
		})
	}
}

func TestEndings(t *testing.T) {
	t.Run("closed by the controller", func(t *testing.T) {
		t.Parallel()
		rw, _, reader := newBuffer(t)
		c := publishInto(t, rw, reader)
		get(c, srt.MsgStats, units(10))
		start := time.Now()
		require.NoError(t, c.control.Send(srt.MsgClose, nil))
		require.Equal(t, srt.FailClosed, get[srt.Failed](c, srt.MsgFailed, nil).Reason)
		require.Zero(t, c.exit(3*time.Second))
		require.Less(t, time.Since(start), time.Second)
		info, err := reader.Info()
		require.NoError(t, err)
		require.Equal(t, buffer.Ended, info.State)
	})
	t.Run("viewer closed by the controller while its stream is idle", func(t *testing.T) {
		t.Parallel()
		rw, ro, reader := newBuffer(t)
		get(publishInto(t, rw, reader), srt.MsgFailed, func(srt.Failed) bool { return true })
		p := listen(t, "udp4", "127.0.0.1")
		c := spawn(t)
		playTo(t, p.url("?streamid=live"), filepath.Join(t.TempDir(), "out.ts"))
		p.hand(c, srt.Configure{Role: media.Play}, ro)
		get(c, srt.MsgStats, units(10))
		start := time.Now()
		require.NoError(t, c.control.Send(srt.MsgClose, nil))
		require.Equal(t, srt.FailClosed, get[srt.Failed](c, srt.MsgFailed, nil).Reason)
		require.Zero(t, c.exit(3*time.Second))
		require.Less(t, time.Since(start), 900*time.Millisecond)
	})
	t.Run("stopped and continued", func(t *testing.T) {
		t.Parallel()
		rw, _, reader := newBuffer(t)
		c := publishInto(t, rw, reader)
		s := get[srt.ConnStats](c, srt.MsgStats, nil)
		require.NoError(t, c.cmd.Process.Signal(syscall.SIGSTOP))
		time.Sleep(200 * time.Millisecond)
		require.NoError(t, c.cmd.Process.Signal(syscall.SIGCONT))
		get(c, srt.MsgStats, units(s.Units+10))
		require.NoError(t, c.cmd.Process.Signal(syscall.SIGINT)) // of a terminal
		require.Equal(t, srt.FailPeer, get[srt.Failed](c, srt.MsgFailed, nil).Reason)
		require.Zero(t, c.exit(3*time.Second))
		require.Empty(t, c.stderr.String())
	})
	t.Run("controller gone", func(t *testing.T) {
		t.Parallel()
		rw, _, reader := newBuffer(t)
		c := publishInto(t, rw, reader)
		require.NoError(t, c.control.Close())
		require.Zero(t, c.exit(10*time.Second))
		info, err := reader.Info()
		require.NoError(t, err)
		require.Equal(t, buffer.Ended, info.State)
	})
	t.Run("controller gone while idle", func(t *testing.T) {
		t.Parallel()
		c := spawn(t)
		get[srt.Hello](c, srt.MsgHello, nil)
		require.NoError(t, c.control.Close())
		require.Zero(t, c.exit(10*time.Second))
	})
	t.Run("listener gone while idle", func(t *testing.T) {
		t.Parallel()
		c := spawn(t)
		get[srt.Hello](c, srt.MsgHello, nil)
		require.NoError(t, c.handover.Close())
		require.Equal(t, srt.FailInternal, get[srt.Failed](c, srt.MsgFailed, nil).Reason)
		require.Equal(t, exitInternal, c.exit(3*time.Second))
	})
	t.Run("caller vanished in its handshake", func(t *testing.T) {
		t.Parallel()
		rw, _, _ := newBuffer(t)
		p := listen(t, "udp4", "127.0.0.1")
		c := spawn(t)
		caller := publishClip(t, p.url("?streamid=live"))
		h, f := p.next()
		require.NoError(t, caller.cmd.Process.Kill())
		<-caller.done
		require.NoError(t, c.control.Send(srt.MsgConfigure, srt.Configure{Role: media.Publish}, rw))
		require.NoError(t, c.handover.Send(srt.MsgHandover, h, f))
		require.NoError(t, f.Close())
		require.Equal(t, srt.FailTimeout, get[srt.Failed](c, srt.MsgFailed, nil).Reason)
		require.Zero(t, c.exit(3*time.Second))
	})
	t.Run("peer silent", func(t *testing.T) {
		t.Parallel()
		rw, _, reader := newBuffer(t)
		p := listen(t, "udp4", "127.0.0.1")
		c := spawn(t)
		caller := publishClip(t, p.url("?streamid=live"))
		p.hand(c, srt.Configure{Role: media.Publish, Options: map[string]string{"peeridletimeo": "3000"}}, rw)
		get(c, srt.MsgStats, units(10))
		require.NoError(t, caller.cmd.Process.Kill())
		require.Equal(t, srt.FailLost, get[srt.Failed](c, srt.MsgFailed, nil).Reason)
		require.Zero(t, c.exit(3*time.Second))
		info, err := reader.Info()
		require.NoError(t, err)
		require.Equal(t, buffer.Ended, info.State)
	})
	t.Run("unusable buffer", func(t *testing.T) {
		t.Parallel()
		p := listen(t, "udp4", "127.0.0.1")
		c := spawn(t)
		publishClip(t, p.url("?streamid=live"))
		null, err := os.Open(os.DevNull)
		require.NoError(t, err)
		p.hand(c, srt.Configure{Role: media.Publish}, null)
		require.Equal(t, srt.FailBuffer, get[srt.Failed](c, srt.MsgFailed, nil).Reason)
		require.Zero(t, c.exit(3*time.Second))
	})
	t.Run("configuration that libsrt refuses", func(t *testing.T) {
		t.Parallel()
		p := listen(t, "udp4", "127.0.0.1")
		c := spawn(t)
		publishClip(t, p.url("?streamid=live"))
		p.hand(c, srt.Configure{Role: media.Publish, Options: map[string]string{"mss": "huge"}})
		f := get[srt.Failed](c, srt.MsgFailed, nil)
		require.Equal(t, srt.FailInternal, f.Reason)
		require.Contains(t, f.Detail, "mss")
		require.Equal(t, exitInternal, c.exit(3*time.Second))
	})
}

// TestAlive: a process that waits for its caller can be told from one that hangs.
func TestAlive(t *testing.T) {
	c := spawn(t)
	get[srt.Hello](c, srt.MsgHello, nil)
	require.NoError(t, c.control.Send(srt.MsgReport, nil))
	require.NoError(t, c.control.Send(srt.MsgConfigure, srt.Configure{Role: media.Play}))
	c.find(srt.MsgAlive, func(control.Message) bool { return true })
}

func TestReport(t *testing.T) {
	rw, _, reader := newBuffer(t)
	c := publishInto(t, rw, reader)
	get[srt.Connected](c, srt.MsgConnected, nil)
	c.mu.Lock()
	c.messages = nil
	c.mu.Unlock()
	require.NoError(t, c.control.Send(srt.MsgReport, nil))
	get[srt.Hello](c, srt.MsgHello, nil)
	get[srt.Connected](c, srt.MsgConnected, nil)
	get[srt.ConnStats](c, srt.MsgStats, nil)
}

// Messages that make no sense are passed over.
func TestHostileControl(t *testing.T) {
	c := spawn(t)
	get[srt.Hello](c, srt.MsgHello, nil)
	for _, kind := range []string{"nonsense", srt.MsgBuffer, srt.MsgHandover} {
		require.NoError(t, c.control.Send(kind, map[string]any{}))
	}
	require.NoError(t, c.handover.Send("nonsense", 1))
	require.NoError(t, c.control.Send(srt.MsgReport, nil))
	get[srt.Hello](c, srt.MsgHello, nil)
	require.NoError(t, c.control.Send(srt.MsgConfigure, "not an object"))
	require.Equal(t, srt.FailInternal, get[srt.Failed](c, srt.MsgFailed, nil).Reason)
	require.Equal(t, exitInternal, c.exit(3*time.Second))
}

// A process has the passphrase of its own connection in its memory, and no other's.
func TestSecretsStayInTheirProcess(t *testing.T) {
	secrets := []string{"the first horse battery", "a second one of staples"}
	children := make([]*child, len(secrets))
	for i, secret := range secrets {
		rw, _, _ := newBuffer(t)
		p := listen(t, "udp4", "127.0.0.1")
		c := spawn(t)
		children[i] = c
		publishForever(t, p.url("?streamid=live&passphrase="+strings.ReplaceAll(secret, " ", "+")))
		p.hand(c, srt.Configure{Conn: "1", Stream: "live", Role: media.Publish, Passphrase: secret}, rw)
		get(c, srt.MsgStats, units(10))
	}
	idle := spawn(t)
	get[srt.Hello](idle, srt.MsgHello, nil)
	for i, c := range append(children, idle) {
		for j, secret := range secrets {
			require.Equal(t, i == j, inspect.MemoryHas(t, c.cmd.Process.Pid, secret), "%q in the memory of process %d", secret, i)
		}
	}
}

// A link-local peer's address has a zone, which its socket is connected with; libsrt names it with every datagram,
// and tries to learn the zone's name.
func TestLinkLocal(t *testing.T) {
	address := inspect.LinkLocal(t)
	if address == "" {
		t.Log("no interface here has a link-local address")
		return
	}
	rw, _, reader := newBuffer(t)
	p := listen(t, "udp6", address)
	c := spawn(t)
	caller := transmitClip(t, p.url("?streamid=live"))
	p.hand(c, srt.Configure{Conn: "1", Stream: "live", Role: media.Publish}, rw)
	get(c, srt.MsgStats, units(50))
	require.NoError(t, caller.wait(), caller.out.String())
	get[srt.Failed](c, srt.MsgFailed, nil)
	require.Zero(t, c.exit(3*time.Second), c.stderr.String())
	require.Empty(t, c.stderr.String())
	requireClip(t, reader)
}
