package guardian

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"brume/control"
	"brume/test/inspect"
)

// cupboard is a keeper of which what it is told after a number of calls never arrives, as with one that is slow. Like systemd,
// it does not keep twice what is the same open file.
type cupboard struct {
	files map[string]*os.File
	calls int
	last  int // 0 for no end
	room  int // files, 0 for any number
	call  func()
}

func (c *cupboard) open() bool {
	if c.calls++; c.call != nil {
		c.call()
	}
	return c.last == 0 || c.calls <= c.last
}

func (c *cupboard) keep(name string, f *os.File) bool {
	if c.room > 0 && len(c.files) >= c.room {
		return false
	}
	if !c.open() {
		return true
	}
	if c.files[name] != nil {
		panic(name + " is kept twice")
	}
	for _, kept := range c.files {
		if inspect.SameFile(kept, f) {
			panic("the file of " + name + " is kept twice")
		}
	}
	c.files[name] = duplicate(f)
	return true
}

func (c *cupboard) forget(name string) {
	if c.open() && c.files[name] != nil {
		_ = c.files[name].Close()
		delete(c.files, name)
	}
}

// inherit makes the store of the next guardian of what the cupboard has, and another cupboard.
func (c *cupboard) inherit(t require.TestingT) (*store, *cupboard) {
	next, heir := newStore(), &cupboard{files: c.files}
	c.files = nil
	files := map[string]*os.File{}
	for name, f := range heir.files {
		files[name] = duplicate(f)
	}
	_, err := next.keepIn(heir, files)
	require.NoError(t, err)
	return next, heir
}

// dies closes what a guardian has.
func (s *store) dies() {
	for _, h := range s.entries {
		closeAll(h.Files)
	}
	_ = s.journal.file.Close()
}

func textFile(text string) *os.File {
	fd, err := unix.MemfdCreate("text", unix.MFD_CLOEXEC)
	if err != nil {
		panic(err)
	}
	f := os.NewFile(uintptr(fd), "text")
	_, _ = f.WriteString(text)
	return f
}

func duplicate(f *os.File) *os.File {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// copyOf is a file as it is now.
func copyOf(f *os.File) *os.File {
	c := textFile("")
	if _, err := io.Copy(c, io.NewSectionReader(f, 0, 1<<30)); err != nil {
		panic(err)
	}
	return c
}

// lost is what becomes of an entry with a file that did not arrive.
const lost = "|lost"

// contents are the entries of a store: what each says and holds. Files that are brief are left out.
func contents(s *store) map[entryID]string {
	all := map[entryID]string{}
	for id, h := range s.entries {
		text := string(h.Record)
		for i, f := range h.Files {
			if !h.kept[i].brief {
				b, _ := io.ReadAll(io.NewSectionReader(f, 0, 100))
				text += "|" + string(b)
			}
		}
		if h.Lost {
			text += lost
		}
		all[id] = text
	}
	return all
}

// speak says a word of a controller, about one of four entries.
func speak(t *rapid.T, s *store, n int) {
	kind := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "kind")
	key := rapid.SampledFrom([]string{"", "1"}).Draw(t, "key")
	what := rapid.SampledFrom([]string{MsgPut, MsgAdd, MsgUpdate, MsgRemove}).Draw(t, "word")
	var files []*os.File
	brief := 0
	if what == MsgPut || what == MsgAdd {
		for i := range rapid.IntRange(0, 3).Draw(t, "files") {
			files = append(files, textFile(fmt.Sprint(n, i)))
		}
		brief = rapid.IntRange(0, len(files)).Draw(t, "brief")
	}
	body := fmt.Appendf(nil, `{"kind":%q,"key":%q,"record":%d,"brief":%d}`, kind, key, n, brief)
	_ = s.apply(control.Message{Type: what, Body: body}, files)
}

