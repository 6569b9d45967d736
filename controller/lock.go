package controller

import (
	"slices"

	"brume/api"
	"brume/media"
)

// maxLocked bounds the streams that are locked at once: their names are part of one message to the guardian.
const maxLocked = 256

// locked tells whether a stream takes no new publishers and players.
func (c *Controller) locked(stream string) bool { return slices.Contains(c.server.Locked, stream) }

// Lock keeps new publishers and players from a stream, whether it is there or not, until Unlock. Those who are there stay.
// It holds over restarts of the controller, not of the server.
func (c *Controller) Lock(stream string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !media.ValidName(stream):
		return api.ErrNotFound
	case c.locked(stream):
		return nil
	case len(c.server.Locked) >= maxLocked:
		return api.ErrTooMany
	}
	c.server.Locked = append(c.server.Locked, stream)
	slices.Sort(c.server.Locked)
	c.saveServer()
	c.log.Info("the stream is locked", "stream", stream)
	return nil
}

// Unlock undoes Lock.
func (c *Controller) Unlock(stream string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !media.ValidName(stream) {
		return api.ErrNotFound
	}
	if c.locked(stream) {
		c.server.Locked = slices.DeleteFunc(slices.Clone(c.server.Locked), func(s string) bool { return s == stream })
		c.saveServer()
		c.log.Info("the stream is no longer locked", "stream", stream)
	}
	return nil
}
