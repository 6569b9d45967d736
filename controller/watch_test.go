package controller

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"brume/buffer"
	"brume/config"
	"brume/guardian"
	"brume/media"
	"brume/srt"
)

func TestUsage(t *testing.T) {
	type reading struct {
		after time.Duration
		cpu   time.Duration // used since the reading before
		media uint64        // bytes since then
	}
	const mega = 1 << 20
	many := func(n int, r reading) (all []reading) {
		for range n {
			all = append(all, r)
		}
		return all
	}
	for _, c := range []struct {
		name     string
		readings []reading
		want     time.Duration // at least
		most     time.Duration
	}{
		{"idle", many(20, reading{time.Second, 0, 0}), 0, 0},
		{"answers a peer without media", many(20, reading{time.Second, 250 * time.Millisecond, 0}), 0, 0},
		{"spins", many(10, reading{time.Second, time.Second, 0}), 10 * time.Second, 10 * time.Second},
		{"spins on two processors", many(5, reading{time.Second, 2 * time.Second, 0}), 10 * time.Second, 10 * time.Second},
		{"spins beside 4 Mbit/s", many(10, reading{time.Second, time.Second, mega / 2}), 8 * time.Second, 10 * time.Second},
		{"50 Mbit/s", many(20, reading{time.Second, 200 * time.Millisecond, 6 * mega}), 0, 0},
		{"200 Mbit/s", many(20, reading{time.Second, 900 * time.Millisecond, 24 * mega}), 0, 0},
		{"media that is more than anybody sends, on two processors", many(10, reading{time.Second, 2 * time.Second, 1 << 40}), 9 * time.Second, 10 * time.Second},
		{"media that overflows", many(10, reading{time.Second, 2 * time.Second, 1 << 62}), 9 * time.Second, 20 * time.Second},
		{"a burst is forgotten", append(many(3, reading{time.Second, time.Second, 0}), many(20, reading{time.Second, 0, 0})...), 0, 0},
		{"the controller was stopped", []reading{{time.Minute, 30 * time.Second, 0}}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1e9, 0)
			u := usage{}
			require.Zero(t, u.look(now, time.Hour, 77), "the first reading is no use")
			cpu, media, wasted := time.Hour, uint64(77), time.Duration(0)
			for _, r := range c.readings {
				now, cpu, media = now.Add(r.after), cpu+r.cpu, media+r.media
				wasted = u.look(now, cpu, media)
			}
			require.GreaterOrEqual(t, wasted, c.want)
			require.LessOrEqual(t, wasted, c.most)
		})
	}
}

func TestUsageOfAnotherBuffer(t *testing.T) {
	now := time.Unix(1e9, 0)
	u := usage{}
	u.look(now, 0, 1<<30)
	require.Equal(t, time.Second, u.look(now.Add(time.Second), time.Second, 5), "fewer bytes than before are none")
}

// TestMediaOfAProcess is all that goes into its streams: the transport stream as it came, and those of further programs.
func TestMediaOfAProcess(t *testing.T) {
	d := muxDesk(t)
	q := d.admitted(1, "publish:mux")
	require.Zero(t, d.idle().p.media())
	w, err := buffer.OpenWriter(d.streams["mux"].rw)
	require.NoError(t, err)
	w.SetTime(time.Now())
	require.NoError(t, w.BeginEpoch([]media.Track{{Codec: media.AAC, PID: 257, Config: []byte{0x11, 0x90}}, {Codec: media.MPEGTS}}))
	require.NoError(t, w.WritePacket(&media.Packet{Track: 0, RandomAccess: true, Payload: make([]byte, 100)}))
	require.NoError(t, w.WritePacket(&media.Packet{Track: 1, RandomAccess: true, Payload: make([]byte, 188)}))
	w.Commit()
	require.NoError(t, w.Close())
	w, err = buffer.OpenWriter(d.streams["sport"].rw)
	require.NoError(t, err)
	writeUnit(w, time.Now(), 1)
	require.NoError(t, w.Close())
	d.monitor(time.Now())
	require.EqualValues(t, 188, d.streams["mux"].rates.total, "what came is counted once: its units are in the transport stream")
	require.EqualValues(t, 100+188+len("unit"), q.p.media())
}

