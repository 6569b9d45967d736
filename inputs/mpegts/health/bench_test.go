package health

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// looped is a clip that is its own continuation, but for its times: 16 times what it holds, so that each continuity_counter comes around.
func looped(list []sent) (b []byte, length time.Duration) {
	cc := map[uint16]byte{}
	for range 16 {
		for _, s := range list {
			if s.p[3]&0x10 != 0 {
				s.p[3] = s.p[3]&0xF0 | cc[s.pid()]&15
				cc[s.pid()]++
			}
			b = append(b, s.p[:]...)
		}
	}
	return b, 16 * (list[len(list)-1].at + step)
}

// BenchmarkMonitor is the rate at which a stream is judged as it comes over SRT, seven packets in a message.
func BenchmarkMonitor(b *testing.B) {
	for _, c := range []struct {
		name string
		recipe
		fill int // more packets of video in each step
	}{
		{"2 Mbit/s", recipe{length: second}, 20},
		{"20 Mbit/s", recipe{length: second}, 260},
		{"10 programs, 20 Mbit/s", recipe{length: second, programs: 10}, 200},
		{"1 Mbit/s of tables and little else", recipe{length: second}, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.extra = func(w *crafter, i int) {
				for range c.fill {
					w.packet(pidVideo, false, nil, make([]byte, 184))
				}
			}
			clip, length := looped(c.make())
			m := New()
			const message = 7 * ts.PacketSize
			messages := len(clip) / message
			each := length / time.Duration(messages)
			at := time.Duration(0)
			b.SetBytes(int64(messages * message))
			b.ReportAllocs()
			for b.Loop() {
				for i := range messages {
					at += each
					m.Write(clip[i*message:][:message], at)
				}
			}
			require.Positive(b, m.packets)
			require.Zero(b, m.report().Indicators.CRC.Errors)
		})
	}
}

// TestNoAllocations: once all PIDs and tables are known, nothing is allocated.
func TestNoAllocations(t *testing.T) {
	list := recipe{length: 20 * second, programs: 5, extra: stray(pidStray, 0, 99*second)}.make()
	m := New()
	feed(m, list[:len(list)/2])
	list = list[len(list)/2:]
	const runs = 100
	n := testing.AllocsPerRun(runs, func() {
		for _, s := range list[:len(list)/(runs+2)] {
			m.Write(s.p[:], s.at)
		}
		list = list[len(list)/(runs+2):]
	})
	require.Zero(t, n)
	require.Positive(t, m.packets)
}
