// Package negotiate chooses the form of an HTTP answer by what the client accepts.
package negotiate

import (
	"net/http"
	"strconv"
	"strings"
)

// Gzip reports whether a client takes an answer in gzip (RFC 9110 12.5.3), and tells caches that the answer depends on that (Vary).
func Gzip(answer http.Header, r *http.Request) bool {
	answer.Add("Vary", "Accept-Encoding")
	return accepts(strings.Join(r.Header.Values("Accept-Encoding"), ","))
}

// accepts reads Accept-Encoding. A weight of 0 means no; a weight that can't be read means nothing.
func accepts(header string) bool {
	any := false
	for v := range strings.SplitSeq(header, ",") {
		coding, parameter, _ := strings.Cut(v, ";")
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return positive(parameter)
		case "*":
			any = positive(parameter)
		}
	}
	return any
}

// positive reports whether a weight such as "q=0.5" is above 0.
func positive(parameter string) bool {
	q, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameter), " ", ""), "q=")
	weight, err := strconv.ParseFloat(q, 64)
	return !ok || err != nil || weight > 0
}
