// Package listener is the SRT port: it answers handshakes, asks the controller about callers whose address is proven, and hands
// those who are admitted over to a connection process. It runs no libsrt.
package listener

import (
	"maps"
	"net/netip"
	"time"

	"brume/place"
	"brume/rate"
	"brume/srt"
)

// Bounds of the listener's tables.
const (
	maxPending  = 4096             // callers that wait for a verdict
	pendingTime = 5 * time.Second  // for the controller to answer
	servedTime  = 10 * time.Second // in which a repeated conclusion is no new caller
	rejectTime  = 3 * time.Second  // in which a refused caller gets the same answer again
)

// caller is one connection attempt: the SRT socket of a peer.
type caller struct {
	peer   netip.AddrPort
	socket uint32
}

// attempt is what is known of a caller whose address is proven.
type attempt struct {
	local   netip.AddrPort
	hs      srt.Handshake // its conclusion
	id      uint64        // of the request
	state   attemptState
	expires time.Time
	code    srt.HandshakeType // of a rejection
	size    int               // of its conclusion: no reply is larger
}

type attemptState uint8

const (
	waiting attemptState = iota
	served
	refused
)

// event is what a datagram calls for.
type event uint8

const (
	nothing event = iota
	answer        // the reply in core.out goes back
	ask           // the controller has to judge the request in core.req
	decline       // as answer, and the controller is to know of the refusal: see core.why and core.code
	drop          // nothing, which is worth a line in the log: see core.why
)

// core is the listener without its sockets: datagrams, verdicts and times go in, replies and requests come out.
// It is not safe for concurrent use.
type core struct {
	baker    *baker
	attempts map[caller]*attempt
	requests map[uint64]caller
	pending  map[netip.Prefix]int
	nextID   uint64
	limits   srt.Limits
	rates    rates
	stats    srt.ListenerStats
	hs       srt.Handshake // scratch

	out  []byte      // the reply, valid until the next call
	req  srt.Request // the request
	why  string      // a caller was declined or dropped
	code int         // of one that was declined
}

func newCore() *core {
	return &core{
		baker: newBaker(), attempts: map[caller]*attempt{}, requests: map[uint64]caller{}, pending: map[netip.Prefix]int{},
		rates: rates{buckets: map[netip.Prefix]rate.Bucket{}}, stats: srt.ListenerStats{Rejected: map[string]uint64{}}, out: make([]byte, srt.HandshakeSize),
	}
}

// limit sets what one address may use up.
func (c *core) limit(l srt.Limits) {
	c.limits = l
	c.rates.perSecond = float64(l.Handshakes)
}

// datagram takes what came from peer to local.
func (c *core) datagram(b []byte, peer, local netip.AddrPort, now time.Time) event {
	c.stats.Packets++
	h := &c.hs
	if !srt.IsHandshake(b) {
		c.stats.Malformed++
		return nothing
	}
	err := h.Unmarshal(b)
	switch h.Type {
	case srt.TypeInduction:
		// Version 4 is how every induction begins; a reply is as long as its request at most.
		c.stats.Inductions++
		return c.induct(peer, local, now)
	case srt.TypeConclusion:
	default:
		c.stats.Malformed++ // rendezvous among them: a listener does not take part in it
		return nothing
	}
	if !c.baker.valid(h.Cookie, peer, local, now) {
		c.stats.BadCookies++
		return c.induct(peer, local, now)
	}
	c.stats.Conclusions++
	key := caller{peer, h.SocketID}
	if a := c.attempts[key]; a != nil {
		c.stats.Duplicates++
		if a.state == refused {
			return c.reject(a, answer)
		}
		return nothing
	}
	// Only addresses that are proven come this far, so that nobody uses up what is another's.
	net := place.Of(peer.Addr())
	if !c.rates.take(net, now) {
		c.stats.TooFast++
		c.why = "its address calls too often; see limits.handshakes"
		return drop
	}
	a := &attempt{local: local, hs: *h, size: len(b)}
	if err != nil {
		c.stats.Malformed++
		c.why = "its handshake can't be read"
		return c.refuse(key, a, srt.RejectBadRequest, now)
	}
	if code, why := unserved(h); code != 0 {
		c.why = why
		return c.refuse(key, a, code, now)
	}
	if c.crowded(net) {
		c.stats.TooMany++
		return drop
	}
	return c.ask(key, a, net, now)
}

