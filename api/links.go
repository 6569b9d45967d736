package api

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
)

// links tells where a stream is found by whoever reached the API under host (a Host header).
func links(stream, host string, info *Info) Links {
	var l Links
	if at := reach(info.HTTP.Address, host); at != "" {
		base := url.URL{Scheme: "http", Host: at}
		l.HLS = base.JoinPath("hls", stream, "index.m3u8").String()
		l.HLSTS = base.JoinPath("hls", stream, "ts", "index.m3u8").String()
		l.Player = base.JoinPath(stream + ".html").String()
	}
	if len(info.SRT) > 0 {
		// The first port that both publishers and players may use, else the first.
		i := max(0, slices.IndexFunc(info.SRT, func(p SRTPort) bool { return p.Mode == "any" }))
		if at := reach(info.SRT[i].Address, host); at != "" {
			u := url.URL{Scheme: "srt", Host: at, RawQuery: url.Values{"streamid": {stream}}.Encode()}
			l.SRT = u.String()
		}
	}
	return l
}

// reach returns address:port of a listener: its own address where it has just one, else the
// host that the request came to.
func reach(listen, host string) string {
	name, port, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(name); err != nil || ip.IsUnspecified() {
		name = hostName(host)
	}
	return net.JoinHostPort(name, port)
}
