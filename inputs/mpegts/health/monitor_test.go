package health

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"brume/media/ts"
)

const second = time.Second

// TestCleanStreams are quiet, however they are made.
func TestCleanStreams(t *testing.T) {
	for name, r := range map[string]recipe{
		"one program":                     {length: 20 * second},
		"several programs":                {length: 12 * second, programs: 9},
		"a clock of its own":              {length: 12 * second, clockPID: pidClock},
		"programs that share a clock":     {length: 12 * second, programs: 5, clockPID: pidClock},
		"programs that share a video PCR": {length: 12 * second, programs: 3, clockPID: 0},
		"the clock wraps":                 {length: 12 * second, first: pcrWrap - 5*27_000_000},
		"a late source time":              {length: 12 * second, start: 1 << 50},
		"a clock that runs fast":          {length: 12 * second, ppm: 500},
	} {
		t.Run(name, func(t *testing.T) {
			m := New()
			feed(m, r.make())
			h := m.report()
			requireClean(t, h)
			require.Equal(t, max(r.programs, 1)*3+2+min(1, int(r.clockPID)), h.PIDsTotal)
		})
	}
}

// TestIndicators: each fault raises its indicator, and no other one.
func TestIndicators(t *testing.T) {
	type counts = map[string]uint64
	clean := recipe{length: 12 * second}.make()
	scramble := func(p []byte) { p[3] |= 0x80 }
	crcBreak := func(p []byte) { p[187] ^= 1 }
	for _, c := range []struct {
		name string
		in   []sent
		want counts
		bad  []string // at the end
	}{
		{"clean", clean, counts{}, nil},
		{"one wrong sync byte", edit(clean, pidAudio, 9, 1, func(p []byte) { p[0] = 0x48 }), counts{"sync_byte": 1, "continuity_count": 1}, nil},
		{"PAT away for 600 ms", without(clean, 0, second, second+600*time.Millisecond), counts{"pat": 1}, nil},
		{"PAT away for 400 ms", without(clean, 0, second, second+400*time.Millisecond), counts{}, nil},
		{"PAT gone", without(clean, 0, second, 99*second), counts{"pat": 1}, []string{"pat"}},
		{"never a PAT", without(clean, 0, 0, 99*second), counts{"pat": 1}, []string{"pat"}},
		{"PAT scrambled once", edit(clean, 0, 9, 1, scramble), counts{"pat": 1, "cat": 1}, nil},
		{"another table on the PAT's PID", edit(clean, 0, 9, 1, func(p []byte) {
			at := 5 + int(p[4])
			p[at+1] = 0x42
			copy(p[at+1:], ts.AppendCRC32(p[at+1:184:184]))
		}), counts{"pat": 1}, nil},
		{"PMT away for 600 ms", without(clean, pidPMT, second, second+600*time.Millisecond), counts{"pmt": 1}, nil},
		{"PMT away for 400 ms", without(clean, pidPMT, second, second+400*time.Millisecond), counts{}, nil},
		{"PMT gone", without(clean, pidPMT, second, 99*second), counts{"pmt": 1}, []string{"pmt"}},
		{"PMT scrambled once", edit(clean, pidPMT, 9, 1, scramble), counts{"pmt": 1, "cat": 1}, nil},
		{"PAT with a wrong checksum", edit(clean, 0, 9, 1, crcBreak), counts{"crc": 1}, nil},
		{"PMT with a wrong checksum, three times", edit(clean, pidPMT, 9, 3, crcBreak), counts{"crc": 3}, nil},
		{"SDT with a wrong checksum", edit(clean, pidSDT, 3, 1, crcBreak), counts{"crc": 1}, nil},
		{"PMT with a wrong checksum for a second", edit(clean, pidPMT, 9, 10, crcBreak), counts{"crc": 10, "pmt": 1}, nil},
		{"SDT gone", without(clean, pidSDT, second, 99*second), counts{"si_repetition": 1}, []string{"si_repetition"}},
		{"SDT away for 1.9 s", without(clean, pidSDT, second, second+1400*time.Millisecond), counts{}, nil},
		{"a packet lost", edit(clean, pidAudio, 9, 1, func(p []byte) { p[1], p[2] = 0x1F, 0xFF }), counts{"continuity_count": 1}, nil},
		{"a packet on no PID but the null's", edit(clean, ts.PIDNull, 9, 5, func(p []byte) { p[3] += 3 }), counts{}, nil},
		{"transport errors", edit(clean, pidAudio, 9, 3, func(p []byte) { p[1] |= 0x80 }), counts{"transport": 3, "continuity_count": 1}, nil},
		{"audio without PTS for 800 ms", edit(clean, pidAudio, 50, 39, func(p []byte) { noPTS(p) }), counts{"pts": 1}, nil},
		{"audio without PTS for 680 ms", edit(clean, pidAudio, 50, 33, func(p []byte) { noPTS(p) }), counts{}, nil},
		{"no PTS ever", edit(clean, pidAudio, 0, 9999, func(p []byte) { noPTS(p) }), counts{"pts": 1}, []string{"pts"}},
		{"audio gone for 4 s", without(clean, pidAudio, 3*second, 7*second), counts{"pts": 1}, nil},
		{"audio gone for 5.06 s", without(clean, pidAudio, 1020*time.Millisecond, 6060*time.Millisecond), counts{"pts": 1, "pid": 1}, nil},
		{"audio gone", without(clean, pidAudio, 3*second, 99*second), counts{"pts": 1, "pid": 1}, []string{"pid", "pts"}},
		{"audio that never came", without(clean, pidAudio, 0, 99*second), counts{"pid": 1}, []string{"pid"}},
		{"scrambled, without CAT", edit(clean, pidVideo, 100, 9999, scramble), counts{"cat": 1}, []string{"cat"}},
		{"scrambled for a moment", edit(clean, pidVideo, 100, 9, scramble), counts{"cat": 1}, nil},
		{"jump of the clock", edit(clean, pidVideo, 300, 9999, func(p []byte) { shiftPCR(p, 3600*27_000_000) }), counts{"pcr_discontinuity": 1}, nil},
		{"the clock goes back", edit(clean, pidVideo, 300, 9999, func(p []byte) { shiftPCR(p, pcrWrap-27_000_000) }), counts{"pcr_discontinuity": 1}, nil},
		{"a jump that is told", edit(edit(clean, pidVideo, 300, 9999, func(p []byte) { shiftPCR(p, 3600*27_000_000) }),
			pidVideo, 300, 1, func(p []byte) { p[5] |= 0x80 }), counts{}, nil},
		{"PCRs missing for 200 ms", edit(clean, pidVideo, 300, 12, noPCR), counts{"pcr_discontinuity": 1, "pcr_repetition": 1}, nil},
		{"PCRs missing for 80 ms", edit(clean, pidVideo, 300, 3, noPCR), counts{}, nil},
		{"PCRs gone", edit(clean, pidVideo, 300, 9999, noPCR), counts{"pcr_repetition": 1}, []string{"pcr_repetition"}},
		{"never a PCR", edit(clean, pidVideo, 0, 9999, noPCR), counts{"pcr_repetition": 1}, []string{"pcr_repetition"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New()
			feed(m, c.in)
			h := m.report()
			require.Equal(t, c.want, errorsOf(h))
			require.Equal(t, append([]string{}, c.bad...), badOf(h))
			require.Equal(t, len(c.bad) == 0, h.OK)
		})
	}
}

