package sandbox

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestArgumentsAreNoCalls gives calls arguments that are numbers of other calls: what was loaded to look at an argument must not be taken
// for the number of the call by the rules that follow.
func TestArgumentsAreNoCalls(t *testing.T) {
	for _, p := range []Profile{Connection, HTTP, Listener} {
		vms, table := filterVMs(t, p)
		for _, call := range []string{"fcntl", "pwrite64", "ftruncate", "lseek"} {
			number := table.SyscallNames[call]
			want := judge(t, vms, uint32(table.ID), number, 7, unix.F_ADD_SEALS, 0x1F)
			for other, name := range table.SyscallNumbers {
				if other > 2 {
					require.Equal(t, want, judge(t, vms, uint32(table.ID), number, uint64(other), unix.F_ADD_SEALS, 0x1F), "%s of descriptor %d, which is also %s", call, other, name)
				}
			}
		}
	}
}
