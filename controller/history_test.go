package controller

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"brume/api"
	"brume/control"
	"brume/srt"
)

// shown is a column with -1 for no value.
func shown(column []float32) (all []float64) {
	for _, v := range column {
		if math.IsNaN(float64(v)) {
			v = -1
		}
		all = append(all, float64(v))
	}
	return all
}

func TestHistoryMerges(t *testing.T) {
	h := newHistory([]merge{mean, total})
	times, columns := h.fine.read(5000)
	require.Empty(t, times)
	require.Len(t, columns, 2)
	h.add(1000, 1, []float64{10, 1})
	h.add(1001, 1, []float64{20, 2})
	h.add(1001, 3, []float64{40, 3}) // twice in one second
	h.add(1004, 1, []float64{math.NaN(), 7})
	h.add(1003, 1, []float64{8, 1}) // late by one: it belongs to the newest
	h.add(1012, 1, []float64{5, 5})
	times, columns = h.fine.read(1013)
	require.Equal(t, []int64{1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012}, times)
	require.Equal(t, []float64{10, 35, -1, -1, 8, -1, -1, -1, -1, -1, -1, -1, 5}, shown(columns[0]))
	require.Equal(t, []float64{1, 5, -1, -1, 8, -1, -1, -1, -1, -1, -1, -1, 5}, shown(columns[1]))

	times, columns = h.coarse.read(1013)
	require.Equal(t, []int64{1000}, times, "the ten seconds that are not over are not shown")
	require.Equal(t, []float64{1 + 5 + 8}, shown(columns[1]))
	require.InDelta(t, (10+20+40*3+8)/6., columns[0][0], 1e-4)
	times, columns = h.coarse.read(1035)
	require.Equal(t, []int64{1000, 1010, 1020}, times)
	require.Equal(t, []float64{14, 5, -1}, shown(columns[1]), "nothing is repeated")
}

func TestHistoryHasItsLength(t *testing.T) {
	h := newHistory([]merge{total})
	for second := range int64(2 * coarseStep * coarseSlots) {
		h.add(second+1, 1, []float64{1})
	}
	end := int64(2*coarseStep*coarseSlots + 1)
	times, columns := h.fine.read(end)
	require.Len(t, times, fineSlots)
	require.Equal(t, end-1, times[fineSlots-1])
	for _, v := range columns[0] {
		require.EqualValues(t, 1, v)
	}
	times, columns = h.coarse.read(end)
	require.Len(t, times, coarseSlots)
	for _, v := range columns[0] {
		require.EqualValues(t, 10, v)
	}
	// When nothing comes any more, what there was goes out of sight.
	times, columns = h.fine.read(end + fineSlots/2)
	require.Len(t, times, fineSlots)
	require.Equal(t, []float64{1, -1}, shown(columns[0][fineSlots/2-1:fineSlots/2+1]))
	times, columns = h.fine.read(end + 500)
	require.Len(t, times, fineSlots)
	require.EqualValues(t, []float64{1, -1}, shown(columns[0][fineSlots-501:fineSlots-499]))
	h.add(end+1e6, 1, []float64{3})
	times, columns = h.fine.read(end + 1e6 + 1)
	require.Equal(t, []int64{end + 1e6}, times, "after a long gap it begins anew")
	require.Equal(t, []float64{3}, shown(columns[0]))
	h.add(end, 1, []float64{4}) // the clock was set back
	times, columns = h.fine.read(end + 1)
	require.Equal(t, []int64{end}, times)
	require.Equal(t, []float64{4}, shown(columns[0]))
}

func TestHistoryIsSmall(t *testing.T) {
	h := newHistory(connFigures)
	require.Len(t, connFigures, 10)
	size := 0
	for _, l := range []*level{&h.fine, &h.coarse} {
		size += int(unsafe.Sizeof(*l)) + 4*cap(l.values) + 8*(cap(l.sums)+cap(l.weights))
	}
	require.Less(t, size, 50000)
}

