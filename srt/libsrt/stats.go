package libsrt

/*
#include "shim.h"
*/
import "C"

import "brume/srt"

// Stats reads all of libsrt's statistics and begins a new interval. It returns ErrLost once the connection is over.
func (c *Conn) Stats() (srt.Stats, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var t C.SRT_TRACEBSTATS
	var code C.int
	if C.brume_stats(c.socket, &t, 1, &code) != 0 {
		return srt.Stats{}, failure("statistics", code)
	}
	counted := interval(&t)
	c.total.Add(&counted)
	s := srt.Stats{
		Interval: counted,
		Total:    c.total,

		TimeMS:           int64(t.msTimeStamp),
		PktSndPeriodUS:   float64(t.usPktSndPeriod),
		PktFlowWindow:    int(t.pktFlowWindow),
		PktCongestion:    int(t.pktCongestionWindow),
		PktFlight:        int(t.pktFlightSize),
		RTTMS:            float64(t.msRTT),
		BandwidthMbps:    float64(t.mbpsBandwidth),
		SndBufAvail:      int(t.byteAvailSndBuf),
		RcvBufAvail:      int(t.byteAvailRcvBuf),
		MaxBWMbps:        float64(t.mbpsMaxBW),
		MSS:              int(t.byteMSS),
		SndBufPackets:    int(t.pktSndBuf),
		SndBufBytes:      int(t.byteSndBuf),
		SndBufMS:         int(t.msSndBuf),
		SndTSBPDDelayMS:  int(t.msSndTsbPdDelay),
		RcvBufPackets:    int(t.pktRcvBuf),
		RcvBufBytes:      int(t.byteRcvBuf),
		RcvBufMS:         int(t.msRcvBuf),
		RcvTSBPDDelayMS:  int(t.msRcvTsbPdDelay),
		ReorderTolerance: int(t.pktReorderTolerance),
		ReorderDistance:  int(t.pktReorderDistance),
		RcvAvgBelatedMS:  belated(float64(t.pktRcvAvgBelatedTime), int64(t.msTimeStamp)),
		SendRateMbps:     float64(t.mbpsSendRate),
		ReceiveRateMbps:  float64(t.mbpsRecvRate),
	}
	// libsrt's reorder distance goes below zero where SRTO_LOSSMAXTTL is set, since it is decreased with the tolerance.
	s.Bound()
	return s, nil
}

// Received is how many data packets have come since the connection began. It begins no new interval.
func (c *Conn) Received() (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var t C.SRT_TRACEBSTATS
	var code C.int
	if C.brume_stats(c.socket, &t, 0, &code) != 0 {
		return 0, failure("statistics", code)
	}
	return c.total.PktRecv + packets(C.int(t.pktRecv)), nil
}

// belated is how late packets came, in ms. A packet that comes a second time before the first is due is belated for
// libsrt by a negative time, which it takes for an enormous one: nothing is later than the connection is old.
func belated(ms float64, age int64) float64 {
	if ms > float64(age) {
		return 0
	}
	return ms
}

// packets reads a counter as libsrt keeps it, whatever its type in the structure: stats::Packets has 32 bits.
func packets(n C.int) int64 { return int64(uint32(n)) }

// interval takes what was counted since the last report. The totals of Conn are sums of these and not libsrt's own,
// which begin again after 2^32 packets (ten days at 50 Mbit/s), and of which it has none for belated and
// for repeated packets received.
func interval(t *C.SRT_TRACEBSTATS) srt.StatsCount {
	return srt.StatsCount{
		PktSent:            packets(C.int(t.pktSent)),
		PktRecv:            packets(C.int(t.pktRecv)),
		PktSentUnique:      packets(C.int(t.pktSentUnique)),
		PktRecvUnique:      packets(C.int(t.pktRecvUnique)),
		PktSndLoss:         packets(C.int(t.pktSndLoss)),
		PktRcvLoss:         packets(C.int(t.pktRcvLoss)),
		PktRetrans:         packets(C.int(t.pktRetrans)),
		PktRcvRetrans:      packets(C.int(t.pktRcvRetrans)),
		PktSentACK:         packets(C.int(t.pktSentACK)),
		PktRecvACK:         packets(C.int(t.pktRecvACK)),
		PktSentNAK:         packets(C.int(t.pktSentNAK)),
		PktRecvNAK:         packets(C.int(t.pktRecvNAK)),
		PktSndDrop:         packets(C.int(t.pktSndDrop)),
		PktRcvDrop:         packets(C.int(t.pktRcvDrop)),
		PktRcvUndecrypt:    packets(C.int(t.pktRcvUndecrypt)),
		PktRcvBelated:      packets(C.int(t.pktRcvBelated)),
		PktSndFilterExtra:  packets(C.int(t.pktSndFilterExtra)),
		PktRcvFilterExtra:  packets(C.int(t.pktRcvFilterExtra)),
		PktRcvFilterSupply: packets(C.int(t.pktRcvFilterSupply)),
		PktRcvFilterLoss:   packets(C.int(t.pktRcvFilterLoss)),
		ByteSent:           uint64(t.byteSent),
		ByteRecv:           uint64(t.byteRecv),
		ByteSentUnique:     uint64(t.byteSentUnique),
		ByteRecvUnique:     uint64(t.byteRecvUnique),
		ByteRcvLoss:        uint64(t.byteRcvLoss),
		ByteRetrans:        uint64(t.byteRetrans),
		ByteSndDrop:        uint64(t.byteSndDrop),
		ByteRcvDrop:        uint64(t.byteRcvDrop),
		ByteRcvUndecrypt:   uint64(t.byteRcvUndecrypt),
		SndDurationUS:      int64(t.usSndDuration),
	}
}
