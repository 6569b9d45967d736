package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// marked stands for every secret in these tests, and secretURL for what holds one.
const (
	marked    = "mArKeDsEcReT"
	secretURL = "srt://192.0.2.9:9000?streamid=publish:live:u:" + marked + "&passphrase=" + marked
)

// Every way in to the API, each with a URL that has a passphrase where the server does not expect it.
func TestNoAnswerAndNoLogRepeatsASecret(t *testing.T) {
	body := fmt.Sprintf(`{"stream":"live","url":%q}`, secretURL)
	post := func(contentType, body string) func(*http.Request) {
		return func(r *http.Request) {
			r.Method, r.URL.Path, r.Body = http.MethodPost, "/api/v1/pushes", io.NopCloser(strings.NewReader(body))
			r.Header.Set("Content-Type", contentType)
		}
	}
	const json = "application/json"
	escaped := url.PathEscape(secretURL)
	for _, tc := range []struct {
		name, target string
		status       int
		change       func(*http.Request)
	}{
		{"form", "/", 415, post("application/x-www-form-urlencoded", body)},
		{"text", "/", 415, post("text/plain", body)},
		{"secret as content type", "/", 415, post(secretURL, body)},
		{"not JSON", "/", 400, post(json, "stream=live&url="+secretURL)},
		{"cut off", "/", 400, post(json, body[:len(body)-2])},
		{"two documents", "/", 400, post(json, body+body)},
		{"further field", "/", 422, post(json, strings.Replace(body, "{", `{"passphrase":"`+marked+`",`, 1))},
		{"secret as field", "/", 422, post(json, fmt.Sprintf(`{"stream":"live",%q:1}`, secretURL))},
		{"wrong type", "/", 422, post(json, fmt.Sprintf(`{"stream":"live","url":[%q]}`, secretURL))},
		{"list", "/", 422, post(json, fmt.Sprintf(`[%q]`, secretURL))},
		{"text instead of an object", "/", 422, post(json, fmt.Sprintf(`%q`, secretURL))},
		{"field left out", "/", 422, post(json, fmt.Sprintf(`{"url":%q}`, secretURL))},
		{"URL over its size", "/", 422, post(json, strings.Replace(body, "publish:", "publish:"+strings.Repeat("x", 2048), 1))},
		{"stream over its size", "/", 422, post(json, fmt.Sprintf(`{"stream":%q,"url":%q}`, secretURL+strings.Repeat("x", 100), secretURL))},
		{"body over its size", "/", 413, post(json, body+strings.Repeat(" ", maxBody))},
		{"query key", "/api/v1/streams?" + url.QueryEscape(secretURL) + "=1", 422, nil},
		{"query value", "/api/v1/streams?limit=" + marked, 422, nil},
		{"query word", "/api/v1/connections?role=" + marked, 422, nil},
		{"event types", "/api/v1/events?types=" + marked, 422, nil},
		{"query that can't be read", "/api/v1/streams?" + marked + "=%" + marked + ";" + marked, 422, nil},
		{"stream", "/api/v1/streams/" + escaped, 404, nil},
		{"connection", "/api/v1/connections/" + escaped, 404, nil},
		{"push", "/api/v1/pushes/" + escaped, 404, nil},
		{"path", "/" + escaped, 404, nil},
		{"host", "/", 421, func(r *http.Request) { r.Host = "u:" + marked + "@host" }},
		{"accept", "/api/v1/info", 200, func(r *http.Request) { r.Header.Set("Accept", marked) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			h := New(newFake(), Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:4242"+tc.target, nil)
			if tc.change != nil {
				tc.change(r)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, tc.status, w.Code, w.Body)
			require.NotEmpty(t, w.Body)
			require.NotContains(t, w.Body.String()+fmt.Sprint(w.Header()), marked)
			require.NotContains(t, log.String(), marked)
		})
	}
}

// A bug in a handler is logged with its place, and without what the request held.
func TestPanicsHideWhatWasAsked(t *testing.T) {
	for _, v := range []any{marked, errors.New(marked), []string{marked}} {
		var log bytes.Buffer
		h := &handlers{log: slog.New(slog.NewTextHandler(&log, nil))}
		res, body := do(t, h.recover(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(v) })), http.MethodGet, "/"+marked)
		requireProblem(t, res, body, http.StatusInternalServerError, "its log says why")
		require.Contains(t, log.String(), "secrets_test.go")
		require.NotContains(t, log.String()+string(body), marked)
	}
}

// What a client wrote is repeated as far as it can only be a name, and a list of faults has a bound.
func TestAnswersNameWhatIsWrong(t *testing.T) {
	h := New(newFake(), Options{})
	res, body := do(t, h, http.MethodGet, "/api/v1/streams?limmit=3")
	requireProblem(t, res, body, http.StatusUnprocessableEntity, "query.limmit")
	_, body = do(t, h, http.MethodGet, "/api/openapi.json")
	require.NotContains(t, string(body), "The value at the given location")

	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("p%d=1", i))
	}
	_, body = do(t, h, http.MethodGet, "/api/v1/streams?"+strings.Join(many, "&"))
	require.Equal(t, maxDetails, strings.Count(string(body), "unknown query parameter"))
}
