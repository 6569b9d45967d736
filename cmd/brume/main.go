// Command brume is the media server: what people start, and all of its processes but those
// that serve one SRT connection.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"

	"brume/guardian"
)

// version is set by the build.
var version = "dev"

// commands are what the program can be told to do.
type commands struct {
	Serve   serveCommand   `cmd:"" default:"withargs" help:"Run the server (the default)."`
	Check   checkCommand   `cmd:"" help:"Check a configuration file and say what is wrong with it."`
	Version versionCommand `cmd:"" help:"Print the version."`

	PrintVersion kong.VersionFlag `name:"version" help:"Print the version."`

	Controller  controllerCommand `cmd:"" hidden:"" help:"Started by serve."`
	HTTP        httpCommand       `cmd:"" name:"http" hidden:"" help:"Started by the controller."`
	SRTListener listenerCommand   `cmd:"" name:"srt-listener" hidden:"" help:"Started by the controller."`
}

type versionCommand struct{}

func (versionCommand) Run() error {
	_, err := fmt.Println("brume", version)
	return err
}

// passOnNothing keeps what whoever started the server left open from the processes that it starts.
func passOnNothing() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

func main() {
	passOnNothing()
	var c commands
	ctx := kong.Parse(&c, kong.Name("brume"), kong.UsageOnError(), kong.Vars{"version": "brume " + version},
		kong.Description("A transmuxing media server: SRT in, HLS and SRT out, every connection a process of its own."))
	err := ctx.Run()
	switch {
	case err == nil:
	case errors.Is(err, guardian.ErrSetup):
		os.Exit(guardian.ExitSetup) // the controller has said why
	default:
		fmt.Fprintln(os.Stderr, "brume:", err)
		os.Exit(exitStatus(err))
	}
}
