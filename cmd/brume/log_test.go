package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"brume/config"
)

// TestNoEmptyAttributes: a line has no attribute without a value, whatever its type; zeros and false are values.
func TestNoEmptyAttributes(t *testing.T) {
	type word string
	var none error
	var pointer *int
	for format, want := range map[config.LogFormat]string{
		config.LogText: "level=INFO msg=m n=0 off=false took=0s word=x in.port=:1\n",
		config.LogJSON: `"level":"INFO","msg":"m","n":0,"off":false,"took":0,"word":"x","in":{"port":":1"}}` + "\n",
	} {
		var b bytes.Buffer
		log := slog.New(newHandler(&b, string(format), slog.LevelInfo))
		log.Info("m", "port", "", "role", word(""), "error", none, "list", []string{}, "map", map[string]int{}, "pointer", pointer,
			"n", 0, "off", false, "took", time.Duration(0), "word", word("x"), slog.Group("in", "port", ":1", "peer", ""))
		require.True(t, strings.HasSuffix(b.String(), want), b.String())
	}
}
