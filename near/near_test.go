package near

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestName(t *testing.T) {
	keys := []string{"address", "stream", "latency", "pool"}
	for name, want := range map[string]string{"adress": "address", "adresse": "address", "streams": "stream", "pol": "pool", "pl": "", "x": "", "": "", "latencyms": "latency", "polo": ""} {
		require.Equal(t, want, Name(name, keys), name)
	}
	require.Equal(t, 3, distance("kitten", "sitting"))
}
