// Package health judges a transport stream in the spirit of ETSI TR 101 290.
//
// It is a pure core: bytes come in with the time at which their sender sent them, counters and
// the state of now go out. It looks at every PID of every program, but at no payload beyond tables and PES headers.
package health

import (
	"bytes"
	"time"

	"brume/media/ts"
)

const (
	// acquire is how many sync bytes in a row make a lock (TR 101 290 5.2.1, 1.1).
	acquire = 5
	// maxHunt is how many bytes without a lock make a sync loss of a stream that never had one.
	maxHunt = 10 * ts.PacketSize
	// checkInterval is how often is looked for what did not come.
	checkInterval = 50 * time.Millisecond
	// hold is for how long an event that is over still counts as an error of now: reports come once a second.
	hold = 2 * time.Second
)

// The limits of TR 101 290 5.2.1 to 5.2.3.
const (
	maxPAT   = 500 * time.Millisecond
	maxPMT   = 500 * time.Millisecond
	maxPID   = 5 * time.Second // "user specified"
	maxPCR   = 100 * time.Millisecond
	maxPTS   = 700 * time.Millisecond
	maxStray = 500 * time.Millisecond
	maxCAT   = time.Second // TR 101 290 names none
)

// stamp is a moment on two clocks that never go back.
type stamp struct {
	source time.Duration // of the sender's transport
	media  time.Duration // of the stream's own PCR
}

// timer is when something was last there.
type timer struct {
	last stamp
	on   bool // it is expected
	late bool // that it did not come was counted
}

// Monitor judges one transport stream. It is not safe for concurrent use. It takes 70 kB, and 600 kB
// with as many programs and tables as it keeps.
type Monitor struct {
	packets uint64 // in sync, null packets included
	faults  [indicators]fault

	began   bool
	now     stamp
	checkAt time.Duration // of the source
	clock   reference

	locked bool
	slips  int // wrong sync bytes in a row
	hunted int // bytes without a lock, 0 once its loss was counted
	lost   bool
	carry  [2 * acquire * ts.PacketSize]byte
	kept   int

	pids    [ts.PIDs]entry
	records []record
	strays  int
	beyond  int // PIDs without a record
	tables
}

// New makes a Monitor.
func New() *Monitor {
	m := &Monitor{hunted: 1, records: make([]record, firstRecord, 16)}
	m.assign(ts.PIDPAT, ts.KindPAT, nil)
	return m
}

// Write takes the next bytes of the stream, cut anywhere. at is when the sender sent them, on any clock; one
// that goes back is taken to stand still.
func (m *Monitor) Write(b []byte, at time.Duration) {
	m.Tick(at)
	if m.kept > 0 {
		old := m.kept
		n := copy(m.carry[old:], b)
		used := m.consume(m.carry[:old+n])
		if used < old { // b was too short to go on
			m.kept = copy(m.carry[:], m.carry[used:old+n])
			return
		}
		b, m.kept = b[used-old:], 0
	}
	m.kept = copy(m.carry[:], b[m.consume(b):])
}

// Tick says that nothing else was sent until a time.
func (m *Monitor) Tick(at time.Duration) {
	if !m.began {
		m.began = true
		m.now.source, m.clock.at = at, at
	}
	if at <= m.now.source {
		return
	}
	if idle := at - max(m.now.source, m.clock.at+clockDead); idle > 0 {
		m.now.media += idle
	}
	m.now.source = at
	if at >= m.checkAt {
		m.checkAt = at + checkInterval
		m.check()
	}
}

// elapsed is the time since t by the clock that went less far. So neither a sender that sends in bursts, or pauses, is late
// with everything, nor one whose clock jumps.
func (m *Monitor) elapsed(t stamp) time.Duration {
	return min(m.now.source-t.source, m.now.media-t.media)
}

// expect starts a timer that is not running.
func (m *Monitor) expect(t *timer) {
	if !t.on {
		*t = timer{last: m.now, on: true}
	}
}

// judge counts an error, once, when a timer ran out.
func (m *Monitor) judge(t *timer, limit time.Duration, i int) {
	if t.on && !t.late && m.elapsed(t.last) > limit {
		t.late = true
		m.fail(i)
	}
}

// seen starts a timer anew.
func (m *Monitor) seen(t *timer, limit time.Duration, i int) {
	m.judge(t, limit, i)
	*t = timer{last: m.now, on: true}
}

// consume takes whole packets from b and returns how many bytes it used. It leaves less than acquire packets.
func (m *Monitor) consume(b []byte) int {
	i := 0
	for {
		if !m.locked {
			n, found := hunt(b[i:])
			i += n
			m.unlocked(n)
			if !found {
				return i
			}
			m.lock()
		}
		for ; len(b)-i >= ts.PacketSize; i += ts.PacketSize {
			if b[i] == ts.SyncByte {
				m.slips = 0
				m.packet((*[ts.PacketSize]byte)(b[i:]))
				continue
			}
			m.fail(syncByte)
			if m.slips++; m.slips == 2 {
				m.fail(syncLoss)
				m.locked, m.lost, m.hunted = false, true, 0
				break
			}
		}
		if m.locked {
			return i
		}
	}
}

func (m *Monitor) lock() {
	m.locked, m.lost, m.slips, m.hunted = true, false, 0, 0
	m.expect(&m.pat)
}

// unlocked counts a stream that does not begin with one.
func (m *Monitor) unlocked(n int) {
	if m.hunted == 0 {
		return
	}
	if m.hunted += n; m.hunted > maxHunt {
		m.hunted, m.lost = 0, true
		m.fail(syncLoss)
	}
}

// hunt looks for a sync byte that others follow at the right distance. It returns how many bytes can't begin a packet.
func hunt(b []byte) (skip int, found bool) {
	const last = (acquire - 1) * ts.PacketSize
	for i := 0; ; i++ {
		n := bytes.IndexByte(b[i:], ts.SyncByte)
		if n < 0 {
			return len(b), false
		}
		i += n
		sure := true
		for at := i + ts.PacketSize; at <= i+last; at += ts.PacketSize {
			if at >= len(b) {
				if sure {
					return i, false // more bytes will tell
				}
				break
			}
			sure = sure && b[at] == ts.SyncByte
		}
		if sure {
			return i, true
		}
	}
}
