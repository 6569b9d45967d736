package health

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// The PIDs of crafted streams.
const (
	pidPMT   = 0x100
	pidVideo = 0x101
	pidAudio = 0x102
	pidClock = 0x103
	pidStray = 0x200
)

// sent is a packet with the time at which it was sent.
type sent struct {
	at time.Duration
	p  [ts.PacketSize]byte
}

func (s *sent) pid() uint16 { return binary.BigEndian.Uint16(s.p[1:]) & 0x1FFF }

// crafter writes packets.
type crafter struct {
	list []sent
	now  time.Duration
	cc   map[uint16]byte
}

// packet writes one; af is the adaptation field behind its length. The payload is at most what fits; stuffing fills the rest.
func (c *crafter) packet(pid uint16, start bool, af, payload []byte) {
	p := make([]byte, 4, ts.PacketSize)
	p[0] = ts.SyncByte
	binary.BigEndian.PutUint16(p[1:], pid)
	if start {
		p[1] |= 0x40
	}
	if payload != nil {
		p[3] = 0x10 | c.cc[pid]&15
		c.cc[pid]++
	} else {
		p[3] = (c.cc[pid] - 1) & 15
	}
	if room := ts.PacketSize - 4 - len(payload); af != nil || room > 0 {
		p[3] |= 0x20
		p = append(p, byte(room-1))
		if room > 1 {
			if af == nil {
				af = []byte{0}
			}
			p = append(p, af...)
			for len(p) < 4+room {
				p = append(p, 0xFF)
			}
		}
	}
	p = append(p, payload...)
	c.list = append(c.list, sent{c.now, [ts.PacketSize]byte(p)})
}

func section(table byte, extension uint16, version byte, body []byte) []byte {
	b := []byte{table, 0xB0, 0, byte(extension >> 8), byte(extension), 0xC1 | version<<1, 0, 0}
	b = append(b, body...)
	b[1], b[2] = 0xB0|byte((len(b)+1)>>8), byte(len(b)+1)
	return ts.AppendCRC32(b)
}

// table writes a section with a pointer_field.
func (c *crafter) table(pid uint16, section []byte) {
	section = append([]byte{0}, section...)
	for start := true; len(section) > 0; start = false {
		n := min(len(section), 184)
		c.packet(pid, start, nil, section[:n:n])
		section = section[n:]
	}
}

// patSection names programs: number, PID, and so on.
func patSection(version byte, programs ...uint16) []byte {
	var b []byte
	for i := 0; i < len(programs); i += 2 {
		b = binary.BigEndian.AppendUint16(b, programs[i])
		b = binary.BigEndian.AppendUint16(b, 0xE000|programs[i+1])
	}
	return section(ts.TablePAT, 1, version, b)
}

// es is an elementary stream of a crafted PMT.
type es struct {
	kind byte
	pid  uint16
	tags string
}

func pmtSection(program uint16, version byte, pcr uint16, tags string, streams ...es) []byte {
	b := []byte{0xE0 | byte(pcr>>8), byte(pcr), 0xF0, byte(len(tags))}
	b = append(b, tags...)
	for _, s := range streams {
		b = append(b, s.kind, 0xE0|byte(s.pid>>8), byte(s.pid), 0xF0, byte(len(s.tags)))
		b = append(b, s.tags...)
	}
	return section(ts.TablePMT, program, version, b)
}

// pes begins a PES with a PTS; -1: none.
func pes(pts int64, n int) []byte {
	b := []byte{0, 0, 1, 0xE0, 0, 0, 0x80, 0, 0}
	if pts >= 0 {
		b[7], b[8] = 0x80, 5
		b = append(b, 0x21|byte(pts>>29)&0x0E, byte(pts>>22), byte(pts>>14)|1, byte(pts>>7), byte(pts<<1)|1)
	}
	for i := range n {
		b = append(b, byte(i*7+int(pts)))
	}
	return b
}

// pcrField is an adaptation field with a PCR of 27 MHz.
func pcrField(pcr int64, jump bool) []byte {
	af := make([]byte, 7)
	af[0] = 0x10
	if jump {
		af[0] |= 0x80
	}
	pcr %= pcrWrap
	base, ext := pcr/300, pcr%300
	binary.BigEndian.PutUint32(af[1:], uint32(base>>1))
	af[5], af[6] = byte(base)<<7|0x7E|byte(ext>>8), byte(ext)
	return af
}

