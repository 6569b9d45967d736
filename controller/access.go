package controller

import (
	"errors"
	"net/netip"
	"os"
	"time"

	"brume/access"
	"brume/config"
	"brume/media"
	"brume/srt"
)

// silence after which a publisher's old connection gives way to a new one.
const silence = time.Second

// decision is what the controller makes of a caller.
type decision struct {
	cause  cause // why it is refused, empty admits
	reason string
	stream string
	role   media.Role
	only   media.Role // where it did not state its role: the only one that it may show, empty for any
	terms  terms
}

func (d *decision) refuse(c cause, reason string) { d.cause, d.reason = c, reason }

// caller is what a caller says of itself, read.
type caller struct {
	req  *srt.Request
	id   srt.StreamID
	peer netip.Addr
	at   *port
}

// decide judges a caller by what its handshake says. Everything about who may do what is in this list: who may not do
// something does not learn whether it would have been possible.
func (c *Controller) decide(req *srt.Request, at *port) decision {
	d := decision{}
	k := caller{req: req, at: at}
	for _, judge := range []func(*caller, *decision){c.read, c.mayCome, c.mayDo, c.isOpen, c.agree, c.canDo, c.hasRoom} {
		judge(&k, &d)
		if d.cause != "" {
			break
		}
	}
	return d
}

// read finds out what a caller wants.
func (c *Controller) read(k *caller, d *decision) {
	if c.stopping {
		d.refuse(causeStopping, "the server is shutting down")
		return
	}
	var err error
	k.id, err = srt.ParseStreamID(k.req.StreamID, k.at.Slash)
	switch {
	case k.at.only && err != nil:
		k.id = srt.StreamID{} // such as another server's names
	case errors.Is(err, srt.ErrMode):
		d.refuse(causeBadMode, err.Error())
		return
	case err != nil:
		d.refuse(causeBadRequest, err.Error())
		return
	}
	peer, err := netip.ParseAddrPort(k.req.Peer)
	if err != nil {
		d.refuse(causeBadRequest, "the listener names no address of the caller")
		return
	}
	k.peer = peer.Addr()
	d.stream, d.role = k.id.Name, k.id.Role
	if d.stream == "" || k.at.only {
		d.stream = string(k.at.Stream)
	}
}

// mayCome holds a caller against its port. A port with a mode states it for those who do not.
func (c *Controller) mayCome(k *caller, d *decision) {
	only := k.at.Mode.Only()
	switch {
	case !config.Within(k.at.Networks, k.peer):
		d.refuse(causeNetwork, "the port is not for this address; see its networks")
	case only == "":
	case d.role == "":
		d.role = only
	case d.role != only:
		d.refuse(causeBadMode, "the port is there to "+string(only)+" only")
	}
}

// mayDo asks the access table. Where the role is not known yet, it asks for both.
func (c *Controller) mayDo(k *caller, d *decision) {
	ask := access.Ask{
		Protocol: "srt", Peer: k.peer, Stream: d.stream, User: k.id.User, Password: config.Secret(k.id.Password),
		Token: config.Secret(k.id.Token), Keys: k.id.Keys,
	}
	decide := func(a media.Role) access.Decision {
		ask.Action = a
		return c.access.Decide(&ask)
	}
	var answer access.Decision
	switch d.role {
	case media.Publish:
		answer = decide(media.Publish)
	case media.Play:
		answer = decide(media.Play)
	default:
		publish, play := decide(media.Publish), decide(media.Play)
		switch {
		case publish.Outcome == access.Allowed && play.Outcome == access.Allowed:
		case publish.Outcome == access.Allowed:
			d.only = media.Publish
		case play.Outcome == access.Allowed:
			d.only = media.Play
		case play.Outcome == access.Unauthorized:
			answer = play // credentials may help
		default:
			answer = publish
		}
	}
	if answer.Outcome != access.Allowed {
		d.refuse(outcomes[answer.Outcome], answer.Reason)
	}
}

var outcomes = map[access.Outcome]cause{
	access.Unauthorized: causeCredentials, access.Forbidden: causeForbidden, access.Unknown: causeUnknown,
}

func (c *Controller) isOpen(_ *caller, d *decision) {
	if c.locked(d.stream) {
		d.refuse(causeLocked, "the stream is locked by the API")
	}
}

// canDo holds a stated role against the stream as it is.
func (c *Controller) canDo(_ *caller, d *decision) {
	s := c.streams[d.stream]
	switch {
	case d.role == media.Play && !s.playable():
		d.refuse(causeNoPublisher, "nobody publishes the stream "+d.stream)
	case d.role == media.Play && s.unplayable():
		d.refuse(causeUnplayable, s.lacks())
	case d.role == media.Publish && s.taken(time.Now()):
		d.refuse(causeConflict, "the stream "+d.stream+" has a publisher already")
	case d.role == media.Publish:
		d.refuse(c.mapRefusal(d.stream))
	}
}

// asked is a caller's request and the listener that it came from, whose numbers mean nothing to another.
type asked struct {
	req    srt.Request
	by     *process
	parked bool // it has waited for a source
}

// slash is how the port of its listener takes slashes.
func (a *asked) slash() srt.Slash {
	if a.by == nil || a.by.duty == nil || a.by.duty.port == nil {
		return srt.SlashRefuse
	}
	return a.by.duty.port.Slash
}

// answer gives a verdict to the listener that asked for it, with the hand-over socket of the process that takes the caller.
func (c *Controller) answer(a asked, v srt.Verdict, handover ...*os.File) error {
	if c.processes[a.by.ID] != a.by {
		return errors.New("its listener is gone")
	}
	v.ID = a.req.ID
	return a.by.ctl.Send(srt.MsgVerdict, v, handover...)
}

// requested answers the listener about a caller.
func (c *Controller) requested(a asked) {
	if c.processes[a.by.ID] != a.by || a.by.duty == nil {
		return // nobody would hand the caller over, or its port left the configuration
	}
	req := &a.req
	d := c.decide(req, a.by.duty.port)
	if d.cause == causeNoPublisher && c.park(a, d.stream, d.role) {
		return
	}
	if d.cause != "" {
		c.refused(a, d.cause, d.reason)
		return
	}
	conn := c.newConnection(a, d)
	if d.role == media.Play {
		_ = c.enter(conn, d.role) // nothing can fail: the stream is there
	}
	c.place(conn, a)
}
