package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"brume/media"
)

// sample writes a small buffer with three epochs, the last one running.
func sample(t testing.TB) (*Writer, *Reader) {
	w, r, _ := newBuffer(t, Options{Size: MinSize})
	seq := uint64(0)
	for range 3 {
		require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, audioTrack}))
		for n := range int64(100) {
			write(t, w, int(n%2), n*3000, n%30 == 0, fill(nil, seq, 50+int(n)))
			seq++
		}
	}
	w.Commit()
	return w, r
}

// visit calls everything that a reader has, as a viewer would, and returns the first error.
func visit(r *Reader) (err error) {
	note := func(e error) {
		if err == nil {
			err = e
		}
	}
	i, e := r.Info()
	note(e)
	tail, head := r.Bounds()
	if tail < head {
		_, e = r.Tracks(i.Epoch)
		note(e)
	}
	if head-tail > r.m.entries {
		panic("window is larger than the index")
	}
	if seq, ok := r.LatestRandomAccess(); ok && (seq < tail || seq >= head) {
		_, now := r.Bounds()
		if seq >= max(head, now) && now != 0 {
			panic("random access point outside of the window")
		}
	}
	r.NextRandomAccess(0)
	r.NextRandomAccess(math.MaxUint64)
	var buf []byte
	for seq := tail; seq < head; seq++ {
		e, failed := r.Entry(seq)
		if failed != nil {
			note(failed)
			continue
		}
		tracks, failed := r.Tracks(e.Epoch)
		note(failed)
		if failed == nil && e.Track >= len(tracks) || e.Track < -1 || e.Length < 0 || int64(e.Length) > r.m.maxPayload {
			panic("entry was not checked")
		}
		if buf, failed = r.Payload(&e, buf[:0]); failed != nil {
			note(failed)
		} else if len(buf) != e.Length {
			panic("payload has another length")
		}
	}
	r.Wait(0, 0)
	return err
}

