package listener

import (
	"net/netip"
	"time"

	"brume/rate"
)

// Bounds of the table of rates.
const (
	maxBuckets  = 4096 // addresses that are known at once
	lookBuckets = 16   // that are looked at to find one that can be forgotten
)

// rates bounds how often each address may come: a token bucket for each that came lately, which holds one second's worth.
// Whoever finds the table full shares one bucket with all others that do.
type rates struct {
	perSecond float64 // 0 means no bound
	buckets   map[netip.Prefix]rate.Bucket
	rest      rate.Bucket
}

// take reports whether an address may come now.
func (r *rates) take(from netip.Prefix, now time.Time) bool {
	if r.perSecond <= 0 {
		return true
	}
	b, known := r.buckets[from]
	if !known && !r.room(now) {
		return r.rest.Take(r.perSecond, now)
	}
	ok := b.Take(r.perSecond, now)
	r.buckets[from] = b
	return ok
}

// room makes sure of a place in the table, if there is one whose bucket is full again: that is as good as unknown. A
// map is walked from anywhere, so that all are looked at by and by.
func (r *rates) room(now time.Time) bool {
	if len(r.buckets) < maxBuckets {
		return true
	}
	looked := 0
	for from, b := range r.buckets {
		if b.Full(r.perSecond, now) {
			delete(r.buckets, from)
			return true
		}
		if looked++; looked == lookBuckets {
			break
		}
	}
	return false
}

// expire forgets the addresses whose buckets are full again.
func (r *rates) expire(now time.Time) {
	for from, b := range r.buckets {
		if b.Full(r.perSecond, now) {
			delete(r.buckets, from)
		}
	}
}
