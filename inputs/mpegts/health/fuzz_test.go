package health

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"
	"time"

	"brume/media/ts"
)

// checked gives a Monitor anything, cut in two ways, each byte string of a size and with a pause that the bytes themselves
// choose, and looks at what holds for whatever comes.
func checked(t *testing.T, b []byte) {
	whole, parts := New(), New()
	at := time.Duration(0)
	for i := 0; len(b) > 0; i++ {
		n := min(1316, len(b))
		at += time.Duration(b[n-1]) * time.Millisecond
		whole.Write(b[:n], at)
		for k := 0; k < n; k += 100 {
			parts.Write(b[k:min(n, k+100)], at)
		}
		b = b[n:]
	}
	one, two := report(t, whole), report(t, parts)
	if one != two {
		t.Fatalf("the cut matters:\n%s\n%s", one, two)
	}
	whole.Tick(at + time.Hour)
	report(t, whole)
}

func report(t *testing.T, m *Monitor) string {
	h := m.report()
	if len(m.records) > maxRecords || len(m.programs) > maxPrograms || len(h.PIDs) > ts.MaxHealthPIDs || len(h.PCRs) > ts.MaxHealthPCRs {
		t.Fatal("more than there may be")
	}
	strays, free := 0, 0
	for i := firstRecord; i < len(m.records); i++ {
		r := &m.records[i]
		switch {
		case r.pid == ts.PIDs:
			free++
		case int(m.pids[r.pid].record) != i:
			t.Fatalf("record %d of PID %d is not found", i, r.pid)
		case r.kind == ts.KindUnreferenced:
			strays++
		}
		if !r.kind.Known() && r.pid != ts.PIDs {
			t.Fatalf("PID %d of no kind", r.pid)
		}
	}
	if strays != m.strays {
		t.Fatalf("%d strays, counted %d", strays, m.strays)
	}
	without := 0
	for i := range m.pids {
		if n := m.pids[i].record; n == shared {
			without++
		} else if n != unmet && int(m.records[n].pid) != i {
			t.Fatalf("PID %d has the record of %d", i, m.records[n].pid)
		}
	}
	if without != m.beyond {
		t.Fatalf("%d without a record, counted %d", without, m.beyond)
	}
	b, err := json.Marshal(h) // no figure that JSON has no word for
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 16<<10 {
		t.Fatalf("a report of %d bytes", len(b))
	}
	return string(b)
}

// FuzzMonitor takes anything for a transport stream.
func FuzzMonitor(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<18 {
			return
		}
		checked(t, b)
	})
}

// TestCorpus writes the corpus of FuzzMonitor anew where it is asked to.
func TestCorpus(t *testing.T) {
	for name, list := range map[string][]sent{
		"one-program":       recipe{length: 300 * time.Millisecond}.make(),
		"several-programs":  recipe{length: 200 * time.Millisecond, programs: 3, clockPID: pidClock}.make(),
		"near-wrap":         recipe{length: 300 * time.Millisecond, first: pcrWrap - 4_000_000}.make(),
		"strays":            recipe{length: 100 * time.Millisecond, extra: stray(pidStray, 0, second)}.make(),
		"wrong-checksums":   edit(recipe{length: 200 * time.Millisecond}.make(), pidPMT, 1, 9, func(p []byte) { p[187] ^= 1 }),
		"scrambled":         edit(recipe{length: 200 * time.Millisecond}.make(), pidVideo, 1, 9, func(p []byte) { p[3] |= 0x80 }),
		"wrong-sync":        edit(recipe{length: 200 * time.Millisecond}.make(), pidAudio, 1, 3, func(p []byte) { p[0] = 1 }),
		"jump":              edit(recipe{length: 200 * time.Millisecond}.make(), pidVideo, 4, 99, func(p []byte) { shiftPCR(p, 1<<40) }),
		"adaptation-beyond": edit(recipe{length: 200 * time.Millisecond}.make(), pidVideo, 4, 2, func(p []byte) { p[3] |= 0x20; p[4] = 200 }),
	} {
		var b []byte
		for i := range list {
			b = append(b, list[i].p[:]...)
		}
		checked(t, b)
		if os.Getenv("UPDATE_CORPUS") != "" {
			text := "go test fuzz v1\n[]byte(" + strconv.Quote(string(b)) + ")\n"
			if err := os.WriteFile("testdata/fuzz/FuzzMonitor/"+name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries, err := os.ReadDir("testdata/fuzz/FuzzMonitor")
	if err != nil || len(entries) < 9 {
		t.Fatalf("the corpus is not there: %v %v", entries, err)
	}
}
