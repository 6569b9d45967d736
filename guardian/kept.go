package guardian

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An entry is kept as its files and its record, which is a memory file: "brume.NUMBER.CHANGE.record", and
// "brume.NUMBER.0" and so on. A new record is kept before the old one is forgotten, so that one of them is always whole.
const namePrefix = "brume."

// maxRecord bounds a record, in bytes.
const maxRecord = 64 << 10

// place is how an entry is kept.
type place struct {
	number int // of the entry, never used twice
	change int // of its record
}

func (p place) record() string { return fmt.Sprintf("%s%d.%d.record", namePrefix, p.number, p.change) }
func (p place) file(i int) string {
	return fmt.Sprintf("%s%d.%d", namePrefix, p.number, i)
}

// keptRecord is what the record of an entry says.
type keptRecord struct {
	Entry
	Files int `json:"files"`
}

// keep keeps a new entry.
func (s *store) keep(h *Handed) {
	if s.keeper == nil {
		return
	}
	s.numbers++
	h.place = place{number: s.numbers}
	for i, f := range h.Files {
		s.keeper.keep(h.place.file(i), f)
	}
	s.keepRecord(h)
}

// keepRecord keeps an entry's record, last: an entry without one is no entry.
func (s *store) keepRecord(h *Handed) {
	f, err := recordFile(keptRecord{h.Entry, len(h.Files)})
	if err != nil {
		return // no memory is left: nothing would be kept
	}
	defer f.Close()
	s.keeper.keep(h.place.record(), f)
}

// change keeps an entry's new record.
func (s *store) change(h *Handed) {
	if s.keeper == nil {
		return
	}
	old := h.place.record()
	h.place.change++
	s.keepRecord(h)
	s.keeper.forget(old)
}

// forget forgets an entry.
func (s *store) forget(h *Handed) {
	if s.keeper == nil {
		return
	}
	s.keeper.forget(h.place.record())
	for i := range h.Files {
		s.keeper.forget(h.place.file(i))
	}
}

func recordFile(r keptRecord) (*os.File, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("record", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "record")
	if _, err := f.Write(b); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// restore takes over what an earlier guardian kept. What is no whole entry any more is forgotten.
func (s *store) restore(files map[string]*os.File) {
	newest := map[int]place{}
	for name := range files {
		p, ok := parseRecordName(name)
		if !ok {
			continue
		}
		s.numbers = max(s.numbers, p.number)
		if old, known := newest[p.number]; !known || old.change < p.change {
			newest[p.number] = p
		}
	}
	numbers := make([]int, 0, len(newest))
	for n := range newest {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers) // the order of arrival
	for _, n := range numbers {
		if h := assemble(newest[n], files); h != nil {
			id := entryID{h.Kind, h.Key}
			if old := s.entries[id]; old != nil {
				// It was being replaced.
				s.forget(old)
				closeAll(old.Files)
			} else {
				s.order = append(s.order, id)
			}
			s.entries[id] = h
		}
	}
	for name, f := range files {
		_ = f.Close()
		s.keeper.forget(name)
	}
}

// assemble takes the files of one entry out of what was kept.
func assemble(p place, files map[string]*os.File) *Handed {
	r, err := readRecord(files[p.record()])
	if err != nil {
		return nil
	}
	h := &Handed{Entry: r.Entry, place: p}
	for i := range r.Files {
		if files[p.file(i)] == nil {
			return nil
		}
	}
	for i := range r.Files {
		h.Files = append(h.Files, files[p.file(i)])
		delete(files, p.file(i))
	}
	_ = files[p.record()].Close()
	delete(files, p.record())
	return h
}

func readRecord(f *os.File) (r keptRecord, err error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxRecord))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, err
	}
	if r.Files < 0 || r.Files > maxListenFDs {
		return r, fmt.Errorf("an entry of %d files", r.Files)
	}
	return r, nil
}

func parseRecordName(name string) (place, bool) {
	rest, ok := strings.CutPrefix(name, namePrefix)
	rest, isRecord := strings.CutSuffix(rest, ".record")
	number, change, both := strings.Cut(rest, ".")
	n, err1 := strconv.Atoi(number)
	c, err2 := strconv.Atoi(change)
	return place{n, c}, ok && isRecord && both && err1 == nil && err2 == nil && n >= 0 && c >= 0
}
