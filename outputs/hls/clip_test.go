package hls

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"brume/buffer"
	"brume/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clip is content with its times in decoding order across tracks.
type clip struct {
	tracks  []media.Track
	packets []media.Packet
	length  int64 // ticks
}

var clips sync.Map // of *clipOnce by arguments

type clipOnce struct {
	once sync.Once
	clip *clip
	err  error
}

const (
	videoArgs = "-f lavfi -i testsrc2=s=320x180:r=30 "
	h264Args  = " -c:v libx264 -preset ultrafast -g 30 -keyint_min 30 -sc_threshold 0 -bf 2 -pix_fmt yuv420p "
)

// ffmpegClip makes a clip of some seconds with ffmpeg, once for all tests.
func ffmpegClip(t testing.TB, seconds int, args ...string) *clip {
	t.Helper()
	v, _ := clips.LoadOrStore(fmt.Sprint(seconds, args), &clipOnce{})
	c := v.(*clipOnce)
	c.once.Do(func() { c.clip, c.err = makeClip(seconds, args) })
	require.NoError(t, c.err)
	return c.clip
}

func makeClip(seconds int, args []string) (*clip, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	all := slices.Concat([]string{"-v", "error", "-nostdin"}, args, []string{
		"-t", fmt.Sprint(seconds), "-threads", "1",
		"-f", "mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof", "-video_track_timescale", "90000", "-use_editlist", "0", "pipe:1",
	})
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "ffmpeg", all...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, &stderr)
	}
	f, err := mp4.DecodeFile(bytes.NewReader(out))
	if err != nil {
		return nil, err
	}
	return readMP4(f)
}

func readMP4(f *mp4.File) (*clip, error) {
	c := &clip{}
	index := map[uint32]int{}
	scale := map[uint32]int64{}
	for _, trak := range f.Init.Moov.Traks {
		id := trak.Tkhd.TrackID
		track, err := trackOf(trak)
		if err != nil {
			return nil, err
		}
		index[id], scale[id] = len(c.tracks), int64(trak.Mdia.Mdhd.Timescale)
		c.tracks = append(c.tracks, track)
	}
	for _, s := range f.Segments {
		for _, fr := range s.Fragments {
			for _, traf := range fr.Moof.Trafs {
				id := traf.Tfhd.TrackID
				trex, _ := f.Init.Moov.Mvex.GetTrex(id)
				samples, err := (&mp4.Fragment{Moof: &mp4.MoofBox{Mfhd: fr.Moof.Mfhd, Traf: traf, Trafs: []*mp4.TrafBox{traf}, StartPos: fr.Moof.StartPos}, Mdat: fr.Mdat}).GetFullSamples(trex)
				if err != nil {
					return nil, err
				}
				for _, x := range samples {
					dts := int64(x.DecodeTime) * 90000 / scale[id]
					cto := int64(x.CompositionTimeOffset) * 90000 / scale[id]
					c.packets = append(c.packets, media.Packet{Track: index[id], DTS: dts, PTS: dts + cto, RandomAccess: x.IsSync(), Payload: x.Data})
					c.length = max(c.length, dts+int64(x.Dur)*90000/scale[id])
				}
			}
		}
	}
	slices.SortStableFunc(c.packets, func(a, b media.Packet) int { return int(a.DTS - b.DTS) })
	return c, nil
}

func prefixed(sets ...[][]byte) (b []byte) {
	for _, list := range sets {
		for _, s := range list {
			b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
			b = append(b, s...)
		}
	}
	return b
}

func trackOf(trak *mp4.TrakBox) (media.Track, error) {
	stsd := trak.Mdia.Minf.Stbl.Stsd
	lang := trak.Mdia.Mdhd.GetLanguage()
	if lang == "und" {
		lang = ""
	}
	switch {
	case stsd.AvcX != nil:
		a := stsd.AvcX.AvcC
		return media.Track{Codec: media.H264, Config: prefixed(a.SPSnalus, a.PPSnalus)}, nil
	case stsd.HvcX != nil:
		var sets [][]byte
		for _, a := range stsd.HvcX.HvcC.NaluArrays {
			sets = append(sets, a.Nalus...)
		}
		return media.Track{Codec: media.H265, Config: prefixed(sets)}, nil
	case stsd.Mp4a != nil:
		return media.Track{Codec: media.AAC, Language: lang, Config: stsd.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig}, nil
	}
	return media.Track{}, fmt.Errorf("no codec known in %s", stsd.Type())
}

// testStart is a wall clock later than any buffer is made.
var testStart = time.Now().Add(time.Hour).Truncate(time.Second)

// feed is a buffer that is written in step with media time.
type feed struct {
	t      testing.TB
	w      *buffer.Writer
	r      *buffer.Reader
	clock  int64 // ticks since testStart
	rw, ro interface{ Close() error }
}

func newFeed(t testing.TB, o buffer.Options) *feed {
	t.Helper()
	o.Stream = "live"
	rw, ro, err := buffer.Create(o)
	require.NoError(t, err)
	w, err := buffer.OpenWriter(rw)
	require.NoError(t, err)
	r, err := buffer.OpenReader(ro)
	require.NoError(t, err)
	f := &feed{t: t, w: w, r: r, rw: rw, ro: ro}
	w.SetTime(testStart)
	t.Cleanup(func() {
		_ = w.Close()
		require.NoError(t, r.Close())
		require.NoError(t, rw.Close())
		require.NoError(t, ro.Close())
	})
	return f
}

// stream makes a Stream that ends with the test.
func (f *feed) stream(o Options) *Stream {
	s := NewStream("live", f.r, o)
	f.t.Cleanup(func() { _ = s.Close() })
	return s
}

// begin opens an epoch.
func (f *feed) begin(tracks ...media.Track) {
	f.t.Helper()
	require.NoError(f.t, f.w.BeginEpoch(tracks))
}

// packet writes one packet and commits. offset is added to its times, and its time is what the clock shows.
func (f *feed) packet(p media.Packet, offset int64) {
	f.t.Helper()
	p.DTS += offset
	p.PTS += offset
	f.clock = max(f.clock, p.DTS)
	f.w.SetTime(testStart.Add(media.Duration(f.clock)))
	require.NoError(f.t, f.w.WritePacket(&p))
	f.w.Commit()
}

// play writes a clip that begins at an offset in ticks, calling each after every packet.
func (f *feed) play(c *clip, offset int64, each func()) {
	f.t.Helper()
	for _, p := range c.packets {
		f.packet(p, offset)
		if each != nil {
			each()
		}
	}
}
