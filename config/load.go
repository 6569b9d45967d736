package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// MaxFileSize bounds a configuration file, in bytes.
const MaxFileSize = 256 << 10

// Load reads the file, lays the environment (as os.Environ gives it) over it and checks the
// whole. An empty path means no file. The error holds everything that is wrong, as joined *Error.
func Load(path string, env []string) (*Config, error) {
	var text []byte
	if path != "" {
		var err error
		if text, err = read(path); err != nil {
			return nil, err
		}
	}
	c, err := parse(path, text, env)
	if err != nil {
		return nil, err
	}
	c.place(env, os.Getuid(), os.TempDir())
	return c, nil
}

// Check reads the file as Load does, without an environment.
func Check(path string) error {
	text, err := read(path)
	if err != nil {
		return err
	}
	_, err = parse(path, text, nil)
	return err
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(text) > MaxFileSize {
		return nil, fmt.Errorf("read configuration: %s is larger than %s", path, Size(MaxFileSize))
	}
	return text, nil
}

// parse makes a configuration of the text of a file and an environment.
func parse(file string, text []byte, env []string) (*Config, error) {
	c := Default()
	d := &decoder{file: file, places: map[string]*token.Position{}}
	root := d.parse(text)
	var streams ast.Node
	for _, pair := range d.pairs(root, "") {
		// The streams come last: they begin as copies of what the rest and the environment set.
		if name, _ := scalar(pair.Key); name == "streams" {
			streams = pair.Value
			continue
		}
		d.mapping(pair, reflect.ValueOf(c).Elem(), "")
	}
	set, wrong := override(c, env)
	c.SRT.inherit(d.places)
	if streams != nil {
		d.streams(streams, c)
	}
	d.problems = append(d.problems, wrong...)
	if len(d.problems) == 0 {
		d.problems = c.validate(file, d.places, set)
	}
	if len(d.problems) > maxProblems {
		d.problems = append(d.problems[:maxProblems:maxProblems],
			&Error{File: file, Message: "there is more; this is where checking stopped"})
	}
	if err := d.problems.join(); err != nil {
		return nil, err
	}
	return c, nil
}

// place fills in the directories that nobody set.
func (c *Config) place(env []string, uid int, temp string) {
	lookup := func(name string) string {
		value := ""
		for _, pair := range env {
			if v, ok := strings.CutPrefix(pair, name+"="); ok {
				value = v
			}
		}
		// The XDG base directory specification has relative paths ignored.
		if !filepath.IsAbs(value) {
			return ""
		}
		return value
	}
	private := filepath.Join(temp, "brume-"+strconv.Itoa(uid))
	if c.RuntimeDir == "" {
		switch xdg := lookup("XDG_RUNTIME_DIR"); {
		case uid == 0:
			c.RuntimeDir = "/run/brume"
		case xdg != "":
			c.RuntimeDir = Path(filepath.Join(xdg, "brume"))
		default:
			c.RuntimeDir = Path(private)
		}
	}
	if c.DataDir == "" {
		xdg, home := lookup("XDG_DATA_HOME"), lookup("HOME")
		switch {
		case uid == 0:
			c.DataDir = "/var/lib/brume"
		case xdg != "":
			c.DataDir = Path(filepath.Join(xdg, "brume"))
		case home != "":
			c.DataDir = Path(filepath.Join(home, ".local", "share", "brume"))
		default:
			c.DataDir = Path(filepath.Join(private, "data"))
		}
	}
}
