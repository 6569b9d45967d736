package mpegts

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

// writeAll gives a demuxer what is crafted so far and empties it.
func writeAll(t *testing.T, d *Demuxer, c *crafter) {
	t.Helper()
	require.NoError(t, d.Write(c.buf))
	c.buf = nil
}

// TestOpening: an epoch waits for the parameters of all tracks, and nothing that can be
// played is lost meanwhile.
func TestOpening(t *testing.T) {
	t.Run("audio comes late", func(t *testing.T) {
		r := &recorder{}
		d := NewDemuxer(r, Options{})
		c := craft().tables(0, withAudio...).gop(90000, 10)
		writeAll(t, d, c)
		require.Empty(t, r.epochs)
		c.audio(pidAudio, 108000, adtsFrame(2, 20))
		writeAll(t, d, c)
		require.Len(t, r.epochs, 1)
		require.Equal(t, steps(90000, 9, 3600), r.times(0)) // the tenth ends with the next
		require.Equal(t, []int64{108000}, r.times(1))
	})
	t.Run("audio never comes, by time of arrival", func(t *testing.T) {
		r := &recorder{}
		d := NewDemuxer(r, Options{})
		d.SetTime(10 * time.Second)
		c := craft().tables(0, withAudio...).gop(90000, 10)
		writeAll(t, d, c)
		d.SetTime(10*time.Second + 999*time.Millisecond)
		require.NoError(t, d.Write(nil))
		require.Empty(t, r.epochs)
		d.SetTime(11 * time.Second)
		require.NoError(t, d.Write(nil))
		require.Len(t, r.epochs, 1)
		require.Len(t, r.epochs[0].Tracks, 1)
		require.Len(t, r.times(0), 9)

		c.audio(pidAudio, 126000, adtsFrame(2, 20)).audio(pidAudio, 127920, adtsFrame(2, 20))
		c.video(126000, none, inter(20)).gop(129600, 2).audio(pidAudio, 129840, adtsFrame(2, 20))
		writeAll(t, d, c)
		require.NoError(t, d.Flush())
		require.Len(t, r.epochs, 2, "from the next random access point on")
		require.True(t, r.epochs[1].track(0)[0].RandomAccess)
		require.Equal(t, append(steps(90000, 11, 3600), 129600, 133200), r.times(0))
		require.Equal(t, []int64{126000, 127920, 129840}, r.times(1))
	})
	t.Run("audio never comes, by media time", func(t *testing.T) {
		c := craft().tables(0, withAudio...).gop(90000, 30)
		r, _ := demux(t, c.buf, Options{})
		require.Len(t, r.epochs, 1)
		require.Equal(t, steps(90000, 30, 3600), r.times(0))
	})
	t.Run("video without a beginning", func(t *testing.T) {
		c := craft().tables(0, withAudio...)
		for i := range int64(5) {
			c.video(90000+3600*i, none, inter(50)).audio(pidAudio, 90000+3600*i, adtsFrame(2, 20))
		}
		c.gop(108000, 5).audio(pidAudio, 108000, adtsFrame(2, 20))
		r, d := demux(t, c.buf, Options{})
		require.Len(t, r.epochs, 1)
		require.Equal(t, steps(108000, 5, 3600), r.times(0))
		require.Equal(t, []int64{100800, 104400, 108000}, r.times(1), "audio from just before the first picture")
		require.Zero(t, d.Stats().UnitErrors)
	})
	t.Run("video comes after a second", func(t *testing.T) {
		c := craft().tables(0, withAudio...)
		for i := range int64(60) {
			c.audio(pidAudio, 90000+1920*i, adtsFrame(2, 20))
		}
		c.gop(205200, 5)
		for i := range int64(5) {
			c.audio(pidAudio, 205200+1920*i, adtsFrame(2, 20))
		}
		r, _ := demux(t, c.buf, Options{})
		require.Len(t, r.epochs, 1)
		require.Equal(t, steps(205200, 5, 3600), r.times(0))
		require.Equal(t, append(steps(197520, 4, 1920), steps(205200, 5, 1920)...), r.times(1))
	})
	t.Run("audio only", func(t *testing.T) {
		c := craft().tables(0, withAudio[1]).audio(pidAudio, 90000, adtsFrame(2, 20))
		r := &recorder{}
		d := NewDemuxer(r, Options{})
		require.NoError(t, d.Write(c.buf))
		require.Equal(t, []int64{90000}, r.times(0), "at once")
	})
	t.Run("a second video track", func(t *testing.T) {
		second := func(at int64, b []byte) []byte { return pesBytes(ts.StreamIDVideo, at, none, true, b) }
		c := craft().tables(0, onlyVideo[0], es{ts.StreamTypeH264, pidMore, ""})
		c.gop(90000, 2).split(pidMore, second(90000, inter(20))).split(pidMore, second(93600, idr(20))).split(pidMore, second(97200, inter(20)))
		r, _ := demux(t, c.buf, Options{})
		require.Len(t, r.epochs, 1)
		require.Equal(t, steps(90000, 2, 3600), r.times(0))
		require.Equal(t, []int64{93600, 97200}, r.times(1))
	})
	t.Run("more than is kept", func(t *testing.T) {
		c := craft().tables(0, withAudio...)
		for i := range int64(4) {
			c.video(90000+100*i, none, idr(3<<20))
		}
		r := &recorder{}
		d := NewDemuxer(r, Options{})
		require.NoError(t, d.Write(c.buf))
		require.Len(t, r.times(0), 3)
		require.Equal(t, uint64(1), d.Stats().Oversized)
	})
	t.Run("at the end", func(t *testing.T) {
		c := craft().tables(0, withAudio...).gop(90000, 3)
		r, _ := demux(t, c.buf, Options{})
		require.Equal(t, steps(90000, 3, 3600), r.times(0))
	})
}

