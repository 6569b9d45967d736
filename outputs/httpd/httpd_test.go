package httpd

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"brume/buffer"
	"brume/control"
	"brume/media"
	"brume/outputs/hls"
	"brume/test/logged"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// fixture is an http process and the controller's side of it.
type fixture struct {
	t       *testing.T
	ctl     *control.Conn
	address string
	done    chan error
	log     logged.Buffer
}

func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("panic") {
			panic("asked for")
		}
		_, _ = io.WriteString(w, s)
	})
}

func start(t *testing.T) *fixture {
	t.Helper()
	ctl, theirs, err := control.Pair()
	require.NoError(t, err)
	conn, err := control.New(theirs)
	require.NoError(t, err)
	conn.AcceptFiles()
	f := &fixture{t: t, ctl: ctl, done: make(chan error, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	o := Options{Sandbox: []string{"seccomp"}, Missing: []string{"landlock"}, Player: text("player"), Page: text("page"), Assets: text("assets")}
	go func() { f.done <- Run(ctx, conn, slog.New(slog.NewTextHandler(&f.log, nil)), o) }()
	t.Cleanup(func() {
		defer cancel()
		_ = ctl.Close()
		f.ended()
	})
	var h Hello
	f.hear(MsgHello, &h)
	require.Equal(t, Hello{PID: os.Getpid(), Sandbox: o.Sandbox, Missing: o.Missing}, h)
	l := f.listener()
	require.NoError(t, ctl.Send(MsgListen, nil, l))
	f.hear(MsgHello, &h)
	require.Len(t, h.Addresses, 1)
	f.address = h.Addresses[0]
	return f
}

// ended waits until the process is over; it may be asked twice.
func (f *fixture) ended() {
	f.t.Helper()
	select {
	case err := <-f.done:
		require.NoError(f.t, err)
		f.done <- nil
	case <-time.After(patience):
		f.t.Error("the http process does not end")
	}
}

func (f *fixture) listener() *os.File {
	f.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(f.t, err)
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = file.Close() })
	return file
}

// hear waits for a message of a type; others come in between.
func (f *fixture) hear(kind string, v any) {
	f.t.Helper()
	require.NoError(f.t, f.ctl.SetReadDeadline(time.Now().Add(patience)))
	for {
		m, _, err := f.ctl.Recv()
		require.NoError(f.t, err)
		if m.Type == kind {
			require.NoError(f.t, m.Decode(v))
			return
		}
	}
}

// refused waits for the Failed that answers a message.
func (f *fixture) refused(message, detail string) Failed {
	f.t.Helper()
	var failed Failed
	f.hear(MsgFailed, &failed)
	require.Equal(f.t, message, failed.Message)
	require.Contains(f.t, failed.Detail, detail)
	return failed
}

// live is the read-only file of a buffer with some seconds of sound in it.
func live(t *testing.T) *os.File {
	t.Helper()
	_, ro := liveBuffer(t)
	return ro
}

