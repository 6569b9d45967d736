package libsrt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"brume/srt"
	"brume/srt/libsrt/option"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if err := Startup(LogWarning); err != nil {
		panic(err)
	}
	code := m.Run()
	os.Exit(code) // not Cleanup: libsrt's global destructors race its threads
}

// udpPair makes two UDP sockets that are connected to each other.
func udpPair(t testing.TB) (a, b int) {
	t.Helper()
	var addresses [2]unix.Sockaddr
	var fds [2]int
	for i := range fds {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		addresses[i], err = unix.Getsockname(fd)
		require.NoError(t, err)
		fds[i] = fd
	}
	require.NoError(t, unix.Connect(fds[0], addresses[1]))
	require.NoError(t, unix.Connect(fds[1], addresses[0]))
	return fds[0], fds[1]
}

// dial calls a listener and waits for both ends, or for the caller's refusal.
func dial(t testing.TB, listen, call Options) (l *Listener, accepted, caller *Conn, err error) {
	t.Helper()
	a, b := udpPair(t)
	l, err = Listen(a, nil, listen)
	require.NoError(t, err)
	t.Cleanup(l.Close)
	caller, err = Connect(b, call)
	require.NoError(t, err)
	t.Cleanup(caller.Close)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if accepted == nil {
			accepted, err = l.Accept(20 * time.Millisecond)
			require.NoError(t, err)
		}
		switch caller.State() {
		case Connected:
			if accepted != nil {
				t.Cleanup(accepted.Close)
				return l, accepted, caller, nil
			}
		case Broken:
			code, text := caller.RejectReason()
			return l, nil, caller, fmt.Errorf("%d %s", code, text)
		}
	}
	return l, nil, caller, errors.New("timeout")
}

func fast(values ...string) Options {
	o := Options{Values: map[string]string{"latency": "20"}}
	for i := 0; i+1 < len(values); i += 2 {
		o.Values[values[i]] = values[i+1]
	}
	return o
}

func readAll(t testing.TB, c *Conn, n int) []byte {
	t.Helper()
	b := NewBatch(64)
	var got []byte
	for deadline := time.Now().Add(10 * time.Second); len(got) < n; {
		require.True(t, time.Now().Before(deadline), "%d of %d bytes", len(got), n)
		require.NoError(t, c.Read(b, 100*time.Millisecond, time.Millisecond))
		sum := 0
		for i := range b.Len() {
			m := b.Message(i)
			require.Positive(t, m.Length)
			require.Positive(t, m.Source)
			sum += m.Length
		}
		require.Equal(t, len(b.Bytes()), sum)
		got = append(got, b.Bytes()...)
	}
	return got
}

func TestTransfer(t *testing.T) {
	secret := "correct horse battery"
	for _, c := range []struct {
		name         string
		listen, call Options
		keyLength    int
	}{
		{"plain", fast(), fast(), 0},
		{"AES-128", Options{Passphrase: secret, Values: map[string]string{"latency": "20"}}, Options{Passphrase: secret}, 16},
		{"AES-256", Options{Passphrase: secret}, Options{Passphrase: secret, Values: map[string]string{"pbkeylen": "32"}}, 32},
		{"packet filter", fast("packetfilter", "fec,cols:10,rows:1"), fast("packetfilter", "fec,cols:10,rows:1"), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.call.StreamID = strings.Repeat("live?", 100)
			_, accepted, caller, err := dial(t, c.listen, c.call)
			require.NoError(t, err)
			require.Equal(t, c.call.StreamID, accepted.StreamID())
			n := accepted.Negotiated()
			require.Equal(t, c.keyLength, n.KeyLength)
			require.Equal(t, Version(), n.PeerSRT)
			require.Positive(t, n.LatencyRcv)
			if f := c.listen.Values["packetfilter"]; f != "" {
				require.Contains(t, n.Filter, "fec")
			}

			sent := make([]byte, 1316*100+188)
			for i := range sent {
				sent[i] = byte(i * 7 >> 3)
			}
			for _, way := range [][2]*Conn{{caller, accepted}, {accepted, caller}} {
				k, err := way[0].Send(sent, 1316, Pace{Messages: 32, Pause: time.Millisecond})
				require.NoError(t, err)
				require.Equal(t, len(sent), k)
				require.True(t, bytes.Equal(sent, readAll(t, way[1], len(sent))))
			}
			s, err := accepted.Stats()
			require.NoError(t, err)
			require.GreaterOrEqual(t, s.Total.PktRecvUnique, int64(101))
			require.Equal(t, s.Total.PktRecvUnique, s.Interval.PktRecvUnique)
			require.Equal(t, int64(101), s.Total.PktSentUnique)
			require.Positive(t, s.RTTMS)
			s, err = accepted.Stats()
			require.NoError(t, err)
			require.Zero(t, s.Interval.PktRecvUnique)
			require.GreaterOrEqual(t, s.Total.PktRecvUnique, int64(101))
			require.Equal(t, 1316, n.Payload)
		})
	}
}

