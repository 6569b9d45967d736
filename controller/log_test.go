package controller

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"brume/control"
	"brume/loglimit"
	"brume/srt"
)

// forged are texts that want to be more than a text in a log.
var forged = []string{
	"lost\n{\"level\":\"ERROR\",\"msg\":\"forged\"}",
	"lost\nlevel=ERROR msg=forged stream=other",
	"lost\r\nlevel=ERROR msg=forged",
	"x\" level=ERROR msg=forged conn=\"other",
	"\x1b]0;title\x07\x1b[2J\x1b[31mred",
	"\u009b2J by a control sequence of one character, \x7f \x00 \b\b\b\b",
	"right to left \u202e override \u2066, line \u2028 and paragraph \u2029, \ufeff",
	"invalid \xff\xfe\xc3 \xed\xa0\x80 text \xf0\x9f",
	strings.Repeat("é", 5000),
}

// What a process, and behind it a peer, says is one value of one line in each format, printable, and has its connection's name.
func TestNobodyForgesLogLines(t *testing.T) {
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			q := d.admitted(1, "publish:live")
			conn := q.p.conn
			var out bytes.Buffer
			d.Controller.log = slog.New(handler(&out))
			says := map[string]func(string){
				"log":     func(s string) { d.says(q, control.MsgLog, control.Log{Level: "info", Text: "libsrt: " + s}) },
				"raw log": func(s string) { _ = d.childLog(q.p, rawLog(s)) },
				"level":   func(s string) { d.says(q, control.MsgLog, control.Log{Level: s, Text: "x"}) },
				"failed":  func(s string) { q.p.failed = false; d.says(q, srt.MsgFailed, srt.Failed{Reason: s, Detail: s}) },
				"type":    func(s string) { d.says(q, s, nil); d.malformed = loglimit.Lines{} },
				"peer": func(s string) {
					conn.Connected = nil
					d.says(q, srt.MsgConnected, srt.Connected{PeerSRT: s, Filter: s})
				},
				"caller": func(s string) {
					d.says(d.listener, srt.MsgRequest, srt.Request{ID: 9, Peer: s, StreamID: s})
					d.refusals.lines = loglimit.Lines{}
				},
				"cause": func(s string) {
					d.says(d.listener, srt.MsgRequest, srt.Request{ID: 9, StreamID: "#!::m=" + s})
					d.refusals.lines = loglimit.Lines{}
				},
				"sandbox": func(s string) { clear(d.reported); d.says(q, srt.MsgHello, srt.Hello{Missing: []string{s}}) },
				"attribute": func(s string) {
					d.says(q, control.MsgLog, control.Log{Text: "x", Attrs: []control.LogAttr{{Key: s, Value: s}, {Key: "a", Value: s}, {Key: "conn", Value: s}, {Key: "b", Value: []string{s}}}})
				},
				"listener": func(s string) { d.says(d.listener, control.MsgLog, control.Log{Text: s}) },
			}
			for source, say := range says {
				for _, text := range forged {
					out.Reset()
					q.p.lines, d.listener.p.lines, d.childLines = loglimit.Lines{}, loglimit.Lines{}, loglimit.Lines{}
					say(text)
					line := out.String()
					require.Equal(t, 1, strings.Count(line, "\n"), "%s: %q", source, line)
					require.True(t, utf8.ValidString(line), "%s: %q", source, line)
					require.Less(t, len(line), 2*control.MaxLogText)
					for _, r := range strings.TrimSuffix(line, "\n") {
						require.True(t, unicode.IsPrint(r), "%s: %q in %q", source, r, line)
					}
					if name == "json" {
						var v map[string]any
						require.NoError(t, json.Unmarshal(out.Bytes(), &v), line)
						require.NotEqual(t, "forged", v["msg"])
						if source == "log" || source == "raw log" {
							require.Equal(t, []any{conn.ID, "live", conn.Peer, "srt"}, []any{v["conn"], v["stream"], v["peer"], v["role"]})
						}
						continue
					}
					// Outside of what is quoted nothing is forged.
					require.NotContains(t, unquoted(line), "forged", "%s: %s", source, line)
				}
			}
		})
	}
}

