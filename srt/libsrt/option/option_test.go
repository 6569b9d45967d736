package option

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTableIsSorted(t *testing.T) {
	require.True(t, slices.IsSorted(Names()))
	require.Len(t, slices.Compact(Names()), len(table))
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, option, value string
		want                Value
		err                 error
	}{
		{name: "integer", option: "latency", value: "200", want: Value{Number: 200}},
		{name: "negative", option: "snddropdelay", value: "-1", want: Value{Number: -1}},
		{name: "64 bits", option: "maxbw", value: "12500000000", want: Value{Number: 12_500_000_000}},
		{name: "true", option: "tlpktdrop", value: "Yes", want: Value{Number: 1}},
		{name: "false", option: "tlpktdrop", value: "0", want: Value{Number: 0}},
		{name: "key length", option: "pbkeylen", value: "24", want: Value{Number: 24}},
		{name: "filter", option: "packetfilter", value: "fec,cols:5", want: Value{Text: "fec,cols:5"}},
		{name: "unknown", option: "colour", value: "1", err: ErrUnknown},
		{name: "capital letters", option: "LATENCY", value: "1", err: ErrUnknown},
		{name: "not for the configuration", option: "streamid", value: "x", err: ErrUnknown},
		{name: "empty", option: "latency", value: "", err: ErrValue},
		{name: "text", option: "latency", value: "120ms", err: ErrValue},
		{name: "too large", option: "latency", value: "60001", err: ErrValue},
		{name: "larger than 64 bits", option: "maxbw", value: "99999999999999999999", err: ErrValue},
		{name: "too small", option: "ipttl", value: "0", err: ErrValue},
		{name: "no key length", option: "pbkeylen", value: "20", err: ErrValue},
		{name: "no boolean", option: "nakreport", value: "maybe", err: ErrValue},
		{name: "no filter", option: "packetfilter", value: "", err: ErrValue},
		{name: "long filter", option: "packetfilter", value: strings.Repeat("x", 512), err: ErrValue},
		{name: "filter with a NUL", option: "packetfilter", value: "fec\x00", err: ErrValue},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := Parse(c.option, c.value)
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.want.Number, v.Number)
			require.Equal(t, c.want.Text, v.Text)
		})
	}
}

func TestParseAll(t *testing.T) {
	all, err := ParseAll(map[string]string{"kmpreannounce": "100", "kmrefreshrate": "1000", "fc": "100", "sndbuf": "60000"})
	require.NoError(t, err)
	var names []string
	for _, v := range all {
		names = append(names, v.Name)
	}
	require.Equal(t, []string{"fc", "kmrefreshrate", "kmpreannounce", "sndbuf"}, names)

	_, err = ParseAll(map[string]string{"colour": "red", "mss": "huge"})
	require.ErrorIs(t, err, ErrUnknown)
	require.ErrorIs(t, err, ErrValue)
	require.ErrorContains(t, err, "colour")
	require.ErrorContains(t, err, "mss")

	all, err = ParseAll(nil)
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestCheckPassphrase(t *testing.T) {
	require.NoError(t, CheckPassphrase(""))
	require.NoError(t, CheckPassphrase(strings.Repeat("x", 10)))
	require.NoError(t, CheckPassphrase(strings.Repeat("x", 79)))
	require.ErrorIs(t, CheckPassphrase(strings.Repeat("x", 9)), ErrValue)
	require.ErrorIs(t, CheckPassphrase(strings.Repeat("x", 80)), ErrValue)
}