var hostileTests = []struct {
	name   string
	change func(w *Writer)
	reader bool // notices
	writer bool
}{
	{"nothing", func(*Writer) {}, false, false},
	{"magic", func(w *Writer) { w.m.h.magic++ }, true, true},
	{"version", func(w *Writer) { w.m.h.version++ }, true, true},
	{"size", func(w *Writer) { w.m.h.size = 1 << 40 }, true, true},
	{"name length", func(w *Writer) { w.m.h.nameLength = math.MaxUint64 }, true, true},
	{"window", func(w *Writer) { w.m.h.window = -1 }, true, true},
	{"segment target", func(w *Writer) { w.m.h.segmentTarget = math.MaxInt64 }, true, true},
	{"part target", func(w *Writer) { w.m.h.partTarget = math.MaxInt64 }, true, true},
	{"state", func(w *Writer) { w.m.h.state = 77 }, true, true},
	{"heartbeat", func(w *Writer) { w.m.h.heartbeat = math.MaxUint64 }, true, false},
	{"epoch", func(w *Writer) { w.m.h.epoch = math.MaxUint64 }, true, true},
	{"discontinuity", func(w *Writer) { w.m.h.discontinuity = math.MaxUint64 }, true, true},
	{"segment", func(w *Writer) { w.m.h.segment = math.MaxUint64 }, false, true},
	{"target duration", func(w *Writer) { w.m.h.targetDuration = 13 }, true, true},
	{"parts", func(w *Writer) { w.m.h.parts = 3 }, true, true},
	{"head before tail", func(w *Writer) { w.m.h.tail = w.m.h.head + 1 }, true, true},
	{"head far away", func(w *Writer) { w.m.h.head = 1 << 60 }, true, true},
	{"head at the end", func(w *Writer) { w.m.h.head, w.m.h.tail = math.MaxUint64, math.MaxUint64-5 }, true, true},
	{"head into the void", func(w *Writer) { w.m.h.head += 10 }, true, true},
	{"tail into the past", func(w *Writer) { w.m.h.head, w.m.h.tail = 1<<40, 1<<40-100 }, true, true},
	{"no tables", func(w *Writer) { w.m.h.slotEpoch = [tableSlots]uint64{} }, true, true},
	{"another table", func(w *Writer) { w.m.h.slotEpoch[1]++ }, true, true},
	{"id of a table", func(w *Writer) { w.m.h.slotEpoch[9] = math.MaxUint64 }, false, true},
	{"table length", func(w *Writer) { w.m.h.slotLength[1] = math.MaxUint64 }, true, true},
	{"table cut off", func(w *Writer) { w.m.h.slotLength[1] -= 1 }, true, true},
	{"table without tracks", func(w *Writer) { w.m.table(1)[0] = 0 }, true, true},
	{"table of many tracks", func(w *Writer) { w.m.table(1)[0] = 255 }, true, true},
	{"table with a role that nobody knows", func(w *Writer) {
		table := w.m.table(1)
		i := bytes.Index(table, []byte("narration"))
		table[i] = '"'
	}, true, true},
	{"table with Dolby Vision of another length", func(w *Writer) {
		table := w.m.table(1)
		i := bytes.Index(table, []byte{5, 1, 0, 0x10, 0x3d, 0x40})
		table[i], table[i+6] = 4, 0
	}, true, true},
	{"table with a quote", func(w *Writer) { w.m.table(1)[2] = '"' }, true, true},
	{"entry sequence", func(w *Writer) { w.m.record(150).seq++ }, true, true},
	{"entry epoch", func(w *Writer) { w.m.record(150).epoch = 5 }, true, true},
	{"entry epoch 0", func(w *Writer) { w.m.record(150).epoch = 0 }, true, true},
	{"entry track", func(w *Writer) { w.m.record(150).track = 2 }, true, true},
	{"entry track far away", func(w *Writer) { w.m.record(150).track = 60000 }, true, true},
	{"entry flags", func(w *Writer) { w.m.record(150).flags |= 1 << 15 }, true, true},
	{"entry torn and of random access", func(w *Writer) { w.m.record(150).flags = uint16(Torn | RandomAccess) }, true, true},
	{"entry end without mark", func(w *Writer) { w.m.record(150).track = noTrack }, true, true},
	{"entry mark without end", func(w *Writer) { w.m.record(150).flags = uint16(EpochEnd) }, true, true},
	{"entry length", func(w *Writer) { w.m.record(150).length = math.MaxUint32 }, true, true},
	{"entry position", func(w *Writer) { w.m.record(150).pos = math.MaxUint64 }, true, true},
	{"entry position at the end", func(w *Writer) { w.m.record(150).pos = uint64(w.m.dataSize) }, true, true},
	{"entry position off by one", func(w *Writer) { w.m.record(150).pos++ }, false, true},
	{"payloads overlap", func(w *Writer) { w.m.record(150).pos = w.m.record(149).pos }, false, true},
	{"entry DTS", func(w *Writer) { w.m.record(150).dts = math.MinInt64 }, true, true},
	{"entry PTS", func(w *Writer) { w.m.record(150).pts = math.MaxInt64 }, true, true},
	{"entry wall", func(w *Writer) { w.m.record(150).wall = math.MaxInt64 }, true, true},
	{"entry segment", func(w *Writer) { w.m.record(150).segment = math.MaxUint64 }, true, true},
	{"entry segment skips", func(w *Writer) { w.m.record(150).segment++ }, false, true},
	{"entry part", func(w *Writer) { w.m.record(150).part = math.MaxUint32 }, true, true},
	{"entry part skips", func(w *Writer) { w.m.record(150).part++ }, false, true},
	{"entry discontinuity", func(w *Writer) { w.m.record(150).discontinuity++ }, false, true},
	{"epoch in the middle", func(w *Writer) { w.m.record(150).flags |= uint16(EpochStart) }, true, true},
}

