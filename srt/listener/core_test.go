package listener

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/srt"
)

var (
	epoch = time.Unix(1_700_000_010, 0) // on the boundary of a cookie's slot
	local = netip.MustParseAddrPort("192.0.2.1:8889")
	alice = netip.MustParseAddrPort("198.51.100.7:5000")
)

func induction(socket uint32) []byte {
	h := srt.Handshake{Version: 4, Extension: 2, ISN: 9, MTU: 1500, FlowWindow: 8192, Type: srt.TypeInduction, SocketID: socket}
	return h.Marshal()
}

// conclusion is one of a live caller, changed by edit.
func conclusion(socket, cookie uint32, streamID string, edit func(h *srt.Handshake)) []byte {
	h := srt.Handshake{
		Version: 5, Extension: 5, ISN: 9, MTU: 1500, FlowWindow: 8192, Type: srt.TypeConclusion, SocketID: socket, Cookie: cookie,
		Ext: srt.Extensions{HasHSREQ: true, SRTVersion: 0x010501, Flags: 0xbf, LatencyRcv: 120, LatencySnd: 80},
	}
	h.Ext.SetStreamID(streamID)
	if edit != nil {
		edit(&h)
	}
	return h.Marshal()
}

// reply reads the answer of a core and checks that it is no larger than what it answers.
func reply(t testing.TB, c *core, request []byte) srt.Handshake {
	t.Helper()
	require.LessOrEqual(t, len(c.out), len(request))
	var h srt.Handshake
	require.NoError(t, h.Unmarshal(c.out))
	return h
}

// cookieFor goes through an induction.
func cookieFor(t testing.TB, c *core, peer netip.AddrPort, now time.Time) uint32 {
	t.Helper()
	b := induction(77)
	require.Equal(t, answer, c.datagram(b, peer, local, now))
	h := reply(t, c, b)
	require.Equal(t, srt.TypeInduction, h.Type)
	require.Equal(t, uint32(5), h.Version)
	require.Equal(t, uint16(0x4a17), h.Extension)
	require.Equal(t, uint32(77), h.Dest)
	return h.Cookie
}

func TestCookies(t *testing.T) {
	c := newCore()
	cookie := cookieFor(t, c, alice, epoch)
	other := netip.MustParseAddrPort("198.51.100.7:5001")
	there := netip.MustParseAddrPort("192.0.2.2:8889")
	for _, x := range []struct {
		name        string
		cookie      uint32
		peer, local netip.AddrPort
		after       time.Duration
		good        bool
	}{
		{"at once", cookie, alice, local, 0, true},
		{"end of its slot", cookie, alice, local, cookieSlot - 1, true},
		{"end of the next slot", cookie, alice, local, 2*cookieSlot - 1, true},
		{"after two slots", cookie, alice, local, 2 * cookieSlot, false},
		{"before it was made", cookie, alice, local, -1, false},
		{"another port", cookie, other, local, 0, false},
		{"another local address", cookie, alice, there, 0, false},
		{"another cookie", cookie ^ 1, alice, local, 0, false},
		{"none", 0, alice, local, 0, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			require.Equal(t, x.good, c.baker.valid(x.cookie, x.peer, x.local, epoch.Add(x.after)))
		})
	}
	require.NotEqual(t, cookie, cookieFor(t, newCore(), alice, epoch), "each listener has its own secret")
}

func TestBadCookieGetsANewInduction(t *testing.T) {
	c := newCore()
	b := conclusion(77, 0xbad, "live", nil)
	require.Equal(t, answer, c.datagram(b, alice, local, epoch))
	h := reply(t, c, b)
	require.Equal(t, srt.TypeInduction, h.Type)
	require.Equal(t, uint64(1), c.stats.BadCookies)
	require.Empty(t, c.attempts, "nothing is remembered")
	require.Equal(t, ask, c.datagram(conclusion(77, h.Cookie, "live", nil), alice, local, epoch))

	short := conclusion(78, 1, "", func(h *srt.Handshake) { h.Version = 4; h.Ext = srt.Extensions{} })
	require.Len(t, short, srt.HandshakeSize)
	require.Equal(t, answer, c.datagram(short, alice, local, epoch))
	reply(t, c, short)
}

