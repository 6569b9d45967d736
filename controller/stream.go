package controller

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"brume/api"
	"brume/buffer"
	"brume/config"
	"brume/media"
	"brume/media/ts"
	"brume/outputs/httpd"
	"brume/srt"
)

// bufferRecord is what the store keeps of a buffer.
type bufferRecord struct {
	ID     uint64     `json:"id"`
	Stream string     `json:"stream"`
	Live   *time.Time `json:"live,omitempty"` // when the stream became live
}

func (r *bufferRecord) key() string { return strconv.FormatUint(r.ID, 10) }

// stream is a name that somebody publishes or has just published.
type stream struct {
	bufferRecord

	cfg       config.StreamConfig
	rw, ro    *os.File
	reader    *buffer.Reader
	publisher *connection
	players   map[*connection]bool
	successor *connection // a publisher that waits for the end of the old connection
	gone      time.Time   // since when the publisher is away
	over      time.Time   // since when the stream is over for good
	corrupt   bool        // the buffer can't be trusted any more

	info     buffer.Info
	moved    time.Time // when the last unit came in
	rates    rates
	input    *ts.Stats
	health   *ts.Health
	tracks   []api.Track
	tracksOf uint64        // epoch of tracks
	raw      int           // track of the transport stream as it came in that epoch, -1: it has none
	programs []api.Program // of the transport stream that the present publisher sends, else the last
	waits    ts.Wait       // what the publisher's process says that it waits for before the stream is live
	leftOut  leftOut
	bytesOut uint64 // of connections that have ended
	web      httpd.StreamStats
	told     api.StreamState // the last event said
	longGOP  int             // the keyframe distance that was told last because it is too long, seconds
}

// playable tells whether a viewer may come in: a publisher is there, or was a moment ago.
func (s *stream) playable() bool { return s != nil && s.over.IsZero() && !s.corrupt }

// holder is the connection that publishes.
func (s *stream) holder() *connection {
	if s == nil {
		return nil
	}
	return s.publisher
}

// taken tells whether a publisher would be refused.
func (s *stream) taken(now time.Time) bool {
	if s.holder() == nil {
		return false
	}
	if s.successor != nil && !s.successor.over {
		return true
	}
	if s.publisher.dialer != nil {
		return s.publisher.proc.alive() // a source that is connected stays, and is ended by the controller where it brings nothing
	}
	return now.Sub(s.publisher.moved(now)) < silence && s.publisher.proc.alive()
}

// enter lets a connection into its stream. A publisher's stream is made if it isn't there.
func (c *Controller) enter(conn *connection, role media.Role) error {
	if role == media.Play {
		s := c.streams[conn.Stream]
		s.players[conn] = true
		conn.in, conn.Buffer = s, s.ID
		return nil
	}
	s, err := c.occupy(conn, conn.Stream)
	if err != nil {
		return err
	}
	conn.in, conn.Buffer = s, s.ID
	return c.enterMapped(conn)
}

// occupy makes a connection the publisher of a stream.
func (c *Controller) occupy(conn *connection, name string) (*stream, error) {
	s := c.streams[name]
	if h := s.holder(); h != nil && h != conn {
		return nil, fmt.Errorf("the stream %s has a publisher already", name) // two would write into one buffer
	}
	if s != nil && (!s.over.IsZero() || s.corrupt) {
		c.removeStream(s)
		s = nil
	}
	if s == nil {
		var err error
		if s, err = c.openStream(name); err != nil {
			return nil, err
		}
	}
	s.publisher, s.waits = conn, ts.WaitTables
	c.setLeftOut(s, &srt.LeftOut{})
	s.leftOut = leftOut{} // what is left out of the next publisher's stream is said anew
	s.gone = time.Time{}
	s.moved = time.Now()
	s.health = nil // of the publisher before
	c.tellStream(s)
	return s, nil
}

func (c *Controller) openStream(name string) (*stream, error) {
	cfg := c.Config.Stream(name)
	rw, ro, err := buffer.Create(buffer.Options{
		Stream:        name,
		Size:          int64(cfg.Buffer.Size),
		Window:        time.Duration(cfg.Buffer.Window),
		SegmentTarget: time.Duration(cfg.Buffer.SegmentTarget),
		SegmentMax:    time.Duration(cfg.Buffer.SegmentMax),
		PartTarget:    partTarget(cfg.Buffer.PartTarget),
		Keyframes:     c.keyframes.of(name),
	})
	if err != nil {
		return nil, err
	}
	c.lastID++
	s, err := c.newStream(bufferRecord{ID: c.lastID, Stream: name}, rw, ro)
	if err != nil {
		return nil, err
	}
	if err := c.store.Put(kindBuffer, s.key(), s.bufferRecord, rw, ro); err != nil {
		c.closeStream(s)
		return nil, err
	}
	c.tellHTTP(s)
	return s, nil
}

// partTarget is the buffer's word for a setting: 0 stands for its default there, and for no parts in a configuration.
func partTarget(d config.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d)
}

