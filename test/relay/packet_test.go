package relay

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// data makes an SRT data packet.
func data(sequence uint32, again bool, socket uint32) []byte {
	b := make([]byte, 1332)
	binary.BigEndian.PutUint32(b, sequence)
	b[4] = 0xc0 // a whole message
	if again {
		b[4] |= 0x04
	}
	binary.BigEndian.PutUint32(b[12:], socket)
	return b
}

func TestPacketsAreTold(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want packet
	}{
		{"nothing", nil, packet{}},
		{"too short", data(5, false, 9)[:15], packet{}},
		{"header alone", data(5, false, 9)[:16], packet{kind: first, sequence: 5, socket: 9}},
		{"first", data(5, false, 9), packet{kind: first, sequence: 5, socket: 9}},
		{"again", data(1<<31-1, true, 9), packet{kind: repeat, sequence: 1<<31 - 1, socket: 9}},
		{"acknowledgement", data(0x80020000, true, 9), packet{kind: other, socket: 9}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, look(c.in)) })
	}
}

func FuzzPacket(f *testing.F) {
	f.Add([]byte{})
	f.Add(data(5, true, 9)[:20])
	f.Add(data(0x80020000, false, 9)[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		p := look(b)
		var g gaps
		g.begin(p)
		require.Zero(t, g.receive(p), "the first packet leaves no gap")
		require.LessOrEqual(t, p.sequence, uint32(sequenceMask))
	})
}

func TestGapsAreCountedAsAReceiverDoes(t *testing.T) {
	const end = 1<<31 - 1
	type step struct {
		sequence uint32
		kind     kind
		want     uint64
	}
	for _, c := range []struct {
		name  string
		first uint32
		steps []step
	}{
		{"in order", 5, []step{{5, first, 0}, {6, first, 0}, {7, first, 0}}},
		{"the first is missing", 5, []step{{7, first, 2}, {8, first, 0}}},
		{"one is missing and comes again", 5, []step{{5, first, 0}, {7, first, 1}, {6, repeat, 0}, {8, first, 0}}},
		{"overtaken: as good as lost", 5, []step{{5, first, 0}, {7, first, 1}, {6, first, 0}, {8, first, 0}}},
		{"twice", 5, []step{{5, first, 0}, {5, first, 0}, {6, first, 0}}},
		{"the last ones come again before anything newer", 5, []step{{5, first, 0}, {6, repeat, 0}, {7, first, 0}}},
		{"around the end of the numbers", end - 1, []step{{end - 1, first, 0}, {end, first, 0}, {1, first, 1}, {0, repeat, 0}, {2, first, 0}}},
		{"control packets", 5, []step{{5, first, 0}, {900, other, 0}, {6, first, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var g gaps
			require.Zero(t, g.receive(packet{kind: first, sequence: 77, socket: 1}), "nothing was sent yet")
			g.begin(packet{kind: other, socket: 1})
			g.begin(packet{kind: first, sequence: c.first, socket: 1})
			g.begin(packet{kind: first, sequence: c.first + 3, socket: 1})
			for _, s := range c.steps {
				require.Equal(t, s.want, g.receive(packet{kind: s.kind, sequence: s.sequence, socket: 1}), s.sequence)
			}
			g.begin(packet{kind: first, sequence: 1000, socket: 2}) // another connection from the same port
			require.Zero(t, g.receive(packet{kind: first, sequence: 1000, socket: 2}))
			require.Equal(t, uint64(1), g.receive(packet{kind: first, sequence: 1002, socket: 2}))
		})
	}
}
