package test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// goPackage is what the go command tells of a package.
type goPackage struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	CgoFiles   []string
	Imports    []string
	Deps       []string
}

// packages asks the go command for all packages of the module, by their path below it.
func packages(t *testing.T) map[string]*goPackage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "list", "-json=ImportPath,Dir,GoFiles,CgoFiles,Imports,Deps", "brume/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := cmd.Output()
	require.NoError(t, err)
	all := map[string]*goPackage{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &goPackage{}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		all[strings.TrimPrefix(p.ImportPath, "brume/")] = p
	}
	require.Contains(t, all, "media")
	require.Contains(t, all, "cmd/brume-srt")
	return all
}

// siblings are the packages of this module among imports.
func siblings(imports []string) []string {
	var all []string
	for _, i := range imports {
		if s, ok := strings.CutPrefix(i, "brume/"); ok {
			all = append(all, s)
		}
	}
	return all
}

// below tells whether a package is any of the folders or in one of them.
func below(path string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return path == f || strings.HasPrefix(path, f+"/") })
}

// TestImportsOfTheHouse sees that each room has only the doors that the design gives it.
func TestImportsOfTheHouse(t *testing.T) {
	top := []string{"controller", "guardian", "api", "web", "config", "cmd", "test"}
	rules := []struct {
		room  string
		only  []string // it may import no others, where there are any
		never []string
	}{
		{room: "media", only: []string{"media"}},
		{room: "buffer", only: []string{"media", "memfile"}},
		{room: "control", only: []string{"control"}},
		{room: "access", only: []string{"config", "media"}},
		{room: "near", only: []string{"near"}},
		{room: "gate", only: []string{"place"}},
		{room: "place", only: []string{"place"}},
		{room: "rate", only: []string{"rate"}},
		{room: "loglimit", only: []string{"rate"}},
		{room: "untrusted", only: []string{"untrusted"}},
		{room: "negotiate", only: []string{"negotiate"}},
		{room: "memfile", only: []string{"memfile"}},
		{room: "scheme", only: []string{"srt"}, never: []string{"srt/libsrt", "srt/listener"}},
		{room: "config", only: []string{"media", "buffer", "near", "scheme", "srt"}, never: []string{"srt/listener"}},
		{room: "sandbox", only: []string{"sandbox"}},
		{room: "web", only: []string{"negotiate"}},
		{room: "guardian", only: []string{"control", "memfile"}},
		{room: "inputs", never: append([]string{"outputs", "srt/listener"}, top...)},
		{room: "outputs", never: append([]string{"inputs", "srt/listener"}, top...)},
		{room: "srt", never: append([]string{"inputs", "outputs", "buffer"}, top...)},
		{room: "api", never: []string{"buffer", "control", "controller", "guardian", "inputs", "outputs", "cmd"}},
		{room: "controller", never: []string{"cmd", "web", "inputs", "srt/libsrt"}},
	}
	all := packages(t)
	for _, r := range rules {
		seen := 0
		for path, p := range all {
			if !below(path, r.room) {
				continue
			}
			seen++
			for _, i := range siblings(p.Imports) {
				if len(r.only) > 0 && !below(i, append(r.only, r.room)...) {
					t.Errorf("%s imports %s; it may only import %v", path, i, r.only)
				}
				if below(i, r.never...) {
					t.Errorf("%s imports %s", path, i)
				}
			}
		}
		require.NotZero(t, seen, "there is no %s", r.room)
	}
	for path, p := range all {
		for _, i := range siblings(p.Imports) {
			if below(i, "cmd", "test") && !below(path, "test") || below(i, "controller") && path != "cmd/brume" {
				t.Errorf("%s imports %s", path, i)
			}
		}
	}
}

// TestMemoryUnsafeCodeStaysInItsProcess sees that only the connection process links libsrt, and hardly anything else.
func TestMemoryUnsafeCodeStaysInItsProcess(t *testing.T) {
	const srtgo = "github.com/haivision/srtgo"
	for path, p := range packages(t) {
		if len(p.CgoFiles) > 0 && path != "srt/libsrt" {
			t.Errorf("%s has cgo in %v", path, p.CgoFiles)
		}
		unsafe := slices.Contains(p.Deps, "brume/srt/libsrt")
		if unsafe && !below(path, "cmd/brume-srt", "srt/libsrt") {
			t.Errorf("%s links libsrt", path)
		}
		if slices.Contains(p.Deps, srtgo) && !unsafe && !below(path, "srt/libsrt", "test/bench") {
			t.Errorf("%s links %s", path, srtgo)
		}
	}
	helper := packages(t)["cmd/brume-srt"]
	for _, d := range helper.Deps {
		for _, heavy := range []string{
			"net/http", "html/template", "brume/api", "brume/controller", "brume/guardian", "brume/config", "brume/web", "brume/outputs/hls", "brume/outputs/httpd",
			"github.com/prometheus/client_golang/prometheus", "github.com/danielgtaylor/huma/v2", "github.com/pion/webrtc/v4", "github.com/alecthomas/kong",
		} {
			if below(d, heavy) {
				t.Errorf("the connection process links %s", d)
			}
		}
	}
}

// worldly are the ways to the world outside that a pure core has no use for: time, bytes and numbers come in as arguments.
var worldly = []string{
	"net", "net/http", "os", "os/exec", "os/signal", "syscall", "golang.org/x/sys/unix", "context", "log", "log/slog", "runtime",
	"brume/buffer", "brume/control", "brume/sandbox",
}

// clocks are the functions of package time that look at a clock or wait for one.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

// TestCoresArePure sees that what parses, cuts and writes media has no clock, socket, file or goroutine of its own.
func TestCoresArePure(t *testing.T) {
	all := packages(t)
	var files []string
	for _, core := range []string{"media", "media/bits", "media/h26x", "media/ts", "inputs/mpegts", "inputs/mpegts/health", "outputs/mpegts", "outputs/fmp4", "srt", "access", "scheme", "near", "place", "rate", "untrusted"} {
		require.Contains(t, all, core)
		for _, f := range all[core].GoFiles {
			files = append(files, filepath.Join(all[core].Dir, f))
		}
	}
	root := filepath.Dir(all["media"].Dir)
	for _, f := range []string{"buffer/cutter.go", "buffer/parts.go", "buffer/pace.go", "buffer/silence.go", "srt/listener/core.go", "srt/listener/rate.go", "outputs/hls/playlist.go", "outputs/hls/multivariant.go", "controller/history.go"} {
		files = append(files, filepath.Join(root, f))
	}
	for _, f := range files {
		for _, fault := range impure(t, f, nil) {
			t.Error(fault)
		}
	}
}

// TestImpurityIsSeen tries the search on code that is none of a core's.
func TestImpurityIsSeen(t *testing.T) {
	const source = `package p
import ("os"; "time"; other "net")
func f() { go g(); _ = time.Now(); _ = time.Second }
`
	require.Len(t, impure(t, "p.go", source), 4)
}

// impure lists what a file has that a pure core has not.
func impure(t *testing.T, name string, source any) []string {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
	require.NoError(t, err)
	var faults []string
	fault := func(n ast.Node, what string) { faults = append(faults, set.Position(n.Pos()).String()+": "+what) }
	for _, i := range file.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		require.NoError(t, err)
		if slices.Contains(worldly, path) {
			fault(i, "imports "+path)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			fault(n, "starts a goroutine")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks, n.Sel.Name) {
				fault(n, "uses time."+n.Sel.Name)
			}
		}
		return true
	})
	return faults
}
