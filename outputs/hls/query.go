package hls

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxQuery bounds a query that is carried to what a playlist names, in bytes as it stands in the playlist.
const maxQuery = 2048

// queryPiece is how much of a playlist with a query is made at a time, in bytes. Only a date range with its sections may be longer.
const queryPiece = 16 << 10

var errLongQuery = &failure{http.StatusRequestURITooLong, "the query is longer than 2048 bytes"}

// carriedQuery is what of a request's query goes on to what its playlist names: all but the delivery directives. Characters that
// have no place in a URI or a quoted string are escaped.
func carriedQuery(raw string) (string, error) {
	var b strings.Builder
	for pair := range strings.SplitSeq(raw, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(key); pair == "" || err == nil && strings.HasPrefix(name, "_HLS_") {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		for i := range len(pair) {
			if c := pair[i]; mayStand(c) {
				b.WriteByte(c)
			} else {
				const digits = "0123456789ABCDEF"
				b.Write([]byte{'%', digits[c>>4], digits[c&15]})
			}
		}
		if b.Len() > maxQuery {
			return "", errLongQuery
		}
	}
	return b.String(), nil
}

// mayStand reports whether a character may stand in a query as it is (RFC 3986 3.4).
func mayStand(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~%!$&'()*+,;=:@/?", c) >= 0
}

// withQuery writes a playlist in which every URI has the query, in pieces: a copy of a long playlist for each of
// many slow clients would take the server's memory.
func withQuery(w io.Writer, playlist []byte, query string) (int64, error) {
	var sent int64
	b := make([]byte, 0, queryPiece)
	flush := func() error {
		n, err := w.Write(b)
		sent += int64(n)
		b = b[:0]
		return err
	}
	for line := range bytes.Lines(playlist) {
		if len(b) > 0 && len(b)+len(line)+1+len(query) > queryPiece {
			if err := flush(); err != nil {
				return sent, err
			}
		}
		if end := uriEnd(line); end >= 0 {
			b = append(append(append(b, line[:end]...), '?'), query...)
			line = line[end:]
		}
		b = append(b, line...)
	}
	return sent, flush()
}

// queriedSize is how many bytes withQuery writes.
func queriedSize(playlist []byte, query string) int {
	n := len(playlist)
	for line := range bytes.Lines(playlist) {
		if uriEnd(line) >= 0 {
			n += 1 + len(query)
		}
	}
	return n
}

// uriEnd is where the URI of a line of ours ends, -1: the line has none.
func uriEnd(line []byte) int {
	const attribute = `URI="`
	if line[0] != '#' {
		return len(line) - 1 // each line ends with a newline
	}
	at := bytes.Index(line, []byte(attribute))
	if at < 0 {
		return -1
	}
	at += len(attribute)
	return at + bytes.IndexByte(line[at:], '"')
}
