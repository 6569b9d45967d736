package config

import (
	"fmt"
	"maps"
	"slices"

	"brume/media"
)

// Warnings are sentences about what a correct configuration may have been meant to say. Each begins with a key.
func (c *Config) Warnings() []string {
	var all []string
	for _, p := range slices.Sorted(maps.Keys(c.Streams)) {
		hidden, ok := c.hidden(p)
		if !ok {
			continue
		}
		own, other := c.Streams[p].SRT, c.Streams[hidden].SRT
		warn := func(key string, own, other Secret) {
			if own == "" && other != "" {
				all = append(all, fmt.Sprintf("streams.%s: the %s of the pattern %s does not hold here, since only one entry applies to a stream; write it here as well if it is meant to", p, key, hidden))
			}
		}
		warn("publish_passphrase", own.PublishPassphrase, other.PublishPassphrase)
		warn("play_passphrase", own.PlayPassphrase, other.PlayPassphrase)
	}
	return all
}

// hidden returns the entry that applies to all streams of p where p has no entry, or would if it had none.
func (c *Config) hidden(p Pattern) (best Pattern, found bool) {
	for q := range c.Streams {
		// A star of p can only be fitted by a star of q, so q fits all that p fits.
		if q != p && q.Match(string(p)) && (!found || q.before(best)) {
			best, found = q, true
		}
	}
	return best, found
}

// StreamPassphrases reports whether a stream or pattern has a passphrase of its own for those who publish, play, or either.
func (c *Config) StreamPassphrases(mode Mode) bool {
	for _, s := range c.Streams {
		if s.SRT.PublishPassphrase != "" && mode.Allows(media.Publish) || s.SRT.PlayPassphrase != "" && mode.Allows(media.Play) {
			return true
		}
	}
	return false
}
