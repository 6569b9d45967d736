package tsfeed

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
	"brume/media/ts"
)

// made is a clip of ffmpeg's.
func made(t *testing.T, args string) []byte {
	t.Helper()
	out, err := exec.Command("ffmpeg", append(append([]string{"-nostdin", "-v", "error"}, strings.Fields(args)...), "-f", "mpegts", "-")...).Output()
	require.NoError(t, err)
	return out
}

// kept is a buffer with its writer and reader.
type kept struct {
	*buffer.Writer
	r *buffer.Reader
}

func newKept(t *testing.T) kept {
	t.Helper()
	rw, ro, err := buffer.Create(buffer.Options{Stream: "live"})
	require.NoError(t, err)
	w, err := buffer.OpenWriter(rw)
	require.NoError(t, err)
	r, err := buffer.OpenReader(ro)
	require.NoError(t, err)
	require.NoError(t, rw.Close())
	require.NoError(t, ro.Close())
	t.Cleanup(func() {
		_ = w.Close()
		_ = r.Close()
	})
	return kept{w, r}
}

// content is what a buffer holds.
type content struct {
	raw    []byte // the transport stream as it came
	epochs [][]media.Track
	joins  []uint64 // packets of the transport stream that they name
	random []int    // how many joins came before each picture that can be decoded by itself
	units  int
	begins []int64 // by how much the first entry of each epoch is before its first unit, ticks
}

func (k kept) content(t *testing.T) (c content) {
	t.Helper()
	tail, head := k.r.Bounds()
	require.Zero(t, tail)
	epoch := uint64(0)
	var tracks []media.Track
	var first int64
	unit := false
	for seq := tail; seq < head; seq++ {
		e, err := k.r.Entry(seq)
		require.NoError(t, err)
		if e.Has(buffer.EpochEnd) {
			continue
		}
		if e.Epoch != epoch {
			epoch = e.Epoch
			tracks, err = k.r.Tracks(epoch)
			require.NoError(t, err)
			require.Equal(t, media.MPEGTS, tracks[len(tracks)-1].Codec, "it is the last track of each epoch")
			c.epochs = append(c.epochs, tracks)
			first, unit = e.DTS, false
		}
		payload, err := k.r.Payload(&e, nil)
		require.NoError(t, err)
		switch kind := tracks[e.Track].Codec.Kind(); {
		case bytes.Equal(payload, silentFrame(&tracks[e.Track])):
			// The clip's sound ends before its picture.
		case kind != media.Multiplex:
			c.units++
			if !unit {
				unit = true
				c.begins = append(c.begins, e.DTS-first)
			}
			if kind == media.Video && e.Has(buffer.RandomAccess) {
				c.random = append(c.random, len(c.joins))
			}
		case len(payload) == ts.JoinSize:
			back, _ := ts.Join(payload)
			require.LessOrEqual(t, back, uint64(len(c.raw)/ts.PacketSize))
			c.joins = append(c.joins, uint64(len(c.raw)/ts.PacketSize)-back)
		default:
			require.Zero(t, len(payload)%ts.PacketSize)
			c.raw = append(c.raw, payload...)
		}
	}
	return c
}

func TestRawIsKept(t *testing.T) {
	for _, size := range []int{100, 188, 1316, 5000, len(clip)} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			k := newKept(t)
			p := NewPublisher(k.Writer, clock(), Options{Raw: true})
			require.ErrorIs(t, p.Run(&batches{rest: clip, size: size, err: io.EOF}), io.EOF)
			c := k.content(t)
			require.True(t, bytes.Equal(clip, c.raw), "%d of %d bytes", len(c.raw), len(clip))
			require.LessOrEqual(t, len(c.epochs), 3, "at 10 ms for 100 bytes it does not wait for all tracks")
			s := p.Stats()
			require.Zero(t, s.Refused)
			require.EqualValues(t, c.units, s.Units, "the transport stream is none of the units")
			require.EqualValues(t, len(clip), s.Bytes)
			require.Len(t, c.random, 2)
			for n, joins := range c.random {
				require.Positive(t, joins, "a join comes before the picture")
				join := c.joins[joins-1]
				require.Equal(t, []byte{ts.SyncByte, 0x40, 0}, clip[join*ts.PacketSize:][:3], "at a PAT")
				if n > 0 {
					require.Greater(t, join, c.joins[c.random[n-1]-1])
				}
			}
		})
	}
}

