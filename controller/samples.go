package controller

import (
	"cmp"
	"slices"
	"time"

	"brume/api"
	"brume/media"
	"brume/srt"
)

// The figures of a connection's history, in the order of its columns. Each has one meaning for a publisher, whose
// media is received, and one for a player, to whom it is sent.
const (
	connRate = iota
	connPackets
	connRTT
	connLost
	connRetransmitted
	connDropped
	connBelated
	connUndecrypted
	connBuffer
	connFlight
)

var connFigures = []merge{
	connRate: mean, connPackets: total, connRTT: mean, connLost: total, connRetransmitted: total, connDropped: total,
	connBelated: total, connUndecrypted: total, connBuffer: mean, connFlight: mean,
}

// The figures of a stream's history, in the order of its columns.
const (
	streamIn = iota
	streamSRT
	streamHLS
	streamRTT
	streamLost
	streamRetransmitted
	streamDropped
)

var streamFigures = []merge{
	streamIn: mean, streamSRT: mean, streamHLS: mean, streamRTT: mean, streamLost: total, streamRetransmitted: total, streamDropped: total,
}

// Bounds of what a process may report for one sample: a value beyond them is none. They are far above what a
// connection does, and a sum of many still fits the precision of a history.
const (
	mostMbps    = 1e6
	mostMS      = 1e6
	mostPackets = 1e6
)

// samples is what a connection keeps for its history.
type samples struct {
	fresh   bool // nothing of it was counted before this controller
	history *history
	beat    beat
	last    srt.Stats // that was heard
	heard   time.Time // when
}

// sample takes a report into the histories of a connection and of the stream that it publishes.
func (c *Controller) sample(conn *connection, now time.Time) {
	m, now1 := &conn.samples, &conn.stats.SRT
	if conn.Role == "" || now1.TimeMS <= m.last.TimeMS {
		return // libsrt had nothing new to tell
	}
	last, heard := m.last, m.heard
	m.last, m.heard = *now1, now
	if !m.fresh {
		m.fresh = true // the figures of an earlier controller are not known: the next report can be compared
		return
	}
	passed := time.Second
	if !heard.IsZero() {
		passed = min(max(now.Sub(heard), time.Millisecond), coarseStep*time.Second)
	}
	if m.history == nil {
		m.history = newHistory(connFigures)
	}
	values := figures(conn.Role, &last.Total, now1)
	second := m.beat.second(now)
	m.history.add(second, passed.Seconds(), values)
	if s := conn.in; s != nil && s.publisher == conn {
		of := none(len(streamFigures))
		of[streamRTT], of[streamLost], of[streamRetransmitted], of[streamDropped] = values[connRTT], values[connLost], values[connRetransmitted], values[connDropped]
		c.streamSamples(s.Stream).history.add(second, passed.Seconds(), of)
	}
}

// figures are the values of one report, compared with the counters of the one before.
func figures(role media.Role, last *srt.StatsCount, now *srt.Stats) []float64 {
	counted := func(now, last int64) float64 { return within(float64(now-last), mostPackets) }
	t := &now.Total
	v := none(len(connFigures))
	v[connRTT] = within(now.RTTMS, mostMS)
	if role == media.Publish {
		v[connRate] = within(now.ReceiveRateMbps, mostMbps)
		v[connPackets] = counted(t.PktRecvUnique, last.PktRecvUnique)
		v[connLost] = counted(t.PktRcvLoss, last.PktRcvLoss)
		v[connRetransmitted] = counted(t.PktRcvRetrans, last.PktRcvRetrans)
		v[connDropped] = counted(t.PktRcvDrop, last.PktRcvDrop)
		v[connBelated] = counted(t.PktRcvBelated, last.PktRcvBelated)
		v[connUndecrypted] = counted(t.PktRcvUndecrypt, last.PktRcvUndecrypt)
		v[connBuffer] = within(float64(now.RcvBufMS), mostMS)
		return v
	}
	v[connRate] = within(now.SendRateMbps, mostMbps)
	v[connPackets] = counted(t.PktSentUnique, last.PktSentUnique)
	v[connLost] = counted(t.PktSndLoss, last.PktSndLoss)
	v[connRetransmitted] = counted(t.PktRetrans, last.PktRetrans)
	v[connDropped] = counted(t.PktSndDrop, last.PktSndDrop)
	v[connBuffer] = within(float64(now.SndBufMS), mostMS)
	v[connFlight] = within(float64(now.PktFlight), mostPackets)
	return v
}

