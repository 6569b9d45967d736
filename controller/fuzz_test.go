package controller

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/config"
	"brume/control"
	"brume/srt"
)

// FuzzConnectionMessages lets a connection process that was taken over say anything, a message a line: an idle one, one
// that has not shown its role, a viewer, a publisher, a source and a push. Nobody else may notice. An empty line lets time pass.
func FuzzConnectionMessages(f *testing.F) {
	for who := range byte(6) {
		f.Add(who, []byte(`{"type":"hello","body":{"pid":1,"libsrt":"1.5.1","sandbox":["seccomp"],"missing":["landlock"]}}
{"type":"connected","body":{"peer":"x","latency_rcv":-1,"key_length":99999999999}}
{"type":"connected","body":{}}
{"type":"direction","body":{"role":"publish"}}

{"type":"direction","body":{"role":"play"}}
{"type":"stats","body":{"bytes":18446744073709551615,"demux":{"bytes":18446744073709551615}}}
{"type":"stats","body":{"srt":{"time_ms":1,"rtt_ms":1e308,"total":{"pkt_rcv_loss":-9223372036854775808,"byte_recv":18446744073709551615}}}}

{"type":"stats","body":{"srt":{"time_ms":9223372036854775807,"receive_rate_mbps":-1e-308,"snd_buf_ms":-1,"total":{"pkt_rcv_loss":9223372036854775807}}}}
{"type":"stats","body":{"health":{"pids":[{"pid":65535,"kind":"\u0000"}],"pids_total":-1,"pcrs":[{"drift_ppm":1e308}],"indicators":{"pat":{"errors":18446744073709551615,"last_error":"9999-12-31T23:59:59Z"}}}}}
{"type":"programs","body":{"list":[{"number":1,"name":"\u0000\ud800"},{"number":1},{"number":65535}],"taken":[1,2,3,4,5]}}
{"type":"stats","body":{"mapped":[{},{},{}]}}
{"type":"log","body":{"level":"error","text":"\u0000\ud800","count":18446744073709551615}}

{"type":"failed","body":{"reason":"buffer"}}
{"type":"failed","body":{"reason":"buffer"}}

{"type":"direction","body":{"role":"publish"}}
{"type":"hello","body":{}}
`))
		f.Add(who, []byte("{\"type\":\"request\",\"body\":{\"id\":1,\"stream_id\":\"publish:other\"}}\n{\"type\":\"verdict\",\"body\":{\"id\":1,\"child\":2}}\n{\"type\":\"stream\"}\n[]\n{}\n\xff\n"))
	}
	f.Fuzz(func(t *testing.T, who byte, said []byte) {
		d := newDesk(t)
		web := d.join(roleHTTP)
		publisher := d.admitted(1, "publish:other")
		d.live(publisher)
		viewer, waiting := d.admitted(2, "read:other"), d.admitted(3, "later")
		var bad *peer
		switch who % 6 {
		case 0:
			bad = d.idle()
		case 1:
			bad = d.admitted(4, "other")
		case 2:
			bad = d.admitted(4, "read:other")
		case 3:
			bad = d.admitted(4, "publish:mine")
		case 4:
			d.withCallers("mine", config.StreamConfig{Start: config.StartAlways, Source: []config.URL{"srt://127.0.0.1:9"}})
			d.after(0)
			bad, _, _ = d.called()
		case 5:
			d.withCallers("other", config.StreamConfig{Push: []config.URL{"srt://127.0.0.1:9"}})
			d.after(0)
			bad, _, _ = d.called()
		}
		others := []*peer{publisher, viewer, waiting, web, d.listener, d.idle()}
		for _, q := range others {
			for m, _ := q.hears(); m.Type != ""; m, _ = q.hears() {
				continue
			}
		}
		records := map[*peer]processRecord{}
		connections := map[*peer]connection{}
		for _, q := range others {
			records[q] = q.p.processRecord
			if q.p.conn != nil {
				connections[q] = *q.p.conn
			}
		}

		now := time.Now()
		for i, line := range bytes.Split(said, []byte("\n")) {
			if i == 64 {
				break
			}
			if len(line) == 0 {
				now = now.Add(monitorInterval)
				d.monitor(now)
				continue
			}
			m, err := control.Parse(line)
			d.heard(bad.p, m, err)
		}

		s := d.streams["other"]
		require.NotNil(t, s)
		require.Same(t, publisher.p.conn, s.publisher)
		require.True(t, s.players[viewer.p.conn])
		require.False(t, s.corrupt)
		require.Nil(t, s.successor)
		require.True(t, s.over.IsZero() && s.gone.IsZero())
		for _, q := range others {
			require.Same(t, q.p, d.processes[q.p.ID])
			require.False(t, q.p.killed)
			require.Equal(t, records[q], q.p.processRecord)
			m, _ := q.hears()
			if allowed := q == web && m.Type != ""; !allowed {
				require.Empty(t, m.Type, "%s was told something", q.p.Role)
			}
			if q.p.conn != nil {
				require.Equal(t, connections[q], *q.p.conn)
			}
		}
		require.Equal(t, roleConnection, bad.p.Role)
		require.LessOrEqual(t, len(d.connections), 4)
		require.LessOrEqual(t, len(d.streams), 2)
		require.Zero(t, d.rejects[causeBuffer])
		if conn := bad.p.conn; conn != nil {
			require.LessOrEqual(t, d.failures[srt.FailBuffer]+d.failures[srt.FailInternal], uint64(1))
			require.Contains(t, []string{"other", "mine"}, conn.Stream)
			if conn.in != nil {
				require.Equal(t, conn.Stream, conn.in.Stream)
			}
		}
		for _, c := range d.allConnections() {
			require.Equal(t, c.ID, d.connections[c.ID].ID)
		}
		d.allStreams()
		for id, conn := range d.connections {
			if h := conn.samples.history; h != nil {
				for _, l := range []*level{&h.fine, &h.coarse} {
					_, columns := l.read(now.Add(time.Hour).Unix())
					for _, v := range slices.Concat(columns...) {
						require.False(t, v < 0 || v > 1e9, "%s: %v", id, v)
					}
				}
			}
		}
		d.tellMoreRefused(now.Add(time.Hour))
	})
}
