package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/config"
	"brume/media"
	"brume/srt"
	"brume/untrusted"
)

// ask is the decision about a caller at the first port.
func (d *desk) ask(streamID string) decision {
	return d.decide(&srt.Request{Peer: "192.0.2.1:5000", StreamID: streamID}, d.ports[0])
}

func TestDecide(t *testing.T) {
	d := newDesk(t)
	d.live(d.admitted(1, "publish:taken"))
	d.live(d.admitted(2, "publish:silent"))
	d.silent("silent")
	left := d.admitted(3, "publish:left")
	d.live(left)
	d.ends(left, "exit status 0")
	d.live(d.admitted(4, "publish:over"))
	d.streams["over"].publisher, d.streams["over"].over = nil, time.Now()

	for _, c := range []struct {
		id     string
		reject int
		stream string
		role   media.Role
	}{
		{id: "", stream: "live"},
		{id: "new", stream: "new"},
		{id: "taken", stream: "taken"}, // decided later, by what it shows
		{id: "publish:new", stream: "new", role: media.Publish},
		{id: "#!::r=new,m=publish,u=who", stream: "new", role: media.Publish},
		{id: "publish:taken", reject: srt.RejectConflict},
		{id: "publish:silent", stream: "silent", role: media.Publish},
		{id: "publish:left", stream: "left", role: media.Publish},
		{id: "publish:over", stream: "over", role: media.Publish},
		{id: "read:taken", stream: "taken", role: media.Play},
		{id: "read:left", stream: "left", role: media.Play},
		{id: "read:over", reject: srt.RejectNotFound},
		{id: "read:new", reject: srt.RejectNotFound},
		{id: "read:../etc/passwd", reject: srt.RejectBadRequest},
		{id: "publish:a\x00b", reject: srt.RejectBadRequest},
		{id: strings.Repeat("a", 600), reject: srt.RejectBadRequest},
	} {
		t.Run(untrusted.Text(c.id, 40), func(t *testing.T) {
			got := d.ask(c.id)
			require.Equal(t, c.reject, got.cause.code(), got.reason)
			if c.reject == 0 {
				require.Equal(t, c.stream, got.stream)
				require.Equal(t, c.role, got.role)
			}
		})
	}

	d.pool.waiting = make([]waiting, maxWaiting)
	require.Equal(t, srt.RejectOverload, d.ask("publish:new").cause.code())
	d.pool.waiting = nil
	d.stopping = true
	require.Equal(t, srt.RejectUnavailable, d.ask("publish:new").cause.code())
}

func TestSecretsAreNotLogged(t *testing.T) {
	for _, id := range []string{"live?token=hidden", "#!::r=live,m=publish,u=me,s=hidden", "publish:live:me:hidden", "read:../x:hidden", "\xff\xfe"} {
		require.NotContains(t, shownID(id), "hidden", id)
	}
}

// TestSlashOfThePort has the same name at ports with different settings.
func TestSlashOfThePort(t *testing.T) {
	d := newDesk(t)
	for way, stream := range map[srt.Slash]string{srt.SlashLast: "live", srt.SlashJoin: "app+live"} {
		got := d.decide(&srt.Request{Peer: "192.0.2.1:5000", StreamID: "publish:app/live"}, d.opens(string(way), config.Port{Slash: way}))
		require.Empty(t, got.cause, got.reason)
		require.Equal(t, stream, got.stream)
	}
	got := d.decide(&srt.Request{Peer: "192.0.2.1:5000", StreamID: "publish:app/live"}, d.ports[0])
	require.Equal(t, causeBadRequest, got.cause)
	require.Contains(t, got.reason, "srt.slash")
	got = d.decide(&srt.Request{Peer: "192.0.2.1:5000", StreamID: "read:app/on"}, d.opens("none", config.Port{Slash: srt.SlashLast}))
	require.Equal(t, causeNoPublisher, got.cause)
	require.Equal(t, "on", refusalOf(&srt.Request{StreamID: "read:app/on"}, srt.SlashLast, got.reason).Stream)
}

func TestRefusalsAreCountedAndTheirLogIsBounded(t *testing.T) {
	d := newDesk(t)
	for i := range uint64(200) {
		require.Equal(t, srt.RejectNotFound, d.calls(i+1, "read:nothing").Reject)
	}
	require.EqualValues(t, 200, d.rejects[causeNoPublisher])
	require.LessOrEqual(t, strings.Count(d.log.String(), "refused an SRT caller"), 3*linesPerSecond)
}
