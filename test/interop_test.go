package test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gosrt "github.com/datarhei/gosrt"
	"github.com/stretchr/testify/require"
)

// call is what a caller has to know.
type call struct {
	address    string // host and port
	id         string // stream id
	passphrase string // empty for none
	key        int    // length of the key, in bytes, 0 without a passphrase
}

// url is the call as most programs want it. The names of passphrase and key length are libsrt's.
func (c call) url(further ...string) string {
	q := []string{"mode=caller", "streamid=" + c.id}
	if c.passphrase != "" {
		q = append(q, "passphrase="+c.passphrase, "pbkeylen="+strconv.Itoa(c.key))
	}
	return "srt://" + c.address + "?" + strings.Join(append(q, further...), "&")
}

// peer is a row of the matrix: a program that publishes a clip in real time, or plays to its standard output.
type peer struct {
	name    string
	longest int // key that it can, in bytes; 0 for all
	publish func(t *testing.T, c call, file string)
	play    func(t *testing.T, c call, out *os.File)
}

// peers are the rows. docs/srt.md has the table.
var peers = []peer{
	{
		"ffmpeg", 0,
		func(t *testing.T, c call, file string) {
			launch(t, "ffmpeg", "-nostdin", "-v", "error", "-re", "-i", file, "-map", "0", "-c", "copy", "-f", "mpegts", "-flush_packets", "0", c.url("pkt_size=1316"))
		},
		func(t *testing.T, c call, out *os.File) {
			playing(t, exec.Command("ffmpeg", "-nostdin", "-v", "error", "-i", c.url(), "-map", "0", "-c", "copy", "-f", "mpegts", "pipe:1"), out)
		},
	},
	{
		"srt-live-transmit", 0,
		func(t *testing.T, c call, file string) { feeding(t, file, liveTransmit(t, c.url())) },
		func(t *testing.T, c call, out *os.File) {
			playing(t, exec.Command("srt-live-transmit", c.url(), "file://con"), out)
		},
	},
	{
		"libsrt, blocking calls", 0,
		func(t *testing.T, c call, file string) {
			feeding(t, file, launchPiped(t, libsrtCaller(true, "publish", c)))
		},
		func(t *testing.T, c call, out *os.File) { playing(t, libsrtCaller(true, "play", c), out) },
	},
	{
		"libsrt, non-blocking calls", 0,
		func(t *testing.T, c call, file string) {
			feeding(t, file, launchPiped(t, libsrtCaller(false, "publish", c)))
		},
		func(t *testing.T, c call, out *os.File) { playing(t, libsrtCaller(false, "play", c), out) },
	},
	{
		// Its own demultiplexer, parsers and multiplexer are in the way, as in a real pipeline.
		"GStreamer", 0,
		func(t *testing.T, c call, file string) {
			gstreamer(t, nil, "filesrc location="+file+" ! "+remux+" ! srtsink sync=true uri="+c.url())
		},
		func(t *testing.T, c call, out *os.File) {
			gstreamer(t, out, "srtsrc uri="+c.url()+" ! "+remux+" ! fdsink fd=1")
		},
	},
	{
		// VLC 3 publishes over SRT to nobody: it connects and sends nothing, to libsrt's own listener neither.
		// Its multiplexer for transport streams drops what comes in fits and starts, so that it writes the pictures alone.
		"VLC", 0, nil,
		func(t *testing.T, c call, out *os.File) {
			cmd := exec.Command("cvlc", append(c.vlc(), "--no-sout-audio", "--sout", "#standard{access=file,mux=dummy,dst=-}")...)
			cmd.Env = append(os.Environ(), "HOME=/nonexistent")
			if os.Geteuid() == 0 { // VLC does not run as root
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			}
			playing(t, cmd, out)
		},
	},
	{
		// Longer keys than 16 bytes do not get it into libsrt's own listener either.
		"gosrt", 16,
		func(t *testing.T, c call, file string) { feeding(t, file, c.gosrt(t)) },
		func(t *testing.T, c call, out *os.File) {
			conn := c.gosrt(t)
			done := make(chan struct{})
			t.Cleanup(func() { _ = conn.Close(); <-done })
			go func() {
				defer close(done)
				_, _ = io.Copy(out, conn)
			}()
		},
	},
}

// remux takes a transport stream apart and makes a new one.
const remux = "tsdemux name=d d. ! queue ! h264parse ! m. d. ! queue ! aacparse ! m. mpegtsmux name=m alignment=7"

func gstreamer(t *testing.T, out *os.File, pipeline string) {
	t.Helper()
	playing(t, exec.Command("gst-launch-1.0", append([]string{"-q"}, strings.Fields(pipeline)...)...), out)
}

// vlc is the call in VLC's words. It takes every value as it stands, escapes included, and the length of a key only here.
func (c call) vlc() []string {
	u := "srt://" + c.address + "?streamid=" + c.id
	if c.passphrase == "" {
		return []string{"-q", u}
	}
	return []string{"-q", u + "&passphrase=" + c.passphrase, "--key-length=" + strconv.Itoa(c.key)}
}

func (c call) gosrt(t *testing.T) gosrt.Conn {
	t.Helper()
	config := gosrt.DefaultConfig()
	config.StreamId = c.id
	config.ConnectionTimeout = 20 * time.Second
	if c.passphrase != "" {
		config.Passphrase, config.PBKeylen = c.passphrase, c.key
	}
	conn, err := gosrt.Dial("srt", c.address, config)
	require.NoError(t, err)
	return conn
}

