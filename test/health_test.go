package test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	gosrt "github.com/datarhei/gosrt"
	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// unpaced are the indicators that no pause of a loaded machine raises.
var unpaced = []string{"sync_loss", "sync_byte", "continuity_count", "transport", "crc", "pcr_discontinuity", "cat", "unreferenced_pid"}

func (s *server) health(stream string) *ts.Health {
	s.t.Helper()
	var v struct {
		Health *ts.Health `json:"health"`
	}
	s.get("/api/v1/streams/"+stream, &v)
	return v.Health
}

// failed lists the unpaced indicators that failed.
func failed(h *ts.Health) []string {
	names := []string{}
	for name, i := range h.Indicators.All() {
		if i.Errors > 0 && slices.Contains(unpaced, name) {
			names = append(names, name)
		}
	}
	return names
}

// TestHealthOfACleanPublisher: what ffmpeg sends has no errors, over either kind of stream id.
func TestHealthOfACleanPublisher(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.publish(plainClip(t), "publish:stated")
	s.publish(plainClip(t), "unstated")
	launch(t, "ffmpeg", "-nostdin", "-v", "error", "-re", "-i", plainClip(t), "-map", "0", "-c", "copy", "-f", "mpegts", "-muxrate", "2M",
		"srt://"+s.srt+"?pkt_size=1316&streamid=publish:constant")
	for _, stream := range []string{"stated", "unstated", "constant"} {
		s.eventually(60*time.Second, stream+" is healthy for a while", func() bool {
			h := s.health(stream)
			return h != nil && h.OK && len(h.PCRs) == 1 && h.PCRs[0].DriftPPM != nil
		})
		h := s.health(stream)
		require.Empty(t, failed(h), stream)
		require.LessOrEqual(t, h.PCRs[0].IntervalMS, 100.0)
		require.Positive(t, h.PCRs[0].JitterUS)
		found := map[ts.PIDKind]int{}
		for _, p := range h.PIDs {
			found[p.Kind]++
			require.Positive(t, p.Packets)
		}
		require.Equal(t, map[ts.PIDKind]int{ts.KindPAT: 1, ts.KindPMT: 1, ts.KindSI: 1, ts.KindVideo: 1, ts.KindAudio: 1}, found)
		require.EqualValues(t, 1, s.metric("brume_ts_ok", `stream="`+stream+`"`, `indicator="continuity_count"`))
		require.Zero(t, s.metric("brume_ts_errors_total", `stream="`+stream+`"`, `indicator="continuity_count"`))
		require.Positive(t, s.metric("brume_ts_pcr_jitter_seconds", `stream="`+stream+`"`))
	}
}

// TestHealthNamesTheFault publishes clips that are damaged before they are sent.
func TestHealthNamesTheFault(t *testing.T) {
	t.Parallel()
	s := start(t)
	clean, err := os.ReadFile(plainClip(t))
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		damage func(clip []byte) []byte
		want   []string // of unpaced
		more   string   // that is none of them
	}{
		{"clean", bytes.Clone, []string{}, ""},
		{"dropped", dropPackets, []string{"continuity_count"}, ""},
		{"checksums", breakChecksums, []string{"crc"}, ""},
		{"clock", removePCRs, []string{"pcr_discontinuity"}, "pcr_repetition"},
		{"tables", removePATs, []string{}, "pat"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stop := s.publishBytes(t, c.name, c.damage(clean))
			defer stop()
			told := func(name string) {
				s.eventually(40*time.Second, "told by the API: "+name, func() bool {
					h := s.health(c.name)
					return h != nil && indicator(h, name).Errors > 0
				})
				at := indicator(s.health(c.name), name).LastError
				require.NotNil(t, at)
				require.WithinDuration(t, time.Now(), *at, time.Minute)
				labels := []string{`stream="` + c.name + `"`, `indicator="` + name + `"`}
				require.Positive(t, s.metric("brume_ts_errors_total", labels...))
				s.eventually(20*time.Second, "told by the metrics: "+name, func() bool { return s.metric("brume_ts_ok", labels...) == 0 })
			}
			for _, name := range c.want {
				told(name)
			}
			if c.more != "" {
				told(c.more)
			}
			s.eventually(40*time.Second, "a few seconds were sent", func() bool { return s.stream(c.name).Input["packets"] > 2000 })
			h := s.health(c.name)
			require.Equal(t, c.want, failed(h))
			if len(c.want) == 0 && c.more == "" {
				s.eventually(30*time.Second, "it is healthy", func() bool { return s.health(c.name).OK })
			}
		})
	}
}

func indicator(h *ts.Health, name string) ts.Indicator {
	for n, i := range h.Indicators.All() {
		if n == name {
			return *i
		}
	}
	panic("there is no indicator " + name)
}

