package srt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// conclusion is one that a caller of libsrt 1.5.1 sends.
func conclusion(streamID string) *Handshake {
	h := &Handshake{
		Timestamp: 1234, Version: 5, Encryption: 0, Extension: flagHSREQ | flagConfig, ISN: 0x12345678, MTU: 1500, FlowWindow: 8192,
		Type: TypeConclusion, SocketID: 0x2f3e4d5c, Cookie: 0xcafebabe, PeerIP: [16]byte{1, 0, 0, 127},
		Ext: Extensions{HasHSREQ: true, SRTVersion: 0x010501, Flags: 0xbf, LatencyRcv: 120, LatencySnd: 80},
	}
	h.Ext.SetStreamID(streamID)
	return h
}

// block is an extension.
func block(kind uint16, body []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)/4))
	return append(b, body...)
}

// with is a conclusion with extensions as bytes.
func with(extensions ...[]byte) []byte {
	h := conclusion("")
	h.Ext = Extensions{}
	return append(h.Marshal(), bytes.Join(extensions, nil)...)
}

func hsreq() []byte { return block(extHSREQ, []byte{0, 1, 5, 1, 0, 0, 0, 0xbf, 0, 120, 0, 80}) }

func TestRoundTrips(t *testing.T) {
	full := conclusion("#!::r=live,m=publish")
	full.Ext.congestn = copy(full.Ext.congestion[:], "live")
	for _, c := range []struct {
		name string
		h    *Handshake
	}{
		{"induction of version 4", &Handshake{Version: 4, Extension: 2, ISN: 1, MTU: 1500, FlowWindow: 8192, Type: TypeInduction, SocketID: 7}},
		{"waveahand", &Handshake{Version: 5, Type: TypeWaveahand}},
		{"agreement", &Handshake{Version: 5, Type: TypeAgreement}},
		{"rejection", &Handshake{Version: 5, Type: 1404, Dest: 9}},
		{"conclusion of version 4", &Handshake{Version: 4, Type: TypeConclusion, Cookie: 3}},
		{"conclusion", conclusion("live")},
		{"conclusion without a stream id", conclusion("")},
		{"conclusion with a stream id of one word", conclusion("abcd")},
		{"conclusion with a stream id of two words", conclusion("abcdefgh")},
		{"conclusion with the longest stream id", conclusion(strings.Repeat("x", MaxStreamID))},
		{"conclusion with all", full},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.h.Marshal()
			require.True(t, IsHandshake(b))
			var got Handshake
			require.NoError(t, got.Unmarshal(b))
			require.Equal(t, *c.h, got)
			require.Equal(t, c.h.Ext.StreamID(), got.Ext.StreamID())
			require.Equal(t, HandshakeSize, c.h.MarshalSize())
			fixed := make([]byte, HandshakeSize)
			n, err := c.h.MarshalTo(fixed)
			require.NoError(t, err)
			require.Equal(t, b[:HandshakeSize], fixed[:n])
			_, err = c.h.MarshalTo(fixed[:HandshakeSize-1])
			require.ErrorIs(t, err, ErrShort)
		})
	}
}

// TestWire has the bytes of a conclusion written out, as draft-sharabayko-srt 3.2.1 has them.
func TestWire(t *testing.T) {
	want := `80000000 00000000 000004d2 00000000
		00000005 0000 0005 12345678 000005dc 00002000 ffffffff 2f3e4d5c cafebabe 0100007f 00000000 00000000 00000000
		0001 0003 00010501 000000bf 0078 0050
		0005 0002 6576696c 00000032` // "live2"
	raw, err := hex.DecodeString(strings.Join(strings.Fields(want), ""))
	require.NoError(t, err)
	require.Equal(t, raw, conclusion("live2").Marshal())
}