// liveBuffer returns both files of such a buffer.
func liveBuffer(t *testing.T) (rw, ro *os.File) {
	t.Helper()
	rw, ro, err := buffer.Create(buffer.Options{Stream: "live", Size: 4 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { _ = rw.Close(); _ = ro.Close() })
	w, err := buffer.OpenWriter(rw)
	require.NoError(t, err)
	defer w.Close()
	now := time.Now()
	w.SetTime(now)
	require.NoError(t, w.BeginEpoch([]media.Track{{Codec: media.AAC, Config: []byte{0x11, 0x90}}}))
	for at := int64(0); at < 4*media.ClockRate; at += 1920 {
		w.SetTime(now.Add(media.Duration(at)))
		require.NoError(t, w.WritePacket(&media.Packet{DTS: at, PTS: at, RandomAccess: true, Payload: make([]byte, 300)}))
	}
	w.Commit()
	return rw, ro
}

// get sends a request line as it stands: clients of the library would clean the path.
func (f *fixture) get(method, path string, header ...string) (*http.Response, string) {
	f.t.Helper()
	c, err := net.Dial("tcp", f.address)
	require.NoError(f.t, err)
	defer c.Close()
	require.NoError(f.t, c.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n%s\r\n", method, path, strings.Join(header, ""))
	require.NoError(f.t, err)
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	require.NoError(f.t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(f.t, err)
	return r, string(body)
}

func (f *fixture) add(id uint64, file *os.File) {
	f.t.Helper()
	f.addAs("live", id, file)
}

func (f *fixture) addAs(name string, id uint64, file *os.File) {
	f.t.Helper()
	require.NoError(f.t, f.ctl.SendWithin(patience, MsgStream, Stream{Name: name, ID: id}, file))
}

// counted asks for a report, which comes after what was asked before.
func (f *fixture) counted() Stats {
	f.t.Helper()
	require.NoError(f.t, f.ctl.SendWithin(patience, MsgReport, nil))
	var h Hello
	f.hear(MsgHello, &h)
	var s Stats
	f.hear(MsgStats, &s)
	return s
}

func TestRoutes(t *testing.T) {
	f := start(t)
	f.add(1, live(t))
	f.addAs("live+room1", 2, live(t))
	before := f.counted() // the streams are there then
	require.Zero(t, total(before))
	for _, c := range []struct {
		method, path string
		status       int
		body         string // part of it
	}{
		{"GET", "/", 200, "page"},
		{"GET", "/?x=1", 200, "page"},
		{"GET", "/live.html", 200, "player"},
		{"GET", "/unknown.html", 200, "player"}, // the page waits for the stream
		{"GET", "/assets/x.js", 200, "assets"},
		{"GET", "/favicon.ico", 200, "assets"},
		{"GET", "/hls/live/index.m3u8", 200, "#EXTM3U"},
		{"HEAD", "/hls/live/index.m3u8", 200, ""},
		{"GET", "/hls/live/ts/index.m3u8", 200, "#EXTM3U"},
		{"GET", "/hls/live", 302, "index.m3u8"},
		{"GET", "/hls/live/", 302, "index.m3u8"},
		{"GET", "/hls/other/index.m3u8", 404, "no such stream"},
		{"GET", "/hls/LIVE/index.m3u8", 404, "no such stream"},
		{"GET", "/hls/", 404, "no such stream"},
		{"GET", "/hls//live/index.m3u8", 404, "no such stream"},
		{"GET", "/hls/live/../live/index.m3u8", 404, ""},
		{"GET", "/hls/../../etc/passwd", 404, "no such stream"},
		{"GET", "/hls/%2e%2e/%2e%2e/etc/passwd", 404, "no such stream"},
		{"GET", "/hls/live%2findex.m3u8", 404, "no such stream"},
		{"GET", "/hls/live%2Findex.m3u8", 404, "no such stream"},
		{"GET", "/hls%2Flive/index.m3u8", 404, "nothing here"},
		{"GET", "/hls/live/v0%2Findex.m3u8", 404, ""},
		{"GET", "/hls/%6Cive/a0/index%2Em3u8", 200, "#EXTM3U"},
		{"GET", "/hls/live%252Froom1/index.m3u8", 404, "no such stream"},
		{"GET", "/hls/live+room1/index.m3u8", 200, "#EXTM3U"},
		{"GET", "/hls/live%2Broom1/index.m3u8", 200, "#EXTM3U"},
		{"GET", "/hls/live%2broom1/a0/index.m3u8", 200, "#EXTM3U"},
		{"GET", "/hls/live%20room1/index.m3u8", 404, "no such stream"},
		{"GET", "/live+room1.html", 200, "player"},
		{"GET", "/live%2Broom1.html", 200, "player"},
		{"GET", "/live%2Froom1.html", 404, "nothing here"},
		{"GET", "/hls/live/%00", 404, ""},
		{"GET", "/hls/live/v0/seg-1-1.m4s/../../index.m3u8", 404, ""},
		{"GET", "/hls/live/" + strings.Repeat("a", 8000), 404, ""},
		{"GET", "/hls", 404, "nothing here"},
		{"GET", "//", 404, "nothing here"},
		{"GET", "/..", 404, "nothing here"},
		{"GET", "/../etc/passwd", 404, "nothing here"},
		{"GET", "/.html", 404, "nothing here"},
		{"GET", "/a/b.html", 404, "nothing here"},
		{"GET", "/%2e%2e.html", 404, "nothing here"},
		{"GET", "/\U0001f600.html", 404, "nothing here"},
		{"GET", "/index.php?a=/../", 404, "nothing here"},
		{"GET", "/" + strings.Repeat("x", 101) + ".html", 404, "nothing here"},
		{"GET", "http://other.example/hls/live/index.m3u8", 200, "#EXTM3U"},
		{"GET", "/" + strings.Repeat("a", 32<<10), 431, ""},
		{"POST", "/hls/live/index.m3u8", 405, "only GET"},
		{"DELETE", "/", 405, "only GET"},
		{"TRACE", "/", 405, "only GET"},
		{"OPTIONS", "/hls/live/index.m3u8", 204, ""},
		{"OPTIONS", "/nowhere", 204, ""},
	} {
		t.Run(c.method+" "+c.path[:min(len(c.path), 60)], func(t *testing.T) {
			r, body := f.get(c.method, c.path)
			require.Equal(t, c.status, r.StatusCode, body)
			require.Contains(t, body, c.body)
			switch {
			case c.status == 405:
				require.Equal(t, "GET, HEAD, OPTIONS", r.Header.Get("Allow"))
			case c.method == "OPTIONS":
				require.Equal(t, "*", r.Header.Get("Access-Control-Allow-Origin"))
				require.Equal(t, "GET, HEAD, OPTIONS", r.Header.Get("Access-Control-Allow-Methods"))
				require.Contains(t, r.Header.Get("Access-Control-Allow-Headers"), "Range")
			case strings.HasPrefix(c.path, "/hls/"):
				require.Equal(t, "*", r.Header.Get("Access-Control-Allow-Origin"), "on errors too")
			}
			if strings.HasPrefix(c.path, "/hls/") && c.method != "OPTIONS" && c.status != 405 {
				require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
			}
			if c.status == 404 {
				require.Less(t, len(body), 200)
			}
			if c.status == 302 {
				require.Equal(t, "/hls/live/index.m3u8", r.Header.Get("Location"))
			}
		})
	}
	s := f.counted()
	require.Equal(t, s.Accepted-1, total(s), "every request but the one with headers that are too large")
	require.Zero(t, s.Panics)
	require.Zero(t, s.Active)
}

func total(s Stats) (n uint64) {
	for _, r := range s.Requests {
		n += r.Requests
	}
	return n
}

// served asks for a report, and returns what it tells of streams.
func (f *fixture) served() []StreamStats {
	f.t.Helper()
	f.counted()
	var s Streams
	f.hear(MsgStreams, &s)
	return s.Streams
}

// A segment that is listed and can't be made is an error of the server, in the counts and in the log.
func TestListedSegmentThatCantBeMade(t *testing.T) {
	f := start(t)
	rw, ro := liveBuffer(t)
	f.add(1, ro)
	f.counted()
	_, list := f.get("GET", "/hls/live/a0/index.m3u8")
	segment := regexp.MustCompile(`(?m)^seg-.*\.m4s$`).FindString(list)
	require.NotEmpty(t, segment, list)
	require.Zero(t, f.served()[0].Faults)
	require.NotContains(t, f.log.String(), "as it should")

	_, err := rw.WriteAt(bytes.Repeat([]byte{0xff}, 4<<20-4096), 4096)
	require.NoError(t, err)
	for range 3 {
		r, body := f.get("GET", "/hls/live/a0/"+segment)
		require.Equal(t, 500, r.StatusCode)
		require.Contains(t, body, "log")
	}
	require.Equal(t, Faults{Segment: 3}, f.served()[0].Faults)
	require.Equal(t, Faults{Segment: 3}, f.served()[0].Faults)
	lines := regexp.MustCompile(`.*as it should.* stream=live cause=segment times=(\d+) error="a0: segment \d+ of epoch \d+: .*`).FindAllStringSubmatch(f.log.String(), -1)
	times := 0
	for _, line := range lines {
		n, err := strconv.Atoi(line[1])
		require.NoError(t, err)
		times += n
	}
	require.Equal(t, 3, times, f.log.String())
}

func TestStreamsComeAndGo(t *testing.T) {
	f := start(t)
	status := func() int {
		r, _ := f.get("GET", "/hls/live/index.m3u8")
		return r.StatusCode
	}
	served := f.served
	require.Equal(t, 404, status())
	first, second := live(t), live(t)
	f.add(1, first)
	require.Equal(t, uint64(1), served()[0].ID)
	require.Equal(t, 200, status())
	_, _ = f.get("GET", "/live.html")
	all := served()
	require.Len(t, all, 1)
	require.Equal(t, []any{"live", uint64(1), uint64(1), uint64(1), 1}, []any{all[0].Name, all[0].ID, all[0].Requests, all[0].PlayerViews, all[0].Viewers})
	require.Positive(t, all[0].Bytes)

	f.add(1, second) // nothing new
	require.Equal(t, uint64(1), served()[0].Requests, "the buffer was not replaced")

	f.add(2, second)
	all = served()
	require.Len(t, all, 1)
	require.Equal(t, uint64(2), all[0].ID)
	require.Zero(t, all[0].Requests, "counted from anew")
	require.Equal(t, 200, status())

	require.NoError(t, f.ctl.SendWithin(patience, MsgRemove, Remove{Name: "live", ID: 1}))
	require.NoError(t, f.ctl.SendWithin(patience, MsgRemove, Remove{Name: "other", ID: 2}))
	require.Equal(t, uint64(2), served()[0].ID, "a late remove does not hit the successor")

	require.NoError(t, f.ctl.SendWithin(patience, MsgRemove, Remove{Name: "live", ID: 2}))
	f.counted()
	require.Equal(t, 404, status())
}

func TestMessagesThatCantBeObeyed(t *testing.T) {
	f := start(t)
	good := live(t)
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	send := func(kind string, body any, files ...*os.File) {
		require.NoError(t, f.ctl.SendWithin(patience, kind, body, files...))
	}
	send(MsgStream, Stream{Name: "live", ID: 7})
	require.Equal(t, Failed{Message: MsgStream, Stream: "live", ID: 7, Detail: "0 descriptors instead of 1"}, f.refused(MsgStream, ""))
	send(MsgStream, Stream{Name: "live", ID: 7}, good, good)
	f.refused(MsgStream, "2 descriptors")
	send(MsgStream, Stream{Name: "../x", ID: 7}, good)
	f.refused(MsgStream, "no stream name")
	send(MsgStream, Stream{Name: "live", ID: 7}, null)
	require.Equal(t, uint64(7), f.refused(MsgStream, "").ID)
	send(MsgStream, "no object", good)
	f.refused(MsgStream, "malformed")
	send(MsgRemove, 5)
	f.refused(MsgRemove, "malformed")
	send(MsgListen, nil, null)
	f.refused(MsgListen, "")
	send("what", nil, null)
	f.refused("what", "unknown type")

	require.Zero(t, f.counted().Malformed)
	fd, err := control.Descriptor(f.ctl.File())
	require.NoError(t, err)
	require.NoError(t, unix.Sendmsg(fd, []byte("{no json"), nil, nil, 0))
	require.Equal(t, uint64(1), f.counted().Malformed)
	r, _ := f.get("GET", "/")
	require.Equal(t, 200, r.StatusCode, "still serves")
}

func TestListeners(t *testing.T) {
	f := start(t)
	more := f.listener()
	var h Hello
	for range 2 { // the same one again changes nothing
		require.NoError(t, f.ctl.SendWithin(patience, MsgListen, nil, more))
		f.hear(MsgHello, &h)
		require.Len(t, h.Addresses, 2)
		require.Equal(t, f.address, h.Addresses[0])
	}
	f.address = h.Addresses[1]
	r, _ := f.get("GET", "/")
	require.Equal(t, 200, r.StatusCode)
}

func TestClose(t *testing.T) {
	f := start(t)
	f.add(1, live(t))
	// A request that is held, since its part is not there yet, ends with the process.
	held := make(chan int, 1)
	accepted := f.counted().Accepted
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	go func() {
		r, err := client.Get("http://" + f.address + "/hls/live/a0/index.m3u8?_HLS_msn=100000")
		if err == nil {
			_ = r.Body.Close()
			held <- r.StatusCode
			return
		}
		held <- 0
	}()
	// The test keeps the listening socket: a call that comes after the close would wait there for the next process.
	for begin := time.Now(); f.counted().Accepted == accepted && time.Since(begin) < patience; {
	}
	begin := time.Now()
	require.NoError(t, f.ctl.SendWithin(patience, MsgClose, nil))
	f.ended()
	require.Less(t, time.Since(begin), CloseGrace+3*time.Second)
	select {
	case <-held:
	case <-time.After(patience):
		t.Error("the held request never ended")
	}
}

func TestPanicIsOneRequests(t *testing.T) {
	f := start(t)
	r, body := f.get("GET", "/?panic")
	require.Equal(t, 500, r.StatusCode)
	require.Equal(t, "internal error\n", body)
	r, _ = f.get("GET", "/")
	require.Equal(t, 200, r.StatusCode)
	s := f.counted()
	require.Equal(t, uint64(1), s.Panics)
	require.Equal(t, []RequestCount{
		{Route: RoutePage, Class: "2xx", Requests: 1, Bytes: 4},
		{Route: RoutePage, Class: "5xx", Requests: 1, Bytes: 15},
	}, s.Requests)
}

// The bounds follow the limit of open files: connections, the segments that they are sent and those that are kept fit below it.
func TestBoundsFollowTheLimitOfFiles(t *testing.T) {
	require.Equal(t, carries{MaxConnections, hls.DefaultCacheFiles}, carriedBy(1<<20))
	require.Equal(t, carries{MaxConnections, hls.DefaultCacheFiles}, carriedBy(math.MaxUint64))
	require.Equal(t, carries{341, 21}, carriedBy(1024))
	for _, files := range []uint64{256, 512, 1024, 4096, 1 << 16} {
		c := carriedBy(files)
		require.Positive(t, c.connections)
		require.LessOrEqual(t, uint64(2*c.connections+2*c.cacheFiles), files, "%d files", files)
	}
}

func TestStreamsAndListenersAreBounded(t *testing.T) {
	s := &server{streams: map[string]*served{}}
	for i := range MaxStreams {
		s.streams[fmt.Sprint(i)] = &served{id: 1}
	}
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	require.ErrorContains(t, s.add(Stream{Name: "live", ID: 1}, f), "more than 4096 streams")
	require.ErrorIs(t, f.Close(), os.ErrClosed, "its descriptor is closed")
	for i := range MaxListeners {
		require.True(t, s.newAddress(fmt.Sprint(i)))
	}
	require.False(t, s.newAddress("one more"))
}

// TestBodyThatNeverComes has a client promise a body: it may not keep its connection by that.
func TestBodyThatNeverComes(t *testing.T) {
	f := start(t)
	c, err := net.Dial("tcp", f.address)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
	require.NoError(t, err)
	b, err := io.ReadAll(c)
	require.NoError(t, err, "the connection is closed")
	require.Contains(t, string(b), "200 OK")
}