// TestAStoreIsRestored lets a guardian die after any word, while systemd has heard any part of it: the next one has what this
// one said last, in the order of arrival, and knows what it has lost.
func TestAStoreIsRestored(t *testing.T) {
	defer goleak.VerifyNone(t)
	rapid.Check(t, func(t *rapid.T) {
		s, c := (&cupboard{files: map[string]*os.File{}}).inherit(t)
		n := 0
		for range rapid.IntRange(1, 3).Draw(t, "guardians") {
			c.calls, c.last = 0, rapid.IntRange(0, 40).Draw(t, "last")
			for range rapid.IntRange(0, 20).Draw(t, "words") {
				n++
				speak(t, s, n)
				if rapid.Bool().Draw(t, "tend") {
					s.tend()
				}
			}
			want, order := contents(s), slices.Clone(s.order)
			lasting := 1 // the journal
			for id, h := range s.entries {
				for _, k := range h.kept {
					if !k.brief {
						lasting++
					}
				}
				if h.Lost || slices.ContainsFunc(h.kept, func(k keptFile) bool { return !k.brief && c.files[k.name] == nil }) {
					want[id] = string(h.Record) + lost
				}
			}
			if c.last == 0 {
				require.Len(t, c.files, lasting)
			}
			dead := s
			s, c = c.inherit(t)
			dead.dies()
			require.Equal(t, want, contents(s))
			require.True(t, slices.Equal(order, s.order), "%v %v", order, s.order)
			kept := 1
			for _, h := range s.entries {
				kept += len(h.Files)
			}
			require.Len(t, c.files, kept)
		}
		c.last = 0
		s.close()
		require.Empty(t, c.files)
	})
}

// TestAWordThatIsCut lets a guardian die within a word, at any call to its keeper: the next one has each entry as it was before
// that word or after it, or knows that it is lost. All others are as they were.
func TestAWordThatIsCut(t *testing.T) {
	defer goleak.VerifyNone(t)
	rapid.Check(t, func(t *rapid.T) {
		s, c := (&cupboard{files: map[string]*os.File{}}).inherit(t)
		at, told := rapid.IntRange(1, 60).Draw(t, "at"), rapid.IntRange(0, 1).Draw(t, "told")
		var journal *os.File
		c.calls = 0
		c.call = func() {
			if c.calls == at {
				c.last = at - told
				if c.last == 0 {
					c.last = -1
				}
				journal = copyOf(s.journal.file)
			}
		}
		before := contents(s)
		for n := 0; journal == nil && n < 30; n++ {
			before = contents(s)
			speak(t, s, n)
		}
		after := contents(s)
		if journal != nil {
			_ = c.files[journalName].Close()
			c.files[journalName] = journal
		}
		next, heir := c.inherit(t)
		got := contents(next)
		for id, text := range got {
			if record, is := strings.CutSuffix(text, lost); is {
				require.True(t, strings.HasPrefix(before[id]+"|", record+"|") || strings.HasPrefix(after[id]+"|", record+"|"), text)
			} else {
				require.Contains(t, []string{before[id], after[id]}, text)
			}
		}
		for id, text := range after {
			if old, was := before[id]; was {
				require.Contains(t, got, id, "it was there before and after")
				if old == text {
					require.Equal(t, text, got[id], "it was not spoken of")
				}
			}
		}
		next.close()
		require.Empty(t, heir.files)
		s.dies()
	})
}