func TestReadExtensions(t *testing.T) {
	km := make([]byte, 16+16+16+8)
	km[15] = 4 // words of 4 bytes
	name := func(kind uint16, s string) []byte { return appendString(nil, kind, s) }
	for _, c := range []struct {
		name  string
		in    []byte
		check func(t *testing.T, e *Extensions)
	}{
		{"none", with(), func(t *testing.T, e *Extensions) { require.False(t, e.HasHSREQ) }},
		{"handshake extension", with(hsreq()), func(t *testing.T, e *Extensions) {
			require.True(t, e.HasHSREQ)
			require.Equal(t, []any{uint32(0x010501), uint32(0xbf), uint16(120), uint16(80)}, []any{e.SRTVersion, e.Flags, e.LatencyRcv, e.LatencySnd})
		}},
		{"key material", with(hsreq(), block(extKMREQ, km)), func(t *testing.T, e *Extensions) {
			require.True(t, e.HasKMREQ)
			require.Equal(t, 16, e.KeyLength)
		}},
		{"group", with(hsreq(), block(extGroup, make([]byte, 8))), func(t *testing.T, e *Extensions) { require.True(t, e.Group) }},
		{"file transfer", with(hsreq(), name(extCongestion, "file")), func(t *testing.T, e *Extensions) { require.Equal(t, "file", e.Congestion()) }},
		{"packet filter and unknown ones", with(hsreq(), name(extFilter, "fec,cols:10"), block(99, make([]byte, 40)), name(extStreamID, "live")), func(t *testing.T, e *Extensions) {
			require.Equal(t, "live", e.StreamID())
		}},
		{"stream id with words of zeros", with(block(extStreamID, []byte("evil\x00\x00\x00\x00\x00\x00\x00\x00"))), func(t *testing.T, e *Extensions) { require.Equal(t, "live", e.StreamID()) }},
		{"stream id of zeros", with(block(extStreamID, make([]byte, 8))), func(t *testing.T, e *Extensions) { require.Empty(t, e.StreamID()) }},
		{"empty stream id", with(block(extStreamID, nil)), func(t *testing.T, e *Extensions) { require.Empty(t, e.StreamID()) }},
		{"NUL in a stream id", with(name(extStreamID, "li\x00ve")), func(t *testing.T, e *Extensions) { require.Equal(t, "li\x00ve", e.StreamID()) }},
		{"16 extensions", with(bytes.Repeat(block(99, nil), maxExtensions)), func(t *testing.T, e *Extensions) { require.Zero(t, *e) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h Handshake
			require.NoError(t, h.Unmarshal(c.in))
			c.check(t, &h.Ext)
		})
	}
}

func TestMalformedHandshakes(t *testing.T) {
	good := conclusion("live").Marshal()
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"nothing", nil, ErrNotHandshake},
		{"63 bytes", good[:63], ErrNotHandshake},
		{"data packet", append([]byte{0}, good[1:]...), ErrNotHandshake},
		{"keep-alive", append([]byte{0x80, 1}, good[2:]...), ErrNotHandshake},
		{"shutdown", append([]byte{0x80, 5}, good[2:]...), ErrNotHandshake},
		{"extension header cut", good[:66], ErrMalformed},
		{"extension cut", good[:70], ErrMalformed},
		{"last extension cut", good[:len(good)-1], ErrMalformed},
		{"length over the end", with([]byte{0, 5, 0xff, 0xff}), ErrMalformed},
		{"short handshake extension", with(block(extHSREQ, make([]byte, 8))), ErrMalformed},
		{"short key material", with(block(extKMREQ, make([]byte, 12))), ErrMalformed},
		{"stream id of 516 bytes", with(block(extStreamID, bytes.Repeat([]byte{'a'}, 516))), ErrMalformed},
		{"stream id of 600 bytes", with(block(extStreamID, bytes.Repeat([]byte{'a'}, 600))), ErrMalformed},
		{"congestion control of 20 bytes", with(block(extCongestion, make([]byte, 20))), ErrMalformed},
		{"17 extensions", with(bytes.Repeat(block(99, nil), maxExtensions+1)), ErrMalformed},
		{"three bytes more", append(bytes.Clone(good), 0, 0, 0), ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h Handshake
			require.ErrorIs(t, h.Unmarshal(c.in), c.want)
			if c.want == ErrMalformed {
				require.Equal(t, uint32(0xcafebabe), h.Cookie, "the fixed part is there")
				require.Equal(t, uint32(0x2f3e4d5c), h.SocketID)
			}
		})
	}
}

func TestUnmarshalForgetsThePacketBefore(t *testing.T) {
	var h Handshake
	require.NoError(t, h.Unmarshal(conclusion("a long stream id").Marshal()))
	require.NoError(t, h.Unmarshal((&Handshake{Version: 4, Type: TypeInduction}).Marshal()))
	require.Equal(t, Handshake{Version: 4, Type: TypeInduction}, h)
}

