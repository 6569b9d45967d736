package mpegts

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

// times returns the DTS of all packets of a track over all epochs.
func (r *recorder) times(track int) (list []int64) {
	for i := range r.epochs {
		for _, p := range r.epochs[i].track(track) {
			list = append(list, p.DTS)
		}
	}
	return list
}

// torn returns the DTS of the pictures of a track that are said to be torn.
func (r *recorder) torn(track int) (list []int64) {
	for i := range r.epochs {
		for _, p := range r.epochs[i].track(track) {
			if p.Torn {
				list = append(list, p.DTS)
			}
		}
	}
	return list
}

// steps is n times from t on, by.
func steps(t int64, n int, by int64) (list []int64) {
	for i := range n {
		list = append(list, t+int64(i)*by)
	}
	return list
}

func TestSync(t *testing.T) {
	clip := craft().tables(0, onlyVideo...).gop(90000, 8).buf
	n := len(clip) / ts.PacketSize
	all := steps(90000, 8, 3600)
	for _, c := range []struct {
		name    string
		in      []byte
		losses  uint64
		skipped uint64
		errors  uint64 // of continuity
		times   []int64
	}{
		{"aligned", clip, 0, 0, 0, all},
		{"bytes before", append([]byte{1, ts.SyncByte, 2, 3}, clip...), 0, 4, 0, all},
		{"a lonely sync byte before", append(append([]byte{ts.SyncByte}, make([]byte, 300)...), clip...), 0, 301, 0, all},
		{"two sync bytes before", slices.Concat([]byte{ts.SyncByte}, make([]byte, 187), []byte{ts.SyncByte}, make([]byte, 100), clip), 0, 289, 0, all},
		{"bytes between packets", slices.Concat(clip[:4*188], []byte{1, 2, 3}, clip[4*188:]), 1, 3, 0, all},
		{"bytes missing", slices.Concat(clip[:5*188+100], clip[5*188+110:]), 1, 178, 1, slices.Delete(slices.Clone(all), 2, 3)},
		{"half a packet at the end", clip[:len(clip)-40], 0, 148, 0, all[:7]},
		{"nothing but zeros", make([]byte, 5000), 0, 5000, 0, nil},
		{"nothing but sync bytes", bytes.Repeat([]byte{ts.SyncByte}, 5000), 0, 5000 % 188, 0, nil},
		{"one packet", clip[:188], 0, 0, 0, nil},
		{"empty", nil, 0, 0, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, d := demux(t, c.in, Options{})
			s := d.Stats()
			require.Equal(t, c.times, r.times(0))
			require.Equal(t, c.losses, s.SyncLosses)
			require.Equal(t, c.skipped, s.SkippedBytes)
			require.Equal(t, c.errors, s.ContinuityErrors)
			require.Equal(t, uint64(len(c.in)), s.Bytes)
		})
	}
	require.Greater(t, n, 10)
}

func TestContinuity(t *testing.T) {
	// Two packets of tables, then two to four for each picture. Those between a loss and the next random access point may refer to what is lost.
	base := func() *crafter { return craft().tables(0, onlyVideo...).gop(90000, 4).gop(104400, 2) }
	all := steps(90000, 6, 3600)
	withoutSecond, torn := slices.Delete(slices.Clone(all), 1, 2), []int64{97200, 100800}
	repeat := func(n, times int) []byte {
		b := base().buf
		p := b[n*188 : (n+1)*188]
		return slices.Insert(b, (n+1)*188, bytes.Repeat(p, times)...)
	}
	for _, c := range []struct {
		name   string
		in     []byte
		errors uint64
		units  uint64 // that are dropped
		times  []int64
		torn   []int64 // of those
	}{
		{"whole", base().buf, 0, 0, all, nil},
		{"a packet twice", repeat(3, 1), 0, 0, all, nil},
		{"the first packet of a PES twice", repeat(4, 1), 0, 0, all, nil},
		{"a packet three times", repeat(5, 2), 1, 0, all, nil},
		{"the inside of the second picture missing", base().cut(5).buf, 1, 1, withoutSecond, torn},
		{"the beginning of the second picture missing", base().cut(4).buf, 1, 0, withoutSecond, torn},
		{"a table missing", craft().tables(0, onlyVideo...).tables(0, onlyVideo...).gop(90000, 4).gop(104400, 2).cut(1).buf, 0, 0, all, nil},
		{"fifteen packets missing, so that the counter stays", func() []byte {
			c := craft().tables(0, onlyVideo...).video(90000, none, idr(300)).video(93600, none, inter(184*15+60))
			c.video(97200, none, inter(500)).video(100800, none, inter(500))
			c.gop(104400, 2)
			c.buf = slices.Delete(c.buf, 5*188, 20*188)
			return c.buf
		}(), 1, 1, withoutSecond, torn},
		{"a keyframe missing", base().cut(10).buf, 1, 0, slices.Delete(slices.Clone(all), 4, 5), all[5:]},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, d := demux(t, c.in, Options{})
			require.Equal(t, c.times, r.times(0))
			require.Equal(t, c.torn, r.torn(0))
			for i, list := 1, r.epochs[0].track(0); i < len(list); i++ {
				require.Equal(t, list[i].RandomAccess && list[i-1].Torn, list[i].Resumes, "picture %d", i)
			}
			s := d.Stats()
			require.Equal(t, uint64(len(c.torn)), s.TornUnits)
			require.Equal(t, c.errors, s.ContinuityErrors)
			require.Equal(t, c.units, s.UnitErrors)
		})
	}
}

