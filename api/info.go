package api

import "time"

// Info describes the server.
type Info struct {
	Version       string    `json:"version" doc:"Version of Brume"`
	Go            string    `json:"go" doc:"Version of Go that built it" example:"go1.26.8"`
	LibSRT        LibSRT    `json:"libsrt" doc:"The SRT library of the connection processes"`
	SRT           []SRTPort `json:"srt" doc:"SRT ports, in the order of the configuration"`
	HTTP          Listener  `json:"http" doc:"Port of HLS and the player pages"`
	API           Listener  `json:"api" doc:"Port of the API"`
	Processes     []Process `json:"processes" doc:"Processes that serve no connection; those that do are in the connections"`
	Hostname      string    `json:"hostname"`
	Started       time.Time `json:"started" doc:"When the server was started; a restart of its controller does not change it"`
	UptimeSeconds float64   `json:"uptime_seconds" minimum:"0" doc:"Time since then"` // the API fills it in
}

// LibSRT tells which libsrt runs in the connection processes.
type LibSRT struct {
	Version string `json:"version" doc:"Version that the library tells" example:"1.5.1"`
	Package string `json:"package" doc:"Package that it was built from; distributions carry security fixes under an old version" example:"1.5.1-1+deb12u1"`
}

// Process is a process of the server.
type Process struct {
	Role string `json:"role" enum:"guardian,controller,http,srt-listener,srt-idle" doc:"What it is for; srt-idle: it waits for a connection"`
	PID  int    `json:"pid"`
}

// Listener is a port that the server listens on.
type Listener struct {
	Address string `json:"address" doc:"Address and port in force; an empty or unspecified address stands for all" example:"[::]:8889"`
}

// SRTPort is a port of SRT, and what holds for its callers where their stream has no settings of its own.
type SRTPort struct {
	Address    string            `json:"address" doc:"Address and port in force; an unspecified address stands for all" example:"[::]:8889"`
	Stream     string            `json:"stream" doc:"Stream of callers that send no stream id" example:"live"`
	StreamOnly bool              `json:"stream_only" doc:"Callers get this stream whatever they ask for: the port is the stream's own, by a URL with mode=listener"`
	Mode       string            `json:"mode" enum:"any,publish,play" doc:"What callers may do"`
	Slash      string            `json:"slash" enum:"refuse,last,join" doc:"What becomes of a stream's name with slashes: it is refused, its last part is the name, or its parts are joined with +"`
	LatencyMS  int64             `json:"latency_ms" minimum:"0" doc:"Lowest latency, both ways"`
	Passphrase bool              `json:"passphrase" doc:"Callers have to know a passphrase"`
	Options    map[string]string `json:"options" doc:"Options of libsrt"`
	Networks   []string          `json:"networks" doc:"Networks that callers may come from; an empty list means all"`
	Callers    string            `json:"callers" doc:"What callers may do and what they need for it, in a sentence" example:"callers may publish and play any stream; without a stream id it is live"`
}
