package httpd

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPreflight has a player ask for the headers that it wants to send.
func TestPreflight(t *testing.T) {
	f := start(t)
	var many, lines []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("x-%d", i))
		lines = append(lines, fmt.Sprintf("Access-Control-Request-Headers: x-%d\r\n", i))
	}
	for _, c := range []struct {
		name    string
		headers string
		allowed string
	}{
		{"nothing", "", ""},
		{"CMCD and a token", "Access-Control-Request-Headers: authorization,cmcd-object,cmcd-request, CMCD-Session\r\n", ", authorization, cmcd-object, cmcd-request, CMCD-Session"},
		{"on several lines", "Access-Control-Request-Headers: a\r\nAccess-Control-Request-Headers: b\r\n", ", a, b"},
		{"what is no name", "Access-Control-Request-Headers: a b, ,,\"c\", d:e, \xe9, f(g), ok\r\n", ", ok"},
		{"any", "Access-Control-Request-Headers: *\r\n", ", *"},
		{"a long name", "Access-Control-Request-Headers: " + strings.Repeat("x", 65) + ",y\r\n", ", y"},
		{"many", "Access-Control-Request-Headers: " + strings.Join(many, ",") + "\r\n", ", " + strings.Join(many[:maxAsked], ", ")},
		{"many lines", strings.Join(lines, ""), ", " + strings.Join(many[:maxAsked], ", ")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := f.get("OPTIONS", "/hls/live/index.m3u8", "Origin: https://player.example\r\nAccess-Control-Request-Method: GET\r\n", c.headers)
			require.Equal(t, http.StatusNoContent, r.StatusCode)
			require.Equal(t, "*", r.Header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, "GET, HEAD, OPTIONS", r.Header.Get("Access-Control-Allow-Methods"))
			require.Equal(t, askedAlways+c.allowed, r.Header.Get("Access-Control-Allow-Headers"))
			require.Equal(t, "86400", r.Header.Get("Access-Control-Max-Age"))
			require.Equal(t, "Access-Control-Request-Headers", r.Header.Get("Vary"))
		})
	}
}