func TestReply(t *testing.T) {
	h := conclusion("live")
	h.Encryption = 2
	r := h.Reply(TypeInduction)
	require.Equal(t, []any{h.SocketID, TypeInduction, uint32(5), uint16(magic), uint16(0), h.ISN}, []any{r.Dest, r.Type, r.Version, r.Extension, r.Encryption, r.ISN})
	r = h.Reply(RejectNotFound)
	require.Equal(t, []any{h.SocketID, HandshakeType(1404), uint16(0)}, []any{r.Dest, r.Type, r.Extension})
	require.Len(t, r.Marshal(), HandshakeSize, "no extensions")
}

func TestSetStreamIDCuts(t *testing.T) {
	var e Extensions
	e.SetStreamID(strings.Repeat("a", 600))
	require.Len(t, e.StreamID(), MaxStreamID)
}

func TestShutdown(t *testing.T) {
	b := AppendShutdown([]byte{1}, 0x01020304)
	require.Equal(t, []byte{1, 0x80, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0}, b)
	require.Len(t, b, 1+ShutdownSize)
}

func TestNames(t *testing.T) {
	require.Equal(t, "1.5.1", VersionString(0x010501))
	require.Equal(t, "255.255.255", VersionString(0xffffffff))
	require.Equal(t, "1409", CodeName(RejectConflict))
	require.Equal(t, "other", CodeName(1999))
	require.Equal(t, "other", CodeName(-1))
}

// TestKnock has what a caller of libsrt sends first, by which a listener knows it again.
func TestKnock(t *testing.T) {
	b := Knock(&Handover{SocketID: 0x01020304, ISN: 77})
	require.Len(t, b, HandshakeSize)
	var r Handshake
	require.NoError(t, r.Unmarshal(b))
	require.Equal(t, []any{TypeInduction, uint32(0), uint32(0x01020304), uint32(77), uint16(2), uint32(4), uint32(0)},
		[]any{r.Type, r.Dest, r.SocketID, r.ISN, r.Extension, r.Version, r.Cookie})
}

func TestUnmarshalAllocatesNothing(t *testing.T) {
	b := conclusion("#!::r=live,m=publish").Marshal()
	var h Handshake
	out := make([]byte, HandshakeSize)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if h.Unmarshal(b) != nil {
			panic("refused")
		}
		r := h.Reply(TypeInduction)
		_, _ = r.MarshalTo(out)
	}))
}

func FuzzHandshake(f *testing.F) {
	f.Add(conclusion("live").Marshal())
	f.Add(conclusion(strings.Repeat("x", MaxStreamID)).Marshal())
	f.Add((&Handshake{Version: 4, Type: TypeInduction}).Marshal())
	f.Add(with(hsreq(), block(extGroup, make([]byte, 8)), block(extKMREQ, make([]byte, 56))))
	f.Add(with(appendString(nil, extCongestion, "file"), block(extStreamID, make([]byte, 8))))
	f.Add(conclusion("live").Marshal()[:70])
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Handshake
		err := h.Unmarshal(b)
		if err == ErrNotHandshake {
			require.False(t, IsHandshake(b))
			return
		}
		require.LessOrEqual(t, len(h.Ext.StreamID()), MaxStreamID)
		fixed := make([]byte, HandshakeSize)
		_, marshalErr := h.MarshalTo(fixed)
		require.NoError(t, marshalErr)
		require.Equal(t, b[8:HandshakeSize], fixed[8:])
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		var again Handshake
		require.NoError(t, again.Unmarshal(h.Marshal()))
		// What is not marshalled: key material and groups, which the server never sends.
		h.Ext.HasKMREQ, h.Ext.KeyLength, h.Ext.Group = false, 0, false
		require.Equal(t, h.Ext.StreamID(), again.Ext.StreamID())
		require.Equal(t, h.Ext.Congestion(), again.Ext.Congestion())
		if h.Ext.HasHSREQ || h.Type != TypeConclusion {
			h.Ext.streamID, again.Ext.streamID = [MaxStreamID]byte{}, [MaxStreamID]byte{}
			h.Ext.congestion, again.Ext.congestion = [16]byte{}, [16]byte{}
			require.Equal(t, h, again)
		}
	})
}

func BenchmarkUnmarshal(b *testing.B) {
	p := conclusion("#!::r=live,m=publish").Marshal()
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	var h Handshake
	for b.Loop() {
		_ = h.Unmarshal(p)
	}
}
