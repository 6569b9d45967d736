package controller

import (
	"log/slog"
	"strings"
	"time"

	"brume/buffer"
	"brume/config"
	"brume/media"
	"brume/srt"
)

const (
	// arriveTime is how long a source goes on for somebody who asked for the stream and is not there yet.
	arriveTime = 10 * time.Second
	// noMediaTime is how long a source that is connected may bring nothing.
	noMediaTime = 10 * time.Second
	// parkTime is how long the verdict on an SRT player waits for a source to connect: a caller gives up after 3 s.
	parkTime = 2500 * time.Millisecond
	// maxSources bounds the sources of streams that have no entry of their own, maxParked the players that wait.
	maxSources = 256
	maxParked  = 1024
)

// source is where a stream is pulled from.
type source struct {
	dialer

	always    bool
	own       bool // its stream has an entry of its own in the configuration
	stopAfter time.Duration
	until     time.Time // it is wanted until then
}

// ask notes that somebody wants the stream.
func (s *source) ask(now time.Time) { s.want(now.Add(max(s.stopAfter, arriveTime))) }

func (s *source) want(until time.Time) {
	if until.After(s.until) {
		s.until = until
	}
}

// loadCallers makes the sources and pushes that the configuration names.
func (c *Controller) loadCallers() {
	for pattern := range c.Config.Streams {
		if name := string(pattern); !strings.Contains(name, "*") {
			c.source(name)
			c.addPushes(name)
		}
	}
}

// source is the source of a stream, nil where it has none. One is made where the configuration has it.
func (c *Controller) source(name string) *source {
	if s := c.out.sources[name]; s != nil {
		return s
	}
	cfg := c.Config.Stream(name)
	if len(cfg.Source) == 0 {
		return nil
	}
	_, own := c.Config.Streams[config.Pattern(name)]
	if !own && len(c.out.sources) >= maxSources {
		return nil
	}
	if c.sourcePort(name) != nil {
		return nil // its peer calls
	}
	urls, err := c.callURLs(cfg.Source, name)
	if err != nil {
		c.log.Error("a source can't be used", "stream", name, "error", err)
		return nil
	}
	s := &source{
		dialer: dialer{id: "source", stream: name, role: media.Publish, urls: urls, round: round{size: len(urls), since: time.Now()}},
		always: cfg.Start == config.StartAlways, own: own, stopAfter: time.Duration(cfg.StopAfter),
	}
	c.out.sources[name] = s
	return s
}

// sourcePort is the source of a stream where that is a port of its own, else nil.
func (c *Controller) sourcePort(name string) *source {
	cfg := c.Config.Stream(name)
	urls, err := c.callURLs(cfg.Source, name)
	if err != nil || !listens(urls) {
		return nil
	}
	return &source{dialer: dialer{id: "source", stream: name, role: media.Publish, urls: urls, round: round{since: c.server.Started}}, always: true}
}

// sourced tells whether any stream begins when somebody asks for it.
func (c *Controller) sourced() bool {
	for _, s := range c.Config.Streams {
		if len(s.Source) > 0 {
			return true
		}
	}
	return false
}

// demand starts the source of a stream that somebody asks for, and tells whether the stream is there or has one.
func (c *Controller) demand(name string, now time.Time) bool {
	if c.stopping || !media.ValidName(name) || c.locked(name) {
		return false
	}
	s := c.source(name)
	if s == nil {
		return c.streams[name].playable()
	}
	s.ask(now)
	c.tendSource(name, s, now)
	return true
}

// viewers counts who watches a stream. A target that it is pushed to is none.
func (s *stream) viewers() int {
	if s == nil {
		return 0
	}
	n := s.web.Viewers
	for conn := range s.players {
		if conn.dialer == nil {
			n++
		}
	}
	return n
}

// tendSource starts and stops a source as it is needed.
func (c *Controller) tendSource(name string, s *source, now time.Time) {
	at := c.streams[name]
	watched := at.viewers() > 0
	if watched {
		s.want(now.Add(s.stopAfter))
	}
	wanted := (s.always || watched || now.Before(s.until)) && !c.locked(name)
	holder := at.holder()
	switch {
	case !wanted && s.busy():
		if s.conn == nil || s.conn.closing.IsZero() {
			c.log.Log(c.out.ctx, slog.LevelInfo, "a source is not needed any more", "stream", name, "url", s.url().String())
			c.callOff(&s.dialer)
		}
	case s.busy():
		c.watchMedia(s, at, now)
	case !wanted:
		s.rests(now)
		if !s.own && at == nil { // viewers of a stream that is over may make it begin again
			delete(c.out.sources, name)
		}
	case holder != nil || !c.mayMap(s.stream):
		s.rests(now) // somebody publishes: the source waits for the end of that
	case s.round.due(now):
		c.begin(&s.dialer, now)
	}
}

// watchMedia ends a source that is connected and brings nothing, so that a backup has its turn.
func (c *Controller) watchMedia(s *source, at *stream, now time.Time) {
	conn := s.conn
	if conn == nil || conn.in == nil || conn.in != at || !conn.closing.IsZero() || s.round.phase != connected {
		return
	}
	if now.Sub(s.round.since) < noMediaTime || now.Sub(at.moved) < noMediaTime {
		return
	}
	conn.why = &srt.Failed{Reason: failNoMedia, Detail: "nothing that can be played came for " + noMediaTime.String()}
	c.log.Warn("a source brings no media; ending it", "conn", conn.ID, "stream", s.stream, "url", s.url().String(), "peer", conn.Peer)
	c.closeConnection(conn)
}

// parked is an SRT player whose verdict waits for a source.
type parked struct {
	asked
	stream string
	since  time.Time
}

// park lets a player that came for a stream with a source wait for it.
func (c *Controller) park(a asked, name string, role media.Role) bool {
	if role != media.Play || a.parked || len(c.out.parked) >= maxParked || !c.demand(name, time.Now()) {
		return false
	}
	c.out.parked = append(c.out.parked, parked{a, name, time.Now()})
	return true
}

// sweepParked judges the players that wait: when the stream is there, or when they would give up.
func (c *Controller) sweepParked(now time.Time) {
	waiting := c.out.parked
	c.out.parked = nil
	for i := range waiting {
		w := &waiting[i]
		if s := c.streams[w.stream]; s.playable() && s.info.State == buffer.Live || now.Sub(w.since) > parkTime {
			w.asked.parked = true
			c.requested(w.asked)
			continue
		}
		c.out.parked = append(c.out.parked, *w)
	}
}
