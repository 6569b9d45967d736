package buffer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"brume/media"
)

// The tests across processes start this test binary again, in a role, with the buffer as descriptor 3.
const roleVariable = "BRUME_BUFFER_TEST_ROLE"

func TestMain(m *testing.M) {
	roles := map[string]func(*os.File) (any, error){
		"reader": stressReader, "writer": stressWriter, "waiter": latencyWaiter,
	}
	role := os.Getenv(roleVariable)
	if role == "" {
		goleak.VerifyTestMain(m)
		return
	}
	time.AfterFunc(time.Minute, func() { os.Exit(3) }) // whatever happens to the parent
	result, err := roles[role](os.NewFile(3, "buffer"))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// process is this binary in a role.
type process struct {
	cmd *exec.Cmd
	out io.ReadCloser
}

func start(t testing.TB, role string, f *os.File) *process {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return &process{cmd: cmd, out: out}
}

// result waits for the end and decodes what the process found.
func (p *process) result(t testing.TB, v any) {
	t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	decodeErr := json.NewDecoder(p.out).Decode(v)
	require.NoError(t, p.cmd.Wait())
	require.NoError(t, decodeErr)
}

type stressResult struct {
	Packets, Bytes, Overtaken, Epochs uint64
}

// stressReader follows a buffer to its end and checks every payload.
func stressReader(f *os.File) (any, error) {
	r, err := OpenReader(f)
	if err != nil {
		return nil, err
	}
	var s stressResult
	var buf []byte
	var last Entry
	for seq := uint64(0); ; {
		e, err := r.Entry(seq)
		if err == nil {
			buf, err = r.Payload(&e, buf[:0])
		}
		switch {
		case errors.Is(err, ErrNotYet):
			if i, err := r.Info(); err != nil || i.State == Closed && i.Head == seq {
				return s, err
			}
			r.Wait(seq, time.Second)
		case errors.Is(err, ErrOvertaken):
			s.Overtaken++
			// In turn to the oldest packets, where the writer is, and to where a viewer goes on.
			tail, _ := r.Bounds()
			if next, ok := r.NextRandomAccess(tail); ok && s.Overtaken%2 == 0 {
				tail = next
			}
			seq = max(seq, tail)
		case err != nil:
			return s, err
		case !filled(buf, seq):
			return s, fmt.Errorf("packet %d is torn", seq)
		case last.Seq+1 == seq && s.Packets > 0 && !follows(&last, &e):
			return s, fmt.Errorf("packet %d does not follow: %+v, %+v", seq, last, e)
		default:
			if e.Epoch != last.Epoch {
				s.Epochs++
			}
			s.Packets++
			s.Bytes += uint64(len(buf))
			last = e
			seq++
		}
	}
}

// writeStress writes packets of all sizes as fast as it can, until stop says so.
func writeStress(w *Writer, rnd *rand.Rand, stop func() bool) error {
	var payload []byte
	most := int(w.m.maxPayload)
	for n := 0; !stop(); n++ {
		if n%2000 == 0 {
			w.SetTime(time.Now())
			if err := w.BeginEpoch([]media.Track{videoTrack, audioTrack}[:1+n/2000%2]); err != nil {
				return err
			}
		}
		length := rnd.IntN(2000)
		if n%50 == 0 {
			length = rnd.IntN(most)
		}
		payload = fill(payload, w.head, length)
		if err := w.WritePacket(&media.Packet{DTS: int64(n) * 1500, PTS: int64(n) * 1500, RandomAccess: n%25 == 0, Payload: payload}); err != nil {
			return err
		}
		if rnd.IntN(8) == 0 {
			w.Commit()
		}
		if n%1500 == 1499 {
			if err := w.EndEpoch(); err != nil {
				return err
			}
			if err := w.BeginEpoch([]media.Track{videoTrack}); err != nil {
				return err
			}
		}
	}
	return nil
}

// stressWriter writes until it is killed.
func stressWriter(f *os.File) (any, error) {
	w, err := OpenWriter(f)
	if err != nil {
		return nil, err
	}
	return nil, writeStress(w, rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)), func() bool { return false })
}

