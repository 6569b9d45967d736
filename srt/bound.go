package srt

import (
	"math"
	"reflect"
	"slices"
)

// Bounds of what a connection process may report. No connection comes near them, every figure below them is exact in JSON
// and in a metric, and none becomes infinite when its unit is changed.
const (
	maxCount  = 1 << 53
	maxFigure = 1e12
)

// Add adds up intervals.
func (c *StatsCount) Add(more *StatsCount) {
	sum, v := reflect.ValueOf(c).Elem(), reflect.ValueOf(more).Elem()
	for i := range sum.NumField() {
		if f := sum.Field(i); f.CanInt() {
			f.SetInt(f.Int() + v.Field(i).Int())
		} else {
			f.SetUint(f.Uint() + v.Field(i).Uint())
		}
	}
}

// Bound makes every figure one that can be: not negative, not infinite, no number that is none.
func (s *Stats) Bound() { bound(reflect.ValueOf(s).Elem()) }

// Bound is for the figures of a process that may have been taken over. Health has rules of its own.
func (s *ConnStats) Bound() {
	health := s.Health
	s.Health = nil
	bound(reflect.ValueOf(s).Elem())
	s.Health = health
}

// Bound makes what was negotiated something that SRT can negotiate.
func (c *Connected) Bound() {
	for _, v := range []*int{&c.LatencyRcv, &c.LatencySnd, &c.Payload} {
		*v = min(max(*v, 0), math.MaxUint16) // 16 bits in the handshake; a packet is no longer
	}
	if !slices.Contains([]int{16, 24, 32}, c.KeyLength) {
		c.KeyLength = 0
	}
}

func bound(v reflect.Value) {
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			bound(v.Field(i))
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		bound(v.Elem())
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			bound(v.Index(i))
		}
	case !v.CanSet(): // of a type that has its own rules
	case v.CanInt():
		v.SetInt(min(max(v.Int(), 0), maxCount))
	case v.CanUint():
		v.SetUint(min(v.Uint(), maxCount))
	case v.CanFloat():
		if f := v.Float(); !(f >= 0) {
			v.SetFloat(0)
		} else {
			v.SetFloat(min(f, maxFigure))
		}
	}
}