// TestHostile changes one thing at a time. Readers and the next writer must tell; readers never crash.
func TestHostile(t *testing.T) {
	for _, test := range hostileTests {
		t.Run(test.name, func(t *testing.T) {
			w, r := sample(t)
			test.change(w)
			within(t, 10*time.Second, func() {
				err := visit(r)
				if test.reader {
					require.Error(t, err)
					require.True(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrOvertaken), "%v", err)
				} else {
					require.NoError(t, err)
				}
			})
			next := &Writer{m: w.m, space: newSpace(w.m.geometry)}
			err := next.restore()
			if test.writer {
				require.ErrorIs(t, err, ErrCorrupt)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// TestHostileWhileReading changes everything all the time, under several readers.
func TestHostileWhileReading(t *testing.T) {
	w, r := sample(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		good := append([]byte(nil), w.m.mem[:w.m.index+600*recordSize]...)
		values := []uint64{0, 1, math.MaxUint64, 1 << 63, 1 << 62, uint64(w.m.size), uint64(w.m.dataSize), w.m.entries, 300}
		rnd := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				return
			default:
			}
			for range 1000 {
				area := []int64{0, pageSize, w.m.index}[rnd.IntN(3)]
				length := []int64{pageSize, 200, 300 * recordSize}[rnd.IntN(3)]
				off := (area + rnd.Int64N(length)) &^ 7
				*(*uint64)(unsafe.Pointer(&w.m.mem[off])) = values[rnd.IntN(len(values))]
				if rnd.IntN(4) == 0 {
					copy(w.m.mem, good)
				}
			}
		}
	})
	for range 3 {
		wg.Go(func() {
			for start := time.Now(); time.Since(start) < 700*time.Millisecond; {
				_ = visit(r)
				r.Wait(300, time.Millisecond)
			}
		})
	}
	time.AfterFunc(time.Second, func() { close(stop) })
	within(t, 20*time.Second, wg.Wait)
}

// TestHostileSearch checks that searches end soon whatever the index says.
func TestHostileSearch(t *testing.T) {
	w, r, _ := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	for range w.m.entries + 100 {
		require.NoError(t, w.WritePacket(&media.Packet{}))
	}
	w.Commit()
	within(t, 5*time.Second, func() {
		_, ok := r.LatestRandomAccess()
		require.False(t, ok)
		_, ok = r.NextRandomAccess(0)
		require.False(t, ok)
	})
	for i := range w.m.entries {
		w.m.record(i).flags |= uint16(RandomAccess)
		w.m.record(i).epoch = 1<<40 + i
	}
	within(t, 5*time.Second, func() {
		_, ok := r.LatestRandomAccess()
		require.False(t, ok)
		_, ok = r.NextRandomAccess(0)
		require.False(t, ok)
	})
}

func TestTables(t *testing.T) {
	tracks := []media.Track{
		videoTrack, audioTrack,
		{Codec: media.SCTE35, PID: 8191},
		{Codec: media.H265, Config: make([]byte, media.MaxConfigSize), Language: "und"},
	}
	b, err := appendTable(nil, tracks)
	require.NoError(t, err)
	got, err := parseTable(b)
	require.NoError(t, err)
	require.Equal(t, tracks, got)
	for n := range b {
		_, err := parseTable(b[:n:n])
		require.ErrorIs(t, err, ErrCorrupt)
	}
	_, err = parseTable(append(b, 0))
	require.ErrorIs(t, err, ErrCorrupt)
}

// FuzzReader lays bytes over the header, the tables and the index of a good buffer, and calls everything that a reader
// has and the next writer does first. The input is a sequence of changes: where (3 bytes), how long (1 byte), what.
func FuzzReader(f *testing.F) {
	w, r := sample(f)
	good := append([]byte(nil), w.m.mem[:w.m.index+400*recordSize]...)
	inRecord := func(seq uint64, field uintptr, v uint64) []byte {
		off := w.m.index + int64(seq)*recordSize + int64(field)
		return binary.LittleEndian.AppendUint64([]byte{byte(off), byte(off >> 8), byte(off >> 16), 8}, v)
	}
	inHeader := func(field uintptr, v uint64) []byte {
		return binary.LittleEndian.AppendUint64([]byte{byte(field), byte(field >> 8), 0, 8}, v)
	}
	var h header
	var e record
	f.Add([]byte{})
	f.Add(inHeader(unsafe.Offsetof(h.head), math.MaxUint64))
	f.Add(inHeader(unsafe.Offsetof(h.tail), 299))
	f.Add(inHeader(unsafe.Offsetof(h.slotLength), 1<<20))
	f.Add(inHeader(unsafe.Offsetof(h.slotEpoch), 1))
	f.Add(inRecord(150, unsafe.Offsetof(e.pos), uint64(w.m.dataSize)-8))
	f.Add(inRecord(150, unsafe.Offsetof(e.length), 1<<31))
	f.Add(inRecord(150, unsafe.Offsetof(e.discontinuity), math.MaxUint64))
	f.Add([]byte{0, 0x10, 0, 3, 255, 16, 'x'})
	f.Fuzz(func(t *testing.T, in []byte) {
		defer func(start time.Time) {
			if took := time.Since(start); took > 5*time.Second {
				t.Fatalf("took %v", took)
			}
		}(time.Now())
		copy(w.m.mem, good)
		for len(in) >= 4 {
			off, n := int(in[0])|int(in[1])<<8|int(in[2])<<16, int(in[3])
			in = in[4:]
			n = min(n, len(in), max(len(good)-off, 0))
			if n > 0 {
				copy(w.m.mem[off:], in[:n])
			}
			in = in[n:]
		}
		_ = visit(newReader(r.m))
		next := &Writer{m: w.m, space: newSpace(w.m.geometry)}
		if err := next.restore(); err == nil {
			// What it goes on from, readers can read.
			next.show()
			if err := visit(newReader(r.m)); err != nil && w.m.h.heartbeat < maxEpoch {
				t.Fatal(err)
			}
		}
	})
}
