package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testPictures are the command lines of a test picture in a file, each in one line, up to the URL.
func testPictures(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	text := regexp.MustCompile(`\\\n\s*`).ReplaceAllString(string(b), "")
	return regexp.MustCompile(`ffmpeg [^\n'"`+"`"+`]*testsrc[^\n'"`+"`"+`]*-f mpegts`).FindAllString(text, -1)
}

// TestOneTestPicture holds every place that shows a test picture to the same line, which says what it wants.
func TestOneTestPicture(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	has := append([]string{"../README.md", "../docs/srt.md"}, "../scripts/demo", "../web/src/front.ts", "../cmd/brume/greet.go")
	line := testPictures(t, "../README.md")[0]
	require.Contains(t, line, "r=30 ")
	require.Contains(t, line, "-g 30 ")
	for _, file := range has {
		require.NotEmpty(t, testPictures(t, file), file)
	}
	for _, file := range append(files, has...) {
		for _, other := range testPictures(t, file) {
			require.Equal(t, line, other, file)
		}
	}
}

// TestTestPictureOfTheReadme publishes it: segments last a second each, and the stream plays.
func TestTestPictureOfTheReadme(t *testing.T) {
	t.Parallel()
	s := start(t)
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	line := regexp.MustCompile(`(?s)ffmpeg [^\n]*testsrc.*?'srt://[^']*'`).FindString(string(readme))
	require.Contains(t, line, "127.0.0.1:8889?streamid=publish:live'")
	launch(t, "sh", "-c", "exec "+strings.Replace(line, "127.0.0.1:8889", s.srt, 1)+" -nostdin -v error")
	s.waitPlayable("live")
	s.eventually(30*time.Second, "three segments", func() bool {
		_, playlist, _ := s.fetch("/hls/live/v0/index.m3u8")
		return strings.Count(string(playlist), "#EXTINF:1.000") >= 3
	})
}

// TestConfigurationsOfTheDocs checks every configuration of the docs as it is written. Rules and scrapes of Prometheus are YAML too.
func TestConfigurationsOfTheDocs(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, block := range docsBlocks(t, "yaml") {
		if regexp.MustCompile(`(?m)^(groups|scrape_configs):`).MatchString(block) {
			continue
		}
		file := filepath.Join(t.TempDir(), "brume.yaml")
		require.NoError(t, os.WriteFile(file, []byte(block), 0o600))
		out, err := exec.Command("../bin/brume", "check", file).CombinedOutput()
		require.NoError(t, err, "%s\n%s", block, out)
		checked++
	}
	require.Greater(t, checked, 10)
}
