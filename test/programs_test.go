package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// programView is what the API says of a program.
type programView struct {
	Number   int      `json:"number"`
	Name     string   `json:"name"`
	PMT      int      `json:"pmt_pid"`
	Selected bool     `json:"selected"`
	Streams  []string `json:"streams"`
}

func (s *server) programs(stream string) []programView {
	s.t.Helper()
	var v struct {
		Programs []programView `json:"programs"`
	}
	s.get("/api/v1/streams/"+stream, &v)
	return v.Programs
}

// Three programs, each of a picture and a tone of its own.
var channels = []struct {
	number int
	name   string
	size   string
	width  int
}{{11, "News HD", "320x180", 320}, {12, "Sport", "256x144", 256}, {30, "Kinder Überall", "192x108", 192}}

const channelSeconds = 60

// channel is the program i alone.
func channel(t *testing.T, i int) string {
	t.Helper()
	c := channels[i]
	// Marks from one channel don't occur in another, since sizes differ.
	return clip(t, "channel-"+c.size, channelSeconds,
		"-vf scale="+c.size+" -c:v libx264 -preset veryfast -g 30 -bf 2 -pix_fmt yuv420p -b:v 200k -c:a aac -b:a 48k")
}

// multiplex is a transport stream of all three programs.
func multiplex(t *testing.T) []byte {
	t.Helper()
	var inputs, maps, programs []string
	for i, c := range channels {
		inputs = append(inputs, "-i", channel(t, i))
		maps = append(maps, "-map", fmt.Sprint(i))
		programs = append(programs, "-program", fmt.Sprintf("title=%s:program_num=%d:st=%d:st=%d", c.name, c.number, 2*i, 2*i+1))
	}
	file := filepath.Join(t.TempDir(), "mux.ts")
	args := append([]string{"-nostdin", "-v", "error", "-y"}, inputs...)
	args = append(append(append(args, maps...), programs...), "-c", "copy", "-f", "mpegts", file)
	run(t, time.Minute, "ffmpeg", args...)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	return b
}

// sender sends a transport stream byte for byte, evenly over its duration.
type sender struct {
	stop chan struct{}
	done chan struct{}
	err  error
}

