package controller

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"brume/api"
	"brume/config"
	"brume/guardian"
	"brume/sandbox"
	"brume/srt"
	"brume/srt/listener"
)

// port is an SRT port of the configuration. It has a listener process of its own.
type port struct {
	config.Port
	only    bool   // it is there for its stream alone, whatever its callers ask for
	key     string // its name in the store, by which a next controller knows it and its listener
	sockets []*os.File
	address string            // in force
	stats   srt.ListenerStats // of its listener
}

// openPorts takes the sockets of every SRT port over from the store, or makes them. The first controller gives up
// over one that can't be had; a later one, which may have another configuration, goes on without it.
func (c *Controller) openPorts(held []guardian.Handed, first bool) error {
	times := map[string]int{}
	var all []urlPort
	for i, settings := range c.Config.SRT.AllPorts() {
		setting := "srt.address in the configuration or BRUME_SRT_ADDRESS"
		if i > 0 {
			setting = fmt.Sprintf("srt.ports.%d.address in the configuration", i-1)
		}
		all = append(all, urlPort{settings, setting})
	}
	shared := len(all)
	all = append(all, c.urlPorts()...)
	for i, settings := range all {
		p := &port{Port: settings.Port, key: string(settings.Address), only: i >= shared}
		if times[p.key]++; times[p.key] > 1 {
			p.key += fmt.Sprintf(" %d", times[p.key]) // several with a port that the system chooses
		}
		err := c.openPort(p, held, settings.setting)
		switch {
		case err == nil:
			c.ports = append(c.ports, p)
			c.duties = append(c.duties, &duty{role: roleListener, port: p})
		case first:
			return err
		default:
			c.log.Error("going on without an SRT port", "port", p.key, "error", err)
		}
	}
	return nil
}

func (c *Controller) openPort(p *port, held []guardian.Handed, setting string) error {
	var err error
	if p.sockets, err = c.socket(held, "srt", p.key, setting, func() ([]*os.File, error) { return listenSRT(string(p.Address)) }); err != nil {
		return err
	}
	p.address, err = localAddress(p.sockets[0])
	return err
}

// listenSRT gives the sockets to the user that the listener becomes in its sandbox.
func listenSRT(address string) ([]*os.File, error) {
	files, err := listener.Listen(address)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := sandbox.Give(f); err != nil {
			closeFiles(files)
			return nil, err
		}
	}
	return files, nil
}

// socket takes the listening sockets of a name and key over from the store, or makes them. setting is where their address is set.
func (c *Controller) socket(held []guardian.Handed, name, key, setting string, listen func() ([]*os.File, error)) ([]*os.File, error) {
	stored := name + " " + key
	for i := range held {
		h := &held[i]
		if h.Kind == kindSocket && h.Key == stored && len(h.Files) > 0 {
			files := h.Files
			h.Files = nil
			return files, nil
		}
	}
	files, err := listen()
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s address %s is in use by another program or port; end it, or set %s: %w", name, key, setting, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on the %s address %s: %w", name, key, err)
	}
	if err := c.store.Put(kindSocket, stored, nil, files...); err != nil {
		return nil, err
	}
	return files, nil
}

// listenerOf is the listener of a port by its key, or nil.
func (c *Controller) listenerOf(key string) *process {
	for _, p := range c.processes {
		if p.Role == roleListener && p.Port == key {
			return p
		}
	}
	return nil
}

// adoptListener takes over the listener of a port, unless the port is not in the configuration any more.
func (c *Controller) adoptListener(p *process) {
	for _, d := range c.duties {
		if d.role == roleListener && d.port.key == p.Port {
			p.duty = d
			c.tellLimits(p)
			return
		}
	}
	c.putDown(p, faultSetup)
}

// equipListener gives a new listener its port.
func (c *Controller) equipListener(p *process) {
	p.duty.port.stats = srt.ListenerStats{}
	c.tellLimits(p)
	if err := p.ctl.Send(srt.MsgSocket, nil, p.duty.port.sockets...); err != nil {
		c.log.Error("the SRT listener does not take its sockets", "port", p.Port, "error", err)
		p.kill()
	}
}

func (c *Controller) tellLimits(p *process) {
	l := srt.Limits{Handshakes: int(c.Config.Limits.Handshakes), Pending: int(c.Config.Limits.Pending)}
	if err := p.ctl.Send(srt.MsgLimits, l); err != nil {
		c.log.Error("the SRT listener does not take its limits", "port", p.Port, "error", err)
		p.kill()
	}
}

// view describes a port for the API, without what is secret.
func (p *port) view(cfg *config.Config) api.SRTPort {
	t := termsOf(&p.Port, &config.StreamSRT{})
	v := api.SRTPort{
		Address: p.address, Stream: string(p.Stream), StreamOnly: p.only, Mode: string(p.Mode), Slash: string(p.Slash), LatencyMS: time.Duration(p.Latency).Milliseconds(),
		Passphrase: p.Passphrase != "", Options: t.options, Networks: []string{}, Callers: (&Port{p.Port, p.only}).Callers(cfg),
	}
	delete(v.Options, "latency")
	for _, n := range p.Networks {
		v.Networks = append(v.Networks, n.String())
	}
	return v
}
