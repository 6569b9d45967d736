package api

import "brume/srt"

var (
	connectionStart   = gauge("connection_start_time_seconds", "Unix time at which a connection came in.", "connection", "stream", "role")
	connectionBytes   = counter("connection_bytes_total", "Payload bytes received (publish) or sent (play) by a connection.", "connection", "stream", "role")
	connectionUnits   = counter("connection_units_total", "Access units written to or read from the buffer by a connection.", "connection", "stream", "role")
	connectionSkipped = counter("connection_skipped_units_total", "Access units that a viewer was too slow for.", "connection", "stream", "role")
	connectionErrors  = counter("connection_buffer_errors_total", "Entries that the buffer refused or that could not be read.", "connection", "stream", "role")

	srtLatency   = srtGauge2("latency_seconds", "Latency negotiated, for what is received and for what is sent.")
	srtKeyLength = srtGauge("key_length_bytes", "Length of the AES key, 0 without encryption.")
	srtPayload   = srtGauge("payload_size_bytes", "Most bytes of media in one packet that this side sends.")
)

// Values of the label direction, from this side's point of view.
const (
	sent     = "sent"
	received = "received"
)

func srtCounter(name, help string) *family {
	return counter("srt_"+name, help, "connection", "stream", "role")
}

func srtCounter2(name, help string) *family {
	return counter("srt_"+name, help, "connection", "stream", "role", "direction")
}

func srtGauge(name, help string) *family {
	return gauge("srt_"+name, help, "connection", "stream", "role")
}

func srtGauge2(name, help string) *family {
	return gauge("srt_"+name, help, "connection", "stream", "role", "direction")
}

// srtCounts are the totals of a connection in one direction or without one.
var srtCounts = []struct {
	*family
	value func(*srt.StatsCount) int64
}{
	{srtCounter("undecrypted_packets_total", "Packets received that could not be decrypted."), func(s *srt.StatsCount) int64 { return s.PktRcvUndecrypt }},
	{srtCounter("belated_packets_total", "Packets received after their time, and given to nobody. Packets that came twice are among them."), func(s *srt.StatsCount) int64 { return s.PktRcvBelated }},
	{srtCounter("filter_recovered_packets_total", "Packets received only by means of the packet filter, which rebuilt them."), func(s *srt.StatsCount) int64 { return s.PktRcvFilterSupply }},
	{srtCounter("filter_lost_packets_total", "Packets lost on the way here that the packet filter could not rebuild."), func(s *srt.StatsCount) int64 { return s.PktRcvFilterLoss }},
	{srtCounter("lost_bytes_total", "Bytes of packets lost on the way here with their headers, estimated by libsrt from their mean size."), func(s *srt.StatsCount) int64 { return int64(s.ByteRcvLoss) }},
	{srtCounter("retransmitted_bytes_total", "Bytes sent again, with their headers."), func(s *srt.StatsCount) int64 { return int64(s.ByteRetrans) }},
	{srtCounter("undecrypted_bytes_total", "Bytes received that could not be decrypted, without headers."), func(s *srt.StatsCount) int64 { return int64(s.ByteRcvUndecrypt) }},
}

