package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sys/unix"

	"brume/outputs/httpd"
	"brume/sandbox"
	"brume/srt"
	"brume/srt/listener"
	"brume/web"
)

// httpCommand is the http process.
type httpCommand struct{ logSettings }

func (s *httpCommand) Run() error {
	ctl, log, err := s.child()
	if err != nil {
		return err
	}
	var files unix.Rlimit // its soft limit is the hard one: the Go runtime has seen to that
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	report, err := sandbox.Apply(sandbox.HTTP, 0)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return httpd.Run(ctx, ctl, log, httpd.Options{
		Files: files.Cur, Sandbox: report.Active, Missing: report.Missing, Player: web.Player(), Page: web.Watch(), Assets: web.Assets(),
	})
}

// listenerCommand is the process of the SRT port.
type listenerCommand struct{ logSettings }

func (s *listenerCommand) Run() error {
	ctl, log, err := s.child()
	if err != nil {
		return err
	}
	// Its work is short and under one lock; a second processor would be woken for nothing. See docs/performance.md.
	runtime.GOMAXPROCS(1)
	listener.LearnZones()
	report, err := sandbox.Apply(sandbox.Listener, 0)
	if err != nil {
		return err
	}
	if err := ctl.Send(srt.MsgHello, srt.Hello{PID: os.Getpid(), Sandbox: report.Active, Missing: report.Missing}); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return listener.Run(ctx, ctl, log)
}
