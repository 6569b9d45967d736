package controller

import (
	"time"

	"brume/media"
	"brume/srt"
)

// directed lets a connection whose role has shown itself into its stream, or ends it.
func (c *Controller) directed(conn *connection, role media.Role) {
	if role != media.Publish && role != media.Play || conn.Connected == nil || !conn.closing.IsZero() || c.stopping {
		return
	}
	if conn.in != nil && conn.Role == role && conn.adopted {
		c.grant(conn)
	}
	if conn.Role != "" || conn.in != nil {
		return
	}
	conn.seems = role
	switch {
	case c.locked(conn.Stream):
		c.turnAway(conn, causeLocked, "the stream is locked by the API")
	case role == media.Play && c.streams[conn.Stream].holder() == nil:
		// A viewer that is early, or a publisher whose encoder is still starting: it may show more.
		c.demand(conn.Stream, time.Now())
	case role == media.Play && c.streams[conn.Stream].unplayable():
		c.turnAway(conn, causeUnplayable, c.streams[conn.Stream].lacks())
	case conn.Only != "" && conn.Only != role:
		c.turnAway(conn, causeForbidden, "it may "+conn.Only.String()+" the stream only, by the access entries or the stream's passphrases")
	case role == media.Publish:
		c.claim(conn)
	default:
		c.admit(conn, role)
	}
}

// claim makes a caller that is connected, and has so proven its passphrase, the publisher of its stream. A stream has one: a
// publisher that is silent gives way, and is gone before the new one has a buffer; any other stays.
func (c *Controller) claim(conn *connection) {
	s := c.streams[conn.Stream]
	old := s.holder()
	if !conn.closing.IsZero() || conn.over || c.stopping || old != nil && s.successor == conn {
		return
	}
	if conn.in != nil {
		if conn.adopted {
			c.grant(conn)
		}
		return
	}
	inTheWay, reason := c.mapRefusal(conn.Stream)
	switch {
	case c.locked(conn.Stream):
		c.turnAway(conn, causeLocked, "the stream is locked by the API")
	case inTheWay != "":
		c.turnAway(conn, inTheWay, reason)
	case s.taken(time.Now()):
		c.turnAway(conn, causeConflict, "the stream has a publisher already")
	case old != nil:
		// The new one's media waits in its process until the old one is gone.
		c.log.Info("a publisher has come back; its silent connection gives way", "stream", conn.Stream, "conn", old.ID, "peer", conn.Peer)
		s.successor = conn
		old.proc.kill()
	default:
		c.admit(conn, media.Publish)
	}
}

// admitEarly lets in those who wait for a stream to play, once it has a publisher.
func (c *Controller) admitEarly(name string) {
	for _, conn := range c.connections {
		if conn.Stream == name && conn.Role == "" && conn.seems == media.Play && conn.in == nil && conn.closing.IsZero() {
			c.directed(conn, media.Play)
		}
	}
}

// admit gives a connection whose role is known its buffer.
func (c *Controller) admit(conn *connection, role media.Role) {
	if err := c.enter(conn, role); err != nil {
		c.log.Error("can't open a stream", "stream", conn.Stream, "error", err)
		c.turnAway(conn, causeBuffer, "the stream's buffer can't be made")
		return
	}
	if conn.Role == "" {
		c.log.Info("an SRT connection has shown its role", "conn", conn.ID, "stream", conn.Stream, "role", role.String(), "peer", conn.Peer)
	}
	conn.Role = role
	c.grant(conn)
}

// grant hands a connection the buffer of its stream, once the store knows of that. It may be granted again.
func (c *Controller) grant(conn *connection) {
	conn.adopted = false
	if c.record(conn.proc) != nil {
		conn.proc.kill()
		return
	}
	feed, files := c.feed(conn)
	if err := conn.proc.ctl.Send(srt.MsgBuffer, srt.Buffer{Role: conn.Role, Feed: feed}, files...); err != nil {
		c.putDown(conn.proc, faultBuffer)
	}
}