// srtCounts2 are the totals of a connection in both directions.
var srtCounts2 = []struct {
	*family
	sent, received func(*srt.StatsCount) int64
}{
	{
		srtCounter2("packets_total", "Data packets, those sent again and those of the packet filter included."),
		func(s *srt.StatsCount) int64 { return s.PktSent }, func(s *srt.StatsCount) int64 { return s.PktRecv },
	},
	{
		srtCounter2("unique_packets_total", "Data packets, each counted once: sent for the first time, or received in time and readable."),
		func(s *srt.StatsCount) int64 { return s.PktSentUnique }, func(s *srt.StatsCount) int64 { return s.PktRecvUnique },
	},
	{
		srtCounter2("lost_packets_total", "Data packets that the peer reported lost, each report counted (sent), or that were missing when a later one came (received)."),
		func(s *srt.StatsCount) int64 { return s.PktSndLoss }, func(s *srt.StatsCount) int64 { return s.PktRcvLoss },
	},
	{
		srtCounter2("retransmitted_packets_total", "Data packets sent again, or received as such."),
		func(s *srt.StatsCount) int64 { return s.PktRetrans }, func(s *srt.StatsCount) int64 { return s.PktRcvRetrans },
	},
	{
		srtCounter2("dropped_packets_total", "Data packets given up: too late to be sent again (sent), missing or unreadable when they were due (received)."),
		func(s *srt.StatsCount) int64 { return s.PktSndDrop }, func(s *srt.StatsCount) int64 { return s.PktRcvDrop },
	},
	{
		srtCounter2("acks_total", "ACK control packets; those sent acknowledge what is received."),
		func(s *srt.StatsCount) int64 { return s.PktSentACK }, func(s *srt.StatsCount) int64 { return s.PktRecvACK },
	},
	{
		srtCounter2("naks_total", "NAK control packets."),
		func(s *srt.StatsCount) int64 { return s.PktSentNAK }, func(s *srt.StatsCount) int64 { return s.PktRecvNAK },
	},
	{
		srtCounter2("filter_packets_total", "Packets that the packet filter added to be able to rebuild others."),
		func(s *srt.StatsCount) int64 { return s.PktSndFilterExtra }, func(s *srt.StatsCount) int64 { return s.PktRcvFilterExtra },
	},
	{
		srtCounter2("bytes_total", "Bytes of data packets with their headers, those sent again included."),
		func(s *srt.StatsCount) int64 { return int64(s.ByteSent) }, func(s *srt.StatsCount) int64 { return int64(s.ByteRecv) },
	},
	{
		srtCounter2("unique_bytes_total", "Bytes of data packets with their headers, each packet counted once."),
		func(s *srt.StatsCount) int64 { return int64(s.ByteSentUnique) }, func(s *srt.StatsCount) int64 { return int64(s.ByteRecvUnique) },
	},
	{
		srtCounter2("dropped_bytes_total", "Bytes of data packets given up, with their headers; estimated from their mean size for what was received."),
		func(s *srt.StatsCount) int64 { return int64(s.ByteSndDrop) }, func(s *srt.StatsCount) int64 { return int64(s.ByteRcvDrop) },
	},
}

var srtSendDuration = srtCounter("send_duration_seconds_total", "Time in which something waited to be sent or acknowledged.")

// srtGauges are the state of a connection.
var srtGauges = []struct {
	*family
	value func(*srt.Stats) float64
}{
	{srtGauge("connected_seconds", "Time since the connection was accepted."), func(s *srt.Stats) float64 { return float64(s.TimeMS) / 1e3 }},
	{srtGauge("rtt_seconds", "Round-trip time, smoothed by libsrt."), func(s *srt.Stats) float64 { return s.RTTMS / 1e3 }},
	{srtGauge("send_period_seconds", "Pause between two packets sent."), func(s *srt.Stats) float64 { return s.PktSndPeriodUS / 1e6 }},
	{srtGauge("flow_window_packets", "Packets that may be in flight: the room that the peer last said it has."), func(s *srt.Stats) float64 { return float64(s.PktFlowWindow) }},
	{srtGauge("congestion_window_packets", "Packets that congestion control allows in flight; without meaning in live mode."), func(s *srt.Stats) float64 { return float64(s.PktCongestion) }},
	{srtGauge("flight_packets", "Packets sent and not yet acknowledged."), func(s *srt.Stats) float64 { return float64(s.PktFlight) }},
	{srtGauge("link_capacity_bytes_per_second", "Capacity of the link towards the receiver of the media, estimated from pairs of packets."), func(s *srt.Stats) float64 { return bytesPerSecond(s.BandwidthMbps) }},
	{srtGauge("max_bandwidth_bytes_per_second", "Bound on the rate of sending, 0 for none."), func(s *srt.Stats) float64 { return bytesPerSecond(s.MaxBWMbps) }},
	{srtGauge("mss_bytes", "Largest packet, its IP header included."), func(s *srt.Stats) float64 { return float64(s.MSS) }},
	{srtGauge("reorder_tolerance_packets", "Reordering that is not taken for loss."), func(s *srt.Stats) float64 { return float64(s.ReorderTolerance) }},
	{srtGauge("reorder_distance_packets", "Distance of packets out of order, largest seen, less what the tolerance was lowered by."), func(s *srt.Stats) float64 { return float64(s.ReorderDistance) }},
	{srtGauge("belated_seconds", "How late belated packets came, smoothed; stays as it was when none come."), func(s *srt.Stats) float64 { return s.RcvAvgBelatedMS / 1e3 }},
}