// TestVideoThatDoesNotBegin: audio alone is better than nothing after a while, and the video joins it once it can. It is
// not waited for that long again.
func TestVideoThatDoesNotBegin(t *testing.T) {
	const wait = 3 * media.ClockRate
	c := craft().tables(0, withAudio...)
	stretch := func(from, to int64) {
		for at := from; at < to; at += 3600 {
			c.video(at, none, inter(30)).audio(pidAudio, at, adtsFrame(2, 20))
		}
	}
	t.Run("by media time", func(t *testing.T) {
		c.buf = nil
		c.tables(0, withAudio...)
		stretch(90000, 90000+2*wait)
		c.gop(90000+2*wait, 3).audio(pidAudio, 90000+2*wait, adtsFrame(2, 20))
		r, d := demux(t, c.buf, Options{VideoWait: 3 * time.Second})
		require.Len(t, r.epochs, 2)
		require.Len(t, r.epochs[0].Tracks, 1)
		audio := r.epochs[0].times(0)
		require.GreaterOrEqual(t, audio[0], int64(90000+wait-2*leadInData), "what waited is not older than that")
		require.LessOrEqual(t, audio[0], int64(90000+wait))
		require.Equal(t, int64(90000+2*wait), r.epochs[1].times(0)[0])
		require.Len(t, r.epochs[1].times(0), 3)
		require.Zero(t, d.Stats().UnitErrors)
	})
	t.Run("by time of arrival", func(t *testing.T) {
		r := &recorder{}
		d := NewDemuxer(r, Options{VideoWait: 3 * time.Second})
		c.buf = nil
		c.tables(0, withAudio...)
		stretch(90000, 180000)
		writeAll(t, d, c)
		d.SetTime(2999 * time.Millisecond)
		require.NoError(t, d.Write(nil))
		require.Empty(t, r.epochs)
		d.SetTime(3 * time.Second)
		require.NoError(t, d.Write(nil))
		require.Len(t, r.epochs, 1)
		require.Equal(t, steps(90000, 25, 3600), r.times(0))
	})
	t.Run("behind a jump", func(t *testing.T) {
		c.buf = nil
		c.tables(0, withAudio...)
		stretch(90000, 90000+2*wait)
		stretch(90000000, 90045000)
		r := &recorder{}
		d := NewDemuxer(r, Options{VideoWait: 3 * time.Second})
		writeAll(t, d, c)
		require.Len(t, r.epochs, 2, "at once")
		c.gop(90045000, 3)
		writeAll(t, d, c)
		require.Len(t, r.epochs, 3, "with the video")
	})
}

