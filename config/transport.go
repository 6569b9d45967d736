package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxPrograms bounds the streams of one transport stream.
const maxPrograms = 16

// Program is a program of a transport stream: its number, or the service's name.
type Program string

// MarshalText returns the number or the name.
func (p Program) MarshalText() ([]byte, error) { return []byte(p), nil }

// UnmarshalText takes a program_number, which is 1 to 65535, or a service_name.
func (p *Program) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && (n < 1 || n > 65535) {
		return fmt.Errorf("%d is no program number; they go from 1 to 65535", n)
	}
	if s == "" || len(s) > 255 {
		return errors.New("a program is its number, or its service's name of up to 255 bytes")
	}
	*p = Program(s)
	return nil
}

// Number is the program_number, or false where the program is a service's name.
func (p Program) Number() (uint16, bool) {
	n, err := strconv.ParseUint(string(p), 10, 16)
	return uint16(n), err == nil
}

// Bool is true or false.
type Bool bool

// MarshalText returns true or false.
func (b Bool) MarshalText() ([]byte, error) { return strconv.AppendBool(nil, bool(b)), nil }

// UnmarshalText reads true or false.
func (b *Bool) UnmarshalText(text []byte) error {
	switch string(text) {
	case "true":
		*b = true
	case "false":
		*b = false
	default:
		return fmt.Errorf("%q is neither true nor false", text)
	}
	return nil
}

// transport checks what a stream says of its transport stream and its connections.
func (v *checker) transport(p Pattern, s *StreamConfig) {
	path := join("streams", string(p))
	key := func(name string) string { return join(path, name) }
	v.duration(key("srt.latency"), s.SRT.Latency, 0, time.Minute)
	v.passphrase(s.SRT.PublishPassphrase, key("srt.publish_passphrase"))
	v.passphrase(s.SRT.PlayPassphrase, key("srt.play_passphrase"))
	v.options(s.SRT.Options, key("srt.options"))
	if len(s.Programs) == 0 {
		return
	}
	if strings.Contains(string(p), "*") {
		v.wrong("a pattern cannot have programs: several streams would share the streams that they go to", key("programs"))
	}
	if len(s.Programs) > maxPrograms {
		v.wrong(fmt.Sprintf("there are more than %d programs", maxPrograms), key("programs"))
	}
	taken := map[StreamName]bool{StreamName(p): true}
	for program, name := range s.Programs {
		if taken[name] {
			v.wrong(fmt.Sprintf("the stream %s has a program already", name), join(key("programs"), string(program)))
		}
		taken[name] = true
	}
}

// mapped checks the streams that further programs of a transport stream go to. What a pattern says of them is no mistake.
func (v *checker) mapped(c *Config, p Pattern) {
	for program, name := range c.Streams[p].Programs {
		if c.Streams[Pattern(name)].Raw {
			v.wrong(fmt.Sprintf("the stream %s gets one program and no transport stream that it could keep; take raw from its settings, %s may have it",
				name, p), join(join(join("streams", string(p)), "programs"), string(program)))
		}
	}
}
