// Package libsrt binds what one SRT connection needs of libsrt, and is the only place
// that uses cgo. srtgo creates, configures and closes sockets; what it lacks is here: a socket made
// elsewhere (srt_bind_acquire), reading and writing in batches, source times, all statistics.
//
// A process has one connection; see Listen for the order in which it comes to be.
package libsrt

/*
#cgo LDFLAGS: -Wl,--as-needed -Wl,-Bstatic -lsrt -lcrypto -lstdc++ -Wl,-Bdynamic -lm -ldl -lpthread -static-libgcc
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"

	"github.com/haivision/srtgo"
)

// Errors that callers tell apart, wrapped with libsrt's own words.
var (
	// ErrLost means that the connection is over: its peer closed it or fell silent, or Close was called.
	ErrLost = errors.New("srt connection lost")
	// ErrFull means that the send buffer has no room.
	ErrFull = errors.New("srt send buffer full")
	// ErrOption means that libsrt does not take an option's value.
	ErrOption = errors.New("srt option refused")
)

// failure turns one of libsrt's error codes into an error.
func failure(what string, code C.int) error {
	text := C.GoString(C.srt_strerror(code, 0))
	err := error(nil)
	switch code {
	case C.SRT_ECONNLOST, C.SRT_ENOCONN, C.SRT_EINVSOCK, C.SRT_ESCLOSED, C.SRT_EINVPOLLID:
		err = ErrLost
	}
	if err == nil {
		return fmt.Errorf("%s: %s (%d)", what, text, int(code))
	}
	return fmt.Errorf("%s: %w: %s (%d)", what, err, text, int(code))
}

// Level is how severe a log line must be to be kept, as in syslog(3).
type Level int

// The levels that libsrt's release builds use.
const (
	LogError   Level = 3
	LogWarning Level = 4
	LogNotice  Level = 5
)

// Startup starts libsrt and its log. It starts threads, which inherit the
// caller's sandbox.
func Startup(level Level) error {
	C.brume_log_start(C.int(level))
	if C.brume_start() < 0 {
		return errors.New("start libsrt: srt_startup failed")
	}
	return nil
}

// Cleanup stops libsrt and its threads.
func Cleanup() { srtgo.CleanupSRT() }

// Version is the version of the libsrt that is linked, as "1.5.1".
func Version() string { return versionString(uint32(C.srt_getversion())) }

// versionString formats SRT_MAKE_VERSION's packing; 0 is no version.
func versionString(v uint32) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", v>>16&0xff, v>>8&0xff, v&0xff)
}

// Line is one of libsrt's log lines.
type Line struct {
	Level Level
	Text  string // with libsrt's name of the area in front
	Count int    // times it came in a row
}

// maxLines is what Logs takes at once; the ring holds no more.
const maxLines = 32

// Logs empties the log ring: 32 lines are kept between two calls, and lost counts the others.
func Logs() (lines []Line, lost uint64) {
	var raw [maxLines]C.brume_line
	var dropped C.uint64_t
	n := int(C.brume_log_drain(&raw[0], maxLines, &dropped))
	for i := range n {
		lines = append(lines, Line{
			Level: Level(raw[i].level),
			Text:  C.GoString(&raw[i].text[0]),
			Count: int(raw[i].count),
		})
	}
	return lines, uint64(dropped)
}