// Reports that come a little early and a little late are neither missing nor doubled, wherever in the clock's second they come.
func TestReportsAreOneForEachSecond(t *testing.T) {
	for offset := time.Duration(0); offset < time.Second; offset += 50 * time.Millisecond {
		for name, jitter := range map[string]time.Duration{"none": 0, "some": 200 * time.Millisecond, "first late": 200 * time.Millisecond} {
			b := beat{}
			start := time.Unix(1000, int64(offset))
			first := start
			if name == "first late" {
				first = start.Add(400 * time.Millisecond)
			}
			last := b.second(first)
			require.InDelta(t, float64(first.UnixMilli())/1e3, float64(last), 1)
			for i := range 500 {
				at := start.Add(time.Duration(i+1) * time.Second)
				switch {
				case name == "first late" && i < 50: // it takes some reports to find the middle
				case i%3 == 1:
					at = at.Add(jitter)
				case i%3 == 2:
					at = at.Add(-jitter)
				}
				second := b.second(at)
				require.Equal(t, last+1, second, "%v %s %d", offset, name, i)
				last = second
				require.InDelta(t, float64(at.UnixMilli())/1e3, float64(second), 2)
			}
		}
	}
}

// A process that reports all the time can't make time of its own.
func TestReportsDoNotMakeTime(t *testing.T) {
	b := beat{}
	now := time.Unix(1000, 0)
	for range 100000 {
		now = now.Add(10 * time.Millisecond)
		second := b.second(now)
		require.InDelta(t, float64(now.UnixMilli())/1e3, float64(second), 2)
	}
}

// reports lets a process report as it would after some seconds, and looks at the history of its connection.
func reports(age int64, change func(*srt.ConnStats)) srt.ConnStats {
	s := srt.ConnStats{}
	s.SRT.TimeMS = age * 1000
	change(&s)
	return s
}

func TestHistoryOfConnections(t *testing.T) {
	d := newDesk(t)
	publisher := d.admitted(1, "publish:live")
	d.live(publisher)
	viewer := d.admitted(2, "read:live")
	pub, play := publisher.p.conn, viewer.p.conn
	require.Nil(t, pub.samples.history, "no report, no history")
	start := time.Unix(5000, 0)
	at := func(second int, conn *connection, s srt.ConnStats) {
		conn.stats = s
		d.sample(conn, start.Add(time.Duration(second)*time.Second))
	}
	send := func(conn *connection, second int, n int64) {
		at(second, conn, reports(int64(second)+1, func(s *srt.ConnStats) {
			s.SRT.RTTMS, s.SRT.ReceiveRateMbps, s.SRT.SendRateMbps = 20+float64(second), 4, 5
			s.SRT.RcvBufMS, s.SRT.SndBufMS, s.SRT.PktFlight = 100, 50, 9
			t := &s.SRT.Total
			t.PktRecvUnique, t.PktRcvLoss, t.PktRcvRetrans, t.PktRcvDrop, t.PktRcvBelated, t.PktRcvUndecrypt = 100*n, 10*n, 9*n, 2*n, 3*n, n
			t.PktSentUnique, t.PktSndLoss, t.PktRetrans, t.PktSndDrop = 200*n, 20*n, 21*n, 4*n
		}))
	}
	for i, n := range []int64{1, 2, 3, 0, 5} {
		if n == 0 {
			continue // a report that is lost
		}
		send(pub, i, n)
		send(play, i, n)
	}
	at(5, pub, pub.stats) // libsrt had nothing new: the connection is over
	times, v := pub.samples.history.fine.read(5006)
	require.Len(t, times, 6)
	for figure, want := range map[int][]float64{
		connRate: {4, 4, 4, -1, 4, -1}, connPackets: {100, 100, 100, -1, 200, -1}, connRTT: {20, 21, 22, -1, 24, -1}, connLost: {10, 10, 10, -1, 20, -1},
		connRetransmitted: {9, 9, 9, -1, 18, -1}, connDropped: {2, 2, 2, -1, 4, -1}, connBelated: {3, 3, 3, -1, 6, -1}, connUndecrypted: {1, 1, 1, -1, 2, -1},
		connBuffer: {100, 100, 100, -1, 100, -1}, connFlight: {-1, -1, -1, -1, -1, -1},
	} {
		require.Equal(t, want, shown(v[figure]), figure)
	}
	_, v = play.samples.history.fine.read(5005)
	for figure, want := range map[int][]float64{
		connRate: {5, 5, 5, -1, 5}, connPackets: {200, 200, 200, -1, 400}, connRTT: {20, 21, 22, -1, 24}, connLost: {20, 20, 20, -1, 40},
		connRetransmitted: {21, 21, 21, -1, 42}, connDropped: {4, 4, 4, -1, 8}, connBelated: {-1, -1, -1, -1, -1}, connUndecrypted: {-1, -1, -1, -1, -1},
		connBuffer: {50, 50, 50, -1, 50}, connFlight: {9, 9, 9, -1, 9},
	} {
		require.Equal(t, want, shown(v[figure]), figure)
	}
	// The stream has what is its publisher's.
	_, v = d.histories["live"].history.fine.read(5005)
	require.Equal(t, []float64{10, 10, 10, -1, 20}, shown(v[streamLost]))
	require.Equal(t, []float64{20, 21, 22, -1, 24}, shown(v[streamRTT]))
	require.Equal(t, []float64{-1, -1, -1, -1, -1}, shown(v[streamIn]))
}

