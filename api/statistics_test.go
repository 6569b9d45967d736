package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"brume/srt"

	"github.com/stretchr/testify/require"
)

// tracedField is a field of SRT_TRACEBSTATS and where it is shown.
type tracedField struct{ name, path, metric, direction string }

func tracedFields(t *testing.T) (all []tracedField) {
	list, err := os.ReadFile("testdata/srt_tracebstats.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(list)) {
		if f := strings.Fields(line); f[0] != "#" {
			all = append(all, tracedField{f[0], f[1], f[2], strings.Join(f[3:], "")})
		}
	}
	return all
}

// The list is of all fields that the installed libsrt has.
func TestListOfFieldsIsComplete(t *testing.T) {
	header, err := os.ReadFile("/usr/include/srt/srt.h")
	require.NoError(t, err)
	_, text, _ := strings.Cut(string(header), "struct CBytePerfMon\n{")
	text, _, _ = strings.Cut(text, "};")
	var want, got []string
	for _, m := range regexp.MustCompile(`(?m)^ +(?:u?int64_t|int|double) +(\w+);`).FindAllStringSubmatch(text, -1) {
		want = append(want, m[1])
	}
	for _, f := range tracedFields(t) {
		got = append(got, f.name)
	}
	require.Equal(t, want, got)
}

// Every field of libsrt is in the API and, unless it is of an interval, in a metric, and nowhere else.
func TestEveryFieldOfLibsrtIsReachable(t *testing.T) {
	shown := map[string]bool{}
	f := newFake()
	f.snapshot.Streams, f.snapshot.Listeners = nil, nil
	zero := own(scrapeStats(t, f, srt.Stats{}))
	for _, field := range tracedFields(t) {
		require.False(t, shown[field.path], field.path)
		shown[field.path] = true
		group, name, grouped := strings.Cut(field.path, ".")
		text := fmt.Sprintf(`{%q:1000}`, field.path)
		if grouped {
			text = fmt.Sprintf(`{%q:{%q:1000}}`, group, name)
		}
		var stats srt.Stats
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&stats), field.name)
		metrics := own(scrapeStats(t, f, stats))

		_, body := do(t, New(f, Options{}), http.MethodGet, "/api/v1/connections/c1")
		var answer struct {
			SRT struct{ Stats map[string]any }
		}
		require.NoError(t, json.Unmarshal(body, &answer))
		of := answer.SRT.Stats
		if grouped {
			of = of[group].(map[string]any)
			require.EqualValues(t, 1000, of[name], field.name)
		} else {
			require.EqualValues(t, 1000, of[field.path], field.name)
		}

		changed := different(zero, metrics)
		if field.metric == "-" {
			require.Empty(t, changed, field.name)
			continue
		}
		require.Len(t, changed, 1, "%s: %v", field.name, changed)
		require.True(t, strings.HasPrefix(changed[0], field.metric+"{"), "%s is %s", field.name, changed[0])
		if field.direction != "" {
			require.Contains(t, changed[0], `direction="`+field.direction+`"`)
		}
	}
	// Beyond libsrt's own there are the totals of two figures of which it has none.
	for _, path := range leaves("", map[string]any{}, srt.Stats{}) {
		if path != "total.pkt_rcv_belated" && path != "total.pkt_rcv_retrans" {
			require.True(t, shown[path], path)
		}
	}
}

func scrapeStats(t *testing.T, f *fake, s srt.Stats) string {
	f.connections[1].SRT = &SRT{Stats: s}
	f.snapshot.Connections = f.connections[1:2]
	return scrape(t, f)
}

// different are the lines that two texts of equal length do not share.
func different(a, b string) (lines []string) {
	one, other := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range other {
		if one[i] != other[i] {
			lines = append(lines, other[i])
		}
	}
	return lines
}

// leaves are the paths of all numbers of a value in JSON.
func leaves(prefix string, m map[string]any, v any) (paths []string) {
	if v != nil {
		b, _ := json.Marshal(v)
		_ = json.Unmarshal(b, &m)
	}
	for key, item := range m {
		if deeper, ok := item.(map[string]any); ok {
			paths = append(paths, leaves(prefix+key+".", deeper, nil)...)
		} else {
			paths = append(paths, prefix+key)
		}
	}
	return paths
}
