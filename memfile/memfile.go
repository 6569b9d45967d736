// Package memfile makes files in memory (memfd_create(2)).
package memfile

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Seals. A file that has them keeps its size and takes no further seal.
const (
	FixedSize = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	// Complete files take no write any more, except through mappings that exist. F_SEAL_WRITE would be refused (EBUSY) as long as the
	// kernel holds pages of the file for a client that is slow to take them.
	Complete = FixedSize | unix.F_SEAL_FUTURE_WRITE
)

// New makes an empty file that can be sealed, can't be executed and is closed on exec. The name is for people who look at
// /proc, and need not be unique.
func New(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("make the memory file %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// NewSized makes a file of so many bytes, all zero, that can neither grow nor shrink.
func NewSized(name string, size int64) (*os.File, error) {
	f, err := New(name)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(size); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("size the memory file %s: %w", name, err)
	}
	if err := Seal(f, FixedSize); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Seal adds seals (F_ADD_SEALS). What was sealed is sealed for good.
func Seal(f *os.File, seals int) error {
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal the memory file %s: %w", f.Name(), err)
	}
	return nil
}