// Totals are sums of intervals, whoever asks in between and however often.
func TestTotalsAreAllIntervals(t *testing.T) {
	_, accepted, caller, err := dial(t, fast(), fast())
	require.NoError(t, err)
	message := make([]byte, 1316)
	var sent, received srt.StatsCount
	for round := int64(1); round <= 3; round++ {
		for range 10 {
			_, err := caller.Send(message, 1316, Pace{Messages: 32, Pause: time.Millisecond})
			require.NoError(t, err)
		}
		readAll(t, accepted, 10*1316)
		for range 2 { // asking begins no new interval
			n, err := accepted.Received()
			require.NoError(t, err)
			require.Equal(t, accepted.total.PktRecv+10, n)
		}
		for c, sum := range map[*Conn]*srt.StatsCount{caller: &sent, accepted: &received} {
			s, err := c.Stats()
			require.NoError(t, err)
			sum.Add(&s.Interval)
			require.Equal(t, *sum, s.Total)
		}
		require.Equal(t, 10*round, sent.PktSentUnique)
		require.Equal(t, 10*round, received.PktRecvUnique)
		require.Equal(t, uint64(10*round)*(1316+44), received.ByteRecvUnique, "44 bytes of headers")
	}
	n, err := accepted.Received()
	require.NoError(t, err)
	require.Equal(t, received.PktRecv, n)
}

func TestBelatedTimeIsPossible(t *testing.T) {
	require.EqualValues(t, 12.5, belated(12.5, 5000))
	require.Zero(t, belated(3.6e15, 5000))
	require.Zero(t, belated(5001, 5000))
}

// Every field of libsrt's structure is read, under its own name; the totals are sums of the intervals.
func TestEveryFieldIsRead(t *testing.T) {
	source, err := os.ReadFile("stats.go")
	require.NoError(t, err)
	fields := headerFields(t)
	require.GreaterOrEqual(t, len(fields), 82, "libsrt 1.5.1 has so many")
	for _, f := range fields {
		name := strings.TrimSuffix(f, "Total")
		if !regexp.MustCompile(`: +[\w.(]+t\.` + name + `\W`).Match(source) {
			t.Errorf("%s is not read", f)
		}
	}
}

