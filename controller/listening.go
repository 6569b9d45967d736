package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"brume/api"
	"brume/config"
	"brume/srt"
)

// urlPort is an SRT port that a stream's URL with mode=listener asks for.
type urlPort struct {
	config.Port
	setting string // where it is set
}

// urlPorts are the ports of their own that streams have.
func (c *Controller) urlPorts() []urlPort {
	var all []urlPort
	for _, pattern := range slices.Sorted(maps.Keys(c.Config.Streams)) {
		name, s := string(pattern), c.Config.Streams[pattern]
		if strings.Contains(name, "*") {
			continue
		}
		for _, list := range []struct {
			key  string
			mode config.Mode
			urls []config.URL
		}{{"source", config.ModePublish, s.Source}, {"push", config.ModePlay, s.Push}} {
			for i, raw := range list.urls {
				urls, err := c.callURLs([]config.URL{raw}, name)
				if err == nil && urls[0].Mode == srt.ModeListener {
					p := c.portOf(name, urls[0])
					p.Mode = list.mode
					all = append(all, urlPort{p, fmt.Sprintf("streams.%s.%s.%d in the configuration", name, list.key, i)})
				}
			}
		}
	}
	return all
}

// portOf makes the settings of a port of those of a URL.
func (c *Controller) portOf(stream string, u *srt.URL) config.Port {
	o := config.Options(c.callOptions(stream, u))
	latency, _ := time.ParseDuration(o["latency"] + "ms") // a number
	delete(o, "latency")
	return config.Port{
		Address: config.Address(u.Address()), Stream: config.StreamName(stream), Latency: config.Duration(latency),
		Passphrase: config.Secret(u.Passphrase), Options: o,
	}
}

// listens tells whether a stream's source is a port that is called, and its peers are its publishers.
func listens(urls []*srt.URL) bool { return len(urls) > 0 && urls[0].Mode == srt.ModeListener }

// listenerView shows a source or a target that is a port of the stream's own: who is connected by it is the connection.
func (c *Controller) listenerView(k *dialer) api.Call {
	v := k.view()
	v.State = api.CallWaiting
	for _, conn := range c.connections {
		if conn.Port == k.url().Address() && conn.Connected != nil {
			v.State, v.Connection, v.Since = api.CallConnected, conn.ID, conn.Since
		}
	}
	return v
}