// newStream takes over a buffer's descriptors.
func (c *Controller) newStream(r bufferRecord, rw, ro *os.File) (*stream, error) {
	s := &stream{bufferRecord: r, cfg: c.Config.Stream(r.Stream), rw: rw, ro: ro, players: map[*connection]bool{}, raw: -1}
	reader, err := buffer.OpenReader(ro)
	if err != nil {
		_ = rw.Close()
		_ = ro.Close()
		return nil, fmt.Errorf("open the buffer of %s: %w", r.Stream, err)
	}
	s.reader = reader
	s.info, _ = reader.Info()
	s.rates.reset(s.info.Head)
	c.streams[r.Stream] = s
	return s, nil
}

// playOut is how long the viewers of a stream that is over may take to send what they have and to let it be played. They end by themselves.
const playOut = 8 * time.Second

// publisherLeft ends the epoch that a dead writer left open, and keeps the viewers for the resume time.
func (c *Controller) publisherLeft(s *stream) {
	s.publisher = nil
	if s.reader == nil {
		return // it has been removed meanwhile
	}
	c.setLeftOut(s, &srt.LeftOut{})
	now := time.Now()
	s.gone = now
	if err := s.closeEpoch(now, false); err != nil {
		c.log.Error("the stream's buffer is not sound after its publisher's end; the stream is over", "stream", s.Stream, "error", err)
		s.corrupt = true
	}
	s.info, _ = s.reader.Info()
	c.tellStream(s)
	successor := s.successor
	s.successor = nil
	switch {
	case s.corrupt || s.info.State == buffer.Empty:
		c.removeStream(s)
	default:
		resume := time.Duration(s.cfg.Resume)
		c.log.Info("the publisher is gone; its viewers are kept", "stream", s.Stream, "for", resume.String())
	}
	if successor != nil && !successor.over {
		c.claim(successor)
	}
}

// closeEpoch writes what the writer of a buffer left unsaid.
func (s *stream) closeEpoch(now time.Time, final bool) error {
	info, err := s.reader.Info()
	if err != nil {
		return err
	}
	w, err := buffer.OpenWriter(s.rw)
	if err != nil {
		return err
	}
	defer w.Close()
	w.SetTime(now)
	if info.State == buffer.Live {
		if err := w.EndEpoch(); err != nil {
			return err
		}
	}
	if final {
		return w.Finish()
	}
	return nil
}

// age moves a stream without a publisher towards its end.
func (c *Controller) age(s *stream, now time.Time) {
	if s.publisher != nil || s.gone.IsZero() {
		return
	}
	if s.over.IsZero() {
		if now.Sub(s.gone) < time.Duration(s.cfg.Resume) {
			return
		}
		s.over = now
		c.log.Info("the stream is over", "stream", s.Stream)
		if err := s.closeEpoch(now, true); err != nil {
			c.log.Error("can't close the stream's buffer", "stream", s.Stream, "error", err)
			s.corrupt = true
		}
	}
	// Viewers play out what they have; a playlist that ended stays for half of the window, in which its segments can be fetched.
	if now.Sub(s.over) > playOut {
		c.endPlayers(s)
	}
	if s.corrupt || now.Sub(s.over) > time.Duration(s.cfg.Buffer.Window)/2 {
		c.removeStream(s)
	}
}

func (c *Controller) endPlayers(s *stream) {
	for conn := range s.players {
		c.closeConnection(conn)
	}
}

// removeStream forgets a stream that nobody publishes, and ends who still plays it.
func (c *Controller) removeStream(s *stream) {
	c.endPlayers(s)
	c.tellRemoved(s)
	_ = c.store.Remove(kindBuffer, s.key())
	if p := c.single(roleHTTP); p != nil {
		_ = p.ctl.Send(httpd.MsgRemove, httpd.Remove{Name: s.Stream, ID: s.ID})
	}
	c.closeStream(s)
}

func (c *Controller) closeStream(s *stream) {
	c.keyframes.note(s.Stream, s.info.Keyframes)
	if s.reader != nil {
		_ = s.reader.Close()
		s.reader = nil
	}
	_ = s.rw.Close()
	_ = s.ro.Close()
	if c.streams[s.Stream] == s {
		delete(c.streams, s.Stream)
	}
}

// readTracks describes the tracks of the newest epoch.
func (s *stream) readTracks() {
	if s.info.Epoch == s.tracksOf || s.info.Epoch == 0 {
		return
	}
	tracks, err := s.reader.Tracks(s.info.Epoch)
	if err != nil {
		return
	}
	s.tracksOf = s.info.Epoch
	s.tracks = describeTracks(tracks)
	s.raw = multiplex(tracks)
}

func describeTracks(tracks []media.Track) []api.Track {
	all := make([]api.Track, 0, len(tracks))
	for i := range tracks {
		t := &tracks[i]
		if t.Codec.Kind() == media.Multiplex {
			continue // none that a player chooses
		}
		d := api.Track{
			ID: i, PID: t.PID, Kind: t.Codec.Kind().String(), Codec: t.Codec, Language: t.Language, Role: t.Role,
			HLS: carriesFMP4(t.Codec), HLSTS: carriesTS(t.Codec),
		}
		if p, err := t.Params(); err == nil {
			d.Codecs, d.Width, d.Height, d.FrameRate = p.CodecString, p.Width, p.Height, p.FrameRate
			d.Interlaced, d.VideoRange, d.SampleRate, d.Channels = p.Interlaced, p.VideoRange, p.SampleRate, p.Channels
			d.Atmos, d.SupplementalCodecs = p.Objects > 0, p.Supplemental
		}
		all = append(all, d)
	}
	return all
}
