package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHost(t *testing.T) {
	h := New(newFake(), Options{})
	for host, want := range map[string]int{
		"127.0.0.1":        200,
		"127.0.0.1:4242":   200,
		"192.0.2.1:80":     200,
		"[::1]":            200,
		"[::1]:4242":       200,
		"::1":              200,
		"[fe80::1%25eth0]": 200,
		"localhost":        200,
		"LocalHost:4242":   200,

		"":                       421,
		"example.org":            421,
		"example.org:4242":       421,
		"localhost.example.org":  421,
		"127.0.0.1.example.org":  421,
		"127.0.0.1.nip.io:4242":  421,
		"brume":                  421,
		"localhost:4242:4242":    421,
		"0x7f.1":                 421,
		"2130706433":             421,
		"127.0.0.1@example.org":  421,
		"[127.0.0.1":             421,
		"127.0.0.1, example.org": 421,
	} {
		t.Run(host, func(t *testing.T) {
			for _, target := range []string{"/api/v1/info", "/metrics", "/healthz"} {
				res, body := do(t, h, http.MethodGet, target, func(r *http.Request) { r.Host = host })
				require.Equal(t, want, res.StatusCode, "%s", body)
				if want == 421 {
					requireProblem(t, res, body, want, "IP addresses and localhost only")
				}
			}
		})
	}
}

func TestOrigin(t *testing.T) {
	for _, tc := range []struct {
		name, method, origin, site string
		want                       int
	}{
		{"a program writes", "DELETE", "", "", 204},
		{"the own page writes", "DELETE", "http://127.0.0.1:4242", "same-origin", 204},
		{"the own page in an old browser", "DELETE", "http://127.0.0.1:4242", "", 204},
		{"typed into the address bar", "DELETE", "", "none", 204},
		{"another page writes", "DELETE", "https://example.org", "cross-site", 403},
		{"another page in an old browser", "DELETE", "https://example.org", "", 403},
		{"another port of this host", "DELETE", "http://127.0.0.1:8080", "same-site", 403},
		{"another port in an old browser", "DELETE", "http://127.0.0.1:8080", "", 403},
		{"a page in a sandbox", "DELETE", "null", "", 403},
		{"no origin told", "DELETE", "", "cross-site", 403},
		{"another page posts", "POST", "https://example.org", "cross-site", 403},
		{"another page reads", "GET", "https://example.org", "cross-site", 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake()
			res, body := do(t, New(f, Options{}), tc.method, "/api/v1/streams/live", func(r *http.Request) {
				if tc.origin != "" {
					r.Header.Set("Origin", tc.origin)
				}
				if tc.site != "" {
					r.Header.Set("Sec-Fetch-Site", tc.site)
				}
			})
			require.Equal(t, tc.want, res.StatusCode, "%s", body)
			require.Equal(t, tc.want == 204, len(f.ended) == 1)
			// Whoever may send a request may still not read the answer from another origin.
			require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"))
			if tc.want == 403 {
				requireProblem(t, res, body, 403, "a page of another origin")
			}
		})
	}
}
