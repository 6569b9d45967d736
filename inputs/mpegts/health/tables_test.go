package health

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// kinds lists what each PID is for.
func kinds(h *ts.Health) map[uint16]ts.PIDKind {
	found := map[uint16]ts.PIDKind{}
	for _, p := range h.PIDs {
		found[p.PID] = p.Kind
	}
	return found
}

// stray sends a packet on a PID with every step from a time on.
func stray(pid uint16, from, to time.Duration) func(c *crafter, i int) {
	return func(c *crafter, i int) {
		if at := time.Duration(i) * step; at >= from && at < to {
			c.packet(pid, false, nil, make([]byte, 184))
		}
	}
}

func TestUnreferencedPIDs(t *testing.T) {
	t.Run("stays", func(t *testing.T) {
		m := New()
		feed(m, recipe{length: 3 * second, extra: stray(pidStray, second, 99*second)}.make())
		h := m.report()
		require.Equal(t, map[string]uint64{"unreferenced_pid": 1}, errorsOf(h))
		require.Equal(t, []string{"unreferenced_pid"}, badOf(h))
		require.Equal(t, ts.KindUnreferenced, kinds(h)[pidStray])
	})
	t.Run("goes", func(t *testing.T) {
		m := New()
		feed(m, recipe{length: 10 * second, extra: stray(pidStray, second, 2*second)}.make())
		h := m.report()
		require.Equal(t, map[string]uint64{"unreferenced_pid": 1}, errorsOf(h))
		require.True(t, h.OK)
		require.NotContains(t, kinds(h), uint16(pidStray))
		require.Zero(t, m.strays)
	})
	t.Run("is named in time", func(t *testing.T) {
		for name, c := range map[string]struct {
			at   time.Duration
			want uint64
		}{"soon": {2*second + 400*time.Millisecond, 0}, "late": {2*second + 700*time.Millisecond, 1}} {
			m := New()
			feed(m, recipe{length: 6 * second, extra: func(c2 *crafter, i int) {
				stray(pidStray, 2*second, 99*second)(c2, i)
				if time.Duration(i)*step >= c.at && i%5 == 0 {
					c2.table(pidPMT, pmtSection(1, 1, pidVideo, "", es{ts.StreamTypeH264, pidVideo, ""}, es{ts.StreamTypeADTS, pidAudio, ""}, es{0x06, pidStray, ""}))
				}
			}}.make())
			// The old PMT comes too, so the PID is in and out; all that matters is what is told of it.
			require.Equal(t, c.want, min(1, m.report().Indicators.UnreferencedPID.Errors), name)
		}
	})
	t.Run("before the tables are known", func(t *testing.T) {
		list := recipe{length: 4 * second, extra: stray(pidStray, 0, 99*second)}.make()
		m := New()
		feed(m, without(list, pidPMT, 0, 99*second))
		require.Zero(t, m.report().Indicators.UnreferencedPID.Errors, "who can tell?")
	})
	t.Run("are many", func(t *testing.T) {
		m := New()
		feed(m, recipe{length: 3 * second, extra: func(c *crafter, i int) {
			for k := range 100 {
				c.packet(uint16(0x300+k), false, nil, make([]byte, 184))
			}
		}}.make())
		h := m.report()
		require.EqualValues(t, 100, h.Indicators.UnreferencedPID.Errors)
		require.Equal(t, 105, h.PIDsTotal)
		require.Equal(t, maxStrays, m.strays)
	})
}

// TestChangeOfPMT takes PIDs in and out without an error, and forgets those that went.
func TestChangeOfPMT(t *testing.T) {
	m := New()
	feed(m, recipe{length: 4 * second}.make())
	require.Equal(t, ts.KindAudio, kinds(m.report())[pidAudio])
	c := &crafter{cc: map[uint16]byte{}}
	for i := range 300 {
		c.now = 4*second + time.Duration(i)*step
		if i%5 == 0 {
			c.table(ts.PIDPAT, patSection(1, 1, pidPMT, 0, pidNIT))
			c.table(pidPMT, pmtSection(1, 1, pidClock, "", es{ts.StreamTypeH264, pidVideo, ""}, es{ts.StreamTypeSCTE35, pidStray, ""}))
			c.table(pidSDT, section(tableSDT, 1, 0, []byte{0, 1, 0xFF}))
		}
		c.packet(pidClock, false, pcrField(int64(i)*540_000, false), nil)
		c.packet(pidVideo, true, nil, pes(int64(i)*1800, 100))
	}
	for i := range c.list { // counters go on
		if pid := c.list[i].pid(); pid != pidClock {
			c.list[i].p[3] = c.list[i].p[3]&0xF0 | (c.list[i].p[3]+m.pids[pid].state+1)&15
		}
	}
	feed(m, c.list)
	h := m.report()
	requireClean(t, h)
	require.Equal(t, map[uint16]ts.PIDKind{
		0: ts.KindPAT, pidSDT: ts.KindSI, pidPMT: ts.KindPMT, pidVideo: ts.KindVideo, pidClock: ts.KindPCR, pidStray: ts.KindData,
	}, kinds(h))
	require.Len(t, h.PCRs, 1)
	require.EqualValues(t, pidClock, h.PCRs[0].PID)
}

