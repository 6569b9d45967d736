package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// machine writes what enoughTasks reads: this process, others, its cgroups.
func machine(t *testing.T, files map[string]string) system {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o600))
	}
	return system{dir + "/proc", dir + "/cgroup", unix.RLIM_INFINITY}
}

func status(uid, threads int, capabilities string) string {
	return fmt.Sprintf("Name:\tbrume\nUid:\t%d\t0\t0\t0\nGroups:\t\nThreads:\t%d\nCapEff:\t%s\n", uid, threads, capabilities)
}

func TestEnoughTasks(t *testing.T) {
	const none = "0000000000000000"
	others := map[string]string{
		"proc/10/status": status(1000, 8, none), "proc/11/status": status(1000, 30, none), "proc/12/status": status(1001, 500, none), "proc/meminfo": "x",
	}
	user := func(own string, nproc uint64) error {
		files := map[string]string{"proc/self/status": own}
		for n, text := range others {
			files[n] = text
		}
		s := machine(t, files)
		s.nproc = nproc
		return s.enoughTasks()
	}
	plain := status(1000, 8, none)
	require.NoError(t, user(plain, unix.RLIM_INFINITY))
	require.NoError(t, user(plain, 38+minTasks))
	require.ErrorContains(t, user(plain, 37+minTasks), "may have 165 processes and threads and has 38, while the server needs 128 more")
	require.ErrorContains(t, user(plain, 20), "ulimit -u")
	for _, free := range []string{status(0, 8, none), status(1000, 8, "0000000001000000"), status(1000, 8, "0000000000200000"), ""} {
		require.NoError(t, user(free, 20), free)
	}

	group := func(cgroup string, limits map[string]string) error {
		files := map[string]string{"proc/self/status": plain, "proc/self/cgroup": cgroup}
		for name, text := range limits {
			files["cgroup/"+name] = text
		}
		return machine(t, files).enoughTasks()
	}
	service := "1:name=systemd:/x\n0::/system.slice/brume.service\n"
	require.NoError(t, group(service, nil))
	require.NoError(t, group(service, map[string]string{"system.slice/brume.service/pids.max": "max\n", "system.slice/brume.service/pids.current": "9\n"}))
	require.NoError(t, group(service, map[string]string{"system.slice/brume.service/pids.max": "137\n", "system.slice/brume.service/pids.current": "9\n"}))
	for _, at := range []string{"system.slice/brume.service/", "system.slice/", ""} {
		err := group(service, map[string]string{at + "pids.max": "136\n", at + "pids.current": "9\n"})
		require.ErrorContains(t, err, "may have 136 processes and threads and has 9, while the server needs 128 more", at)
		require.ErrorContains(t, err, "cgroup/"+at+"pids.max")
	}
	require.ErrorContains(t, group("0::/\n", map[string]string{"pids.max": "20"}), "TasksMax=", "a container")
	require.NoError(t, group("0::/../other\n", nil))
	require.NoError(t, enoughTasks(), "here")
}
