package srt

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/srt/libsrt/option"
)

func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		raw   string
		want  URL
		shown string // where it is not what was written
	}{
		{raw: "srt://example.org:9000", want: URL{Mode: ModeCaller, Host: "example.org", Port: 9000}},
		{raw: "srt://192.0.2.1:1/?mode=client", want: URL{Mode: ModeCaller, Host: "192.0.2.1", Port: 1}, shown: "srt://192.0.2.1:1"},
		{raw: "srt://[2001:db8::1]:9000", want: URL{Mode: ModeCaller, Host: "2001:db8::1", Port: 9000}},
		{raw: "srt://[fe80::1%25eth0]:9000", want: URL{Mode: ModeCaller, Host: "fe80::1%eth0", Port: 9000}},
		{raw: "srt://[fe80::1%eth0]:9000", want: URL{Mode: ModeCaller, Host: "fe80::1%eth0", Port: 9000}, shown: "srt://[fe80::1%25eth0]:9000"},
		{raw: "srt://:9000", want: URL{Mode: ModeListener, Port: 9000}, shown: "srt://:9000?mode=listener"},
		{raw: "srt://127.0.0.1:9000?mode=server", want: URL{Mode: ModeListener, Host: "127.0.0.1", Port: 9000}, shown: "srt://127.0.0.1:9000?mode=listener"},
		{
			raw:  "srt://h:9000?mode=rendezvous&localaddr=192.0.2.5&localport=7000",
			want: URL{Mode: ModeRendezvous, Host: "h", Port: 9000, Local: netip.MustParseAddr("192.0.2.5"), LocalPort: 7000}, shown: "srt://h:9000?mode=rendezvous&adapter=192.0.2.5&port=7000",
		},
		{
			raw:   "srt://h:9000?streamid=publish:${stream}:u:secret&passphrase=correct%20horse&latency=200&transtype=live&tlpktdrop=no",
			want:  URL{Mode: ModeCaller, Host: "h", Port: 9000, StreamID: "publish:base+x:u:secret", Passphrase: "correct horse", Options: map[string]string{"latency": "200", "tlpktdrop": "no"}},
			shown: "srt://h:9000?streamid=publish:base+x?***&passphrase=***&latency=200&tlpktdrop=no",
		},
		{
			raw:   "srt://h:9000?streamid=#!::r=$stream,m=request,u=me,s=secret",
			want:  URL{Mode: ModeCaller, Host: "h", Port: 9000, StreamID: "#!::r=base+x,m=request,u=me,s=secret"},
			shown: "srt://h:9000?streamid=#!::r=base+x,m=request,u=me,***",
		},
		{raw: "srt://h:9000?streamid=a+b%26", want: URL{Mode: ModeCaller, Host: "h", Port: 9000, StreamID: "a+b&"}, shown: "srt://h:9000?streamid=***"},
	} {
		u, err := ParseURL(c.raw, "base+x")
		require.NoError(t, err, c.raw)
		require.Equal(t, c.want, *u, c.raw)
		if c.shown == "" {
			c.shown = c.raw
		}
		require.Equal(t, c.shown, u.String())
	}
}

