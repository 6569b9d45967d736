package guardian

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"brume/memfile"
)

// journal is what the store says, in a memory file that outlives this process where systemd keeps it. What is written is
// there at once, while a descriptor is on its way to systemd for as long as that takes.
//
// The file begins with the offset of the log, 8 bytes. The log is items: the length of a body and its CRC-32C, 4 bytes each,
// then the body, JSON. All numbers are little endian. The log is rewritten behind itself, before the offset points to it; the
// memory of the old one is given back. Whenever its owner dies, one of them is whole but for the item that was being written.
type journal struct {
	file       *os.File
	start, end int64
	rewritten  int64 // bytes of the log when it was last rewritten
}

// item is what the journal says of an entry; the last one of a number counts.
type item struct {
	Number     int64    `json:"n"`                    // of the entry, in the order of arrival; 0 for the controller
	Entry      *Entry   `json:"entry,omitempty"`      // nil: forgotten
	Names      []string `json:"names,omitempty"`      // of its lasting files in systemd's store, empty for one that is not there
	Controller *mark    `json:"controller,omitempty"` // that runs
}

// mark identifies a controller.
type mark struct {
	PID    int    `json:"pid"`
	Began  uint64 `json:"began"`  // ticks after the machine's start
	Starts int    `json:"starts"` // how often a controller was started, this one included
}

const (
	journalHeader = 8
	itemHeader    = 8
	maxItem       = 128 << 10 // bytes; an entry comes in a control message
	// journalSlack is what a log may grow by before it is rewritten, beside four times what it was.
	journalSlack = 256 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// newJournal makes an empty one.
func newJournal() (*journal, error) {
	file, err := memfile.New("journal")
	if err != nil {
		return nil, err
	}
	j := &journal{file: file, end: journalHeader}
	if err := j.rewrite(nil); err != nil {
		_ = j.file.Close()
		return nil, err
	}
	return j, nil
}

// openJournal reads that of a process that is gone.
func openJournal(f *os.File) (*journal, []item, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	var header [journalHeader]byte
	if _, err := f.ReadAt(header[:], 0); err != nil {
		return nil, nil, fmt.Errorf("read the store's journal: %w", err)
	}
	j := &journal{file: f, start: int64(binary.LittleEndian.Uint64(header[:])), end: info.Size()}
	if j.start < journalHeader || j.start > j.end {
		return nil, nil, errors.New("the store's journal does not say where it begins")
	}
	items, size := readItems(io.NewSectionReader(f, j.start, j.end-j.start))
	j.end = j.start + size
	return j, items, nil
}

// readItems reads up to the first that is not whole, and returns the bytes that the others are.
func readItems(from io.Reader) (all []item, whole int64) {
	r := bufio.NewReader(from)
	for {
		var header [itemHeader]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return all, whole
		}
		size := binary.LittleEndian.Uint32(header[:4])
		if size == 0 || size > maxItem {
			return all, whole
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(r, body); err != nil {
			return all, whole
		}
		var it item
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(header[4:]) || json.Unmarshal(body, &it) != nil {
			return all, whole
		}
		all = append(all, it)
		whole += itemHeader + int64(size)
	}
}

func appendItem(b []byte, it *item) ([]byte, error) {
	body, err := json.Marshal(it)
	if err == nil && len(body) > maxItem {
		err = fmt.Errorf("an entry of %d bytes", len(body))
	}
	if err != nil {
		return b, err
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return append(b, body...), nil
}

// add writes an item.
func (j *journal) add(it *item) error {
	b, err := appendItem(nil, it)
	if err != nil {
		return err
	}
	if _, err := j.file.WriteAt(b, j.end); err != nil {
		return err
	}
	j.end += int64(len(b))
	return nil
}

// grown tells whether most of the log may be of no use any more.
func (j *journal) grown() bool { return j.end-j.start > 4*j.rewritten+journalSlack }

// rewrite begins the log anew.
func (j *journal) rewrite(items []item) error {
	const page = 4096
	start := (j.end + page - 1) / page * page // behind the log; what may be left there of an item that was cut is cleared
	var b []byte
	var err error
	for i := range items {
		if b, err = appendItem(b, &items[i]); err != nil {
			return err
		}
	}
	if err := j.file.Truncate(start); err != nil {
		return err
	}
	if err := j.file.Truncate(start + int64(len(b))); err != nil {
		return err
	}
	if _, err := j.file.WriteAt(b, start); err != nil {
		return err
	}
	if _, err := j.file.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(start)), 0); err != nil {
		return err
	}
	if j.start >= page {
		fd := int(j.file.Fd())
		_ = unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, j.start, start-j.start) // else it stays in use
	}
	j.start, j.end, j.rewritten = start, start+int64(len(b)), int64(len(b))
	return nil
}
