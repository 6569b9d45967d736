package hls

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
)

// maxQuery bounds a query that is carried to what a playlist names, in bytes as it stands in the playlist.
const maxQuery = 2048

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

// withQuery returns a copy of a playlist in which every URI has the query.
func withQuery(playlist []byte, query string) []byte {
	const attribute = `URI="`
	out := make([]byte, 0, 2*len(playlist)+len(query))
	for line := range bytes.Lines(playlist) {
		end := len(line) - 1 // each line of ours ends with a newline
		if line[0] == '#' {
			end = -1
			if at := bytes.Index(line, []byte(attribute)); at >= 0 {
				at += len(attribute)
				end = at + bytes.IndexByte(line[at:], '"')
			}
		}
		if end < 0 {
			out = append(out, line...)
			continue
		}
		out = append(out, line[:end]...)
		out = append(append(out, '?'), query...)
		out = append(out, line[end:]...)
	}
	return out
}