// headerFields are the fields of the structure that libsrt's header declares.
func headerFields(t *testing.T) []string {
	header, err := os.ReadFile("/usr/include/srt/srt.h")
	require.NoError(t, err, "libsrt's header belongs to the package that this one is built with")
	_, text, found := strings.Cut(string(header), "struct CBytePerfMon\n{")
	require.True(t, found)
	text, _, _ = strings.Cut(text, "};")
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^ +(?:u?int64_t|int|double) +(\w+);`).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

func TestRefusedCallers(t *testing.T) {
	for _, c := range []struct {
		name         string
		listen, call Options
		want         string
		rejected     int
	}{
		{"wrong passphrase", Options{Passphrase: "correct horse"}, Options{Passphrase: "battery staple"}, "10 ", RejectedBadSecret},
		{"no passphrase", Options{Passphrase: "correct horse"}, Options{}, "11 ", RejectedUnsecure},
		{"unwanted passphrase", Options{}, Options{Passphrase: "correct horse"}, "11 ", RejectedUnsecure},
		{"too old", fast("minversion", "131072"), Options{}, "8 ", 1008},
	} {
		t.Run(c.name, func(t *testing.T) {
			Logs()
			l, _, _, err := dial(t, c.listen, c.call)
			require.ErrorContains(t, err, c.want)
			require.Positive(t, l.Handshakes())
			require.Equal(t, c.rejected, l.Rejected())
			require.NotEmpty(t, RejectText(c.rejected))
			lines, lost := Logs()
			require.NotEmpty(t, lines)
			require.Zero(t, lost)
			lines, _ = Logs()
			require.Empty(t, lines)
		})
	}
}

func TestCloseReachesThePeer(t *testing.T) {
	_, accepted, caller, err := dial(t, fast(), fast())
	require.NoError(t, err)
	b := NewBatch(4)
	require.NoError(t, accepted.Read(b, 10*time.Millisecond, time.Millisecond))
	require.Zero(t, b.Len())
	start := time.Now()
	caller.Close()
	caller.Close()
	for err = nil; err == nil; {
		require.Less(t, time.Since(start), 2*time.Second)
		err = accepted.Read(b, 100*time.Millisecond, time.Millisecond)
	}
	require.ErrorIs(t, err, ErrLost)
	_, err = accepted.Send([]byte("x"), 1316, Pace{Messages: 1})
	require.ErrorIs(t, err, ErrLost)
	_, err = accepted.Stats()
	require.ErrorIs(t, err, ErrLost)
	require.Equal(t, Broken, accepted.State())
}

// A publisher's last frames are as good as the others.
func TestWhatWasSentBeforeTheCloseIsRead(t *testing.T) {
	_, accepted, caller, err := dial(t, Options{Values: map[string]string{"latency": "300"}}, Options{})
	require.NoError(t, err)
	sent := make([]byte, 1316*20)
	_, err = caller.Send(sent, 1316, Pace{Messages: 100})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return caller.Unsent() == 0 }, 3*time.Second, time.Millisecond)
	caller.Close()
	require.Eventually(t, func() bool { return accepted.State() == Broken }, 3*time.Second, time.Millisecond)
	got := 0
	b := NewBatch(8)
	start := time.Now()
	for {
		if err = accepted.Read(b, 100*time.Millisecond, time.Millisecond); err != nil {
			break
		}
		got += len(b.Bytes())
		require.Less(t, time.Since(start), 2*time.Second)
	}
	require.ErrorIs(t, err, ErrLost)
	require.Equal(t, len(sent), got)
	require.Less(t, time.Since(start), 500*time.Millisecond)
}

func TestCloseEndsARead(t *testing.T) {
	_, accepted, _, err := dial(t, fast(), fast())
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		b := NewBatch(4)
		for {
			if err := accepted.Read(b, 10*time.Second, time.Millisecond); err != nil {
				done <- err
				return
			}
		}
	}()
	time.Sleep(20 * time.Millisecond) // let it wait; it may also not have begun
	accepted.Close()
	select {
	case err := <-done:
		require.ErrorIs(t, err, ErrLost)
	case <-time.After(3 * time.Second):
		t.Fatal("the read goes on")
	}
}

func TestSendBufferFull(t *testing.T) {
	_, accepted, caller, err := dial(t, fast(), fast("sndbuf", "60000", "tlpktdrop", "0", "maxbw", "10000"))
	require.NoError(t, err)
	_ = accepted
	n, err := caller.Send(make([]byte, 1316*1000), 1316, Pace{Messages: 1000})
	require.ErrorIs(t, err, ErrFull)
	require.Positive(t, n)
	require.Less(t, n, 1316*1000)
	require.Zero(t, n%1316)
	require.Positive(t, caller.Unsent())
}

func TestASecondCallerIsRefused(t *testing.T) {
	a, b := udpPair(t)
	spare, err := unix.FcntlInt(uintptr(b), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	l, err := Listen(a, nil, fast())
	require.NoError(t, err)
	defer l.Close()
	first, err := Connect(b, fast())
	require.NoError(t, err)
	accepted, err := l.Accept(3 * time.Second)
	require.NoError(t, err)
	require.NotNil(t, accepted)
	defer accepted.Close()
	require.Zero(t, l.Refused())
	first.Close()
	second, err := Connect(spare, fast())
	require.NoError(t, err)
	defer second.Close()
	require.Eventually(t, func() bool { return l.Refused() > 0 }, 5*time.Second, 5*time.Millisecond)
	none, err := l.Accept(50 * time.Millisecond)
	require.NoError(t, err)
	require.Nil(t, none)
}

// TestOnlyTheCallerThatIsWaitedFor: a peer may have several SRT sockets behind one port, and the handshake of another one may
// be the first to come.
func TestOnlyTheCallerThatIsWaitedFor(t *testing.T) {
	for _, id := range []string{"publish:live", "", strings.Repeat("x", 512), "\xff\xfe'\"%s", "with\x00zero"} {
		a, b := udpPair(t)
		spare, err := unix.FcntlInt(uintptr(b), unix.F_DUPFD_CLOEXEC, 0)
		require.NoError(t, err)
		l, err := Listen(a, []byte(id), fast())
		require.NoError(t, err)
		defer l.Close()
		other := fast()
		other.StreamID = "read:other"
		first, err := Connect(b, other)
		require.NoError(t, err)
		defer first.Close()
		require.Eventually(t, func() bool { return l.Refused() > 0 }, 5*time.Second, 5*time.Millisecond)
		require.Eventually(t, func() bool { return first.State() == Broken }, 5*time.Second, 5*time.Millisecond)
		first.Close()
		require.Zero(t, l.Handshakes())
		right := fast()
		right.StreamID = id
		second, err := Connect(spare, right)
		require.NoError(t, err)
		defer second.Close()
		accepted, err := l.Accept(5 * time.Second)
		require.NoError(t, err)
		require.NotNil(t, accepted, "%q", id)
		defer accepted.Close()
		require.Equal(t, 1, l.Handshakes())
	}
}

// TestTheGateIsShutBeforeAccept: libsrt finishes handshakes by itself, whenever Accept is called, and the next one may come
// as soon as Accept has taken the first from its queue.
func TestTheGateIsShutBeforeAccept(t *testing.T) {
	a, b := udpPair(t)
	l, err := Listen(a, nil, fast())
	require.NoError(t, err)
	defer l.Close()
	require.EqualValues(t, 0, l.gate.shut)
	require.EqualValues(t, true, conclude(t, b, 1))
	require.EqualValues(t, 1, l.gate.shut)
	accepted, err := l.Accept(3 * time.Second)
	require.NoError(t, err)
	require.NotNil(t, accepted)
	defer accepted.Close()
	require.EqualValues(t, false, conclude(t, b, 2))
	require.Equal(t, []int{1, 1}, []int{l.Handshakes(), l.Refused()})
}

// handshaken reports whether libsrt has let a caller in.
type handshaken bool

// conclude is a caller that knows handshakes only, with the number of its SRT socket.
func conclude(t *testing.T, fd int, socket uint32) handshaken {
	t.Helper()
	require.NoError(t, unix.SetNonblock(fd, false))
	exchange := func(h srt.Handshake) (reply srt.Handshake) {
		h.Version, h.ISN, h.MTU, h.FlowWindow, h.SocketID = max(h.Version, 4), 1, 1500, 8192, socket
		_, err := unix.Write(fd, h.Marshal())
		require.NoError(t, err)
		for b := make([]byte, 1500); ; {
			n, err := unix.Read(fd, b)
			require.NoError(t, err)
			if reply.Unmarshal(b[:n]) == nil && reply.Dest == socket {
				return reply
			}
		}
	}
	cookie := exchange(srt.Handshake{Extension: 2, Type: srt.TypeInduction}).Cookie
	reply := exchange(srt.Handshake{
		Version: 5, Extension: 1, Type: srt.TypeConclusion, Cookie: cookie,
		Ext: srt.Extensions{HasHSREQ: true, SRTVersion: 0x010501, Flags: 0xbf, LatencyRcv: 20},
	})
	return reply.Type == srt.TypeConclusion
}

func TestNobodyComes(t *testing.T) {
	a, _ := udpPair(t)
	l, err := Listen(a, nil, Options{})
	require.NoError(t, err)
	defer l.Close()
	c, err := l.Accept(30 * time.Millisecond)
	require.NoError(t, err)
	require.Nil(t, c)
	require.Zero(t, l.Handshakes())
}

func TestWrongOptions(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
		want    error
	}{
		{"unknown", fast("colour", "red"), option.ErrUnknown},
		{"not a number", fast("mss", "many"), option.ErrValue},
		{"out of range", fast("ipttl", "0"), option.ErrValue},
		{"short passphrase", Options{Passphrase: "short"}, option.ErrValue},
		{"filter that libsrt refuses", fast("packetfilter", "nonsense"), ErrOption},
		{"long stream id", Options{StreamID: strings.Repeat("x", 513)}, ErrOption},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, _ := udpPair(t)
			_, err := Listen(a, nil, c.options)
			require.ErrorIs(t, err, c.want)
			_, err = unix.FcntlInt(uintptr(a), unix.F_GETFD, 0)
			require.ErrorIs(t, err, unix.EBADF, "the socket is left open")
		})
	}
}

// Every option that a configuration may name reaches libsrt with both ends of its range.
func TestEveryOptionIsTaken(t *testing.T) {
	for _, name := range option.Names() {
		t.Run(name, func(t *testing.T) {
			o, ok := option.Lookup(name)
			require.True(t, ok)
			var values []string
			switch {
			case o.Kind == option.Bool:
				values = []string{"0", "1", "true", "off"}
			case o.Kind == option.String:
				values = []string{"fec,cols:10,rows:5,layout:staircase,arq:always"}
			case o.Values != nil:
				for _, v := range o.Values {
					values = append(values, fmt.Sprint(v))
				}
			default:
				values = []string{fmt.Sprint(o.Min), fmt.Sprint(o.Max)}
			}
			for _, v := range values {
				s, err := newSocket(Options{Values: map[string]string{name: v}})
				require.NoError(t, err, v)
				s.Close()
			}
		})
	}
}