// noPTS takes the PTS from the PES that begins in a packet.
func noPTS(p []byte) { p[5+int(p[4])+7] = 0 }

// noPCR takes the PCR from a packet.
func noPCR(p []byte) {
	if p[3]&0x20 != 0 && p[4] > 0 {
		p[5] &^= 0x10
	}
}

// shiftPCR adds to the PCR of a packet, if it has one.
func shiftPCR(p []byte, by int64) {
	if p[3]&0x20 == 0 || p[4] < 7 || p[5]&0x10 == 0 {
		return
	}
	f := p[5:]
	base := int64(f[1])<<25 | int64(f[2])<<17 | int64(f[3])<<9 | int64(f[4])<<1 | int64(f[5]>>7)
	pcr := base*300 + int64(f[5]&1)<<8 + int64(f[6])
	copy(f[1:], pcrField(pcr+by, false)[1:])
}

// TestLastError tells the time of day of the last failure, and that an event is over.
func TestLastError(t *testing.T) {
	list := edit(recipe{length: 12 * second}.make(), pidAudio, 100, 1, func(p []byte) { p[1] |= 0x80 })
	m := New()
	half := slices.IndexFunc(list, func(s sent) bool { return s.at > 3*second })
	feed(m, list[:half])
	h := m.report()
	require.Equal(t, []string{"continuity_count", "transport"}, badOf(h), "within two seconds")
	require.Equal(t, wallZero.Add(2*second), *h.Indicators.Transport.LastError)
	feed(m, list[half:])
	require.Empty(t, badOf(m.report()))
	require.Equal(t, wallZero.Add(2*second), *m.report().Indicators.Transport.LastError)
}

