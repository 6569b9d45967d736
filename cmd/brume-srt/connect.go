package main

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"time"

	"brume/control"
	"brume/media"
	"brume/srt"
	"brume/srt/libsrt"

	"golang.org/x/sys/unix"
)

const (
	// connectWait is how long a caller may take from its hand-over to being accepted.
	connectWait = 5 * time.Second
	// knockInterval is between two answers to a caller that says nothing. It is long, since callers such as gosrt 0.9, which
	// never repeat themselves, are confused by a second one.
	knockInterval = 2 * time.Second
	// repeatInterval is how often a caller is looked for that repeats itself.
	repeatInterval = 20 * time.Millisecond
	// secretWait is how long a caller that concluded its handshake may take to be accepted, where libsrt does not
	// say that it rejected it.
	secretWait = time.Second
	// rejectWait lets the rejection reach the caller before the socket is closed.
	rejectWait = 20 * time.Millisecond
)

// accept makes libsrt accept the caller that the listener has already spoken to. The order is that of Listen: libsrt
// drops what arrives before it listens, and the caller only speaks again when it is spoken to, so that libsrt is made to
// send it an INDUCTION reply, with the cookie that this libsrt will ask for, once all is in place.
func (p *process) accept() (*libsrt.Conn, *libsrt.Listener, *ending) {
	own, err := duplicate(p.socket)
	_ = p.socket.Close()
	if err != nil {
		return nil, nil, because(srt.FailInternal, err.Error())
	}
	l, err := libsrt.Listen(own, p.caller.StreamID, libsrt.Options{Passphrase: p.configure.Passphrase, Values: options(p.configure)})
	if err != nil {
		return nil, nil, because(srt.FailInternal, err.Error())
	}
	knock := srt.Knock(p.caller)
	start := time.Now()
	var knocked, concluded time.Time
	repeats := 0
	for time.Since(start) < connectWait {
		// A caller that repeats what it said before the hand-over has lost the answer, or is about to get it.
		if n := l.Repeats(); l.Handshakes() == 0 && (n != repeats || time.Since(knocked) > knockInterval) {
			l.Knock(knock, p.caller.Cookie)
			repeats, knocked = n, time.Now()
		}
		c, err := l.Accept(repeatInterval)
		switch {
		case err != nil:
			return nil, nil, because(srt.FailInternal, err.Error())
		case c != nil:
			return c, l, nil
		case l.Rejected() != 0:
			time.Sleep(rejectWait)
			return nil, nil, rejected(l.Rejected())
		case l.Handshakes() == 0:
		case concluded.IsZero():
			concluded = time.Now()
		case time.Since(concluded) > secretWait:
			return nil, nil, because(srt.FailTimeout, "libsrt did not accept the caller and does not say why")
		}
	}
	return nil, nil, because(srt.FailTimeout, fmt.Sprintf("the caller did not finish its handshake within %s", connectWait))
}

// Sizes of what libsrt makes for each connection whatever it carries, in packets. Its own default of 25600 packets
// in flight takes 400 kB, while its receive buffer holds no more than 8192.
const (
	flightPublish = 8192
	flightPlay    = 256 // a viewer sends no media
)

// options are the configured ones, and less memory than libsrt would take where nothing else is asked for.
func options(c *srt.Configure) map[string]string {
	o := map[string]string{}
	maps.Copy(o, c.Options)
	if o["fc"] != "" || o["rcvbuf"] != "" {
		return o
	}
	o["fc"] = strconv.Itoa(flightPublish)
	if c.Role == media.Play {
		o["fc"] = strconv.Itoa(flightPlay)
		o["rcvbuf"] = strconv.Itoa(flightPlay * libsrt.MaxPayload)
	}
	return o
}

// duplicate makes a descriptor for libsrt, which closes it.
func duplicate(f *os.File) (int, error) {
	fd, err := control.Descriptor(f)
	if err != nil {
		return -1, err
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("duplicate the caller's socket: %w", err)
	}
	return own, nil
}

// rejected turns libsrt's own rejection of a caller into an ending.
func rejected(code int) *ending {
	reason := srt.FailTimeout
	switch code {
	case libsrt.RejectedBadSecret:
		reason = srt.FailSecret
	case libsrt.RejectedUnsecure:
		reason = srt.FailUnsecure
	}
	end := because(reason, libsrt.RejectText(code))
	end.Code = code
	return end
}
