package bits

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReader(t *testing.T) {
	r := Reader{Data: []byte{0b10110011, 0xF0, 0x55}}
	require.True(t, r.Flag())
	require.Equal(t, uint32(0b011), r.Read(3))
	require.Equal(t, []byte{0x3F, 0x05}, r.AppendBytes(nil, 2))
	require.Equal(t, uint32(5), r.Read(4))
	require.False(t, r.Over())
	require.Zero(t, r.Read(32))
	require.True(t, r.Over())

	r = Reader{Data: []byte{1, 2, 3}, Pos: 8}
	require.Equal(t, []byte{2, 3}, r.AppendBytes(nil, 2))
	r = Reader{Data: []byte{1, 2, 3}, Pos: 12}
	require.Equal(t, []byte{0x20, 0x30}, r.AppendBytes(nil, 5), "what there is")
	require.True(t, r.Over())
	r = Reader{Data: []byte{1}, Pos: 100}
	require.Empty(t, r.AppendBytes(nil, 5))
}
