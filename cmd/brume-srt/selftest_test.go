package main

import (
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"brume/srt"

	"github.com/stretchr/testify/require"
)

func TestSelfTest(t *testing.T) {
	start := time.Now()
	out, err := exec.Command(built, "selftest").Output()
	require.NoError(t, err, "%s", out)
	require.Less(t, time.Since(start), time.Second)
	var s srt.SelfTest
	require.NoError(t, json.Unmarshal(out, &s))
	require.True(t, s.OK)
	require.Regexp(t, `^1\.\d+\.\d+$`, s.LibSRT)
	require.Empty(t, s.Detail)
}

func TestUsage(t *testing.T) {
	out, err := exec.Command(built, "serve").CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, exitUsage, exit.ExitCode())
	require.Contains(t, string(out), "brume serve")
}

func TestWithoutItsSockets(t *testing.T) {
	out, err := exec.Command(built).CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, exitInternal, exit.ExitCode())
	require.Contains(t, string(out), "control socket")
}
