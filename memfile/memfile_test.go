package memfile

import (
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSizedFilesKeepTheirSize(t *testing.T) {
	f, err := NewSized("test", 4096)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	require.ErrorIs(t, f.Truncate(4097), unix.EPERM)
	require.ErrorIs(t, f.Truncate(4095), unix.EPERM)
	_, err = f.WriteAt([]byte("xy"), 4095)
	require.ErrorIs(t, err, unix.EPERM, "beyond the end")
	require.ErrorIs(t, Seal(f, unix.F_SEAL_WRITE), unix.EPERM, "nobody can keep the writer out")
	_, err = f.WriteAt([]byte("x"), 4095)
	require.NoError(t, err)
}

func TestCompleteFilesAreReadOnly(t *testing.T) {
	f, err := New("test")
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	_, err = f.WriteString("segment")
	require.NoError(t, err)
	require.NoError(t, Seal(f, Complete))
	_, err = f.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, unix.EPERM)
	require.ErrorIs(t, f.Truncate(0), unix.EPERM)
	_, err = f.Seek(0, io.SeekStart)
	require.NoError(t, err)
	b, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, "segment", string(b))
}

func TestFilesAreNeitherInheritedNorRun(t *testing.T) {
	f, err := New("test")
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.FD_CLOEXEC)
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	require.NoError(t, err)
	if seals&unix.F_SEAL_EXEC == 0 {
		t.Skip("the kernel is older than Linux 6.3")
	}
	require.ErrorIs(t, f.Chmod(0o700), os.ErrPermission)
}
