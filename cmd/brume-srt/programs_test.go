package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/buffer"
	"brume/media"
	"brume/srt"
)

// buffers makes descriptors of buffers to write to.
func buffers(t *testing.T, n int) (files []*os.File) {
	t.Helper()
	for range n {
		rw, ro, err := buffer.Create(buffer.Options{Stream: "live"})
		require.NoError(t, err)
		require.NoError(t, ro.Close())
		files = append(files, rw)
	}
	return files
}

func TestGrantOfSeveralBuffers(t *testing.T) {
	feed := &srt.Feed{Mapped: []srt.MappedInput{{Program: "2", Stream: "sport"}, {Program: "Kids", Stream: "kids"}}}
	for _, c := range []struct {
		files int
		feed  *srt.Feed
		good  bool
	}{{3, feed, true}, {2, feed, false}, {4, feed, false}, {1, nil, true}, {1, &srt.Feed{Raw: true}, true}, {2, &srt.Feed{}, false}} {
		a := arrival{files: buffers(t, c.files)}
		g := a.grant(media.Publish, c.feed)
		require.Empty(t, a.files)
		pub, err := g.publisher()
		require.Equal(t, c.good, err == nil, "%d files for %+v: %v", c.files, c.feed, err)
		if err == nil {
			require.NoError(t, pub.End())
		}
		for _, f := range append(g.more, g.file) {
			_ = f.Close()
		}
	}
	// Without any there is no panic, and a reason.
	a := arrival{}
	g := a.grant(media.Publish, feed)
	require.Nil(t, g.file)
	_, err := g.publisher()
	require.Error(t, err)
}

func TestMissingProgramIsNamed(t *testing.T) {
	feed := &srt.Feed{Program: "Weather", Mapped: []srt.MappedInput{{Program: "9", Stream: "sport"}}}
	list := []srt.Program{{Number: 1, Name: "News\x1b[2J"}, {Number: 2}}
	require.Equal(t, `there is no program "Weather" in the transport stream; it has 1 "News\x1b[2J", 2`, missing(feed, 0, list))
	require.Equal(t, `there is no program "9" for the stream sport in the transport stream; it has 1 "News\x1b[2J", 2`, missing(feed, 1, list))
}
