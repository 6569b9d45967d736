package srt

import (
	"net/url"
	"slices"
	"strings"

	"brume/media"
)

// hidden stands for what may be secret.
const hidden = "***"

var (
	// openKeys are the keys of a stream id whose values are not secret. The user is among them: Blackmagic's encoders send
	// the name of the stream as the user.
	openKeys = []string{"r", "t", "h", "u", "user", "streamid", "stream", "name", "app", "vhost", "latency"}
	// secretKeys are others that are shown without their values. Any other word may be the second half of a secret.
	secretKeys = []string{"s", "p", "pass", "password", "token", "key", "secret", "sign", "passphrase", "bmd_uuid", "bmd_name"}
	// roleWords stand before a name.
	roleWords = []string{"publish", "read", "play", "request"}
	// wrongWords are known too, and mean nothing there: of other servers, or of URLs.
	wrongWords = []string{"write", "bidirectional", "srt", "rtmp", "rtsp", "http", "https", "udp"}
)

// endOfName is what no name has. Behind a slash stands the stream key where encoders think of RTMP, which is a secret there.
const endOfName = "?&;,=%@/ \t\r\n"

// ShowStreamID is a stream id for the eyes of an operator: what was sent, with *** in the place of everything that may have
// been meant as a secret. It is for stream ids that can't be read above all, and so it goes by what is surely harmless: the
// name, the word before it, the user, some keys and the values of a few of them. The answer may hold control characters, and
// is about as long as s. The forms are those of ParseStreamID.
func ShowStreamID(s string) string {
	if strings.HasPrefix(s, "%23") {
		if plain, err := url.PathUnescape(s); err == nil {
			s = plain
		}
	}
	var b strings.Builder
	switch pairs, access := strings.CutPrefix(s, "#!::"); {
	case access:
		b.WriteString("#!::")
		showPairs(&b, pairs, ",")
	case strings.HasPrefix(s, "#!:"):
		b.WriteString("#!:")
		hide(&b, s[3:])
	default:
		plain, remark, _ := strings.Cut(s, "#")
		showPlain(&b, plain)
		if remark != "" {
			b.WriteString("#" + hidden)
		}
	}
	return b.String()
}

// showPlain shows NAME[?QUERY] or WORD:NAME[:USER:PASSWORD][:QUERY], or what was meant as that.
func showPlain(b *strings.Builder, s string) {
	word, rest, ok := cutColon(s)
	if !ok {
		showName(b, s)
		return
	}
	if !slices.Contains(roleWords, word) {
		// Such as a user and a password, or the URL of another protocol.
		showWord(b, word)
		b.WriteByte(':')
		hide(b, rest)
		return
	}
	b.WriteString(word + ":")
	name, rest, ok := cutColon(rest)
	showName(b, name)
	if !ok {
		return
	}
	b.WriteByte(':')
	user, rest, ok := strings.Cut(rest, ":")
	if !ok {
		showPairs(b, user, "&;,")
		return
	}
	showValue(b, user)
	b.WriteByte(':')
	hide(b, rest)
}

// showName shows a name and the pairs that may stand behind it.
func showName(b *strings.Builder, s string) {
	if strings.HasPrefix(s, "/") {
		b.WriteByte('/')
		s = s[1:]
	}
	i := strings.IndexAny(s, endOfName)
	switch {
	case i < 0:
		b.WriteString(s)
	case s[i] == '?' || s[i] == '&' || s[i] == ';' || s[i] == ',':
		b.WriteString(s[:i+1])
		showPairs(b, s[i+1:], "&;,")
	case s[i] == '=':
		showPairs(b, s, "&;,")
	case s[i] == '@':
		hide(b, s) // credentials may stand before it
	default:
		b.WriteString(s[:i+1])
		hide(b, s[i+1:])
	}
}

func showValue(b *strings.Builder, s string) {
	if name := strings.TrimPrefix(s, "/"); strings.ContainsAny(name, endOfName) {
		name, _, _ = strings.Cut(s, "/")
		s = hidden
		if name != "" && !strings.ContainsAny(name, endOfName) {
			s = name + "/" + hidden
		}
	}
	b.WriteString(s)
}

// showWord shows a word that is one of few.
func showWord(b *strings.Builder, s string) {
	if !slices.Contains(roleWords, s) && !slices.Contains(wrongWords, s) {
		s = hidden
	}
	b.WriteString(s)
}

// showPairs shows keys, and the values of those that hold no secret.
func showPairs(b *strings.Builder, s, separators string) {
	for s != "" {
		pair, rest := s, ""
		i := strings.IndexAny(s, separators)
		if i >= 0 {
			pair, rest = s[:i], s[i+1:]
		}
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case ok && (key == "m" || key == "mode"):
			b.WriteString(key + "=")
			showWord(b, value)
		case ok && slices.Contains(openKeys, key):
			b.WriteString(key + "=")
			showValue(b, value)
		case ok && slices.Contains(secretKeys, key):
			b.WriteString(key + "=")
			hide(b, value)
		default:
			hide(b, pair)
		}
		if i >= 0 {
			b.WriteByte(s[i])
		}
		s = rest
	}
}

func hide(b *strings.Builder, s string) {
	if s != "" {
		b.WriteString(hidden)
	}
}

// RedactStreamID is a stream id without what may be secret in it.
func RedactStreamID(id string) string {
	if id == "" {
		return ""
	}
	parsed, err := ParseStreamID(id, SlashRefuse)
	if err != nil {
		return hidden // another server's own way to write it
	}
	if strings.HasPrefix(id, "#!::") || strings.HasPrefix(id, "%23") {
		pairs := []string{"r=" + parsed.Name}
		if parsed.Role == media.Publish {
			pairs = append(pairs, "m=publish")
		} else if parsed.Role == media.Play {
			pairs = append(pairs, "m=request")
		}
		if parsed.User != "" {
			pairs = append(pairs, "u="+parsed.User)
		}
		if parsed.Token != "" || parsed.Password != "" || len(parsed.Keys) > 0 {
			pairs = append(pairs, hidden)
		}
		return "#!::" + strings.Join(pairs, ",")
	}
	prefix, _, stated := cutColon(id)
	shown := parsed.Name
	if stated {
		shown = prefix + ":" + shown
	}
	if parsed.User != "" || parsed.Password != "" || parsed.Token != "" || len(parsed.Keys) > 0 || strings.ContainsRune(id, '#') {
		shown += "?" + hidden
	}
	return shown
}
