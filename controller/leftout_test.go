package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/api"
	"brume/media"
	"brume/media/ts"
	"brume/outputs/httpd"
	"brume/srt"
)

var (
	oldVideo = ts.LeftOut{PID: 0x100, StreamType: 2, Type: "mpeg2video", Reason: ts.LeftOutType}
	hidden   = ts.LeftOut{PID: 0x101, StreamType: 15, Type: "aac", Language: "deu", Reason: ts.LeftOutScrambled}
)

const whyNothing = "nothing that the publisher sends can be played: mpeg2video on PID 256 is not supported, aac on PID 257 is scrambled"

// unplayableIn are what the http process was told of a stream, in order.
func unplayableIn(t *testing.T, web *peer) (all []string) {
	t.Helper()
	for {
		m, _ := web.hears()
		switch m.Type {
		case "":
			return all
		case httpd.MsgStream:
			var s httpd.Stream
			require.NoError(t, m.Decode(&s))
			all = append(all, s.Unplayable)
		}
	}
}

// TestUnplayable: a stream of which nothing can be played says so to everybody, until something can be.
func TestUnplayable(t *testing.T) {
	d := newDesk(t)
	web := d.join(roleHTTP)
	q := d.admitted(1, "publish:live")
	waits, early := d.admitted(2, "read:live"), d.admitted(3, "live")
	s := d.streams["live"]
	nothing := srt.LeftOut{Nothing: true, List: []ts.LeftOut{oldVideo, hidden}}
	d.says(q, srt.MsgLeftOut, nothing)
	v, err := d.Stream("live")
	require.NoError(t, err)
	require.Equal(t, api.StreamUnplayable, v.State)
	require.Equal(t, whyNothing, v.Reason)
	require.Empty(t, v.WaitsFor)
	require.Equal(t, []api.LeftOut{api.LeftOut(oldVideo), api.LeftOut(hidden)}, v.LeftOut)

	waits.hearsOf(srt.MsgClose, nil)
	require.Empty(t, waits.granted())
	d.says(early, srt.MsgDirection, srt.Direction{Role: media.Play})
	early.hearsOf(srt.MsgClose, nil)
	require.Equal(t, srt.Verdict{ID: 4, Reject: 1415, Reason: whyNothing}, d.calls(4, "read:live"))
	for _, r := range d.Refusals() {
		require.Equal(t, api.Refusal{Code: 1415, Cause: "unplayable", Reason: whyNothing}, api.Refusal{Code: r.Code, Cause: r.Cause, Reason: r.Reason})
	}
	require.Len(t, d.Refusals(), 2, "one was refused twice")
	require.Equal(t, []string{"", whyNothing}, unplayableIn(t, web))

	d.says(q, srt.MsgLeftOut, srt.LeftOut{List: []ts.LeftOut{oldVideo}})
	require.Equal(t, api.StreamStarting, s.state())
	d.live(q)
	d.monitor(time.Now())
	require.Equal(t, api.StreamLive, s.state())
	require.Empty(t, s.view().Reason)
	d.admitted(5, "read:live")
	d.says(q, srt.MsgLeftOut, nothing)
	require.Equal(t, api.StreamUnplayable, s.state(), "what came before is over")
	require.Equal(t, []string{"", whyNothing}, unplayableIn(t, web))

	d.ends(q, "killed by SIGKILL")
	require.Equal(t, api.StreamOffline, s.state())
	require.Empty(t, s.view().LeftOut)
	require.Equal(t, []string{""}, unplayableIn(t, web))
	d.admitted(6, "read:live") // for the next publisher
	var told []api.EventType
	for _, e := range toldEvents(t, d.Controller) {
		if strings.HasPrefix(string(e.Type), "stream.") {
			told = append(told, e.Type)
			require.Equal(t, e.Type == api.EventUnplayable, e.Reason == whyNothing)
		}
	}
	require.Equal(t, []api.EventType{api.EventStarting, api.EventUnplayable, api.EventStarting, api.EventLive, api.EventUnplayable, api.EventOffline}, told)
}

// TestUnplayableButRaw: SRT viewers of a transport stream that is kept as it came get it, HLS viewers are told.
func TestUnplayableButRaw(t *testing.T) {
	d := newDesk(t)
	web := d.join(roleHTTP)
	q := d.admitted(1, "publish:live")
	d.live(q)
	d.streams["live"].raw = 1
	d.says(q, srt.MsgLeftOut, srt.LeftOut{Nothing: true})
	require.Equal(t, api.StreamLive, d.streams["live"].state())
	d.admitted(2, "read:live")
	require.Equal(t, []string{"", "the publisher sends no audio and no video"}, unplayableIn(t, web))
}

// TestLeftOutIsHeard: each stream of a publisher has its own, each is said once, and a process that was taken over can't say what
// it likes.
func TestLeftOutIsHeard(t *testing.T) {
	d := muxDesk(t)
	q := d.admitted(1, "publish:mux")
	for range 2 {
		d.says(q, srt.MsgLeftOut, srt.LeftOut{Of: 0, List: []ts.LeftOut{oldVideo}})
		d.says(q, srt.MsgLeftOut, srt.LeftOut{Of: 2, List: []ts.LeftOut{hidden}})
		d.says(q, srt.MsgLeftOut, srt.LeftOut{Of: 2})
	}
	require.Equal(t, []api.LeftOut{api.LeftOut(oldVideo)}, d.streams["mux"].view().LeftOut)
	require.Empty(t, d.streams["sport"].view().LeftOut)
	require.Empty(t, d.streams["kids"].view().LeftOut)
	require.Equal(t, 2, strings.Count(d.log.String(), "not carried"))
	require.Contains(t, d.log.String(), "stream=kids")
	require.Contains(t, d.log.String(), "pid=257 type=aac stream_type=15 language=deu reason=scrambled")

	bad := make([]ts.LeftOut, 0, 500)
	for i := range 500 {
		l := oldVideo
		l.PID = uint16(i)
		switch i % 5 {
		case 1:
			l.Type = "level=ERROR"
		case 2:
			l.Language = "d\n="
		case 3:
			l.Reason = "anything"
		case 4:
			l.PID = 0xFFFF
		}
		bad = append(bad, l)
	}
	d.says(q, srt.MsgLeftOut, srt.LeftOut{List: bad})
	require.Len(t, d.streams["mux"].view().LeftOut, 13, "of the first 64")
	for _, of := range []int{-1, 3, 1 << 30} {
		d.says(q, srt.MsgLeftOut, srt.LeftOut{Of: of, Nothing: true})
	}
	start := time.Now()
	for range 500 {
		d.says(q, srt.MsgLeftOut, srt.LeftOut{Nothing: true})
		d.says(q, srt.MsgLeftOut, srt.LeftOut{})
	}
	require.LessOrEqual(t, strings.Count(d.log.String(), "can't be played"), int(float64(linesPerSecond)*(1+time.Since(start).Seconds())))
	viewer := d.admitted(2, "read:mux")
	d.says(viewer, srt.MsgLeftOut, srt.LeftOut{Nothing: true})
	for _, name := range mappedStreams {
		require.Equal(t, api.StreamStarting, d.streams[name].state(), name)
	}
}
