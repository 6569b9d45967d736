package guardian

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func entryItem(n int, record string) item {
	return item{Number: int64(n), Entry: &Entry{Kind: "k", Key: strconv.Itoa(n), Record: []byte(strconv.Quote(record))}, Names: []string{"a", ""}}
}

// TestJournalIsRead as it was written, whatever is at its end.
func TestJournalIsRead(t *testing.T) {
	j, err := newJournal()
	require.NoError(t, err)
	defer j.file.Close()
	var want []item
	for i := range 20 {
		it := entryItem(i, strings.Repeat("x", i*100))
		require.NoError(t, j.add(&it))
		want = append(want, it)
	}
	_, got, err := openJournal(duplicate(j.file))
	require.NoError(t, err)
	require.Equal(t, want, got)

	// Killed while it wrote the last: at any byte of it.
	last := entryItem(99, "the last one")
	end := j.end
	require.NoError(t, j.add(&last))
	for cut := end; cut < j.end; cut++ {
		f := copyOf(j.file)
		require.NoError(t, f.Truncate(cut))
		_, got, err := openJournal(f)
		require.NoError(t, err)
		require.Equal(t, want, got, cut)
		require.NoError(t, f.Truncate(j.end)) // the same with nothing in place of the rest
		_, got, err = openJournal(f)
		require.NoError(t, err)
		require.Equal(t, want, got, cut)
		require.NoError(t, f.Close())
	}

	// A byte of the last is another one.
	f := copyOf(j.file)
	_, err = f.WriteAt([]byte("L"), end+itemHeader+int64(bytes.Index(readAll(t, f, end+itemHeader), []byte("last"))))
	require.NoError(t, err)
	_, got, err = openJournal(f)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NoError(t, f.Close())

	// Taken over, with half an item at its end: what comes next stands behind what is whole.
	require.NoError(t, j.file.Truncate(j.end-3))
	k, got, err := openJournal(duplicate(j.file))
	require.NoError(t, err)
	require.Equal(t, want, got)
	next := entryItem(100, "of another guardian")
	require.NoError(t, k.add(&next))
	_, got, err = openJournal(duplicate(k.file))
	require.NoError(t, err)
	require.Equal(t, append(want[:20:20], next), got)
	require.NoError(t, k.rewrite(got[:5]))
	require.NoError(t, k.add(&last))
	_, got, err = openJournal(k.file)
	require.NoError(t, err)
	require.Equal(t, append(want[:5:5], last), got)
}

func readAll(t *testing.T, f *os.File, from int64) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(f, from, 1<<20))
	require.NoError(t, err)
	return b
}

// TestJournalGivesMemoryBack however long it is written.
func TestJournalGivesMemoryBack(t *testing.T) {
	s, _ := (&cupboard{files: map[string]*os.File{}}).inherit(t)
	for i := range 20000 {
		require.NoError(t, s.apply(message(t, MsgPut, Entry{Kind: "k", Key: strconv.Itoa(i % 10), Record: []byte(`"` + strings.Repeat("r", 500) + `"`)}), nil))
	}
	var stat unix.Stat_t
	require.NoError(t, unix.Fstat(int(s.journal.file.Fd()), &stat))
	require.Greater(t, stat.Size, int64(10<<20), "all of it was written")
	require.Less(t, stat.Blocks*512, int64(2*journalSlack))
	_, items, err := openJournal(duplicate(s.journal.file))
	require.NoError(t, err)
	require.Less(t, len(items), 1000)
	s.close()
}

func TestJournalThatIsNone(t *testing.T) {
	for _, header := range [][]byte{nil, {1}, bytes.Repeat([]byte{0xff}, 8), binary.LittleEndian.AppendUint64(nil, 3), binary.LittleEndian.AppendUint64(nil, 9)} {
		f := textFile(string(header))
		_, _, err := openJournal(f)
		require.Error(t, err, header)
		require.NoError(t, f.Close())
	}
	require.Error(t, func() error {
		_, err := appendItem(nil, &item{Names: []string{strings.Repeat("x", maxItem)}})
		return err
	}())
}

// FuzzJournal: whatever is in it, reading it ends, and what is read can be written again.
func FuzzJournal(f *testing.F) {
	var log []byte
	for i := range 3 {
		it := entryItem(i, "record")
		log, _ = appendItem(log, &it)
	}
	f.Add(log)
	f.Add(log[:len(log)-1])
	f.Add([]byte(`{"n":1,"entry":{"kind":"<","key":"k","record":{}},"names":["a"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		framed := binary.LittleEndian.AppendUint32(nil, uint32(len(b)))
		framed = append(binary.LittleEndian.AppendUint32(framed, crc32.Checksum(b, castagnoli)), b...)
		for _, log := range [][]byte{b, framed, append(framed, log...)} {
			items, whole := readItems(bytes.NewReader(log))
			require.LessOrEqual(t, whole, int64(len(log)))
			var again []byte
			for i := range items {
				again, _ = appendItem(again, &items[i]) // longer than it was, it may be too long
			}
			if got, _ := readItems(bytes.NewReader(again)); len(again) < maxItem {
				require.Len(t, got, len(items))
			}
		}
	})
}
