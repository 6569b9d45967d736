//go:build hostile

package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"brume/media"
	"brume/srt"

	"golang.org/x/sys/unix"
)

// deeds are what a process does as a whole. What is not begun on a goroutine of its own keeps the connection from
// going on.
var deeds = map[string]func(c *captive){
	"spin":        func(c *captive) { spin(1) },
	"spin-media":  func(c *captive) { go spin(2) },
	"leak":        func(c *captive) { go leak() },
	"threads":     func(c *captive) { go manyThreads() },
	"silent":      func(c *captive) { c.mu.Lock(); select {} },
	"never-end":   (*captive).neverEnd,
	"false-end":   (*captive).falseEnd,
	"stop":        func(c *captive) { go later(func() { _ = unix.Kill(os.Getpid(), unix.SIGSTOP) }) },
	"crash":       func(c *captive) { go c.crash() },
	"flood":       func(c *captive) { go c.flood() },
	"lies":        func(c *captive) { go c.lie() },
	"contents":    func(c *captive) { go c.scribble(); go c.scribble() },
	"wake":        func(c *captive) { go c.wakeEverybody() },
	"close":       func(c *captive) { go later(func() { _ = unix.Close(c.control) }) },
	"empty":       func(c *captive) { go later(c.saysNothing) },
	"blocking":    func(c *captive) { go later(func() { _ = unix.SetNonblock(c.control, false); c.flood() }) },
	"garbage-out": func(c *captive) { go c.garbage() },
}

// later lets media flow before it happens.
func later(what func()) {
	time.Sleep(time.Second)
	what()
}

// saysNothing sends messages without a byte, which look like the end of the socket.
func (c *captive) saysNothing() {
	for range 3 {
		_, _ = unix.Write(c.control, nil)
	}
}

// spin keeps processors busy.
func spin(threads int) {
	runtime.GOMAXPROCS(threads + 1)
	for range threads - 1 {
		go spin(1)
	}
	for n := new(atomic.Uint64); ; {
		n.Add(1)
	}
}

var leaked [][]byte

// leak takes memory until there is no more.
func leak() {
	for {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		leaked = append(leaked, b)
		time.Sleep(2 * time.Millisecond)
	}
}

// neverEnd reports on, hears nothing, and stays.
func (c *captive) neverEnd() {
	c.mu.Lock()
	for {
		_ = c.process.control.Send(srt.MsgStats, srt.ConnStats{})
		time.Sleep(100 * time.Millisecond)
	}
}

// falseEnd says that it ends, and stays.
func (c *captive) falseEnd() {
	_ = c.process.control.Send(srt.MsgFailed, srt.Failed{Reason: srt.FailClosed})
	c.neverEnd()
}

// crash ends when the next entry of the buffer is written in part.
func (c *captive) crash() {
	time.Sleep(time.Second)
	m, err := unix.Mmap(c.buffer, 0, 4<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		c.tell("crash", outcome(err))
		return
	}
	// Where the head, the index and its entries are, in package buffer.
	const headAt, indexAt, entry, entries = 432, 4096 + 1<<20, 72, 1 << 14
	head := atomic.LoadUint64((*uint64)(unsafe.Pointer(&m[headAt])))
	next := indexAt + int(head%entries)*entry
	for i := range entry / 2 {
		m[next+i] = byte(i)
	}
	_ = unix.Kill(os.Getpid(), unix.SIGSEGV)
}

