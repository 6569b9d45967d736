package hls

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"brume/buffer"
	"brume/media"
)

// entries reads fuzzed bytes as entries. What a Reader checks of an entry alone holds for them too.
func entries(b []byte) (all []buffer.Entry) {
	e := buffer.Entry{Epoch: 1}
	for len(b) >= 8 && len(all) < 512 {
		op := b[0]
		e.Track = int(b[1] % 5)
		e.Flags = buffer.Flags(b[2]) & 0xf
		e.Length = int(b[3])
		step := int64(int16(binary.LittleEndian.Uint16(b[4:])))
		if op&0x80 != 0 {
			step <<= 44
		}
		e.DTS = min(max(e.DTS+step, -1<<60), 1<<60)
		e.PTS = min(max(e.DTS+int64(int8(b[6]))<<(b[7]%52), -1<<60), 1<<60)
		e.Wall = e.DTS / 9 * 100000 % (1 << 62)
		switch op % 8 {
		case 0:
			e.Segment++
			e.Part = 0
			e.Flags |= buffer.SegmentStart
		case 1:
			e.Part++
		case 2:
			e.Epoch += uint64(b[7])
			e.Segment++
			e.Discontinuity++
			e.Part = 0
			e.Flags |= buffer.SegmentStart | buffer.EpochStart
		case 3:
			e.Segment = binary.LittleEndian.Uint64(b) >> 2
		case 4:
			e.Part, e.Discontinuity = uint32(b[7]), uint32(b[6])
		}
		x := e
		if op%8 == 5 {
			x.Flags, x.Track, x.Length = buffer.EpochEnd, -1, 0
		}
		all = append(all, x)
		e.Seq++
		b = b[8:]
	}
	return all
}

// FuzzModel makes playlists of entries that make no sense. None of them may do harm, and those that a player sees
// must keep to what the model promises.
func FuzzModel(f *testing.F) {
	var honest []byte
	for n := range 90 {
		op := byte(7)
		switch {
		case n == 0:
			op = 2
		case n%30 == 0:
			op = 0
		case n%15 == 0:
			op = 1
		}
		honest = append(honest, op, byte(n%2), 5, 200, 0xb8, 0x0b, 1, 1)
	}
	f.Add(honest, int64(45000), 1)
	f.Add(append(honest, 5, 0, 0, 0, 0, 0, 0, 0), int64(0), 6)
	tracks := []media.Track{videoTrack, aacTrack, {Codec: media.SCTE35}, ac3Track, {Codec: media.H264, Config: []byte{1, 2}}}
	splices := [][]byte{
		insert(1, true, 90000, 180000, true), insert(1, true, 1<<33-1, 1<<33-1, false), insert(1, false, atOnce, 0, false), cancelInsert(1),
		signal(0, segmentation(1, 0x34, 1<<40-1), segmentation(1, 0x10, 0)), signal(1<<32, segmentation(1, 0x35, 0)), signal(atOnce, segmentation(1, 0xffff, 0)),
		make([]byte, 30),
	}
	f.Fuzz(func(t *testing.T, b []byte, partTarget int64, target int) {
		var m model
		h := header{targetDuration: min(max(target, 1), 600), partTarget: min(max(partTarget, 0), 600*90000), window: 60 * 90000}
		for i, e := range entries(b) {
			_ = m.add(&e, func(id uint64) ([]media.Track, error) {
				if id%7 == 0 {
					return nil, buffer.ErrOvertaken
				}
				return tracks, nil
			}, func() ([]byte, error) { return splices[(e.Length+i)%len(splices)], nil })
			if i%64 == 63 {
				m.prune(e.Seq / 4)
				render(t, m.snapshot(h))
			}
		}
		render(t, m.snapshot(h))
	})
}

// render makes all playlists of a snapshot.
func render(t *testing.T, n *snapshot) {
	for i := 1; i < len(n.segments); i++ {
		require.Equal(t, n.segments[i-1].number+1, n.segments[i].number)
	}
	if !n.playable() {
		return
	}
	for _, id := range []string{"v0", "a0", "a1", tsID} {
		for _, skip := range []bool{false, true} {
			text := string(n.page(pageKey{kind: KindPlaylist, id: id, skip: skip}).plain)
			require.NotContains(t, text, ":-", "negative")
			if !skip {
				require.Len(t, segmentTexts(text), len(n.list()))
			}
		}
		n.reached(id, n.last()+1, 3)
		n.reached(id, n.last(), 3)
		n.hint(id)
	}
	if n.epoch.hasTS() {
		n.page(pageKey{kind: KindMultivariant, id: tsID})
		n.page(pageKey{kind: KindMultivariant})
	}
	n.find(1, n.last())
	n.findEpoch(3)
}