// TestJumpInMidGOP: behind a jump, an epoch begins where the video can be decoded, and audio shortly before.
func TestJumpInMidGOP(t *testing.T) {
	c := craft().tables(0, withAudio...).audio(pidAudio, 90000, adtsFrame(2, 20)).gop(90000, 10)
	const jump = int64(9000000)
	for i := range int64(30) {
		c.video(jump+3600*i, none, inter(30)).audio(pidAudio, jump+3600*i, adtsFrame(2, 20))
	}
	c.gop(jump+30*3600, 5).audio(pidAudio, jump+30*3600, adtsFrame(2, 20)).gop(jump+35*3600, 5)
	r, d := demux(t, c.buf, Options{})
	require.Equal(t, uint64(1), d.Stats().Discontinuities)
	require.Len(t, r.epochs, 2)
	require.Equal(t, steps(90000, 10, 3600), r.epochs[0].times(0))
	require.Equal(t, steps(jump+30*3600, 10, 3600), r.epochs[1].times(0))
	require.True(t, r.epochs[1].track(0)[0].RandomAccess)
	require.Equal(t, steps(jump+28*3600, 3, 3600), r.epochs[1].times(1))
}

// TestEpochsBeginAtRandomAccess: whatever ffmpeg made and however it is cut, the video of each epoch begins with a picture
// that needs no other, and goes on with pictures that are shown after it.
func TestEpochsBeginAtRandomAccess(t *testing.T) {
	for _, name := range []string{"plain", "b-frames", "open GOP", "hevc", "hevc open GOP"} {
		clip := oracleClip(t, name)
		cut := clip[len(clip)/3/ts.PacketSize*ts.PacketSize : len(clip)*3/4/ts.PacketSize*ts.PacketSize]
		head := clip[:3*ts.PacketSize] // the tables
		r, d := demux(t, slices.Concat(head, cut, head, cut, head, cut), Options{})
		require.Equal(t, uint64(2), d.Stats().Discontinuities, name)
		require.Len(t, r.epochs, 3, name)
		for i := range r.epochs {
			list := r.epochs[i].track(0)
			require.Greater(t, len(list), 10, name)
			require.True(t, list[0].RandomAccess, name)
			for _, p := range list[1:] {
				require.Greater(t, p.PTS, list[0].PTS, name)
			}
		}
		require.Equal(t, len(r.epochs[1].track(0)), len(r.epochs[0].track(0)), name)
	}
}

// TestAudioChangesInMidGOP: other audio waits for the next picture that can begin an epoch, and what runs goes on meanwhile.
func TestAudioChangesInMidGOP(t *testing.T) {
	c := craft().tables(0, withAudio...)
	for i := range int64(30) {
		at, picture, channels := 90000+3600*i, inter(30), byte(2)
		if i%10 == 0 {
			picture = idr(30)
		}
		if i >= 13 {
			channels = 6
		}
		c.audio(pidAudio, at, adtsFrame(channels, 20)).video(at, none, picture)
	}
	r, _ := demux(t, c.buf, Options{})
	require.Len(t, r.epochs, 2)
	require.Equal(t, steps(90000, 20, 3600), r.epochs[0].times(0))
	require.Equal(t, steps(90000+20*3600, 10, 3600), r.epochs[1].times(0))
	require.Equal(t, steps(90000, 13, 3600), r.epochs[0].times(1))
	require.Equal(t, steps(90000+18*3600, 12, 3600), r.epochs[1].times(1), "from just before the picture")
	p, err := r.epochs[1].Tracks[1].Params()
	require.NoError(t, err)
	require.Equal(t, 6, p.Channels)
}

// TestFurtherVideoBeginsByItself: a second video track begins at a random access point of its own.
func TestFurtherVideoBeginsByItself(t *testing.T) {
	further := func(at int64, b []byte) []byte { return pesBytes(ts.StreamIDVideo, at, none, true, b) }
	c := craft().tables(0, onlyVideo[0], es{ts.StreamTypeH264, pidMore, ""})
	const jump = int64(9000000)
	for _, base := range []int64{90000, jump} {
		for i := range int64(20) {
			at := base + 3600*i
			one, two := inter(30), inter(40)
			if i%10 == 0 {
				one = idr(30)
			}
			if i%10 == 4 {
				two = idr(40)
			}
			c.video(at, none, one).split(pidMore, further(at, two))
		}
	}
	r, _ := demux(t, c.buf, Options{})
	require.Len(t, r.epochs, 2)
	for i, base := range []int64{90000, jump} {
		require.Equal(t, steps(base, 20, 3600), r.epochs[i].times(0))
		require.Equal(t, steps(base+4*3600, 16, 3600), r.epochs[i].times(1))
	}
}

