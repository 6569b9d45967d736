package buffer

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media"
)

var (
	videoTrack = media.Track{Codec: media.H264, PID: 256, Config: []byte{0, 0, 0, 1, 0x67}, DolbyVision: []byte{1, 0, 0x10, 0x3d, 0x40}}
	audioTrack = media.Track{Codec: media.MP2, PID: 257, Language: "deu", Role: media.TrackNarration, Config: []byte{0xff, 0xfd, 0xa4, 0x04}}

	epochTime = time.Now().Add(time.Hour).Round(0) // later than any buffer is made
)

// newBuffer makes a buffer with a writer and a reader that are closed with the test.
func newBuffer(t testing.TB, o Options) (*Writer, *Reader, *os.File) {
	t.Helper()
	if o.Stream == "" {
		o.Stream = "live"
	}
	rw, ro, err := Create(o)
	require.NoError(t, err)
	w, err := OpenWriter(rw)
	require.NoError(t, err)
	w.SetTime(epochTime)
	r, err := OpenReader(ro)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = w.Close()
		require.NoError(t, r.Close())
		require.NoError(t, rw.Close())
		require.NoError(t, ro.Close())
	})
	return w, r, rw
}

// pattern is random; each packet has a piece of it from an offset of its own.
var pattern = func() []byte {
	b := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

func content(seq uint64, length int) []byte {
	off := int(seq * 4099 % (1 << 18))
	return pattern[off : off+length]
}

// fill makes content of a given length that tells where it belongs.
func fill(dst []byte, seq uint64, length int) []byte {
	return append(dst[:0], content(seq, length)...)
}

// filled tells whether b is what fill makes for a sequence number.
func filled(b []byte, seq uint64) bool { return bytes.Equal(b, content(seq, len(b))) }

func write(t testing.TB, w *Writer, track int, dts int64, random bool, payload []byte) {
	t.Helper()
	require.NoError(t, w.WritePacket(&media.Packet{Track: track, DTS: dts, PTS: dts + 3000, RandomAccess: random, Payload: payload}))
}

func TestWriteAndRead(t *testing.T) {
	w, r, _ := newBuffer(t, Options{Stream: "news_1"})
	i, err := r.Info()
	require.NoError(t, err)
	require.Equal(t, Info{
		Stream: "news_1", Window: DefaultWindow, SegmentTarget: time.Second,
		SegmentMax: 12 * time.Second, PartTarget: 500 * time.Millisecond,
	}, i)
	require.ErrorIs(t, w.WritePacket(&media.Packet{}), ErrNoEpoch)
	require.NoError(t, w.BeginEpoch([]media.Track{videoTrack, audioTrack}))
	var payload []byte
	for n := range int64(90) {
		w.SetTime(epochTime.Add(media.Duration(n * 3000)))
		payload = fill(payload, uint64(2*n), 1000+int(n))
		write(t, w, 0, n*3000, n%30 == 0, payload)
		payload = fill(payload, uint64(2*n+1), 100+int(n))
		write(t, w, 1, n*3000+10, false, payload)
	}
	_, err = r.Entry(0)
	require.ErrorIs(t, err, ErrNotYet)
	w.Commit()

	i, err = r.Info()
	require.NoError(t, err)
	require.Equal(t, Live, i.State)
	require.Equal(t, uint64(180), i.Head)
	require.Equal(t, uint64(epochTime.UnixNano()), i.Epoch)
	require.True(t, i.Heartbeat.Equal(epochTime.Add(media.Duration(89*3000))))
	require.Equal(t, 1, i.TargetDuration)
	tracks, err := r.Tracks(i.Epoch)
	require.NoError(t, err)
	require.Equal(t, []media.Track{videoTrack, audioTrack}, tracks)
	for seq := range uint64(180) {
		e, err := r.Entry(seq)
		require.NoError(t, err)
		require.Equal(t, int(seq%2), e.Track)
		require.Equal(t, int64(seq/2*3000)+10*int64(seq%2), e.DTS)
		require.Equal(t, e.DTS+3000, e.PTS)
		require.Equal(t, seq%60 == 0, e.Has(SegmentStart))
		require.Equal(t, 1+seq/60, e.Segment)
		require.InDelta(t, epochTime.UnixNano()+ticksToNano(e.DTS), e.Wall, 1e6)
		got, err := r.Payload(&e, []byte("x"))
		require.NoError(t, err)
		require.Equal(t, fill(nil, seq, e.Length), got[1:])
	}
	seq, ok := r.LatestRandomAccess()
	require.True(t, ok)
	require.Equal(t, uint64(120), seq)
	seq, ok = r.NextRandomAccess(1)
	require.True(t, ok)
	require.Equal(t, uint64(60), seq)
	_, ok = r.NextRandomAccess(121)
	require.False(t, ok)

	require.NoError(t, w.EndEpoch())
	require.NoError(t, w.EndEpoch())
	require.ErrorIs(t, w.WritePacket(&media.Packet{}), ErrNoEpoch)
	e, err := r.Entry(180)
	require.NoError(t, err)
	require.Equal(t, Entry{Seq: 180, Epoch: i.Epoch, Segment: 3, Part: e.Part, Track: -1, Flags: EpochEnd, DTS: 270000, PTS: 270000, Wall: e.Wall, pos: e.pos}, e)
	require.NoError(t, w.Finish())
	require.ErrorIs(t, w.BeginEpoch([]media.Track{videoTrack}), ErrFinished)
	i, err = r.Info()
	require.NoError(t, err)
	require.Equal(t, Closed, i.State)
}