// TestDuplicates: a packet may come twice, not three times.
func TestDuplicates(t *testing.T) {
	clean := recipe{length: 4 * second}.make()
	for copies, want := range map[int]uint64{1: 0, 2: 1, 3: 2} {
		var list []sent
		for _, s := range clean {
			list = append(list, s)
			if s.pid() == pidAudio && s.at == 2*second {
				list = append(list, slices.Repeat([]sent{s}, copies)...)
			}
		}
		m := New()
		feed(m, list)
		require.Equal(t, want, m.report().Indicators.ContinuityCount.Errors, "%d more", copies)
	}
}

// TestContinuityOfAnyLoss compares with a count of what was left out.
func TestContinuityOfAnyLoss(t *testing.T) {
	clean := recipe{length: 2 * second, programs: 3}.make()
	rapid.Check(t, func(t *rapid.T) {
		lost := rapid.SliceOfN(rapid.IntRange(0, len(clean)-1), 0, 30).Draw(t, "lost")
		width := rapid.IntRange(1, 40).Draw(t, "width")
		gone := map[int]bool{}
		for _, i := range lost {
			for k := range width {
				gone[i+k] = true
			}
		}
		var list []sent
		missing, seen := map[uint16]int{}, map[uint16]bool{}
		want := uint64(0)
		for i, s := range clean {
			pid := s.pid()
			if pid == ts.PIDNull || s.p[3]&0x10 == 0 {
				continue
			}
			if gone[i] {
				missing[pid]++
				continue
			}
			if seen[pid] && missing[pid]%16 != 0 {
				want++
			}
			missing[pid], seen[pid] = 0, true
			list = append(list, s)
		}
		m := New()
		feed(m, list)
		// 16 packets missing look like none, 15 like a duplicate whose bytes differ.
		require.Equal(t, want, m.report().Indicators.ContinuityCount.Errors)
	})
}

// TestGaps: what is missing is in error if and only if it is missing for longer than the limit.
func TestGaps(t *testing.T) {
	for _, c := range []struct {
		name  string
		pid   uint16
		every time.Duration
		limit time.Duration
		count func(h *ts.Health) uint64
	}{
		{"PAT", ts.PIDPAT, 5 * step, maxPAT, func(h *ts.Health) uint64 { return h.Indicators.PAT.Errors }},
		{"PMT", pidPMT, 5 * step, maxPMT, func(h *ts.Health) uint64 { return h.Indicators.PMT.Errors }},
		{"PTS", pidAudio, step, maxPTS, func(h *ts.Health) uint64 { return h.Indicators.PTS.Errors }},
		{"SDT", pidSDT, 25 * step, 2 * second, func(h *ts.Health) uint64 { return h.Indicators.SIRepetition.Errors }},
		{"PID", pidAudio, step, maxPID, func(h *ts.Health) uint64 { return h.Indicators.PID.Errors }},
	} {
		t.Run(c.name, func(t *testing.T) {
			clean := recipe{length: 4*second + 2*c.limit}.make()
			rapid.Check(t, func(t *rapid.T) {
				from := rapid.Int64Range(1, int64(second/c.every)).Draw(t, "from")
				missing := rapid.Int64Range(1, 2*int64(c.limit/c.every)).Draw(t, "missing")
				start := 1*second + time.Duration(from)*c.every
				list := without(clean, c.pid, start, start+time.Duration(missing)*c.every)
				m := New()
				feed(m, list)
				gap := time.Duration(missing+1) * c.every
				if over := gap - c.limit; over > -2*step && over <= 2*step {
					return // the stream's own clock is as fine as its PCRs
				}
				want := uint64(0)
				if gap > c.limit {
					want = 1
				}
				require.Equal(t, want, c.count(m.report()), "a gap of %v", gap)
			})
		})
	}
}

