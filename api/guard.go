package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard stands between a port without a login and the pages that a browser on this machine
// may have open.
//
// A page of another origin can't read an answer, but it can send a write: Sec-Fetch-Site and
// Origin tell it. A page whose name was pointed to this machine (DNS rebinding) is of the same
// origin to the browser, but its Host gives it away, since it needs a name to do that.
func guard(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !trustedHost(r.Host) {
			problem(w, http.StatusMisdirectedRequest,
				"the API answers to IP addresses and localhost only, not to the name in this request's Host")
			return
		}
		if err := origins.Check(r); err != nil {
			problem(w, http.StatusForbidden, "a page of another origin may not change anything here")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// trustedHost tells whether a Host header holds an IP address or localhost, with or without a port.
func trustedHost(host string) bool {
	name := hostName(host)
	if strings.EqualFold(name, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// hostName returns a Host header without its port and brackets.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}
