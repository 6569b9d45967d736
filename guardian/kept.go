package guardian

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"strconv"
)

// What outlives the guardian is the store's journal and the lasting files of its entries, each by a name, in systemd's store.
// systemd compares a new file with all that it has and may be slow over it, so that it is told of as few as possible, and of
// none that it has already (docs/systemd.md).

// journalName is the journal's own. No file's name has a capital.
const journalName = "Journal"

// nameBase is of the numbers that are the files' names. They are short since systemd hands all of them over in one variable,
// see maxNames.
const nameBase = 36

var errNoRoom = errors.New("systemd has no room for the store's journal")

// keepIn begins to keep what the store has, of an earlier guardian or none, and returns the controller that this one had. With
// an error the store may still be kept.
func (s *store) keepIn(k keeper, inherited map[string]*os.File) (*mark, error) {
	var readErr, err error
	var items []item
	if old := inherited[journalName]; old != nil {
		delete(inherited, journalName)
		if s.journal, items, readErr = openJournal(old); readErr != nil {
			k.forget(journalName)
			_ = old.Close()
		}
	}
	s.keeper = k
	before := s.restore(items, inherited)
	if s.journal == nil {
		if s.journal, err = newJournal(); err == nil && !k.keep(journalName, s.journal.file) {
			err = errNoRoom
		}
		if err != nil {
			s.keeper = nil
			return nil, errors.Join(readErr, err)
		}
	}
	return before, errors.Join(readErr, s.rewrite())
}

// restore makes the entries that the journal tells of, and forgets the files that belong to none.
func (s *store) restore(items []item, files map[string]*os.File) (before *mark) {
	last := map[int64]item{}
	used := func(name string) {
		if n, err := strconv.ParseInt(name, nameBase, 64); err == nil {
			s.names = max(s.names, n)
		}
	}
	for _, it := range items {
		last[it.Number] = it
		s.numbers = max(s.numbers, it.Number)
		for _, name := range it.Names {
			used(name)
		}
	}
	for name := range files {
		used(name)
	}
	before = last[0].Controller
	inOrder := slices.SortedFunc(func(yield func(item) bool) {
		for _, it := range last {
			if it.Entry != nil && !yield(it) {
				return
			}
		}
	}, func(a, b item) int { return cmp.Compare(a.Number, b.Number) })
	for i := range inOrder {
		h := assemble(&inOrder[i], files)
		if s.entries[h.id()] == nil {
			s.order = append(s.order, h.id())
		}
		s.entries[h.id()] = h
	}
	for name, f := range files {
		_ = f.Close()
		s.keeper.forget(name)
	}
	return before
}

// assemble takes the files of an entry out of what was kept. An entry is lost where one of them is missing.
func assemble(it *item, files map[string]*os.File) *Handed {
	h := &Handed{Entry: *it.Entry, number: it.Number}
	for _, name := range it.Names {
		if files[name] == nil {
			h.Lost = true
		}
	}
	if h.Lost {
		return h
	}
	for _, name := range it.Names {
		h.Files = append(h.Files, files[name])
		h.kept = append(h.kept, keptFile{name: name})
		delete(files, name)
	}
	return h
}

// keep writes what an entry is now. A file for which systemd has no room is tried again.
func (s *store) keep(h *Handed) {
	if s.keeper == nil {
		return
	}
	delete(s.unkept, h.id())
	for i := range h.kept {
		k := &h.kept[i]
		if k.brief || k.name != "" {
			continue
		}
		name := strconv.FormatInt(s.names+1, nameBase)
		if !s.keeper.keep(name, h.Files[i]) {
			s.unkept[h.id()] = true
			continue
		}
		s.names++
		k.name = name
	}
	s.write(h.item())
}

// item is what the journal says of the entry.
func (h *Handed) item() *item {
	it := &item{Number: h.number, Entry: &h.Entry}
	for _, k := range h.kept {
		if !k.brief {
			it.Names = append(it.Names, k.name)
		}
	}
	return it
}

// forget forgets an entry.
func (s *store) forget(h *Handed) {
	if s.keeper != nil {
		s.write(&item{Number: h.number})
		s.release(h)
	}
}

// release gives up the files of an entry.
func (s *store) release(h *Handed) {
	if s.keeper == nil {
		return
	}
	delete(s.unkept, h.id())
	for _, k := range h.kept {
		if k.name != "" {
			s.keeper.forget(k.name)
		}
	}
}

// tend tries again what could not be kept.
func (s *store) tend() {
	if s.keeper == nil {
		return
	}
	for id := range s.unkept {
		if s.keep(s.entries[id]); s.unkept[id] {
			break // nor is there room for others
		}
	}
	if s.stale {
		_ = s.rewrite()
	}
}

func (s *store) write(it *item) {
	if err := s.journal.add(it); err != nil {
		s.stale = true
	}
	if s.journal.grown() {
		_ = s.rewrite()
	}
}

// rewrite makes the journal say all that there is, and no more.
func (s *store) rewrite() error {
	var items []item
	if s.controller != nil {
		items = append(items, item{Controller: s.controller})
	}
	for _, id := range s.order {
		items = append(items, *s.entries[id].item())
	}
	err := s.journal.rewrite(items)
	s.stale = err != nil
	return err
}

// runs notes the controller that the next guardian has to see the end of.
func (s *store) runs(m mark) {
	if s.keeper == nil {
		return
	}
	s.controller = &m
	s.write(&item{Controller: &m})
}

// endKeeping leaves nothing that the next guardian would take over.
func (s *store) endKeeping() {
	if s.keeper == nil {
		return
	}
	s.controller = nil
	_ = s.journal.rewrite(nil) // at once
	s.keeper.forget(journalName)
	_ = s.journal.file.Close()
	s.keeper = nil
}