// TestBursts: a sender that sends unevenly, or pauses, has no tables that are late.
func TestBursts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := recipe{length: 12 * second}.make()
		burst := time.Duration(rapid.Int64Range(1, int64(900*time.Millisecond)).Draw(t, "burst"))
		for i := range list {
			list[i].at -= list[i].at % burst
		}
		m := New()
		feed(m, list)
		requireClean(t, m.report())
	})
}

// TestSilence: a sender that falls silent is missed by and by.
func TestSilence(t *testing.T) {
	m := New()
	feed(m, recipe{length: 4 * second}.make())
	for at := 4 * second; at < 12*second; at += 500 * time.Millisecond {
		m.Tick(at)
	}
	h := m.report()
	require.Equal(t, map[string]uint64{"pat": 1, "pmt": 1, "pid": 2, "pcr_repetition": 1, "pts": 2, "si_repetition": 1}, errorsOf(h))
	require.False(t, h.OK)
	for _, p := range h.PIDs {
		require.Equal(t, p.Kind == ts.KindVideo || p.Kind == ts.KindAudio, p.Missing, p.PID)
	}
	require.Empty(t, h.PCRs, "a clock that stands")
	feed(m, recipe{length: 4 * second, start: 12 * second, first: 4 * 27_000_000}.make())
	require.Empty(t, badOf(m.report()), "and is well again")
}

// TestSync loses and finds the sync.
func TestSync(t *testing.T) {
	var clean []byte
	for _, s := range (recipe{length: 4 * second}).make() {
		clean = append(clean, s.p[:]...)
	}
	half := len(clean) / 2 / ts.PacketSize * ts.PacketSize
	noise := bytes.Repeat([]byte{1, 2, 3, ts.SyncByte, 5, 6, 7}, 400)
	for _, c := range []struct {
		name        string
		in          []byte
		loss, bytes uint64
		ok          bool
	}{
		{"clean", clean, 0, 0, true},
		{"some bytes before", append(bytes.Clone(noise[:700]), clean...), 0, 0, true},
		{"many bytes before", append(bytes.Clone(noise), clean...), 1, 0, true},
		{"nothing but noise", noise, 1, 0, false},
		{"noise within", slices.Concat(clean[:half], noise, clean[half:]), 1, 2, true},
		{"a byte missing", slices.Concat(clean[:half], clean[half+1:]), 1, 2, true},
		{"noise at the end", slices.Concat(clean, noise), 1, 2, false},
		{"two wrong sync bytes, not in a row", wrongSync(clean, half, half+2*ts.PacketSize), 0, 2, true},
		{"two wrong sync bytes in a row", wrongSync(clean, half, half+ts.PacketSize), 1, 2, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New()
			m.Write(c.in, 0)
			h := m.report()
			require.Equal(t, c.loss, h.Indicators.SyncLoss.Errors)
			require.Equal(t, c.bytes, h.Indicators.SyncByte.Errors)
			m.Tick(3 * second)
			require.Equal(t, c.ok, m.report().Indicators.SyncLoss.OK)
		})
	}
}

func wrongSync(b []byte, at ...int) []byte {
	b = bytes.Clone(b)
	for _, i := range at {
		b[i] = 0
	}
	return b
}

// TestCutsDoNotMatter: the same bytes at the same times give the same report, however they are cut.
func TestCutsDoNotMatter(t *testing.T) {
	list := recipe{length: 3 * second, programs: 2}.make()
	noise := bytes.Repeat([]byte{1, 2, 3, ts.SyncByte, 5, 6, 7}, 40)
	rapid.Check(t, func(t *rapid.T) {
		drop := rapid.IntRange(0, 5000).Draw(t, "drop")
		cut := rapid.IntRange(1, 3000).Draw(t, "cut")
		whole, parts := New(), New()
		for i := 0; i < len(list); {
			var b []byte
			at := list[i].at
			for ; i < len(list) && list[i].at == at; i++ {
				b = append(b, list[i].p[:]...)
				if i == drop {
					b = append(b, noise...)
				}
			}
			whole.Write(b, at)
			for len(b) > 0 {
				n := min(cut, len(b))
				parts.Write(b[:n], at)
				b = b[n:]
			}
		}
		require.Equal(t, whole.report(), parts.report())
	})
}

