package test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// rawPacket is a packet of a PID that no demultiplexer takes: padding, or something scrambled, or data of unknown kind.
func rawPacket(random *rand.Rand, pid uint16, control byte, counter int) []byte {
	p := make([]byte, ts.PacketSize)
	for i := range p {
		p[i] = byte(random.Uint32())
	}
	p[0] = ts.SyncByte
	binary.BigEndian.PutUint16(p[1:], pid)
	p[3] = control | byte(counter)&0x0F
	return p
}

// withStrangers adds to a transport stream what only passthrough carries: a PID with teletext, a scrambled one, private
// sections, and null packets whose content tells them apart.
func withStrangers(stream []byte) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	out := make([]byte, 0, len(stream)*5/4)
	for n := 0; n+ts.PacketSize <= len(stream); n += ts.PacketSize {
		out = append(out, stream[n:n+ts.PacketSize]...)
		switch i := n / ts.PacketSize; i % 16 {
		case 3:
			out = append(out, rawPacket(random, 0x1FFF, 0x10, 0)...)
		case 7:
			out = append(out, rawPacket(random, 0x0BAD, 0x10, i/16)...)
		case 11:
			out = append(out, rawPacket(random, 0x0B0E, 0xD0, i/16)...)
		case 15:
			out = append(out, rawPacket(random, 0x0012, 0x10, i/16)...)
		}
	}
	return out
}

// section is a packet with a section of the long form.
func sectionPacket(pid uint16, table byte, extension uint16, counter int, body []byte) []byte {
	s := []byte{table, 0xB0, byte(len(body) + 9), byte(extension >> 8), byte(extension), 0xC1, 0, 0}
	s = ts.AppendCRC32(append(s, body...))
	p := []byte{ts.SyncByte, 0x40 | byte(pid>>8), byte(pid), 0x10 | byte(counter)&0x0F, 0}
	p = append(p, s...)
	return append(p, bytes.Repeat([]byte{0xFF}, ts.PacketSize-len(p))...)
}

// teletext is a transport stream that has nothing but teletext (ETSI EN 300 472), of which nothing is taken.
func teletext(packets int) []byte {
	random := rand.New(rand.NewPCG(5, 6))
	var b []byte
	for i := range packets {
		if i%50 == 0 {
			b = append(b, sectionPacket(ts.PIDPAT, ts.TablePAT, 1, i/50, []byte{0, 1, 0xE1, 0})...)
			b = append(b, sectionPacket(0x100, ts.TablePMT, 1, i/50,
				[]byte{0xFF, 0xFF, 0xF0, 0, ts.StreamTypePrivate, 0xE1, 1, 0xF0, 7, 0x56, 5, 'd', 'e', 'u', 0x09, 0})...)
		}
		b = append(b, rawPacket(random, 0x101, 0x10, i)...)
	}
	return b
}

// capture is a plain receiver: whatever comes, byte for byte.
type capture struct {
	mu   sync.Mutex
	got  []byte
	done chan struct{}
}

func (c *capture) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.got)
}

func (c *capture) add(r io.Reader) {
	b := make([]byte, 64<<10)
	for {
		n, err := r.Read(b)
		c.mu.Lock()
		c.got = append(c.got, b[:n]...)
		c.mu.Unlock()
		if err != nil {
			close(c.done)
			return
		}
	}
}

// capture plays a stream with gosrt.
func (s *server) capture(stream string) *capture {
	s.t.Helper()
	conn, err := dial(s.t, s.srt, "read:"+stream)
	require.NoError(s.t, err)
	c := &capture{done: make(chan struct{})}
	go c.add(conn)
	s.t.Cleanup(func() {
		_ = conn.Close()
		<-c.done
	})
	return c
}

// transmit plays a stream with srt-live-transmit.
func (s *server) transmit(stream string) *capture {
	s.t.Helper()
	cmd := exec.Command("srt-live-transmit", "-q", "srt://"+s.srt+"?streamid=read:"+stream+"&latency=1000", "file://con")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, cmd.Start())
	c := &capture{done: make(chan struct{})}
	go c.add(out)
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-c.done
		_ = cmd.Wait()
	})
	return c
}

// requireRange sees that what was received is a part of what was sent, and returns where it begins.
func requireRange(t *testing.T, sent, got []byte) (first int) {
	t.Helper()
	require.GreaterOrEqual(t, len(got), 100*ts.PacketSize)
	require.Zero(t, len(got)%ts.PacketSize)
	first = bytes.Index(sent, got[:20*ts.PacketSize])
	require.GreaterOrEqual(t, first, 0, "the first packets were never sent like that")
	require.Zero(t, first%ts.PacketSize)
	require.LessOrEqual(t, first+len(got), len(sent))
	for i := 0; i < len(got); i += ts.PacketSize {
		if !bytes.Equal(got[i:i+ts.PacketSize], sent[first+i:first+i+ts.PacketSize]) {
			require.FailNow(t, "not what was sent", "packet %d of %d", i/ts.PacketSize, len(got)/ts.PacketSize)
		}
	}
	return first
}

const rawConfig = `
streams:
  live: {raw: true}
`

func (s *server) rawView(stream string) (v struct {
	Raw     bool   `json:"raw"`
	Bitrate uint64 `json:"raw_bitrate"`
	Tracks  []any  `json:"tracks"`
	Bytes   uint64 `json:"bytes_in"`
	Buffer  struct {
		Epochs int `json:"epochs"`
	} `json:"buffer"`
},
) {
	s.t.Helper()
	s.get("/api/v1/streams/"+stream, &v)
	return v
}

