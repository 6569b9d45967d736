package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"brume/api"
	"brume/config"
	"brume/media"
	"brume/srt"
)

func TestPush(t *testing.T) {
	d := newDesk(t)
	d.withCallers("live", config.StreamConfig{Push: []config.URL{"srt://127.0.0.1:9?passphrase=correct%20horse&streamid=publish:$stream"}})
	push := func() api.Push {
		all := d.Pushes()
		require.Len(t, all, 1)
		return all[0]
	}
	d.after(0)
	require.Equal(t, api.CallWaiting, push().State)
	require.Equal(t, "live-0", push().ID)
	require.NotContains(t, push().URL, "horse")
	publisher := d.admitted(1, "publish:live")
	d.after(0)
	require.Empty(t, d.out.calls, "it is not live yet")
	d.live(publisher)
	d.after(0)
	call, told, files := d.called()
	require.Len(t, files, 2, "a socket and the buffer")
	require.Equal(t, []any{media.Play, "publish:live", secret}, []any{told.Role, told.StreamID, told.Passphrase})
	flags, err := unix.FcntlInt(files[1].Fd(), unix.F_GETFL, 0)
	require.NoError(t, err)
	require.Equal(t, unix.O_RDONLY, flags&unix.O_ACCMODE)
	d.says(call, srt.MsgConnected, srt.Connected{})
	require.Equal(t, api.CallConnected, push().State)
	require.Equal(t, call.p.conn.ID, push().Connection)
	require.Zero(t, mustStream(t, d, "live").Viewers.SRT, "a target is no viewer")

	d.fails(call, srt.Failed{Reason: srt.FailPeer})
	require.Equal(t, api.CallFailed, push().State)
	d.after(2 * time.Second)
	call, _, _ = d.called()
	d.says(call, srt.MsgConnected, srt.Connected{})
	d.fails(call, srt.Failed{Reason: srt.FailStreamEnd})
	require.Equal(t, api.CallWaiting, push().State)
	require.EqualValues(t, 1, push().Failures[srt.FailPeer])
	require.Len(t, push().Failures, 1, "the end of the stream is no failure")
	d.ends(publisher, "exit status 0")
	d.after(time.Minute)
	require.Empty(t, d.out.calls)
	require.ErrorIs(t, d.EndPush("live-0"), api.ErrConflict)
	require.NotContains(t, d.log.String(), "correct")
}

func TestPushesOfAPattern(t *testing.T) {
	d := newDesk(t)
	d.withCallers("cam-*", config.StreamConfig{Push: []config.URL{"srt://127.0.0.1:9?streamid=$stream", "srt://127.0.0.1:10"}})
	require.Empty(t, d.Pushes())
	publisher := d.admitted(1, "publish:cam-1")
	d.live(publisher)
	d.after(0)
	require.Len(t, d.Pushes(), 2)
	require.Len(t, d.out.calls, 2)
	d.removeStream(d.streams["cam-1"])
	for range 2 { // one sees that they are not needed, the next forgets them
		for _, conn := range d.connections {
			if conn.dialer != nil {
				d.closeConnection(conn)
			}
		}
		d.tendCalls(time.Now())
	}
	d.tendCalls(time.Now())
	require.Empty(t, d.Pushes())
}

func TestPushByTheAPI(t *testing.T) {
	d := newDesk(t)
	d.withCallers("x", config.StreamConfig{})
	publisher := d.admitted(1, "publish:live")
	d.live(publisher)
	const url = "srt://127.0.0.1:9?passphrase=correct%20horse"
	for _, bad := range []string{"", "rtmp://h", "srt://h:1?passphrase=short", "srt://127.0.0.1:1?mode=rendezvous"} {
		_, err := d.StartPush("live", bad)
		require.ErrorIs(t, err, api.ErrInvalid, bad)
		require.NotContains(t, err.Error(), "short")
	}
	_, err := d.StartPush("../x", url)
	require.ErrorIs(t, err, api.ErrInvalid)
	p, err := d.StartPush("live", url)
	require.NoError(t, err)
	require.Equal(t, api.CallConnecting, p.State)
	require.Equal(t, "srt://127.0.0.1:9?passphrase=***", p.URL)
	_, err = d.StartPush("live", url)
	require.ErrorIs(t, err, api.ErrConflict)
	got, err := d.Push(p.ID)
	require.NoError(t, err)
	require.Equal(t, p, got)
	d.eventually("it is in the store", func() bool { return len(d.guardian.kinds(kindPush)) == 1 })

	call, _, _ := d.called()
	d.says(call, srt.MsgConnected, srt.Connected{})
	require.NoError(t, d.EndPush(p.ID))
	require.ErrorIs(t, d.EndPush(p.ID), api.ErrNotFound)
	call.hearsOf(srt.MsgClose, nil)
	d.fails(call, srt.Failed{Reason: srt.FailClosed})
	d.after(time.Minute)
	require.Empty(t, d.out.calls)
	require.Empty(t, d.Pushes())
	d.eventually("it is gone from the store", func() bool { return len(d.guardian.kinds(kindPush)) == 0 })
	require.NotContains(t, d.log.String(), "correct")

	t.Run("too many", func(t *testing.T) {
		for i := range maxPushes {
			d.out.pushes[strings.Repeat("x", i+1)] = &push{dialer: dialer{stream: "x"}}
		}
		_, err := d.StartPush("live", url)
		require.ErrorIs(t, err, api.ErrConflict)
		d.out.pushes = map[string]*push{}
	})
}
