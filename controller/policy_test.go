package controller

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/access"
	"brume/config"
	"brume/media"
	"brume/srt"
)

// caller asks as somebody with or without a passphrase.
func (d *desk) caller(streamID string, encrypted bool) decision {
	return d.decide(&srt.Request{Peer: "192.0.2.1:5000", StreamID: streamID, Encrypted: encrypted}, d.ports[0])
}

func TestPassphrases(t *testing.T) {
	const (
		onPort  config.Secret = "secret of the port"
		publish config.Secret = "secret of publishers"
		play    config.Secret = "secret of players"
	)
	for _, c := range []struct {
		name      string
		port      config.Secret
		stream    config.StreamSRT
		options   config.Options // of the port
		id        string
		encrypted bool

		cause cause
		want  config.Secret
		only  media.Role
	}{
		{name: "none", id: "publish:s"},
		{name: "none, and the caller has one", id: "publish:s", encrypted: true, cause: causeNoSecret},
		{name: "none, and the caller has one, unstated", id: "s", encrypted: true, cause: causeNoSecret},
		{name: "the port's", port: onPort, id: "publish:s", encrypted: true, want: onPort},
		{name: "the port's, unstated", port: onPort, id: "s", encrypted: true, want: onPort},
		{name: "the port's, and the caller has none", port: onPort, id: "publish:s", cause: causeNoSecret},
		{name: "the port's, and the caller has none, unstated", port: onPort, id: "s", cause: causeNoSecret},
		{name: "the stream's of publishers", port: onPort, stream: config.StreamSRT{PublishPassphrase: publish}, id: "publish:s", encrypted: true, want: publish},
		{name: "the port's of players, where publishers have another", port: onPort, stream: config.StreamSRT{PublishPassphrase: publish}, id: "read:on", encrypted: true, want: onPort},
		{name: "the stream's of players", stream: config.StreamSRT{PublishPassphrase: publish, PlayPassphrase: play}, id: "read:on", encrypted: true, want: play},
		{name: "both alike, unstated", stream: config.StreamSRT{PublishPassphrase: play, PlayPassphrase: play}, id: "s", encrypted: true, want: play},
		{name: "both different, unstated", stream: config.StreamSRT{PublishPassphrase: publish, PlayPassphrase: play}, id: "s", encrypted: true, cause: causeBadMode},
		{name: "both different, unstated, none", stream: config.StreamSRT{PublishPassphrase: publish, PlayPassphrase: play}, id: "s", cause: causeNoSecret},
		{name: "of publishers alone, unstated", stream: config.StreamSRT{PublishPassphrase: publish}, id: "s", encrypted: true, want: publish, only: media.Publish},
		{name: "of publishers alone, unstated, none", stream: config.StreamSRT{PublishPassphrase: publish}, id: "s", only: media.Play},
		{name: "of players alone, unstated", stream: config.StreamSRT{PlayPassphrase: play}, id: "s", encrypted: true, want: play, only: media.Play},
		{name: "of players alone, a publisher with one", stream: config.StreamSRT{PlayPassphrase: play}, id: "publish:s", encrypted: true, cause: causeNoSecret},
		{name: "not enforced: libsrt decides", port: onPort, options: config.Options{"enforcedencryption": "false"}, id: "publish:s", want: onPort},
		{name: "not enforced, unstated", stream: config.StreamSRT{PlayPassphrase: play, Options: config.Options{"enforcedencryption": "0"}}, id: "s", want: play},
		{name: "not enforced, different, unstated", stream: config.StreamSRT{PublishPassphrase: publish, PlayPassphrase: play, Options: config.Options{"enforcedencryption": "0"}}, id: "s", cause: causeBadMode},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			d.live(d.admitted(1, "publish:on"))
			d.Config.Streams = map[config.Pattern]config.StreamConfig{"s": {SRT: c.stream, Buffer: d.Config.Buffer}, "o*": {SRT: c.stream}}
			d.ports[0].Passphrase, d.ports[0].Options = c.port, c.options
			got := d.caller(c.id, c.encrypted)
			require.Equal(t, c.cause, got.cause, got.reason)
			if c.cause == "" {
				require.Equal(t, string(c.want), string(got.terms.passphrase))
				require.Equal(t, c.only, got.only)
			}
			require.NotContains(t, got.reason, "secret of")
		})
	}
}