// flood sends the controller all that it may and may not, as fast as it can.
func (c *captive) flood() {
	huge := strings.Repeat("x", 60<<10)
	nested := strings.Repeat(`{"body":`, 5000) + "1" + strings.Repeat("}", 5000)
	for n := 0; ; n++ {
		for _, packet := range []string{
			"{", "null", "[]", `"x"`, "\x00\xff", nested, huge,
			`{"type":""}`, `{"type":"` + huge[:40] + `"}`, `{"type":"unknown"}`,
			`{"type":"stats","body":[]}`, `{"type":"stats","body":{"bytes":-1}}`, `{"type":"stats","body":{"bytes":1e400}}`,
			`{"type":"hello","body":{"pid":1,"sandbox":["` + huge + `"]}}`,
			`{"type":"hello","body":{"pid":1,"missing":["a","b"]}}`,
			fmt.Sprintf(`{"type":"log","body":{"level":"error","text":"line %d %s"}}`, n, huge[:200]),
			fmt.Sprintf(`{"type":"log","body":{"level":"\u001b[31m","text":"a\nb\u0000%d"}}`, n),
			`{"type":"request","body":{"id":1,"peer":"192.0.2.1:1","stream_id":"publish:steady"}}`,
			`{"type":"listener-stats","body":{"packets":99999}}`,
			`{"type":"gone","body":{"peer":"192.0.2.1:1","socket_id":1}}`,
			`{"type":"idle","body":{"child":1}}`, `{"type":"configure","body":{"stream":"steady"}}`,
			`{"type":"ready"}`, `{"type":"shutdown"}`, `{"type":"remove","body":{"kind":"buffer","key":"1"}}`,
			`{"type":"direction","body":{"role":"play"}}`, `{"type":"direction","body":{"role":"publish"}}`, `{"type":"direction","body":{"role":7}}`,
		} {
			_, _ = unix.Write(c.control, []byte(packet))
		}
		if n%16 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// lie tells wrong things that are well-formed.
func (c *captive) lie() {
	everything := srt.ConnStats{Bytes: math.MaxUint64, Units: math.MaxUint64, Skipped: math.MaxUint64, BufferErr: math.MaxUint64}
	var stats map[string]any
	b, _ := json.Marshal(everything)
	_ = json.Unmarshal(b, &stats)
	for {
		_ = c.process.control.Send(srt.MsgHello, srt.Hello{PID: 1, LibSRT: strings.Repeat("9", 5000), Sandbox: []string{"none"}})
		_ = c.process.control.Send(srt.MsgConnected, srt.Connected{Peer: "192.0.2.99:1", PeerSRT: strings.Repeat("8", 5000), LatencyRcv: math.MinInt64})
		_ = c.process.control.Send(srt.MsgDirection, srt.Direction{Role: media.Play})
		_ = c.process.control.Send(srt.MsgStats, everything)
		time.Sleep(200 * time.Millisecond)
	}
}

// scribble writes into its own buffer what no writer writes, and changes it again while it is read.
func (c *captive) scribble() {
	time.Sleep(2 * time.Second) // there are segments by now
	fd := c.buffer
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		c.tell("contents", outcome(err))
		return
	}
	m, err := unix.Mmap(fd, 0, int(stat.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		c.tell("contents", outcome(err))
		return
	}
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&m[0])), len(m)/8)
	random := rand.New(rand.NewPCG(uint64(os.Getpid()), 7))
	regions := []int{64, 512, 512, 4096 / 8, 1 << 17, 1 << 17, 1 << 18, len(words)} // header, tables, index, everything
	c.tell("contents", "begins")
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); {
		i := random.IntN(min(regions[random.IntN(len(regions))], len(words)))
		old := atomic.LoadUint64(&words[i])
		for _, v := range []uint64{
			0, math.MaxUint64, random.Uint64(), old + 1, old - 1, old << 1, 1 << 62, 1 << random.IntN(64),
			old ^ 1<<random.IntN(64), uint64(binary.LittleEndian.Uint32([]byte("<br>"))),
		} {
			atomic.StoreUint64(&words[i], v)
			if random.IntN(4) == 0 {
				time.Sleep(50 * time.Microsecond)
			}
		}
		if random.IntN(3) != 0 {
			atomic.StoreUint64(&words[i], old)
		}
	}
	c.tell("contents", "done")
}

// wakeEverybody wakes all readers of the buffer without end.
func (c *captive) wakeEverybody() {
	m, err := unix.Mmap(c.buffer, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		c.tell("wake", outcome(err))
		return
	}
	const wake = 1
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		for i := 0; i < len(m); i += 4 {
			_ = raw(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&m[i])), wake, math.MaxInt32)
		}
		time.Sleep(time.Millisecond)
	}
	c.tell("wake", "done")
}

// garbage sends the peer what is no SRT.
func (c *captive) garbage() {
	b := make([]byte, 1400)
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		_, _ = unix.Write(c.udp, b)
	}
	c.tell("garbage-out", "done")
}