func FuzzPath(f *testing.F) {
	for _, p := range []string{"index.m3u8", "ts/index.m3u8", "ts/media.m3u8", "v0/index.m3u8", "a31/seg-1-2.m4s", "v0/part-17-3.0.m4s", "v0/init-1.mp4", "ts/seg-1-2.ts"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p := parsePath(path)
		var same string
		switch {
		case p.kind == KindOther:
			return
		case p.kind == KindMultivariant:
			same = strings.TrimPrefix(p.id+"/index.m3u8", "/")
		case p.kind == KindPlaylist && p.id == tsID:
			same = "ts/media.m3u8"
		case p.kind == KindPlaylist:
			same = p.id + "/index.m3u8"
		case p.kind == KindInit:
			same = fmt.Sprintf("%s/init-%d.mp4", p.id, p.epoch)
		case p.kind == KindPart:
			same = fmt.Sprintf("%s/part-%d-%d.%d.m4s", p.id, p.epoch, p.segment, p.part)
		case p.id == tsID:
			same = fmt.Sprintf("ts/seg-%d-%d.ts", p.epoch, p.segment)
		default:
			same = fmt.Sprintf("%s/seg-%d-%d.m4s", p.id, p.epoch, p.segment)
		}
		require.Equal(t, same, path, "there is one spelling")
	})
}

// A writer that has been taken over writes anything anywhere in its memory while viewers ask.
func TestScribbledBuffer(t *testing.T) {
	rw, ro, err := buffer.Create(buffer.Options{Size: buffer.MinSize})
	require.NoError(t, err)
	defer func() { require.NoError(t, errors.Join(rw.Close(), ro.Close())) }()
	w, err := buffer.OpenWriter(rw)
	require.NoError(t, err)
	r, err := buffer.OpenReader(ro)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	f := &feed{t: t, w: w, r: r}
	f.begin(videoTrack, aacTrack)
	f.synthetic(0, 300)
	s := NewStream("live", r, Options{Hold: 1, SegmentBytes: 4 << 20, CacheBytes: 1 << 20})
	defer func() { _ = s.Close() }()
	memory, err := unix.Mmap(int(rw.Fd()), 0, buffer.MinSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	defer func() { require.NoError(t, errors.Join(unix.Munmap(memory), w.Close())) }()

	stop := make(chan struct{})
	var scribbling sync.WaitGroup
	scribbling.Go(func() {
		random := rand.New(rand.NewPCG(1, 2))
		for n := 300; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			at := random.IntN(len(memory))
			if n%3 == 0 {
				at = 4096 + random.IntN(len(memory)/16) // tables and index
			}
			memory[at] = byte(random.Uint32())
			p := video(n)
			_ = w.WritePacket(&p)
			w.Commit()
		}
	})
	for i := range 400 {
		for _, path := range []string{"index.m3u8", "v0/index.m3u8", "ts/media.m3u8"} {
			a := get(t, s, path)
			text := body(t, a)
			if a.StatusCode != 200 || path == "index.m3u8" {
				continue
			}
			dir, _, _ := strings.Cut(path, "/")
			for j, uri := range uris(text) {
				if (i+j)%7 == 0 {
					a := get(t, s, dir+"/"+uri)
					require.Contains(t, []int{200, 404, 500, 503}, a.StatusCode)
				}
			}
		}
	}
	close(stop)
	scribbling.Wait()
}

// overtaken is a buffer whose writer is always faster.
type overtaken struct {
	*buffer.Reader
	after int
	err   error
}

func (o *overtaken) Payload(e *buffer.Entry, dst []byte) ([]byte, error) {
	if o.after--; o.after < 0 {
		return dst, o.err
	}
	return o.Reader.Payload(e, dst)
}