// TestTermsReachTheProcess and nothing else: neither the store nor the log.
func TestTermsReachTheProcess(t *testing.T) {
	d := newDesk(t)
	d.Config.Streams = map[config.Pattern]config.StreamConfig{"cam-*": {
		Buffer: d.Config.Buffer,
		SRT: config.StreamSRT{
			PublishPassphrase: "hidden secret", Latency: config.Duration(400 * time.Millisecond), Options: config.Options{"lossmaxttl": "40", "fc": "1000"},
		},
	}}
	d.ports[0].Options = config.Options{"fc": "500", "iptos": "184"}
	q := d.idle()
	d.says(d.listener, srt.MsgRequest, srt.Request{ID: 1, Peer: "192.0.2.1:1", StreamID: "publish:cam-1", Encrypted: true})
	require.NotZero(t, d.verdict().Child)
	var configure srt.Configure
	q.hearsOf(srt.MsgConfigure, &configure)
	require.Equal(t, "hidden secret", configure.Passphrase)
	require.Equal(t, map[string]string{"latency": "400", "lossmaxttl": "40", "fc": "1000", "iptos": "184"}, configure.Options)
	require.Empty(t, q.p.conn.terms, "who has them needs them alone")
	require.Equal(t, config.Options{"fc": "500", "iptos": "184"}, d.ports[0].Options, "the configuration is as it was")

	// One that waits for a process keeps them until then.
	d.says(d.listener, srt.MsgRequest, srt.Request{ID: 2, Peer: "192.0.2.1:2", StreamID: "publish:cam-2", Encrypted: true})
	late := d.idle()
	late.hearsOf(srt.MsgConfigure, &configure)
	require.Equal(t, "hidden secret", configure.Passphrase)

	record, err := json.Marshal(q.p.processRecord)
	require.NoError(t, err)
	require.NotContains(t, string(record)+d.log.String()+fmt.Sprintf("%+v", late.p.conn), "hidden")
	shown, err := json.Marshal(d.Connections())
	require.NoError(t, err)
	require.NotContains(t, string(shown), "hidden")
}

func TestAccess(t *testing.T) {
	d := newDesk(t)
	d.live(d.admitted(1, "publish:cam-on"))
	d.access = access.NewTable([]config.Access{
		{User: "studio", Password: "pw", Action: config.ModePublish, Streams: []config.Pattern{"cam-*"}},
		{Token: "tok", Action: config.ModePlay, Streams: []config.Pattern{"cam-*"}},
		{Action: config.ModePlay, Streams: []config.Pattern{"open"}},
		{User: "both", Password: "pw", Streams: []config.Pattern{"cam-*"}},
	})
	for _, c := range []struct {
		id    string
		cause cause
		role  media.Role
		only  media.Role
	}{
		{id: "publish:cam-1:studio:pw", role: media.Publish},
		{id: "#!::r=cam-1,m=publish,u=studio,s=pw", role: media.Publish},
		{id: "#!::r=cam-1,m=publish,u=studio,password=pw", role: media.Publish},
		{id: "publish:cam-1?user=studio&pass=pw", role: media.Publish},
		{id: "publish:cam-1:studio:PW", cause: causeCredentials},
		{id: "publish:cam-1", cause: causeCredentials},
		{id: "publish:open:studio:pw", cause: causeForbidden},
		{id: "publish:other:studio:pw", cause: causeUnknown},
		{id: "read:cam-on?token=tok", role: media.Play},
		{id: "read:cam-on", cause: causeCredentials},
		{id: "read:cam-on:studio:pw", cause: causeForbidden},
		{id: "read:cam-off?token=no", cause: causeCredentials}, // who may not play does not learn that there is nothing
		{id: "publish:cam-on?token=tok", cause: causeForbidden},
		{id: "publish:cam-on:studio:pw", cause: causeConflict},
		{id: "cam-1?user=both&pass=pw"},
		{id: "cam-1?user=studio&pass=pw", only: media.Publish},
		{id: "cam-1?token=tok", only: media.Play},
		{id: "cam-1?token=no", cause: causeCredentials},
		{id: "cam-1", cause: causeCredentials},
		{id: "open", only: media.Play},
		{id: "other", cause: causeUnknown},
	} {
		t.Run(c.id, func(t *testing.T) {
			got := d.ask(c.id)
			require.Equal(t, c.cause, got.cause, got.reason)
			if c.cause == "" {
				require.Equal(t, c.role, got.role)
				require.Equal(t, c.only, got.only)
			}
			require.NotContains(t, got.reason, "pw")
			require.NotContains(t, got.reason, "tok")
		})
	}
}