// crowded tells whether too many callers wait for a verdict already.
func (c *core) crowded(net netip.Prefix) bool {
	switch {
	case len(c.requests) >= maxPending:
		c.why = "too many callers wait for a verdict"
	case c.limits.Pending > 0 && c.pending[net] >= c.limits.Pending:
		c.why = "too many callers of its address wait for a verdict; see limits.pending"
	default:
		return false
	}
	return true
}

// ask makes the request about a caller.
func (c *core) ask(key caller, a *attempt, net netip.Prefix, now time.Time) event {
	c.nextID++
	a.id, a.expires = c.nextID, now.Add(pendingTime)
	c.attempts[key] = a
	c.requests[a.id] = key
	c.pending[net]++
	c.req = request(a, key.peer)
	return ask
}

// unserved is the code for a caller that can't be served whatever it asks for, and why, or 0.
func unserved(h *srt.Handshake) (code int, why string) {
	switch {
	case h.Version < 5 || !h.Ext.HasHSREQ:
		return srt.RejectVersion, "it speaks handshake version 4, of libsrt before 1.3"
	case h.Ext.Group:
		return srt.RejectGroup, "it is a member of a bonded group"
	case h.Ext.Congestion() != "" && h.Ext.Congestion() != "live":
		return srt.RejectCongestion, "it is in file mode; transtype has to be live"
	case h.Ext.Flags&srt.FlagStream != 0:
		return srt.RejectMessageAPI, "it is in buffer mode; messageapi has to be 1"
	}
	return 0, ""
}

func request(a *attempt, peer netip.AddrPort) srt.Request {
	e := &a.hs.Ext
	return srt.Request{
		ID: a.id, Peer: peer.String(), Local: a.local.String(), SocketID: a.hs.SocketID, StreamID: e.StreamID(),
		PeerSRT: srt.VersionString(e.SRTVersion), Encrypted: e.HasKMREQ, KeyLength: e.KeyLength,
		LatencyRcv: int(e.LatencyRcv), LatencySnd: int(e.LatencySnd),
	}
}

func (c *core) induct(peer, local netip.AddrPort, now time.Time) event {
	r := c.hs.Reply(srt.TypeInduction)
	r.Cookie = c.baker.cookie(peer, local, now)
	_, _ = r.MarshalTo(c.out)
	return answer
}

// refuse remembers a refused caller for as long as it may repeat itself.
func (c *core) refuse(key caller, a *attempt, code int, now time.Time) event {
	a.state, a.expires, a.code = refused, now.Add(rejectTime), srt.RejectionType(code)
	c.code = code
	if len(c.attempts) < 2*maxPending {
		c.attempts[key] = a
	}
	c.stats.Rejected[srt.CodeName(code)]++
	return c.reject(a, decline)
}

func (c *core) reject(a *attempt, e event) event {
	r := a.hs.Reply(a.code)
	r.Extension, r.Encryption = a.hs.Extension, a.hs.Encryption
	_, _ = r.MarshalTo(c.out)
	return e
}

// verdict ends the wait of a request. It returns the caller and its attempt, or nil when it is too late.
// After a rejection the reply is in out.
func (c *core) verdict(v *srt.Verdict, now time.Time) (caller, *attempt) {
	key, ok := c.requests[v.ID]
	if !ok {
		return caller{}, nil
	}
	a := c.attempts[key]
	c.unask(key, a)
	if v.Reject != 0 {
		c.refuse(key, a, v.Reject, now)
		return key, a
	}
	a.state, a.expires = served, now.Add(servedTime)
	c.stats.Handed++
	return key, a
}

// forget lets a caller try again at once, after its hand-over failed or its connection ended. One that waits for a verdict already
// tries again: it keeps waiting.
func (c *core) forget(key caller) {
	if a := c.attempts[key]; a != nil && a.state != waiting {
		delete(c.attempts, key)
	}
}

func (c *core) unask(key caller, a *attempt) {
	delete(c.requests, a.id)
	net := place.Of(key.peer.Addr())
	if c.pending[net]--; c.pending[net] <= 0 {
		delete(c.pending, net)
	}
}

// expire forgets what is over. A caller whose request nobody answered may ask again.
func (c *core) expire(now time.Time) {
	c.rates.expire(now)
	for key, a := range c.attempts {
		if now.Before(a.expires) {
			continue
		}
		if a.state == waiting {
			c.unask(key, a)
			c.stats.Dropped++
		}
		delete(c.attempts, key)
	}
}

func (c *core) snapshot() srt.ListenerStats {
	s := c.stats
	s.Rejected = maps.Clone(c.stats.Rejected)
	return s
}
