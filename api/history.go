package api

import (
	"context"
	"math"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// Resolution is the time between two points of a history.
type Resolution string

// The resolutions of a history.
const (
	ResolutionFine   Resolution = "1s"  // the last 10 minutes
	ResolutionCoarse Resolution = "10s" // the last hour
)

// Seconds is the resolution as a number.
func (r Resolution) Seconds() int {
	if r == ResolutionCoarse {
		return 10
	}
	return 1
}

// Column is one figure of a history, in time order. NaN stands for no value, in JSON null.
type Column []float32

// MarshalJSON implements json.Marshaler. Its numbers are as short as float32 allows.
func (c Column) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, 6*len(c)+2), '[')
	for i, v := range c {
		if i > 0 {
			b = append(b, ',')
		}
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendFloat(b, f, 'f', -1, 32)
		}
	}
	return append(b, ']'), nil
}

// Schema implements huma.SchemaProvider. oapi-codegen can't read the type ["number", "null"] of OpenAPI 3.1; the
// extension tells it the Go type.
func (Column) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{
		Type: huma.TypeNumber, Nullable: true, Extensions: map[string]any{"x-go-type": "*float64"},
	}}
}

// Times are the times of a history.
type Times []int64

// MarshalJSON implements json.Marshaler: an empty history has an empty list.
func (t Times) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, 11*len(t)+2), '[')
	for i, v := range t {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, v, 10)
	}
	return append(b, ']'), nil
}

// Schema implements huma.SchemaProvider.
func (Times) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeInteger, Format: "int64"}}
}

// ConnectionHistory is what a connection was like. All columns have one length.
type ConnectionHistory struct {
	ResolutionSeconds int    `json:"resolution_seconds" enum:"1,10"`
	Time              Times  `json:"time" doc:"Unix time in seconds at which each point begins"`
	RateMbps          Column `json:"rate_mbps" doc:"Megabits a second received (publish) or sent (play), with headers and what was sent again; mean"`
	Packets           Column `json:"packets" doc:"Packets received (publish) or sent (play), each counted once; sum"`
	RTTMS             Column `json:"rtt_ms" doc:"Round-trip time in milliseconds; mean"`
	LostPackets       Column `json:"lost_packets" doc:"Packets that were missing when a later one came (publish), that the peer reported (play); sum"`
	RetransPackets    Column `json:"retransmitted_packets" doc:"Packets received again (publish) or sent again (play); sum"`
	DroppedPackets    Column `json:"dropped_packets" doc:"Packets given up, which nobody will see; sum"`
	BelatedPackets    Column `json:"belated_packets" doc:"Packets that came too late; sum; null for a player"`
	UndecryptedPkts   Column `json:"undecrypted_packets" doc:"Packets that could not be decrypted; sum; null for a player"`
	BufferMS          Column `json:"buffer_ms" doc:"Media in libsrt's receive buffer (publish) or send buffer (play) in milliseconds; mean"`
	FlightPackets     Column `json:"flight_packets" doc:"Packets sent and not yet acknowledged; mean; null for a publisher"`
}

// StreamHistory is what a stream was like, over all of its publishers. All columns have one length.
type StreamHistory struct {
	ResolutionSeconds int    `json:"resolution_seconds" enum:"1,10"`
	Time              Times  `json:"time" doc:"Unix time in seconds at which each point begins"`
	InMbps            Column `json:"in_mbps" doc:"Megabits a second of media that came in; mean"`
	ViewersSRT        Column `json:"viewers_srt" doc:"Connections that play over SRT; mean"`
	ViewersHLS        Column `json:"viewers_hls" doc:"Clients over HTTP; mean"`
	RTTMS             Column `json:"rtt_ms" doc:"Round-trip time to the publisher in milliseconds; mean; null without one"`
	LostPackets       Column `json:"lost_packets" doc:"Packets of the publisher that were missing when a later one came; sum; null without one"`
	RetransPackets    Column `json:"retransmitted_packets" doc:"Packets that the publisher sent again; sum; null without one"`
	DroppedPackets    Column `json:"dropped_packets" doc:"Packets of the publisher that came too late or never; sum; null without one"`
}

// Points chooses how dense a history is.
type Points struct {
	Resolution Resolution `query:"resolution" enum:"1s,10s" default:"1s" doc:"1s: the last 10 minutes; 10s: the last hour"`
}

type (
	connectionHistoryInput struct {
		ID string `path:"id" doc:"Id of the connection"`
		Points
	}
	streamHistoryInput struct {
		Name string `path:"name" doc:"Name of the stream" example:"live"`
		Points
	}
)

func (h *handlers) connectionHistory(_ context.Context, in *connectionHistoryInput) (*output[ConnectionHistory], error) {
	v, err := h.backend.ConnectionHistory(in.ID, in.Resolution)
	if err != nil {
		return nil, h.fault(err, "connection", in.ID)
	}
	return &output[ConnectionHistory]{v}, nil
}

func (h *handlers) streamHistory(_ context.Context, in *streamHistoryInput) (*output[StreamHistory], error) {
	v, err := h.backend.StreamHistory(in.Name, in.Resolution)
	if err != nil {
		return nil, h.fault(err, "stream", in.Name)
	}
	return &output[StreamHistory]{v}, nil
}
