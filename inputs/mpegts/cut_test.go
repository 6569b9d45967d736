package mpegts

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// TestAnyCut: however the input is cut into Write calls, the output is the same.
func TestAnyCut(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"b-frames", "several audio tracks", "latm", "opus", "hevc", "constant rate"} {
		clip := oracleClip(t, name)
		if len(clip) > 300000 {
			clip = clip[:300000]
		}
		spoilt := spoil(rnd, clip)
		for _, in := range [][]byte{clip, spoilt} {
			want, d := demux(t, in, Options{})
			for _, most := range []int{1, 3, 187, 188, 189, 376, 400, 1316, 5000} {
				r := &recorder{}
				cut := NewDemuxer(r, Options{})
				for rest := in; len(rest) > 0; {
					n := min(len(rest), 1+rnd.IntN(most))
					require.NoError(t, cut.Write(rest[:n]))
					rest = rest[n:]
				}
				require.NoError(t, cut.Flush())
				require.Equal(t, d.Stats(), cut.Stats(), "%s, up to %d bytes", name, most)
				require.True(t, equalEpochs(want.epochs, r.epochs), "%s, up to %d bytes", name, most)
			}
		}
	}
}

func oracleClip(t testing.TB, name string) []byte {
	for _, c := range oracleClips {
		if c.name == name {
			return ffmpeg(t, strings.Fields(c.args)...)
		}
	}
	t.Fatalf("no clip %q", name)
	return nil
}

// spoil changes, removes and inserts bytes and packets.
func spoil(rnd *rand.Rand, clip []byte) []byte {
	b := slices.Clone(clip)
	for range 40 {
		at := rnd.IntN(len(b) - 1000)
		switch rnd.IntN(5) {
		case 0:
			b[at] ^= byte(1 << rnd.IntN(8))
		case 1:
			b = slices.Delete(b, at, at+1+rnd.IntN(300))
		case 2:
			b = slices.Insert(b, at, b[at:at+1+rnd.IntN(300)]...)
		case 3:
			at -= at % ts.PacketSize
			b = slices.Delete(b, at, at+ts.PacketSize*(1+rnd.IntN(3)))
		default:
			at -= at % ts.PacketSize
			b[at+1+rnd.IntN(20)] ^= byte(1 + rnd.IntN(255))
		}
	}
	return b
}

func equalEpochs(a, b []epoch) bool {
	return slices.EqualFunc(a, b, func(a, b epoch) bool {
		if len(a.Tracks) != len(b.Tracks) || len(a.Packets) != len(b.Packets) {
			return false
		}
		for i := range a.Tracks {
			if a.Tracks[i].Codec != b.Tracks[i].Codec || string(a.Tracks[i].Config) != string(b.Tracks[i].Config) {
				return false
			}
		}
		for i := range a.Packets {
			p, q := a.Packets[i], b.Packets[i]
			if p.Track != q.Track || p.DTS != q.DTS || p.PTS != q.PTS || p.RandomAccess != q.RandomAccess || string(p.Payload) != string(q.Payload) {
				return false
			}
		}
		return true
	})
}

// TestLoss: whatever packets are lost, what comes out is a part of what would have come out,
// and in the right order.
func TestLoss(t *testing.T) {
	for _, name := range []string{"b-frames", "several audio tracks", "hevc", "lengths told", "ac3", "opus"} {
		clip := oracleClip(t, name)
		whole, _ := demux(t, clip, Options{})
		units := map[string]bool{}
		for _, p := range whole.epochs[0].Packets {
			units[string(p.Payload)] = true
		}
		for seed := range uint64(20) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			var in []byte
			for p := range slices.Chunk(clip, 7*ts.PacketSize) {
				if rnd.IntN(20) > 0 {
					in = append(in, p...)
				}
			}
			r, d := demux(t, in, Options{})
			wrong, all := 0, 0
			last := map[int]int64{}
			for i := range r.epochs {
				for _, p := range r.epochs[i].Packets {
					all++
					if !units[string(p.Payload)] {
						wrong++
					}
					if at, ok := last[p.Track]; ok {
						require.Greater(t, p.DTS, at)
					}
					last[p.Track] = p.DTS
				}
			}
			require.Zero(t, wrong, "%s, seed %d: %d units, %+v", name, seed, all, d.Stats())
			require.Zero(t, d.Stats().Discontinuities)
		}
	}
}
