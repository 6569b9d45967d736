package controller

import (
	"brume/media"
	"brume/place"
)

// hasRoom holds a caller against the limits. It comes last: a caller that is not admitted anyway is told why.
func (c *Controller) hasRoom(k *caller, d *decision) {
	if len(c.pool.waiting) >= maxWaiting {
		d.refuse(causeNoProcess, "too many callers are waiting for a process")
		return
	}
	if c.filesLeft() < filesOfProcess+filesOfStream {
		d.refuse(causeConnections, errFiles.Error())
		return
	}
	from := place.Of(k.peer)
	var gives *connection // that gives way to this caller
	if d.role == media.Publish {
		gives = c.streams[d.stream].holder()
	}
	all, here := 0, 0
	for _, conn := range c.connections {
		if conn == gives || !conn.place.IsValid() {
			continue
		}
		all++
		if conn.place == from {
			here++
		}
	}
	l := &c.Config.Limits
	switch {
	case reached(all, int(l.Connections)):
		d.refuse(causeConnections, "the server is full; see limits.connections")
	case reached(here, int(l.PerAddress)):
		d.refuse(causePerAddress, "this address has too many connections; see limits.per_address")
	case reached(c.connectedTo(d.stream, gives), int(l.PerStream)):
		d.refuse(causePerStream, crowdedReason)
	}
}

// reached reports whether there are as many as there may be, 0 for no limit.
func reached(n, most int) bool { return most > 0 && n >= most }

const crowdedReason = "the stream has too many connections; see limits.per_stream"

// connectedTo counts the callers of a stream whose handshake is finished, except one. Who knows no passphrase can't use up the
// places of a stream.
func (c *Controller) connectedTo(stream string, except *connection) (n int) {
	for _, conn := range c.connections {
		if conn != except && conn.place.IsValid() && conn.Stream == stream && conn.Connected != nil && conn.closing.IsZero() {
			n++
		}
	}
	return n
}

// crowded reports whether a caller that has just connected is one too many for its stream: others have finished their handshakes
// meanwhile.
func (c *Controller) crowded(conn *connection) bool {
	n := c.connectedTo(conn.Stream, conn)
	if old := c.streams[conn.Stream].holder(); conn.Role == media.Publish && old != nil && old.place.IsValid() && old.closing.IsZero() {
		n-- // it gives way, or the new one is refused for it
	}
	return conn.place.IsValid() && reached(n, int(c.Config.Limits.PerStream))
}
