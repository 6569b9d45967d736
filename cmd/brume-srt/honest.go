//go:build !hostile

package main

// betray does nothing. For tests the program is built with a connection process in its place that behaves as if a
// stranger had taken it over.
func (p *process) betray(grant) {}
