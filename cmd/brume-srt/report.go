package main

import (
	"fmt"
	"time"

	"brume/control"
	tsinput "brume/inputs/tsfeed"
	"brume/srt"
	"brume/srt/libsrt"
	"brume/srt/libsrt/option"
)

// defaultIdle is libsrt's SRTO_PEERIDLETIMEO.
const defaultIdle = 5 * time.Second

// maxLines bounds the log lines of one report.
const maxLines = 8

// reporter is what a report remembers of the one before.
type reporter struct {
	last     srt.Stats
	signs    int64     // packets of the peer that libsrt counted
	heard    time.Time // when they last grew
	refused  uint64    // units that the buffer had refused
	programs tsinput.Programs
	unlogged uint64 // lines that were not sent
}

// counter is how the media loop is doing, by the role that it has.
type counter interface {
	counts() (stats srt.ConnStats, trouble error)
	// wake makes the media loop notice that its connection was closed.
	wake()
}

// report sends statistics and logs. A process that is not connected yet says that it is alive, so that the controller does not
// take it for one that hangs. It never waits: what the controller does not read is dropped.
func (p *process) report() {
	p.mu.Lock()
	conn, running := p.conn, p.running
	p.mu.Unlock()
	if conn == nil {
		if p.configure != nil {
			_ = p.control.Send(srt.MsgAlive, nil)
		}
		p.sendLogs()
		return
	}
	var s srt.ConnStats
	var trouble error
	if running != nil {
		s, trouble = running.counts()
	}
	now, err := conn.Stats()
	if err != nil {
		// The connection is over. That its time stands still tells that these are the figures of the report before.
		now = p.last
		now.Interval, now.SendRateMbps, now.ReceiveRateMbps = srt.StatsCount{}, 0, 0
	}
	p.last = now
	signs := now.Total.PktRecv + now.Total.PktRecvACK + now.Total.PktRecvNAK
	if signs != p.signs || p.heard.IsZero() {
		p.signs, p.heard = signs, time.Now()
	}
	s.SRT = now
	_ = p.control.Send(srt.MsgStats, s)
	if pub, ok := running.(publisher); ok {
		p.tellPrograms(p, pub, false)
	}
	if s.BufferErr > p.refused && trouble != nil {
		p.log("warn", "the buffer refused access units: "+trouble.Error(), s.BufferErr-p.refused)
		p.refused = s.BufferErr
	}
	p.sendLogs()
}

// repeat tells a new controller what the one before was told.
func (p *process) repeat() {
	p.mu.Lock()
	connected, direction, running := p.connected, p.direction, p.running
	p.mu.Unlock()
	if connected != nil {
		_ = p.control.Send(srt.MsgConnected, connected)
	}
	if direction != "" {
		_ = p.control.Send(srt.MsgDirection, srt.Direction{Role: direction})
	}
	if pub, ok := running.(publisher); ok {
		p.tellPrograms(p, pub, true)
	}
}

func (p *process) log(level, text string, count uint64) {
	_ = p.control.Send(control.MsgLog, control.Log{Level: level, Text: text, Count: count})
}

// sendLogs gives on what libsrt logged, at most maxLines of it.
func (p *process) sendLogs() {
	lines, lost := libsrt.Logs()
	p.unlogged += lost
	for i, l := range lines {
		if i == maxLines {
			p.unlogged += uint64(len(lines) - i)
			break
		}
		level := "info"
		switch {
		case l.Level <= libsrt.LogError:
			level = "error"
		case l.Level == libsrt.LogWarning:
			level = "warn"
		}
		p.log(level, "libsrt: "+l.Text, uint64(l.Count))
	}
	if p.unlogged > 0 {
		p.log("warn", fmt.Sprintf("libsrt: %d more lines", p.unlogged), p.unlogged)
		p.unlogged = 0
	}
}

// silent tells a peer that fell silent from one that closed its connection, which libsrt does not: whether nothing
// was heard of it for as long as libsrt waits before it gives a peer up.
func (p *process) silent() bool {
	idle := defaultIdle
	if v, err := option.Parse("peeridletimeo", p.configure.Options["peeridletimeo"]); err == nil {
		idle = time.Duration(v.Number) * time.Millisecond
	}
	return !p.heard.IsZero() && time.Since(p.heard) > idle-3*reportInterval/2
}
