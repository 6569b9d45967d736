package hls

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
)

func TestCarriedQuery(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"token=abc":            "token=abc",
		"a=1&_HLS_msn=4&b=2":   "a=1&b=2",
		"_HLS_msn=4&_HLS_part": "",
		"%5FHLS_skip=YES&a":    "a",
		"&&a=%20b&&":           "a=%20b",
		"a=\"\n#EXT<>\\é":      "a=%22%0A%23EXT%3C%3E%5C%C3%A9",
		"a=%zz":                "a=%zz",
		"t=A-._~!$'()*+,;:@/?": "t=A-._~!$'()*+,;:@/?",
	} {
		got, err := carriedQuery(in)
		require.NoError(t, err)
		require.Equal(t, want, got, in)
	}
	_, err := carriedQuery("a=" + strings.Repeat("x", maxQuery-2))
	require.NoError(t, err)
	for _, long := range []string{"a=" + strings.Repeat("x", maxQuery-1), strings.Repeat("\"", maxQuery/3+1)} {
		_, err = carriedQuery(long)
		require.ErrorIs(t, err, errLongQuery)
	}
}

// TestKeepQuery has every kind of playlist with a query: all URIs have it, and nothing else differs.
func TestKeepQuery(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack, aacTrack, media.Track{Codec: media.SCTE35})
	section := insert(1, true, 40000, 0, false)
	f.packet(media.Packet{Track: 2, Payload: section}, 0)
	for n := range 500 {
		f.synthetic(n, n+1)
		f.packet(media.Packet{Track: 1, DTS: int64(n) * 3000, PTS: int64(n) * 3000, Payload: make([]byte, 50)}, 0)
	}
	var keep atomic.Bool
	s := f.stream(Options{KeepQuery: keep.Load})
	uri := regexp.MustCompile(`(?m)^([^#\n].*)$|URI="([^"]*)"`)
	for _, path := range []string{"index.m3u8", "ts/index.m3u8", "v0/index.m3u8", "a0/index.m3u8", "ts/media.m3u8", "v0/index.m3u8?_HLS_skip=YES", "v0/index.m3u8?_HLS_msn=3"} {
		base, directive, has := strings.Cut(path, "?")
		asked := base + "?to%2Bken=a\"b&c" // not in the form that Go would give it
		if has {
			asked += "&" + directive
		}
		keep.Store(false)
		plain := fetch(t, s, path)
		require.Equal(t, plain, fetch(t, s, strings.ReplaceAll(asked, `"`, "%22")), "not asked for by the operator")
		keep.Store(true)
		require.Equal(t, plain, fetch(t, s, path), "no query")
		r := get(t, s, strings.ReplaceAll(asked, `"`, "%22"), "Accept-Encoding", "gzip")
		require.Empty(t, r.Header.Get("Content-Encoding"))
		got := body(t, r)
		require.Equal(t, len(got), int(r.ContentLength))
		named := uri.FindAllStringSubmatch(got, -1)
		require.NotEmpty(t, named)
		for _, m := range named {
			one := m[1] + m[2]
			require.True(t, strings.HasSuffix(one, "?to%2Bken=a%22b&c"), one)
		}
		require.Equal(t, plain, strings.ReplaceAll(got, "?to%2Bken=a%22b&c", ""))
	}
	require.Equal(t, http.StatusRequestURITooLong, get(t, s, "v0/index.m3u8?t="+strings.Repeat("x", maxQuery)).StatusCode)
	epoch := s.current().epoch.id
	require.Equal(t, http.StatusOK, get(t, s, fmt.Sprintf("v0/init-%d.mp4?t=", epoch)+strings.Repeat("x", maxQuery)).StatusCode, "media takes any query")
}

// pieces is a client that notes how much it is given at a time.
type pieces struct {
	bytes.Buffer
	longest int
	left    int // pieces that it takes before it is gone
}

func (p *pieces) Write(b []byte) (int, error) {
	if p.left--; p.left < 0 {
		return 0, io.ErrClosedPipe
	}
	p.longest = max(p.longest, len(b))
	return p.Buffer.Write(b)
}

// TestQueryInPieces has the query in a playlist of an hour: no client is worth a copy of it.
func TestQueryInPieces(t *testing.T) {
	var playlist, want strings.Builder
	query := strings.Repeat("x", maxQuery)
	playlist.WriteString("#EXTM3U\n")
	want.WriteString("#EXTM3U\n")
	for n := range 3600 {
		fmt.Fprintf(&playlist, "#EXT-X-PART:DURATION=0.5,URI=\"part-%d.m4s\"\n#EXTINF:1.0,\nseg-%d.m4s\n", n, n)
		fmt.Fprintf(&want, "#EXT-X-PART:DURATION=0.5,URI=\"part-%d.m4s?%s\"\n#EXTINF:1.0,\nseg-%d.m4s?%s\n", n, query, n, query)
	}
	client := pieces{left: math.MaxInt}
	n, err := withQuery(&client, []byte(playlist.String()), query)
	require.NoError(t, err)
	require.LessOrEqual(t, client.longest, queryPiece)
	require.True(t, want.String() == client.String(), "the same with the query")
	require.Equal(t, want.Len(), int(n))
	require.Equal(t, want.Len(), queriedSize([]byte(playlist.String()), query))

	client = pieces{left: 2}
	n, err = withQuery(&client, []byte(playlist.String()), query)
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.Equal(t, client.Len(), int(n))
}