// TestPassthroughIsByteExact publishes what has more in it than any demultiplexer takes, and plays it with three peers. Each gets
// an unbroken range of what was sent, which begins with the tables and a picture that can be decoded; HLS is as ever.
func TestPassthroughIsByteExact(t *testing.T) {
	t.Parallel()
	s := startWith(t, rawConfig)
	file := plainClip(t)
	plain, err := os.ReadFile(file)
	require.NoError(t, err)
	sent := withStrangers(plain)
	s.send("publish:live", sent, 60*time.Second)
	s.waitPlayable("live")
	dir := t.TempDir()
	hls := record(t, s.outputs("live")["hls"], filepath.Join(dir, "hls.ts"), 6)
	tsHLS := record(t, s.outputs("live")["ts"], filepath.Join(dir, "ts.ts"), 6)
	// ffmpeg takes the strangers for streams that it knows nothing of.
	player := launch(t, "ffmpeg", "-nostdin", "-v", "warning", "-i", s.outputs("live")["srt"], "-map", "0:v:0", "-c", "copy", "-t", "6", filepath.Join(dir, "srt.ts"))
	captures := map[string]*capture{"gosrt": s.capture("live"), "srt-live-transmit": s.transmit("live")}
	source := frames(t, file)
	for name, c := range captures {
		s.eventually(40*time.Second, name+" has received something", func() bool { return len(c.bytes()) > len(sent)/8 })
		got := c.bytes()
		got = got[:len(got)/ts.PacketSize*ts.PacketSize]
		requireRange(t, sent, got)
		require.Equal(t, []byte{ts.SyncByte, 0x40, 0}, got[:3], "%s: it begins with the PAT", name)
		out := filepath.Join(dir, name+".ts")
		require.NoError(t, os.WriteFile(out, got, 0o600))
		pictures := frames(t, out, "-fflags", "+discardcorrupt")
		requireContiguous(t, source, pictures, 100)
		require.Zero(t, indexOf(source, pictures[0])%30, "%s: a picture that needs no other comes first", name)
	}
	for name, p := range map[string]*program{"hls": hls, "ts": tsHLS, "srt": player} {
		p.wait(t, 60*time.Second)
		require.NoError(t, p.err, name)
		requireContiguous(t, source, frames(t, filepath.Join(dir, name+".ts")), 120)
	}
	v := s.rawView("live")
	require.True(t, v.Raw)
	require.Len(t, v.Tracks, 2)
	require.Equal(t, 1, v.Buffer.Epochs)
	require.InDelta(t, float64(len(sent))*8/60, float64(v.Bitrate), float64(len(sent))*8/60/2)
	require.Equal(t, 1.0, s.metric("brume_stream_raw", `stream="live"`))
}

func indexOf(all []string, one string) int {
	for i, a := range all {
		if a == one {
			return i
		}
	}
	return -1
}

// TestPassthroughCrossesEpochs plays on when the picture changes its size and when the clock jumps: nothing is lost, nothing
// comes twice.
func TestPassthroughCrossesEpochs(t *testing.T) {
	t.Parallel()
	s := startWith(t, rawConfig)
	small := clip(t, "small", 8, "-c:v libx264 -preset veryfast -g 30 -bf 2 -pix_fmt yuv420p -b:v 300k -c:a aac")
	large := clip(t, "large", 30, "-vf scale=640:360 -c:v libx264 -preset veryfast -g 30 -bf 2 -pix_fmt yuv420p -b:v 500k -c:a aac -output_ts_offset 8")
	var sent []byte
	for _, file := range []string{small, large, small} { // and back to an earlier time
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		if file == large {
			b = b[:len(b)/3/ts.PacketSize*ts.PacketSize]
		}
		sent = append(sent, b...)
	}
	f := s.send("publish:live", sent, 26*time.Second)
	s.waitPlayable("live")
	early := s.capture("live")
	s.eventually(40*time.Second, "epochs change", func() bool { return s.rawView("live").Buffer.Epochs >= 2 })
	late := s.capture("live")
	select {
	case <-f.done:
	case <-time.After(60 * time.Second):
		t.Fatal("the sender does not end")
	}
	require.NoError(t, f.err)
	require.GreaterOrEqual(t, s.rawView("live").Buffer.Epochs, 3)
	for _, c := range []*capture{early, late} {
		first := requireRange(t, sent, c.bytes())
		require.Equal(t, len(sent), first+len(c.bytes()), "up to the last byte")
	}
}

// TestPassthroughWithoutTracks publishes what has no track that is understood.
func TestPassthroughWithoutTracks(t *testing.T) {
	t.Parallel()
	s := startWith(t, rawConfig)
	sent := teletext(20000)
	f := s.send("publish:live", sent, 20*time.Second)
	s.waitState("live", "live")
	v := s.rawView("live")
	require.True(t, v.Raw)
	require.Empty(t, v.Tracks)
	c := s.capture("live")
	s.eventually(20*time.Second, "it is received", func() bool { return len(c.bytes()) > 2000*ts.PacketSize })
	status, body, _ := s.fetch("/hls/live/index.m3u8")
	require.Equal(t, http.StatusUnsupportedMediaType, status, "there is nothing for HLS in it")
	require.Contains(t, string(body), "teletext")
	select {
	case <-f.done:
	case <-time.After(60 * time.Second):
		t.Fatal("the sender does not end")
	}
	got := c.bytes()
	first := requireRange(t, sent, got)
	require.Equal(t, len(sent), first+len(got), "up to the last byte")
	require.Equal(t, []byte{ts.SyncByte, 0x40, 0}, got[:3], "it begins with the PAT")
}