// streamSamples is the history of a stream, which outlives the stream.
type streamSamples struct {
	history *history
	bytes   uint64    // of rates.total that were sampled
	of      uint64    // the buffer that they are of
	at      time.Time // when
	left    int64     // second in which the stream was last there
}

// maxGone bounds how many streams that are gone keep a history. Those that left last keep theirs.
const maxGone = 64

func (c *Controller) streamSamples(name string) *streamSamples {
	m := c.histories[name]
	if m == nil {
		m = &streamSamples{history: newHistory(streamFigures), left: c.sampled}
		c.histories[name] = m
		c.forgetHistories(c.sampled)
	}
	return m
}

// sampleStreams looks at every stream once in a second, and forgets the histories of those that are long gone.
func (c *Controller) sampleStreams(now time.Time) {
	second := now.Unix()
	if second == c.sampled {
		return
	}
	c.sampled = second
	for name, s := range c.streams {
		m := c.streamSamples(name)
		m.left = second
		v := none(len(streamFigures))
		v[streamSRT], v[streamHLS] = float64(s.viewers()-s.web.Viewers), within(float64(s.web.Viewers), mostPackets)
		passed := now.Sub(m.at)
		if m.of == s.ID && passed > 0 {
			v[streamIn] = within(float64(s.rates.total-m.bytes)*8/1e6/passed.Seconds(), mostMbps)
		}
		m.of, m.bytes, m.at = s.ID, s.rates.total, now
		m.history.add(second-1, 1, v) // what was seen is of the second that is over
	}
	c.forgetHistories(second)
}

func (c *Controller) forgetHistories(second int64) {
	var gone []string
	for name, m := range c.histories {
		switch {
		case c.streams[name] != nil:
		case m.history.empty(second):
			delete(c.histories, name)
		default:
			gone = append(gone, name)
		}
	}
	if len(gone) <= maxGone {
		return
	}
	slices.SortFunc(gone, func(a, b string) int { return cmp.Compare(c.histories[a].left, c.histories[b].left) })
	for _, name := range gone[:len(gone)-maxGone] {
		delete(c.histories, name)
	}
}

// ConnectionHistory returns what a connection was like.
func (c *Controller) ConnectionHistory(id string, r api.Resolution) (api.ConnectionHistory, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.connections[id]
	if conn == nil {
		return api.ConnectionHistory{}, api.ErrNotFound
	}
	times, v := conn.samples.history.read(r, conn.samples.beat.present(time.Now()), len(connFigures))
	return api.ConnectionHistory{
		ResolutionSeconds: r.Seconds(), Time: times, RateMbps: v[connRate], Packets: v[connPackets], RTTMS: v[connRTT],
		LostPackets: v[connLost], RetransPackets: v[connRetransmitted], DroppedPackets: v[connDropped],
		BelatedPackets: v[connBelated], UndecryptedPkts: v[connUndecrypted], BufferMS: v[connBuffer], FlightPackets: v[connFlight],
	}, nil
}

// StreamHistory returns what a stream was like, also of one that is gone.
func (c *Controller) StreamHistory(name string, r api.Resolution) (api.StreamHistory, error) {
	if _, err := c.Stream(name); err != nil {
		c.mu.Lock()
		known := c.histories[name] != nil
		c.mu.Unlock()
		if !known {
			return api.StreamHistory{}, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var h *history
	if m := c.histories[name]; m != nil {
		h = m.history
	}
	times, v := h.read(r, time.Now().Unix(), len(streamFigures))
	return api.StreamHistory{
		ResolutionSeconds: r.Seconds(), Time: times, InMbps: v[streamIn], ViewersSRT: v[streamSRT], ViewersHLS: v[streamHLS],
		RTTMS: v[streamRTT], LostPackets: v[streamLost], RetransPackets: v[streamRetransmitted], DroppedPackets: v[streamDropped],
	}, nil
}

// read returns what was over before a second at a resolution. There may be no history yet.
func (h *history) read(r api.Resolution, before int64, figures int) (api.Times, [][]float32) {
	switch {
	case h == nil:
		return nil, make([][]float32, figures)
	case r == api.ResolutionCoarse:
		return h.coarse.read(before)
	default:
		return h.fine.read(before)
	}
}
