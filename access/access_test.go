package access

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"brume/config"
	"brume/media"
)

func network(s string) config.Network { return config.Network{Prefix: netip.MustParsePrefix(s)} }

func TestWithoutEntriesEverybodyMayEverything(t *testing.T) {
	for _, table := range []*Table{{}, NewTable(nil)} {
		require.Zero(t, table.Decide(&Ask{Action: media.Publish, Stream: "any", User: "who", Password: "ever"}))
		require.Zero(t, table.Decide(&Ask{Action: media.Play, Stream: "any"}))
	}
}

func TestDecide(t *testing.T) {
	studio := config.Access{User: "studio", Password: "studio's secret", Action: config.ModePublish, Streams: []config.Pattern{"cam-*"}}
	wall := config.Access{Token: "wall's secret", Action: config.ModePlay}
	house := config.Access{Action: config.ModePlay, Streams: []config.Pattern{"lobby"}, Networks: []config.Network{network("10.0.0.0/8"), network("2001:db8::/32")}}
	inside, outside := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.1")
	ask := func(a media.Role, stream string, edit func(*Ask)) Ask {
		q := Ask{Protocol: "srt", Peer: outside, Action: a, Stream: stream}
		if edit != nil {
			edit(&q)
		}
		return q
	}
	user := func(name, password string) func(*Ask) {
		return func(q *Ask) { q.User, q.Password = name, config.Secret(password) }
	}
	token := func(s string) func(*Ask) { return func(q *Ask) { q.Token = config.Secret(s) } }
	from := func(a netip.Addr) func(*Ask) { return func(q *Ask) { q.Peer = a } }
	all, named := []config.Access{studio, wall, house}, []config.Access{studio, house}
	for _, c := range []struct {
		name    string
		entries []config.Access
		ask     Ask
		want    Outcome
	}{
		{"user and password", all, ask(media.Publish, "cam-1", user("studio", "studio's secret")), Allowed},
		{"user, and the password as a token", all, ask(media.Publish, "cam-1", func(q *Ask) { q.User, q.Token = "studio", "studio's secret" }), Allowed},
		{"password without its user", all, ask(media.Publish, "cam-1", func(q *Ask) { q.Password = "studio's secret" }), Unauthorized},
		{"another user's name", all, ask(media.Publish, "cam-1", user("Studio", "studio's secret")), Unauthorized},
		{"wrong password", all, ask(media.Publish, "cam-1", user("studio", "studio's secres")), Unauthorized},
		{"empty password", all, ask(media.Publish, "cam-1", user("studio", "")), Unauthorized},
		{"no credentials where some would do", all, ask(media.Publish, "cam-1", nil), Unauthorized},
		{"right credentials, other stream", all, ask(media.Publish, "lobby", user("studio", "studio's secret")), Forbidden},
		{"right credentials, other action", named, ask(media.Play, "cam-1", user("studio", "studio's secret")), Forbidden},
		{"token", all, ask(media.Play, "anything", token("wall's secret")), Allowed},
		{"token as a password", all, ask(media.Play, "anything", user("x", "wall's secret")), Allowed},
		{"token, other action", all, ask(media.Publish, "anything", token("wall's secret")), Forbidden},
		{"wrong token", all, ask(media.Play, "anything", token("wall's")), Unauthorized},
		{"anonymous from its network", all, ask(media.Play, "lobby", from(inside)), Allowed},
		{"anonymous from its network, mapped", all, ask(media.Play, "lobby", from(netip.MustParseAddr("::ffff:10.1.2.3"))), Allowed},
		{"anonymous from its IPv6 network", all, ask(media.Play, "lobby", from(netip.MustParseAddr("2001:db8:1::1"))), Allowed},
		{"anonymous with wrong credentials from its network", all, ask(media.Play, "lobby", func(q *Ask) { q.Peer, q.Token = inside, "wrong" }), Allowed},
		{"anonymous from elsewhere, where a token would do", all, ask(media.Play, "lobby", nil), Unauthorized},
		{"anonymous from elsewhere", named, ask(media.Play, "lobby", nil), Forbidden},
		{"anonymous from nowhere", named, ask(media.Play, "lobby", from(netip.Addr{})), Forbidden},
		{"what no credentials would do for", named, ask(media.Publish, "lobby", from(inside)), Forbidden},
		{"a stream that no entry names", named, ask(media.Publish, "other", user("studio", "studio's secret")), Unknown},
		{"a stream that no entry names, and wrong credentials", named, ask(media.Play, "other", token("wrong")), Unknown},
		{"two entries don't add up", []config.Access{
			{User: "a", Password: "p", Action: config.ModePublish, Streams: []config.Pattern{"one"}}, {Action: config.ModePlay, Streams: []config.Pattern{"two"}},
		}, ask(media.Publish, "two", user("a", "p")), Forbidden},
		{"an entry without an action", []config.Access{{Token: "t"}}, ask(media.Publish, "x", token("t")), Allowed},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewTable(c.entries).Decide(&c.ask)
			require.Equal(t, c.want, d.Outcome, d.Reason)
			require.Equal(t, d.Outcome == Allowed, d.Reason == "")
		})
	}
}

