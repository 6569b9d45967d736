package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
)

// Bounds of what an answer says of a request.
const (
	maxShown   = 128 // bytes of a name that it repeats
	maxDetails = 20  // faults that it lists
)

func init() {
	// huma's own errors repeat the value that is wrong, which is the whole body where it can't be read. Every one of
	// its errors is made by one of these two.
	huma.NewError = failure
	huma.NewErrorWithContext = func(_ huma.Context, status int, detail string, errs ...error) huma.StatusError {
		return failure(status, detail, errs...)
	}
}

// failure is an answer with problem details (RFC 9457). It says where something is wrong and how, and repeats no value
// of the request, since a value may hold a passphrase.
func failure(status int, detail string, errs ...error) huma.StatusError {
	m := &huma.ErrorModel{Status: status, Detail: detail}
	for _, err := range errs[:min(len(errs), maxDetails)] {
		var large *http.MaxBytesError
		var at *huma.ErrorDetail
		switch {
		case err == nil:
		case errors.As(err, &large):
			m.Status, m.Detail = http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", large.Limit)
		case status == http.StatusUnsupportedMediaType:
			m.Detail = "the body has to be JSON, with the content type application/json"
		case errors.As(err, &at):
			m.Errors = append(m.Errors, &huma.ErrorDetail{Location: place(at.Location), Message: at.Message})
		default:
			m.Errors = append(m.Errors, &huma.ErrorDetail{Message: err.Error()})
		}
	}
	m.Title = http.StatusText(m.Status)
	return m
}

// place is where something is wrong, such as body.url. A name that the client wrote is part of it only where it is
// a plain one: the URL that somebody wrote in the place of a key is not.
func place(location string) string {
	if location == "" || plainName(location) {
		return location
	}
	first, _, _ := strings.Cut(location, ".")
	return first
}

// named is a name of a request in quotes for the text of an answer, or nothing where it may be more than a name.
func named(name string) string {
	if !plainName(name) {
		return "of this name"
	}
	return strconv.Quote(name)
}

// plainName reports whether a text can be a name, a path or an address: not long, and without the characters of URLs with
// parameters and of stream ids, which may hold secrets.
func plainName(s string) bool {
	return len(s) <= maxShown && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("?&=#%@,;$\"\\", r)
	}) && !strings.Contains(s, "://")
}

// problem answers with problem details (RFC 9457), in the form that huma gives its own.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(&huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail})
}

// methodNotAllowed answers for a path that is known with another method. RFC 9110 15.5.6:
// the answer lists the methods that are.
func methodNotAllowed(routes chi.Routes, w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if !routes.Match(chi.NewRouteContext(), m, r.URL.Path) {
			continue
		}
		allowed = append(allowed, m)
		if m == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	problem(w, http.StatusMethodNotAllowed, r.Method+" is not possible here; try "+strings.Join(allowed, ", "))
}
