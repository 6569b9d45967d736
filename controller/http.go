package controller

import (
	"fmt"
	"log/slog"
	"time"

	"brume/api"
	"brume/control"
	"brume/outputs/httpd"
	"brume/untrusted"
)

// webState is what the http process tells.
type webState struct {
	stats  httpd.Stats
	behind bool // a message did not reach it: it is told everything again
}

// equipHTTP gives a new http process all that it serves.
func (c *Controller) equipHTTP(p *process) {
	c.web = webState{}
	c.tellHTTPLimits(p)
	c.sendHTTP(p, func() error { return p.ctl.Send(httpd.MsgListen, nil, c.sockets.http...) })
	c.tellDemand(p)
	c.tellAllStreams(p)
}

// tellHTTPLimits says what the configuration, which another controller may have read anew, lets clients use up.
func (c *Controller) tellHTTPLimits(p *process) {
	c.sendHTTP(p, func() error {
		return p.ctl.Send(httpd.MsgLimits, httpd.Limits{
			PerAddress: int(c.Config.Limits.HTTPPerAddress), KeepQuery: bool(c.Config.HTTP.KeepQuery),
		})
	})
}

// tellDemand says whether there are streams that begin when somebody asks for them.
func (c *Controller) tellDemand(p *process) {
	c.sendHTTP(p, func() error { return p.ctl.Send(httpd.MsgDemand, httpd.Demand{Sources: c.sourced()}) })
}

// tellSource says what becomes of a stream that requests may wait for.
func (c *Controller) tellSource(p *process, source httpd.Source) {
	c.sendHTTP(p, func() error { return p.ctl.Send(httpd.MsgSource, source) })
}

func (c *Controller) tellAllStreams(p *process) {
	for _, s := range c.streams {
		c.sendHTTP(p, func() error {
			return p.ctl.Send(httpd.MsgStream, s.forHTTP(), s.ro)
		})
	}
}

// forHTTP is what the http process is told of a stream.
func (s *stream) forHTTP() httpd.Stream {
	m := httpd.Stream{Name: s.Stream, ID: s.ID}
	if s.publisher != nil && s.leftOut.nothing {
		m.Unplayable = s.lacks()
	}
	return m
}

func (c *Controller) tellHTTP(s *stream) {
	if p := c.single(roleHTTP); p != nil {
		c.sendHTTP(p, func() error {
			return p.ctl.Send(httpd.MsgStream, s.forHTTP(), s.ro)
		})
	}
}

func (c *Controller) sendHTTP(p *process, send func() error) {
	if err := send(); err != nil {
		c.web.behind = true
		c.malformed.Log(c.log, slog.LevelWarn, "the http process does not take its messages", "error", err, "pid", p.PID)
	}
}

// catchUpHTTP tells everything again after a message was lost.
func (c *Controller) catchUpHTTP() {
	if p := c.single(roleHTTP); p != nil && c.web.behind {
		c.web.behind = false
		c.tellHTTPLimits(p)
		c.sendHTTP(p, func() error { return p.ctl.Send(httpd.MsgListen, nil, c.sockets.http...) })
		c.tellDemand(p)
		c.tellAllStreams(p)
	}
}

func (c *Controller) heardHTTP(p *process, m control.Message) error {
	switch m.Type {
	case httpd.MsgHello:
		var hello httpd.Hello
		if err := m.Decode(&hello); err != nil {
			return err
		}
		p.ready = true
		c.reportMissing(p.Role, hello.Missing)
	case httpd.MsgStats:
		var stats httpd.Stats
		if err := m.Decode(&stats); err != nil {
			return err
		}
		c.web.stats = stats
	case httpd.MsgStreams:
		var streams httpd.Streams
		if err := m.Decode(&streams); err != nil {
			return err
		}
		c.heardStreams(p, streams.Streams)
	case httpd.MsgWanted:
		var wanted httpd.Wanted
		if err := m.Decode(&wanted); err != nil {
			return err
		}
		c.tellSource(p, c.wanted(wanted.Name, time.Now()))
	case control.MsgLog:
		return c.childLog(p, m)
	case httpd.MsgFailed:
		var failed httpd.Failed
		if err := m.Decode(&failed); err != nil {
			return err
		}
		c.log.Error("the http process could not do as it was told", "message", untrusted.Text(failed.Message, 32), "stream", untrusted.Text(failed.Stream, 100), "detail", untrusted.Text(failed.Detail, 500))
	default:
		return fmt.Errorf("%w: unknown type %s", control.ErrMalformed, untrusted.Text(m.Type, 32))
	}
	return nil
}

func (c *Controller) heardStreams(p *process, all []httpd.StreamStats) {
	for _, stats := range all {
		s := c.streams[stats.Name]
		if s == nil || s.ID != stats.ID {
			_ = p.ctl.Send(httpd.MsgRemove, httpd.Remove{Name: stats.Name, ID: stats.ID})
			continue
		}
		s.web = stats
	}
}

func (w *webState) metrics() api.HTTPMetrics {
	m := api.HTTPMetrics{
		Connections: w.stats.Connections, Active: w.stats.Active, Accepted: w.stats.Accepted, Refused: w.stats.Refused, Displaced: w.stats.Displaced,
		SlowClosed: w.stats.SlowClosed, Panics: w.stats.Panics, Malformed: w.stats.Malformed,
	}
	for _, r := range w.stats.Requests {
		m.Requests = append(m.Requests, api.HTTPRequests{Route: string(r.Route), Class: r.Class, Requests: r.Requests, Bytes: r.Bytes})
	}
	return m
}