// TestRoleThatIsNotAllowed has callers show a role that they may not have. A controller that took them over knows it too.
func TestRoleThatIsNotAllowed(t *testing.T) {
	d := newDesk(t)
	d.access = access.NewTable([]config.Access{{Token: "publisher", Action: config.ModePublish}, {Token: "player", Action: config.ModePlay}})
	viewer := d.admitted(1, "live?token=player")
	d.eventually("the store knows", func() bool {
		r := d.guardian.record(viewer.p)
		return r.Conn != nil && r.Conn.Only == media.Play
	})
	d.says(viewer, srt.MsgDirection, srt.Direction{Role: media.Publish})
	viewer.hearsOf(srt.MsgClose, nil)
	require.EqualValues(t, 1, d.rejects[causeForbidden])
	require.Empty(t, d.streams)
	require.Contains(t, d.log.String(), "code=1403")
	require.Contains(t, d.log.String(), "it may play the stream only")

	slow := d.admitted(2, "live?token=publisher") // an encoder that needs longer to begin
	d.says(slow, srt.MsgDirection, srt.Direction{Role: media.Play})
	require.True(t, slow.p.conn.closing.IsZero())
	d.says(slow, srt.MsgDirection, srt.Direction{Role: media.Publish})
	d.live(slow)
	player := d.admitted(3, "live?token=publisher")
	d.says(player, srt.MsgDirection, srt.Direction{Role: media.Play})
	player.hearsOf(srt.MsgClose, nil)
	good := d.admitted(4, "live?token=player")
	d.says(good, srt.MsgDirection, srt.Direction{Role: media.Play})
	require.Len(t, good.hearsOf(srt.MsgBuffer, nil), 1)
}

// Who has not finished its handshake takes no place of the stream, and who finishes it when all are taken is turned away.
func TestPlacesOfAStream(t *testing.T) {
	d := newDesk(t)
	d.Config.Limits.PerStream = 3
	publisher := d.admitted(1, "publish:live")
	d.live(publisher)
	var strangers []*peer
	for id := range uint64(5) {
		strangers = append(strangers, d.unfinished(id+10, "read:live"))
	}
	d.says(publisher, srt.MsgConnected, srt.Connected{}) // told again
	for i, q := range strangers[:2] {
		d.says(q, srt.MsgConnected, srt.Connected{})
		require.True(t, q.p.conn.closing.IsZero(), i)
	}
	require.Equal(t, causePerStream, d.ask("read:live").cause)
	d.says(strangers[2], srt.MsgConnected, srt.Connected{})
	require.False(t, strangers[2].p.conn.closing.IsZero())
	require.EqualValues(t, 1, d.rejects[causePerStream])
	d.silent("live")
	next := d.unfinished(20, "publish:live")
	d.published(next)
	require.True(t, next.p.conn.closing.IsZero(), "the old one gives its place")
	require.Same(t, next.p.conn, d.streams["live"].successor)
	require.EqualValues(t, 1, d.rejects[causePerStream])
}

func TestLimits(t *testing.T) {
	d := newDesk(t)
	l := &d.Config.Limits
	from := func(peer, id string) decision { return d.decide(&srt.Request{Peer: peer, StreamID: id}, d.ports[0]) }
	publisher := d.admitted(1, "publish:one")
	d.live(publisher)
	d.admitted(2, "read:one")
	l.Connections, l.PerAddress, l.PerStream = 3, 2, 2
	require.Equal(t, causePerAddress, d.ask("publish:two").cause)
	require.Equal(t, causePerStream, from("198.51.100.1:1", "read:one").cause)
	require.Equal(t, causePerStream, from("198.51.100.1:1", "one").cause, "unstated too")
	require.Equal(t, causeConflict, d.ask("publish:one").cause, "what can't be anyway is told first")
	require.Equal(t, causeNoPublisher, d.ask("read:two").cause)
	require.Empty(t, from("198.51.100.1:1", "publish:two").cause)
	d.silent("one")
	require.Empty(t, d.ask("publish:one").cause, "the connection that gives way does not count")

	l.Connections = 2
	require.Equal(t, causeConnections, from("198.51.100.1:1", "publish:two").cause)
	*l = config.Limits{}
	for i := range 20 {
		d.admitted(uint64(10+i), fmt.Sprintf("publish:s%d", i))
	}
	require.Empty(t, d.ask("publish:more").cause, "0 means no limit")

	// Those who wait for a process count: so do IPv6 addresses, by their /64.
	l.PerAddress = 2
	for i, peer := range []string{"[2001:db8::1]:1", "[2001:db8::2]:1"} {
		require.Empty(t, from(peer, "publish:six").cause)
		d.says(d.listener, srt.MsgRequest, srt.Request{ID: uint64(100 + i), Peer: peer, StreamID: fmt.Sprintf("publish:six%d", i)})
	}
	require.Equal(t, causePerAddress, from("[2001:db8::3]:1", "publish:six").cause)
	require.Empty(t, from("[2001:db8:0:1::3]:1", "publish:six").cause)
}

