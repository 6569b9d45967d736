package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"brume/api"
	"brume/media"
	"brume/outputs/hls"
	"brume/srt"
)

var _ api.Backend = (*Controller)(nil)

func carriesFMP4(codec media.Codec) bool { return hls.CanCarry(codec).FMP4 }
func carriesTS(codec media.Codec) bool   { return hls.CanCarry(codec).TS }

// Info describes the server.
func (c *Controller) Info() api.Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info()
}

func (c *Controller) info() api.Info {
	host, _ := os.Hostname()
	ports := make([]api.SRTPort, 0, len(c.ports))
	for _, p := range c.ports {
		ports = append(ports, p.view(c.Config))
	}
	return api.Info{
		Version: c.Version, Go: runtime.Version(), LibSRT: c.libsrt, Hostname: host, Started: c.server.Started,
		SRT:       ports,
		Processes: c.idleProcesses(),

		HTTP: api.Listener{Address: c.sockets.httpAddress},
		API:  api.Listener{Address: c.sockets.api.Addr().String()},
	}
}

// idleProcesses are those that serve no connection, sorted by what they are for.
func (c *Controller) idleProcesses() []api.Process {
	all := []api.Process{{Role: "guardian", PID: os.Getppid()}, {Role: "controller", PID: os.Getpid()}}
	for _, p := range c.processes {
		if p.conn == nil {
			all = append(all, api.Process{Role: p.name(), PID: p.PID})
		}
	}
	slices.SortFunc(all[2:], func(a, b api.Process) int { return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.PID, b.PID)) })
	return all
}

// name is what API and metrics call a process.
func (p *process) name() string {
	if p.Role == roleConnection && p.conn == nil {
		return "srt-idle"
	}
	return string(p.Role)
}

// Ready reports whether streams can be published and played.
func (c *Controller) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return errors.New("the server is shutting down")
	}
	for _, d := range c.duties {
		if p := c.onDuty(d); p == nil || !p.ready {
			return fmt.Errorf("the process %s is not up", d)
		}
	}
	for _, p := range c.processes {
		if p.Role == roleConnection && p.ready {
			return nil
		}
	}
	return errors.New("no connection process is up")
}

// Streams returns every stream that is there.
func (c *Controller) Streams() []api.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.allStreams()
}

func (c *Controller) allStreams() []api.Stream {
	all := make([]api.Stream, 0, len(c.streams))
	for _, s := range c.streams {
		all = append(all, s.view())
	}
	for name := range c.listed() {
		if c.streams[name] == nil {
			all = append(all, api.Stream{Name: name, State: api.StreamOffline, Tracks: []api.Track{}})
		}
	}
	for i := range all {
		all[i].Locked = c.locked(all[i].Name)
		all[i].Source = c.sourceView(all[i].Name)
	}
	return all
}

// listed are the names of streams that are shown also while they are offline.
func (c *Controller) listed() map[string]bool {
	names := map[string]bool{}
	for pattern := range c.Config.Streams {
		if !strings.Contains(string(pattern), "*") {
			names[string(pattern)] = true
		}
	}
	for _, name := range c.server.Locked {
		names[name] = true
	}
	for name := range c.out.sources {
		names[name] = true
	}
	return names
}

// Stream returns one stream.
func (c *Controller) Stream(name string) (api.Stream, error) {
	for _, s := range c.Streams() {
		if s.Name == name {
			return s, nil
		}
	}
	return api.Stream{}, api.ErrNotFound
}

func (s *stream) view() api.Stream {
	v := api.Stream{
		Name: s.Stream, State: s.state(), Input: s.input, BytesIn: s.rates.total, BytesOut: s.bytesOut + s.web.Bytes,
		Viewers: api.Viewers{SRT: s.viewers() - s.web.Viewers, HLS: s.web.Viewers},
		HLS:     api.HLSStats{Requests: s.web.Requests, Bytes: s.web.Bytes, PlayerViews: s.web.PlayerViews, Faults: api.HLSFaults(s.web.Faults)},
		Tracks:  make([]api.Track, len(s.tracks)),
	}
	v.Health = s.health
	copy(v.Tracks, s.tracks)
	for i := range v.Tracks {
		v.Tracks[i].Bitrate = s.rates.bitrate(v.Tracks[i].ID)
	}
	v.Raw, v.Programs = s.raw >= 0, slices.Clone(s.programs)
	v.LeftOut = slices.Clone(s.leftOut.list)
	if v.Raw {
		v.RawBitrate = s.rates.bitrate(s.raw)
	}
	for conn := range s.players {
		v.BytesOut += conn.stats.Bytes
	}
	if p := s.publisher; p != nil {
		v.Publisher = &api.Publisher{Connection: p.ID, Peer: p.Peer, Since: p.Since}
		switch v.State {
		case api.StreamLive:
			v.LiveSince = s.Live
		case api.StreamStarting:
			v.WaitsFor = s.waits
		case api.StreamUnplayable:
			v.Reason = s.lacks()
		}
	} else if s.over.IsZero() && !s.gone.IsZero() {
		until := s.gone.Add(time.Duration(s.cfg.Resume))
		v.ResumeUntil = &until
	}
	v.Buffer = &api.Buffer{
		Seconds: s.rates.heldDur.Seconds(), Bytes: s.rates.held, WindowSeconds: s.info.Window.Seconds(), SizeBytes: int64(s.cfg.Buffer.Size),
		SegmentTargetSeconds: s.info.SegmentTarget.Seconds(), SegmentMaxSeconds: s.info.SegmentMax.Seconds(),
		PartTargetSeconds: s.info.PartTarget.Seconds(), TargetDurationSeconds: s.info.TargetDuration, KeyframeSeconds: s.info.Keyframes, Epochs: uint64(s.info.Discontinuity) + 1,
	}
	return v
}

