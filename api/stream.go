package api

import (
	"time"

	"brume/media"
	"brume/media/ts"
)

// StreamState says whether media comes in.
type StreamState string

// The states of a stream. One whose publisher is gone is offline at once, since nothing comes
// in any more, even while its viewers are kept for the publisher to return: ResumeUntil tells that.
const (
	StreamOffline    StreamState = "offline"    // nobody publishes
	StreamStarting   StreamState = "starting"   // a publisher is there, but its tracks are not known yet
	StreamLive       StreamState = "live"       // media comes in
	StreamUnplayable StreamState = "unplayable" // nothing that the publisher sends can be played
)

// Stream is one stream.
type Stream struct {
	Name          string      `json:"name" example:"live"`
	State         StreamState `json:"state" enum:"offline,starting,live,unplayable" doc:"live: media comes in; starting: a publisher is there, but its tracks are not known yet; unplayable: nothing that the publisher sends can be played, reason and left_out say why; offline: nobody publishes"`
	Reason        string      `json:"reason,omitempty" doc:"Why the stream is unplayable, in a sentence"`
	WaitsFor      ts.Wait     `json:"waits_for,omitempty" enum:"tables,program,media,keyframe,parameters,video,audio" doc:"What a starting stream waits for. tables: PAT and PMT; program: the program that was asked for, which the transport stream does not have; media: audio or video; keyframe: a picture of the video to begin at; parameters: parameter sets of the video, which did not come with its keyframes; video, audio: that of which nothing comes"`
	Locked        bool        `json:"locked" doc:"No new publishers and players are let in over SRT"`
	Publisher     *Publisher  `json:"publisher,omitempty" doc:"Who publishes; absent when offline"`
	Source        *Source     `json:"source,omitempty" doc:"Where the stream is pulled from; absent where nothing pulls it"`
	LiveSince     *time.Time  `json:"live_since,omitempty" doc:"When the stream became live; a publisher that returns within the resume time does not change it"`
	UptimeSeconds float64     `json:"uptime_seconds" minimum:"0" doc:"Time since live_since, 0 when it is absent"` // the API fills it in
	ResumeUntil   *time.Time  `json:"resume_until,omitempty" doc:"Until when viewers are kept for the publisher to return; absent when one is there, or when the stream is over"`
	Tracks        []Track     `json:"tracks" doc:"Tracks of the latest epoch, in their order"`
	Raw           bool        `json:"raw" doc:"The transport stream is kept as it came, and SRT viewers get exactly that"`
	RawBitrate    uint64      `json:"raw_bitrate,omitempty" doc:"Measured bits per second of the transport stream as it came, where it is kept"`
	Programs      []Program   `json:"programs" doc:"Programs of the transport stream that the present publisher sends, else the last; at most 64"`
	LeftOut       []LeftOut   `json:"left_out" doc:"Elementary streams of the program that are not carried, in the order of its PMT; at most 64"`
	Buffer        *Buffer     `json:"buffer,omitempty" doc:"The stream's buffer; absent while it has no buffer"`
	Viewers       Viewers     `json:"viewers"`
	BytesIn       uint64      `json:"bytes_in" doc:"Payload bytes that came in since the buffer was made, of all publishers; in whole transport stream packets where these are kept (raw)"`
	BytesOut      uint64      `json:"bytes_out" doc:"Payload bytes that went out since the buffer was made, over SRT and HTTP"`
	Input         *ts.Stats   `json:"input,omitempty" doc:"What the demultiplexer counted of the present publisher, else of the last"`
	Health        *ts.Health  `json:"health,omitempty" doc:"How well the transport stream of the present publisher, else of the last, keeps the rules of TR 101 290; at most two seconds old"`
	HLS           HLSStats    `json:"hls" doc:"Requests over HTTP since the buffer was made"`
	Links         Links       `json:"links" doc:"Where to watch and to publish"` // the API fills it in
}

// Publisher is the connection that publishes a stream.
type Publisher struct {
	Connection string    `json:"connection" doc:"Id of the connection"`
	Peer       string    `json:"peer" doc:"Address and port" example:"192.0.2.7:50000"`
	Since      time.Time `json:"since" doc:"When it connected"`
}

// Program is a program of the transport stream that a stream is made of.
type Program struct {
	Number   uint16   `json:"number" doc:"program_number"`
	Name     string   `json:"name,omitempty" doc:"Name of the service, as the SDT tells it" example:"News HD"`
	Provider string   `json:"provider,omitempty" doc:"Provider of the service"`
	PMTPID   uint16   `json:"pmt_pid" doc:"Packet identifier of the program's PMT"`
	Selected bool     `json:"selected" doc:"The stream is made of it"`
	Streams  []string `json:"streams" doc:"All streams that the publisher makes of it"`
}

// LeftOut is an elementary stream of a stream's program that is not carried.
type LeftOut struct {
	PID        uint16           `json:"pid" doc:"Packet identifier"`
	StreamType uint8            `json:"stream_type" doc:"stream_type of the PMT"`
	Type       string           `json:"type" doc:"What the PMT says that it is; unknown where that has no name here" example:"mpeg2video"`
	Language   string           `json:"language,omitempty" doc:"Three letters of ISO 639-2" example:"eng"`
	Reason     ts.LeftOutReason `json:"reason" enum:"type,pid,too_many,scrambled,silent,keyframe,parameters,unreadable" doc:"type: not supported; pid: its PID is reserved, or the PMT names it twice; too_many: more than can be carried; scrambled; silent: no packet has come; keyframe: no picture to begin at has come; parameters: its parameter sets have not come; unreadable: what comes is not what the PMT says"`
}

