package controller

import (
	"fmt"
	"time"

	"brume/media"
	"brume/outputs/httpd"
	"brume/srt"
	"brume/untrusted"
)

// plights say to viewers what is wrong with a source, by the reason of its last failure. They name no address and repeat nothing
// that the peer said: where a source is, and with what it is called, is not for viewers to know.
var plights = map[string]string{
	srt.FailTimeout:  "the source of this stream can't be reached: the connection timed out",
	srt.FailRejected: "the source of this stream refuses the connection",
	srt.FailSecret:   "the source of this stream refuses the connection: the passphrase is wrong",
	srt.FailUnsecure: "the source of this stream refuses the connection: only one side has a passphrase",
	srt.FailPeer:     "the source of this stream ended the connection",
	srt.FailLost:     "the source of this stream fell silent",
	failNoMedia:      "the source of this stream sends nothing that can be played",
	failResolve:      "the source of this stream can't be reached: its host name has no address",
	failSocket:       "the source of this stream can't be reached: the server has no route to it",
	failForbidden:    "the source of this stream can't be reached: the server's configuration does not allow its address",
}

// plight is what viewers are told of a source that fails, empty for one of which some address may still answer.
func (k *dialer) plight() string {
	if k.last == nil || !k.round.failing() {
		return ""
	}
	text, ok := plights[k.last.Reason]
	switch {
	case !ok:
		return "the source of this stream failed; the server's log says why"
	case k.last.Reason == srt.FailRejected && k.last.Code != 0:
		return fmt.Sprintf("%s (code %d)", text, k.last.Code)
	}
	return text
}

// tellPlight says to those who wait for a stream that its source has failed, once there is no other address to try at once.
func (c *Controller) tellPlight(k *dialer, now time.Time) {
	if p := c.single(roleHTTP); p != nil && k.role == media.Publish && k.round.next.After(now) {
		c.tellSource(p, httpd.Source{Name: k.stream, State: httpd.SourceFailed, Why: k.plight()})
	}
}

// wanted starts the source of a stream that requests ask for, and says what becomes of them. They need not wait for a source that
// is not called again before they give up.
func (c *Controller) wanted(name string, now time.Time) httpd.Source {
	answer := httpd.Source{Name: untrusted.Text(name, media.MaxNameSize), State: httpd.SourceNone}
	if !c.demand(name, now) {
		return answer
	}
	answer.State = httpd.SourceStarting
	if s := c.out.sources[name]; s != nil {
		answer.Why = s.plight()
		if s.round.phase == failed && s.round.next.Sub(now) > httpd.Hold {
			answer.State = httpd.SourceFailed
		}
	}
	return answer
}
