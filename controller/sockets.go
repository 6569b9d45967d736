package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"brume/config"
	"brume/guardian"
	"brume/sandbox"
	"brume/srt/listener"
)

// openSockets takes the listening sockets over from the store, or makes them.
func (c *Controller) openSockets(held []guardian.Handed) error {
	var err error
	if c.sockets.srt, err = c.socket(held, "srt", c.Config.SRT.Address, listenSRT); err != nil {
		return err
	}
	if c.sockets.http, err = c.socket(held, "http", c.Config.HTTP.Address, listenTCP); err != nil {
		return err
	}
	files, err := c.socket(held, "api", c.Config.API.Address, listenTCP)
	if err != nil {
		return err
	}
	if c.sockets.api, err = net.FileListener(files[0]); err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	closeFiles(files)
	if c.sockets.srtAddress, err = localAddress(c.sockets.srt[0]); err != nil {
		return err
	}
	c.sockets.httpAddress, err = localAddress(c.sockets.http[0])
	return err
}

func (c *Controller) socket(held []guardian.Handed, name string, address config.Address, listen func(string) ([]*os.File, error)) ([]*os.File, error) {
	key := name + " " + string(address)
	for i := range held {
		h := &held[i]
		if h.Kind != kindSocket || len(h.Files) == 0 {
			continue
		}
		if h.Key == key {
			files := h.Files
			h.Files = nil
			return files, nil
		}
	}
	files, err := listen(string(address))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s address %s is in use by another program; end it, or set %s.address in the configuration or BRUME_%s_ADDRESS: %w",
			name, address, name, upper(name), err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on the %s address %s: %w", name, address, err)
	}
	if err := c.store.Put(kindSocket, key, nil, files...); err != nil {
		return nil, err
	}
	return files, nil
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

func upper(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] -= 'a' - 'A'
	}
	return string(b)
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

// writeStateFile tells scripts where this server listens. The file is the guardian's, whose pid it has in its name.
func (c *Controller) writeStateFile() {
	server := os.Getppid()
	c.stateFile = filepath.Join(string(c.Config.RuntimeDir), "brume-"+strconv.Itoa(server)+".json")
	state := map[string]any{
		"pid": server, "version": c.Version,
		"srt": c.sockets.srtAddress, "http": c.sockets.httpAddress, "api": c.sockets.api.Addr().String(),
	}
	b, err := json.Marshal(state)
	if err == nil {
		err = os.MkdirAll(string(c.Config.RuntimeDir), 0o755)
	}
	if err == nil {
		err = os.WriteFile(c.stateFile, append(b, '\n'), 0o644)
	}
	if err != nil {
		c.log.Warn("can't write the file that tells where the server listens", "error", err)
	}
}

func (c *Controller) removeStateFile() { _ = os.Remove(c.stateFile) }
