package ts

import (
	"iter"
	"time"
)

// The most that a Health lists.
const (
	MaxHealthPIDs = 64
	MaxHealthPCRs = 16
)

// Health is how well a transport stream as a whole keeps the rules, in the spirit of ETSI TR 101 290. The times
// are those at which the sender gave the bytes to its transport.
type Health struct {
	OK         bool        `json:"ok" doc:"Nothing is in error now"`
	Indicators Indicators  `json:"indicators"`
	PCRs       []HealthPCR `json:"pcrs" doc:"Clocks of the programs, by PID; at most 16"`
	PIDs       []HealthPID `json:"pids" doc:"What came or should have come, by PID; at most 64, without null packets"`
	PIDsTotal  int         `json:"pids_total" minimum:"0" doc:"PIDs there are, beyond those listed too"`
}

// Indicator is one of the measurements of TR 101 290.
type Indicator struct {
	OK        bool       `json:"ok" doc:"Not in error now, nor within the last two seconds"`
	Errors    uint64     `json:"errors" doc:"Times it failed since the publisher began; what lasts counts once"`
	LastError *time.Time `json:"last_error,omitempty" doc:"When it last began to fail"`
}

// Indicators are the measurements that are made, with their clause in TR 101 290.
type Indicators struct {
	SyncLoss         Indicator `json:"sync_loss" doc:"1.1 TS_sync_loss: two sync bytes in a row are wrong"`
	SyncByte         Indicator `json:"sync_byte" doc:"1.2 Sync_byte_error: a sync byte is wrong"`
	PAT              Indicator `json:"pat" doc:"1.3.a PAT_error_2: no PAT for 500 ms, another table or scrambling on its PID"`
	ContinuityCount  Indicator `json:"continuity_count" doc:"1.4 Continuity_count_error: packets are missing, in a wrong order or sent more than twice"`
	PMT              Indicator `json:"pmt" doc:"1.5.a PMT_error_2: a program's PMT is missing for 500 ms, or its PID is scrambled"`
	PID              Indicator `json:"pid" doc:"1.6 PID_error: a video, audio or PCR PID of a PMT did not come for 5 s"`
	Transport        Indicator `json:"transport" doc:"2.1 Transport_error: transport_error_indicator is set"`
	CRC              Indicator `json:"crc" doc:"2.2 CRC_error: a section of PAT, CAT, PMT or a DVB table has a wrong CRC_32"`
	PCRRepetition    Indicator `json:"pcr_repetition" doc:"2.3a PCR_repetition_error: PCRs of one PID are more than 100 ms apart, or none came for a second"`
	PCRDiscontinuity Indicator `json:"pcr_discontinuity" doc:"2.3b PCR_discontinuity_indicator_error: a PCR goes back or jumps by more than 100 ms without discontinuity_indicator"`
	PTS              Indicator `json:"pts" doc:"2.5 PTS_error: a video or audio PID has no PTS for 700 ms"`
	CAT              Indicator `json:"cat" doc:"2.6 CAT_error: packets are scrambled and there is no CAT, or another table is on its PID"`
	UnreferencedPID  Indicator `json:"unreferenced_pid" doc:"3.4.a Unreferenced_PID: no table names a PID for 500 ms"`
	SIRepetition     Indicator `json:"si_repetition" doc:"3.2 SI_repetition_error: a NIT (10 s), SDT (2 s), EIT (2 s) or TDT (30 s) that came does not come again"`
}

// All yields each with its name, in the order of the document.
func (i *Indicators) All() iter.Seq2[string, *Indicator] {
	return func(yield func(string, *Indicator) bool) {
		for _, n := range []struct {
			name string
			*Indicator
		}{
			{"sync_loss", &i.SyncLoss},
			{"sync_byte", &i.SyncByte},
			{"pat", &i.PAT},
			{"continuity_count", &i.ContinuityCount},
			{"pmt", &i.PMT},
			{"pid", &i.PID},
			{"transport", &i.Transport},
			{"crc", &i.CRC},
			{"pcr_repetition", &i.PCRRepetition},
			{"pcr_discontinuity", &i.PCRDiscontinuity},
			{"pts", &i.PTS},
			{"cat", &i.CAT},
			{"unreferenced_pid", &i.UnreferencedPID},
			{"si_repetition", &i.SIRepetition},
		} {
			if !yield(n.name, n.Indicator) {
				return
			}
		}
	}
}

