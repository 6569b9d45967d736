// Package buffer is the stream buffer: the access units of one stream in a sealed memory
// file, written by one process and read by any number of others. It knows no protocol.
//
// Whoever holds the writable descriptor is trusted with the picture and nothing else: a Reader
// copies everything before it looks at it, checks the copy, and answers ErrCorrupt for what
// makes no sense. A Reader maps the file read-only, never writes and never holds the writer up.
//
// Nothing here asks for the time. The writer is told it with SetTime.
package buffer

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"brume/media"
	"brume/memfile"
)

// Errors of readers and writers.
var (
	// ErrOvertaken means that the packet has left the window. Go on at the next random access point.
	ErrOvertaken = errors.New("packet has left the stream buffer")
	// ErrNotYet means that the packet is not written yet.
	ErrNotYet = errors.New("packet is not in the stream buffer yet")
	// ErrCorrupt means that the buffer holds what no honest writer writes.
	ErrCorrupt = errors.New("stream buffer is corrupt")
	// ErrTooLarge means that a payload is over a quarter of the data area, or a track table over 16 KiB.
	ErrTooLarge = errors.New("too large for the stream buffer")
	// ErrNoEpoch means that a packet came before BeginEpoch, or after EndEpoch.
	ErrNoEpoch = errors.New("no epoch is open in the stream buffer")
	// ErrFinished means that the stream is over for good.
	ErrFinished = errors.New("stream buffer is finished")
	// ErrTracks means that a track table has no track, more than media.MaxTracks, or an oversized field, or
	// that a packet names a track that is not in it.
	ErrTracks = errors.New("unusable tracks")
	// ErrTime means that a timestamp is beyond 2^60 ticks.
	ErrTime = errors.New("timestamp out of range")
	// ErrUnsealed means that the file could be truncated under its readers, or is no memory file at all.
	ErrUnsealed = errors.New("file is not sealed against shrinking and growing")
	// ErrClosed means that Close was called before.
	ErrClosed = errors.New("stream buffer is closed")
)

// Defaults and limits of Options.
const (
	DefaultSize          = 64 << 20
	MinSize              = 4 << 20
	MaxSize              = 32 << 30
	DefaultWindow        = 72 * time.Second
	DefaultSegmentTarget = time.Second
	DefaultSegmentMax    = 12 * time.Second
	DefaultPartTarget    = 500 * time.Millisecond
)

const (
	minWindow  = time.Second
	maxWindow  = 24 * time.Hour
	minTarget  = 100 * time.Millisecond
	maxSegment = 10 * time.Minute
	minPart    = 50 * time.Millisecond
	maxName    = 100
)

// Options are fixed when a buffer is made. Zero values mean the defaults.
type Options struct {
	// Stream is the stream's name, at most 100 bytes.
	Stream string
	// Size is that of the file in bytes, and bounds the memory used. It is raised to MinSize and
	// rounded up to whole pages; at most MaxSize.
	Size int64
	// Window is how long packets stay, if the size allows: 1 s to 24 h.
	Window time.Duration
	// SegmentTarget is the length from which on a segment ends at the next random access
	// point: 100 ms to SegmentMax.
	SegmentTarget time.Duration
	// SegmentMax bounds TARGETDURATION: at most 10 minutes.
	SegmentMax time.Duration
	// PartTarget is the longest that a part may be, from 50 ms to SegmentMax. Negative: no parts.
	PartTarget time.Duration
	// Keyframes is how far apart random access points are known to come, from an earlier buffer of the name:
	// TARGETDURATION will be no shorter, up to SegmentMax. 0: not known.
	Keyframes time.Duration
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Window, DefaultWindow)
	set(&o.SegmentMax, max(DefaultSegmentMax, o.SegmentTarget))
	set(&o.SegmentTarget, min(DefaultSegmentTarget, o.SegmentMax))
	set(&o.PartTarget, min(DefaultPartTarget, o.SegmentMax))
	if o.Size == 0 {
		o.Size = DefaultSize
	}
	o.Size = (max(o.Size, MinSize) + pageSize - 1) &^ (pageSize - 1)
	o.PartTarget = max(o.PartTarget, -1)
	return o
}

func (o Options) check() error {
	between := func(what string, d, low, high time.Duration) error {
		if d < low || d > high {
			return fmt.Errorf("stream buffer: %s is %v, must be from %v to %v", what, d, low, high)
		}
		return nil
	}
	if len(o.Stream) > maxName {
		return fmt.Errorf("stream buffer: the name has %d bytes, at most %d are allowed", len(o.Stream), maxName)
	}
	if o.Size > MaxSize || o.Size < MinSize || o.Size%pageSize != 0 {
		return fmt.Errorf("stream buffer: size %d is out of range, at most %d bytes are allowed", o.Size, int64(MaxSize))
	}
	err := errors.Join(
		between("window", o.Window, minWindow, maxWindow),
		between("segment maximum", o.SegmentMax, minTarget, maxSegment),
		between("segment target", o.SegmentTarget, minTarget, o.SegmentMax),
	)
	if o.PartTarget >= 0 {
		err = errors.Join(err, between("part target", o.PartTarget, minPart, o.SegmentMax))
	}
	return err
}

