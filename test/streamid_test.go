package test

import (
	"strings"
	"testing"

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
