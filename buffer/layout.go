package buffer

import (
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"brume/media"
	"brume/memfile"
)

// The file: a header page, the track tables, the index ring, the data area. Where each begins follows
// from the size of the file alone, so that nobody has to believe an offset in the header.
const (
	magic    = 0x66754265_6d757242 // "BrumeBuf"
	version  = 3                   // of everything in this file
	pageSize = 4096

	tableSlots = 64
	tableSize  = 16 << 10
	recordSize = int64(unsafe.Sizeof(record{}))
	payAlign   = 16 // payloads begin at multiples of this

	maxSeq   = uint64(1) << 62
	maxTicks = int64(1) << 60
)

// header is the first page. Fields that change are read and written atomically.
type header struct {
	magic, version, size uint64
	created              uint64 // Unix nanoseconds
	window               int64  // nanoseconds, as the three that follow
	segmentTarget        int64
	segmentMax           int64
	partTarget           int64
	nameLength           uint64
	name                 [104]byte

	_ [64]byte
	// Written by the writer. head is written after all else, so that who has read head sees what belongs to it.
	state          uint64
	heartbeat      uint64 // Unix nanoseconds
	epoch          uint64
	discontinuity  uint64
	segment        uint64 // last segment number + 1, 0 before the first
	targetDuration uint64 // seconds
	parts          uint64 // partsMode
	needed         uint64 // least targetDuration while that is not known, seconds
	_              [64]byte
	tail           uint64
	_              [56]byte
	head           uint64
	_              [56]byte
	futex          uint32 // counts changes of head or state
	_              uint32

	// The ids of the epochs in the table slots (0: free) and the lengths of their tables. They are
	// here and not in the slots, so that a search touches no page of an unused slot.
	slotEpoch  [tableSlots]uint64
	slotLength [tableSlots]uint64
}

// record is an entry as it lies in the index ring.
type record struct {
	seq, epoch     uint64
	dts, pts, wall int64
	segment        uint64
	pos            uint64
	length, part   uint32
	discontinuity  uint32
	track, flags   uint16
}

const (
	recordWords = recordSize / 8
	noTrack     = 0xffff
)

func (r *record) entry() Entry {
	e := Entry{
		Seq: r.seq, Epoch: r.epoch, Discontinuity: r.discontinuity, Segment: r.segment, Part: r.part,
		Track: int(r.track), Flags: Flags(r.flags), DTS: r.dts, PTS: r.pts, Wall: r.wall,
		Length: int(r.length), pos: int64(r.pos),
	}
	if r.track == noTrack {
		e.Track = -1
	}
	return e
}

// geometry tells where things are in a file of a given size.
type geometry struct {
	size                int64
	tables, index, data int64 // offsets into the file
	entries             uint64
	dataSize, chunk     int64
	chunks              int
	maxPayload          int64
}

func newGeometry(size int64) geometry {
	g := geometry{size: size, tables: pageSize}
	g.index = g.tables + tableSlots*tableSize
	g.entries = 1 << (bits.Len64(uint64(size/2048)) - 1)
	g.entries = min(g.entries, 1<<23)
	indexSize := (int64(g.entries)*recordSize + pageSize - 1) &^ (pageSize - 1)
	g.data = g.index + indexSize
	// The unit in which memory is taken and given back: small enough that one more or less does
	// not matter, large enough that a system call for each costs nothing.
	g.chunk = 1 << (bits.Len64(uint64((size-g.data)/128)) - 1)
	g.chunk = min(max(g.chunk, 4*pageSize), 4<<20)
	g.chunks = int((size - g.data) / g.chunk)
	g.dataSize = int64(g.chunks) * g.chunk
	g.maxPayload = g.dataSize / 4
	return g
}

// mapping is a mapped buffer.
type mapping struct {
	geometry
	mem []byte
	h   *header
}

// mapFile maps a buffer after checking that nobody can make it shorter: reading past the end of
// a truncated file would kill the process.
func mapFile(f *os.File, prot int) (*mapping, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("map stream buffer: %w", err)
	}
	var m *mapping
	var mapErr error
	err = raw.Control(func(fd uintptr) { m, mapErr = mapDescriptor(int(fd), prot) })
	if err != nil {
		return nil, fmt.Errorf("map stream buffer: %w", err)
	}
	return m, mapErr
}

func mapDescriptor(fd, prot int) (*mapping, error) {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsealed, err)
	}
	if got&memfile.FixedSize != memfile.FixedSize {
		return nil, fmt.Errorf("%w: seals are %#x", ErrUnsealed, got)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("map stream buffer: %w", err)
	}
	if st.Size < MinSize || st.Size > MaxSize || st.Size%pageSize != 0 {
		return nil, fmt.Errorf("%w: file has %d bytes", ErrCorrupt, st.Size)
	}
	mem, err := unix.Mmap(fd, 0, int(st.Size), prot, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map stream buffer: %w", err)
	}
	m := newMapping(mem)
	if _, err := m.options(); err != nil {
		_ = m.unmap()
		return nil, err
	}
	return m, nil
}