func TestOvertakenWhileBuilding(t *testing.T) {
	for cause, want := range map[error]struct {
		status int
		fault  Fault
	}{buffer.ErrOvertaken: {404, FaultOvertaken}, buffer.ErrCorrupt: {500, FaultSegment}} {
		f := newFeed(t, buffer.Options{})
		f.begin(videoTrack)
		f.synthetic(0, 100)
		s := f.stream(Options{})
		src := &overtaken{Reader: f.r, after: 17, err: cause}
		s.store.builder.source = src
		for _, name := range []string{"v0/index.m3u8", "ts/media.m3u8"} {
			dir, _, _ := strings.Cut(name, "/")
			all := uris(fetch(t, s, name))
			src.after = 17
			path := dir + "/" + all[len(all)-1]
			require.Equal(t, want.status, get(t, s, path).StatusCode, path)
			src.after = 1 << 30
			require.NotEmpty(t, fetch(t, s, path), "the next request tries again")
		}
		for f, n := range s.Stats().Faults {
			if Fault(f) != want.fault {
				require.Zero(t, n)
				continue
			}
			require.EqualValues(t, 2, n.Count)
			require.ErrorIs(t, n.Last, cause)
			require.ErrorContains(t, n.Last, "ts: segment ")
		}
	}
}

func TestTooLarge(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	f.synthetic(0, 100)
	s := f.stream(Options{SegmentBytes: 10000})
	for _, uri := range uris(fetch(t, s, "ts/media.m3u8")) {
		require.Equal(t, 500, get(t, s, "ts/"+uri).StatusCode)
	}
	require.ErrorIs(t, s.Stats().Faults[FaultSegment].Last, errTooLarge)
}

// Memory files are sealed, bounded, shared, and gone when nobody needs them.
func TestStore(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	f.synthetic(0, 600)
	s := f.stream(Options{CacheFiles: 4})
	n := s.current()
	g := n.segments[3]
	part, x, err := s.store.acquire(g, "v0", 0)
	require.NoError(t, err)
	require.False(t, part.complete)
	whole, y, err := s.store.acquire(g, "v0", -1)
	require.NoError(t, err)
	require.Same(t, part, whole, "parts are ranges of the segment")
	require.Zero(t, x.offset)
	require.Greater(t, y.size, x.size)
	_, err = whole.memory.WriteAt([]byte{1}, 0)
	require.ErrorIs(t, err, os.ErrPermission)
	require.Error(t, whole.memory.Truncate(0))

	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			f, _, err := s.store.acquire(n.segments[i%16], "v0", -1)
			if err == nil {
				s.store.release(f)
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, s.Stats().Files, 4)
	b := make([]byte, 8)
	_, err = whole.memory.ReadAt(b, 0)
	require.NoError(t, err, "evicted, but in use")
	require.NoError(t, s.Close())
	_, err = whole.memory.ReadAt(b, 0)
	require.NoError(t, err, "closed, but in use")
	memory := whole.memory
	s.store.release(part)
	s.store.release(whole)
	_, err = memory.ReadAt(b, 0)
	require.ErrorIs(t, err, os.ErrClosed)
	require.Zero(t, s.Stats().Files)
	require.Zero(t, s.Stats().Cached)
}

// A client that does not take its part keeps nobody from the segment: pages of the file stay on their way to it, here in a pipe.
func TestSegmentWhilePartIsSent(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	f.synthetic(0, 100)
	s := f.stream(Options{})
	g := s.current().segments[0]
	part, _, err := s.store.acquire(g, "v0", 0)
	require.NoError(t, err)
	defer s.store.release(part)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	from := int64(0)
	n, err := unix.Splice(int(part.memory.Fd()), &from, int(w.Fd()), nil, 4096, 0)
	require.NoError(t, err)
	require.NotZero(t, n)

	whole, _, err := s.store.acquire(g, "v0", -1)
	require.NoError(t, err)
	defer s.store.release(whole)
	_, err = whole.memory.WriteAt([]byte{1}, 0)
	require.ErrorIs(t, err, os.ErrPermission)
}

func TestSingleFlight(t *testing.T) {
	f := newFeed(t, buffer.Options{})
	f.begin(videoTrack)
	f.synthetic(0, 100)
	s := f.stream(Options{})
	path := fmt.Sprintf("v0/seg-%d-1.m4s", s.current().epoch.id)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			a := get(t, s, path)
			_, _ = io.Copy(io.Discard, a.Body)
		})
	}
	all.Wait()
	require.EqualValues(t, 1, s.Stats().Segments)
	require.EqualValues(t, 100, s.Stats().Requests[KindSegment]["2xx"].Requests)
}