// recipe is a stream of the kind that encoders send.
type recipe struct {
	first    int64 // PCR at its beginning, 27 MHz
	ppm      float64
	programs int
	clockPID uint16        // of every program; 0: its own video
	start    time.Duration // source time
	length   time.Duration
	extra    func(c *crafter, step int)
}

const step = 20 * time.Millisecond

// make writes it: PAT and PMTs every 100 ms, a picture every 40, audio every 20, SDT every 500.
func (r recipe) make() []sent {
	c := &crafter{cc: map[uint16]byte{}}
	r.programs = max(r.programs, 1)
	for i := range int(r.length / step) {
		since := time.Duration(i) * step
		c.now = r.start + since
		pcr := r.first + int64(float64(since.Microseconds())*27*(1+r.ppm/1e6))
		if i%5 == 0 {
			c.tables(r.programs, r.clockPID)
		}
		if i%25 == 0 {
			c.table(pidSDT, section(tableSDT, 1, 0, []byte{0, 1, 0xFF}))
		}
		if r.clockPID == pidClock {
			c.packet(pidClock, false, pcrField(pcr, false), nil)
		}
		for n := range uint16(r.programs) {
			if i%2 == 0 {
				var af []byte
				if r.clockPID == 0 {
					af = pcrField(pcr, false)
				}
				b := pes(pcr/300%ts.Wrap, 400)
				k := 184 - 1 - 7
				c.packet(n<<4+pidVideo, true, af, b[:k:k])
				c.packet(n<<4+pidVideo, false, nil, b[k:k+184:k+184])
				c.packet(n<<4+pidVideo, false, nil, b[k+184:])
			}
			c.packet(n<<4+pidAudio, true, nil, pes(pcr/300%ts.Wrap, 100))
		}
		c.packet(ts.PIDNull, false, nil, make([]byte, 184))
		if r.extra != nil {
			r.extra(c, i)
		}
	}
	return c.list
}

func (c *crafter) tables(programs int, clock uint16) {
	var list []uint16
	for n := range uint16(programs) {
		list = append(list, n+1, n<<4+pidPMT)
	}
	c.table(ts.PIDPAT, patSection(0, list...))
	for n := range uint16(programs) {
		pcr := clock
		if pcr == 0 {
			pcr = n<<4 + pidVideo
		}
		c.table(n<<4+pidPMT, pmtSection(n+1, 0, pcr, "", es{ts.StreamTypeH264, n<<4 + pidVideo, ""}, es{ts.StreamTypeADTS, n<<4 + pidAudio, "\x0A\x04eng\x00"}))
	}
}

// without is the stream of a multiplexer that left a PID out for a time.
func without(list []sent, pid uint16, from, to time.Duration) []sent {
	var rest []sent
	cc := byte(0)
	for _, s := range list {
		if s.pid() == pid {
			if s.at >= from && s.at < to {
				continue
			}
			s.p[3] = s.p[3]&0xF0 | cc
			cc = (cc + 1) & 15
		}
		rest = append(rest, s)
	}
	return rest
}

// edit changes the n-th packets of a PID.
func edit(list []sent, pid uint16, n, count int, change func(p []byte)) []sent {
	list = slices.Clone(list)
	k := 0
	for i := range list {
		if list[i].pid() == pid {
			if k >= n && k < n+count {
				change(list[i].p[:])
			}
			k++
		}
	}
	return list
}

// feed sends packets, those of one time in one message.
func feed(m *Monitor, list []sent) {
	var b []byte
	for i, s := range list {
		b = append(b, s.p[:]...)
		if i+1 == len(list) || list[i+1].at != s.at {
			m.Write(b, s.at)
			b = b[:0]
		}
	}
}

// wallZero is the time of day at source time 0.
var wallZero = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (m *Monitor) report() *ts.Health { return m.Report(wallZero.Add(m.now.source)) }

// errorsOf lists what failed.
func errorsOf(h *ts.Health) map[string]uint64 {
	found := map[string]uint64{}
	for name, i := range h.Indicators.All() {
		if i.Errors > 0 {
			found[name] = i.Errors
		}
	}
	return found
}

// badOf lists what is in error now.
func badOf(h *ts.Health) []string {
	found := []string{}
	for name, i := range h.Indicators.All() {
		if !i.OK {
			found = append(found, name)
		}
	}
	return found
}

func requireClean(t require.TestingT, h *ts.Health) {
	require.Empty(t, errorsOf(h))
	require.Empty(t, badOf(h))
	require.True(t, h.OK)
}