// What the kernel tells of a process that sleeps, runs, is stopped.
func TestWhatTheKernelTells(t *testing.T) {
	start := func(name string, args ...string) *process {
		t.Helper()
		p := &process{own: true}
		pidfd := -1
		cmd := exec.Command(name, args...)
		cmd.SysProcAttr = &unix.SysProcAttr{PidFD: &pidfd}
		require.NoError(t, cmd.Start())
		p.PID, p.pidfd = cmd.Process.Pid, os.NewFile(uintptr(pidfd), "pidfd")
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			_ = p.pidfd.Close()
		})
		return p
	}
	sleeper, spinner := start("sleep", "60"), start("sh", "-c", "while :; do :; done")
	eventually(t, 20*time.Second, "one runs", func() bool { return guardian.Runnable(spinner.PID) })
	eventually(t, 20*time.Second, "one sleeps", func() bool { return !guardian.Runnable(sleeper.PID) })
	require.Equal(t, 1, threads(sleeper.PID))
	require.GreaterOrEqual(t, threads(os.Getpid()), 3)
	eventually(t, 20*time.Second, "it has used a processor", func() bool {
		used, ok := cpuTime(spinner.PID)
		return ok && used > 200*time.Millisecond
	})
	used, ok := cpuTime(sleeper.PID)
	require.True(t, ok)
	require.Less(t, used, 200*time.Millisecond)
	for _, own := range []bool{true, false} {
		sleeper.own = own
		require.False(t, sleeper.stopped())
		require.NoError(t, unix.Kill(sleeper.PID, unix.SIGSTOP))
		eventually(t, 10*time.Second, "it is stopped", sleeper.stopped)
		require.True(t, sleeper.stopped(), "it still is")
		require.NoError(t, unix.Kill(sleeper.PID, unix.SIGCONT))
		eventually(t, 10*time.Second, "it is not", func() bool { return !sleeper.stopped() })
	}
	_, ok = cpuTime(1 << 22)
	require.False(t, ok, "nobody is there")
	require.LessOrEqual(t, threads(1<<22), 0)
	require.False(t, guardian.Runnable(1<<22))
}

// Each cause ends that connection process, is counted, and its peer is told; the others go on.
func TestWatch(t *testing.T) {
	r := run(t)
	r.mu.Lock()
	r.Config.Limits.ChildCPU = config.Duration(time.Second)
	r.mu.Unlock()
	r.publishes("live")
	for _, c := range []struct {
		stream string
		stop   bool
		why    fault
	}{
		{streamSpin, false, faultCPU},
		{streamHung, false, faultSilent},
		{streamCrowd, false, faultThreads},
		{"stopped", true, faultStopped},
	} {
		t.Run(c.stream, func(t *testing.T) {
			require.NotZero(t, call(t, r.ports[0].address, "publish:"+c.stream).Child)
			if c.stop {
				var pid int
				r.eventually("it is connected", func() bool {
					for _, conn := range r.Connections() {
						if conn.Stream == c.stream && conn.SRT != nil {
							pid = conn.PID
						}
					}
					return pid != 0
				})
				require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
			}
			r.eventually("it is ended for that", func() bool { return r.Metrics().Kills[string(c.why)] == 1 })
			r.eventually("it is gone", func() bool { return len(r.Connections()) == 1 })
			require.Contains(t, r.log.String(), faults[c.why])
		})
	}
	s, err := r.Stream("live")
	require.NoError(t, err)
	require.NotNil(t, s.Publisher)
	total := uint64(0)
	for _, n := range r.Metrics().Kills {
		total += n
	}
	require.EqualValues(t, 4, total, "nobody else was ended")
}

// A process that was idle for long is not silent when it gets a caller.
func TestLongIdleProcessIsNotSilent(t *testing.T) {
	d := newDesk(t)
	q := d.idle()
	q.p.quiet = 10 * silentTicks
	require.Equal(t, srt.Verdict{ID: 1, Child: q.p.ID}, d.calls(1, "publish:live"))
	d.sweepProcesses()
	require.False(t, q.p.killed)
}

// A process that says why it ends and then does not end is ended, and its peer told.
func TestPeerOfOneThatOnlySaysThatItEndsIsTold(t *testing.T) {
	d := newDesk(t)
	q := d.admitted(1, "publish:live")
	d.says(q, srt.MsgFailed, srt.Failed{Reason: srt.FailClosed})
	d.putDown(q.p, faultSilent)
	d.ends(q, "killed by SIGKILL")
	var gone srt.Gone
	d.listener.hearsOf(srt.MsgGone, &gone)
	require.Equal(t, "192.0.2.1:1", gone.Peer)
}

// The cost of one look at a process, of which a server may have hundreds, four times a second.
func BenchmarkWatch(b *testing.B) {
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	require.NoError(b, err)
	p := &process{own: true, pidfd: os.NewFile(uintptr(pidfd), "pidfd")}
	p.PID = os.Getpid()
	defer p.pidfd.Close()
	b.ReportAllocs()
	for b.Loop() {
		p.stopped()
		threads(p.PID)
		cpuTime(p.PID)
	}
}