func TestAnAskShowsNoSecret(t *testing.T) {
	a := &Ask{User: "me", Password: "hidden", Token: "hidden"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, *a), "hidden")
	}
}

// Few values, so that entries and asks often meet.
var (
	users    = rapid.SampledFrom([]string{"", "a", "b"})
	secrets  = rapid.SampledFrom([]config.Secret{"", "s", "t"})
	names    = rapid.SampledFrom([]string{"one", "two", "three"})
	patterns = rapid.SampledFrom([]config.Pattern{"one", "t*", "*e", "four"})
	modes    = rapid.SampledFrom([]config.Mode{"", config.ModeAny, config.ModePublish, config.ModePlay})
	peers    = rapid.SampledFrom([]netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("fe80::1%eth0")})
	networks = rapid.SampledFrom([]config.Network{network("10.0.0.0/8"), network("192.0.2.1/32"), network("fe80::/10")})
	actions  = rapid.SampledFrom([]media.Role{media.Publish, media.Play})
)

// entries are as the configuration allows them: a user has a password, and no token.
var entries = rapid.Custom(func(t *rapid.T) config.Access {
	e := config.Access{
		User: config.Name(users.Draw(t, "user")), Action: modes.Draw(t, "action"),
		Streams: rapid.SliceOfN(patterns, 0, 2).Draw(t, "streams"), Networks: rapid.SliceOfN(networks, 0, 2).Draw(t, "networks"),
	}
	if e.User != "" {
		e.Password = config.Secret("s")
	} else {
		e.Token = secrets.Draw(t, "token")
	}
	return e
})

var asks = rapid.Custom(func(t *rapid.T) Ask {
	return Ask{
		Peer: peers.Draw(t, "peer"), Action: actions.Draw(t, "does"), Stream: names.Draw(t, "stream"),
		User: users.Draw(t, "says user"), Password: secrets.Draw(t, "says password"), Token: secrets.Draw(t, "says token"),
	}
})

// grants is the rule as the documentation has it, of one entry, without regard to time.
func grants(e *config.Access, a *Ask) bool {
	who := false
	switch {
	case e.User != "":
		who = string(e.User) == a.User && (a.Password == e.Password || a.Token == e.Password)
	case e.Token != "":
		who = a.Token == e.Token || a.Password == e.Token
	default:
		who = true
	}
	return who && e.Action.Allows(a.Action) && config.Within(e.Networks, a.Peer) &&
		(len(e.Streams) == 0 || slices.ContainsFunc(e.Streams, func(p config.Pattern) bool { return p.Match(a.Stream) }))
}

func TestOneEntryThatGrantsIsEnoughAndNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := rapid.SliceOfN(entries, 1, 5).Draw(t, "entries")
		a := asks.Draw(t, "ask")
		want := slices.ContainsFunc(table, func(e config.Access) bool { return grants(&e, &a) })
		d := NewTable(table).Decide(&a)
		if (d.Outcome == Allowed) != want {
			t.Fatalf("%v, want %v", d, want)
		}
	})
}

func TestOrderOfEntriesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := rapid.SliceOfN(entries, 1, 5).Draw(t, "entries")
		a := asks.Draw(t, "ask")
		shuffled := rapid.Permutation(table).Draw(t, "shuffled")
		if x, y := NewTable(table).Decide(&a), NewTable(shuffled).Decide(&a); x != y {
			t.Fatalf("%v and %v", x, y)
		}
	})
}

// A guess must not tell more than that it is wrong: whether the user exists, or another stream's password is meant.
func TestWrongCredentialsAllLookTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := rapid.SliceOfN(entries, 1, 5).Draw(t, "entries")
		a := asks.Draw(t, "ask")
		a.User, a.Password, a.Token = "a", "guess", ""
		b := a
		b.User = "nobody"
		if x, y := NewTable(table).Decide(&a), NewTable(table).Decide(&b); x != y {
			t.Fatalf("%v for a user, %v for nobody", x, y)
		}
	})
}

func TestMoreEntriesNeverTakeAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := rapid.SliceOfN(entries, 1, 5).Draw(t, "entries")
		more := append(slices.Clone(table), entries.Draw(t, "more"))
		a := asks.Draw(t, "ask")
		if NewTable(table).Decide(&a).Outcome == Allowed && NewTable(more).Decide(&a).Outcome != Allowed {
			t.Fatal("an entry took a right away")
		}
	})
}
