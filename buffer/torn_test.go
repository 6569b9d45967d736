package buffer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
)

// damaged is a stream of 40 s. From 10.2 s on all pictures, keyframes and sound are lost for some time each, in ticks. The pictures behind a loss up
// to the next random access point are torn.
type damaged struct {
	tracks                     []media.Track
	gop                        int64 // pictures
	pictures, keyframes, sound int64
}

// write writes the stream, and returns how many pictures are torn; with keep false they are left out.
func (d damaged) write(t *testing.T, w *Writer, keep bool) (count int) {
	t.Helper()
	require.NoError(t, w.BeginEpoch(d.tracks))
	lost := func(dts, length int64) bool { return dts >= 918000 && dts < 918000+length }
	sound, torn := int64(0), false
	for dts := int64(0); dts < 40*media.ClockRate; dts += 3000 {
		for ; len(d.tracks) > 1 && sound <= dts; sound += 1920 {
			if !lost(sound, d.sound) {
				w.SetTime(epochTime.Add(media.Duration(sound)))
				write(t, w, 1, sound, true, []byte{1})
			}
		}
		random := dts%(d.gop*3000) == 0
		if lost(dts, d.pictures) || random && lost(dts, d.keyframes) {
			torn = true
			continue
		}
		resumes := torn && random
		if torn = torn && !random; torn {
			count++
		}
		if keep || !torn {
			w.SetTime(epochTime.Add(media.Duration(dts)))
			require.NoError(t, w.WritePacket(&media.Packet{DTS: dts, PTS: dts + 3000, RandomAccess: random, Torn: torn, Resumes: resumes, Payload: []byte{1}}))
		}
	}
	w.Commit()
	return count
}

// marks are the entries without those that are torn, with nothing of where they lie.
func marks(all []Entry) (list []Entry, torn int) {
	for _, e := range all {
		if e.Has(Torn) {
			torn++
			continue
		}
		e.Seq, e.pos, e.Wall = 0, 0, e.Wall/1e6
		list = append(list, e)
	}
	return list, torn
}

// TestTorn checks that torn pictures are in the buffer, and that all others lie in their epochs, segments and parts as if those were not there.
func TestTorn(t *testing.T) {
	aac := media.Track{Codec: media.AAC, Config: []byte{0x11, 0x90}}
	both, other, alone := []media.Track{videoTrack, aac}, []media.Track{videoTrack, audioTrack}, []media.Track{videoTrack}
	for name, d := range map[string]damaged{
		"a moment":                           {both, 30, 9000, 0, 0},
		"a moment of a long GOP":             {both, 300, 9000, 0, 0},
		"a keyframe":                         {both, 30, 0, 90000, 0},
		"keyframes for long":                 {both, 30, 0, 500000, 0},
		"all for a while":                    {both, 150, 40000, 0, 40000},
		"all, with other sound":              {other, 150, 40000, 0, 40000},
		"longer than a segment":              {both, 30, 400000, 0, 400000},
		"keyframes and sound for long":       {both, 30, 9000, 500000, 500000},
		"keyframes and other sound for long": {other, 30, 9000, 500000, 500000},
		"no sound, a moment":                 {alone, 30, 9000, 0, 0},
		"no sound, a moment of a long GOP":   {alone, 300, 9000, 0, 0},
		"no sound, keyframes for long":       {alone, 30, 0, 500000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, r, _ := newBuffer(t, Options{})
			sent := d.write(t, w, true)
			got, torn := marks(entries(t, r))
			info, err := r.Info()
			require.NoError(t, err)
			w, r, _ = newBuffer(t, Options{})
			d.write(t, w, false)
			want, none := marks(entries(t, r))
			wanted, err := r.Info()
			require.NoError(t, err)
			require.Equal(t, sent, torn, "all of them are there")
			require.Zero(t, none)
			require.Equal(t, want, got)
			require.Equal(t, wanted.TargetDuration, info.TargetDuration)
			require.Equal(t, wanted.PartTarget, info.PartTarget)
			require.Equal(t, int(ceilSeconds(d.gop*3000)), info.Keyframes, "a GOP with a loss is no longer than others")
		})
	}
}

// TestTornBeginsNothing: an epoch does not begin with a torn picture, and what says that it is torn and of random access is taken for the latter.
func TestTornBeginsNothing(t *testing.T) {
	w, r, _ := newBuffer(t, Options{})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, audioTrack}))
	for _, p := range []media.Packet{
		{Torn: true, DTS: 0}, {RandomAccess: true, Torn: true, DTS: 3000}, {Track: 1, Torn: true, DTS: 3000}, {Torn: true, DTS: 6000},
	} {
		p.PTS = p.DTS
		require.NoError(t, w.WritePacket(&p))
	}
	w.Commit()
	all := entries(t, r)
	require.Len(t, all, 3)
	require.True(t, all[0].Has(EpochStart|SegmentStart|RandomAccess))
	require.Equal(t, RandomAccess, all[1].Flags)
	require.Equal(t, Torn, all[2].Flags)
}

// TestResumeTorn opens a buffer whose writer died behind torn pictures, with the window's first entry among them: the segment ends where the last
// picture that counts ended.
func TestResumeTorn(t *testing.T) {
	w, r, rw := newBuffer(t, Options{Window: time.Second})
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack}))
	for n := range int64(60) {
		dts := n * 3000
		w.SetTime(epochTime.Add(media.Duration(dts)))
		require.NoError(t, w.WritePacket(&media.Packet{DTS: dts, PTS: dts, RandomAccess: n == 0, Torn: n >= 20 && n < 35 || n >= 40}))
		w.Commit()
	}
	tail, _ := r.Bounds()
	first, err := r.Entry(tail)
	require.NoError(t, err)
	require.True(t, first.Has(Torn))
	require.NoError(t, w.Close())
	w, err = OpenWriter(rw)
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Close()) }()
	require.NoError(t, w.EndEpoch())
	_, head := r.Bounds()
	last, err := r.Entry(head - 1)
	require.NoError(t, err)
	require.Equal(t, int64(40*3000), last.DTS)
}