// pace is when each packet of a clip is due, from the first PCR. Between PCRs it is as even as the packets are; a clock that jumps back stands still.
func pace(clip []byte) []time.Duration {
	due := make([]time.Duration, len(clip)/ts.PacketSize)
	last, at, clock := -1, 0, int64(0)
	for i := range due {
		pcr, ok := pcrOf(clip[i*ts.PacketSize:])
		if !ok {
			continue
		}
		step := time.Duration(0)
		if ticks := (pcr - clock) & (1<<33 - 1); last >= 0 && ticks < 1<<32 {
			step = time.Duration(ticks) * time.Second / 90000
		}
		for ; at <= i; at++ {
			due[at] = due[max(last, 0)] + step*time.Duration(at-last)/time.Duration(i-last)
		}
		last, clock = i, pcr
	}
	for ; at < len(due); at++ {
		due[at] = due[max(last, 0)]
	}
	return due
}

// publishBytes sends a clip byte for byte, as its clock says. It is ended by what it returns.
func (s *server) publishBytes(t *testing.T, stream string, clip []byte) (stop func()) {
	t.Helper()
	config := gosrt.DefaultConfig()
	config.StreamId = "publish:" + stream
	config.ConnectionTimeout = 20 * time.Second
	config.Latency = 2 * time.Second // nothing is lost on a loaded machine
	config.PeerIdleTimeout = 30 * time.Second
	conn, err := gosrt.Dial("srt", s.srt, config)
	require.NoError(t, err)
	end, done := make(chan struct{}), make(chan error, 1)
	go func() {
		began, due := time.Now(), pace(clip)
		for i := 0; i < len(due); i += 7 {
			select {
			case <-end:
				done <- nil
				return
			case <-time.After(time.Until(began.Add(due[i]))):
			}
			if _, err := conn.Write(clip[i*ts.PacketSize : min(i+7, len(due))*ts.PacketSize]); err != nil {
				done <- fmt.Errorf("publish %s: %w", stream, err)
				return
			}
		}
		<-end
		done <- nil
	}()
	return func() {
		close(end)
		require.NoError(t, <-done)
		require.NoError(t, conn.Close())
	}
}

// The PIDs that ffmpeg gives.
const (
	pidPMT   = 0x1000
	pidVideo = 0x0100
)

func pidOf(p []byte) uint16 { return binary.BigEndian.Uint16(p[1:]) & 0x1FFF }

// pcrOf is the PCR of a packet, if it has one, at 90 kHz.
func pcrOf(p []byte) (int64, bool) {
	if p[3]&0x20 == 0 || p[4] < 7 || p[5]&0x10 == 0 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint32(p[6:]))<<1 | int64(p[10]>>7), true
}

// filter keeps the packets that keep wants, which may change them. at is the time of the last PCR, in seconds from the first.
func filter(clip []byte, keep func(p []byte, at float64) bool) (kept []byte) {
	first, at := int64(-1), 0.0
	for p := bytes.Clone(clip); len(p) >= ts.PacketSize; p = p[ts.PacketSize:] {
		if pcr, ok := pcrOf(p); ok {
			if first < 0 {
				first = pcr
			}
			at = float64(pcr-first) / 90000
		}
		if keep(p[:ts.PacketSize], at) {
			kept = append(kept, p[:ts.PacketSize]...)
		}
	}
	return kept
}

// within tells whether at is in the last part of each period of three seconds.
func within(at, part float64) bool { return at-3*float64(int(at/3)) > 3-part }

// dropPackets leaves out a packet of video now and then, none that carries a PCR.
func dropPackets(clip []byte) []byte {
	n := 0
	return filter(clip, func(p []byte, _ float64) bool {
		if _, ok := pcrOf(p); ok || pidOf(p) != pidVideo {
			return true
		}
		n++
		return n%100 != 0
	})
}

// breakChecksums spoils a PMT now and then.
func breakChecksums(clip []byte) []byte {
	n := 0
	return filter(clip, func(p []byte, _ float64) bool {
		if pidOf(p) == pidPMT {
			if n++; n%10 == 0 {
				end := 5 + 3 + int(binary.BigEndian.Uint16(p[6:])&0xFFF)
				p[end-1] ^= 1
			}
		}
		return true
	})
}

// removePCRs takes out those of half a second now and then.
func removePCRs(clip []byte) []byte {
	first := int64(-1)
	return filter(clip, func(p []byte, _ float64) bool {
		pcr, ok := pcrOf(p)
		if ok && first < 0 {
			first = pcr
		}
		if ok && within(float64(pcr-first)/90000, 0.5) {
			p[5] &^= 0x10
		}
		return true
	})
}

// removePATs leaves them out for a second now and then; those that stay are counted on.
func removePATs(clip []byte) []byte {
	n := byte(0)
	return filter(clip, func(p []byte, at float64) bool {
		if pidOf(p) != ts.PIDPAT {
			return true
		}
		if within(at, 1) {
			return false
		}
		p[3] = p[3]&0xF0 | n&15
		n++
		return true
	})
}