// A controller that took a connection over does not know what was counted before.
func TestHistoryAfterATakeover(t *testing.T) {
	d := newDesk(t)
	conn := d.admitted(1, "publish:live").p.conn
	conn.samples = samples{}
	for i := range 3 {
		conn.stats = reports(int64(100+i), func(s *srt.ConnStats) { s.SRT.Total.PktRcvLoss = int64(7000 + 5*i) })
		d.sample(conn, time.Unix(int64(5000+i), 0))
	}
	_, v := conn.samples.history.fine.read(5003)
	require.Equal(t, []float64{5, 5}, shown(v[connLost]))
}

func TestHistoryOfHostileFigures(t *testing.T) {
	d := newDesk(t)
	q := d.admitted(1, "publish:live")
	for i, text := range []string{
		`{"time_ms":1000,"rtt_ms":1e308,"receive_rate_mbps":1e308,"rcv_buf_ms":9223372036854775807,"total":{"pkt_rcv_loss":9223372036854775807,"pkt_recv_unique":-1}}`,
		`{"time_ms":2000,"rtt_ms":-1e308,"receive_rate_mbps":-0.1,"rcv_buf_ms":-5,"total":{"pkt_rcv_loss":-9223372036854775808}}`,
		`{"time_ms":3000,"rtt_ms":2,"total":{"pkt_rcv_loss":3,"pkt_rcv_drop":1000001,"pkt_rcv_belated":1000000}}`,
		`{"time_ms":9223372036854775807}`,
		`{"time_ms":-5,"rtt_ms":7}`,
	} {
		var m control.Message
		m.Type, m.Body = srt.MsgStats, json.RawMessage(`{"bytes":18446744073709551615,"srt":`+text+`}`)
		d.heard(q.p, m, nil)
		require.GreaterOrEqual(t, q.p.conn.stats.SRT.RTTMS, 0.)
		q.p.conn.samples.heard = time.Now().Add(-time.Second)
		q.p.conn.samples.beat = beat{begun: true, phase: time.Duration(-1-i) * time.Second} // as if a second later
	}
	h := q.p.conn.samples.history
	_, v := h.fine.read(h.fine.newest + 1)
	for i := range v {
		for _, x := range v[i] {
			require.False(t, x < 0 || math.IsInf(float64(x), 0) || x > 1e6, "%d: %v", i, v[i])
		}
	}
	_, err := json.Marshal(d.allConnections())
	require.NoError(t, err)
	_, err = d.ConnectionHistory(q.p.conn.ID, api.ResolutionCoarse)
	require.NoError(t, err)
}

func TestHistoryOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testController("/nonexistent", t.TempDir())
		c.histories = map[string]*streamSamples{}
		s := &stream{bufferRecord: bufferRecord{ID: 1, Stream: "live"}, players: map[*connection]bool{}}
		c.streams = map[string]*stream{"live": s}
		run := func(seconds int) {
			for range seconds * 4 {
				time.Sleep(monitorInterval)
				c.sampleStreams(time.Now())
				s.rates.total += 125000 // 4 Mbit/s
			}
		}
		run(3)
		s.players[&connection{}], s.web.Viewers = true, 3
		run(3)
		// Another buffer of the same name goes on in the same history.
		delete(c.streams, "live")
		run(2)
		s = &stream{bufferRecord: bufferRecord{ID: 2, Stream: "live"}, players: map[*connection]bool{}}
		c.streams["live"] = s
		run(3)
		h, err := c.StreamHistory("live", api.ResolutionFine)
		require.NoError(t, err)
		require.Equal(t, []float64{-1, 4, 4, 4, 4, 4, 4, -1, -1, -1, 4, 4}, shown(h.InMbps))
		require.Equal(t, []float64{0, 0, 0, 0, 1, 1, 1, -1, -1, 0, 0, 0}, shown(h.ViewersSRT))
		require.Equal(t, []float64{0, 0, 0, 0, 3, 3, 3, -1, -1, 0, 0, 0}, shown(h.ViewersHLS))
		require.Equal(t, time.Now().Unix()-1, h.Time[len(h.Time)-1])

		delete(c.streams, "live")
		_, err = c.StreamHistory("live", api.ResolutionFine)
		require.NoError(t, err, "it stays for an hour")
		time.Sleep(time.Hour + 20*time.Second)
		c.sampleStreams(time.Now())
		_, err = c.StreamHistory("live", api.ResolutionFine)
		require.ErrorIs(t, err, api.ErrNotFound)
	})
}

func TestHistoriesOfStreamsThatAreGoneAreBounded(t *testing.T) {
	c := testController("/nonexistent", t.TempDir())
	c.histories = map[string]*streamSamples{}
	for i := range 3 * maxGone {
		now := time.Unix(int64(100000+i), 0)
		name := "s" + string(rune('a'+i))
		c.streams = map[string]*stream{name: {bufferRecord: bufferRecord{ID: uint64(i), Stream: name}}}
		c.sampleStreams(now)
	}
	require.LessOrEqual(t, len(c.histories), maxGone+1)
	require.Contains(t, c.histories, "s"+string(rune('a'+3*maxGone-1)))
	require.NotContains(t, c.histories, "sa")
}

// Streams that come and go faster than the histories are looked at leave no more behind.
func TestHistoriesOfManyStreamsThatGoAtOnceAreBounded(t *testing.T) {
	c := testController("/nonexistent", t.TempDir())
	c.histories = map[string]*streamSamples{}
	second := int64(100000)
	for round := range 3 {
		c.streams = map[string]*stream{}
		for i := range 5 * maxGone {
			name := fmt.Sprintf("s%d-%d", round, i)
			c.streams[name] = &stream{bufferRecord: bufferRecord{ID: uint64(round*1000 + i), Stream: name}}
		}
		second++
		c.sampleStreams(time.Unix(second, 0))
		require.LessOrEqual(t, len(c.histories), len(c.streams)+maxGone)
	}
	c.streams = map[string]*stream{}
	second++
	c.sampleStreams(time.Unix(second, 0))
	require.Len(t, c.histories, maxGone)
	for name := range c.histories {
		require.Contains(t, name, "s2-")
	}

	// Within one second, too.
	for i := range 2 * maxGone {
		name := fmt.Sprintf("t%d", i)
		c.streams = map[string]*stream{name: {bufferRecord: bufferRecord{Stream: name}}}
		c.streamSamples(name).history.add(second, 1, none(len(streamFigures)))
		require.LessOrEqual(t, len(c.histories), maxGone+1)
		require.Contains(t, c.histories, name)
	}
}