// HealthPCR is one clock, measured against the source time.
type HealthPCR struct {
	PID           uint16   `json:"pid"`
	IntervalMS    float64  `json:"interval_ms" doc:"Longest step from one PCR to the next within the last second"`
	JitterUS      float64  `json:"jitter_us" doc:"Peak to peak, within the last second, of PCR minus the time at which it was sent; how evenly the sender sends, not only how exact the PCR is"`
	DriftPPM      *float64 `json:"drift_ppm,omitempty" doc:"How much faster the PCR runs than the sender's system clock; absent for the first ten seconds"`
	DriftErrorPPM *float64 `json:"drift_error_ppm,omitempty" doc:"Twice the standard error of drift_ppm"`
}

// What a figure may be: exact in JSON and in a metric, and finite in another unit.
const (
	maxCount  = 1 << 53
	maxFigure = 1e12
)

// Bound makes what a process said of itself fit to be shown: no longer than it may be, no time outside of from and to, no figure
// that can't be.
func (h *Health) Bound(from, to time.Time) {
	for _, i := range h.Indicators.All() {
		i.Errors = min(i.Errors, maxCount)
		if at := i.LastError; at != nil && (at.Before(from) || at.After(to)) {
			i.LastError = nil
		}
	}
	h.PCRs, h.PIDs = first(h.PCRs, MaxHealthPCRs), first(h.PIDs, MaxHealthPIDs)
	for i := range h.PCRs {
		p := &h.PCRs[i]
		for _, f := range []*float64{&p.IntervalMS, &p.JitterUS, p.DriftErrorPPM} {
			if f != nil {
				*f = min(max(*f, 0), maxFigure)
			}
		}
		if p.DriftPPM != nil {
			*p.DriftPPM = min(max(*p.DriftPPM, -maxFigure), maxFigure)
		}
	}
	for i := range h.PIDs {
		p := &h.PIDs[i]
		p.Packets, p.ContinuityErrors, p.Scrambled = min(p.Packets, maxCount), min(p.ContinuityErrors, maxCount), min(p.Scrambled, maxCount)
		if !p.Kind.Known() {
			p.Kind = KindData
		}
	}
	h.PIDsTotal = min(max(h.PIDsTotal, len(h.PIDs)), PIDs)
}

// first is a copy of at most n elements, never nil.
func first[T any](list []T, n int) []T {
	list = list[:min(len(list), n)]
	c := make([]T, len(list))
	copy(c, list)
	return c
}

// PIDKind is what a PID is for.
type PIDKind string

// The kinds of PIDs.
const (
	KindPAT          PIDKind = "pat"
	KindCAT          PIDKind = "cat"
	KindPMT          PIDKind = "pmt"
	KindSI           PIDKind = "si" // tables of DVB or ATSC
	KindVideo        PIDKind = "video"
	KindAudio        PIDKind = "audio"
	KindData         PIDKind = "data" // any other elementary stream
	KindPCR          PIDKind = "pcr"  // nothing but a clock
	KindCA           PIDKind = "ca"   // ECM or EMM
	KindUnreferenced PIDKind = "unreferenced"
)

// Known tells whether it is one of the above.
func (k PIDKind) Known() bool {
	switch k {
	case KindPAT, KindCAT, KindPMT, KindSI, KindVideo, KindAudio, KindData, KindPCR, KindCA, KindUnreferenced:
		return true
	}
	return false
}

// HealthPID is what came on one PID.
type HealthPID struct {
	PID              uint16  `json:"pid"`
	Kind             PIDKind `json:"kind" enum:"pat,cat,pmt,si,video,audio,data,pcr,ca,unreferenced"`
	Program          uint16  `json:"program,omitempty" doc:"program_number of the first program that names it"`
	StreamType       uint8   `json:"stream_type,omitempty" doc:"Of the PMT"`
	Packets          uint64  `json:"packets"`
	ContinuityErrors uint64  `json:"continuity_errors"`
	Scrambled        uint64  `json:"scrambled,omitempty" doc:"Packets that are scrambled"`
	Missing          bool    `json:"missing,omitempty" doc:"It has not come for 5 s, though it should"`
}