// TestJoinHoldsThePicture decodes from each join on: the picture behind it is the first that comes out.
func TestJoinHoldsThePicture(t *testing.T) {
	k := newKept(t)
	p := NewPublisher(k.Writer, clock(), Options{Raw: true})
	require.ErrorIs(t, p.Run(&batches{rest: clip, size: 1316, err: io.EOF}), io.EOF)
	c := k.content(t)
	require.Len(t, c.joins, 2)
	for n, join := range c.joins {
		fresh := newKept(t)
		q := NewPublisher(fresh.Writer, clock(), Options{})
		require.ErrorIs(t, q.Run(&batches{rest: clip[join*ts.PacketSize:], size: 1316, err: io.EOF}), io.EOF)
		tail, head := fresh.r.Bounds()
		pictures := 0
		for seq := tail; seq < head; seq++ {
			e, err := fresh.r.Entry(seq)
			require.NoError(t, err)
			if e.Track == 0 {
				pictures++
			}
		}
		require.Equal(t, clipFrames-25*n, pictures, "join %d", n)
	}
}

// TestRawCrossesEpochs: a change of the tracks, and a clock that jumps.
func TestRawCrossesEpochs(t *testing.T) {
	video := "-f lavfi -i testsrc2=s=%s:r=25 -t 2 -c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p"
	all := slices.Concat(made(t, fmt.Sprintf(video, "160x90")), made(t, fmt.Sprintf(video, "320x180")), clip, clip)
	k := newKept(t)
	p := NewPublisher(k.Writer, clock(), Options{Raw: true})
	require.ErrorIs(t, p.Run(&batches{rest: all, size: 1316, err: io.EOF}), io.EOF)
	c := k.content(t)
	require.True(t, bytes.Equal(all, c.raw), "nothing is lost, nothing comes twice")
	require.GreaterOrEqual(t, len(c.epochs), 4)
	for _, tracks := range c.epochs {
		require.GreaterOrEqual(t, len(tracks), 2)
	}
	require.Equal(t, make([]int64, len(c.epochs)), c.begins, "each begins at the time of its first unit")
}

// unknown is a transport stream without anything that is understood; with tables or without.
func unknown(packets int, tables bool) (b []byte) {
	for i := range packets {
		p := make([]byte, ts.PacketSize)
		p[0], p[1], p[2], p[3] = ts.SyncByte, 1, 1, 0x10|byte(i&15)
		copy(p[4:], fmt.Sprint(i))
		b = append(b, p...)
		if tables && i%40 == 0 {
			pat := ts.AppendCRC32([]byte{0, 0xB0, 13, 0, 1, 0xC1, 0, 0, 0, 1, 0xE1, 0})
			pmt := ts.AppendCRC32([]byte{2, 0xB0, 18, 0, 1, 0xC1, 0, 0, 0xFF, 0xFF, 0xF0, 0, 6, 0xE1, 1, 0xF0, 0})
			for n, s := range [][]byte{pat, pmt} {
				p := append([]byte{ts.SyncByte, 0x40 | byte(n), 0, 0x10 | byte(i/40&15), 0}, s...)
				b = append(b, append(p, bytes.Repeat([]byte{0xFF}, ts.PacketSize-len(p))...)...)
			}
		}
	}
	return b
}

