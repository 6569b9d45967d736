package listener

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"brume/place"
	"brume/rate"
)

func newRates(perSecond float64) *rates {
	return &rates{perSecond: perSecond, buckets: map[netip.Prefix]rate.Bucket{}}
}

func network(i int) netip.Prefix {
	return place.Of(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 16), byte(i >> 8), byte(i)}))
}

// TestRateIsKept has an address come as it likes: over any time it gets one second's worth and the rate, and not less.
func TestRateIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perSecond := rapid.IntRange(1, 50).Draw(t, "rate")
		r := newRates(float64(perSecond))
		now, got, passed := epoch, 0, time.Duration(0)
		for range rapid.IntRange(1, 300).Draw(t, "callers") {
			pause := time.Duration(rapid.IntRange(0, 100).Draw(t, "pause")) * time.Millisecond
			now, passed = now.Add(pause), passed+pause
			if r.take(network(1), now) {
				got++
			} else if b := r.buckets[network(1)]; b.Take(r.perSecond, now) {
				t.Fatal("refused with one left")
			}
			if rapid.IntRange(0, 9).Draw(t, "sweep") == 0 {
				r.expire(now)
			}
		}
		if most := float64(perSecond) * (1 + passed.Seconds()); float64(got) > most+1e-6 {
			t.Fatalf("%d in %v at %d a second", got, passed, perSecond)
		}
	})
}

// TestTableOfRatesIsBounded has more addresses come than it holds, as the owner of an IPv6 /32 can.
func TestTableOfRatesIsBounded(t *testing.T) {
	r := newRates(2)
	taken := 0
	for i := range 3 * maxBuckets {
		if r.take(network(i), epoch) {
			taken++
		}
	}
	require.Len(t, r.buckets, maxBuckets)
	require.Equal(t, maxBuckets+2, taken, "who finds no room shares one bucket")
	require.True(t, r.take(network(0), epoch), "those in the table keep theirs")
	require.False(t, r.take(network(9*maxBuckets), epoch))

	later := epoch.Add(time.Second)
	taken = 0
	for i := range maxBuckets / 4 {
		if r.take(network(4*maxBuckets+i), later) {
			taken++
		}
	}
	require.Greater(t, taken, maxBuckets/4*9/10, "those that are full again make room")
	require.Len(t, r.buckets, maxBuckets)
	r.expire(later.Add(time.Second))
	require.Empty(t, r.buckets)
}

func TestClockThatGoesBackTakesNothing(t *testing.T) {
	r := newRates(1)
	require.True(t, r.take(network(1), epoch))
	require.False(t, r.take(network(1), epoch.Add(-time.Hour)))
	require.True(t, r.take(network(1), epoch.Add(time.Hour)))
}