func TestRequest(t *testing.T) {
	c := newCore()
	require.Equal(t, ask, c.datagram(conclusion(77, cookieFor(t, c, alice, epoch), "#!::r=live", nil), alice, local, epoch))
	require.Equal(t, srt.Request{
		ID: 1, Peer: "198.51.100.7:5000", Local: "192.0.2.1:8889", SocketID: 77, StreamID: "#!::r=live", PeerSRT: "1.5.1", LatencyRcv: 120, LatencySnd: 80,
	}, c.req)
	require.Equal(t, uint64(1), c.stats.Conclusions)
}

func TestDuplicatesAskOnce(t *testing.T) {
	c := newCore()
	b := conclusion(77, cookieFor(t, c, alice, epoch), "live", nil)
	require.Equal(t, ask, c.datagram(b, alice, local, epoch))
	for range 3 {
		require.Equal(t, nothing, c.datagram(b, alice, local, epoch.Add(time.Second)))
	}
	key, a := c.verdict(&srt.Verdict{ID: 1, Child: 5}, epoch.Add(time.Second))
	require.Equal(t, caller{alice, 77}, key)
	require.Equal(t, served, a.state)
	require.Equal(t, nothing, c.datagram(b, alice, local, epoch.Add(2*time.Second)), "a caller being served")
	require.Equal(t, uint64(4), c.stats.Duplicates)
	require.Equal(t, uint64(1), c.stats.Handed)

	// Another socket of the same address and port is another caller.
	require.Equal(t, ask, c.datagram(conclusion(78, binary.BigEndian.Uint32(b[44:]), "live", nil), alice, local, epoch))
	_, a = c.verdict(&srt.Verdict{ID: 1}, epoch)
	require.Nil(t, a, "a second verdict is too late")
	_, a = c.verdict(&srt.Verdict{ID: 99}, epoch)
	require.Nil(t, a)

	c.expire(epoch.Add(time.Second + servedTime))
	require.Equal(t, ask, c.datagram(conclusion(77, cookieFor(t, c, alice, epoch), "live", nil), alice, local, epoch))
}

// TestForget has a connection end whose caller is already back with the same socket.
func TestForget(t *testing.T) {
	c := newCore()
	b := conclusion(77, cookieFor(t, c, alice, epoch), "live", nil)
	require.Equal(t, ask, c.datagram(b, alice, local, epoch))
	c.forget(caller{alice, 77})
	require.Equal(t, nothing, c.datagram(b, alice, local, epoch), "it waits for its verdict")
	_, a := c.verdict(&srt.Verdict{ID: 1, Child: 1}, epoch)
	require.NotNil(t, a)
	require.Empty(t, c.pending)

	c.forget(caller{alice, 77})
	require.Equal(t, ask, c.datagram(b, alice, local, epoch), "it may come again at once")
	require.Equal(t, uint64(2), c.req.ID)
}

func TestRejectionsAreRepeated(t *testing.T) {
	c := newCore()
	b := conclusion(77, cookieFor(t, c, alice, epoch), "live", nil)
	require.Equal(t, ask, c.datagram(b, alice, local, epoch))
	_, a := c.verdict(&srt.Verdict{ID: 1, Reject: srt.RejectConflict}, epoch)
	require.NotNil(t, a)
	h := reply(t, c, b)
	require.Equal(t, srt.RejectionType(srt.RejectConflict), h.Type)
	require.Equal(t, uint32(77), h.Dest)
	cookieFor(t, c, alice, epoch) // overwrites the reply
	require.Equal(t, answer, c.datagram(b, alice, local, epoch.Add(rejectTime-1)))
	require.Equal(t, srt.RejectionType(srt.RejectConflict), reply(t, c, b).Type)
	require.Equal(t, map[string]uint64{"1409": 1}, c.snapshot().Rejected, "counted once")
	c.expire(epoch.Add(rejectTime))
	require.Equal(t, ask, c.datagram(b, alice, local, epoch.Add(rejectTime)), "judged anew")
}

