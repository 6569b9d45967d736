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
	if C.brume_stats(c.socket, &t, &code) != 0 {
		return srt.Stats{}, failure("statistics", code)
	}
	c.belated += int64(t.pktRcvBelated)
	c.retrans += int64(t.pktRcvRetrans)
	s := srt.Stats{
		Interval: interval(&t),
		Total:    total(&t),

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
		RcvAvgBelatedMS:  float64(t.pktRcvAvgBelatedTime),
		SendRateMbps:     float64(t.mbpsSendRate),
		ReceiveRateMbps:  float64(t.mbpsRecvRate),
	}
	s.Total.PktRcvBelated = c.belated
	s.Total.PktRcvRetrans = c.retrans
	return s, nil
}

func interval(t *C.SRT_TRACEBSTATS) srt.StatsCount {
	return srt.StatsCount{
		PktSent:            int64(t.pktSent),
		PktRecv:            int64(t.pktRecv),
		PktSentUnique:      int64(t.pktSentUnique),
		PktRecvUnique:      int64(t.pktRecvUnique),
		PktSndLoss:         int64(t.pktSndLoss),
		PktRcvLoss:         int64(t.pktRcvLoss),
		PktRetrans:         int64(t.pktRetrans),
		PktRcvRetrans:      int64(t.pktRcvRetrans),
		PktSentACK:         int64(t.pktSentACK),
		PktRecvACK:         int64(t.pktRecvACK),
		PktSentNAK:         int64(t.pktSentNAK),
		PktRecvNAK:         int64(t.pktRecvNAK),
		PktSndDrop:         int64(t.pktSndDrop),
		PktRcvDrop:         int64(t.pktRcvDrop),
		PktRcvUndecrypt:    int64(t.pktRcvUndecrypt),
		PktRcvBelated:      int64(t.pktRcvBelated),
		PktSndFilterExtra:  int64(t.pktSndFilterExtra),
		PktRcvFilterExtra:  int64(t.pktRcvFilterExtra),
		PktRcvFilterSupply: int64(t.pktRcvFilterSupply),
		PktRcvFilterLoss:   int64(t.pktRcvFilterLoss),
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

// total leaves out what libsrt only counts by interval.
func total(t *C.SRT_TRACEBSTATS) srt.StatsCount {
	return srt.StatsCount{
		PktSent:            int64(t.pktSentTotal),
		PktRecv:            int64(t.pktRecvTotal),
		PktSentUnique:      int64(t.pktSentUniqueTotal),
		PktRecvUnique:      int64(t.pktRecvUniqueTotal),
		PktSndLoss:         int64(t.pktSndLossTotal),
		PktRcvLoss:         int64(t.pktRcvLossTotal),
		PktRetrans:         int64(t.pktRetransTotal),
		PktSentACK:         int64(t.pktSentACKTotal),
		PktRecvACK:         int64(t.pktRecvACKTotal),
		PktSentNAK:         int64(t.pktSentNAKTotal),
		PktRecvNAK:         int64(t.pktRecvNAKTotal),
		PktSndDrop:         int64(t.pktSndDropTotal),
		PktRcvDrop:         int64(t.pktRcvDropTotal),
		PktRcvUndecrypt:    int64(t.pktRcvUndecryptTotal),
		PktSndFilterExtra:  int64(t.pktSndFilterExtraTotal),
		PktRcvFilterExtra:  int64(t.pktRcvFilterExtraTotal),
		PktRcvFilterSupply: int64(t.pktRcvFilterSupplyTotal),
		PktRcvFilterLoss:   int64(t.pktRcvFilterLossTotal),
		ByteSent:           uint64(t.byteSentTotal),
		ByteRecv:           uint64(t.byteRecvTotal),
		ByteSentUnique:     uint64(t.byteSentUniqueTotal),
		ByteRecvUnique:     uint64(t.byteRecvUniqueTotal),
		ByteRcvLoss:        uint64(t.byteRcvLossTotal),
		ByteRetrans:        uint64(t.byteRetransTotal),
		ByteSndDrop:        uint64(t.byteSndDropTotal),
		ByteRcvDrop:        uint64(t.byteRcvDropTotal),
		ByteRcvUndecrypt:   uint64(t.byteRcvUndecryptTotal),
		SndDurationUS:      int64(t.usSndDurationTotal),
	}
}
