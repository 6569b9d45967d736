package mpegts

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

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

// TestWaits: what a program waits for is told, step by step.
func TestWaits(t *testing.T) {
	waits := func(list ...ts.Wait) []ts.Wait { return list }
	frame := aac(3)
	for _, c := range []struct {
		name  string
		steps []func(c *crafter)
		want  []ts.Wait
	}{
		{"video and audio", []func(c *crafter){
			func(c *crafter) { c.pat(0, 1, pidPMT) },
			func(c *crafter) { c.tables(0, withAudio...) },
			func(c *crafter) { c.audio(pidAudio, 90000, frame) },
			func(c *crafter) { c.video(90000, none, inter(20)).video(93600, none, inter(20)) },
			func(c *crafter) { c.video(97200, none, annexB(aud, slice(0x65, 0, sliceI, 0, 20)), inter(20)) },
			func(c *crafter) { c.gop(100800, 2) },
			func(c *crafter) {
				for i := range int64(30) {
					c.video(9000000+3600*i, none, inter(20))
				}
			},
		}, waits(ts.WaitTables, ts.WaitMedia, ts.WaitVideo, ts.WaitKeyframe, ts.WaitParameters, "", ts.WaitKeyframe)},
		{"audio does not come", []func(c *crafter){
			func(c *crafter) { c.tables(0, withAudio...) },
			func(c *crafter) { c.gop(90000, 2) },
			func(c *crafter) { c.audio(pidAudio, 90000, frame) },
		}, waits(ts.WaitMedia, ts.WaitAudio, "")},
		{"audio alone", []func(c *crafter){
			func(c *crafter) { c.tables(0, withAudio[1]) },
			func(c *crafter) { c.audio(pidAudio, 90000, frame) },
		}, waits(ts.WaitMedia, "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewDemuxer(&recorder{}, Options{})
			require.Equal(t, ts.WaitTables, d.Waits())
			in := craft()
			var got []ts.Wait
			for _, step := range c.steps {
				step(in)
				in.split(pidVideo, nil) // ends the picture
				in.packet(ts.PIDNull, false, nil, make([]byte, 184)).packet(ts.PIDNull, false, nil, make([]byte, 184))
				writeAll(t, d, in)
				require.True(t, d.Waits().Known())
				got = append(got, d.Waits())
			}
			require.Equal(t, c.want, got)
		})
	}
}

// TestJumpInMidGOP: behind a jump, an epoch begins where the video can be decoded, and audio shortly before.
func TestJumpInMidGOP(t *testing.T) {
	c := craft().tables(0, withAudio...).audio(pidAudio, 90000, aac(3)).gop(90000, 10)
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

// TestSoundThatIsSentLater has sound that the multiplexer sends later than the picture that it belongs to, as most do: an epoch's sound begins with its
// picture all the same, and behind that none is missing.
func TestSoundThatIsSentLater(t *testing.T) {
	const start, frame = 1000000, 3600
	for _, later := range []int64{0, 4500, 9000, 45000, 90000, 126000} {
		c := craft().tables(0, withAudio...)
		clock := int64(start)
		for i := range int64(200) {
			picture := inter(20)
			if i%30 == 25 {
				picture = idr(20)
			}
			if i == 110 {
				clock += 100 * media.ClockRate // the next epoch
			}
			c.video(clock+frame*i, none, picture).audio(pidAudio, clock+frame*i-later, aac(1))
		}
		r, _ := demux(t, c.buf, Options{})
		require.Len(t, r.epochs, 2)
		for i, begins := range []int64{start + 25*frame, clock + 115*frame} {
			sound := r.epochs[i].times(1)
			require.Equal(t, begins, r.epochs[i].times(0)[0])
			require.GreaterOrEqual(t, sound[0], begins-leadIn)
			require.LessOrEqual(t, sound[0], begins)
			require.Equal(t, steps(sound[0], len(sound), frame), sound)
		}
	}
}
