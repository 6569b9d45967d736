package api

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Pages of any size, one after the other, are the whole collection in its order.
func TestPaging(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := rapid.SliceOf(rapid.Int()).Draw(rt, "all")
		limit := rapid.IntRange(1, 1000).Draw(rt, "limit")
		got := []int{}
		for offset := 0; ; offset += limit {
			p := page(all, Page{Limit: limit, Offset: offset})
			require.Equal(rt, len(all), p.Total)
			require.NotNil(rt, p.Items)
			if len(p.Items) == 0 {
				break
			}
			require.LessOrEqual(rt, len(p.Items), limit)
			got = append(got, p.Items...)
		}
		require.Equal(rt, append([]int{}, all...), got)
		require.Empty(rt, page(all, Page{Limit: limit, Offset: int(^uint(0) >> 1)}).Items)
	})
}

func TestPagingOverHTTP(t *testing.T) {
	f := &fake{}
	for i := range 250 {
		// In an order that is neither that of the names nor its reverse.
		f.streams = append(f.streams, Stream{Name: fmt.Sprintf("s%03d", i*7%250)})
	}
	h := New(f, Options{})
	first := get[List[Stream]](t, h, "/api/v1/streams")
	require.Len(t, first.Items, 100)
	var names []string
	for offset := 0; offset < 250; offset += 60 {
		p := get[List[Stream]](t, h, fmt.Sprintf("/api/v1/streams?limit=60&offset=%d", offset))
		require.Equal(t, 250, p.Total)
		for _, s := range p.Items {
			names = append(names, s.Name)
		}
	}
	require.Len(t, names, 250)
	for i, name := range names {
		require.Equal(t, fmt.Sprintf("s%03d", i), name)
	}
}

func TestLinks(t *testing.T) {
	for _, tc := range []struct {
		name, http, srt, host string
		hls, srtLink          string
	}{
		{"all addresses", ":8080", "0.0.0.0:8889", "localhost:4242", "http://localhost:8080/hls/a/index.m3u8", "srt://localhost:8889?streamid=a"},
		{"all addresses, IPv6", "[::]:8080", "[::]:8889", "[::1]:4242", "http://[::1]:8080/hls/a/index.m3u8", "srt://[::1]:8889?streamid=a"},
		{"one address", "192.0.2.1:80", "[2001:db8::1]:9", "127.0.0.1", "http://192.0.2.1:80/hls/a/index.m3u8", "srt://[2001:db8::1]:9?streamid=a"},
		{"none", "", "", "127.0.0.1", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := links("a", tc.host, &Info{HTTP: Listener{tc.http}, SRT: []SRTPort{{Address: tc.srt}}})
			require.Equal(t, tc.hls, l.HLS)
			require.Equal(t, tc.srtLink, l.SRT)
		})
	}
	require.Equal(t, Links{}, links("a", "h", &Info{}))
	// A name with + must come back as it was.
	l := links("a+b", "127.0.0.1", &Info{HTTP: Listener{":1"}, SRT: []SRTPort{{Address: ":2"}}})
	require.Equal(t, "srt://127.0.0.1:2?streamid=a%2Bb", l.SRT)
	require.Equal(t, "http://127.0.0.1:1/a+b.html", l.Player)
}

// TestNamesWithPlus writes the + of a name in each way that clients do.
func TestNamesWithPlus(t *testing.T) {
	f := newFake()
	f.streams = append(f.streams, Stream{Name: "live+room1", State: StreamLive})
	f.connections = append(f.connections, Connection{ID: "plus", Stream: "live+room1", Role: "play"})
	h := New(f, Options{})
	for _, name := range []string{"live+room1", "live%2Broom1", "live%2broom1"} {
		require.Equal(t, "live+room1", get[Stream](t, h, "/api/v1/streams/"+name).Name)
		res, _ := do(t, h, http.MethodGet, "/api/v1/streams/"+name+"/history")
		require.Equal(t, http.StatusOK, res.StatusCode)
		res, _ = do(t, h, http.MethodPut, "/api/v1/streams/"+name+"/lock")
		require.Equal(t, http.StatusNoContent, res.StatusCode)
		require.Equal(t, map[string]bool{"live+room1": true}, f.locked)
		l := get[List[Connection]](t, h, "/api/v1/connections?stream="+name)
		require.Len(t, l.Items, 1)
		require.Equal(t, "plus", l.Items[0].ID)
	}
	res, _ := do(t, h, http.MethodGet, "/api/v1/streams/live%2Froom1")
	require.Equal(t, http.StatusNotFound, res.StatusCode)
}
