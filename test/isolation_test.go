package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"brume/test/inspect"
)

// holdings are the descriptors of a process, counted by what they are.
type holdings struct {
	null, stderr, unix, udp, tcp, buffers, polls, events, cgroup int

	others  []string
	streams []string // of the buffers that it has mapped, with the mapping's rights
	peers   []string // ports that its UDP sockets are connected to, "0" of one that is not
}

// inodes reads which sockets of a kind there are, with the ports of their peers where they have ports.
func inodes(t *testing.T, files ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, file := range files {
		b, err := os.ReadFile("/proc/net/" + file)
		if os.IsNotExist(err) {
			continue // no IPv6
		}
		require.NoError(t, err)
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			switch {
			case file == "unix" && len(f) >= 7:
				all[f[6]] = ""
			case file != "unix" && len(f) >= 10:
				port, _ := strconv.ParseUint(f[2][strings.LastIndexByte(f[2], ':')+1:], 16, 16)
				all[f[9]] = strconv.FormatUint(port, 10)
			}
		}
	}
	return all
}

func holdingsOf(t *testing.T, pid int) (h holdings) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	sockets, udp, tcp := inodes(t, "unix"), inodes(t, "udp", "udp6"), inodes(t, "tcp", "tcp6")
	for _, e := range entries {
		link, err := os.Readlink(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		inode := strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")
		_, isUnix := sockets[inode]
		port, isUDP := udp[inode]
		_, isTCP := tcp[inode]
		switch {
		case link == "/dev/null":
			h.null++
		case strings.HasPrefix(link, "/memfd:stderr"): // never the operator's log
			h.stderr++
		case strings.HasPrefix(link, "/memfd:brume-"):
			h.buffers++
		case isUnix:
			h.unix++
		case isUDP:
			h.udp++
			h.peers = append(h.peers, port)
		case isTCP:
			h.tcp++
		case link == "anon_inode:[eventpoll]":
			h.polls++
		case link == "anon_inode:[eventfd]":
			h.events++
		case strings.HasPrefix(link, "/sys/fs/cgroup/"):
			h.cgroup++ // the Go runtime's, where it may use several processors
		default:
			h.others = append(h.others, e.Name()+" "+link)
		}
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(maps)) {
		if _, name, ok := strings.Cut(line, "/memfd:brume-"); ok {
			h.streams = append(h.streams, strings.Fields(name)[0]+" "+strings.Fields(line)[1])
		}
	}
	return h
}

// TestEachProcessHoldsWhatItNeeds looks at descriptors, mappings, environment and command line of every process that has
// to do with strangers.
func TestEachProcessHoldsWhatItNeeds(t *testing.T) {
	t.Parallel()
	// Something that whoever starts the server has left open.
	left := filepath.Join(t.TempDir(), "left open")
	fd, err := unix.Open(left, unix.O_CREAT|unix.O_RDWR, 0o600) // not close-on-exec
	require.NoError(t, err)
	defer unix.Close(fd)
	s := start(t)
	file := plainClip(t)
	s.publish(file, "publish:one")
	s.publish(file, "publish:two")
	s.waitUnwatched("one") // a connection of http that comes and goes would count
	s.waitUnwatched("two")
	record(t, s.outputs("one")["srt"], filepath.Join(t.TempDir(), "out.ts"), 600)
	var viewers []connectionView
	s.eventually(20e9, "the viewer plays", func() bool {
		viewers = s.connections("role=play&stream=one")
		return len(viewers) == 1 && viewers[0].State == "connected" && viewers[0].Bytes > 0
	})
	port := func(c connectionView) string { return c.Peer[strings.LastIndexByte(c.Peer, ':')+1:] }
	busy := map[int]bool{}
	for _, stream := range []string{"one", "two"} {
		c := s.connections("role=publish&stream=" + stream)[0]
		busy[c.PID] = true
		h := holdingsOf(t, c.PID)
		require.Equal(t, holdings{
			null: 2, stderr: 1, unix: 1, udp: 1, buffers: 1, polls: h.polls, events: 2,
			streams: []string{stream + " rw-s"}, peers: []string{port(c)},
		}, h, "publisher")
	}
	busy[viewers[0].PID] = true
	h := holdingsOf(t, viewers[0].PID)
	require.Equal(t, holdings{
		null: 2, stderr: 1, unix: 1, udp: 1, polls: h.polls, events: 2,
		streams: []string{"one r--s"}, peers: []string{port(viewers[0])},
	}, h, "viewer")
	idle := 0
	for pid := range s.processes("brume-srt") {
		if !busy[pid] {
			idle++
			require.Equal(t, holdings{null: 2, stderr: 1, unix: 2, polls: 1, events: 1}, holdingsOf(t, pid), "idle")
		}
	}
	require.Positive(t, idle)
	h = holdingsOf(t, s.one(" http"))
	require.Equal(t, holdings{null: 2, stderr: 1, unix: 1, tcp: h.tcp, polls: 1, events: 1, cgroup: h.cgroup, streams: h.streams}, h, "http")
	require.ElementsMatch(t, []string{"one r--s", "two r--s"}, h.streams)
	h = holdingsOf(t, s.one(" srt-listener"))
	require.Equal(t, holdings{null: 2, stderr: 1, unix: 1, udp: 1, polls: 1, events: 1, cgroup: h.cgroup, peers: []string{"0"}}, h, "listener")

	helper := filepath.Join(s.dir, "brume-srt") + " --memory 268435456"
	for _, word := range []string{"brume-srt", " http", " srt-listener"} {
		for pid, line := range s.processes(word) {
			environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			require.NoError(t, err)
			require.Empty(t, string(environ), line)
			if word == "brume-srt" {
				require.Equal(t, helper, line)
			}
		}
	}
}

// TestNoSecretOfTheServerInItsProcesses searches the memory of all that have to do with strangers for what is in the
// server's environment, and for the passphrases of streams.
func TestNoSecretOfTheServerInItsProcesses(t *testing.T) {
	t.Parallel()
	// Put together here, so that no program file has it.
	secret := strings.Join([]string{"xyzzy", "plugh", "plover", strconv.Itoa(os.Getpid())}, "-")
	passphrases := map[string]string{"one": secret + "-one", "two": secret + "-two"}
	s := startWith(t, fmt.Sprintf("streams:\n  one: {srt: {publish_passphrase: %s}}\n  two: {srt: {publish_passphrase: %s}}\n",
		passphrases["one"], passphrases["two"]), "A_SECRET="+secret+"-of-the-server")
	own := map[int]string{}
	for stream, passphrase := range passphrases {
		s.publish(plainClip(t), "publish:"+stream+"&passphrase="+passphrase)
		s.waitState(stream, "live")
		own[s.connections("stream=" + stream)[0].PID] = passphrase
	}
	controller := s.one(" controller")
	seen := 0
	for _, text := range []string{secret + "-of-the-server", passphrases["one"], passphrases["two"]} {
		require.True(t, inspect.MemoryHas(t, controller, text), "the search finds what is there")
		for _, word := range []string{"brume-srt", " http", " srt-listener"} {
			for pid, line := range s.processes(word) {
				require.Equal(t, own[pid] == text, inspect.MemoryHas(t, pid, text), "%q in the memory of %s", text, line)
				seen++
			}
		}
	}
	require.GreaterOrEqual(t, seen, 12)
}
