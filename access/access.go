// Package access decides who may do what, by the entries of the configuration. It is pure: no clock, no network, and
// nothing of the protocol by which somebody asks.
package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"slices"

	"brume/config"
	"brume/media"
)

// Ask is what is known of somebody who wants to do something with a stream. The secrets hide themselves where it is printed.
type Ask struct {
	Protocol string     // by which they ask: "srt"
	Peer     netip.Addr // where they ask from
	Action   media.Role
	Stream   string

	User     string            // empty where none was given
	Password config.Secret     // of User
	Token    config.Secret     // a secret without a user; a user's password may come as a token too
	Keys     map[string]string // what else they said; hostile
}

// Outcome is how a question ends.
type Outcome uint8

// The outcomes.
const (
	Allowed      Outcome = iota
	Unauthorized         // wrong or unknown credentials, or none where some would do
	Forbidden            // known or not in need to be, but not allowed to
	Unknown              // no entry names the stream
)

// Decision answers an Ask.
type Decision struct {
	Outcome Outcome
	Reason  string // for the log: it holds nothing that the asker said
}

// Table holds the entries that access is decided by. The zero value lets everybody do everything.
type Table struct {
	entries []entry
}

// entry is one of the configuration, with its secrets hashed: hashes have one length, so that comparing them takes
// the same time whatever they are.
type entry struct {
	config.Access
	password, token digest
}

type digest [sha256.Size]byte

func hash(s config.Secret) digest { return sha256.Sum256([]byte(s)) }

func (d *digest) equal(e *digest) bool { return subtle.ConstantTimeCompare(d[:], e[:]) == 1 }

// NewTable makes a table of the configuration's entries.
func NewTable(entries []config.Access) *Table {
	t := &Table{}
	for _, a := range entries {
		t.entries = append(t.entries, entry{Access: a, password: hash(a.Password), token: hash(a.Token)})
	}
	return t
}

// Decide judges who asks. One entry that allows it is enough.
func (t *Table) Decide(a *Ask) Decision {
	if len(t.entries) == 0 {
		return Decision{}
	}
	password, token := hash(a.Password), hash(a.Token)
	given := a.User != "" || a.Password != "" || a.Token != ""
	var allowed, named, known, wanted bool
	for i := range t.entries {
		e := &t.entries[i]
		is := e.is(a, &password, &token)
		names := e.names(a.Stream)
		fits := names && e.Action.Allows(a.Action) && config.Within(e.Networks, a.Peer)
		allowed = allowed || is && fits
		named = named || names
		known = known || is && !e.anonymous()
		wanted = wanted || fits
	}
	switch {
	case allowed:
		return Decision{}
	case !named:
		return Decision{Unknown, "no access entry names the stream"}
	case given && !known:
		return Decision{Unauthorized, "the credentials are wrong"}
	case given:
		return Decision{Forbidden, "the credentials do not allow it"}
	case wanted:
		return Decision{Unauthorized, "credentials are needed"}
	}
	return Decision{Forbidden, "no access entry allows it"}
}

// is tells whether an entry is for who asks. All secrets are compared, whichever of them fits.
func (e *entry) is(a *Ask, password, token *digest) bool {
	switch {
	case e.anonymous():
		return true
	case e.User != "":
		byPassword, byToken := e.password.equal(password), e.password.equal(token)
		return string(e.User) == a.User && (byPassword || byToken)
	}
	byPassword, byToken := e.token.equal(password), e.token.equal(token)
	return byPassword || byToken
}

// anonymous tells whether an entry is for everybody.
func (e *entry) anonymous() bool { return e.User == "" && e.Token == "" }

func (e *entry) names(stream string) bool {
	return len(e.Streams) == 0 || slices.ContainsFunc(e.Streams, func(p config.Pattern) bool { return p.Match(stream) })
}
