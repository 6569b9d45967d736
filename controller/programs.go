package controller

import (
	"maps"
	"os"
	"slices"
	"time"

	"brume/api"
	"brume/control"
	"brume/media"
	"brume/srt"
	"brume/untrusted"
)

// A publisher's transport stream may hold several programs. The stream that the connection names gets one of them, and the
// configuration may send others to streams of their own. All of these are published by that connection: they begin and end
// together, its process has their buffers and no other.

// mappedRecord is what the store keeps of a further stream of a publisher.
type mappedRecord struct {
	Program string `json:"program"` // number, or name of the service
	Stream  string `json:"stream"`
	Buffer  uint64 `json:"buffer"` // id of the stream's buffer
}

// published are the streams that a connection publishes, the named one first.
func (conn *connection) published() (all []*stream) {
	if conn.in != nil && conn.in.publisher == conn {
		all = append(all, conn.in)
	}
	for _, s := range conn.mapped {
		if s.publisher == conn {
			all = append(all, s)
		}
	}
	return all
}

// feeds are the names of the further streams.
func (conn *connection) feeds() (names []string) {
	for i := range conn.Mapped {
		names = append(names, conn.Mapped[i].Stream)
	}
	return names
}

// moved is when the last unit came into any of the streams that a connection publishes.
func (conn *connection) moved(now time.Time) (last time.Time) {
	for _, s := range conn.published() {
		// The monitor may be late.
		if info, err := s.reader.Info(); err == nil && info.Head != s.info.Head {
			s.moved = now
		}
		if s.moved.After(last) {
			last = s.moved
		}
	}
	return last
}

// mayMap tells whether a publisher of a stream could have all the streams that its programs are mapped to.
func (c *Controller) mayMap(name string) bool {
	why, _ := c.mapRefusal(name)
	return why == ""
}

// mapRefusal says why a publisher of a stream is refused for the sake of a further stream: another connection publishes it, or
// it is locked. The cause is empty where nothing is in the way.
func (c *Controller) mapRefusal(name string) (cause, string) {
	own := c.streams[name].holder()
	programs := c.Config.Stream(name).Programs
	for _, program := range slices.Sorted(maps.Keys(programs)) {
		further := string(programs[program])
		what := "the stream " + further + ", which program " + string(program) + " is mapped to, "
		if h := c.streams[further].holder(); h != nil && h != own {
			return causeConflict, what + "has a publisher already"
		}
		if c.locked(further) {
			return causeLocked, what + "is locked by the API"
		}
	}
	return "", ""
}

// enterMapped makes a publisher that of the further streams, too.
func (c *Controller) enterMapped(conn *connection) error {
	programs := c.Config.Stream(conn.Stream).Programs
	for _, program := range slices.Sorted(maps.Keys(programs)) {
		s, err := c.occupy(conn, string(programs[program]))
		if err != nil {
			return err
		}
		conn.mapped = append(conn.mapped, s)
		conn.Mapped = append(conn.Mapped, mappedRecord{Program: string(program), Stream: s.Stream, Buffer: s.ID})
	}
	return nil
}

// adoptMapped does the same for a publisher that an earlier controller let in. It tells whether it has all of them; those that
// it still has are its own until it has ended.
func (c *Controller) adoptMapped(conn *connection) bool {
	all := true
	for i := range conn.Mapped {
		r := &conn.Mapped[i]
		if s := c.adoptPublished(conn, r.Stream, r.Buffer); s != nil {
			conn.mapped = append(conn.mapped, s)
		} else {
			all = false
		}
	}
	return all
}

// feed is what a connection's process is told of its buffers, and the buffers themselves.
func (c *Controller) feed(conn *connection) (*srt.Feed, []*os.File) {
	files := []*os.File{conn.in.file(conn.Role)}
	if conn.Role != media.Publish {
		return nil, files
	}
	cfg := c.Config.Stream(conn.Stream)
	f := &srt.Feed{Raw: bool(cfg.Raw), Program: string(cfg.Program)}
	for i, s := range conn.mapped {
		f.Mapped = append(f.Mapped, srt.MappedInput{Program: conn.Mapped[i].Program, Stream: s.Stream})
		files = append(files, s.rw)
	}
	return f, files
}

// mappedStats gives the further streams what the demultiplexer counted of them.
func (conn *connection) mappedStats() {
	for i, s := range conn.mapped {
		if i < len(conn.stats.Mapped) && s.publisher == conn {
			input := conn.stats.Mapped[i]
			s.input = &input
		}
	}
	conn.stats.Mapped = nil
}

// heardPrograms takes what a publisher says of its transport stream.
func (c *Controller) heardPrograms(conn *connection, m control.Message) error {
	var p srt.Programs
	if err := m.Decode(&p); err != nil {
		return err
	}
	p.Bound()
	streams := map[uint16][]string{}
	published := conn.published()
	for i, s := range published {
		if i < len(p.Taken) && p.Taken[i] != 0 {
			streams[p.Taken[i]] = append(streams[p.Taken[i]], s.Stream)
		}
	}
	for i, s := range published {
		if i < len(p.Waits) {
			s.waits = p.Waits[i]
		}
		if len(p.List) == 0 {
			continue // none is known yet
		}
		s.programs = make([]api.Program, 0, len(p.List))
		for _, q := range p.List {
			s.programs = append(s.programs, api.Program{
				Number: q.Number, Name: untrusted.Text(q.Name, len(q.Name)), Provider: untrusted.Text(q.Provider, len(q.Provider)), PMTPID: q.PMT,
				Selected: i < len(p.Taken) && p.Taken[i] == q.Number, Streams: streams[q.Number],
			})
		}
	}
	return nil
}

// multiplex is the track of a transport stream as it came, -1 if there is none.
func multiplex(tracks []media.Track) int {
	return slices.IndexFunc(tracks, func(t media.Track) bool { return t.Codec.Kind() == media.Multiplex })
}
