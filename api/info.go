package api

import "time"

// Info describes the server.
type Info struct {
	Version       string     `json:"version" doc:"Version of Brume"`
	Go            string     `json:"go" doc:"Version of Go that built it" example:"go1.26.8"`
	LibSRT        LibSRT     `json:"libsrt" doc:"The SRT library of the connection processes"`
	SRT           []Listener `json:"srt" nullable:"false" doc:"SRT ports"`
	HTTP          Listener   `json:"http" doc:"Port of HLS and the player pages"`
	API           Listener   `json:"api" doc:"Port of the API"`
	Hostname      string     `json:"hostname"`
	Started       time.Time  `json:"started" doc:"When the server was started; a restart of its controller does not change it"`
	UptimeSeconds float64    `json:"uptime_seconds" minimum:"0" doc:"Time since then"` // the API fills it in
}

// LibSRT tells which libsrt runs in the connection processes.
type LibSRT struct {
	Version string `json:"version" doc:"Version that the library tells" example:"1.5.1"`
	Package string `json:"package" doc:"Package that it was built from; distributions carry security fixes under an old version" example:"1.5.1-1+deb12u1"`
}

// Listener is a port that the server listens on.
type Listener struct {
	Address string `json:"address" doc:"Address and port in force; an empty or unspecified address stands for all" example:"[::]:8889"`
}