func TestUnservedCallers(t *testing.T) {
	extension := func(kind uint16, body []byte) []byte {
		b := binary.BigEndian.AppendUint16(nil, kind)
		return append(binary.BigEndian.AppendUint16(b, uint16(len(body)/4)), body...)
	}
	for _, x := range []struct {
		name string
		edit func(h *srt.Handshake)
		more []byte
		code int
	}{
		{"HSv4", func(h *srt.Handshake) { h.Version = 4; h.Ext = srt.Extensions{} }, nil, srt.RejectVersion},
		{"no handshake extension", func(h *srt.Handshake) { h.Ext = srt.Extensions{} }, nil, srt.RejectVersion},
		{"group", nil, extension(8, make([]byte, 8)), srt.RejectGroup},
		{"file mode", nil, extension(6, []byte("elif")), srt.RejectCongestion},
		{"live mode, told", nil, extension(6, []byte("evil")), 0},
		{"buffer mode", func(h *srt.Handshake) { h.Ext.Flags |= srt.FlagStream }, nil, srt.RejectMessageAPI},
		{"broken extension", nil, []byte{0, 5, 0xff, 0xff}, srt.RejectBadRequest},
		{"stream id of 600 bytes", nil, extension(5, make([]byte, 600)), srt.RejectBadRequest},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newCore()
			b := append(conclusion(77, cookieFor(t, c, alice, epoch), "", x.edit), x.more...)
			got := c.datagram(b, alice, local, epoch)
			if x.code == 0 {
				require.Equal(t, ask, got)
				return
			}
			require.Equal(t, decline, got)
			require.Equal(t, srt.RejectionType(x.code), reply(t, c, b).Type)
			require.Equal(t, map[string]uint64{fmt.Sprint(x.code): 1}, c.stats.Rejected)
			require.Empty(t, c.requests)
			require.Equal(t, answer, c.datagram(b, alice, local, epoch), "no second line in the log")
		})
	}
}

func TestNoHandshakes(t *testing.T) {
	c := newCore()
	rendezvous := srt.Handshake{Version: 5, Type: srt.TypeWaveahand}
	agreement := srt.Handshake{Version: 5, Type: srt.TypeAgreement}
	rejection := srt.Handshake{Version: 5, Type: 1404}
	for i, b := range [][]byte{nil, {1}, make([]byte, 1316), induction(1)[:63], srt.AppendShutdown(nil, 7), rendezvous.Marshal(), agreement.Marshal(), rejection.Marshal()} {
		require.Equal(t, nothing, c.datagram(b, alice, local, epoch))
		require.Equal(t, uint64(i+1), c.stats.Malformed)
	}
	require.Empty(t, c.attempts)
}

func TestPendingBounds(t *testing.T) {
	const maxPendingPer = 100
	for _, x := range []struct {
		name string
		peer func(i int) netip.AddrPort
		max  int
	}{
		{"one IPv4 address", func(i int) netip.AddrPort { return netip.AddrPortFrom(alice.Addr(), uint16(1000+i)) }, maxPendingPer},
		{"one IPv6 /64", func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 8: byte(i >> 8), 9: byte(i), 15: 1}), 1000)
		}, maxPendingPer},
		{"many addresses", func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 1000)
		}, maxPending},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newCore()
			c.limit(srt.Limits{Pending: maxPendingPer})
			for i := range x.max + 5 {
				p := x.peer(i)
				want := ask
				if i >= x.max {
					want = drop
				}
				require.Equal(t, want, c.datagram(conclusion(1, c.baker.cookie(p, local, epoch), "live", nil), p, local, epoch), "caller %d", i)
			}
			require.Equal(t, uint64(5), c.stats.TooMany)
			require.Len(t, c.attempts, x.max)

			// Each verdict makes room for one.
			_, a := c.verdict(&srt.Verdict{ID: 1}, epoch)
			require.NotNil(t, a)
			p := x.peer(x.max)
			b := conclusion(1, c.baker.cookie(p, local, epoch), "live", nil)
			require.Equal(t, ask, c.datagram(b, p, local, epoch))

			// Nobody answers: all is forgotten, and all may ask again.
			c.expire(epoch.Add(pendingTime - 1))
			require.Len(t, c.attempts, x.max+1)
			c.expire(epoch.Add(servedTime))
			require.Empty(t, c.attempts)
			require.Empty(t, c.requests)
			require.Empty(t, c.pending)
			require.Equal(t, uint64(x.max), c.stats.Dropped)
			require.Equal(t, ask, c.datagram(b, p, local, epoch))
		})
	}
}

