package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"

	"brume/control"
	"brume/outputs/httpd"
	"brume/sandbox"
	"brume/srt"
	"brume/srt/listener"
	"brume/web"
)

// httpCommand is the http process.
type httpCommand struct{ logSettings }

func (s *httpCommand) Run() error {
	log, err := s.logger()
	if err != nil {
		return err
	}
	ctl, err := control.Child()
	if err != nil {
		return err
	}
	report, err := sandbox.Apply(sandbox.HTTP, 0)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return httpd.Run(ctx, ctl, log, httpd.Options{
		Sandbox: report.Active, Missing: report.Missing, Player: web.Player(), Page: web.Watch(), Assets: web.Assets(),
	})
}

// listenerCommand is the process of the SRT port.
type listenerCommand struct{ logSettings }

func (s *listenerCommand) Run() error {
	log, err := s.logger()
	if err != nil {
		return err
	}
	ctl, err := control.Child()
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
