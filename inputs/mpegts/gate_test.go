package mpegts

import (
	"errors"
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
		c.audio(pidAudio, 108000, aac(3))
		writeAll(t, d, c)
		require.Len(t, r.epochs, 1)
		require.Equal(t, steps(90000, 9, 3600), r.times(0)) // the tenth ends with the next
		require.Equal(t, steps(108000, 3, 1920), r.times(1))
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
		require.Len(t, r.times(0), 10, "nothing follows the tenth")

		c.audio(pidAudio, 124080, adtsFrame(2, 20)).audio(pidAudio, 126000, adtsFrame(2, 20)).audio(pidAudio, 127920, adtsFrame(2, 20))
		c.video(126000, none, inter(20)).gop(129600, 2).audio(pidAudio, 129840, adtsFrame(2, 20))
		writeAll(t, d, c)
		require.NoError(t, d.Flush())
		require.Len(t, r.epochs, 2, "from the next random access point on")
		require.True(t, r.epochs[1].track(0)[0].RandomAccess)
		require.Equal(t, append(steps(90000, 11, 3600), 129600, 133200), r.times(0))
		require.Equal(t, steps(124080, 4, 1920), r.times(1))
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
		c := craft().tables(0, withAudio[1]).audio(pidAudio, 90000, aac(3))
		r := &recorder{}
		d := NewDemuxer(r, Options{})
		require.NoError(t, d.Write(c.buf))
		require.Equal(t, steps(90000, 3, 1920), r.times(0), "at once")
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
	c.audio(pidAudio, 104400, aac(3))
	r := &recorder{}
	d := NewDemuxer(r, Options{})
	require.NoError(t, d.Write(c.buf))
	require.Len(t, r.epochs, 2, "at once")
	require.Equal(t, steps(90000, 6, 3600), r.times(0))
	require.Equal(t, steps(104400, 3, 1920), r.times(1))
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
	c := craft().tables(0, withAudio...).audio(pidAudio, 90000, aac(3)).gop(90000, 5)
	c.gop(9000000, 4).audio(pidAudio, 9000000, aac(3)).tables(1, onlyVideo...).gop(9014400, 4)
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