// A refused URL is explained, and nothing of what it holds is shown.
func TestParseURLRefused(t *testing.T) {
	const name = "secret"
	for raw, want := range map[string]string{
		"":                                               "srt://",
		"udp://secret:1":                                 "srt://",
		"srt://h":                                        "port is missing",
		"srt://[::1]":                                    "port is missing",
		"srt://[::1:5":                                   "bracket",
		"srt://[secret]:5":                               "IPv6",
		"srt://::1:5":                                    "brackets",
		"srt://h:0":                                      "1 to 65535",
		"srt://h:secret":                                 "1 to 65535",
		"srt://u:secret@h:5":                             "no user",
		"srt://h:5/secret":                               "no path",
		"srt://-secret:5":                                "neither a name",
		"srt://a..b:5":                                   "neither a name",
		"srt://:5?mode=caller":                           "host is missing",
		"srt://:5?mode=rendezvous":                       "host is missing",
		"srt://h:5?mode=listener":                        "address of this machine",
		"srt://:5?port=6":                                "before the ?",
		"srt://:5?streamid=secret":                       "only a caller",
		"srt://h:5?mode=secret":                          "none of caller, listener and rendezvous",
		"srt://0.0.0.0:5":                                "can't be called",
		"srt://[::]:5":                                   "can't be called",
		"srt://239.1.1.1:5":                              "can't be called",
		"srt://h:5?adapter=secret":                       "no IP address",
		"srt://127.0.0.1:5?adapter=::1":                  "not both",
		"srt://h:5?port=0":                               "local port",
		"srt://h:5?passphrase=secret":                    "10 to 79 bytes, and this one has 6",
		"srt://h:5?passphrase=":                          "10 to 79",
		"srt://h:5?passphras=secretsecret":               "did you mean passphrase",
		"srt://h:5?secret-secret=1":                      "parameter 1",
		"srt://h:5?latency=1&secret":                     "parameter 2",
		"srt://h:5?latency=secret":                       "milliseconds",
		"srt://h:5?latency=60001":                        "0 to 60000",
		"srt://h:5?latency=1&latency=2":                  "twice",
		"srt://h:5?adapter=::1&localaddr=::":             "twice",
		"srt://h:5?nakreport=secret":                     "true or false",
		"srt://h:5?pbkeylen=5":                           "one of [0 16 24 32]",
		"srt://h:5?packetfilter=":                        "1 to 511 bytes",
		"srt://h:5?transtype=file":                       "live",
		"srt://h:5?pkt_size=1316":                        "there is no parameter pkt_size",
		"srt://h:5?streamid=%zz":                         "no key=value",
		"srt://h:5?streamid=%4":                          "no key=value",
		"srt://h:5?streamid=%00":                         "no key=value",
		"srt://h:5?streamid=a b":                         "blanks",
		"srt://h:5?streamid=" + strings.Repeat("x", 513): "512 bytes",
		"srt://h:5?x=" + strings.Repeat("x", 2048):       "2048 bytes",
	} {
		_, err := ParseURL(raw, "live")
		require.ErrorIs(t, err, ErrURL, raw)
		require.ErrorContains(t, err, want, raw)
		require.NotContains(t, err.Error(), name)
	}
}

func TestRedactStreamID(t *testing.T) {
	for id, want := range map[string]string{
		"": "", "live": "live", "/live": "live", "read:live": "read:live", "live?token=x": "live?***", "live#x": "live?***",
		"publish:live:u:p": "publish:live?***", "#!::r=live,s=x,m=publish": "#!::r=live,m=publish,***", "#!::r=live,key=x": "#!::r=live,***",
		"%23!::r=live,s=x": "#!::r=live,***", "uplive.sls/live/key": "***", "#!:x": "***",
	} {
		require.Equal(t, want, RedactStreamID(id), id)
	}
}

func TestCallTimeout(t *testing.T) {
	require.Equal(t, 3*time.Second, CallTimeout(ModeCaller, nil))
	require.Equal(t, 500*time.Millisecond, CallTimeout(ModeCaller, map[string]string{"conntimeo": "500"}))
	require.Equal(t, 5*time.Second, CallTimeout(ModeRendezvous, map[string]string{"conntimeo": "500"}))
}

func TestURLParameters(t *testing.T) {
	all := URLParameters()
	require.Len(t, all, len(urlKeys)+len(option.Names()))
	require.IsIncreasing(t, all)
}

// FuzzURL: what is read is in range, shows no secret, and its shown form without secrets means the same.
func FuzzURL(f *testing.F) {
	f.Add("srt://h:9000?streamid=#!::r=$stream,m=request,s=secret&passphrase=correct%20horse&latency=200", "live")
	f.Add("srt://[fe80::1%25eth0]:9000?mode=rendezvous&adapter=::1&port=5", "a+b")
	f.Add("srt://:9000?mode=listener&pbkeylen=32", "x")
	f.Fuzz(func(t *testing.T, raw, stream string) {
		if len(stream) > 100 {
			return
		}
		u, err := ParseURL(raw, stream)
		if err != nil {
			require.ErrorIs(t, err, ErrURL)
			return
		}
		require.NotZero(t, u.Port)
		require.NotEmpty(t, u.Mode)
		require.True(t, u.Mode == ModeListener || u.Host != "")
		require.LessOrEqual(t, len(u.StreamID), MaxStreamID)
		require.NoError(t, option.CheckPassphrase(u.Passphrase))
		_, err = option.ParseAll(u.Options)
		require.NoError(t, err)
		shown := u.String()
		if u.Passphrase != "" {
			require.NotContains(t, strings.Replace(shown, u.Host, "", 1), "passphrase="+u.Passphrase)
		}
		again, err := ParseURL(strings.Replace(shown, "passphrase="+hidden, "passphrase="+strings.Repeat(hidden, 4), 1), "")
		require.NoError(t, err, shown)
		require.Equal(t, u.Mode, again.Mode)
		require.Equal(t, u.Address(), again.Address())
		require.Equal(t, u.Options, again.Options)
	})
}