// TestRawAlone: after a second the transport stream has an epoch of its own, and joins even without tables.
func TestRawAlone(t *testing.T) {
	for _, tables := range []bool{true, false} {
		t.Run(fmt.Sprint(tables), func(t *testing.T) {
			in := unknown(4000, tables)
			k := newKept(t)
			p := NewPublisher(k.Writer, clock(), Options{Raw: true})
			source := &batches{rest: in, size: 7 * ts.PacketSize, err: nil}
			for taken := 0; len(source.rest) > 0; taken++ {
				batch, _ := source.Next()
				require.NoError(t, p.Take(batch))
				_, head := k.r.Bounds()
				if taken < 98 { // at 10 ms each
					require.Zero(t, head, "batch %d", taken)
				} else if taken > 102 {
					require.NotZero(t, head, "batch %d", taken)
				}
			}
			require.NoError(t, p.End())
			c := k.content(t)
			require.True(t, bytes.Equal(in, c.raw))
			require.Equal(t, [][]media.Track{{{Codec: media.MPEGTS}}}, c.epochs)
			require.Greater(t, len(c.joins), 2)
			if tables {
				for _, join := range c.joins {
					require.Equal(t, []byte{ts.SyncByte, 0x40, 0}, in[join*ts.PacketSize:][:3])
				}
				require.Greater(t, len(c.joins), 15)
			}
		})
	}
}

// TestRawThenMedia: tracks that come late begin an epoch of their own.
func TestRawThenMedia(t *testing.T) {
	in := append(unknown(1400, false), clip...)
	k := newKept(t)
	p := NewPublisher(k.Writer, clock(), Options{Raw: true})
	require.ErrorIs(t, p.Run(&batches{rest: in, size: 7 * ts.PacketSize, err: io.EOF}), io.EOF)
	c := k.content(t)
	require.True(t, bytes.Equal(in, c.raw))
	require.Len(t, c.epochs, 2)
	require.Len(t, c.epochs[0], 1)
	require.Len(t, c.epochs[1], 3)
	require.Len(t, c.random, 2)
	require.NotEqual(t, c.joins[c.random[0]-1], c.joins[c.random[1]-1])
}

// TestShortRaw: what ends before the first epoch is written all the same.
func TestShortRaw(t *testing.T) {
	k := newKept(t)
	p := NewPublisher(k.Writer, clock(), Options{Raw: true})
	in := unknown(50, true)
	require.ErrorIs(t, p.Run(&batches{rest: in, size: 1316, err: io.EOF}), io.EOF)
	require.True(t, bytes.Equal(in, k.content(t).raw))
}

// TestMuchRaw: more than is held before the first epoch, at once.
func TestMuchRaw(t *testing.T) {
	k := newKept(t)
	p := NewPublisher(k.Writer, clock(), Options{Raw: true})
	in := unknown(maxHeld/ts.PacketSize+1000, false)
	require.NoError(t, p.Take(message(in[:maxHeld/2], 0)))
	_, head := k.r.Bounds()
	require.Zero(t, head)
	require.NoError(t, p.Take(message(in[maxHeld/2:], 0)))
	_, head = k.r.Bounds()
	require.NotZero(t, head, "it does not wait any longer")
	require.NoError(t, p.End())
	require.True(t, bytes.Equal(in, k.content(t).raw))
	require.Zero(t, p.Stats().Refused)
}

// TestRawTimes: it goes on in time when nothing else comes, so that the window does, too.
func TestRawTimes(t *testing.T) {
	k := newKept(t)
	now := time.Unix(1_700_000_000, 0)
	p := NewPublisher(k.Writer, func() time.Time { return now }, Options{Raw: true})
	for b := clip; len(b) > 0; {
		n := min(1316, len(b))
		now = now.Add(10 * time.Millisecond)
		require.NoError(t, p.Take(message(b[:n], 0)))
		b = b[n:]
	}
	_, head := k.r.Bounds()
	before, err := k.r.Entry(head - 1)
	require.NoError(t, err)
	for range 100 {
		now = now.Add(time.Second)
		require.NoError(t, p.Take(message(unknown(7, false), 0)))
	}
	tail, head := k.r.Bounds()
	after, err := k.r.Entry(head - 1)
	require.NoError(t, err)
	require.Equal(t, before.Epoch, after.Epoch)
	require.InDelta(t, 100*media.ClockRate, float64(after.DTS-before.DTS), media.ClockRate)
	require.Positive(t, tail, "what is older than the window has left it")
	joins := 0
	for seq := tail; seq < head; seq++ {
		if e, err := k.r.Entry(seq); err == nil && e.Length == ts.JoinSize {
			joins++
		}
	}
	require.Positive(t, joins, "a receiver can begin although no picture comes any more")
}

