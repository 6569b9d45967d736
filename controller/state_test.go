package controller

import (
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"brume/config"
	"brume/control"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A server does not start on a directory into which others may write.
func TestRuntimeDirectoryOfOthersIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"writable by all", func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o700))
			require.NoError(t, os.Chmod(path, 0o777|os.ModeSticky))
		}, "chmod go-w"},
		{"writable by the group", func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o700))
			require.NoError(t, os.Chmod(path, 0o770))
		}, "chmod go-w"},
		{"link", func(t *testing.T, path string) { require.NoError(t, os.Symlink(t.TempDir(), path)) }, "is a link"},
		{"of another user", func(t *testing.T, path string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a directory away")
			}
			require.NoError(t, os.Mkdir(path, 0o700))
			require.NoError(t, os.Chown(path, 4321, 4321))
		}, "the user with the id 4321"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "brume")
			c.make(t, path)
			g := newGuardian(t)
			ctl, err := control.New(g.next())
			require.NoError(t, err)
			defer ctl.Close()
			ctl.AcceptFiles()
			server := testController(programs(t), "")
			server.Config.RuntimeDir = config.Path(path)
			err = server.Run(t.Context(), ctl, slog.New(slog.DiscardHandler))
			require.ErrorIs(t, err, ErrSetup)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "BRUME_RUNTIME_DIR")
			require.ErrorContains(t, err, path)
			left, err := os.ReadDir(path)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// A directory that can't be made is not in the way of a server, nor is one that became unsafe while the server ran.
func TestServersGoOnWithoutARuntimeDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	unsafe := filepath.Join(t.TempDir(), "unsafe")
	require.NoError(t, os.Mkdir(unsafe, 0o700))
	require.NoError(t, os.Chmod(unsafe, 0o777))
	for first, path := range map[bool]string{true: path, false: unsafe} {
		c := testController("/nonexistent", "")
		c.Config.RuntimeDir = config.Path(path)
		c.log = slog.New(slog.DiscardHandler)
		require.NoError(t, c.openRuntime(first))
		require.Nil(t, c.runtime)
		c.writeStateFile()
		c.removeStateFile()
	}
}

// What stands in the place of the file is replaced, never followed or written to.
func TestStateFileFollowsNoLink(t *testing.T) {
	dir, err := openRuntime(filepath.Join(t.TempDir(), "a", "b"))
	require.NoError(t, err)
	defer dir.Close()
	precious := filepath.Join(t.TempDir(), "precious")
	require.NoError(t, os.WriteFile(precious, []byte("data"), 0o600))
	for _, planted := range []string{"state", ".state.new"} {
		require.NoError(t, os.Symlink(precious, filepath.Join(dir.Name(), planted)))
	}
	for i := range 3 {
		b := []byte("state " + strconv.Itoa(i))
		require.NoError(t, writeNew(dir, "state", b))
		got, err := os.ReadFile(filepath.Join(dir.Name(), "state"))
		require.NoError(t, err)
		require.Equal(t, b, got)
	}
	got, err := os.ReadFile(precious)
	require.NoError(t, err)
	require.Equal(t, "data", string(got))
	entries, err := os.ReadDir(dir.Name())
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.True(t, entries[0].Type().IsRegular())
}

// Where there is no room for the file, the one that was there stays as it was, and nothing else is left.
func TestStateFileWithoutRoom(t *testing.T) {
	dir, err := openRuntime(filepath.Join(t.TempDir(), "run"))
	require.NoError(t, err)
	defer dir.Close()
	full := func() error {
		signal.Ignore(syscall.SIGXFSZ)
		defer signal.Reset(syscall.SIGXFSZ)
		var before unix.Rlimit
		require.NoError(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &before))
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 4, Max: before.Max}))
		defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &before)) }()
		return writeNew(dir, "state", []byte("too much for it"))
	}
	require.ErrorIs(t, full(), syscall.EFBIG)
	entries, err := os.ReadDir(dir.Name())
	require.NoError(t, err)
	require.Empty(t, entries)

	require.NoError(t, writeNew(dir, "state", []byte("old")))
	require.ErrorIs(t, full(), syscall.EFBIG)
	got, err := os.ReadFile(filepath.Join(dir.Name(), "state"))
	require.NoError(t, err)
	require.Equal(t, "old", string(got))
	entries, err = os.ReadDir(dir.Name())
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
