package main

import (
	"fmt"
	"time"

	"brume/srt"
	"brume/srt/libsrt"
)

const (
	// callSlack is how much longer than libsrt calls its own word on that is waited for.
	callSlack = 2 * time.Second
	// callPoll is between two looks at a call.
	callPoll = 2 * time.Millisecond
)

// calls tells whether this side calls its peer, over a socket that came with the configuration.
func (p *process) calls() bool {
	return p.configure != nil && (p.configure.Mode == srt.ModeCaller || p.configure.Mode == srt.ModeRendezvous)
}

// call calls the peer that the socket is connected to.
func (p *process) call() (*libsrt.Conn, *ending) {
	c := p.configure
	own, err := duplicate(p.socket)
	_ = p.socket.Close()
	if err != nil {
		return nil, because(srt.FailInternal, err.Error())
	}
	conn, err := libsrt.Connect(own, libsrt.Options{
		Passphrase: c.Passphrase, StreamID: c.StreamID, Values: options(c), Rendezvous: c.Mode == srt.ModeRendezvous,
	})
	if err != nil {
		return nil, because(srt.FailInternal, err.Error())
	}
	limit := srt.CallTimeout(c.Mode, c.Options) + callSlack
	for start := time.Now(); time.Since(start) < limit; time.Sleep(callPoll) {
		switch conn.State() {
		case libsrt.Connected:
			return conn, nil
		case libsrt.Broken:
			code, _ := conn.RejectReason()
			conn.Close()
			return nil, refused(code)
		}
	}
	conn.Close()
	return nil, because(srt.FailTimeout, fmt.Sprintf("the peer did not answer within %s", limit))
}

// refused turns the reason of a call that failed into an ending. libsrt's own reasons are below 1000 on this side, and 1000 more
// in a handshake.
func refused(code int) *ending {
	switch 1000 + code {
	case libsrt.RejectedTimeout, libsrt.RejectedUnknown:
		return because(srt.FailTimeout, "the peer did not answer")
	}
	if code < 1000 {
		code += 1000
	}
	end := because(srt.FailRejected, srt.RejectText(code))
	switch code {
	case libsrt.RejectedBadSecret:
		end = because(srt.FailSecret, "the passphrase is wrong")
	case libsrt.RejectedUnsecure:
		end = because(srt.FailUnsecure, "one side has a passphrase, the other has none")
	default:
		if end.Detail == "" {
			end.Detail = libsrt.RejectText(code)
		}
	}
	end.Code = code
	return end
}