// srtGauges2 are the state of a connection in both directions.
var srtGauges2 = []struct {
	*family
	sent, received func(*srt.Stats) float64
}{
	{
		srtGauge2("buffer_packets", "Packets in libsrt's buffer: not yet acknowledged (sent), not yet read (received)."),
		func(s *srt.Stats) float64 { return float64(s.SndBufPackets) }, func(s *srt.Stats) float64 { return float64(s.RcvBufPackets) },
	},
	{
		srtGauge2("buffer_bytes", "Bytes in libsrt's buffer, with headers."),
		func(s *srt.Stats) float64 { return float64(s.SndBufBytes) }, func(s *srt.Stats) float64 { return float64(s.RcvBufBytes) },
	},
	{
		srtGauge2("buffer_seconds", "Media time in libsrt's buffer: not yet acknowledged (sent), not yet read (received)."),
		func(s *srt.Stats) float64 { return float64(s.SndBufMS) / 1e3 }, func(s *srt.Stats) float64 { return float64(s.RcvBufMS) / 1e3 },
	},
	{
		srtGauge2("buffer_available_bytes", "Room left in libsrt's buffer."),
		func(s *srt.Stats) float64 { return float64(s.SndBufAvail) }, func(s *srt.Stats) float64 { return float64(s.RcvBufAvail) },
	},
	{
		srtGauge2("tsbpd_delay_seconds", "Delay after which packets are delivered (time stamp based packet delivery)."),
		func(s *srt.Stats) float64 { return float64(s.SndTSBPDDelayMS) / 1e3 }, func(s *srt.Stats) float64 { return float64(s.RcvTSBPDDelayMS) / 1e3 },
	},
	{
		srtGauge2("rate_bytes_per_second", "Rate over the interval of the last report, headers and packets sent again included."),
		func(s *srt.Stats) float64 { return bytesPerSecond(s.SendRateMbps) }, func(s *srt.Stats) float64 { return bytesPerSecond(s.ReceiveRateMbps) },
	},
}

func (e emitter) connection(c *Connection) {
	// Only connections that are there now have series, so their number is bounded.
	id, stream, role := c.ID, c.Stream, c.Role
	e.add(connectionStart, float64(c.Since.UnixMilli())/1e3, id, stream, role)
	e.add(connectionBytes, float64(c.Bytes), id, stream, role)
	e.add(connectionUnits, float64(c.Units), id, stream, role)
	e.add(connectionSkipped, float64(c.Skipped), id, stream, role)
	e.add(connectionErrors, float64(c.BufferErrors), id, stream, role)
	if c.SRT == nil {
		return
	}
	e.add(srtLatency, float64(c.SRT.LatencySendMS)/1e3, id, stream, role, sent)
	e.add(srtLatency, float64(c.SRT.LatencyReceiveMS)/1e3, id, stream, role, received)
	e.add(srtKeyLength, float64(c.SRT.KeyLength), id, stream, role)
	e.add(srtPayload, float64(c.SRT.PayloadSize), id, stream, role)
	s := &c.SRT.Stats
	for _, m := range srtCounts {
		e.add(m.family, float64(m.value(&s.Total)), id, stream, role)
	}
	for _, m := range srtCounts2 {
		e.add(m.family, float64(m.sent(&s.Total)), id, stream, role, sent)
		e.add(m.family, float64(m.received(&s.Total)), id, stream, role, received)
	}
	e.add(srtSendDuration, float64(s.Total.SndDurationUS)/1e6, id, stream, role)
	for _, m := range srtGauges {
		e.add(m.family, m.value(s), id, stream, role)
	}
	for _, m := range srtGauges2 {
		e.add(m.family, m.sent(s), id, stream, role, sent)
		e.add(m.family, m.received(s), id, stream, role, received)
	}
}

// bytesPerSecond converts megabits per second.
func bytesPerSecond(mbps float64) float64 { return mbps * 1e6 / 8 }
