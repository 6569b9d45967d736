package mpegts

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/media/ts"
)

// scramble marks the packets of a PID as scrambled from packet from on (ISO/IEC 13818-1 table 2-4).
func (c *crafter) scramble(pid uint16, from int) *crafter {
	for at := from * ts.PacketSize; at < len(c.buf); at += ts.PacketSize {
		if p := c.buf[at:]; uint16(p[1]&0x1F)<<8|uint16(p[2]) == pid {
			p[3] |= 0xC0
		}
	}
	return c
}

// drip gives what was crafted in as many pieces as there are half seconds in d, and then forgets it.
func (c *crafter) drip(t *testing.T, demux *Demuxer, at *time.Duration, d time.Duration) {
	t.Helper()
	n := int(d / (500 * time.Millisecond))
	for len(c.buf) < 4*n*ts.PacketSize { // it takes three to find the sync byte
		c.packet(ts.PIDNull, false, nil, []byte{0})
	}
	packets := len(c.buf) / ts.PacketSize
	for i := range n {
		*at += 500 * time.Millisecond
		demux.SetTime(*at)
		require.NoError(t, demux.Write(c.buf[packets*i/n*ts.PacketSize:packets*(i+1)/n*ts.PacketSize]))
	}
	c.buf = nil
}

// reasons are those of what is left out, by PID.
func reasons(d *Demuxer) map[uint16]ts.LeftOutReason {
	m := map[uint16]ts.LeftOutReason{}
	for _, l := range d.LeftOut() {
		m[l.PID] = l.Reason
	}
	return m
}

func TestLeftOut(t *testing.T) {
	const teletext = "\x0A\x04deu\x00\x56\x05deu\x09\x00"
	video, audio := onlyVideo[0], withAudio[1]
	frame := adtsFrame(2, 20)
	for _, c := range []struct {
		name    string
		in      *crafter
		want    map[uint16]ts.LeftOutReason
		nothing bool
	}{
		{
			"all is carried", craft().tables(0, withAudio...).audio(pidAudio, 90000, aac(3)).gop(90000, 100),
			map[uint16]ts.LeftOutReason{},
			false,
		},
		{
			"types", craft().tables(0, video, es{2, 0x200, ""}, es{0x82, 0x201, ""}, es{6, 0x202, teletext}, es{6, 0x203, "\x59\x00"}).gop(90000, 100),
			map[uint16]ts.LeftOutReason{0x200: ts.LeftOutType, 0x201: ts.LeftOutType, 0x202: ts.LeftOutType, 0x203: ts.LeftOutType},
			false,
		},
		{
			"nothing but types", craft().tables(0, es{2, pidVideo, ""}, es{0x82, pidAudio, ""}).gop(90000, 10),
			map[uint16]ts.LeftOutReason{pidVideo: ts.LeftOutType, pidAudio: ts.LeftOutType},
			true,
		},
		{"no streams", craft().tables(0).pcr(pidVideo, 90000, false), map[uint16]ts.LeftOutReason{}, true},
		{"no tables", craft().gop(90000, 10), map[uint16]ts.LeftOutReason{}, false},
		{
			"PIDs", craft().tables(0, video, es{ts.StreamTypeH264, pidVideo, ""}, es{ts.StreamTypeH264, 5, ""}).gop(90000, 100),
			map[uint16]ts.LeftOutReason{pidVideo: ts.LeftOutPID, 5: ts.LeftOutPID},
			false,
		},
		{
			"scrambled video", craft().tables(0, withAudio...).gop(90000, 10).scramble(pidVideo, 0).audio(pidAudio, 90000, aac(9)),
			map[uint16]ts.LeftOutReason{pidVideo: ts.LeftOutScrambled},
			false,
		},
		{
			"all scrambled", craft().tables(0, withAudio...).gop(90000, 10).audio(pidAudio, 90000, aac(50)).scramble(pidVideo, 0).scramble(pidAudio, 0),
			map[uint16]ts.LeftOutReason{pidVideo: ts.LeftOutScrambled, pidAudio: ts.LeftOutScrambled},
			true,
		},
		{
			"silent audio", craft().tables(0, withAudio...).gop(90000, 100),
			map[uint16]ts.LeftOutReason{pidAudio: ts.LeftOutSilent},
			false,
		},
		{
			"audio that is something else", craft().tables(0, withAudio...).gop(90000, 100).audio(pidAudio, 90000, fill(nil, 5000)),
			map[uint16]ts.LeftOutReason{pidAudio: ts.LeftOutUnreadable},
			false,
		},
		{"a keyframe may come", craft().tables(0, video).video(90000, none, inter(5000)).video(93600, none, inter(500)), map[uint16]ts.LeftOutReason{}, false},
		{
			"cues alone", craft().tables(0, es{ts.StreamTypeSCTE35, pidMore, ""}).pcr(pidVideo, 90000, false),
			map[uint16]ts.LeftOutReason{},
			true,
		},
		{
			"audio alone", craft().tables(0, audio).audio(pidAudio, 90000, frame, frame, frame),
			map[uint16]ts.LeftOutReason{},
			false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewDemuxer(&recorder{}, Options{})
			at := time.Duration(0)
			c.in.drip(t, d, &at, 4*time.Second)
			c.in.drip(t, d, &at, time.Second)
			require.Equal(t, c.want, reasons(d))
			require.Equal(t, c.nothing, d.Nothing())
		})
	}
}

