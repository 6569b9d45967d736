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
	c.disconnect(s.publisher)
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
	c.disconnect(conn)
	return nil
}

// disconnect ends a connection for the API. One line of the log tells of its end, and by whom.
func (c *Controller) disconnect(conn *connection) {
	conn.endedBy = "the API"
	c.closeConnection(conn)
}
