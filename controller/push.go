package controller

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"brume/api"
	"brume/buffer"
	"brume/config"
	"brume/guardian"
	"brume/media"
)

// kindPush is a push that the API started, in the guardian's store.
const kindPush = "push"

// maxPushes bounds the pushes that the API starts.
const maxPushes = 256

// pushRecord is what the store keeps of a push. The URL is as it was written, secrets included: the store is memory of the guardian.
type pushRecord struct {
	ID     string `json:"id"`
	Stream string `json:"stream"`
	URL    string `json:"url"`
}

// push is a target that a stream is sent to while it is live.
type push struct {
	dialer

	configured bool
	own        bool // its stream has an entry of its own in the configuration
	raw        config.URL
}

func (c *Controller) newPush(id, stream string, raw config.URL) (*push, error) {
	urls, err := c.callURLs([]config.URL{raw}, stream)
	if err != nil {
		return nil, err
	}
	return &push{
		dialer: dialer{id: id, stream: stream, role: media.Play, urls: urls, round: round{size: 1, since: time.Now()}}, raw: raw,
	}, nil
}

// addPushes makes the pushes that the configuration has for a stream.
func (c *Controller) addPushes(stream string) {
	for i, raw := range c.Config.Stream(stream).Push {
		id := stream + "-" + strconv.Itoa(i)
		if c.out.pushes[id] != nil {
			continue
		}
		p, err := c.newPush(id, stream, raw)
		if err != nil {
			c.log.Error("a push can't be used", "stream", stream, "error", err)
			continue
		}
		_, p.own = c.Config.Streams[config.Pattern(stream)]
		p.configured = true
		c.out.pushes[id] = p
	}
}

// tendPushes starts the pushes of streams that are live. They end with their streams.
func (c *Controller) tendPushes(now time.Time) {
	for name, s := range c.streams {
		if len(s.cfg.Push) > 0 {
			c.addPushes(name)
		}
	}
	for id, p := range c.out.pushes {
		s := c.streams[p.stream]
		switch {
		case p.busy() || listens(p.urls):
		case p.configured && !p.own && s == nil:
			delete(c.out.pushes, id)
		case !s.playable() || s.publisher == nil || s.info.State != buffer.Live:
			p.rests(now)
		case p.round.due(now):
			c.begin(&p.dialer, now)
		}
	}
}

// StartPush sends a stream to a URL whenever it is live, until EndPush.
func (c *Controller) StartPush(stream, url string) (api.Push, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !media.ValidName(stream) {
		return api.Push{}, fmt.Errorf("%w: that is no name of a stream", api.ErrInvalid)
	}
	if c.stopping {
		return api.Push{}, fmt.Errorf("%w: the server is shutting down", api.ErrConflict)
	}
	own := 0
	for _, p := range c.out.pushes {
		if p.stream == stream && string(p.raw) == url {
			return api.Push{}, fmt.Errorf("%w: the push %s does that already", api.ErrConflict, p.id)
		}
		if !p.configured {
			own++
		}
	}
	if own >= maxPushes {
		return api.Push{}, fmt.Errorf("%w: there are %d pushes already", api.ErrConflict, own)
	}
	id := make([]byte, 6)
	_, _ = rand.Read(id) // never fails
	p, err := c.newPush(hex.EncodeToString(id), stream, config.URL(url))
	if err == nil && listens(p.urls) {
		err = errors.New("a port is opened when the server starts; write it into the configuration")
	}
	if err != nil {
		return api.Push{}, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	if err := c.store.Put(kindPush, p.id, pushRecord{ID: p.id, Stream: stream, URL: url}); err != nil {
		return api.Push{}, err
	}
	c.out.pushes[p.id] = p
	c.log.Info("a push is started by the API", "push", p.id, "stream", stream, "url", p.url().String())
	c.tendPushes(time.Now())
	return c.pushView(p), nil
}

// EndPush ends a push that the API started.
func (c *Controller) EndPush(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.out.pushes[id]
	switch {
	case p == nil:
		return api.ErrNotFound
	case p.configured:
		return fmt.Errorf("%w: the push is in the configuration; take it out there", api.ErrConflict)
	}
	c.log.Info("a push is ended by the API", "push", id, "stream", p.stream)
	delete(c.out.pushes, id)
	_ = c.store.Remove(kindPush, id)
	c.callOff(&p.dialer)
	return nil
}

// adoptPush takes over a push that the API started with an earlier controller.
func (c *Controller) adoptPush(h *guardian.Handed) {
	var r pushRecord
	err := json.Unmarshal(h.Record, &r)
	var p *push
	if err == nil {
		p, err = c.newPush(r.ID, r.Stream, config.URL(r.URL))
	}
	if err != nil {
		c.log.Error("can't take a push over", "push", h.Key, "error", err)
		_ = c.store.Remove(kindPush, h.Key)
		return
	}
	c.out.pushes[p.id] = p
}

// Pushes returns every push.
func (c *Controller) Pushes() []api.Push {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.allPushes()
}

func (c *Controller) allPushes() []api.Push {
	all := make([]api.Push, 0, len(c.out.pushes))
	for _, p := range c.out.pushes {
		all = append(all, c.pushView(p))
	}
	return all
}

// Push returns one push.
func (c *Controller) Push(id string) (api.Push, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.out.pushes[id]; p != nil {
		return c.pushView(p), nil
	}
	return api.Push{}, api.ErrNotFound
}

func (c *Controller) pushView(p *push) api.Push {
	v := api.Push{ID: p.id, Stream: p.stream, Configured: p.configured}
	if listens(p.urls) {
		v.Call = c.listenerView(&p.dialer)
	} else {
		v.Call = p.dialer.view()
	}
	return v
}

// view shows a caller.
func (k *dialer) view() api.Call {
	u := k.url()
	v := api.Call{
		State: callStates[k.round.phase], URL: u.String(), Mode: api.Mode(u.Mode), Since: k.round.since, Attempts: k.attempts, Failures: map[string]uint64{},
	}
	for reason, n := range k.failures {
		v.Failures[reason] = n
	}
	if k.conn != nil {
		v.Connection = k.conn.ID
	}
	if k.last != nil {
		v.LastError = &api.CallError{Reason: k.last.Reason, Detail: k.last.Detail, Code: k.last.Code, At: k.last.at}
	}
	if k.round.phase == failed {
		next := k.round.next
		v.NextTry = &next
	}
	return v
}

var callStates = map[phase]api.CallState{
	resting: api.CallWaiting, connecting: api.CallConnecting, connected: api.CallConnected, failed: api.CallFailed,
}

// sourceView shows what a stream is pulled from, nil where it is not.
func (c *Controller) sourceView(name string) *api.Source {
	s := c.out.sources[name]
	if s == nil {
		if s = c.sourcePort(name); s == nil {
			return nil
		}
	}
	v := &api.Source{Start: string(config.StartDemand), Index: s.round.at, Call: s.dialer.view()}
	if listens(s.urls) {
		v.Call = c.listenerView(&s.dialer)
	}
	if s.always {
		v.Start = string(config.StartAlways)
	}
	for _, u := range s.urls {
		v.URLs = append(v.URLs, u.String())
	}
	return v
}