// TestStress writes at full speed under readers in other processes, which must never see a torn packet.
func TestStress(t *testing.T) {
	rw, ro, err := Create(Options{Size: MinSize, Window: time.Hour})
	require.NoError(t, err)
	defer func() { require.NoError(t, rw.Close()); require.NoError(t, ro.Close()) }()
	w, err := OpenWriter(rw)
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Close()) }()
	var readers []*process
	for range 3 {
		readers = append(readers, start(t, "reader", ro))
	}
	begin := time.Now()
	require.NoError(t, writeStress(w, rand.New(rand.NewPCG(3, 4)), func() bool {
		// Under the race detector it takes longer to write enough.
		took := time.Since(begin)
		return took > 2*time.Second && w.head > 15_000 || took > 20*time.Second
	}))
	require.NoError(t, w.Finish())
	for _, p := range readers {
		var s stressResult
		p.result(t, &s)
		t.Logf("of %d packets %d read, %d MB, overtaken %d times, %d epochs", w.head, s.Packets, s.Bytes>>20, s.Overtaken, s.Epochs)
		require.NotZero(t, s.Packets)
		require.NotZero(t, s.Overtaken)
		require.NotZero(t, s.Epochs)
	}
}

// TestKilledWriter kills writers at any moment. The next one must be able to go on, and what readers had seen stays.
func TestKilledWriter(t *testing.T) {
	rw, ro, err := Create(Options{Size: MinSize, Window: 10 * time.Second})
	require.NoError(t, err)
	defer func() { require.NoError(t, rw.Close()); require.NoError(t, ro.Close()) }()
	r, err := OpenReader(ro)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	for n := range 25 {
		_, head := r.Bounds()
		p := start(t, "writer", rw)
		for i := 0; i < 1000; i++ {
			if _, now := r.Bounds(); now > head+100 {
				break
			}
			r.Wait(head+100, 10*time.Millisecond)
		}
		time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
		require.NoError(t, p.cmd.Process.Kill())
		require.ErrorContains(t, p.cmd.Wait(), "killed")
		before := checkAll(t, r)
		require.NotEmpty(t, before)
		w, err := OpenWriter(rw)
		require.NoError(t, err)
		require.Equal(t, before, checkAll(t, r))
		if n%2 == 0 {
			require.NoError(t, w.EndEpoch())
			i, err := r.Info()
			require.NoError(t, err)
			require.Equal(t, Ended, i.State)
			checkAll(t, r)
		}
		require.NoError(t, w.Close())
	}
}

// latencies is how long wake-ups took, in microseconds.
type latencies struct{ P50, P90, P99, Max float64 }

func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// latencyWaiter waits for packets that hold the time of their commit, to the end.
func latencyWaiter(f *os.File) (any, error) {
	r, err := OpenReader(f)
	if err != nil {
		return nil, err
	}
	var took []float64
	var buf []byte
	for seq := uint64(0); ; {
		r.Wait(seq, time.Second)
		now := monotonic()
		e, err := r.Entry(seq)
		if errors.Is(err, ErrNotYet) {
			continue
		}
		if err == nil {
			buf, err = r.Payload(&e, buf[:0])
		}
		switch {
		case err != nil:
			return nil, err
		case e.Has(EpochEnd):
			slices.Sort(took)
			at := func(q float64) float64 { return took[int(q*float64(len(took)-1))] }
			return latencies{at(0.5), at(0.9), at(0.99), at(1)}, nil
		}
		took = append(took, float64(now-int64(binary.LittleEndian.Uint64(buf)))/1000)
		seq++
	}
}

// BenchmarkWake measures from a commit to the return of Wait in another process, at a commit each 10 ms.
func BenchmarkWake(b *testing.B) {
	rw, ro, err := Create(Options{})
	require.NoError(b, err)
	defer func() { _ = rw.Close(); _ = ro.Close() }()
	w, err := OpenWriter(rw)
	require.NoError(b, err)
	defer func() { _ = w.Close() }()
	require.NoError(b, w.BeginEpoch([]media.Track{{Codec: media.KLV}}))
	p := start(b, "waiter", ro)
	var payload [8]byte
	var dts int64
	for b.Loop() {
		time.Sleep(10 * time.Millisecond)
		binary.LittleEndian.PutUint64(payload[:], uint64(monotonic()))
		dts += 900
		if err := w.WritePacket(&media.Packet{DTS: dts, Payload: payload[:]}); err != nil {
			b.Fatal(err)
		}
		w.Commit()
	}
	require.NoError(b, w.EndEpoch())
	var l latencies
	p.result(b, &l)
	b.ReportMetric(l.P50, "p50-us")
	b.ReportMetric(l.P90, "p90-us")
	b.ReportMetric(l.P99, "p99-us")
	b.ReportMetric(l.Max, "max-us")
	b.ReportMetric(0, "ns/op")
}
