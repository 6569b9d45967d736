package srt

// Stats is everything libsrt tells of a connection (srt_bstats, SRT_TRACEBSTATS): what it counted, and the state of now.
// docs/statistics.md says of each figure what it means, and on which side.
type Stats struct {
	Interval StatsCount `json:"interval"` // since the last report
	Total    StatsCount `json:"total"`    // since the connection began: all intervals, added up

	TimeMS           int64   `json:"time_ms"`                   // age of the connection
	PktSndPeriodUS   float64 `json:"pkt_snd_period_us"`         // pause between packets sent
	PktFlowWindow    int     `json:"pkt_flow_window"`           // packets that may be in flight
	PktCongestion    int     `json:"pkt_congestion_window"`     // packets
	PktFlight        int     `json:"pkt_flight_size"`           // packets not yet acknowledged
	RTTMS            float64 `json:"rtt_ms"`                    //
	BandwidthMbps    float64 `json:"bandwidth_mbps"`            // estimated capacity of the link
	SndBufAvail      int     `json:"snd_buf_avail_bytes"`       //
	RcvBufAvail      int     `json:"rcv_buf_avail_bytes"`       //
	MaxBWMbps        float64 `json:"max_bw_mbps"`               //
	MSS              int     `json:"mss_bytes"`                 // largest packet with its IP header
	SndBufPackets    int     `json:"snd_buf_packets"`           //
	SndBufBytes      int     `json:"snd_buf_bytes"`             //
	SndBufMS         int     `json:"snd_buf_ms"`                //
	SndTSBPDDelayMS  int     `json:"snd_tsbpd_delay_ms"`        //
	RcvBufPackets    int     `json:"rcv_buf_packets"`           //
	RcvBufBytes      int     `json:"rcv_buf_bytes"`             //
	RcvBufMS         int     `json:"rcv_buf_ms"`                //
	RcvTSBPDDelayMS  int     `json:"rcv_tsbpd_delay_ms"`        //
	ReorderTolerance int     `json:"reorder_tolerance_packets"` //
	ReorderDistance  int     `json:"reorder_distance_packets"`  //
	RcvAvgBelatedMS  float64 `json:"rcv_avg_belated_ms"`        // how late packets came that were too late, smoothed
	SendRateMbps     float64 `json:"send_rate_mbps"`            // over the interval
	ReceiveRateMbps  float64 `json:"receive_rate_mbps"`         // over the interval
}

// StatsCount are the counters of Stats.
type StatsCount struct {
	PktSent            int64  `json:"pkt_sent"`
	PktRecv            int64  `json:"pkt_recv"`
	PktSentUnique      int64  `json:"pkt_sent_unique"`
	PktRecvUnique      int64  `json:"pkt_recv_unique"`
	PktSndLoss         int64  `json:"pkt_snd_loss"`
	PktRcvLoss         int64  `json:"pkt_rcv_loss"`
	PktRetrans         int64  `json:"pkt_retrans"`
	PktRcvRetrans      int64  `json:"pkt_rcv_retrans"`
	PktSentACK         int64  `json:"pkt_sent_ack"`
	PktRecvACK         int64  `json:"pkt_recv_ack"`
	PktSentNAK         int64  `json:"pkt_sent_nak"`
	PktRecvNAK         int64  `json:"pkt_recv_nak"`
	PktSndDrop         int64  `json:"pkt_snd_drop"`
	PktRcvDrop         int64  `json:"pkt_rcv_drop"`
	PktRcvUndecrypt    int64  `json:"pkt_rcv_undecrypt"`
	PktRcvBelated      int64  `json:"pkt_rcv_belated"`
	PktSndFilterExtra  int64  `json:"pkt_snd_filter_extra"`
	PktRcvFilterExtra  int64  `json:"pkt_rcv_filter_extra"`
	PktRcvFilterSupply int64  `json:"pkt_rcv_filter_supply"`
	PktRcvFilterLoss   int64  `json:"pkt_rcv_filter_loss"`
	ByteSent           uint64 `json:"byte_sent"`
	ByteRecv           uint64 `json:"byte_recv"`
	ByteSentUnique     uint64 `json:"byte_sent_unique"`
	ByteRecvUnique     uint64 `json:"byte_recv_unique"`
	ByteRcvLoss        uint64 `json:"byte_rcv_loss"`
	ByteRetrans        uint64 `json:"byte_retrans"`
	ByteSndDrop        uint64 `json:"byte_snd_drop"`
	ByteRcvDrop        uint64 `json:"byte_rcv_drop"`
	ByteRcvUndecrypt   uint64 `json:"byte_rcv_undecrypt"`
	SndDurationUS      int64  `json:"snd_duration_us"`
}
