package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"brume/buffer"
	"brume/config"
	"brume/control"
	"brume/media"
	"brume/media/ts"
	"brume/srt"
)

// mapping is what the stream mux is made of: itself, sport and kids.
func mapping() config.StreamConfig {
	s := config.Default()
	return config.StreamConfig{
		Buffer: s.Buffer, Resume: s.Resume, Raw: true, Program: "7",
		Programs: map[config.Program]config.StreamName{"9": "sport", "Kids HD": "kids"},
	}
}

var mappedStreams = []string{"mux", "sport", "kids"}

// muxDesk is a controller with that mapping.
func muxDesk(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	d.Config.Streams = map[config.Pattern]config.StreamConfig{"mux": mapping()}
	return d
}

// requireGrant sees that a process has got exactly the buffers of its streams, all of them for writing.
func (d *desk) requireGrant(feed *srt.Feed, files []int) {
	d.t.Helper()
	require.Equal(d.t, &srt.Feed{
		Raw: true, Program: "7", Mapped: []srt.MappedInput{{Program: "9", Stream: "sport"}, {Program: "Kids HD", Stream: "kids"}},
	}, feed)
	require.Len(d.t, files, len(mappedStreams))
	for i, name := range mappedStreams {
		var got, want unix.Stat_t
		require.NoError(d.t, unix.Fstat(files[i], &got))
		rw, err := control.Descriptor(d.streams[name].rw)
		require.NoError(d.t, err)
		require.NoError(d.t, unix.Fstat(rw, &want))
		require.Equal(d.t, want.Ino, got.Ino, name)
		mode, err := unix.FcntlInt(uintptr(files[i]), unix.F_GETFL, 0)
		require.NoError(d.t, err)
		require.Equal(d.t, unix.O_RDWR, mode&unix.O_ACCMODE)
	}
}

func (d *desk) requirePublishers(conn *connection) {
	d.t.Helper()
	for _, name := range mappedStreams {
		require.NotNil(d.t, d.streams[name], name)
		require.Same(d.t, conn, d.streams[name].publisher, name)
		v := d.streams[name].view()
		require.Equal(d.t, conn.ID, v.Publisher.Connection)
	}
}

func descriptors(t *testing.T, q *peer, kind string, body any) (fds []int) {
	t.Helper()
	for _, f := range q.hearsOf(kind, body) {
		fd, err := control.Descriptor(f)
		require.NoError(t, err)
		fds = append(fds, fd)
	}
	return fds
}

func TestMappedStreamsAreGranted(t *testing.T) {
	t.Run("stated", func(t *testing.T) {
		d := muxDesk(t)
		q := d.admitted(1, "publish:mux")
		require.Empty(t, q.hearsOf(srt.MsgConfigure, nil), "nothing before it is connected")
		var b srt.Buffer
		files := descriptors(t, q, srt.MsgBuffer, &b)
		d.requireGrant(b.Feed, files)
		d.requirePublishers(q.p.conn)
		require.Equal(t, []string{"sport", "kids"}, q.p.conn.view().Feeds)
		for i, name := range []string{"publish:sport", "publish:kids", "publish:mux"} {
			v := d.calls(uint64(10+i), name)
			require.Equal(t, srt.RejectConflict, v.Reject, name)
		}
		d.ends(q, "killed by SIGKILL")
		require.Empty(t, d.streams, "nothing was written")
	})
	t.Run("shown", func(t *testing.T) {
		d := muxDesk(t)
		q := d.admitted(1, "mux")
		require.Empty(t, q.hearsOf(srt.MsgConfigure, nil))
		d.says(q, srt.MsgDirection, srt.Direction{Role: media.Publish})
		var b srt.Buffer
		files := descriptors(t, q, srt.MsgBuffer, &b)
		d.requireGrant(b.Feed, files)
		d.requirePublishers(q.p.conn)
	})
	t.Run("to a viewer, nothing", func(t *testing.T) {
		d := muxDesk(t)
		d.live(d.admitted(1, "publish:mux"))
		q := d.admitted(2, "read:mux")
		require.Len(t, q.hearsOf(srt.MsgConfigure, nil), 1)
	})
}

// TestMostPrograms: as many as a configuration may have fit into one message.
func TestMostPrograms(t *testing.T) {
	d := newDesk(t)
	m := mapping()
	m.Programs = map[config.Program]config.StreamName{}
	for i := range srt.MaxMapped {
		m.Programs[config.Program(strings.Repeat("ü", 120)+fmt.Sprint(i))] = config.StreamName(strings.Repeat("s", 97) + fmt.Sprint(i+10))
	}
	d.Config.Streams = map[config.Pattern]config.StreamConfig{"mux": m}
	q := d.admitted(1, "publish:mux")
	var b srt.Buffer
	require.Len(t, q.hearsOf(srt.MsgBuffer, &b), srt.MaxMapped+1)
	require.Len(t, b.Feed.Mapped, srt.MaxMapped)
}

