package httpd

import (
	"net/http"
	"strings"
)

// Bounds of the request headers that a preflight asks for. Those beyond them are not allowed.
const (
	maxAsked     = 64 // headers
	maxAskedSize = 64 // bytes of each
)

// askedAlways are the request headers that are allowed without being asked for.
const askedAlways = "Range, Content-Type, Accept, Origin"

// cors lets pages of all sites read an answer (Fetch standard 3.2).
func cors(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range, Date, Age, Retry-After, Brume-Source")
}

// preflight answers a CORS preflight (Fetch standard 3.2.2): whatever header a player asks for may be sent, since the
// server looks at few of them and a proxy in front of it may need others, CMCD-Request or Authorization for example.
func preflight(h http.Header, asked []string) {
	cors(h)
	allowed := []string{askedAlways}
	for v := range strings.SplitSeq(strings.Join(asked, ","), ",") {
		if v = strings.Trim(v, " \t"); len(allowed) <= maxAsked && len(v) <= maxAskedSize && isToken(v) {
			allowed = append(allowed, v)
		}
	}
	h.Set("Access-Control-Allow-Headers", strings.Join(allowed, ", "))
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
	h.Set("Access-Control-Max-Age", "86400")
	h.Add("Vary", "Access-Control-Request-Headers")
}

// isToken reports whether s is a token, as names of headers are (RFC 9110 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
