// Package rate bounds how often something may happen.
package rate

import "time"

// Bucket is a token bucket that holds one second's worth. The zero value is full and ready for use. The rate is
// given with each call, so that a table of many buckets holds it once.
type Bucket struct {
	left float64   // what may still happen at once; below 0 after Debt
	at   time.Time // when left was true; zero: never used
}

// Take reports whether one more may happen now, and counts it if so.
func (b *Bucket) Take(perSecond float64, now time.Time) bool {
	b.refill(perSecond, now)
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// Debt counts one more whether or not it may happen yet, and returns how long to wait after it, 0 within the bound.
func (b *Bucket) Debt(perSecond float64, now time.Time) time.Duration {
	b.refill(perSecond, now)
	b.left--
	return time.Duration(max(-b.left, 0) / perSecond * float64(time.Second))
}

// Full reports whether the bucket is as good as one that was never used.
func (b *Bucket) Full(perSecond float64, now time.Time) bool {
	b.refill(perSecond, now)
	return b.left >= size(perSecond)
}

// size is what a bucket holds: one second's worth, and at least one.
func size(perSecond float64) float64 { return max(perSecond, 1) }

func (b *Bucket) refill(perSecond float64, now time.Time) {
	if b.at.IsZero() {
		b.left = size(perSecond)
	} else {
		b.left = min(size(perSecond), b.left+max(now.Sub(b.at), 0).Seconds()*perSecond)
	}
	b.at = now
}
