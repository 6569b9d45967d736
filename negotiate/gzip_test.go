package negotiate

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "br": false, "identity": false, "gzip": true, "GZIP ; q=1": true, "x-gzip": true, "deflate, gzip;q=0.8, br": true,
		"gzip;q=0": false, "gzip; q=0.000, br": false, "*": true, "*;q=0": false, "*, gzip;q=0": false, "gzip, *;q=0": true, "gzip;q=junk": true,
	} {
		answer := http.Header{}
		r := &http.Request{Header: http.Header{"Accept-Encoding": {header}}}
		require.Equal(t, want, Gzip(answer, r), header)
		require.Equal(t, "Accept-Encoding", answer.Get("Vary"))
	}
}

func TestGzipInASecondHeaderLine(t *testing.T) {
	require.True(t, Gzip(http.Header{}, &http.Request{Header: http.Header{"Accept-Encoding": {"br", "gzip"}}}))
}
