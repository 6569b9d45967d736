package source

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// packet has a PCR, and begins a PES packet with PTS and DTS.
func packet(pid byte, pcr, pts, dts int64) []byte {
	p := append([]byte{0x47, 0x40, pid, 0x30, 7, hasPCR, 0, 0, 0, 0, 0x7E, 0}, 0, 0, 1, 0xE0, 0, 0, 0x80, 0xC0, 10)
	p = append(p, 0x31, 0, 1, 0, 1, 0x11, 0, 1, 0, 1)
	p = append(p, bytes.Repeat([]byte{0xAB}, 188-len(p))...)
	move(p, pcr)
	setStamp(stamps(p)[0], pts)
	setStamp(stamps(p)[1], dts)
	return p
}

func pcr(p []byte) int64 {
	return int64(p[6])<<25 | int64(p[7])<<17 | int64(p[8])<<9 | int64(p[9])<<1 | int64(p[10]>>7)
}

// sent is a message and when it came, from the beginning.
type sent struct {
	at time.Duration
	b  []byte
}

type receiver struct {
	began time.Time
	all   []sent
}

func (r *receiver) Write(b []byte) (int, error) {
	r.all = append(r.all, sent{time.Since(r.began), bytes.Clone(b)})
	return len(b), nil
}

func send(t *testing.T, e Encoder, lasting time.Duration) (all []sent) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), lasting)
		defer cancel()
		r := &receiver{began: time.Now()}
		require.NoError(t, e.Send(ctx, r.began, r))
		all = r.all
	})
	return all
}

// A clip of two pictures, 0.4 s apart and 0.5 s in all. The second one's packets come with a packet of sound that is a little older.
func twoPictures(t *testing.T) *Clip {
	t.Helper()
	c, err := parse(bytes.Join([][]byte{packet(65, 1000, 4000, 3000), packet(65, 37000, 40000, 39000), packet(66, 37001, 38000, 38000)}, nil), 500*time.Millisecond)
	require.NoError(t, err)
	return c
}

func TestClipGoesOnForEver(t *testing.T) {
	all := send(t, Encoder{Clip: twoPictures(t), Speed: 1}, 1600*time.Millisecond)
	want := []time.Duration{0, 400, 500, 900, 1000, 1400, 1500}
	require.Len(t, all, len(want))
	for i, m := range all {
		require.Equal(t, want[i]*time.Millisecond, m.at)
		require.Len(t, m.b, 1316)
		p := m.b[:188]
		require.Equal(t, byte(i+1)&15, p[3]&15, "continuity counter")
		repeat := int64(i/2) * 45000
		require.Equal(t, []int64{1000, 37000}[i%2]+repeat, pcr(p))
		require.Equal(t, []int64{4000, 40000}[i%2]+repeat, stamp(stamps(p)[0]))
		require.Equal(t, []int64{3000, 39000}[i%2]+repeat, stamp(stamps(p)[1]))
		rest := m.b[188:]
		if i%2 == 1 {
			require.Equal(t, byte(66), rest[2])
			require.Equal(t, byte(i/2+1), rest[3]&15, "each PID has its own")
			rest = rest[188:]
		}
		require.Equal(t, bytes.Repeat(null, len(rest)/188), rest)
	}
}

func TestStampsWrap(t *testing.T) {
	all := send(t, Encoder{Clip: twoPictures(t), Start: 1<<33 - 4000 - 45000, Speed: 1}, 600*time.Millisecond)
	require.Len(t, all, 3)
	p := all[2].b
	require.Equal(t, int64(1<<33-3000), pcr(p))
	require.Equal(t, int64(0), stamp(stamps(p)[0]))
	require.Equal(t, int64(1<<33-1000), stamp(stamps(p)[1]))
}

func TestClockDrifts(t *testing.T) {
	all := send(t, Encoder{Clip: twoPictures(t), Speed: 0.8}, 600*time.Millisecond)
	require.Len(t, all, 2)
	require.Equal(t, 500*time.Millisecond, all[1].at)
	require.Equal(t, int64(39000), stamp(stamps(all[1].b)[1]))
}

func TestClipsThatMakeNoSense(t *testing.T) {
	for _, stream := range [][]byte{nil, make([]byte, 100), null} {
		_, err := parse(stream, time.Second)
		require.Error(t, err)
	}
	_, err := parse(packet(65, 0, 0, 0), 0)
	require.ErrorContains(t, err, "length")
}