func TestHandshakesOfOneAddressAreBounded(t *testing.T) {
	c := newCore()
	c.limit(srt.Limits{Handshakes: 10})
	call := func(peer netip.AddrPort, socket uint32, now time.Time) event {
		return c.datagram(conclusion(socket, c.baker.cookie(peer, local, now), "live", nil), peer, local, now)
	}
	for i := range uint32(10) {
		require.Equal(t, ask, call(alice, i, epoch))
	}
	require.Equal(t, drop, call(alice, 10, epoch))
	require.Equal(t, drop, call(netip.AddrPortFrom(alice.Addr(), 9), 11, epoch), "another port is no other address")
	require.Equal(t, uint64(2), c.stats.TooFast)
	require.Contains(t, c.why, "handshakes")
	require.Equal(t, ask, call(netip.MustParseAddrPort("198.51.100.8:5000"), 0, epoch), "others are not touched")
	require.Equal(t, nothing, call(alice, 3, epoch), "who repeats itself is no new caller")

	require.Equal(t, ask, call(alice, 12, epoch.Add(100*time.Millisecond)), "a tenth of a second brings one more")
	require.Equal(t, drop, call(alice, 13, epoch.Add(100*time.Millisecond)))
	// Those that can't be served count too: each costs an answer and a place in the table.
	unserved := conclusion(14, c.baker.cookie(alice, local, epoch), "", func(h *srt.Handshake) { h.Ext.Flags |= srt.FlagStream })
	require.Equal(t, drop, c.datagram(unserved, alice, local, epoch.Add(100*time.Millisecond)))

	// Nobody uses up what is another's: an address that is not proven costs nothing.
	for i := range uint32(50) {
		require.Equal(t, answer, c.datagram(conclusion(i, 0xbad, "live", nil), netip.MustParseAddrPort("198.51.100.9:1"), local, epoch))
	}
	require.Equal(t, ask, call(netip.MustParseAddrPort("198.51.100.9:1"), 1, epoch))

	c.limit(srt.Limits{})
	for i := range uint32(100) {
		require.Equal(t, ask, call(alice, 100+i, epoch.Add(time.Second)), "0 means no limit")
	}
}

// TestRefusedAreBounded has one address that proves itself and sends what can't be served without end.
func TestRefusedAreBounded(t *testing.T) {
	c := newCore()
	cookie := cookieFor(t, c, alice, epoch)
	for i := range uint32(3 * maxPending) {
		b := conclusion(i, cookie, "", func(h *srt.Handshake) { h.Ext.Flags |= srt.FlagStream })
		require.Equal(t, decline, c.datagram(b, alice, local, epoch))
	}
	require.LessOrEqual(t, len(c.attempts), 2*maxPending)
	c.expire(epoch.Add(rejectTime))
	require.Empty(t, c.attempts)
}

func TestSnapshotIsACopy(t *testing.T) {
	c := newCore()
	s := c.snapshot()
	c.stats.Rejected["1404"]++
	require.Empty(t, s.Rejected)
}

func FuzzCore(f *testing.F) {
	f.Add(induction(1), true)
	f.Add(conclusion(1, 0, "live", nil), true)
	f.Add(conclusion(1, 5, "live", nil), false)
	f.Add([]byte{0x80}, false)
	f.Fuzz(func(t *testing.T, b []byte, prove bool) {
		c := newCore()
		if prove && len(b) >= srt.HandshakeSize {
			binary.BigEndian.PutUint32(b[44:], c.baker.cookie(alice, local, epoch))
		}
		for range 2 {
			switch e := c.datagram(b, alice, local, epoch); e {
			case answer, decline:
				reply(t, c, b)
			case ask:
				_, a := c.verdict(&srt.Verdict{ID: c.req.ID, Reject: srt.RejectNotFound}, epoch)
				require.NotNil(t, a)
				reply(t, c, b)
			}
		}
		require.Empty(t, c.requests)
		require.LessOrEqual(t, len(c.attempts), 1)
	})
}

func TestFloodAllocatesNothing(t *testing.T) {
	c := newCore()
	in, bad := induction(1), conclusion(1, 0xbad, "#!::r=live,m=publish", nil)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		c.datagram(in, alice, local, epoch)
		c.datagram(bad, alice, local, epoch)
	}))
}

func BenchmarkInduction(b *testing.B) {
	c, p := newCore(), induction(1)
	b.ReportAllocs()
	for b.Loop() {
		c.datagram(p, alice, local, epoch)
	}
}

func BenchmarkBadCookie(b *testing.B) {
	c, p := newCore(), conclusion(1, 0xbad, "#!::r=live,m=publish", nil)
	b.ReportAllocs()
	for b.Loop() {
		c.datagram(p, alice, local, epoch)
	}
}
