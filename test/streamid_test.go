package test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// encoderIDs are stream ids as encoders send them; NAME is the stream. The source of each stands in docs/interop.md.
var encoderIDs = []struct {
	name, id string
	port     bool // it names no stream: the port's is published
}{
	{name: "OBS, in its server's address", id: "publish:NAME"},
	{name: "OBS, as its stream key", id: "NAME"},
	{name: "vMix, its Stream ID", id: "NAME"},
	{name: "vMix, access control syntax", id: "#!::r=NAME,m=publish"},
	{name: "vMix, without a Stream ID", id: "", port: true},
	{name: "Larix, with user and password", id: "#!::r=NAME,m=publish,u=user,s=secret"},
	{name: "Larix, publish and query", id: "publish:NAME?user=user&pass=secret"},
	{name: "Blackmagic, key as the user", id: "#!::bmd_uuid=0e1df79f-77e6-465c-b099-29a616e964f7,bmd_name=Streaming Encoder,u=NAME"},
	{name: "Blackmagic, key as the resource", id: "#!::bmd_uuid=0e1df79f-77e6-465c-b099-29a616e964f7,bmd_name=rdt-wp-003,r=NAME,m=publish"},
	{name: "Blackmagic, older order", id: "#!::r=NAME,m=publish,bmd_uuid=0e1df79f-77e6-465c-b099-29a616e964f7,bmd_name=ATEM Mini Pro"},
	{name: "Blackmagic, without a key", id: "#!::bmd_uuid=0e1df79f-77e6-465c-b099-29a616e964f7,bmd_name=Web Presenter HD", port: true},
	{name: "Haivision, standard keys", id: "#!::u=admin,r=NAME"},
	{name: "Haivision, standard keys of newer ones", id: "#!::u=admin,r=NAME,m=publish"},
	{name: "Haivision, access control with all keys", id: "#!::h=host.example,r=NAME,m=publish,t=stream,s=session1,u=admin"},
}

// TestEncodersStreamIDs publishes with each, by libsrt as the encoders do, and finds the media at the stream that is meant.
func TestEncodersStreamIDs(t *testing.T) {
	t.Parallel()
	file := plainClip(t)
	s := start(t)
	for i, e := range encoderIDs {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			at, stream := s.in(t), "encoder"+string(rune('a'+i))
			if e.port {
				stream = "port" + string(rune('a'+i))
				at = start(t, "BRUME_SRT_STREAM="+stream)
			}
			c := call{address: at.srt, id: strings.ReplaceAll(e.id, "NAME", stream)}
			feeding(t, file, launchPiped(t, libsrtCaller(false, "publish", c)))
			at.waitState(stream, "live")
			require.Len(t, at.stream(stream).Tracks, 2)
			all := at.connections("stream=" + stream)
			require.Len(t, all, 1)
			require.Equal(t, "publish", all[0].Role)
			require.NotContains(t, at.log.String(), "secret")
		})
	}
}

// TestNamesWithPlus publishes with ffmpeg, which takes the + of its URL for a blank, and watches as browsers ask: with %2B.
func TestNamesWithPlus(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, name := range []string{"live+room1", "live%2Broom2"} {
		s.publish(plainClip(t), "publish:"+name)
		escaped := strings.ReplaceAll(name, "+", "%2B")
		s.waitState(escaped, "live")
		require.Equal(t, strings.ReplaceAll(name, "%2B", "+"), s.stream(escaped).Name)
		s.waitPlayable(escaped)
		status, _, _ := s.fetch("/" + escaped + ".html")
		require.Equal(t, http.StatusOK, status)
		for output, url := range s.outputs(escaped) {
			found := probe(t, url)
			require.NotEmpty(t, found.codecs("video"), output)
		}
	}
}

// TestNamesWithSlashes publishes as users of SRS and others have it in their encoders, at ports with each setting.
func TestNamesWithSlashes(t *testing.T) {
	t.Parallel()
	s := startWith(t, "srt: {slash: last, ports: [{address: '127.0.0.1:0', slash: join}, {address: '127.0.0.1:0', slash: refuse}]}\n")
	ports := s.ports
	file := plainClip(t)
	for i, c := range []struct {
		port       int
		id, stream string
	}{
		{0, "#!::h=live/one,m=publish", "one"},
		{0, "#!::h=host.example,r=app/two,m=publish", "two"},
		{0, "publish:default/app/three", "three"},
		{1, "live/four", "live+four"},
	} {
		feeding(t, file, launchPiped(t, libsrtCaller(i%2 == 0, "publish", call{address: ports[c.port], id: c.id})))
		s.waitState(c.stream, "live")
	}
	refused := launch(t, "ffmpeg", "-nostdin", "-v", "error", "-i", file, "-c", "copy", "-f", "mpegts", "-srt_streamid", "publish:app/five:me:hidden", "srt://"+ports[2])
	s.eventually(30*time.Second, "the refusal is in the log", func() bool {
		return strings.Contains(s.log.String(), "publish:app/***:me:***") && strings.Contains(s.log.String(), "srt.slash")
	})
	refused.wait(t, 30*time.Second)
	require.Error(t, refused.err)
	require.NotContains(t, s.log.String(), "hidden")
}
