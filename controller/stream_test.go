package controller

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/api"
	"brume/buffer"
	"brume/outputs/httpd"
	"brume/srt"
)

func TestLifeOfAStream(t *testing.T) {
	d := newDesk(t)
	http := d.join(roleHTTP)
	publisher := d.admitted(1, "publish:live")
	var told httpd.Stream
	require.Len(t, http.hearsOf(httpd.MsgStream, &told), 1)
	require.Equal(t, "live", told.Name)
	s, err := d.Stream("live")
	require.NoError(t, err)
	require.Equal(t, api.StreamStarting, s.State)
	d.live(publisher)
	viewer := d.admitted(2, "read:live")
	s, err = d.Stream("live")
	require.NoError(t, err)
	require.Equal(t, api.StreamLive, s.State)
	require.Equal(t, 1, s.Viewers.SRT)

	// The publisher leaves; its viewers are kept for the resume time.
	began := time.Now()
	d.ends(publisher, "killed by SIGKILL")
	require.ErrorIs(t, d.EndPublisher("live"), api.ErrNoPublisher)
	d.monitor(began.Add(time.Second))
	s, err = d.Stream("live")
	require.NoError(t, err)
	require.Equal(t, api.StreamOffline, s.State)
	require.NotNil(t, s.ResumeUntil)
	require.Equal(t, buffer.Ended, d.streams["live"].info.State)

	// It comes back into the same buffer.
	id := d.streams["live"].ID
	publisher = d.admitted(3, "publish:live")
	require.Equal(t, id, d.streams["live"].ID)
	d.monitor(began.Add(time.Minute))
	require.True(t, viewer.p.conn.closing.IsZero(), "the viewer stays")
	require.False(t, viewer.p.killed)

	// It leaves for good.
	d.ends(publisher, "exit status 0")
	resume := time.Duration(d.Config.Resume)
	over := time.Now().Add(resume + time.Second)
	d.monitor(over)
	d.monitor(over.Add(time.Second))
	require.Equal(t, buffer.Closed, d.streams["live"].info.State)
	require.True(t, viewer.p.conn.closing.IsZero(), "it plays out what it has")
	d.monitor(over.Add(playOut + time.Second))
	viewer.hearsOf(srt.MsgClose, nil)
	require.NotNil(t, d.streams["live"], "its playlist stays for a while")
	d.monitor(over.Add(time.Minute))
	require.Empty(t, d.streams)
	var removed httpd.Remove
	http.hearsOf(httpd.MsgRemove, &removed)
	require.Equal(t, told.ID, removed.ID)
	d.eventually("the store has forgotten the buffer", func() bool { return len(d.guardian.kinds(kindBuffer)) == 0 })
	_, err = d.Stream("live")
	require.ErrorIs(t, err, api.ErrNotFound)
}

func TestStreamBeginsAnewAfterItsEnd(t *testing.T) {
	d := newDesk(t)
	publisher := d.admitted(1, "publish:live")
	d.live(publisher)
	viewer := d.admitted(2, "read:live")
	id := d.streams["live"].ID
	d.ends(publisher, "exit status 0")
	d.monitor(time.Now().Add(time.Duration(d.Config.Resume) + time.Second))
	d.admitted(3, "publish:live")
	require.NotEqual(t, id, d.streams["live"].ID)
	require.Empty(t, d.streams["live"].players)
	viewer.hearsOf(srt.MsgClose, nil) // nobody else would end it now
}

func TestMediaKeepsAPublisherEvenWhereTheMonitorIsLate(t *testing.T) {
	d := newDesk(t)
	q := d.admitted(1, "publish:live")
	d.live(q)
	d.silent("live")
	w, err := buffer.OpenWriter(d.streams["live"].rw)
	require.NoError(t, err)
	writeUnit(w, time.Now(), 1)
	require.NoError(t, w.Close())
	require.Equal(t, srt.RejectConflict, d.calls(2, "publish:live").Reject)
	require.False(t, q.p.killed)
}

func TestSpoiledBufferEndsItsPublisherAlone(t *testing.T) {
	d := newDesk(t)
	bad, good := d.admitted(1, "publish:bad"), d.admitted(2, "publish:good")
	d.live(bad)
	d.live(good)
	junk := slices.Repeat([]byte{0xa5}, 1<<20)
	_, err := d.streams["bad"].rw.WriteAt(junk, 0)
	require.NoError(t, err)
	for range 3 {
		d.monitor(time.Now())
	}
	require.True(t, d.streams["bad"].corrupt)
	require.False(t, bad.p.conn.closing.IsZero())
	require.True(t, good.p.conn.closing.IsZero())
	require.Equal(t, srt.RejectNotFound, d.calls(3, "read:bad").Reject)
	d.ends(bad, "exit status 0")
	require.Nil(t, d.streams["bad"])
	d.admitted(4, "publish:bad")
	require.False(t, d.streams["bad"].corrupt, "the next one has a new buffer")
}
