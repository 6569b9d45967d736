package api

import (
	"encoding/json"
	"net/http"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type document struct {
	OpenAPI string
	Info    struct{ Title, Version string }
	Paths   map[string]map[string]struct {
		OperationID string
		Summary     string
		Description string
		Tags        []string
		Parameters  []struct{ Name, In string }
		Responses   map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Tags       []struct{ Name string }
	Components struct{ Schemas map[string]map[string]any }
}

func TestOpenAPI(t *testing.T) {
	res, body := do(t, New(newFake(), Options{Version: "1.2.3"}), http.MethodGet, "/api/openapi.json")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "application/vnd.oai.openapi+json", res.Header.Get("Content-Type"))
	var d document
	require.NoError(t, json.Unmarshal(body, &d))
	require.True(t, strings.HasPrefix(d.OpenAPI, "3.1."))
	require.Equal(t, "1.2.3", d.Info.Version)

	var tagNames []string
	for _, t := range d.Tags {
		tagNames = append(tagNames, t.Name)
	}
	var operations []string
	ids := map[string]bool{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			operations = append(operations, strings.ToUpper(method)+" "+path)
			require.NotEmpty(t, op.Summary)
			require.NotEmpty(t, op.Description, "%s has no entry in descriptions", op.OperationID)
			require.Len(t, op.Tags, 1)
			require.Contains(t, tagNames, op.Tags[0])
			require.False(t, ids[op.OperationID])
			ids[op.OperationID] = true
			for code, r := range op.Responses {
				switch {
				case code == "204":
					require.Empty(t, r.Content)
				case op.OperationID == "streamEvents" && code == "200":
					require.Equal(t, "#/components/schemas/Event", r.Content["text/event-stream"].Schema["$ref"])
				case code == "200" || code == "201":
					require.Contains(t, r.Content, "application/json")
				default:
					require.Contains(t, r.Content, "application/problem+json")
				}
			}
			for _, p := range op.Parameters {
				if p.In == "header" {
					require.Equal(t, "Last-Event-ID", p.Name)
					continue
				}
				require.Equal(t, p.In == "path", strings.Contains(path, "{"+p.Name+"}"))
			}
		}
	}
	sort.Strings(operations)
	require.Equal(t, []string{
		"DELETE /api/v1/connections/{id}", "DELETE /api/v1/pushes/{id}", "DELETE /api/v1/streams/{name}", "DELETE /api/v1/streams/{name}/lock",
		"GET /api/v1/connections", "GET /api/v1/connections/{id}", "GET /api/v1/connections/{id}/history", "GET /api/v1/events", "GET /api/v1/info",
		"GET /api/v1/pushes", "GET /api/v1/pushes/{id}", "GET /api/v1/refusals",
		"GET /api/v1/streams", "GET /api/v1/streams/{name}", "GET /api/v1/streams/{name}/history", "POST /api/v1/pushes", "PUT /api/v1/streams/{name}/lock",
	}, operations)
	require.Contains(t, d.Paths["/api/v1/streams/{name}"]["delete"].Responses, "409")
	require.Contains(t, d.Paths["/api/v1/streams"]["get"].Responses, "422")

	// Every reference leads somewhere.
	var all any
	require.NoError(t, json.Unmarshal(body, &all))
	walk(all, func(key string, v any) {
		if key != "$ref" {
			return
		}
		name, ok := strings.CutPrefix(v.(string), "#/components/schemas/")
		require.True(t, ok)
		require.Contains(t, d.Components.Schemas, name)
	})
}

// Only a figure of a history is ever null, where it means "not known". Generators of clients can't read null anywhere
// else, and a list is never null at all.
func TestNullIsRare(t *testing.T) {
	h := New(newFake(), Options{})
	_, body := do(t, h, http.MethodGet, "/api/openapi.json")
	var all any
	require.NoError(t, json.Unmarshal(body, &all))
	nullable := 0
	walk(all, func(key string, v any) {
		schema, _ := v.(map[string]any)
		if types, _ := schema["type"].([]any); types != nil {
			require.Equal(t, []any{"number", "null"}, types, key)
			require.Equal(t, "items", key)
			nullable++
		}
	})
	require.NotZero(t, nullable)
	for _, target := range []string{"info", "streams", "connections", "pushes"} {
		_, body := do(t, h, http.MethodGet, "/api/v1/"+target)
		require.NotContains(t, string(body), "null")
	}
}

