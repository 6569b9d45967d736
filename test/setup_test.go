package test

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/test/inspect"
)

// TestMetricsAreClean lets promtool judge the metrics of a server at work.
func TestMetricsAreClean(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.publish(plainClip(t), "publish:live")
	s.waitPlayable("live")
	r := record(t, s.outputs("live")["srt"], filepath.Join(t.TempDir(), "out.ts"), 3)
	r.wait(t, 30*time.Second)
	metrics := run(t, time.Minute, "curl", "-fs", "http://"+s.api+"/metrics")
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(metrics)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, string(out))
	require.Greater(t, s.metric("brume_srt_packets_total"), 100.0)
}

// TestIPv6 publishes and plays over IPv6, on a server that listens on all addresses.
func TestIPv6(t *testing.T) {
	t.Parallel()
	if _, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
		t.Logf("there is no IPv6 here: %v", err)
		return
	}
	s := start(t, "BRUME_SRT_ADDRESS=:0")
	_, port, err := net.SplitHostPort(s.srt)
	require.NoError(t, err)
	file := plainClip(t)
	s.srt = "[::1]:" + port
	s.publish(file, "publish:six")
	s.waitState("six", "live")
	s.srt = "127.0.0.5:" + port // any address of the host, answered from that very one
	s.publish(file, "publish:four")
	s.waitState("four", "live")
	for address, stream := range map[string]string{"127.0.0.1": "six", "[::1]": "four"} {
		out := filepath.Join(t.TempDir(), "out.ts")
		s.srt = address + ":" + port
		r := record(t, s.outputs(stream)["srt"], out, 3)
		r.wait(t, 30*time.Second)
		requireContiguous(t, frames(t, file), frames(t, out), 60)
	}
}

// TestLinkLocal publishes from a link-local address, whose interface libsrt can't learn the name of in its sandbox.
func TestLinkLocal(t *testing.T) {
	t.Parallel()
	address := inspect.LinkLocal(t)
	if address == "" {
		t.Log("no interface here has a link-local address")
		return
	}
	s := start(t, "BRUME_SRT_ADDRESS=:0")
	_, port, err := net.SplitHostPort(s.srt)
	require.NoError(t, err)
	s.srt = "[" + address + "]:" + port
	join(t, s, "publish:near", plainClip(t))
	s.waitState("near", "live")
}

// TestNoiseIsCounted publishes what is no transport stream, and one that is damaged.
func TestNoiseIsCounted(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := plainClip(t)
	good := s.publish(file, "publish:good")
	s.waitState("good", "live")
	random := rand.New(rand.NewPCG(1, 2))
	noise, err := dial(t, s.srt, "publish:noise")
	require.NoError(t, err)
	defer noise.Close()
	damaged, err := dial(t, s.srt, "publish:damaged")
	require.NoError(t, err)
	defer damaged.Close()
	clip, err := os.ReadFile(file)
	require.NoError(t, err)
	for i := range 600 {
		b := make([]byte, 1316)
		for j := range b {
			b[j] = byte(random.Uint32())
		}
		_, err := noise.Write(b)
		require.NoError(t, err)
		copy(b, clip[i*1316:])
		if i%7 == 3 {
			b[random.IntN(len(b))] ^= 0xff
			b[random.IntN(len(b))] ^= 0xff
		}
		_, err = damaged.Write(b)
		require.NoError(t, err)
		time.Sleep(time.Millisecond)
	}
	s.eventually(10*time.Second, "the noise is counted", func() bool { return s.stream("noise").Input["skipped_bytes"] > 0 })
	s.eventually(10*time.Second, "the damage is counted", func() bool {
		in := s.stream("damaged").Input
		return in["units"] > 0 && in["unit_errors"]+in["pes_errors"]+in["continuity_errors"]+in["skipped_bytes"] > 0
	})
	require.Equal(t, "starting", s.stream("noise").State)
	require.True(t, good.running())
	require.Zero(t, s.metric("brume_connection_ends_total", `reason="crash"`))
}

// TestTwoInstances run beside each other.
func TestTwoInstances(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	a.publish(plainClip(t), "publish:live")
	a.waitState("live", "live")
	require.Empty(t, b.stream("live").State)
}

// TestVersion asks in both ways.
func TestVersion(t *testing.T) {
	t.Parallel()
	flag := run(t, time.Minute, "../bin/brume", "--version")
	require.Regexp(t, `^brume \S+\n$`, flag)
	require.Equal(t, flag, run(t, time.Minute, "../bin/brume", "version"))
}

// TestCheckWarns of an entry that hides a pattern's passphrase, and finds nothing wrong.
func TestCheckWarns(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "brume.yaml")
	require.NoError(t, os.WriteFile(file, []byte("streams:\n  \"cam-*\": {srt: {publish_passphrase: \"a long secret\"}}\n  cam-1: {raw: true}\n"), 0o600))
	out, err := exec.Command("../bin/brume", "check", file).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "warning: streams.cam-1: the publish_passphrase of the pattern cam-*")
	require.Contains(t, string(out), file+": ok")
	require.NotContains(t, string(out), "a long secret")
}

// TestSetupErrors end the server with a sentence that helps.
func TestSetupErrors(t *testing.T) {
	t.Parallel()
	s := start(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("srt:\n  adress: :9000\n"), 0o600))
	shared := t.TempDir()
	require.NoError(t, os.Chmod(shared, 0o777|os.ModeSticky))
	for _, c := range []struct {
		name string
		args []string
		env  []string
		want []string
	}{
		{name: "unknown key", args: []string{"serve", "--config", bad}, want: []string{"bad.yaml:2", "adress"}},
		{name: "checked", args: []string{"check", bad}, want: []string{"bad.yaml:2", "adress"}},
		{name: "address in use", args: []string{"serve"}, env: []string{"BRUME_SRT_ADDRESS=" + s.srt}, want: []string{"in use", "BRUME_SRT_ADDRESS"}},
		{name: "directory of others", args: []string{"serve"}, env: []string{"BRUME_SRT_ADDRESS=127.0.0.1:0", "BRUME_RUNTIME_DIR=" + shared}, want: []string{"chmod go-w " + shared, "BRUME_RUNTIME_DIR"}},
		{name: "unknown variable", args: []string{"serve"}, env: []string{"BRUME_PORT=1"}, want: []string{"BRUME_PORT"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(filepath.Join(s.dir, "brume"), c.args...)
			cmd.Env = append([]string{"BRUME_HTTP_ADDRESS=127.0.0.1:0", "BRUME_API_ADDRESS=127.0.0.1:0", "BRUME_RUNTIME_DIR=" + filepath.Join(dir, "run"), "BRUME_DATA_DIR=" + dir}, c.env...)
			if c.args[0] == "check" {
				cmd.Env = nil
			}
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			require.NoError(t, cmd.Start())
			timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
			defer timer.Stop()
			err := cmd.Wait()
			var status *exec.ExitError
			require.ErrorAs(t, err, &status, out.String())
			require.Positive(t, status.ExitCode(), out.String())
			for _, w := range c.want {
				require.Contains(t, out.String(), w)
			}
			require.NotContains(t, out.String(), "goroutine", "a panic is no sentence")
		})
	}
}