// TestAFullKeeper: what finds no room is lost with the guardian, and that is known; it is kept as soon as there is room. What
// is kept already can change.
func TestAFullKeeper(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, c := (&cupboard{files: map[string]*os.File{}}).inherit(t)
	apply := func(kind, key, record string, files ...*os.File) {
		t.Helper()
		require.NoError(t, s.apply(message(t, kind, Entry{Kind: "k", Key: key, Record: []byte(record)}), files))
	}
	inherits := func(want map[entryID]string) {
		t.Helper()
		copied := &cupboard{files: map[string]*os.File{journalName: copyOf(s.journal.file)}}
		for name, f := range c.files {
			if name != journalName {
				copied.files[name] = duplicate(f)
			}
		}
		next, heir := copied.inherit(t)
		require.Equal(t, want, contents(next))
		next.close()
		require.Empty(t, heir.files)
	}
	a, b, d := entryID{"k", "a"}, entryID{"k", "b"}, entryID{"k", "d"}
	c.room = 3 // one is the journal's
	apply(MsgPut, "a", "1", textFile("a"))
	apply(MsgPut, "b", "1", textFile("x"), textFile("y"))
	inherits(map[entryID]string{a: "1|a", b: "1" + lost})
	apply(MsgUpdate, "a", "2")
	apply(MsgUpdate, "b", "2")
	inherits(map[entryID]string{a: "2|a", b: "2" + lost})
	s.tend()
	require.Len(t, s.unkept, 1)
	c.room = 4
	s.tend()
	require.Empty(t, s.unkept)
	inherits(map[entryID]string{a: "2|a", b: "2|x|y"})
	apply(MsgPut, "d", "1", textFile("d"))
	apply(MsgRemove, "b", "0")
	inherits(map[entryID]string{a: "2|a", d: "1" + lost})
	s.tend()
	inherits(map[entryID]string{a: "2|a", d: "1|d"})
	s.close()
	require.Empty(t, c.files)

	full := &cupboard{room: 1, files: map[string]*os.File{"x": textFile("")}}
	unkept := newStore()
	_, err := unkept.keepIn(full, nil)
	require.ErrorIs(t, err, errNoRoom)
	require.Nil(t, unkept.keeper)
	require.NoError(t, full.files["x"].Close())
	require.NoError(t, unkept.journal.file.Close())

	// What can't be read is not taken over, and kept no longer.
	spoilt := &cupboard{files: map[string]*os.File{journalName: textFile("spoilt"), "1": textFile("x")}}
	files := map[string]*os.File{journalName: duplicate(spoilt.files[journalName]), "1": duplicate(spoilt.files["1"])}
	s = newStore()
	_, err = s.keepIn(spoilt, files)
	require.ErrorContains(t, err, "journal")
	require.Empty(t, s.entries)
	require.Len(t, spoilt.files, 1, "another journal")
	s.close()
	require.Empty(t, spoilt.files)
}

// TestALostEntryIsTold to one controller after another, until it is forgotten.
func TestALostEntryIsTold(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, c := (&cupboard{files: map[string]*os.File{}}).inherit(t)
	c.calls, c.last = 0, 1
	for _, key := range []string{"a", "b"} {
		require.NoError(t, s.apply(message(t, MsgPut, Entry{Kind: "k", Key: key, Record: []byte("7")}), []*os.File{textFile(key)}))
	}
	for range 2 {
		s.dies()
		s, c = c.inherit(t)
		all := told(t, s)
		require.Len(t, all, 2)
		require.Equal(t, []bool{false, true}, []bool{all[0].Lost, all[1].Lost})
		require.Equal(t, "7", string(all[1].Record))
	}
	require.NoError(t, s.apply(message(t, MsgRemove, Entry{Kind: "k", Key: "b"}), nil))
	s.dies()
	s, c = c.inherit(t)
	require.Len(t, told(t, s), 1)
	s.close()
	require.Empty(t, c.files)
}

// TestTheControllerIsRemembered, the last that was started.
func TestTheControllerIsRemembered(t *testing.T) {
	s, c := (&cupboard{files: map[string]*os.File{}}).inherit(t)
	for i := range 3 {
		s.runs(mark{PID: i, Began: uint64(10 * i), Starts: i + 1})
	}
	require.NoError(t, s.rewrite())
	journal := duplicate(c.files[journalName])
	next := newStore()
	before, err := next.keepIn(c, map[string]*os.File{journalName: copyOf(journal)})
	require.NoError(t, err)
	require.Equal(t, &mark{2, 20, 3}, before)
	s.close()
	before, err = newStore().keepIn(c, map[string]*os.File{journalName: journal})
	require.NoError(t, err)
	require.Nil(t, before, "an orderly end leaves nothing")
}
