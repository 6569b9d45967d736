package controller

import "brume/api"

// EndPublisher ends the connection of a stream's publisher.
func (c *Controller) EndPublisher(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[name]
	if s == nil && !c.listed()[name] {
		return api.ErrNotFound
	}
	if s == nil || s.publisher == nil {
		return api.ErrNoPublisher
	}
	c.log.Info("the publisher is ended by the API", "stream", name, "conn", s.publisher.ID, "peer", s.publisher.Peer)
	c.closeConnection(s.publisher)
	return nil
}

// Disconnect ends a connection.
func (c *Controller) Disconnect(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.connections[id]
	if conn == nil {
		return api.ErrNotFound
	}
	c.log.Info("a connection is ended by the API", "conn", id, "stream", conn.Stream, "peer", conn.Peer)
	c.closeConnection(conn)
	return nil
}