// Connections returns every connection.
func (c *Controller) Connections() []api.Connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.allConnections()
}

func (c *Controller) allConnections() []api.Connection {
	all := make([]api.Connection, 0, len(c.connections))
	for _, conn := range c.connections {
		all = append(all, conn.view())
	}
	return all
}

// Connection returns one connection.
func (c *Controller) Connection(id string) (api.Connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.connections[id]
	if conn == nil {
		return api.Connection{}, api.ErrNotFound
	}
	return conn.view(), nil
}

func (conn *connection) view() api.Connection {
	v := api.Connection{
		ID: conn.ID, Peer: conn.Peer, Local: conn.Local, Stream: conn.Stream, Role: conn.Role.String(), Protocol: "srt",
		State: api.ConnectionStarting, Since: conn.Since, Bytes: conn.stats.Bytes, Units: conn.stats.Units, Skipped: conn.stats.Skipped,
		BufferErrors: conn.stats.BufferErr, Input: conn.stats.Demux, Feeds: conn.feeds(),
	}
	v.Direction, v.Mode = api.Inbound, api.ModeListener
	if conn.Mode != "" {
		v.Direction, v.Mode = api.Outbound, api.Mode(conn.Mode)
	}
	if conn.proc != nil {
		v.PID, v.Sandbox = conn.proc.PID, conn.proc.hello.Sandbox
	}
	if n := conn.Connected; n != nil {
		v.State = api.ConnectionConnected
		v.SRT = &api.SRT{
			PeerVersion: n.PeerSRT, LatencyReceiveMS: n.LatencyRcv, LatencySendMS: n.LatencySnd, KeyLength: n.KeyLength,
			Encrypted: n.KeyLength > 0, PacketFilter: n.Filter, PayloadSize: n.Payload, Stats: conn.stats.SRT,
		}
	}
	if !conn.closing.IsZero() {
		v.State = api.ConnectionClosing
	}
	return v
}

// Metrics returns what /metrics shows.
func (c *Controller) Metrics() api.MetricsSnapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := api.MetricsSnapshot{
		Info: c.info(), Streams: c.allStreams(), Connections: c.allConnections(), Pushes: c.allPushes(), HTTP: c.web.metrics(),
		Processes: map[string]int{"guardian": 1, "controller": 1},
		Events:    c.events.Metrics(),
		Restarts:  maps.Clone(c.restarts), Rejects: map[api.RejectCause]uint64{}, Failures: maps.Clone(c.failures),
	}
	for _, p := range c.ports {
		m.Listeners = append(m.Listeners, api.ListenerMetrics{Address: p.address, ListenerStats: p.stats})
	}
	for why, n := range c.rejects {
		m.Rejects[api.RejectCause{Code: why.code(), Cause: string(why)}] = n
	}
	m.Kills = make(map[string]uint64, len(c.kills))
	for why, n := range c.kills {
		m.Kills[string(why)] = n
	}
	for _, p := range c.processes {
		m.Processes[p.name()]++
	}
	return m
}

// askLibSRT learns the version of libsrt from the connection program itself, which also tries that
// the library accepts a caller as it is handed over.
func (c *Controller) askLibSRT(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Helper, "selftest")
	cmd.Env = []string{}
	out, err := cmd.Output()
	var result srt.SelfTest
	if e := json.Unmarshal(out, &result); e != nil && err == nil {
		err = e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.libsrt = api.LibSRT{Version: result.LibSRT, Package: result.Package}
	if err != nil && !c.stopping {
		c.log.Error("the self-test of libsrt has failed: SRT callers may not be able to connect; rebuild brume-srt with the libsrt of this release's notes",
			"libsrt", result.LibSRT, "detail", result.Detail, "error", err)
	}
}