// TestIndicatorNames: what is counted is what is told, under the name that JSON has for it.
func TestIndicatorNames(t *testing.T) {
	var i ts.Indicators
	v := reflect.ValueOf(&i).Elem()
	n := 0
	for name, p := range i.All() {
		k := slices.IndexFunc(reflect.VisibleFields(v.Type()), func(f reflect.StructField) bool { return f.Tag.Get("json") == name })
		require.GreaterOrEqual(t, k, 0, name)
		require.Same(t, v.Field(k).Addr().Interface(), p, name)
		require.Regexp(t, `^[1-3]\.\d`, v.Type().Field(k).Tag.Get("doc"))
		n++
	}
	require.Equal(t, indicators, n)
	require.Equal(t, indicators, v.NumField())
	require.False(t, strings.Contains(strings.ToLower(v.Type().Field(0).Tag.Get("json")), "omit"))
}

// TestFastClock: a clock that runs away makes nothing late but itself.
func TestFastClock(t *testing.T) {
	list := recipe{length: 4 * second}.make()
	n := int64(0)
	for i := range list {
		if p := list[i].p[:]; list[i].pid() == pidVideo && p[3]&0x20 != 0 && p[4] >= 7 && p[5]&0x10 != 0 {
			n++
			copy(p[5:], pcrField(n*27_000_000*4/5, false)) // 800 ms every 40
		}
	}
	m := New()
	feed(m, list)
	h := m.report()
	require.EqualValues(t, n-1, h.Indicators.PCRDiscontinuity.Errors)
	require.Zero(t, h.Indicators.PAT.Errors+h.Indicators.PMT.Errors+h.Indicators.PTS.Errors+h.Indicators.SIRepetition.Errors)
}

// TestToldDiscontinuity: behind a discontinuity_indicator the counter may be any, once.
func TestToldDiscontinuity(t *testing.T) {
	clean := recipe{length: 4 * second}.make()
	lost := slices.DeleteFunc(slices.Clone(clean), func(s sent) bool { return s.pid() == pidVideo && (s.at == second || s.at == 2*second) })
	told := edit(lost, pidVideo, 25*3, 1, func(p []byte) { p[5] |= 0x80 })
	m := New()
	feed(m, told)
	require.EqualValues(t, 1, m.report().Indicators.ContinuityCount.Errors, "the second one")
	require.EqualValues(t, 1, m.report().PIDs[3].ContinuityErrors)
	require.EqualValues(t, pidVideo, m.report().PIDs[3].PID)
}

// TestSectionsWithHoles are no sections with a wrong checksum.
func TestSectionsWithHoles(t *testing.T) {
	long := make([]byte, 700)
	list := recipe{length: 4 * second, extra: func(c *crafter, i int) {
		if i%25 == 0 {
			c.table(pidEIT, section(tableEIT, 1, 0, long))
		}
	}}.make()
	k := 0
	list = slices.DeleteFunc(list, func(s sent) bool {
		if s.pid() == pidEIT {
			k++
		}
		return s.pid() == pidEIT && (k == 8 || k == 9) // the end of one section and the beginning of the next
	})
	m := New()
	feed(m, list)
	require.Equal(t, map[string]uint64{"continuity_count": 1}, errorsOf(m.report()))
}

// TestOnlyTheBeginningOfAPES has a PTS.
func TestOnlyTheBeginningOfAPES(t *testing.T) {
	m := New()
	feed(m, edit(recipe{length: 4 * second}.make(), pidAudio, 50, 9999, func(p []byte) { p[1] &^= 0x40 }))
	require.Equal(t, map[string]uint64{"pts": 1}, errorsOf(m.report()))
}

// TestTOT is the one table whose checksum its header does not tell of.
func TestTOT(t *testing.T) {
	for _, spoilt := range []byte{0, 1} {
		m := New()
		feed(m, recipe{length: 4 * second, extra: func(c *crafter, i int) {
			if i%25 == 0 {
				tdt := []byte{tableTDT, 0x70, 5, 1, 2, 3, 4, 5}
				tot := ts.AppendCRC32([]byte{tableTOT, 0x70, 11, 1, 2, 3, 4, 5, 0xF0, 0})
				tot[5] += spoilt
				c.table(pidTDT, append(tdt, tot...))
			}
		}}.make())
		require.EqualValues(t, 8*int(spoilt), m.report().Indicators.CRC.Errors)
	}
}