func (s *server) send(streamID string, stream []byte, duration time.Duration) *sender {
	s.t.Helper()
	conn, err := dial(s.t, s.srt, streamID)
	require.NoError(s.t, err)
	f := &sender{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		defer conn.Close()
		began := time.Now()
		for sent := 0; sent < len(stream); {
			due := int(float64(len(stream)) * float64(time.Since(began)) / float64(duration))
			for ; sent < min(due, len(stream)); sent += min(1316, len(stream)-sent) {
				if _, f.err = conn.Write(stream[sent:min(sent+1316, len(stream))]); f.err != nil {
					return
				}
			}
			select {
			case <-f.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		time.Sleep(time.Second) // what is under way arrives
	}()
	var once sync.Once
	s.t.Cleanup(func() {
		once.Do(func() { close(f.stop) })
		<-f.done
	})
	return f
}

// requireChannel records outputs of a stream and sees that they show exactly the pictures of a program.
func (s *server) requireChannel(stream string, i int, outputs ...string) {
	s.t.Helper()
	source := frames(s.t, channel(s.t, i))
	recorders := map[string]*program{}
	dir := s.t.TempDir()
	for _, name := range outputs {
		recorders[name] = record(s.t, s.outputs(stream)[name], filepath.Join(dir, name+".ts"), 5)
	}
	for name, r := range recorders {
		r.wait(s.t, 60*time.Second)
		require.NoError(s.t, r.err, name)
		file := filepath.Join(dir, name+".ts")
		p := probe(s.t, file)
		require.Len(s.t, p.Streams, 2, "%s %s", stream, name)
		require.Equal(s.t, channels[i].width, max(p.Streams[0].Width, p.Streams[1].Width), "%s %s", stream, name)
		requireContiguous(s.t, source, frames(s.t, file), 100)
	}
}

// TestProgramIsChosen publishes several programs and takes one by number, one by name, and the first where none is named.
func TestProgramIsChosen(t *testing.T) {
	t.Parallel()
	s := startWith(t, `
streams:
  number: {program: 12}
  name: {program: "Kinder Überall"}
  none: {program: 77}
  nobody: {program: "Weather"}
`)
	mux := multiplex(t)
	for _, name := range []string{"plain", "number", "name", "none", "nobody"} {
		s.send("publish:"+name, mux, channelSeconds*time.Second)
	}
	for i, name := range []string{"plain", "number", "name"} {
		s.waitPlayable(name)
		s.requireChannel(name, i, "hls", "srt")
		var selected []int
		for _, p := range s.programs(name) {
			if p.Selected {
				selected = append(selected, p.Number)
				require.Equal(t, []string{name}, p.Streams)
			}
		}
		require.Equal(t, []int{channels[i].number}, selected)
	}
	list := s.programs("none")
	require.Len(t, list, len(channels))
	for i, p := range list {
		require.Equal(t, channels[i].number, p.Number)
		require.Equal(t, channels[i].name, p.Name)
		require.False(t, p.Selected)
		require.NotZero(t, p.PMT)
	}
	require.Equal(t, 3.0, s.metric("brume_stream_programs", `stream="none"`))
	for _, word := range []string{`there is no program \"77\"`, `there is no program \"Weather\"`} {
		s.eventually(20*time.Second, "a log line says what is missing and what is there", func() bool {
			for line := range strings.Lines(s.log.String()) {
				if strings.Contains(line, word) && strings.Contains(line, "11 ") && strings.Contains(line, "Sport") && strings.Contains(line, `"level":"WARN"`) {
					return true
				}
			}
			return false
		})
	}
	require.Equal(t, "starting", s.stream("none").State)
	require.Equal(t, "program", s.stream("none").WaitsFor)
}

const mapping = `
streams:
  mux:
    program: "News HD"
    programs: {12: sport, "Kinder Überall": kids}
`

// TestProgramsBecomeStreams maps programs to streams of their own. One connection publishes them all.
func TestProgramsBecomeStreams(t *testing.T) {
	t.Parallel()
	s := startWith(t, mapping)
	s.send("publish:mux", multiplex(t), channelSeconds*time.Second)
	names := []string{"mux", "sport", "kids"}
	for _, name := range names {
		s.waitPlayable(name)
	}
	publishers := map[string]bool{}
	for i, name := range names {
		s.eventually(20*time.Second, "its process has reported all of "+name, func() bool {
			v := s.stream(name)
			taken := 0
			for _, p := range s.programs(name) {
				taken += len(p.Streams)
			}
			return v.Input["units"] > 0 && len(v.Tracks) == 2 && taken == len(names)
		})
		v := s.stream(name)
		require.NotNil(t, v.Publisher, name)
		publishers[v.Publisher.Connection] = true
		require.Equal(t, channels[i].width, v.Tracks[0].Width)
		for n, p := range s.programs(name) {
			require.Equal(t, n == i, p.Selected)
			require.Equal(t, []string{names[n]}, p.Streams)
		}
	}
	require.Len(t, publishers, 1, "one connection publishes all of them")
	all := s.connections("role=publish")
	require.Len(t, all, 1)
	require.Equal(t, "mux", all[0].Stream)
	require.Len(t, s.connections("role=publish&stream=kids"), 1)

	// A second publisher is refused on each.
	for i, id := range []string{"publish:sport", "publish:kids", "publish:mux"} {
		_, err := dial(t, s.srt, id)
		require.Error(t, err, id)
		require.EqualValues(t, i+1, s.metric("brume_srt_rejects_total", `code="1409"`))
	}
	for i, name := range names {
		s.requireChannel(name, i, "srt")
	}
	s.requireChannel("kids", 2, "hls")
}

// TestMappedStreamsOutliveTheController kills the controller, then the process that publishes.
func TestMappedStreamsOutliveTheController(t *testing.T) {
	t.Parallel()
	s := startWith(t, mapping)
	s.send("publish:mux", multiplex(t), channelSeconds*time.Second)
	names := []string{"mux", "sport", "kids"}
	for _, name := range names {
		s.waitPlayable(name)
	}
	dir := t.TempDir()
	recorders := map[string]*program{}
	for _, name := range names {
		recorders[name] = record(t, s.outputs(name)["srt"], filepath.Join(dir, name+".ts"), 6)
	}
	s.eventually(20*time.Second, "all play", func() bool { return len(s.connections("role=play")) == len(names) })
	before := s.connections("role=publish")
	require.Len(t, before, 1)
	s.kill(s.one("brume controller"))
	s.eventually(20*time.Second, "the next controller has adopted all", func() bool {
		for _, name := range names {
			v := s.stream(name)
			if v.State != "live" || v.Publisher == nil || v.Publisher.Connection != before[0].ID || v.Input["units"] == 0 || len(s.programs(name)) != 3 {
				return false
			}
		}
		return true
	})
	_, err := dial(t, s.srt, "publish:kids")
	require.Error(t, err)
	require.EqualValues(t, 1, s.metric("brume_srt_rejects_total", `code="1409"`))
	for i, name := range names {
		recorders[name].wait(t, 60*time.Second)
		require.NoError(t, recorders[name].err, name)
		requireContiguous(t, frames(t, channel(t, i)), frames(t, filepath.Join(dir, name+".ts")), 120)
	}
	s.kill(before[0].PID)
	for _, name := range names {
		s.waitState(name, "offline")
		status, _, _ := s.fetch("/hls/" + name + "/index.m3u8")
		require.Equal(t, http.StatusOK, status, "viewers are kept for the publisher to return")
	}
	// It comes back, and all streams with it.
	s.send("publish:mux", multiplex(t), channelSeconds*time.Second)
	for _, name := range names {
		s.waitState(name, "live")
	}
}

// TestMappedStreamIsTaken refuses a publisher of which a further stream is another's.
func TestMappedStreamIsTaken(t *testing.T) {
	t.Parallel()
	s := startWith(t, mapping)
	own := s.publish(plainClip(t), "publish:kids")
	s.waitState("kids", "live")
	_, err := dial(t, s.srt, "publish:mux")
	require.Error(t, err)
	require.Empty(t, s.stream("mux").Publisher)
	require.Empty(t, s.stream("sport").Publisher)
	require.Contains(t, s.log.String(), "the stream kids, which program Kinder Überall is mapped to, has a publisher already")
	require.True(t, own.running())

	// Without a stated mode it is found out later, and the connection is closed.
	f := s.send("mux", multiplex(t), channelSeconds*time.Second)
	s.eventually(20*time.Second, "it is closed", func() bool {
		select {
		case <-f.done:
			return true
		default:
			return false
		}
	})
	require.EqualValues(t, 2, s.metric("brume_srt_rejects_total", `code="1409"`))
	own.end()
	s.waitState("kids", "offline")
	s.send("publish:mux", multiplex(t), channelSeconds*time.Second)
	for _, name := range []string{"mux", "sport", "kids"} {
		s.waitState(name, "live")
	}
}
