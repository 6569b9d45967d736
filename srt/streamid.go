package srt

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"brume/media"
)

// Errors of ParseStreamID. Their texts say why, and hold nothing of the stream id: whatever part of it can't be read may
// have been meant as a secret.
var (
	// ErrStreamID means that a stream id can't be read.
	ErrStreamID = errors.New("bad stream id")
	// ErrMode means that it asks for a mode that is not served. It is an ErrStreamID too.
	ErrMode = fmt.Errorf("%w: mode", ErrStreamID)
)

// maxKeys bounds the further keys of a stream id.
const maxKeys = 16

// StreamID is what a caller asks for.
type StreamID struct {
	Name     string            // of the stream; empty means the port's own
	Role     media.Role        // "" where it is not stated
	User     string            // empty where none was given
	Password string            // of User
	Token    string            // a secret without a user
	Keys     map[string]string // what else was given, at most 16; unknown to the server, known to who decides on access
}

// ParseStreamID reads any of the forms that encoders and players send:
//
//	live                                    the name alone
//	live?key=value                          with further keys
//	#!::r=live,m=publish,u=user,s=token     the access control syntax of SRT
//	#!::bmd_uuid=...,bmd_name=...,u=live    the same, as Blackmagic's encoders fill it in
//	#!::h=app/live,m=publish                the same, as users of SRS have it
//	publish:live[:user:pass][:query]        and read:, as other servers have it
//	(empty)                                 the port's stream
//
// A leading slash of the name is dropped; slash says what further ones mean. Of a name in a URL some callers send %2B as it is,
// and a blank for a +, as ffmpeg does; both are understood. Unknown keys are kept, not judged. The error is ErrStreamID or ErrMode.
func ParseStreamID(s string, slash Slash) (StreamID, error) {
	var id StreamID
	var err error
	s = unescapeAccess(s)
	switch {
	case len(s) > MaxStreamID:
		return id, fmt.Errorf("%w: over %d bytes", ErrStreamID, MaxStreamID)
	case strings.HasPrefix(s, "#!::"):
		err = id.parseAccess(s[4:])
	case strings.HasPrefix(s, "#!:"):
		return id, fmt.Errorf("%w: only the form #!:: is known", ErrStreamID)
	default:
		err = id.parsePlain(s)
	}
	if err != nil {
		return StreamID{}, err
	}
	if id.Name, err = slash.name(unescapeName(id.Name)); err != nil {
		return StreamID{}, err
	}
	if id.Name != "" && !media.ValidName(id.Name) {
		return StreamID{}, fmt.Errorf("%w: no stream has such a name; letters, digits and _ . + - are allowed, a letter or digit first, 100 at most", ErrStreamID)
	}
	return id, nil
}

// unescapeAccess undoes the escapes of the access control syntax: some callers send the form that belongs into a URL.
func unescapeAccess(s string) string {
	if strings.HasPrefix(s, "%23%21") || strings.HasPrefix(s, "%23!") {
		if plain, err := url.PathUnescape(s); err == nil {
			return plain
		}
	}
	return s
}

// unescapeName undoes the escapes of a URL in a name, which has neither % nor blank itself. A blank with something on both
// sides was a +.
func unescapeName(name string) string {
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	if strings.Trim(name, " ") != name {
		return name // which is refused
	}
	return strings.ReplaceAll(name, " ", "+")
}

func (id *StreamID) parseAccess(s string) error {
	for pair := range strings.SplitSeq(s, ",") {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("%w: behind #!:: everything is key=value, with commas between", ErrStreamID)
		}
		switch key {
		case "r":
			id.Name = value
		case "m":
			if err := id.mode(value); err != nil {
				return err
			}
		case "u":
			id.User = value
		case "s":
			id.Token = value
		case "p", "password":
			id.Password = value
		default:
			if err := id.keep(key, value); err != nil {
				return err
			}
		}
	}
	id.takeKey()
	id.takeHost()
	return nil
}

// takeHost finds the stream in what users of SRS send: the host with the stream behind it.
func (id *StreamID) takeHost() {
	if h := id.Keys["h"]; id.Name == "" && strings.Contains(h, "/") {
		id.Name = h
	}
}

// takeKey finds the stream in what Blackmagic's encoders send: their setup has one field, the stream key, and it arrives as the user.
func (id *StreamID) takeKey() {
	if _, ok := id.Keys["bmd_uuid"]; ok && id.Name == "" && media.ValidName(id.User) {
		id.Name = id.User
	}
}

func (id *StreamID) mode(m string) error {
	switch m {
	case "publish":
		id.Role = media.Publish
	case "request", "play", "read":
		id.Role = media.Play
	case "bidirectional":
		return fmt.Errorf("%w bidirectional is not served; use publish or request", ErrMode)
	default:
		return fmt.Errorf("%w unknown; use publish or request", ErrMode)
	}
	return nil
}

func (id *StreamID) keep(key, value string) error {
	if len(id.Keys) == maxKeys {
		return fmt.Errorf("%w: more than %d further keys", ErrStreamID, maxKeys)
	}
	if id.Keys == nil {
		id.Keys = map[string]string{}
	}
	id.Keys[key] = value
	return nil
}

func (id *StreamID) parsePlain(s string) error {
	// What follows a # is a remark that some encoders add.
	s, _, _ = strings.Cut(s, "#")
	prefix, rest, ok := cutColon(s)
	if !ok {
		return id.parseQuery(s)
	}
	switch prefix {
	case "publish":
		id.Role = media.Publish
	case "read", "play", "request":
		id.Role = media.Play
	default:
		return fmt.Errorf("%w: unknown word before the colon; use publish:NAME or read:NAME", ErrStreamID)
	}
	if _, _, ok := cutColon(rest); !ok {
		return id.parseQuery(rest)
	}
	parts := strings.SplitN(rest, ":", 4)
	if err := id.parseQuery(parts[0]); err != nil {
		return err
	}
	switch len(parts) {
	case 2:
		return id.parseKeys(parts[1])
	case 3:
		id.User, id.Password = parts[1], parts[2]
	case 4:
		id.User, id.Password = parts[1], parts[2]
		return id.parseKeys(parts[3])
	}
	return nil
}

// cutColon cuts at the first colon. Those of a query are part of its values.
func cutColon(s string) (before, after string, found bool) {
	if i := strings.IndexAny(s, ":?"); i >= 0 && s[i] == ':' {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func (id *StreamID) parseQuery(s string) error {
	name, query, _ := strings.Cut(s, "?")
	id.Name = name
	return id.parseKeys(query)
}

func (id *StreamID) parseKeys(query string) error {
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		if v, err := url.QueryUnescape(value); err == nil {
			value = v
		}
		var err error
		switch key {
		case "mode", "m":
			err = id.mode(value)
		case "user":
			id.User = value
		case "pass", "password":
			id.Password = value
		case "token":
			id.Token = value
		default:
			err = id.keep(key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
