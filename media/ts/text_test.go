package ts

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// iconv converts with the C library.
func iconv(t *testing.T, from string, b []byte) string {
	t.Helper()
	cmd := exec.Command("iconv", "-f", from, "-t", "UTF-8")
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out)
}

func TestText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"Das Erste HD", "Das Erste HD"},
		{"  News\xA0", "News"},
		{"\x15\xC3\x9Cberall", "Überall"},
		{"\x15a\xFFb", "a\uFFFDb"},
		{"\xC8Uberall", "Überall"},
		{"Fran\xCBcais", "Français"},
		{"5 \xA4 \xA8", "5 € ¤"},
		{"\xC8", ""},
		{"\xC8\xC8", "\uFFFD"},
		{"\xC0a", "\uFFFD"},
		{"\xC2q", "q\u0301"},
		{"\x01\xBF\xD5\xE0\xD2\xEB\xD9", "Первый"},
		{"\x05T\xFCrk\xE7e", "Türkçe"},
		{"\x10\x00\x02\xA3\xF3d\xBC", "Łódź"},
		{"\x10\x00\x01\xE9t\xE9", "été"},
		{"\x10\x00\x0Cabc", "abc"},
		{"\x10\x00", ""},
		{"\x11\x04\x1F\x04\x35\x04\x40", "Пер"},
		{"\x11\xD8\x00\x00A\x00", "\uFFFDA"},
		{"\x86Bold\x87 and\x8Anew line", "Bold and new line"},
		{"\x13\xB0\xA1", "\uFFFD\uFFFD"},
		{"\x15\u202Eevil\u200F\x1b[31m", "evil[31m"},
		{"\x06\xA1\xFF", "Ąĸ"},
	} {
		require.Equal(t, c.want, Text([]byte(c.in), 255), "%q", c.in)
	}
}

// TestTextIsBounded cuts between characters.
func TestTextIsBounded(t *testing.T) {
	require.Equal(t, "ää", Text([]byte("\x15äää"), 5))
	require.Equal(t, "ää", Text([]byte("\xC8a\xC8a\xC8a"), 5))
	require.Equal(t, "Пер", Text([]byte("\x11\x04\x1F\x04\x35\x04\x40\x04\x32"), 7))
}

// TestTextTables compares the tables with those of the C library.
func TestTextTables(t *testing.T) {
	for part := 1; part <= 16; part++ {
		if part == 12 {
			continue // there is none
		}
		for c := 0xA1; c < 0x100; c++ {
			if c%16 != 5 && part != 5 && part != 2 { // a process for each is too much
				continue
			}
			got := Text([]byte{0x10, 0, byte(part), 'x', byte(c), 'x'}, 255)
			cmd := exec.Command("iconv", "-f", fmt.Sprint("ISO-8859-", part), "-t", "UTF-8")
			cmd.Stdin = bytes.NewReader([]byte{byte(c)})
			want, err := cmd.Output()
			switch {
			case err != nil:
				require.Equal(t, "x\uFFFDx", got, "part %d, %#x", part, c)
			case string(want) == "\u00ad" || string(want) == "\u200f":
				require.Equal(t, "xx", got)
			default:
				require.Equal(t, "x"+string(want)+"x", got, "part %d, %#x", part, c)
			}
		}
	}
	for accent := byte(0xC1); accent < 0xD0; accent++ {
		if accent == 0xC9 || accent == 0xCC {
			continue // not in use
		}
		pairs := []rune(accents[accent-0xC0].pairs)
		var in, want []byte
		for i := 0; i < len(pairs); i += 2 {
			in = append(in, accent, byte(pairs[i]))
			want = utf8.AppendRune(want, pairs[i+1])
		}
		require.Equal(t, string(want), Text(in, 255))
		require.Equal(t, string(want), iconv(t, "ISO_6937", in), "%#x", accent)
	}
	for c := 0xA1; c < 0xFF; c++ {
		if c >= 0xC0 && c < 0xD0 || c == 0xA4 || c == 0xA8 || strings.Contains(string(nth(latin6937, c-0xA0)), "\uFFFD") {
			continue
		}
		require.Equal(t, iconv(t, "ISO_6937", []byte{byte(c)}), Text([]byte{byte(c)}, 255), "%#x", c)
	}
}

// sdt makes an SDT section: number, name and provider of each service.
func sdt(services ...any) []byte {
	b := []byte{TableSDT, 0xF0, 0, 0, 1, 0xC1, 0, 0, 0xFF, 0x01, 0xFF}
	for i := 0; i < len(services); i += 3 {
		n, name, provider := services[i].(int), services[i+1].(string), services[i+2].(string)
		d := append([]byte{1, byte(len(provider))}, provider...)
		d = append(append(d, byte(len(name))), name...)
		b = append(b, byte(n>>8), byte(n), 0xFC, 0x80|byte((len(d)+2)>>8), byte(len(d)+2), DescriptorService, byte(len(d)))
		b = append(b, d...)
	}
	b[1], b[2] = 0xF0|byte((len(b)+1)>>8), byte(len(b)+1)
	return AppendCRC32(b)
}

func services(t *testing.T, b []byte) (all []Service) {
	t.Helper()
	s, err := ParseSection(b)
	require.NoError(t, err)
	for v := range s.Services() {
		all = append(all, v)
	}
	return all
}

func TestServices(t *testing.T) {
	b := sdt(1, "News", "Provider", 65535, "\x15Übung", "", 3, "", "")
	require.Equal(t, []Service{{1, "News", "Provider"}, {65535, "Übung", ""}, {3, "", ""}}, services(t, b))

	lying := sdt(1, "News", "Provider", 2, "Sport", "")
	lying[11+4]++ // of the first loop: the next service begins too late
	require.LessOrEqual(t, len(services(t, lying)), 1)
	for i := 16; i < 24; i++ {
		lying = sdt(1, "News", "Provider")
		lying[i] = 0xFF
		require.NotPanics(t, func() { services(t, lying) })
	}
	pmt := sdt(1, "News", "Provider")
	pmt[0] = TablePMT
	require.Empty(t, services(t, pmt))
}

func TestJoin(t *testing.T) {
	for _, n := range []uint64{0, 1, 123456789} {
		b := AppendJoin(nil, n)
		require.Len(t, b, JoinSize)
		got, ok := Join(b)
		require.True(t, ok)
		require.Equal(t, n, got)
	}
	got, ok := Join(AppendJoin(nil, 1<<40))
	require.True(t, ok)
	require.Equal(t, uint64(1<<32-1), got)
	_, ok = Join(make([]byte, PacketSize))
	require.False(t, ok)
}

// FuzzServices takes anything for an SDT.
func FuzzServices(f *testing.F) {
	f.Add(sdt(1, "News", "Provider", 2, "\x10\x00\x02\xA3\xF3d\xBC", "\x15Ü", 3, "\xC8U\xC2", "\x11\x04\x1F\x04"))
	f.Add(sdt())
	f.Fuzz(func(t *testing.T, b []byte) {
		s := Section{TableID: TableSDT, Body: b}
		if parsed, err := ParseSection(b); err == nil {
			s = parsed
		}
		n := 0
		for v := range s.Services() {
			n++
			for _, text := range []string{v.Name, v.Provider} {
				if len(text) > MaxServiceText || !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\n\r\x1b") {
					t.Fatalf("%q", text)
				}
			}
		}
		if n > len(b)/5 {
			t.Fatalf("%d services in %d bytes", n, len(b))
		}
	})
}