// Create makes an empty buffer. The first file is for the writer, the second is opened
// read-only and is for everyone else; both are close-on-exec and the caller's to close.
func Create(o Options) (rw, ro *os.File, err error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	if rw, err = memfile.NewSized("brume-"+o.Stream, o.Size); err != nil {
		return nil, nil, fmt.Errorf("make stream buffer: %w", err)
	}
	fd := int(rw.Fd())
	defer func() {
		if err != nil {
			_ = rw.Close()
			rw = nil
		}
	}()
	if err := format(fd, o); err != nil {
		return rw, nil, err
	}
	// The mode keeps out who does not own the file. A descriptor that is open already is not affected.
	if err := unix.Fchmod(fd, 0o400); err != nil {
		return rw, nil, fmt.Errorf("protect stream buffer: %w", err)
	}
	ro, err = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDONLY, 0)
	if err != nil {
		return rw, nil, fmt.Errorf("open stream buffer for reading: %w", err)
	}
	return rw, ro, nil
}

// State tells where in its life a stream is.
type State uint8

// The states of a stream.
const (
	Empty  State = iota // no packet yet
	Live                // an epoch is being written
	Ended               // the epoch is over; another may follow
	Closed              // over for good
)

func (s State) String() string {
	switch s {
	case Empty:
		return "empty"
	case Live:
		return "live"
	case Ended:
		return "ended"
	case Closed:
		return "closed"
	default:
		return "invalid"
	}
}

// Info describes a buffer. Each value is true at some moment of the call, and all belong to
// the packets below Head at least.
type Info struct {
	Stream        string
	State         State
	Epoch         uint64    // id of the newest epoch, 0 before the first
	Discontinuity uint32    // discontinuity sequence of the newest epoch
	Heartbeat     time.Time // last commit, by the writer's clock; zero before the first
	Tail, Head    uint64    // valid entries: Tail <= seq < Head
	Window        time.Duration
	SegmentTarget time.Duration
	SegmentMax    time.Duration
	// PartTarget is 0 when the stream has no parts. It is final once TargetDuration is not 0.
	PartTarget time.Duration
	// TargetDuration is in seconds, 0 until the first segment is complete, and never changes after.
	TargetDuration int
	// Keyframes is the longest distance of random access points of the lead track so far, in whole seconds and no longer
	// than SegmentMax; 0: not known. Above TargetDuration, segments are cut without a random access point.
	Keyframes int
}

// Flags mark an entry.
type Flags uint16

// The flags of an entry.
const (
	// RandomAccess: a decoder can start here. Set on all packets that are not video.
	RandomAccess Flags = 1 << iota
	// SegmentStart: the first entry of a segment, in index order and whatever its track.
	SegmentStart
	// PartStart: the first entry of a part. Each segment begins with one while the stream has
	// parts. In an epoch whose frame rate allows no parts, segments consist of a single
	// one, which is longer than PartTarget and must not be listed as a part.
	PartStart
	// EpochStart: the first entry of an epoch; a segment starts here too.
	EpochStart
	// EpochEnd: the closing mark of an epoch that no other follows at once. It has no payload and no track;
	// its DTS is where the last packet of the lead track ends.
	EpochEnd
	// Gradual: a random access point behind which the pictures are right only after some time, as of intra refresh.
	// It does not stand for a keyframe in outputs that promise one.
	Gradual
	// Torn: see media.Packet. The entry begins nothing and has no other flag, and counts neither for lengths nor for
	// cuts: for outputs that leave it out, all is as if it were not there.
	Torn

	allFlags = RandomAccess | SegmentStart | PartStart | EpochStart | EpochEnd | Gradual | Torn
)

// Entry describes one packet.
type Entry struct {
	Seq           uint64
	Epoch         uint64
	Discontinuity uint32
	Segment       uint64 // media sequence number, from 1 on: hls.js (1.7) takes 0 for none, and loads the parts of such a segment again and again
	Part          uint32 // from 0 within the segment
	Track         int    // index into Tracks(Epoch), -1 for EpochEnd
	Flags         Flags
	DTS, PTS      int64 // 90 kHz ticks
	Wall          int64 // wall clock of DTS, Unix nanoseconds
	Length        int   // of the payload, bytes

	pos int64 // of the payload in the data area
}

// Has reports whether all of the given flags are set.
func (e *Entry) Has(f Flags) bool { return e.Flags&f == f }

// Independent reports whether the entry can be decoded without any before it.
func (e *Entry) Independent() bool { return e.Flags&(RandomAccess|Gradual) == RandomAccess }

// leadTrack is the track that segments and parts are cut by. The stream as it came is it where there is nothing else.
func leadTrack(tracks []media.Track) int { return max(media.Lead(tracks, nil), 0) }