// Callers are refused while there still are descriptors for what everybody needs, and come in again when others have gone.
func TestDescriptorsAreKeptInReserve(t *testing.T) {
	d := newDesk(t)
	d.files = 1024
	n := 0
	for d.ask("publish:more").cause == "" {
		require.Less(t, n, 1024)
		d.admitted(uint64(n+1), fmt.Sprintf("publish:s%d", n))
		n++
	}
	why := d.ask("publish:more")
	require.Equal(t, causeConnections, why.cause)
	require.Contains(t, why.reason, "LimitNOFILE")
	held := n*(filesOfProcess+filesOfStream) + filesOfServer + apiConnections(1024)
	require.InDelta(t, 1024, held, 2*(filesOfProcess+filesOfStream))
	require.GreaterOrEqual(t, n, 100)
	d.files = 0
	_, err := d.spawn(roleConnection)
	require.ErrorIs(t, err, errFiles)
	_, err = d.spawn(roleHTTP)
	require.NotErrorIs(t, err, errFiles, "what everybody needs is started in any case")
	d.files = 2048
	require.Empty(t, d.ask("publish:more").cause)
}

// TestPassphraseThatIsWrong is what libsrt refuses, which only its process learns.
func TestPassphraseThatIsWrong(t *testing.T) {
	d := newDesk(t)
	for reason, why := range map[string]cause{srt.FailSecret: causeBadSecret, srt.FailUnsecure: causeNoSecret} {
		q := d.idle()
		require.NotZero(t, d.calls(uint64(len(reason)), "publish:live").Child)
		for range 3 {
			d.says(q, srt.MsgFailed, srt.Failed{Reason: reason, Code: why.code()})
		}
		d.ends(q, "exit status 0")
		require.EqualValues(t, 1, d.rejects[why])
		require.EqualValues(t, 1, d.failures[reason])
	}
	q := d.admitted(1, "publish:live")
	d.says(q, srt.MsgFailed, srt.Failed{Reason: srt.FailSecret})
	require.EqualValues(t, 1, d.rejects[causeBadSecret], "it was accepted")
}

func TestEveryCauseHasACode(t *testing.T) {
	for why, code := range codes {
		require.Equal(t, fmt.Sprint(code), srt.CodeName(code), why)
		require.Equal(t, strings.ToLower(string(why)), string(why))
	}
}

// TestSecretsStayInside lets every kind of caller in and out, and looks for what they said.
func TestSecretsStayInside(t *testing.T) {
	d := newDesk(t)
	d.access = access.NewTable([]config.Access{{User: "me", Password: "hidden1"}, {Token: "hidden2"}})
	for i, id := range []string{
		"publish:a:me:hidden1", "read:a?token=hidden2", "b?user=me&pass=hidden1", "#!::r=c,m=publish,u=me,s=hidden1", "publish:a:me:hidden3", "a?token=hidden4",
		"hidden5:live", "#!::r=live,hidden6", "#!::r=live,m=hidden7", "live&token=hidden8", "#!:hidden9", "publish:d/hidden0", "publish:e:me:hidden1:x=hidden2",
	} {
		q := d.idle()
		d.asks(uint64(i+1), id)
		m, _ := d.listener.hears()
		require.NotContains(t, string(m.Body), "hidden", id)
		for m, _ := q.hears(); m.Type != ""; m, _ = q.hears() {
			require.NotContains(t, string(m.Body), "hidden", id)
		}
	}
	shown, err := json.Marshal([]any{d.Connections(), d.Streams()})
	require.NoError(t, err)
	require.NotContains(t, string(shown)+d.log.String(), "hidden")
}
