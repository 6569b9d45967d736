package libsrt

/*
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"

	"brume/srt/libsrt/option"

	"github.com/haivision/srtgo"
)

// numbers are libsrt's numbers of the options of package option.
var numbers = map[string]int{
	"conntimeo":          C.SRTO_CONNTIMEO,
	"drifttracer":        C.SRTO_DRIFTTRACER,
	"enforcedencryption": C.SRTO_ENFORCEDENCRYPTION,
	"fc":                 C.SRTO_FC,
	"inputbw":            C.SRTO_INPUTBW,
	"iptos":              C.SRTO_IPTOS,
	"ipttl":              C.SRTO_IPTTL,
	"kmpreannounce":      C.SRTO_KMPREANNOUNCE,
	"kmrefreshrate":      C.SRTO_KMREFRESHRATE,
	"latency":            C.SRTO_LATENCY,
	"lossmaxttl":         C.SRTO_LOSSMAXTTL,
	"maxbw":              C.SRTO_MAXBW,
	"mininputbw":         C.SRTO_MININPUTBW,
	"minversion":         C.SRTO_MINVERSION,
	"mss":                C.SRTO_MSS,
	"nakreport":          C.SRTO_NAKREPORT,
	"oheadbw":            C.SRTO_OHEADBW,
	"packetfilter":       C.SRTO_PACKETFILTER,
	"payloadsize":        C.SRTO_PAYLOADSIZE,
	"pbkeylen":           C.SRTO_PBKEYLEN,
	"peeridletimeo":      C.SRTO_PEERIDLETIMEO,
	"peerlatency":        C.SRTO_PEERLATENCY,
	"rcvbuf":             C.SRTO_RCVBUF,
	"rcvlatency":         C.SRTO_RCVLATENCY,
	"retransmitalgo":     C.SRTO_RETRANSMITALGO,
	"sndbuf":             C.SRTO_SNDBUF,
	"snddropdelay":       C.SRTO_SNDDROPDELAY,
	"tlpktdrop":          C.SRTO_TLPKTDROP,
	"tsbpdmode":          C.SRTO_TSBPDMODE,
	"udp_rcvbuf":         C.SRTO_UDP_RCVBUF,
	"udp_sndbuf":         C.SRTO_UDP_SNDBUF,
}

// Options configure a socket before it is bound.
type Options struct {
	Passphrase string            // 10 to 79 bytes; empty for none
	StreamID   string            // of a caller, up to 512 bytes
	Values     map[string]string // by the names of package option
	Rendezvous bool              // both sides call each other at the same time
}

// newSocket creates and configures a live-mode socket whose calls don't block.
//
// srtgo's option table swallows errors and values that it can't read, so that the values
// are checked here and set one by one.
func newSocket(o Options) (*srtgo.SrtSocket, error) {
	values, err := option.ParseAll(o.Values)
	if err := errors.Join(err, option.CheckPassphrase(o.Passphrase)); err != nil {
		return nil, err
	}
	if len(o.StreamID) > 512 {
		return nil, fmt.Errorf("%w: stream id of %d bytes", ErrOption, len(o.StreamID))
	}
	// Not blocking, for srtgo, means its poll server: a thread that wakes ten times a second and panics on
	// errors. It is told to block, and the socket that it must not.
	s := srtgo.NewSrtSocket("", 0, map[string]string{"blocking": "1", "transtype": "live"})
	if s == nil {
		return nil, errors.New("libsrt makes no socket")
	}
	err = errors.Join(s.SetSockOptBool(C.SRTO_RCVSYN, false), s.SetSockOptBool(C.SRTO_SNDSYN, false))
	if err == nil && o.Passphrase != "" {
		err = s.SetSockOptString(C.SRTO_PASSPHRASE, o.Passphrase)
	}
	if err == nil && o.StreamID != "" {
		err = s.SetSockOptString(C.SRTO_STREAMID, o.StreamID)
	}
	if err == nil && o.Rendezvous {
		err = s.SetSockOptBool(C.SRTO_RENDEZVOUS, true)
	}
	for _, v := range values {
		if err == nil {
			err = set(s, v)
		}
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("%w: %w", ErrOption, err)
	}
	return s, nil
}

func set(s *srtgo.SrtSocket, v option.Value) error {
	number, ok := numbers[v.Name]
	if !ok {
		return fmt.Errorf("%s: not in this libsrt", v.Name)
	}
	var err error
	switch v.Kind {
	case option.Int:
		err = s.SetSockOptInt(number, int(v.Number))
	case option.Int64:
		err = s.SetSockOptInt64(number, v.Number)
	case option.Bool:
		err = s.SetSockOptBool(number, v.Number != 0)
	case option.String:
		err = s.SetSockOptString(number, v.Text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", v.Name, err)
	}
	return nil
}
