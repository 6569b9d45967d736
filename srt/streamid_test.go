package srt

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"brume/media"
)

func TestStreamIDs(t *testing.T) {
	keys := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for _, c := range []struct {
		name, in string
		want     StreamID
	}{
		{"none, as VLC and many encoders", "", StreamID{}},
		{"plain, as vMix", "live", StreamID{Name: "live"}},
		{"with a slash, as ffmpeg's examples", "/live", StreamID{Name: "live"}},
		{"dots and dashes", "cam-1.north_2+x", StreamID{Name: "cam-1.north_2+x"}},
		{"longest name", strings.Repeat("a", media.MaxNameSize), StreamID{Name: strings.Repeat("a", media.MaxNameSize)}},
		{"query", "live?token=abc&lang=de", StreamID{Name: "live", Token: "abc", Keys: keys("lang", "de")}},
		{"query with escapes", "live?pass=a%26b+c&user=x", StreamID{Name: "live", User: "x", Password: "a&b c"}},
		{"query with a bad escape", "live?token=%zz", StreamID{Name: "live", Token: "%zz"}},
		{"query with a colon", "live?token=a:b:c", StreamID{Name: "live", Token: "a:b:c"}},
		{"query with a mode", "live?mode=publish", StreamID{Name: "live", Role: media.Publish}},
		{"query alone", "?token=abc", StreamID{Token: "abc"}},
		{"remark", "live#front camera", StreamID{Name: "live"}},
		{"OBS publishing", "publish:live", StreamID{Name: "live", Role: media.Publish}},
		{"with a user", "publish:live:me:secret", StreamID{Name: "live", Role: media.Publish, User: "me", Password: "secret"}},
		{"with a user and query", "publish:live:me:secret:lang=de&token=t:u", StreamID{Name: "live", Role: media.Publish, User: "me", Password: "secret", Token: "t:u", Keys: keys("lang", "de")}},
		{"with a query only", "publish:live:token=x", StreamID{Name: "live", Role: media.Publish, Token: "x"}},
		{"with a query behind the name", "publish:live?token=a:b", StreamID{Name: "live", Role: media.Publish, Token: "a:b"}},
		{"reading", "read:live", StreamID{Name: "live", Role: media.Play}},
		{"requesting", "request:live", StreamID{Name: "live", Role: media.Play}},
		{"port's stream to publish", "publish:", StreamID{Role: media.Publish}},
		{"Haivision's form", "#!::r=live,m=publish", StreamID{Name: "live", Role: media.Publish}},
		{"Haivision's form in another order", "#!::u=admin,m=request,r=live", StreamID{Name: "live", Role: media.Play, User: "admin"}},
		{
			"Haivision's form with all", "#!::r=live,m=publish,u=me,s=tok,h=example.org,t=stream,password=pw",
			StreamID{Name: "live", Role: media.Publish, User: "me", Token: "tok", Password: "pw", Keys: keys("h", "example.org", "t", "stream")},
		},
		{"Haivision's form without a mode", "#!::r=live", StreamID{Name: "live"}},
		{"Haivision's form with a slash", "#!::r=/live,m=play", StreamID{Name: "live", Role: media.Play}},
		{"Haivision's form empty", "#!::", StreamID{}},
		{"Haivision's form with empty pairs", "#!::,r=live,,", StreamID{Name: "live"}},
		{"value with an equals sign", "#!::r=live,s=a=b==", StreamID{Name: "live", Token: "a=b=="}},
		{"Larix", "#!::r=live,m=publish,u=user,s=pass", StreamID{Name: "live", Role: media.Publish, User: "user", Token: "pass"}},
		{
			"Blackmagic", "#!::bmd_uuid=6b0b8d3e-4d1a-4c5b-9d7e-000000000000,bmd_name=Web Presenter 4K",
			StreamID{Keys: keys("bmd_uuid", "6b0b8d3e-4d1a-4c5b-9d7e-000000000000", "bmd_name", "Web Presenter 4K")},
		},
		{
			"Blackmagic with a stream", "#!::bmd_uuid=6b0b,bmd_name=Studio \u00fc,r=live,m=publish",
			StreamID{Name: "live", Role: media.Publish, Keys: keys("bmd_uuid", "6b0b", "bmd_name", "Studio \u00fc")},
		},
		{
			"Blackmagic with its key as the user", "#!::bmd_uuid=0e1df79f-77e6-465c-b099-29a616e964f7,bmd_name=Streaming Encoder,u=live",
			StreamID{Name: "live", User: "live", Keys: keys("bmd_uuid", "0e1df79f-77e6-465c-b099-29a616e964f7", "bmd_name", "Streaming Encoder")},
		},
		{
			"Blackmagic with a key that names no stream", "#!::bmd_uuid=6b0b,bmd_name=A,u=a key",
			StreamID{User: "a key", Keys: keys("bmd_uuid", "6b0b", "bmd_name", "A")},
		},
		{
			"Blackmagic with a stream and a user", "#!::bmd_uuid=6b0b,bmd_name=A,r=live,u=me",
			StreamID{Name: "live", User: "me", Keys: keys("bmd_uuid", "6b0b", "bmd_name", "A")},
		},
		{"a user and no stream, of anybody else", "#!::u=me", StreamID{User: "me"}},
		{"Haivision Makito, standard keys", "#!::u=admin,r=ietf_107_srt_overview", StreamID{Name: "ietf_107_srt_overview", User: "admin"}},
		{"Haivision Makito X4, standard keys", "#!::u=admin,r=ietf_107_srt_overview,m=publish", StreamID{Name: "ietf_107_srt_overview", Role: media.Publish, User: "admin"}},
		{"a + that became a blank, as ffmpeg's", "publish:live room 1", StreamID{Name: "live+room+1", Role: media.Publish}},
		{"an escaped +, as ffmpeg sends it on", "read:live%2Broom1", StreamID{Name: "live+room1", Role: media.Play}},
		{"an escaped letter", "%6cive?token=%6c", StreamID{Name: "live", Token: "l"}},
		{"a + that became a blank, in Haivision's form", "#!::m=publish,r=live room1", StreamID{Name: "live+room1", Role: media.Publish}},
		{"a host without a stream", "#!::h=live,m=publish", StreamID{Role: media.Publish, Keys: keys("h", "live")}},
		{"a host and a stream", "#!::h=live/other,r=live,m=publish", StreamID{Name: "live", Role: media.Publish, Keys: keys("h", "live/other")}},
		{"16 further keys", "live?" + manyKeys(16), StreamID{Name: "live", Keys: keyMap(16)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseStreamID(c.in, SlashRefuse)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&k" + string(rune('a'+i)) + "=" + string(rune('a'+i)))
	}
	return b.String()[1:]
}

func keyMap(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m["k"+string(rune('a'+i))] = string(rune('a' + i))
	}
	return m
}

func TestStreamIDsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, in string }{
		{"parent folder", "../etc/passwd"},
		{"parent folder in a key", "#!::r=../../etc/passwd,m=publish"},
		{"dots", ".."},
		{"hidden", ".live"},
		{"path", "app/live"},
		{"two slashes", "//live"},
		{"NUL", "live\x00"},
		{"NUL inside", "li\x00ve"},
		{"new line", "live\nx"},
		{"escape", "\x1b[31mlive"},
		{"not UTF-8", "\xff\xfe"},
		{"emoji", "\U0001f600"},
		{"right to left", "\u202elive"},
		{"blank before", " live"},
		{"blank behind", "live "},
		{"blank alone", " "},
		{"SRS's host, with a slash", "#!::h=live/name,m=publish"},
		{"percent", "live%"},
		{"escaped NUL", "live%00"},
		{"escaped twice", "live%252Broom1"},
		{"escaped parent folder", "%2e%2e"},
		{"escaped slash", "app%2Flive"},
		{"name too long", strings.Repeat("a", media.MaxNameSize+1)},
		{"600 bytes", strings.Repeat("a", 600)},
		{"600 bytes of keys", "#!::r=live," + strings.Repeat("k=v,", 147)},
		{"unknown prefix", "rtmp:live"},
		{"URL", "srt://host/live"},
		{"unknown mode", "#!::r=live,m=delete"},
		{"empty mode", "#!::r=live,m="},
		{"both ways", "#!::r=live,m=bidirectional"},
		{"no pair", "#!::live"},
		{"nested keys", "#!:{r=live}"},
		{"unknown form", "#!:r=live"},
		{"17 further keys", "live?" + manyKeys(17)},
		{"17 further keys in Haivision's form", "#!::" + strings.ReplaceAll(manyKeys(17), "&", ",")},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseStreamID(c.in, SlashRefuse)
			require.ErrorIs(t, err, ErrStreamID)
			require.Zero(t, got)
			require.True(t, utf8.ValidString(err.Error()))
			require.NotContains(t, err.Error(), "\x1b")
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

// Who makes a mistake may have put a secret where it does not belong.
func TestErrorsHoldNothingOfTheStreamID(t *testing.T) {
	for _, id := range []string{
		"hunter2:live", "live&token=hunter2", "live:hunter2", "#!::r=live,hunter2", "#!::r=live,m=hunter2", "#!:hunter2", "live?mode=hunter2",
		"publish:live/hunter2", "#!::r=hunter2~x", "publish:live:me:hunter2:mode=x", strings.Repeat("hunter2", 100),
	} {
		_, err := ParseStreamID(id, SlashRefuse)
		require.ErrorIs(t, err, ErrStreamID, id)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestModesThatAreNotServed(t *testing.T) {
	for _, id := range []string{"#!::r=live,m=bidirectional", "#!::m=x", "live?mode=bidirectional"} {
		_, err := ParseStreamID(id, SlashRefuse)
		require.ErrorIs(t, err, ErrMode, id)
	}
	_, err := ParseStreamID("../x", SlashRefuse)
	require.NotErrorIs(t, err, ErrMode)
}

func FuzzStreamID(f *testing.F) {
	for _, s := range []string{
		"", "live", "/live", "live?token=a:b", "publish:live:me:pw:q=1", "read:live", "#!::r=live,m=publish,u=me,s=t,x=y", "#!::bmd_uuid=1,bmd_name=A B",
		"../x", "live\x00", "app/live room", "#!::h=a/b", "#!:", ":", "?", "#", "publish:::::", "\U0001f600", "&=&=%", strings.Repeat("a", 600),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseStreamID(s, SlashRefuse)
		_ = ShowStreamID(s)
		for _, way := range []Slash{SlashLast, SlashJoin} {
			other, err := ParseStreamID(s, way)
			require.True(t, err != nil || other.Name == "" || media.ValidName(other.Name))
		}
		if err != nil {
			require.ErrorIs(t, err, ErrStreamID)
			require.Zero(t, id)
			return
		}
		require.LessOrEqual(t, len(s), MaxStreamID)
		require.True(t, id.Name == "" || media.ValidName(id.Name))
		require.Contains(t, []media.Role{"", media.Play, media.Publish}, id.Role)
		require.LessOrEqual(t, len(id.Keys), maxKeys)
		if id.Name != "" {
			again, err := ParseStreamID("publish:"+id.Name, SlashRefuse)
			require.NoError(t, err)
			require.Equal(t, StreamID{Name: id.Name, Role: media.Publish}, again)
		}
	})
}

// TestSlashes has names as users of SRS, OvenMediaEngine and SRT Live Server send them.
func TestSlashes(t *testing.T) {
	for _, c := range []struct {
		in         string
		last, join string // empty: refused
	}{
		{"app/live", "live", "app+live"},
		{"/app/live", "live", "app+live"},
		{"app%2Flive", "live", "app+live"},
		{"publish:default/app/live:user:secret", "live", "default+app+live"},
		{"uplive.sls.com/live/test?token=a/b", "test", "uplive.sls.com+live+test"},
		{"#!::r=live/live room,m=publish", "live+room", "live+live+room"},
		{"#!::h=live/name,m=publish", "name", "live+name"},
		{"#!::h=host.example,r=live/name", "name", "live+name"},
		{"live", "live", "live"},
		{"app/", "", ""},
		{"//live", "", ""},
		{"app//live", "", ""},
		{"../live", "live", ""},
		{"app/..", "", "app+.."},
		{strings.Repeat("a/", 60) + "live", "live", ""}, // too long a name
		{"srt://host/live", "", ""},
	} {
		for way, want := range map[Slash]string{SlashLast: c.last, SlashJoin: c.join} {
			id, err := ParseStreamID(c.in, way)
			if want == "" {
				require.ErrorIs(t, err, ErrStreamID, c.in)
				continue
			}
			require.NoError(t, err, c.in)
			require.Equal(t, want, id.Name, c.in)
		}
		for _, way := range []Slash{SlashRefuse, ""} {
			if _, err := ParseStreamID(c.in, way); c.in != "live" {
				require.ErrorIs(t, err, ErrStreamID, c.in)
			} else {
				require.NoError(t, err)
			}
		}
	}
	_, err := ParseStreamID("app/live", SlashRefuse)
	require.ErrorContains(t, err, "srt.slash", "who reads it learns what to do")
}
