package controller

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"brume/config"
	"brume/media"
)

// terms are what libsrt is configured with before it accepts a caller.
type terms struct {
	passphrase config.Secret
	options    config.Options
}

// termsOf are those of a stream's connections by a port, without a passphrase: the stream's settings laid over the port's.
func termsOf(at *config.Port, s *config.StreamSRT) terms {
	o := s.Options.Over(at.Options)
	latency := time.Duration(cmp.Or(s.Latency, at.Latency))
	o["latency"] = strconv.FormatInt(latency.Milliseconds(), 10)
	return terms{options: o}
}

// agree chooses the terms of a caller. libsrt takes one passphrase, before it accepts: where the role is not known yet and
// publishers and players have different ones, whether the caller has one tells which it can be.
func (c *Controller) agree(k *caller, d *decision) {
	s := c.Config.Stream(d.stream).SRT
	if k.at.only {
		s = config.StreamSRT{} // its URL has it all
	}
	d.terms = termsOf(&k.at.Port, &s)
	passphrases := map[media.Role]config.Secret{
		media.Publish: cmp.Or(s.PublishPassphrase, k.at.Passphrase),
		media.Play:    cmp.Or(s.PlayPassphrase, k.at.Passphrase),
	}
	role := cmp.Or(d.role, d.only)
	if role != "" {
		maps.DeleteFunc(passphrases, func(r media.Role, _ config.Secret) bool { return r != role })
	}
	if d.terms.options.Enforced() {
		maps.DeleteFunc(passphrases, func(_ media.Role, p config.Secret) bool { return (p != "") != k.req.Encrypted })
	}
	fit := slices.Sorted(maps.Keys(passphrases))
	switch {
	case len(fit) == 0 && k.req.Encrypted:
		d.refuse(causeNoSecret, "the caller has a passphrase, and there is none here")
	case len(fit) == 0:
		d.refuse(causeNoSecret, "the caller has no passphrase, and one is needed here")
	case len(fit) == 1:
		d.terms.passphrase = passphrases[fit[0]]
		if d.role == "" {
			d.only = fit[0]
		}
	case passphrases[fit[0]] != "" && passphrases[fit[1]] != "" && passphrases[fit[0]] != passphrases[fit[1]]:
		d.refuse(causeBadMode, "publishers and players of the stream have different passphrases: the caller has to state its mode, with publish: or read: before the name")
	default:
		d.terms.passphrase = cmp.Or(passphrases[fit[0]], passphrases[fit[1]])
	}
}