// unquoted is a text line without its quoted values.
func unquoted(line string) string {
	var b strings.Builder
	in := false
	for i := 0; i < len(line); i++ {
		switch {
		case in && line[i] == '\\':
			i++
		case line[i] == '"':
			in = !in
		case !in:
			b.WriteByte(line[i])
		}
	}
	return b.String()
}

// Many processes that talk at once are bounded together, and what was not logged is counted.
func TestLinesOfAllProcessesAreBounded(t *testing.T) {
	d := newDesk(t)
	var all []*peer
	for range 20 {
		all = append(all, d.idle())
	}
	start := time.Now()
	for range 50 {
		for _, q := range all {
			d.says(q, control.MsgLog, control.Log{Level: "error", Text: "noise"})
		}
	}
	n := strings.Count(d.log.String(), "a process says")
	require.GreaterOrEqual(t, n, allLinesPerSecond)
	require.LessOrEqual(t, n, int(allLinesPerSecond*(1+time.Since(start).Seconds())))
	time.Sleep(2 * time.Second / linesPerSecond)
	d.says(all[0], control.MsgLog, control.Log{Level: "error", Text: "after"})
	require.Regexp(t, fmt.Sprintf(`text=after role=srt pid=%d unlogged=\d+`, all[0].p.PID), d.log.String())
}

// rawLog is a message whose text did not go through an encoder.
func rawLog(text string) control.Message {
	b := []byte(`{"level":"info","text":"`)
	for i := range len(text) {
		if c := text[i]; c >= 0x20 && c != '"' {
			b = append(b, c)
		} else {
			b = fmt.Appendf(b, `\u%04x`, c)
		}
	}
	return control.Message{Type: control.MsgLog, Body: append(b, `"}`...)}
}

// What a line of a process has beside its text stays what it was, bounded, and takes the place of nothing of ours.
func TestAttributesOfProcesses(t *testing.T) {
	d := newDesk(t)
	var out bytes.Buffer
	d.Controller.log = slog.New(slog.NewJSONHandler(&out, nil))
	p := d.listener.p
	many := []control.LogAttr{
		{Key: "times", Value: 7},
		{Key: "rate", Value: 0.5},
		{Key: "code", Value: 1 << 40},
		{Key: "on", Value: true},
		{Key: "peer", Value: "192.0.2.1:1"},
		{Key: "pid", Value: 1},
		{Key: "role", Value: "http"},
		{Key: "msg", Value: "ready"},
		{Key: "level", Value: "ERROR"},
		{Key: "time", Value: "never"},
		{Key: "list", Value: []int{1}},
		{Key: "null"},
		{Key: "long", Value: strings.Repeat("x", 3*control.MaxLogText)},
		{Key: "rest", Value: "y"},
	}
	for len(many) < control.MaxLogAttrs+5 {
		many = append(many, control.LogAttr{Key: fmt.Sprintf("k%d", len(many)), Value: 1})
	}
	d.says(d.listener, control.MsgLog, control.Log{Level: "warn", Text: "so", Attrs: many})
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
	require.Less(t, out.Len(), 2*control.MaxLogText)
	require.NotContains(t, out.String(), fmt.Sprintf("k%d", control.MaxLogAttrs))
	for _, want := range []string{
		`"level":"WARN","msg":"a process says","text":"so","role":"srt-listener"`, fmt.Sprintf(`"pid":%d`, p.PID),
		`"times":7`, `"rate":0.5`, `"code":1099511627776`, `"on":true`, `"peer":"192.0.2.1:1"`, `"its_pid":1`, `"its_role":"http"`, `"its_msg":"ready"`, `"its_level"`, `"its_time"`,
	} {
		require.Contains(t, out.String(), want)
	}
	require.NotContains(t, out.String(), `"list"`)
}