// Track is one track of a stream.
type Track struct {
	ID                 int             `json:"id" minimum:"0" doc:"Index within the stream"`
	PID                uint16          `json:"pid,omitempty" doc:"Packet identifier in the source"`
	Kind               string          `json:"kind" enum:"video,audio,data"`
	Codec              media.Codec     `json:"codec" example:"h264"`
	Codecs             string          `json:"codecs,omitempty" doc:"Codec with its parameters as in RFC 6381" example:"avc1.64001f"`
	SupplementalCodecs string          `json:"supplemental_codecs,omitempty" doc:"Of video with Dolby Vision: codec and brand for players that know it" example:"dvh1.08.07/db4h"`
	Language           string          `json:"language,omitempty" doc:"Three letters of ISO 639-2" example:"eng"`
	Role               media.TrackRole `json:"role,omitempty" enum:"description,narration,hearing,subtitles" doc:"Whom audio is for; absent for everybody. description: with a description of the pictures; narration: that description alone; hearing: for the hard of hearing; subtitles: spoken ones"`
	Width              int             `json:"width,omitempty" doc:"Pixels"`
	Height             int             `json:"height,omitempty" doc:"Pixels"`
	Interlaced         bool            `json:"interlaced,omitempty" doc:"The video is interlaced"`
	VideoRange         string          `json:"video_range,omitempty" enum:"SDR,HLG,PQ" doc:"Dynamic range, absent when the source does not tell it"`
	FrameRate          float64         `json:"frame_rate,omitempty" doc:"Frames per second, absent when unknown"`
	SampleRate         int             `json:"sample_rate,omitempty" doc:"Hz"`
	Channels           int             `json:"channels,omitempty" doc:"Audio channels"`
	Atmos              bool            `json:"atmos,omitempty" doc:"The audio has objects beside its channels (Dolby Atmos in E-AC-3)"`
	Bitrate            uint64          `json:"bitrate,omitempty" doc:"Measured bits per second, absent until known"`
	HLS                bool            `json:"hls" doc:"The fMP4 variant of HLS carries it"`
	HLSTS              bool            `json:"hls_ts" doc:"The MPEG-TS variant of HLS, and SRT, carry it"`
}

// Buffer is a stream's buffer and the cuts of its HLS playlists.
type Buffer struct {
	Seconds               float64 `json:"seconds" minimum:"0" doc:"Media held now"`
	Bytes                 int64   `json:"bytes" minimum:"0" doc:"Memory that the buffer takes now"`
	WindowSeconds         float64 `json:"window_seconds" doc:"Most media held"`
	SizeBytes             int64   `json:"size_bytes" doc:"Most memory that it may take"`
	SegmentTargetSeconds  float64 `json:"segment_target_seconds" doc:"How long segments are where keyframes allow it"`
	SegmentMaxSeconds     float64 `json:"segment_max_seconds" doc:"No segment is longer"`
	PartTargetSeconds     float64 `json:"part_target_seconds" doc:"EXT-X-PART-INF PART-TARGET, 0 without parts"`
	TargetDurationSeconds int     `json:"target_duration_seconds" doc:"EXT-X-TARGETDURATION, 0 until the first segment is complete"`
	KeyframeSeconds       int     `json:"keyframe_seconds" doc:"Longest distance of keyframes so far, rounded up, at most segment_max_seconds; 0 where it is not known. Above target_duration_seconds, segments are cut without a keyframe"`
	Epochs                uint64  `json:"epochs" doc:"Changes of tracks, parameters, clock or publisher since the buffer was made, the first included"`
}

// Viewers counts who watches.
type Viewers struct {
	Total int `json:"total" minimum:"0"`                                                               // the API fills it in
	SRT   int `json:"srt" minimum:"0" doc:"Connections that play over SRT"`                            //
	HLS   int `json:"hls" minimum:"0" doc:"Clients that fetched over HTTP within the last 10 seconds"` //
}

// HLSStats counts the HTTP requests for one stream.
type HLSStats struct {
	Requests    uint64 `json:"requests" doc:"Of playlists, segments and parts"`
	Bytes       uint64 `json:"bytes" doc:"Of their bodies"`
	PlayerViews uint64 `json:"player_views" doc:"Player pages asked for"`

	Faults HLSFaults `json:"faults"`
}

// HLSFaults counts failures to make playlists and segments from the stream's buffer.
type HLSFaults struct {
	Segment   uint64 `json:"segment" doc:"Segments and parts that are listed and could not be made or written; their requests got a 500"`
	Overtaken uint64 `json:"overtaken" doc:"Times that what was to be read had left the buffer"`
	Entry     uint64 `json:"entry" doc:"Entries of the buffer that make no sense"`
	Buffer    uint64 `json:"buffer" doc:"Times that the header of the buffer made no sense"`
}

// Links say where a stream is watched and published. Their host is the one that the request
// came to, unless a port listens on one address only.
type Links struct {
	HLS    string `json:"hls,omitempty" format:"uri" example:"http://127.0.0.1:8080/hls/live/index.m3u8"`
	HLSTS  string `json:"hls_ts,omitempty" format:"uri" example:"http://127.0.0.1:8080/hls/live/ts/index.m3u8"`
	Player string `json:"player,omitempty" format:"uri" example:"http://127.0.0.1:8080/live.html"`
	SRT    string `json:"srt,omitempty" format:"uri" doc:"For publishers and viewers" example:"srt://127.0.0.1:8889?streamid=live"`
}