// TestRefusedRawIsCounted and does no harm to the rest.
func TestRefusedRawIsCounted(t *testing.T) {
	f := &fakeBuffer{refuse: func(_ int, p *media.Packet) error {
		if p.Track == 2 {
			return buffer.ErrTooLarge
		}
		return nil
	}}
	p := NewPublisher(f, clock(), Options{Raw: true})
	require.ErrorIs(t, p.Run(&batches{rest: clip, size: 1316, err: io.EOF}), io.EOF)
	s := p.Stats()
	require.Equal(t, clipFrames, f.units[0])
	require.Positive(t, s.Refused)
	require.EqualValues(t, f.units[0]+f.units[1], s.Units)
	require.ErrorIs(t, s.LastError, buffer.ErrTooLarge)
}

// mux is a transport stream of two programs of different sizes.
func mux(t *testing.T) []byte {
	t.Helper()
	return made(t, "-f lavfi -i testsrc2=s=160x90:r=25 -f lavfi -i testsrc2=s=320x180:r=25 -t 2 -map 0 -map 1 "+
		"-program title=News:program_num=3:st=0 -program title=Sport:program_num=4:st=1 -c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p")
}

func TestMappedPrograms(t *testing.T) {
	in := mux(t)
	named, sport, none := &fakeBuffer{}, newKept(t), &fakeBuffer{}
	p := NewPublisher(named, clock(), Options{Mapped: []Mapped{
		{Program{Service: "Sport"}, sport.Writer}, {Program{Number: 77}, none},
	}})
	require.NoError(t, p.Take(message(in, 0)))
	got := p.Programs()
	require.Len(t, got.List, 2)
	require.Equal(t, []Taken{{Number: 3}, {Number: 4}, {Waits: ts.WaitTables}}, got.Taken)
	for range 400 {
		require.NoError(t, p.Take(Batch{}))
	}
	require.Equal(t, Taken{Missing: true, Waits: ts.WaitProgram}, p.Programs().Taken[2])
	require.NoError(t, p.End())
	require.Equal(t, 50, named.units[0])
	require.Equal(t, "end", named.calls[len(named.calls)-1])
	require.Equal(t, []string{"commit", "end"}, none.calls[len(none.calls)-2:], "all of them end")
	info, err := sport.r.Info()
	require.NoError(t, err)
	require.Equal(t, buffer.Ended, info.State)
	tracks, err := sport.r.Tracks(info.Epoch)
	require.NoError(t, err)
	require.Len(t, tracks, 1)
	params, err := tracks[0].Params()
	require.NoError(t, err)
	require.Equal(t, 320, params.Width)
	s := p.Stats()
	require.Len(t, s.Mapped, 2)
	require.EqualValues(t, 50, s.Mapped[0].Units)
	require.Zero(t, s.Mapped[1].Units)
	require.EqualValues(t, 50, s.Units)
}

// TestUnusableMappedBuffer ends the connection as any other does.
func TestUnusableMappedBuffer(t *testing.T) {
	bad := &fakeBuffer{refuse: func(int, *media.Packet) error { return buffer.ErrFinished }}
	good := &fakeBuffer{}
	p := NewPublisher(good, clock(), Options{Mapped: []Mapped{{Program{Number: 4}, bad}}})
	require.ErrorIs(t, p.Run(&batches{rest: mux(t), size: 1316, err: io.EOF}), ErrBuffer)
	require.Equal(t, 1, good.count("end"))
	require.Equal(t, 1, bad.count("end"))
}

// silentFrame is what fills the holes of a track.
func silentFrame(t *media.Track) []byte {
	c, err := media.ParseAudioSpecificConfig(t.Config)
	if t.Codec != media.AAC || err != nil {
		return nil
	}
	return c.SilentFrame()
}
