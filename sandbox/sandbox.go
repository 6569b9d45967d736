// Package sandbox takes from a process what it does not need: files, programs,
// new sockets, other processes. It is put on before the first byte of a stranger
// is read, and nothing takes it off again.
package sandbox

import (
	"fmt"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Profile names the rights that a kind of process keeps.
type Profile uint8

// The profiles.
const (
	// Connection is for one SRT connection: it uses the descriptors that it has and
	// those it is sent, makes threads and maps memory, and nothing else.
	Connection Profile = iota
	// HTTP also accepts on sockets that listen already, makes memory files, and
	// reopens its own descriptors through /proc/self/fd (which needs Landlock to be no more than that).
	HTTP
	// Listener also makes UDP sockets, binds and connects them.
	Listener
)

func (p Profile) String() string {
	switch p {
	case Connection:
		return "connection"
	case HTTP:
		return "http"
	case Listener:
		return "listener"
	default:
		return fmt.Sprintf("profile %d", uint8(p))
	}
}

// ExitDenied is the exit status of a process that made a system call outside its
// profile. It has written "sandbox: denied system call N" to its standard error; see SyscallName.
const ExitDenied = 128 + int(unix.SIGSYS)

// UID and GID are what a process that was started as root becomes: the kernel's overflow
// identity, which owns no files.
const (
	UID = 65534
	GID = 65534
)

// The layers, as Report names them.
const (
	LayerIdentity   = "identity"     // runs as UID and GID, or as the unprivileged user who started it
	LayerCaps       = "capabilities" // none left
	LayerLimits     = "rlimits"      // memory, descriptors, file size, no core
	LayerPrivileges = "no_new_privs" // no program can give rights back
	LayerLandlock   = "landlock"     // no path can be opened
	LayerSeccomp    = "seccomp"      // only the profile's system calls
)

// Report tells which layers are in force.
type Report struct {
	Active  []string // layers, in the order in which they were put on
	Missing []string // layers that the kernel or the surroundings lack, with the reason
}

func (r *Report) layer(name string, err error) {
	if err != nil {
		r.Missing = append(r.Missing, name+": "+err.Error())
		return
	}
	r.Active = append(r.Active, name)
}

// Apply empties the environment and puts the profile on every thread of the process, for good.
//
// memory replaces the profile's bound of private memory, in bytes, where it is not 0. A stricter one that
// the process was started with stays.
//
// It is called once, early, before threads are made outside the Go runtime: those made later
// inherit it. What the kernel lacks is in Report.Missing and is no error. After an error the process
// may be half sandboxed and must end.
func Apply(p Profile, memory uint64) (Report, error) {
	var r Report
	if p > Listener {
		return r, fmt.Errorf("sandbox: unknown %s", p)
	}
	os.Clearenv()

	if err := limit(p, memory); err != nil {
		return r, err
	}
	r.layer(LayerLimits, nil)
	r.layer(LayerIdentity, becomeNobody())
	r.layer(LayerCaps, dropCapabilities())
	if err := llsys.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return r, fmt.Errorf("sandbox: set no_new_privs: %w", err)
	}
	r.layer(LayerPrivileges, nil)

	missing, err := restrictPaths()
	if err != nil {
		return r, err
	}
	r.layer(LayerLandlock, missing)

	missing, err = restrictCalls(p)
	if err != nil {
		return r, err
	}
	r.layer(LayerSeccomp, missing)
	return r, nil
}

// landlockWanted is the version of Landlock whose restrictions are all used.
const landlockWanted = 5

// restrictPaths allows no path at all. The first error tells what is missing, the
// second that something failed which is there.
func restrictPaths() (missing, err error) {
	version, err := llsys.LandlockGetABIVersion()
	if err != nil || version < 1 {
		return fmt.Errorf("the kernel has none"), nil
	}
	if err := landlock.V5.BestEffort().Restrict(); err != nil {
		return nil, fmt.Errorf("sandbox: landlock: %w", err)
	}
	if version < landlockWanted {
		return fmt.Errorf("in force, but the kernel has version %d of %d", version, landlockWanted), nil
	}
	return nil, nil
}