// times returns the DTS of all packets of a track.
func (e *epoch) times(track int) (list []int64) {
	for _, p := range e.track(track) {
		list = append(list, p.DTS)
	}
	return list
}

// TestLateTrackWithoutRandomAccess: a change waits for a random access point, however long it takes: nobody could decode
// the pictures of an epoch that begins in the midst of them.
func TestLateTrackWithoutRandomAccess(t *testing.T) {
	c := craft().tables(0, withAudio...).gop(90000, 30)
	for i := range int64(400) {
		c.video(198000+3600*i, none, inter(20)).audio(pidAudio, 198000+3600*i, adtsFrame(2, 20))
	}
	c.gop(198000+400*3600, 2)
	r, d := demux(t, c.buf, Options{})
	require.Len(t, r.epochs, 2)
	require.Equal(t, steps(90000, 432, 3600), r.times(0))
	require.Equal(t, int64(198000+400*3600), r.epochs[1].times(0)[0])
	require.InDelta(t, 198000+400*3600-leadIn, r.epochs[1].times(1)[0], 3600)
	require.Zero(t, d.Stats().Oversized)
}

// TestAudioParameters: other parameters begin another epoch, wrong bits do not.
func TestAudioParameters(t *testing.T) {
	c := craft().tables(0, withAudio[1])
	for i := range int64(30) {
		channels := byte(2)
		if i >= 10 && i < 20 {
			channels = 6
		}
		c.audio(pidAudio, 90000+1920*i, adtsFrame(channels, 20))
	}
	r, _ := demux(t, c.buf, Options{})
	require.Len(t, r.epochs, 3)
	require.Equal(t, steps(90000, 30, 1920), r.times(0))
	for i, channels := range []int{2, 6, 2} {
		p, err := r.epochs[i].Tracks[0].Params()
		require.NoError(t, err)
		require.Equal(t, channels, p.Channels)
		require.Len(t, r.epochs[i].Packets, 10)
	}
}

// TestAllTracksChange: where the video track itself is new, the epoch begins with its first
// picture, even if the track that was waited for is audio.
func TestAllTracksChange(t *testing.T) {
	c := craft().tables(0, onlyVideo...).gop(90000, 3)
	c.tables(1, es{ts.StreamTypeH264, pidMore, ""}, withAudio[1])
	for i := range int64(3) {
		b := inter(20)
		if i == 0 {
			b = idr(20)
		}
		c.split(pidMore, pesBytes(ts.StreamIDVideo, 100800+3600*i, none, true, b))
	}
	c.audio(pidAudio, 104400, adtsFrame(2, 20))
	r := &recorder{}
	d := NewDemuxer(r, Options{})
	require.NoError(t, d.Write(c.buf))
	require.Len(t, r.epochs, 2, "at once")
	require.Equal(t, steps(90000, 6, 3600), r.times(0))
	require.Equal(t, []int64{104400}, r.times(1))
}

// failing is a sink that refuses.
type failing struct {
	epochs, packets int
	left            int
}

var errFull = errors.New("full")

func (f *failing) BeginEpoch([]media.Track) error {
	f.epochs++
	return f.use()
}

func (f *failing) WritePacket(*media.Packet) error {
	f.packets++
	return f.use()
}

func (f *failing) use() error {
	if f.left--; f.left < 0 {
		return errFull
	}
	return nil
}

// TestSinkErrors: an error of the sink comes out of Write or Flush, wherever it happens.
func TestSinkErrors(t *testing.T) {
	c := craft().tables(0, withAudio...).audio(pidAudio, 90000, adtsFrame(2, 20)).gop(90000, 5)
	c.gop(9000000, 4).audio(pidAudio, 9000000, adtsFrame(2, 20)).tables(1, onlyVideo...).gop(9014400, 4)
	c.video(9028800, none, annexB(aud, sps(0, 640, 352, false), pps(0, 0), slice(0x65, 0, sliceI, 0, 20)))
	for n := 0; ; n++ {
		sink := &failing{left: n}
		d := NewDemuxer(sink, Options{})
		err := d.Write(c.buf)
		if err == nil {
			err = d.Flush()
		}
		if err == nil {
			require.Greater(t, n, 15)
			return
		}
		require.ErrorIs(t, err, errFull)
		require.Equal(t, n+1, sink.epochs+sink.packets)
	}
}
