package api

import (
	"path"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Lists are never null in an answer, so that a generated client need not look.
func init() { huma.DefaultArrayNullable = false }

// list is a list that is empty instead of nil, and so [] in JSON.
func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// humaConfig has neither a documentation page, which would load scripts of strangers, nor links to schemas in every
// answer. Nobody has to log in, which the empty list of security requirements says.
func humaConfig(version string) huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Brume",
				Version:     version,
				Description: "Streams and connections of a Brume media server. Errors are RFC 9457 problem details. Sizes are in bytes, times in RFC 3339.",
				Contact:     &huma.Contact{Name: "The Brume project"},
				License:     &huma.License{Name: "MIT", Identifier: "MIT"},
			},
			Servers:    []*huma.Server{{URL: "/", Description: "The server that this document came from"}},
			Security:   []map[string][]string{},
			Tags:       tags,
			Components: &huma.Components{Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName)},
		},
		Formats:       huma.DefaultFormats,
		DefaultFormat: "application/json",
	}
}

// schemaName tells types of other packages from those of this one by their package's name:
// SRTStats, TSStats.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if pkg, ok := strings.CutPrefix(t.PkgPath(), "brume/"); ok && pkg != "api" {
		return strings.ToUpper(path.Base(pkg)) + name
	}
	return name
}

var tags = []*huma.Tag{
	{Name: "connections", Description: "SRT connections, each of which has a process of its own"},
	{Name: "events", Description: "What happens, when it happens"},
	{Name: "info", Description: "The server itself"},
	{Name: "pushes", Description: "Streams that the server sends elsewhere"},
	{Name: "refusals", Description: "SRT callers that were refused, and why"},
	{Name: "streams", Description: "Streams, their publishers, locks and histories"},
}

// tag groups an operation by the collection that its path begins with.
func tag(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/api/v1/"), "/")
	return first
}

// descriptions of operations, by their ids.
var descriptions = map[string]string{
	"getInfo":              "Versions, addresses, processes and age of the server.",
	"listStreams":          "Streams that are published, watched, kept for a returning publisher, configured, or locked, sorted by name.",
	"getStream":            "One stream with its publisher, tracks, buffer and viewers.",
	"endPublisher":         "Ends the connection of the stream's publisher. The stream stays for the resume time, and an encoder that connects again goes on where it was.",
	"lockStream":           "Keeps new publishers and players over SRT out, whether the stream is there or not. Those who are there stay.",
	"unlockStream":         "Undoes a lock. It is no error where there is no lock.",
	"listConnections":      "Connections that have a process of their own, the oldest first.",
	"getConnection":        "One connection with what was negotiated and what libsrt counts.",
	"disconnect":           "Ends a connection. Its peer may call again.",
	"getConnectionHistory": "Figures of the connection over time, one column for each. A value that is not known is null.",
	"getStreamHistory":     "Figures of the stream over time, one column for each. A value that is not known is null. It can be asked for until an hour after the stream's end.",
	"listPushes":           "Pushes of the configuration and those that were started over this API, sorted by stream.",
	"getPush":              "One push, with why it last failed and when it tries again.",
	"listRefusals":         "The newest SRT callers that were refused, the newest first: at most 200.",
	"startPush":            "Begins to send a stream to a URL whenever the stream is live, until the push is ended or the server is.",
	"endPush":              "Ends a push that was started over this API. A push of the configuration can't be ended.",
}
