package test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// installClients installs the generators of TypeScript clients, unless they are there, and returns their directory.
func installClients(t *testing.T) string {
	t.Helper()
	run(t, 5*time.Minute, "make", "-s", "-C", "..", "clients")
	dir, err := filepath.Abs("clients")
	require.NoError(t, err)
	return dir
}

// document writes the server's OpenAPI document to a file.
func (s *server) document() string {
	s.t.Helper()
	var document json.RawMessage
	require.Equal(s.t, http.StatusOK, s.get("/api/openapi.json", &document))
	path := filepath.Join(s.t.TempDir(), "openapi.json")
	require.NoError(s.t, os.WriteFile(path, document, 0o600))
	return path
}

// TestDocumentIsClean lets redocly and spectral judge the OpenAPI document by their recommended rules.
func TestDocumentIsClean(t *testing.T) {
	t.Parallel()
	dir := installClients(t)
	runIn(t, dir, 5*time.Minute, "node", "lint.js", start(t).document())
}

// TestGeneratedClients makes a client from the server's document by each of two generators, and uses it. Both see the same.
func TestGeneratedClients(t *testing.T) {
	t.Parallel()
	dir := installClients(t)
	s := start(t)
	s.publish(plainClip(t), "publish:live")
	s.waitState("live", "live")
	s.eventually(20*time.Second, "the stream has a history", func() bool {
		var h struct{ Time []int64 }
		return s.get("/api/v1/streams/live/history", &h) == http.StatusOK && len(h.Time) > 0
	})
	document, url := s.document(), "http://"+s.api

	ts := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(dir, "node_modules"), filepath.Join(ts, "node_modules")))
	require.NoError(t, os.CopyFS(ts, os.DirFS(filepath.Join(dir, "ts"))))
	runIn(t, ts, 5*time.Minute, "node_modules/.bin/openapi-typescript", document, "-o", "schema.ts")
	runIn(t, ts, 5*time.Minute, "node_modules/.bin/tsc", "-p", ".")
	fromTypeScript := runIn(t, ts, 5*time.Minute, "node", "client.js", url)

	golang := t.TempDir()
	require.NoError(t, os.CopyFS(golang, os.DirFS(filepath.Join(dir, "go"))))
	runIn(t, golang, 5*time.Minute, "go", "tool", "oapi-codegen", "-generate", "types,client", "-package", "main", "-o", "client.go", document)
	fromGo := runIn(t, golang, 5*time.Minute, "go", "run", ".", url)

	const want = `{
		"processes": ["guardian", "controller", "http", "srt-listener"], "streams": ["live"], "codecs": ["h264", "aac"],
		"programs": [["live"]], "feeds": [[]], "columns": [true, true], "retry": "retry: 1000", "unknownType": 422,
		"lock": [204, 204], "push": "srt://127.0.0.1:9?passphrase=***", "pushEnded": 204, "missing": "there is no stream \"none\""
	}`
	require.JSONEq(t, want, fromTypeScript)
	require.JSONEq(t, want, fromGo)
}