func playing(t *testing.T, cmd *exec.Cmd, out *os.File) {
	t.Helper()
	if out != nil {
		cmd.Stdout = out
	}
	launchCommand(t, cmd)
}

// feeding writes a clip to a publisher for as long as the test runs.
func feeding(t *testing.T, file string, to io.WriteCloser) {
	t.Helper()
	done := make(chan struct{})
	t.Cleanup(func() { _ = to.Close(); <-done })
	go func() {
		defer close(done)
		_ = feed(t, file, 60, to) // what did not come is missed at the other end
	}()
}

// reach is a column of the matrix: a way to call.
type reach struct {
	name string
	host string
	key  int
}

// reaches are the columns.
var reaches = []reach{
	{name: "IPv4", host: "127.0.0.1"},
	{name: "IPv6", host: "::1"},
	{name: "AES-128", host: "127.0.0.1", key: 16},
	{name: "AES-192", host: "127.0.0.1", key: 24},
	{name: "AES-256", host: "127.0.0.1", key: 32},
}

// Streams of the columns with a key have secrets, and players have another one than publishers.
const (
	publishSecret = "tell-it-to-nobody-else"
	playSecret    = "for-those-who-watch"
	secretStreams = `streams:
  "aes-*":
    srt:
      publish_passphrase: ` + publishSecret + `
      play_passphrase: ` + playSecret + `
`
)

// call tells a peer how to get at a stream.
func (c reach) call(s *server, role, stream string) call {
	_, port, err := net.SplitHostPort(s.srt)
	require.NoError(s.t, err)
	p := call{address: net.JoinHostPort(c.host, port), id: role + ":" + stream, key: c.key}
	switch {
	case c.key == 0:
	case role == "publish":
		p.passphrase = publishSecret
	default:
		p.passphrase = playSecret
	}
	return p
}

// TestInterop has each program publish and play in each way, both on streams of their own. What a publisher sent has the right tracks and every frame, and so
// has what a player got.
func TestInterop(t *testing.T) {
	t.Parallel()
	s := startWith(t, secretStreams, "BRUME_SRT_ADDRESS=:0", "BRUME_SRT_LATENCY=1500ms") // time for a busy machine
	file := plainClip(t)
	source := frames(t, file)
	six := true
	if c, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
		t.Logf("there is no IPv6 here: %v", err)
		six = false
	} else {
		_ = c.Close()
	}
	for i, p := range peers {
		for j, c := range reaches {
			if c.host == "::1" && !six || p.longest > 0 && c.key > p.longest {
				continue
			}
			stream := "cell-" + strconv.Itoa(i) + "-" + strconv.Itoa(j)
			if c.key > 0 {
				stream = "aes-" + stream
			}
			if p.publish != nil {
				t.Run(p.name+"/"+c.name+"/publishes", func(t *testing.T) {
					t.Parallel()
					s.in(t).requirePublishes(p, c, stream+"-in", file, source)
				})
			}
			t.Run(p.name+"/"+c.name+"/plays", func(t *testing.T) {
				t.Parallel()
				s.in(t).requirePlays(p, c, stream+"-out", file, source)
			})
		}
	}
}

// in is the server for a subtest.
func (s *server) in(t *testing.T) *server {
	c := *s
	c.t = t
	return &c
}

func (s *server) requirePublishes(p peer, c reach, stream, file string, source []string) {
	s.t.Helper()
	p.publish(s.t, c.call(s, "publish", stream), file)
	s.waitState(stream, "live")
	v := s.stream(stream)
	require.Len(s.t, v.Tracks, 2)
	require.Equal(s.t, "h264", v.Tracks[0].Codec)
	require.Equal(s.t, [2]int{320, 180}, [2]int{v.Tracks[0].Width, v.Tracks[0].Height})
	require.Equal(s.t, "aac", v.Tracks[1].Codec)
	s.requireKey("role=publish&stream="+stream, c.key)
	s.requireFrames(func(out *os.File) { peers[0].play(s.t, reaches[0].with(c).call(s, "read", stream), out) }, source)
}

func (s *server) requirePlays(p peer, c reach, stream, file string, source []string) {
	s.t.Helper()
	peers[0].publish(s.t, reaches[0].with(c).call(s, "publish", stream), file)
	s.waitState(stream, "live")
	s.requireFrames(func(out *os.File) { p.play(s.t, c.call(s, "read", stream), out) }, source)
	s.requireKey("role=play&stream="+stream, c.key)
}

// with is one with the secret of another, for the program at the other end.
func (c reach) with(o reach) reach {
	c.key = o.key
	return c
}

func (s *server) requireKey(query string, bytes int) {
	s.t.Helper()
	all := s.connections(query)
	require.Len(s.t, all, 1)
	require.Equal(s.t, bytes, all[0].SRT.KeyLength)
}

// enough is some three seconds of the clip, in bytes.
const enough = 180_000

// requireFrames lets a player write until there is enough, and compares its pictures with the source's.
func (s *server) requireFrames(play func(out *os.File), source []string) {
	s.t.Helper()
	name := filepath.Join(s.t.TempDir(), "out.ts")
	out, err := os.Create(name)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = out.Close() })
	play(out)
	s.eventually(40*time.Second, "three seconds of media", func() bool {
		i, err := os.Stat(name)
		return err == nil && i.Size() >= enough
	})
	whole, err := os.ReadFile(name)
	require.NoError(s.t, err)
	part := filepath.Join(s.t.TempDir(), "part.ts") // the file still grows
	require.NoError(s.t, os.WriteFile(part, whole[:len(whole)/188*188], 0o600))
	requireContiguous(s.t, source, frames(s.t, part), 50)
}
