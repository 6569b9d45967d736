package test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"

	"github.com/haivision/srtgo"
)

// callerVariable makes this program a caller of libsrt's, instead of a test: libsrt stays out of the tests' own process.
const callerVariable = "BRUME_TEST_CALLER"

// libsrtCaller publishes its standard input, or plays to its standard output, with calls that block or that do not.
func libsrtCaller(blocking bool, role string, c call) *exec.Cmd {
	cmd := exec.Command(os.Args[0], strconv.FormatBool(blocking), role, c.address, c.id, c.passphrase, strconv.Itoa(c.key))
	cmd.Env = append(os.Environ(), callerVariable+"=1")
	return cmd
}

func callLibsrt(args []string) (status int) {
	if err := transfer(args[0] == "true", args[1] == "publish", args[2], args[3], args[4], args[5]); err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func transfer(blocking, publish bool, address, id, passphrase, key string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	options := map[string]string{"transtype": "live", "blocking": "0", "streamid": id}
	if blocking {
		options["blocking"] = "1"
	}
	if passphrase != "" {
		options["passphrase"], options["pbkeylen"] = passphrase, key
	}
	s := srtgo.NewSrtSocket(host, uint16(n), options)
	if s == nil {
		return errors.New("libsrt makes no socket")
	}
	defer s.Close()
	if err := s.Connect(); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if publish {
		for b := make([]byte, messageSize); ; {
			if _, err := io.ReadFull(os.Stdin, b); err != nil {
				return err
			}
			if _, err := s.Write(b); err != nil {
				return err
			}
		}
	}
	for b := make([]byte, 1500); ; {
		n, err := s.Read(b)
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(b[:n]); err != nil {
			return err
		}
	}
}