// TestLossWithoutKeyframes: where no random access point comes after a loss, pictures count as whole again after a while.
func TestLossWithoutKeyframes(t *testing.T) {
	r := &recorder{}
	d := NewDemuxer(r, Options{VideoWait: time.Second})
	c := craft().tables(0, onlyVideo...).gop(90000, 3)
	c.cut(4)
	for i := range int64(30) {
		c.video(100800+i*9000, none, inter(200))
		d.SetTime(time.Duration(i) * 100 * time.Millisecond)
		require.NoError(t, d.Write(c.buf))
		c.buf = nil
	}
	require.NoError(t, d.Flush())
	require.Len(t, r.times(0), 3-1+30)
	torn := r.torn(0)
	require.Equal(t, int64(97200), torn[0])
	require.InDelta(t, 100800+90000, torn[len(torn)-1], 9000, "up to Options.VideoWait")
	require.Len(t, torn, 1+10)
}

// TestContinuityAtSplice: a jump of the counters where one stream ends and another begins
// does no harm to either, as the last packet of a PES is stuffed.
func TestContinuityAtSplice(t *testing.T) {
	first := craft().tables(0, onlyVideo...).gop(90000, 4)
	second := craft()
	second.cc[pidVideo] = 9
	second.gop(90000+4*3600, 4)
	in := slices.Concat(first.buf, second.buf)
	r, d := demux(t, in, Options{})
	require.Equal(t, steps(90000, 8, 3600), r.times(0))
	require.Equal(t, uint64(1), d.Stats().ContinuityErrors)
	require.Zero(t, d.Stats().UnitErrors)
}

// TestDiscontinuityIndicator: announced jumps of the counter are no errors.
func TestDiscontinuityIndicator(t *testing.T) {
	c := craft().tables(0, onlyVideo...).gop(90000, 4)
	c.pcr(pidVideo, 90000+4*3600, true)
	c.cc[pidVideo] += 5
	c.gop(90000+4*3600, 4)
	r, d := demux(t, c.buf, Options{})
	require.Equal(t, steps(90000, 8, 3600), r.times(0))
	require.Zero(t, d.Stats().ContinuityErrors)
	require.Len(t, r.epochs, 1)
}

func TestDamagedPackets(t *testing.T) {
	base := func() *crafter { return craft().tables(0, onlyVideo...).gop(90000, 4).gop(104400, 1) }
	times := []int64{90000, 97200, 100800, 104400} // without the second, to which the third and the fourth may refer
	for _, c := range []struct {
		name  string
		spoil func(p []byte)
		check func(s ts.Stats) uint64
	}{
		{"transport error", func(p []byte) { p[1] |= 0x80 }, func(s ts.Stats) uint64 { return s.TransportErrors }},
		{"scrambled", func(p []byte) { p[3] |= 0xC0 }, func(s ts.Stats) uint64 { return s.Scrambled }},
		{"scrambled PES", func(p []byte) { p[10] |= 0x10 }, func(s ts.Stats) uint64 { return s.Scrambled }},
		{"adaptation field over the end", func(p []byte) { p[3] |= 0x20; p[4] = 184 }, func(s ts.Stats) uint64 { return s.TransportErrors }},
		{"unknown PID", func(p []byte) { p[1], p[2] = 0x0F, 0xFF }, func(s ts.Stats) uint64 { return s.UnknownPackets }},
		{"null packet", func(p []byte) { p[1], p[2] = 0x1F, 0xFF }, func(s ts.Stats) uint64 { return 1 - s.UnknownPackets }},
		{"no start code of a PES", func(p []byte) { p[6] = 2 }, func(s ts.Stats) uint64 { return s.PESErrors }},
		{"lying header length", func(p []byte) { p[12] = 1 }, func(s ts.Stats) uint64 { return s.PESErrors }},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := base()
			c.spoil(in.buf[4*188 : 5*188])
			r, d := demux(t, in.buf, Options{})
			require.Equal(t, times, r.times(0))
			require.Equal(t, times[1:3], r.torn(0))
			require.Equal(t, uint64(1), c.check(d.Stats()))
		})
	}
}

// TestLossBeforeOpenGOP loses a packet of each stream of open GOPs: the pictures behind the next random access point that are shown before it may
// refer to what is lost. At the beginning of an epoch they are left out, as they have nothing to refer to.
func TestLossBeforeOpenGOP(t *testing.T) {
	for _, name := range []string{"open GOP", "hevc open GOP"} {
		clip := oracleClip(t, name)
		whole, _ := demux(t, clip, Options{})
		at := len(clip) / 2 / 188 * 188
		for clip[at+1]&0x1F != 1 || clip[at+2] != 0 || clip[at+3]&0x10 == 0 { // PID 256, with a payload
			at += 188
		}
		r, d := demux(t, slices.Delete(slices.Clone(clip), at, at+188), Options{})
		require.Positive(t, d.Stats().ContinuityErrors)
		require.Len(t, r.epochs, 1)
		list := r.epochs[0].track(0)
		require.Len(t, list, len(whole.epochs[0].track(0))-1, "%s: all but the picture that has lost a part", name)
		first := slices.IndexFunc(list, func(p media.Packet) bool { return p.Torn })
		require.Positive(t, first, name)
		next := first + slices.IndexFunc(list[first:], func(p media.Packet) bool { return p.RandomAccess })
		lead := 0
		for i, p := range list[first:] {
			torn := first+i < next || p.PTS < list[next].PTS
			require.Equal(t, torn, p.Torn, "%s: picture %d", name, first+i)
			require.Equal(t, first+i == next, p.Resumes, "%s: picture %d", name, first+i)
			if torn && first+i > next {
				lead++
			}
		}
		require.Positive(t, lead, name)
	}
}