// TestLeftOutNames: what is left out is named as the PMT tells it.
func TestLeftOutNames(t *testing.T) {
	c := craft().tables(0, es{2, 0x200, ""}, es{6, 0x201, "\x0A\x04deu\x00\x56\x05deu\x09\x00"}, es{0x99, 0x202, ""}, es{6, 0x203, "\x7F\x02\x0E\x00"})
	d := NewDemuxer(&recorder{}, Options{})
	at := time.Duration(0)
	c.drip(t, d, &at, time.Second)
	require.Equal(t, []ts.LeftOut{
		{PID: 0x200, StreamType: 2, Type: "mpeg2video", Reason: ts.LeftOutType},
		{PID: 0x201, StreamType: 6, Type: "teletext", Language: "deu", Reason: ts.LeftOutType},
		{PID: 0x202, StreamType: 0x99, Type: "unknown", Reason: ts.LeftOutType},
		{PID: 0x203, StreamType: 6, Type: "dts", Reason: ts.LeftOutType},
	}, d.LeftOut())
	require.False(t, d.Nothing(), "not at once: other tables may follow")
	for _, l := range d.LeftOut() {
		require.True(t, ts.IsElementName(l.Type))
		require.True(t, l.Reason.Known())
	}
}

// TestKeyframeNeverComes: a video is left out when its epoch has not waited for it any longer.
func TestKeyframeNeverComes(t *testing.T) {
	d := NewDemuxer(&recorder{}, Options{VideoWait: 6 * time.Second})
	at := time.Duration(0)
	c := craft().tables(0, withAudio...)
	for i := range int64(25) {
		c.video(90000+3600*i, none, inter(50)).audio(pidAudio, 90000+3600*i, adtsFrame(2, 20))
	}
	c.drip(t, d, &at, 5*time.Second)
	require.Empty(t, d.LeftOut())
	c.audio(pidAudio, 90000+3600*25, adtsFrame(2, 20)).drip(t, d, &at, 2*time.Second)
	require.Equal(t, map[uint16]ts.LeftOutReason{pidVideo: ts.LeftOutKeyframe}, reasons(d))
	require.False(t, d.Nothing())
}

// TestScrambledLater: a program that is scrambled while it is carried has nothing, until it is in the clear again.
func TestScrambledLater(t *testing.T) {
	d := NewDemuxer(&recorder{}, Options{})
	at := time.Duration(0)
	c := craft().tables(0, onlyVideo...).gop(90000, 25)
	c.drip(t, d, &at, time.Second)
	require.Empty(t, d.LeftOut())
	c.gop(180000, 100).scramble(pidVideo, 0).drip(t, d, &at, 4*time.Second)
	require.Equal(t, map[uint16]ts.LeftOutReason{pidVideo: ts.LeftOutScrambled}, reasons(d))
	require.True(t, d.Nothing())
	c.gop(540000, 25).drip(t, d, &at, time.Second)
	require.Empty(t, d.LeftOut())
	require.False(t, d.Nothing())

	at += 10 * time.Second
	c.pcr(pidVideo, 1440000, false).drip(t, d, &at, time.Second)
	require.Empty(t, d.LeftOut(), "a pause leaves nothing out")
	c.gop(1440000, 1).scramble(pidVideo, 0).buf = c.buf[:2*ts.PacketSize]
	c.drip(t, d, &at, time.Second)
	require.Empty(t, d.LeftOut(), "damage leaves nothing out")
}

// TestMuchLeftOut: what is told of a PMT is bounded.
func TestMuchLeftOut(t *testing.T) {
	streams := []es{onlyVideo[0]}
	for i := range uint16(150) {
		streams = append(streams, es{2, 0x400 + i, ""})
	}
	d := NewDemuxer(&recorder{}, Options{})
	at := time.Duration(0)
	craft().tables(0, streams...).gop(90000, 25).drip(t, d, &at, 4*time.Second)
	require.Len(t, d.LeftOut(), ts.MaxLeftOut)
}
