package api

import (
	"context"
	"time"
)

// Refusal is a caller that was refused, in its handshake or after it was accepted. Nothing in it is secret.
type Refusal struct {
	Time       time.Time `json:"time"`
	Peer       string    `json:"peer" doc:"Address and port of the caller" example:"192.0.2.7:50000"`
	Local      string    `json:"local" doc:"Address and port that it called" example:"192.0.2.1:8889"`
	Stream     string    `json:"stream,omitempty" doc:"Name of the stream, where its stream id names one" example:"live"`
	StreamID   string    `json:"stream_id" doc:"What it sent, with *** in the place of whatever may be secret" example:"publish:live:studio:***"`
	Code       int       `json:"code" doc:"SRT rejection code" example:"1409"`
	Cause      string    `json:"cause" doc:"The same in one word, as in brume_srt_rejects_total" example:"conflict"`
	Reason     string    `json:"reason" doc:"The same in a sentence" example:"the stream live has a publisher already"`
	Count      uint64    `json:"count" minimum:"1" doc:"How often it was refused: tries from the same address for the same cause, of which the newest is told. Callers that can't be served whatever they ask for are told once in a second"`
	Connection string    `json:"connection,omitempty" doc:"Id of its connection, where it was accepted before, or had a process"`
}

type refusalsInput struct {
	Page
	Stream string `query:"stream" doc:"Only callers of this stream"`
	Cause  string `query:"cause" doc:"Only this cause, as in brume_srt_rejects_total"`
}

func (h *handlers) refusals(_ context.Context, in *refusalsInput) (*output[List[Refusal]], error) {
	all := h.backend.Refusals()
	if in.Stream != "" || in.Cause != "" {
		chosen := all[:0]
		for _, r := range all {
			if (in.Stream == "" || r.Stream == in.Stream) && (in.Cause == "" || r.Cause == in.Cause) {
				chosen = append(chosen, r)
			}
		}
		all = chosen
	}
	return &output[List[Refusal]]{page(all, in.Page)}, nil
}
