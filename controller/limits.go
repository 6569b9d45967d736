package controller

import "brume/srt"

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
	place := srt.Place(k.peer)
	var gives *connection // that gives way to this caller
	if d.role == srt.RolePublish {
		gives = c.streams[d.stream].holder()
	}
	all, here, same := 0, 0, 0
	for _, conn := range c.connections {
		if conn == gives || !conn.place.IsValid() {
			continue
		}
		all++
		if conn.place == place {
			here++
		}
		if conn.Stream == d.stream {
			same++
		}
	}
	l := &c.Config.Limits
	reached := func(n, most int) bool { return most > 0 && n >= most }
	switch {
	case reached(all, int(l.Connections)):
		d.refuse(causeConnections, "the server is full; see limits.connections")
	case reached(here, int(l.PerAddress)):
		d.refuse(causePerAddress, "this address has too many connections; see limits.per_address")
	case reached(same, int(l.PerStream)):
		d.refuse(causePerStream, "the stream has too many connections; see limits.per_stream")
	}
}