// TestMappedStreamOfAnother refuses a publisher of which a further stream has another one.
func TestMappedStreamOfAnother(t *testing.T) {
	d := muxDesk(t)
	other := d.admitted(1, "publish:kids")
	v := d.calls(2, "publish:mux")
	require.Equal(t, srt.RejectConflict, v.Reject)
	require.Contains(t, v.Reason, "kids")
	undecided := d.admitted(3, "mux")
	d.says(undecided, srt.MsgDirection, srt.Direction{Role: media.Publish})
	undecided.hearsOf(srt.MsgClose, nil)
	require.Nil(t, d.streams["mux"])
	require.Nil(t, d.streams["sport"])
	d.silent("kids")
	require.Equal(t, srt.RejectConflict, d.calls(4, "publish:mux").Reject, "it is not taken from it either")
	require.False(t, other.p.killed)
	d.ends(undecided, "exit status 0")
	d.ends(other, "exit status 0")
	d.requirePublishers(d.admitted(5, "publish:mux").p.conn)
}

// TestMappedStreamIsLocked keeps its publisher out, too.
func TestMappedStreamIsLocked(t *testing.T) {
	d := muxDesk(t)
	d.server.Locked = []string{"sport"}
	v := d.calls(1, "publish:mux")
	require.Equal(t, srt.RejectLocked, v.Reject)
	require.Contains(t, v.Reason, "sport")
	q := d.admitted(2, "mux")
	d.says(q, srt.MsgDirection, srt.Direction{Role: media.Publish})
	q.hearsOf(srt.MsgClose, nil)
	require.Empty(t, d.streams)
	d.server.Locked = nil
	d.requirePublishers(d.admitted(3, "publish:mux").p.conn)
}

// TestOneProgramKeepsTheOthers: as long as any of its streams moves, a publisher is not silent.
func TestOneProgramKeepsTheOthers(t *testing.T) {
	d := muxDesk(t)
	q := d.admitted(1, "publish:mux")
	for _, name := range mappedStreams {
		d.silent(name)
	}
	d.streams["sport"].moved = time.Now()
	for i, name := range mappedStreams {
		require.Equal(t, srt.RejectConflict, d.calls(uint64(10+i), "publish:"+name).Reject, name)
	}
	require.False(t, q.p.killed)

	// When all of them are silent it comes back, and gets all of them again.
	d.silent("sport")
	next := d.admitted(20, "publish:mux")
	require.True(t, q.p.killed)
	q.p.pidfd = nil
	d.ends(q, "killed by SIGKILL")
	d.requirePublishers(next.p.conn)
	require.Len(t, next.hearsOf(srt.MsgBuffer, nil), len(mappedStreams))
}

// TestMappedStreamsEndTogether: epochs are closed, viewers are kept, and the next publisher has all of them.
func TestMappedStreamsEndTogether(t *testing.T) {
	d := muxDesk(t)
	q := d.admitted(1, "publish:mux")
	for _, name := range mappedStreams {
		s := d.streams[name]
		w, err := buffer.OpenWriter(s.rw)
		require.NoError(t, err)
		writeUnit(w, time.Now(), 1)
		require.NoError(t, w.Close())
		d.lookAt(s, time.Now())
	}
	ids := map[string]uint64{}
	d.ends(q, "killed by SIGKILL")
	for _, name := range mappedStreams {
		s := d.streams[name]
		require.Nil(t, s.publisher)
		info, err := s.reader.Info()
		require.NoError(t, err)
		require.Equal(t, buffer.Ended, info.State, name)
		ids[name] = s.ID
	}
	again := d.admitted(2, "publish:mux")
	d.requirePublishers(again.p.conn)
	for _, name := range mappedStreams {
		require.Equal(t, ids[name], d.streams[name].ID, "the same buffer")
	}
	d.says(again, srt.MsgFailed, srt.Failed{Reason: srt.FailBuffer})
	for _, name := range mappedStreams {
		require.True(t, d.streams[name].corrupt, "which of its buffers is bad, it does not say")
	}
}