// The document says where the server is and that nobody has to log in.
func TestDocumentNamesServerAndSecurity(t *testing.T) {
	_, body := do(t, New(newFake(), Options{}), http.MethodGet, "/api/openapi.json")
	var d struct {
		Servers  []struct{ URL string }
		Security []map[string][]string
	}
	require.NoError(t, json.Unmarshal(body, &d))
	require.Len(t, d.Servers, 1)
	require.Equal(t, "/", d.Servers[0].URL)
	require.NotNil(t, d.Security)
	require.Empty(t, d.Security)
}

// What the API answers is what its document says.
func TestAnswersFitTheirSchema(t *testing.T) {
	h := New(newFake(), Options{})
	_, body := do(t, h, http.MethodGet, "/api/openapi.json")
	var d document
	require.NoError(t, json.Unmarshal(body, &d))
	for target, schema := range map[string]string{
		"/api/v1/info": "Info", "/api/v1/streams": "ListStream", "/api/v1/streams/live": "Stream", "/api/v1/streams/off": "Stream",
		"/api/v1/connections": "ListConnection", "/api/v1/connections/c1": "Connection", "/api/v1/connections/c3": "Connection",
		"/api/v1/pushes": "ListPush", "/api/v1/pushes/off-0": "Push", "/api/v1/streams/none": "ErrorModel", "/api/v1/connections/c1/history": "ConnectionHistory", "/api/v1/connections/c3/history": "ConnectionHistory",
		"/api/v1/streams/live/history?resolution=10s": "StreamHistory",
	} {
		_, body := do(t, h, http.MethodGet, target)
		var v any
		require.NoError(t, json.Unmarshal(body, &v))
		fits(t, d.Components.Schemas, d.Components.Schemas[schema], v, schema)
	}
}

// fits checks types, required and additional properties, and enumerations.
func fits(t *testing.T, schemas map[string]map[string]any, schema map[string]any, v any, at string) {
	t.Helper()
	require.NotNil(t, schema, at)
	if ref, ok := schema["$ref"].(string); ok {
		schema = schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
	}
	if enum, ok := schema["enum"].([]any); ok {
		require.Contains(t, enum, v, at)
	}
	switch v := v.(type) {
	case map[string]any:
		require.Equal(t, "object", schema["type"], at)
		properties, _ := schema["properties"].(map[string]any)
		for key, item := range v {
			p, ok := properties[key].(map[string]any)
			if !ok {
				p, ok = schema["additionalProperties"].(map[string]any)
			}
			require.True(t, ok, "%s.%s is not in the document", at, key)
			fits(t, schemas, p, item, at+"."+key)
		}
		required, _ := schema["required"].([]any)
		for _, key := range required {
			require.Contains(t, v, key, at)
		}
	case []any:
		require.Equal(t, "array", schema["type"], at)
		for _, item := range v {
			fits(t, schemas, schema["items"].(map[string]any), item, at+"[]")
		}
	case string:
		require.Equal(t, "string", schema["type"], at)
	case bool:
		require.Equal(t, "boolean", schema["type"], at)
	case float64:
		require.Subset(t, []any{"integer", "number", "null"}, types(schema), at)
	case nil:
		require.Contains(t, types(schema), "null", at)
	default:
		t.Fatalf("%s is %v", at, v)
	}
}

// types are those that a schema allows.
func types(schema map[string]any) []any {
	if all, ok := schema["type"].([]any); ok {
		return all
	}
	return []any{schema["type"]}
}

func walk(v any, f func(key string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			f(key, item)
			walk(item, f)
		}
	case []any:
		for _, item := range v {
			walk(item, f)
		}
	}
}