// TestProgramsOfThePAT are each judged, and forgotten with it.
func TestProgramsOfThePAT(t *testing.T) {
	list := recipe{length: 4 * second, programs: 3}.make()
	m := New()
	feed(m, without(list, pidPMT+0x20, second, 99*second))
	h := m.report()
	require.Equal(t, map[string]uint64{"pmt": 1}, errorsOf(h))
	require.Equal(t, []string{"pmt"}, badOf(h))
	feed(m, recipe{length: 8 * second, start: 4 * second, programs: 2, first: 4 * 27_000_000}.make())
	h = m.report()
	require.Equal(t, uint64(1), h.Indicators.PMT.Errors)
	require.True(t, h.Indicators.PMT.OK)
	require.Len(t, m.programs, 2)
	require.NotContains(t, kinds(h), uint16(pidVideo+0x20))
}

// TestConditionalAccess knows the PIDs of CAT and PMT, and is content with a CAT when packets are scrambled.
func TestConditionalAccess(t *testing.T) {
	const ca = "\x09\x04\x0B\x00\xE3\x01" // PID 0x301
	m := New()
	feed(m, edit(recipe{length: 6 * second, extra: func(c *crafter, i int) {
		if i%5 == 0 {
			c.table(pidCAT, section(tableCAT, 0xFFFF, 0, []byte("\x09\x04\x0B\x00\xE3\x02")))
			c.table(pidPMT, pmtSection(1, 0, pidVideo, ca, es{ts.StreamTypeH264, pidVideo, ""}, es{ts.StreamTypeADTS, pidAudio, "\x09\x04\x0B\x00\xE3\x03"}))
		}
		c.packet(0x301, true, nil, make([]byte, 184))
		c.packet(0x302, true, nil, make([]byte, 184))
		c.packet(0x303, true, nil, make([]byte, 184))
	}}.make(), pidVideo, 0, 9999, func(p []byte) { p[3] |= 0x80 }))
	h := m.report()
	requireClean(t, h)
	require.Equal(t, []ts.PIDKind{ts.KindCA, ts.KindCA, ts.KindCA}, []ts.PIDKind{kinds(h)[0x301], kinds(h)[0x302], kinds(h)[0x303]})
	require.Equal(t, ts.KindCAT, kinds(h)[pidCAT])
	i := slices.IndexFunc(h.PIDs, func(p ts.HealthPID) bool { return p.PID == pidVideo })
	require.EqualValues(t, 450, h.PIDs[i].Scrambled)
}

// TestSections of a PAT that is in two.
func TestSections(t *testing.T) {
	two := func(number byte, programs ...uint16) []byte {
		b := patSection(0, programs...)
		b[6], b[7] = number, 1
		return ts.AppendCRC32(b[: len(b)-4 : len(b)-4])
	}
	m := New()
	c := &crafter{cc: map[uint16]byte{}}
	for i := range 20 {
		c.now = time.Duration(i) * 100 * time.Millisecond
		c.table(ts.PIDPAT, two(0, 1, pidPMT))
		c.table(ts.PIDPAT, two(1, 2, pidPMT+0x10))
		for n := range uint16(2) {
			c.table(pidPMT+n<<4, pmtSection(n+1, 0, ts.PIDNull, "", es{0x06, pidVideo + n<<4, ""}))
		}
	}
	feed(m, c.list)
	requireClean(t, m.report())
	require.Len(t, m.programs, 2)
	require.Equal(t, ts.KindData, kinds(m.report())[pidVideo+0x10])
	c.list = nil
	c.table(ts.PIDPAT, patSection(1, 1, pidPMT)) // one section again
	feed(m, c.list)
	require.Len(t, m.programs, 1)
	require.NotContains(t, kinds(m.report()), uint16(pidVideo+0x10))
	c.list = nil
	c.table(ts.PIDPAT, two(0, 1, pidPMT))
	c.table(ts.PIDPAT, two(1, 2, pidPMT+0x10))
	feed(m, c.list)
	require.Len(t, m.programs, 2, "as before")
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		e    ts.Element
		want ts.PIDKind
	}{
		{ts.Element{Type: 0x02}, ts.KindVideo},
		{ts.Element{Type: 0x24}, ts.KindVideo},
		{ts.Element{Type: 0x03}, ts.KindAudio},
		{ts.Element{Type: 0x81}, ts.KindAudio},
		{ts.Element{Type: 0x06}, ts.KindData},
		{ts.Element{Type: 0x06, Descriptors: ts.Descriptors("\x6A\x01\x00")}, ts.KindAudio},
		{ts.Element{Type: 0x06, Descriptors: ts.Descriptors("\x7F\x02\x80\x02")}, ts.KindAudio},
		{ts.Element{Type: 0x06, Descriptors: ts.Descriptors("\x7F\x02\x20\x02")}, ts.KindData},
		{ts.Element{Type: 0x06, Descriptors: ts.Descriptors("\x05\x04Opus")}, ts.KindAudio},
		{ts.Element{Type: 0x06, Descriptors: ts.Descriptors("\x05\x04HEVC")}, ts.KindVideo},
		{ts.Element{Type: 0x06, Descriptors: ts.Descriptors("\x59\x08deu\x10\x00\x01\x00\x01")}, ts.KindData},
		{ts.Element{Type: 0x86}, ts.KindData},
	} {
		require.Equal(t, c.want, kindOf(&c.e), "%x %x", c.e.Type, string(c.e.Descriptors))
	}
}