func TestMappedStreamsAreAdopted(t *testing.T) {
	record := func() *connRecord {
		return &connRecord{
			ID: "c", Stream: "mux", Buffer: 11, Role: media.Publish, Since: time.Now(), Connected: &srt.Connected{},
			Mapped: []mappedRecord{{"9", "sport", 12}, {"Kids HD", "kids", 13}},
		}
	}
	l := newLegacy(t)
	l.Config.Streams = map[config.Pattern]config.StreamConfig{"mux": mapping()}
	for i, name := range mappedStreams {
		l.buffer(uint64(11+i), name, buffer.Live)
	}
	q := l.process(20, roleConnection, record())
	l.adopted()
	func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		conn := l.connections["c"]
		l.requirePublishers(conn)
		require.True(t, conn.closing.IsZero())
		l.directed(conn, media.Publish) // the controller before may have died before it gave the buffers
	}()
	var b srt.Buffer
	files := descriptors(t, q, srt.MsgBuffer, &b)
	l.requireGrant(b.Feed, files)

	t.Run("a buffer is gone", func(t *testing.T) {
		l := newLegacy(t)
		for i, name := range mappedStreams[:2] {
			l.buffer(uint64(11+i), name, buffer.Live)
		}
		q := l.process(20, roleConnection, record())
		l.adopted()
		q.hearsOf(srt.MsgClose, nil)
	})
}

func TestProgramsAreHeard(t *testing.T) {
	d := muxDesk(t)
	q := d.admitted(1, "publish:mux")
	d.says(q, srt.MsgPrograms, srt.Programs{
		List:  []srt.Program{{Number: 7, PMT: 0x100, Name: "News", Provider: "Tel"}, {Number: 9, PMT: 0x200}, {Number: 10, Name: "Kids HD"}},
		Taken: []uint16{7, 9, 10, 99},
	})
	for i, name := range mappedStreams {
		v, err := d.Stream(name)
		require.NoError(t, err)
		require.Equal(t, ts.WaitTables, v.WaitsFor, "before anything is told")
		require.Len(t, v.Programs, 3)
		for n, p := range v.Programs {
			require.Equal(t, n == i, p.Selected)
			require.Equal(t, []string{mappedStreams[n]}, p.Streams)
		}
	}
	v, _ := d.Stream("mux")
	require.Equal(t, "News", v.Programs[0].Name)
	require.EqualValues(t, 0x100, v.Programs[0].PMTPID)

	d.says(q, srt.MsgStats, srt.ConnStats{Demux: &ts.Stats{Units: 1}, Mapped: []ts.Stats{{Units: 2}, {Units: 3}, {Units: 4}}})
	for i, name := range mappedStreams {
		v, _ := d.Stream(name)
		require.EqualValues(t, i+1, v.Input.Units)
	}
	d.says(q, srt.MsgStats, srt.ConnStats{Health: &ts.Health{PIDsTotal: 9}})
	for _, name := range mappedStreams {
		v, _ := d.Stream(name)
		require.NotNil(t, v.Health, "it is that of the one transport stream")
		require.Equal(t, 9, v.Health.PIDsTotal)
	}

	d.says(q, srt.MsgPrograms, srt.Programs{Waits: []ts.Wait{ts.WaitKeyframe, "", "anything", ts.WaitAudio}})
	for i, want := range []ts.Wait{ts.WaitKeyframe, "", ""} {
		v, _ := d.Stream(mappedStreams[i])
		require.Equal(t, want, v.WaitsFor)
		require.Len(t, v.Programs, 3, "those that were told before")
	}

	// A process that was taken over.
	long := strings.Repeat("\xff€", 500)
	bad := srt.Programs{}
	for i := range 500 {
		bad.List = append(bad.List, srt.Program{Number: uint16(i), Name: long, Provider: long})
		bad.Taken, bad.Waits = append(bad.Taken, uint16(i)), append(bad.Waits, ts.Wait(long))
	}
	d.says(q, srt.MsgPrograms, bad)
	v, _ = d.Stream("mux")
	require.Len(t, v.Programs, srt.MaxPrograms)
	require.LessOrEqual(t, len(v.Programs[0].Name), 64*3)
	viewer := d.admitted(2, "read:mux")
	d.says(viewer, srt.MsgPrograms, srt.Programs{List: []srt.Program{{Number: 1}}, Taken: []uint16{1}})
	d.says(viewer, srt.MsgStats, srt.ConnStats{Demux: &ts.Stats{Units: 100}, Mapped: []ts.Stats{{Units: 100}}})
	v, _ = d.Stream("mux")
	require.Len(t, v.Programs, srt.MaxPrograms, "a viewer's word is none")
	require.EqualValues(t, 1, v.Input.Units)
}
