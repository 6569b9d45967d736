package controller

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"brume/config"
	"brume/guardian"
)

// openSockets takes the listening sockets over from the store, or makes them.
func (c *Controller) openSockets(held []guardian.Handed, first bool) error {
	if err := c.openPorts(held, first); err != nil {
		return err
	}
	var err error
	tcp := func(name string, address config.Address) ([]*os.File, error) {
		setting := fmt.Sprintf("%s.address in the configuration or BRUME_%s_ADDRESS", name, strings.ToUpper(name))
		return c.socket(held, name, string(address), setting, func() ([]*os.File, error) { return listenTCP(string(address)) })
	}
	if c.sockets.http, err = tcp("http", c.Config.HTTP.Address); err != nil {
		return err
	}
	files, err := tcp("api", c.Config.API.Address)
	if err != nil {
		return err
	}
	if c.sockets.api, err = net.FileListener(files[0]); err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	closeFiles(files)
	c.sockets.httpAddress, err = localAddress(c.sockets.http[0])
	return err
}

func listenTCP(address string) ([]*os.File, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	return []*os.File{f}, nil
}

// Addresses are where a server listens.
type Addresses struct {
	SRT       []Port // at least one where Started is called
	HTTP, API string
}

// Port is an SRT port in force, with the settings of its callers. Its Address is the one that the socket is bound to.
type Port struct {
	config.Port
	Only bool // it is a stream's own, by a URL with mode=listener, whatever its callers ask for
}

// Strings returns the addresses of the SRT ports: those of the configuration, in its order, then those of streams.
func (a *Addresses) Strings() []string {
	all := make([]string, 0, len(a.SRT))
	for _, p := range a.SRT {
		all = append(all, string(p.Address))
	}
	return all
}

func (c *Controller) addresses() Addresses {
	a := Addresses{HTTP: c.sockets.httpAddress, API: c.sockets.api.Addr().String()}
	for _, p := range c.ports {
		in := Port{Port: p.Port, Only: p.only}
		in.Address = config.Address(p.address)
		a.SRT = append(a.SRT, in)
	}
	return a
}

// localAddress is the address and port that a socket is bound to.
func localAddress(f *os.File) (string, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return "", err
	}
	var sa syscall.Sockaddr
	var nameErr error
	if err := raw.Control(func(fd uintptr) { sa, nameErr = syscall.Getsockname(int(fd)) }); err != nil {
		return "", err
	}
	if nameErr != nil {
		return "", fmt.Errorf("read a socket's address: %w", nameErr)
	}
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return net.JoinHostPort(net.IP(a.Addr[:]).String(), strconv.Itoa(a.Port)), nil
	case *syscall.SockaddrInet6:
		return net.JoinHostPort(net.IP(a.Addr[:]).String(), strconv.Itoa(a.Port)), nil
	}
	return "", fmt.Errorf("unknown kind of socket address %T", sa)
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