func newMapping(mem []byte) *mapping {
	return &mapping{
		geometry: newGeometry(int64(len(mem))),
		mem:      mem,
		h:        (*header)(unsafe.Pointer(unsafe.SliceData(mem))),
	}
}

func (m *mapping) unmap() error {
	mem := m.mem
	m.mem, m.h = nil, nil
	if err := unix.Munmap(mem); err != nil {
		return fmt.Errorf("unmap stream buffer: %w", err)
	}
	return nil
}

// record returns the index slot of a sequence number.
func (m *mapping) record(seq uint64) *record {
	off := m.index + int64(seq&(m.entries-1))*recordSize
	return (*record)(unsafe.Pointer(&m.mem[off]))
}

// copyRecord copies the index slot of a sequence number. Each word is read once.
func (m *mapping) copyRecord(seq uint64) (r record) {
	from := (*[recordWords]uint64)(unsafe.Pointer(m.record(seq)))
	to := (*[recordWords]uint64)(unsafe.Pointer(&r))
	for i := range to {
		to[i] = atomic.LoadUint64(&from[i])
	}
	return r
}

// table returns the memory of a track table slot.
func (m *mapping) table(slot int) []byte {
	off := m.tables + int64(slot)*tableSize
	return m.mem[off : off+tableSize : off+tableSize]
}

// payload returns the memory of a payload, or nil when it is not within the data area.
func (m *mapping) payload(pos, length int64) []byte {
	if pos < 0 || length < 0 || length > m.maxPayload || pos > m.dataSize-length {
		return nil
	}
	off := m.data + pos
	return m.mem[off : off+length : off+length]
}

// bounds returns the window, checked. The tail must be the same before and after the head is read: at that
// moment both belonged together. A writer moves it too rarely to win every time.
func (m *mapping) bounds() (tail, head uint64, ok bool) {
	const tries = 1000
	tail = atomic.LoadUint64(&m.h.tail)
	for range tries {
		head = atomic.LoadUint64(&m.h.head)
		again := atomic.LoadUint64(&m.h.tail)
		if again == tail {
			if tail > head || head >= maxSeq || head-tail > m.entries {
				return 0, 0, false
			}
			return tail, head, true
		}
		tail = again
	}
	return 0, 0, false
}

// options reads the header's constants and checks them.
func (m *mapping) options() (Options, error) {
	h := m.h
	if got := atomic.LoadUint64(&h.magic); got != magic {
		return Options{}, fmt.Errorf("%w: no stream buffer", ErrCorrupt)
	}
	if got := atomic.LoadUint64(&h.version); got != version {
		return Options{}, fmt.Errorf("%w: layout version is %d, this program knows %d", ErrCorrupt, got, version)
	}
	o := Options{
		Size:          int64(atomic.LoadUint64(&h.size)),
		Window:        time.Duration(atomic.LoadInt64(&h.window)),
		SegmentTarget: time.Duration(atomic.LoadInt64(&h.segmentTarget)),
		SegmentMax:    time.Duration(atomic.LoadInt64(&h.segmentMax)),
		PartTarget:    time.Duration(atomic.LoadInt64(&h.partTarget)),
	}
	if o.Size != m.size {
		return o, fmt.Errorf("%w: header says %d bytes, file has %d", ErrCorrupt, o.Size, m.size)
	}
	n := atomic.LoadUint64(&h.nameLength)
	if n > maxName {
		return o, fmt.Errorf("%w: name has %d bytes", ErrCorrupt, n)
	}
	o.Stream = string(h.name[:n])
	if err := o.check(); err != nil {
		return o, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return o, nil
}

// format writes the header of a new buffer.
func format(fd int, o Options) error {
	mem, err := unix.Mmap(fd, 0, int(o.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map stream buffer: %w", err)
	}
	m := newMapping(mem)
	h := m.h
	h.magic, h.version, h.size = magic, version, uint64(o.Size)
	h.created = uint64(time.Now().UnixNano())
	h.window, h.segmentTarget, h.segmentMax, h.partTarget = int64(o.Window), int64(o.SegmentTarget), int64(o.SegmentMax), int64(o.PartTarget)
	h.needed = uint64(ceilSeconds(media.Ticks(min(max(o.Keyframes, 0), o.SegmentMax))))
	h.nameLength = uint64(copy(h.name[:], o.Stream))
	runtime.KeepAlive(mem)
	return m.unmap()
}
