package srt

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"brume/media/ts"

	"github.com/stretchr/testify/require"
)

// fill sets every number of a structure.
func fill(v reflect.Value, whole int64, figure float64) {
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), whole, figure)
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		fill(v.Elem(), whole, figure)
	case !v.CanSet():
	case v.CanInt():
		v.SetInt(whole)
	case v.CanUint():
		v.SetUint(uint64(whole))
	case v.CanFloat():
		v.SetFloat(figure)
	}
}

func TestHostileFiguresAreBounded(t *testing.T) {
	want := func(whole, figure float64, check func(*testing.T, ConnStats)) func(*testing.T) {
		return func(t *testing.T) {
			s := ConnStats{Demux: &ts.Stats{}}
			fill(reflect.ValueOf(&s).Elem(), int64(whole), figure)
			s.Bound()
			check(t, s)
			_, err := json.Marshal(s)
			require.NoError(t, err)
		}
	}
	zero := func(t *testing.T, s ConnStats) {
		require.Zero(t, s.SRT.Total.PktSent)
		require.Zero(t, s.SRT.PktFlight)
		require.Zero(t, s.SRT.RTTMS)
	}
	most := func(t *testing.T, s ConnStats) {
		require.EqualValues(t, maxCount, s.SRT.Interval.PktRcvLoss)
		require.EqualValues(t, maxCount, s.SRT.Total.ByteRecv)
		require.EqualValues(t, maxCount, s.Bytes)
		require.EqualValues(t, maxCount, s.Demux.Packets)
		require.EqualValues(t, maxFigure, s.SRT.RTTMS)
		require.False(t, math.IsInf(s.SRT.BandwidthMbps*1e6/8, 0))
	}
	t.Run("negative", want(-5, -1e300, zero))
	t.Run("no number", want(0, math.NaN(), zero))
	t.Run("minus infinity", want(-1<<62, math.Inf(-1), zero))
	t.Run("infinite", want(1<<62, math.Inf(1), most))
	t.Run("absurd", want(1<<60, 1e308, most))
	t.Run("honest", want(7, 1.5, func(t *testing.T, s ConnStats) {
		whole := ConnStats{Demux: &ts.Stats{}}
		fill(reflect.ValueOf(&whole).Elem(), 7, 1.5)
		require.Equal(t, whole, s)
	}))
}

func TestNegotiatedIsBounded(t *testing.T) {
	c := Connected{LatencyRcv: -1, LatencySnd: 1 << 40, KeyLength: 99, Payload: 1316, Since: time.Unix(1, 0)}
	c.Bound()
	require.Equal(t, Connected{LatencySnd: math.MaxUint16, Payload: 1316, Since: time.Unix(1, 0)}, c)
	c.KeyLength = 32
	c.Bound()
	require.Equal(t, 32, c.KeyLength)
}

func TestIntervalsAddUp(t *testing.T) {
	var sum, one StatsCount
	v := reflect.ValueOf(&one).Elem()
	for i := range v.NumField() {
		fill(v.Field(i), int64(i+1), 0)
	}
	for range 3 {
		sum.Add(&one)
	}
	for i := range v.NumField() {
		got := reflect.ValueOf(sum).Field(i)
		require.EqualValues(t, 3*(i+1), got.Convert(reflect.TypeFor[int64]()).Interface(), v.Type().Field(i).Name)
	}
}
