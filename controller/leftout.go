package controller

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"brume/api"
	"brume/control"
	"brume/media/ts"
	"brume/srt"
)

const (
	// maxSaid bounds how many elementary streams are remembered as said.
	maxSaid = 4 * ts.MaxLeftOut
	// maxNamed bounds the elementary streams in one sentence.
	maxNamed = 3
)

// leftOut is what of a publisher's program is not carried, as its process says.
type leftOut struct {
	nothing bool // it has nothing that can be played
	list    []api.LeftOut
	said    []api.LeftOut // that the log has
}

// unplayable reports whether there is nothing to give to viewers. Where the transport stream is kept as it came, SRT viewers get
// that, whatever it holds.
func (s *stream) unplayable() bool { return s.publisher != nil && s.leftOut.nothing && s.raw < 0 }

// lacks says in a sentence why a stream can't be played.
func (s *stream) lacks() string {
	list := s.leftOut.list
	if len(list) == 0 {
		return "the publisher sends no audio and no video"
	}
	var parts []string
	for _, l := range list[:min(len(list), maxNamed)] {
		parts = append(parts, fmt.Sprintf("%s on PID %d %s", l.Type, l.PID, l.Reason.Text()))
	}
	if n := len(list) - maxNamed; n > 0 {
		parts = append(parts, fmt.Sprintf("and so on for %d more", n))
	}
	return "nothing that the publisher sends can be played: " + strings.Join(parts, ", ")
}

// heardLeftOut takes what a publisher's process says of one of its programs.
func (c *Controller) heardLeftOut(p *process, m control.Message) error {
	var l srt.LeftOut
	if err := m.Decode(&l); err != nil {
		return err
	}
	l.Bound()
	conn := p.conn
	s := conn.in
	if l.Of > 0 && l.Of <= len(conn.mapped) {
		s = conn.mapped[l.Of-1]
	} else if l.Of != 0 {
		return fmt.Errorf("%w: left-out of a program that was not asked for", control.ErrMalformed)
	}
	if s == nil || s.publisher != conn {
		return nil // a viewer has no say
	}
	c.setLeftOut(s, &l)
	for _, e := range s.leftOut.list {
		if slices.Contains(s.leftOut.said, e) || len(s.leftOut.said) == maxSaid {
			continue
		}
		s.leftOut.said = append(s.leftOut.said, e)
		c.linesOf(p).Log(c.log, slog.LevelInfo, "a part of the transport stream is not carried", "stream", s.Stream, "conn", conn.ID,
			"pid", e.PID, "type", e.Type, "stream_type", e.StreamType, "language", e.Language, "reason", string(e.Reason))
	}
	return nil
}

// setLeftOut notes what is left out, and lets those know who wait for it.
func (c *Controller) setLeftOut(s *stream, l *srt.LeftOut) {
	before := s.leftOut.nothing
	s.leftOut.nothing, s.leftOut.list = l.Nothing, nil
	for _, e := range l.List {
		s.leftOut.list = append(s.leftOut.list, api.LeftOut(e))
	}
	if before == l.Nothing {
		return
	}
	if info, err := s.reader.Info(); err == nil {
		s.info = info
		s.readTracks() // whether the transport stream is kept, which a new controller may not know yet
	}
	c.tellHTTP(s)
	c.tellStream(s)
	if !s.unplayable() {
		return
	}
	why := s.lacks()
	p := s.publisher.proc
	c.linesOf(p).Log(c.log, slog.LevelWarn, "the stream can't be played", "stream", s.Stream, "reason", why)
	for conn := range s.players {
		if conn.dialer == nil && conn.closing.IsZero() {
			c.turnAway(conn, causeUnplayable, why)
		}
	}
}
