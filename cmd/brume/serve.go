package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"brume/config"
	"brume/control"
	"brume/controller"
	"brume/guardian"
	"brume/web"
)

// serveCommand is the guardian.
type serveCommand struct {
	Config string `help:"Configuration file (YAML). Without one the defaults hold." type:"path" placeholder:"FILE"`
}

func (s *serveCommand) Run() error {
	if err := enoughTasks(); err != nil {
		return err
	}
	cfg, err := config.Load(s.Config, os.Environ())
	if err != nil {
		return err
	}
	logs := logSettings{Level: string(cfg.Log.Level), Format: string(cfg.Log.Format)}
	log, err := logs.logger()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	argv := append([]string{self, "controller"}, logs.arguments()...)
	if s.Config != "" {
		argv = append(argv, "--config", s.Config)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	g := guardian.Guardian{Path: self, Argv: argv, Env: os.Environ(), Log: log}
	return g.Run(ctx)
}

// controllerCommand is the controller, started by the guardian.
type controllerCommand struct {
	logSettings

	Config string `placeholder:"FILE"`
}

func (s *controllerCommand) Run() error {
	log, err := s.logger()
	if err != nil {
		return err
	}
	cfg, err := config.Load(s.Config, os.Environ())
	if err != nil {
		return errors.Join(controller.ErrSetup, err)
	}
	ctl, err := control.Child()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	// The guardian ends us by a message, in order; a signal is for when somebody means us alone.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := controller.Controller{
		Config: cfg, Program: self, Helper: filepath.Join(filepath.Dir(self), "brume-srt"), LogArgs: s.arguments(),
		Version: version, Front: web.Front(), Started: func(at controller.Addresses) { greet(log, s.Format, cfg, at) },
	}
	return c.Run(ctx, ctl, log)
}

// exitStatus tells the guardian what a restart can't mend.
func exitStatus(err error) int {
	if errors.Is(err, controller.ErrSetup) {
		return guardian.ExitSetup
	}
	return 1
}

// checkCommand checks a configuration file.
type checkCommand struct {
	File string `arg:"" help:"Configuration file (YAML)." type:"path"`
}

func (s *checkCommand) Run() error {
	cfg, err := config.Load(s.File, nil)
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings() {
		fmt.Fprintf(os.Stderr, "%s: warning: %s\n", s.File, w)
	}
	_, err = fmt.Println(s.File + ": ok")
	return err
}
